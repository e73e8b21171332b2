"""Whole packets sent on by us, where the kernel had no entry by which it would have done so itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, inet_ntop, socket
from struct import pack

from pimpy.kernel.sockets import IP_PKTINFO
from pimpy.wire.family import Family
from pimpy.wire.ip import decrement_ttl


class Onward:
    """A raw socket of `family` by which packets leave with the header that they have; `raw` stays its owner's."""

    def __init__(self, family: Family, raw: int) -> None:
        self._family = family
        self._socket = socket(fileno=os.dup(raw))

    def send(self, packet: bytes, ifindexes: Iterable[int]) -> None:
        """Send a packet, its TTL less by one, out of each of these interfaces. What fails is lost."""
        passed = decrement_ttl(self._family, packet)
        if passed is None:
            return
        for ifindex in ifindexes:
            with suppress(OSError):
                self._send(passed, ifindex)

    def close(self) -> None:
        """Close the descriptor."""
        self._socket.close()

    def _send(self, packet: bytes, ifindex: int) -> None:
        if self._family.size == 4:
            told = (IPPROTO_IP, IP_PKTINFO, pack("=iII", ifindex, 0, 0))
            self._socket.sendmsg([packet], [told], 0, (inet_ntop(AF_INET, packet[16:20]), 0))
        else:
            told = (IPPROTO_IPV6, IPV6_PKTINFO, bytes(16) + pack("=I", ifindex))
            self._socket.sendmsg([packet], [told], 0, (inet_ntop(AF_INET6, packet[24:40]), 0, 0, 0))
