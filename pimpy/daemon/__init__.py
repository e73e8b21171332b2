"""Floor 3: the event loop, the control socket, metrics, the recorder. The only floor that reads a clock."""
