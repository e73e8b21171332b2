"""ICMP messages that say of a PIM message of ours that it did not arrive (RFC 5059 6.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from socket import IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_PIM, socket

from pimpy.kernel.sockets import ICMP6_FILTER, icmp6_filter, open_raw
from pimpy.wire.family import Address, Family

_SOL_RAW = 255
_ICMP_FILTER = 1
_UNREACHABLE4 = 3
_UNREACHABLE6 = 1
_PARAMETER_PROBLEM6 = 4
_WHY4 = {bytes((_UNREACHABLE4, 1)): "host", bytes((_UNREACHABLE4, 2)): "protocol"}
"""By type and code (RFC 792)."""
_WHY6 = {
    bytes((_UNREACHABLE6, 0)): "host",
    bytes((_UNREACHABLE6, 3)): "host",
    bytes((_PARAMETER_PROBLEM6, 1)): "protocol",
}
"""By type and code (RFC 4443): no route, no such address, unknown next header."""
_ICMP_HEADER = 8
_HEADER4 = 20
_HEADER6 = 40


def open_errors(family: Family) -> socket:
    """A socket that hears of packets which did not arrive, and of no other ICMP; KernelRefusal if there can be none."""
    errors = open_raw(family, IPPROTO_ICMP if family.size == 4 else IPPROTO_ICMPV6)
    if family.size == 4:
        errors.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _UNREACHABLE4) & 0xFFFFFFFF))
    else:
        errors.setsockopt(IPPROTO_ICMPV6, ICMP6_FILTER, icmp6_filter((_UNREACHABLE6, _PARAMETER_PROBLEM6)))
    return errors


def read_errors(errors: socket, family: Family, limit: int) -> Iterator[tuple[Address, str, bytes]]:
    """What waits there of PIM messages, among at most `limit` ICMP messages.

    That is: to whom it went; `host` or `protocol`, which cannot be reached; and what came back, from the PIM header on.
    """
    for _ in range(limit):
        try:
            packet = errors.recv(2048)
        except OSError:
            return
        found = _error4(packet) if family.size == 4 else _error6(packet)
        if found is not None:
            yield found


def _error4(packet: bytes) -> tuple[Address, str, bytes] | None:
    """Of an IPv4 packet."""
    start = (packet[0] & 15) * 4 if packet else 0
    why, quoted = _WHY4.get(packet[start : start + 2]), packet[start + _ICMP_HEADER :]
    if why is None or len(quoted) < _HEADER4 or quoted[9] != IPPROTO_PIM:
        return None
    return quoted[16:20], why, quoted[(quoted[0] & 15) * 4 :]


def _error6(message: bytes) -> tuple[Address, str, bytes] | None:
    """Of an ICMPv6 message; what we send has no extension headers."""
    why, quoted = _WHY6.get(message[:2]), message[_ICMP_HEADER:]
    if why is None or len(quoted) < _HEADER6 or quoted[6] != IPPROTO_PIM:
        return None
    return quoted[24:40], why, quoted[_HEADER6:]
