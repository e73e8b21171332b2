"""A mapping that mostly holds one item: a dict of one takes 232 bytes, and there may be 100,000 groups."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Few(MutableMapping[Key, Value], Generic[Key, Value]):
    """As a dict, in the order of arrival. From the second item on it is one."""

    __slots__ = ("_items", "_key", "_value")

    _key: Key
    _value: Value

    def __init__(self) -> None:
        self._items: int | dict[Key, Value] = 0
        """How many there are, none or one; or all of them."""

    def __getitem__(self, key: Key) -> Value:
        if isinstance(self._items, dict):
            return self._items[key]
        if self._items and self._key == key:
            return self._value
        raise KeyError(key)

    def __setitem__(self, key: Key, value: Value) -> None:
        if self._items == 1 and self._key != key:
            self._items = {self._key: self._value}
            del self._key, self._value
        if isinstance(self._items, dict):
            self._items[key] = value
        else:
            self._items, self._key, self._value = 1, key, value

    def __delitem__(self, key: Key) -> None:
        if isinstance(self._items, dict):
            del self._items[key]
        elif self._items and self._key == key:
            del self._key, self._value
            self._items = 0
        else:
            raise KeyError(key)

    def __len__(self) -> int:
        return len(self._items) if isinstance(self._items, dict) else self._items

    def __iter__(self) -> Iterator[Key]:
        if isinstance(self._items, dict):
            return iter(self._items)
        return iter((self._key,) if self._items else ())

    def get(self, key: Key, default: Value | None = None) -> Value | None:  # type: ignore[override]
        """The value, or `default`: the base class would raise and catch an error."""
        if isinstance(self._items, dict):
            return self._items.get(key, default)
        return self._value if self._items and self._key == key else default
