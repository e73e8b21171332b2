"""Messages made byte by byte, for what no decent router sends."""

from __future__ import annotations

from collections.abc import Callable

from speakers import Peer, group_sets
from stand import Stand

from pimpy.wire import pim
from pimpy.wire.family import Address
from pimpy.wire.join_prune import JoinPrune
from pimpy.wire.pim import Hello

HELLO = Hello(105, pim.LanPruneDelay(False, 500, 2500), 1, 0x77)
JOIN_SIZE = {4: 34, 16: 70}
"""Bytes of a Join/Prune message with one source."""


def raw(stand: Stand, message: pim.Message) -> bytearray:
    """The bytes of a message from number 2."""
    two = stand.peer("down", 2)
    return bytearray(pim.encode(stand.family, two.address, stand.family.all_pim_routers, message))


def sealed(stand: Stand, data: bytes | bytearray, to: Address | None = None, source: Address | None = None) -> bytes:
    """`data` with the right checksum, for sending it from number 2 (or `source`) to ALL-PIM-ROUTERS (or `to`)."""
    two, group = stand.peer("down", 2), stand.family.all_pim_routers
    return pim.seal(stand.family, source or two.address, to or group, bytes(data))


def joining(stand: Stand) -> JoinPrune:
    """A Join/Prune that makes state."""
    return JoinPrune(stand.us(), 210, group_sets(joins=(stand.channel(),)))


def patched(message: Callable[[Stand], pim.Message], **changes: int) -> Callable[[Stand, Peer], None]:
    """Send a message with bytes changed, `at_N=value`, and the checksum made right again."""

    def send(stand: Stand, peer: Peer) -> None:
        data = raw(stand, message(stand))
        for place, value in changes.items():
            data[int(place[3:])] = value
        peer.send_bytes(sealed(stand, data))

    return send


def raw_hello(peer: Peer, options: bytes) -> None:
    """Send a Hello with these very bytes as options."""
    family = peer.net.family
    peer.send_bytes(pim.seal(family, peer.address, family.all_pim_routers, b"\x20\0\0\0" + options))
