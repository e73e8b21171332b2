"""The cursor: what it reads, and that it never reads past the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pim_samples import reason_of

from pimpy.wire.reader import Malformed, Reader

DATA = bytes(range(1, 16))


def test_reads_in_network_order_and_moves_on() -> None:
    reader = Reader(DATA)
    assert (reader.u8(), reader.u16(), reader.u32()) == (0x01, 0x0203, 0x04050607)
    assert reader.take(2) == b"\x08\x09"
    assert reader.skip(1) == 9
    assert reader.left == 5
    assert reader.rest() == b"\x0b\x0c\x0d\x0e\x0f"
    assert reader.rest() == b""


@pytest.mark.parametrize(
    ("read", "size"),
    [(Reader.u8, 1), (Reader.u16, 2), (Reader.u32, 4), (lambda reader: reader.take(3), 3)],
    ids=["u8", "u16", "u32", "take"],
)
def test_the_end_is_the_end(read: Callable[[Reader], object], size: int) -> None:
    for left in range(size):
        reader = Reader(DATA, 2, 2 + left)
        assert reason_of(read, reader) == "truncated"
        assert reader.left == left
    reader = Reader(DATA, 2, 2 + size)
    read(reader)
    assert reader.left == 0


def test_the_reason_is_the_callers() -> None:
    assert reason_of(Reader(b"", reason="jp_malformed").u8) == "jp_malformed"


def test_malformed_keeps_its_reason() -> None:
    assert Malformed("bad_mask").reason == str(Malformed("bad_mask")) == "bad_mask"
