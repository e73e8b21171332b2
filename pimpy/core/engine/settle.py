"""The settle pass: handlers change base state and touch, derived values are worked out once, afterwards.

So nobody has to remember the consequences of a change, and the work is proportional to what changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar


class Touchable(Protocol):
    """What can be settled: `touched` is the worklist's own mark."""

    touched: bool


T = TypeVar("T", bound=Touchable)


PART = 128
"""How many of those in the queue are settled at once."""


class Worklist(Generic[T]):
    """What was touched since it was last settled, each once, in the order of the first touch.

    Where one event concerns very many (a route moves), they queue, and are settled a part at a time: what follows from
    the first part leaves, and is worked on by others, while we work on the next.
    """

    __slots__ = ("_items", "_queue")

    def __init__(self) -> None:
        self._items: list[T] = []
        self._queue: deque[T] = deque()

    def touch(self, item: T) -> None:
        """The derived values of `item` have to be looked at again."""
        if not item.touched:
            item.touched = True
            self._items.append(item)

    def queue(self, items: Iterable[T]) -> None:
        """The same of many, which need not be looked at all at once."""
        self._queue.extend(items)

    @property
    def queued(self) -> int:
        """How many `settle` has left for the next time."""
        return len(self._queue)

    def settle(self, one: Callable[[T], None]) -> None:
        """Call `one` for each touched item, those included that it touches meanwhile, and for a part of the queue."""
        queue = self._queue
        for _ in range(min(PART, len(queue))):
            self.touch(queue.popleft())
        while self._items:
            items, self._items = self._items, []
            for item in items:
                item.touched = False
                one(item)
