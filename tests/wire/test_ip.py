"""What is done to IP headers of data packets."""

from __future__ import annotations

import random

import pytest

from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import IPV4, IPV6, Family
from pimpy.wire.ip import decrement_ttl


def header(ttl: int, rest: bytes) -> bytes:
    """An IPv4 header with its checksum; `rest` is 10 bytes of it."""
    start = b"\x45\x00" + rest[:6] + bytes((ttl, 17))
    given = internet_checksum(start + b"\0\0" + rest[2:])
    return start + given.to_bytes(2, "big") + rest[2:]


def test_R8_the_ttl_is_one_less_and_the_checksum_right_whatever_it_was() -> None:
    chance = random.Random(8)
    carries = 0
    for _ in range(5000):
        packet = header(chance.randrange(2, 256), chance.randbytes(10)) + b"data"
        after = decrement_ttl(IPV4, packet)
        assert after is not None and after[8] == packet[8] - 1 and after[20:] == b"data"
        assert after[:8] + after[9:10] + after[12:] == packet[:8] + packet[9:10] + packet[12:]
        assert internet_checksum(after[:20]) == 0
        carries += packet[10] == 0xFF
    assert carries > 5, "the sum has gone round some times"


def test_R8_the_hop_limit_of_ipv6_is_one_less() -> None:
    packet = b"\x60" + bytes(6) + b"\x02" + bytes(range(32))
    assert decrement_ttl(IPV6, packet) == packet[:7] + b"\x01" + packet[8:]


@pytest.mark.parametrize(("family", "at", "size"), [(IPV4, 8, 20), (IPV6, 7, 40)])
def test_F20_a_ttl_of_1_or_0_goes_no_further(family: Family, at: int, size: int) -> None:
    for ttl in (0, 1):
        assert decrement_ttl(family, bytes(at) + bytes((ttl,)) + bytes(size)) is None
    assert decrement_ttl(family, bytes(at) + b"\x02" + bytes(size - at - 1)) is not None
    assert decrement_ttl(family, b"\xff" * (size - 1)) is None, "no whole header"
