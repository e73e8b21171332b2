"""Floor 1: the protocols, as a pure function of (state, event, now). No I/O, no clock, no globals."""
