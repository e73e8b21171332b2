"""What ICMP messages say of PIM messages that did not arrive (kernel/icmp.py)."""

from __future__ import annotations

import socket
from struct import pack

import pytest

from pimpy.kernel.icmp import read_errors
from pimpy.wire.family import IPV4, IPV6, Address, Family, parse_address

REGISTER = bytes.fromhex("2100defe00000000") + bytes(40)
RPS = {IPV4: parse_address("10.8.0.1"), IPV6: parse_address("2001:db8::1")}


def icmp(family: Family, kind: int, code: int, quoted: bytes) -> bytes:
    """An ICMP message as a raw socket has it: in IPv4 behind its IP header, here with an option."""
    message = pack(">BBHI", kind, code, 0, 0) + quoted
    return message if family is IPV6 else bytes((0x46,)) + bytes(23) + message


def outer(family: Family, protocol: int = 103, options: int = 0) -> bytes:
    """The IP header of what did not arrive."""
    if family is IPV6:
        return pack(">IHBB", 6 << 28, 48, protocol, 64) + bytes(16) + RPS[family]
    head = pack(">BBHHHBBH", 0x45 + options // 4, 0, 68, 0, 0, 64, protocol, 0)
    return head + bytes(4) + RPS[family] + bytes(options)


def read(family: Family, *messages: bytes, limit: int = 10) -> list[tuple[Address, str, bytes]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        for message in messages:
            theirs.send(message)
        return list(read_errors(ours, family, limit))


KINDS = {IPV4: {(3, 1): "host", (3, 2): "protocol"}, IPV6: {(1, 0): "host", (1, 3): "host", (4, 1): "protocol"}}


@pytest.mark.parametrize("family", [IPV4, IPV6], ids=["ipv4", "ipv6"])
def test_TH46_a_quoted_pim_message_is_told(family: Family) -> None:
    for (kind, code), why in KINDS[family].items():
        message = icmp(family, kind, code, outer(family) + REGISTER)
        assert read(family, message, message) == [(RPS[family], why, REGISTER)] * 2
    assert len(read(family, *[message] * 9, limit=4)) == 4


def test_TH46_options_of_the_quoted_header_are_skipped() -> None:
    assert read(IPV4, icmp(IPV4, 3, 2, outer(IPV4, options=8) + REGISTER)) == [(RPS[IPV4], "protocol", REGISTER)]


@pytest.mark.parametrize("family", [IPV4, IPV6], ids=["ipv4", "ipv6"])
def test_TH46_anything_else_is_not(family: Family) -> None:
    whole = outer(family) + REGISTER
    kinds = ((kind, code) for kind in range(6) for code in range(6) if (kind, code) not in KINDS[family])
    assert not read(family, *(icmp(family, kind, code, whole) for kind, code in kinds), limit=40)
    kind, code = next(iter(KINDS[family]))
    assert not read(family, icmp(family, kind, code, outer(family, protocol=17) + REGISTER))
    cut = icmp(family, kind, code, outer(family))
    assert [read(family, cut[:length]) for length in range(len(cut))] == [[]] * len(cut)
    assert read(family, cut) == [(RPS[family], KINDS[family][kind, code], b"")], "the core looks at what is in it"
