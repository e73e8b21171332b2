"""What pimd makes of a line that is an error to us: it notes most of them and goes on, with a default or without it."""

from __future__ import annotations

from collections.abc import Sequence

_VALUES = {
    "default-route-distance": "101",
    "default-route-metric": "1024",
    "hello-interval": "30",
    "igmp-query-interval": "125 (2.3.2: 12)",
    "igmp-querier-timeout": "what follows from the query interval",
    "spt-threshold": "packets 0 interval 100",
    "bsr-candidate": "the default in its place",
    "rp-candidate": "the default in its place",
}
"""What it takes for a bad value; the directives that have one."""
_LEFT_OUT = ("phyint", "rp-address", "group-prefix", "no", "disable-vifs")
"""Its other directives."""
_OLD = {
    "default-source-preference": "default-route-distance",
    "default-source-metric": "default-route-metric",
    "default-igmp-query-interval": "igmp-query-interval",
    "default-igmp-querier-timeout": "igmp-querier-timeout",
    "hello-period": "hello-interval",
    "cand-bootstrap-router": "bsr-candidate",
    "cand-rp": "rp-candidate",
    "switch-data-threshold": "spt-threshold",
    "switch-register-threshold": "spt-threshold",
}
"""2.3.2's spellings, with dashes for the underscores that it has."""


def of_line(words: Sequence[str], word: str | None) -> str:
    """What pimd would do about `word`, to be put behind the error; nothing for a directive that is not its own."""
    name = words[0].lower().replace("_", "-")
    name = _OLD.get(name, name)
    if word == words[0]:
        return " (pimd would end here, with exit code 255)"
    if name in _VALUES and (word is None or list(words[1:2]) == [word] or name in ("bsr-candidate", "rp-candidate")):
        return f" (pimd would take {_VALUES[name]})"
    if name in _VALUES or name == "phyint":
        return " (pimd would leave that word out)"
    return " (pimd would leave the line out)" if name in _LEFT_OUT else ""
