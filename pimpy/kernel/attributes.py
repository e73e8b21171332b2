"""The attributes of netlink messages, taken apart; it imports next to nothing, as the keeper reads its rules by it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEADER = struct.Struct("=HH")
_NUMBER = 0x3FFF
"""What of an attribute's type is its number; the rest says that it is a nest, or in network order."""


def each(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Number and value of each attribute of a message, from `offset` on, or of a nest; what is malformed ends it."""
    while offset + _HEADER.size <= len(data):
        length, kind = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind & _NUMBER, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The same by number; of several with one number the last."""
    return dict(each(data, offset))
