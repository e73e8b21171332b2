"""Floor 0: bytes to values and back. Pure functions; `Malformed` is the only exception bytes can cause."""
