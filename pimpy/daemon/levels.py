"""The words of the log: its levels, and the subsystems that `-d` knows.

Imports nothing, so that the command line may be read before anything else is there.
"""

from __future__ import annotations

DEBUG, INFO, NOTICE, WARNING, ERROR, NONE = 10, 20, 25, 30, 40, 100
"""The numbers of `logging`, and two of our own."""

LEVELS = {
    "none": NONE,
    "err": ERROR,
    "warning": WARNING,
    "notice": NOTICE,
    "info": INFO,
    "debug": DEBUG,
}
"""The levels and their numbers. `warning` stands above `notice`, as in syslog."""

_SYNONYMS = {"error": "err", "warn": "warning", "crit": "err", "alert": "err", "emerg": "err", "panic": "err"}

LEVEL_WORDS = tuple(LEVELS)

SUBSYSTEMS = (
    *("all", "asserts", "bsr", "crp", "detail", "igmp", "interfaces", "jp", "kernel", "mfc", "mld", "mrt"),
    *("neighbors", "packets", "pim", "registers", "rpf", "timers"),
)
"""What `-d` knows: pimd's words (but for two that nothing here is behind), and `mld`."""


def level_name(text: str) -> str:
    """The level that a word means, one of LEVEL_WORDS; pimd's other words for them are taken. ValueError if none."""
    low = text.lower()
    low = _SYNONYMS.get(low, low)
    if low not in LEVELS:
        raise ValueError(f"no such level: {text!r}")
    return low


def subsystems(text: str) -> tuple[str, ...]:
    """The subsystems of a list with commas; each may be shortened. ValueError names the one that is unknown."""
    found = []
    for word in text.split(","):
        low = word.strip().lower()
        names = [name for name in SUBSYSTEMS if name == low] or [name for name in SUBSYSTEMS if name.startswith(low)]
        if not low or len(names) != 1:
            raise ValueError(f"{'no such' if not names else 'ambiguous'} subsystem: {word!r}")
        found.append(names[0])
    return tuple(found)
