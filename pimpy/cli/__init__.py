"""Floor 4: what a person types, `pimpyd` and `pimctl`."""
