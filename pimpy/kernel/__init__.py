"""Floor 2: the Linux kernel. Events go up, effects come down."""
