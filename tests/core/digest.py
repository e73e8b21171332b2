"""The whole state of a router as one value, so that "dropped = unchanged" can be asserted (reliability.md, G3).

Everything that hangs on the router is walked, timers and the state of the random numbers included; left out are
the counters, the effects not drained yet, what keeps notices from being repeated, what a message was counted for,
a neighbour's last Hello in bytes, and the time of the last event.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

NOT_STATE = frozenset(
    {"counters", "_effects", "silenced", "quiet", "now", "notes", "rates", "shares", "heard", "__weakref__"}
)


def digest(router: object) -> str:
    """The state in words, equal for equal states; kept as text so that a difference can be read."""
    return "\n".join(_Walker().lines(router, ""))


class _Walker:
    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.kept: list[object] = []

    def lines(self, value: Any, path: str) -> list[str]:
        """One line for each plain value that hangs on `value`."""
        if value is None or isinstance(value, (int, float, str, bytes, bool)):
            return [f"{path} = {value!r}"]
        if isinstance(value, Random):
            return [f"{path} = random state {hash(value.getstate())}"]
        if isinstance(value, partial):
            return [f"{path} = partial {value.func.__qualname__}"]
        if isinstance(value, type) or callable(value):
            return [f"{path} = {getattr(value, '__qualname__', value)}"]
        if id(value) in self.seen:
            return [f"{path} = #{self.seen[id(value)]}"]
        self.seen[id(value)] = len(self.seen)
        self.kept.append(value)
        out = [f"{path} is {type(value).__name__}"]
        for name, part in _parts(value):
            out += self.lines(part, f"{path}.{name}")
        return out


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [
            (f"{kind}{number}", part)
            for number, item in enumerate(value.items())
            for kind, part in zip(("key", "value"), item, strict=True)
        ]
    if isinstance(value, (list, tuple)):
        return [(str(number), part) for number, part in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [(str(number), part) for number, part in enumerate(sorted(value))]
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    names = dict.fromkeys([*slots, *getattr(value, "__dict__", {})])
    return [(name, getattr(value, name)) for name in names if name not in NOT_STATE and hasattr(value, name)]
