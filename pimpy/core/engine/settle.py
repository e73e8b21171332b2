"""The settle pass: handlers change base state and touch, derived values are worked out once, afterwards.

So nobody has to remember the consequences of a change, and the work is proportional to what changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Touchable(Protocol):
    """What can be settled: `touched` is the worklist's own mark."""

    touched: bool


T = TypeVar("T", bound=Touchable)


class Worklist(Generic[T]):
    """What was touched since it was last settled, each once, in the order of the first touch."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[T] = []

    def touch(self, item: T) -> None:
        """The derived values of `item` have to be looked at again."""
        if not item.touched:
            item.touched = True
            self._items.append(item)

    def settle(self, one: Callable[[T], None]) -> None:
        """Call `one` for each touched item, those included that it touches meanwhile."""
        while self._items:
            items, self._items = self._items, []
            for item in items:
                item.touched = False
                one(item)
