"""What the state machines run on: events, effects, timers. Knows no protocol."""
