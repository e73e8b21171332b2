"""Floor 0: text to a frozen model and back, with diagnostics that name file, line and word."""
