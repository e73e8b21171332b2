"""The one cursor that reads bytes from outside: every length is checked here."""

from __future__ import annotations


class Malformed(Exception):
    """Bytes that are not what they claim to be.

    `reason` is a stable word, the `reason` label of `pimpy_rx_errors_total` (`reliability.md` section 2);
    it never holds anything that came from the network. This is the only exception that bytes can cause.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Reader:
    """Reads a message from its beginning to its end, in network order.

    Reading past the end raises Malformed with the reason given (`truncated` unless the caller names another).
    """

    __slots__ = ("data", "end", "pos", "reason")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None, reason: str = "truncated") -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end
        self.reason = reason

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self.end - self.pos

    def skip(self, size: int) -> int:
        """Step over `size` bytes (0 or more); the position where they begin."""
        pos = self.pos
        if size > self.end - pos:
            raise Malformed(self.reason)
        self.pos = pos + size
        return pos

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        pos = self.skip(size)
        return self.data[pos : pos + size]

    def u8(self) -> int:
        """An unsigned 8-bit number."""
        return self.data[self.skip(1)]

    def u16(self) -> int:
        """An unsigned 16-bit number."""
        pos = self.skip(2)
        return self.data[pos] << 8 | self.data[pos + 1]

    def u32(self) -> int:
        """An unsigned 32-bit number."""
        pos = self.skip(4)
        return int.from_bytes(self.data[pos : pos + 4], "big")

    def rest(self) -> bytes:
        """All that is left, possibly nothing."""
        return self.take(self.left)
