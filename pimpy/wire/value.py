"""What is compared, hashed and shown by what it holds: the base of messages, events, effects and the configuration.

`wire.record` makes the classes, and leaves these three methods to their base: here they stand once.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from pimpy.wire.record import fields

_held: dict[type, Callable[[Any], Any]] = {}
"""What makes an object of a class differ from another one of it, found when it is first asked for."""


class Value:
    """Equal to another of its class that holds the same, but for fields with `eq=False`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        held = _held.get(self.__class__) or _find(self.__class__)
        return bool(held(self) == held(other))

    def __hash__(self) -> int:
        held = _held.get(self.__class__) or _find(self.__class__)
        return hash(held(self))

    def __repr__(self) -> str:
        shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self.__class__) if field.repr)
        return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _find(cls: Any) -> Callable[[Any], Any]:
    names = [field.name for field in fields(cls) if field.eq]
    found = attrgetter(*names) if names else lambda _: ()
    _held[cls] = found
    return found
