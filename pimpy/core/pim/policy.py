"""Numbers that several machines go by: RFC 7761 4.11."""

from __future__ import annotations

KEEPALIVE_PERIOD = 210.0
"""Keepalive_Period (4.11), seconds."""
POLL = 30.0
"""Seconds between two looks at the kernel's counters: so much later than the last packet a timer may start."""
