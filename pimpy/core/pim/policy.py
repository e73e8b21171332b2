"""Numbers and choices that several machines go by: RFC 7761 4.2.1 and 4.11."""

from __future__ import annotations

from enum import Enum

KEEPALIVE_PERIOD = 210.0
"""Keepalive_Period (4.11), seconds."""
POLL = 30.0
"""Seconds between two looks at the kernel's counters: so much later than the last packet a timer may start."""


class SptThreshold(Enum):
    """SwitchToSptDesired(S,G), the policy (4.2.1)."""

    IMMEDIATE = "immediate"
    INFINITY = "infinity"
