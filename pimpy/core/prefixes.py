"""Values by address range, and the ranges that hold an address."""

from __future__ import annotations

from typing import Generic, TypeVar

from pimpy.wire.family import Address, Prefix

T = TypeVar("T")


class PrefixTree(Generic[T]):
    """Ranges of one family with a value each.

    A look-up costs one dictionary access for each length of prefix that occurs, however many ranges there are.
    """

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: dict[int, dict[int, T]] = {}
        """Shift of a length -> network as a number without its host bits -> value; the longest prefix first."""

    def get(self, prefix: Prefix) -> T | None:
        """The value of exactly this range."""
        level = self._levels.get(8 * len(prefix.network) - prefix.length)
        return None if level is None else level.get(_number(prefix))

    def set(self, prefix: Prefix, value: T) -> None:
        """Give a range its value."""
        shift = 8 * len(prefix.network) - prefix.length
        if shift not in self._levels:
            self._levels[shift] = {}
            self._levels = dict(sorted(self._levels.items()))
        self._levels[shift][_number(prefix)] = value

    def remove(self, prefix: Prefix) -> None:
        """Forget a range that has a value."""
        shift = 8 * len(prefix.network) - prefix.length
        level = self._levels[shift]
        del level[_number(prefix)]
        if not level:
            del self._levels[shift]

    def covering(self, address: Address) -> list[T]:
        """The values of all ranges that hold `address`, the smallest range first."""
        number = int.from_bytes(address, "big")
        found = []
        for shift, level in self._levels.items():  # asked of every stream: a generator would cost as much again
            value = level.get(number >> shift)
            if value is not None:
                found.append(value)
        return found

    def __len__(self) -> int:
        return sum(map(len, self._levels.values()))


def _number(prefix: Prefix) -> int:
    return int.from_bytes(prefix.network, "big") >> 8 * len(prefix.network) - prefix.length
