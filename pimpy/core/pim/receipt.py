"""RFC 7761 4.9: a PIM message that arrived is read, checked whole, and given to the machine that it speaks to."""

from __future__ import annotations

from pimpy.core.engine.events import PacketReceived
from pimpy.core.pim import asserts, joinprune, neighbor, register
from pimpy.core.pim.limits import Bucket
from pimpy.core.pim.neighbor import PimInterface
from pimpy.wire import pim as wire
from pimpy.wire.bootstrap import Bootstrap, CandidateRpAdvertisement
from pimpy.wire.family import Address, format_address
from pimpy.wire.join_prune import JoinPrune
from pimpy.wire.reader import Malformed


def receive(interface: PimInterface, packet: PacketReceived) -> None:
    """RFC 7761 4.9: everything is checked before anything is done."""
    pim = interface.pim
    kind = _kind(packet.data)
    if interface.owns(packet.source):
        pim.refuse(interface.name, kind, "own_packet")
        _look_for_a_double(interface, packet)
        return
    if not _within_rate(interface, packet, kind):
        pim.refuse(interface.name, kind, "rate_limit")
        pim.warn(interface.name, "rate_limit", f"too many {kind} messages, some are dropped")
        return
    try:
        message = _read(interface, packet)
    except Malformed as bad:
        _refuse(interface, packet, kind, bad.reason)
        return
    if packet.ttl != 1 and pim.family.is_multicast(packet.destination):
        pim.refuse(interface.name, kind, "ttl_not_1")  # counted, and taken all the same unless that is asked for (V4)
        if interface.link.phyint.require_ttl_1:
            return
    if _stands_for_a_hello(interface, packet, message):
        neighbor.receive_hello(interface, packet.source, wire.Hello())
    reason = _not_admitted(interface, packet, message)
    if reason is not None:
        _refuse(interface, packet, kind, reason)
        return
    pim.counters.add(interface.name, "pim", "rx", kind)
    for note in message.notes if isinstance(message, (wire.Hello, JoinPrune)) else ():
        pim.refuse(interface.name, kind, note)
    _act_on(interface, packet, message)


def _read(interface: PimInterface, packet: PacketReceived) -> wire.Message:
    """The message in a packet. A neighbour mostly says the same Hello again, which is not taken apart once more."""
    family = interface.pim.family
    known = interface.neighbors.get(packet.source)
    if known is None or packet.destination != family.all_pim_routers:
        return wire.decode(family, packet.source, packet.destination, packet.data)
    if known.heard is not None and known.heard[0] == packet.data:
        return known.heard[1]
    message = wire.decode(family, packet.source, packet.destination, packet.data)
    if isinstance(message, wire.Hello):
        known.heard = packet.data, message
    return message


TOLD = {
    "bad_version": "it is of another version of PIM",
    "unsupported_type": "this type is not spoken here",
    "bad_dest": "it may not be sent there",
}
"""What is said of messages that others should not send (4.9; TH2, TH3)."""


def _refuse(interface: PimInterface, packet: PacketReceived, kind: str, reason: str) -> None:
    pim = interface.pim
    pim.refuse(interface.name, kind, reason)
    if (why := TOLD.get(reason)) is not None:
        whence, to = format_address(packet.source), format_address(packet.destination)
        pim.warn(interface.name, reason, f"a PIM message of {whence} to {to} is dropped: {why}")


MESSAGE_RATES = {
    "hello": 1000,
    "register": 100_000,
    "register_stop": 20_000,
    "join_prune": 10_000,
    "assert": 20_000,
}
"""Messages a second that are taken of each neighbour, and of all others together on an interface."""
OTHER_RATE = 1000
"""Of each other type."""


def _within_rate(interface: PimInterface, packet: PacketReceived, kind: str) -> bool:
    """Whether it is looked at: each type has a share of its own, and so has each neighbour (RFC 5059 6.5; Y3, Y4)."""
    pim = interface.pim
    neighbor = interface.neighbors.get(packet.source)
    rates = interface.rates if neighbor is None else neighbor.rates
    bucket = rates.get(kind)
    if bucket is None:
        rate = pim.message_rates.get(kind, MESSAGE_RATES.get(kind, OTHER_RATE))
        bucket = rates[kind] = Bucket(rate, rate, pim.now)
    return not bucket.rate or bucket.take(pim.now)


def _act_on(interface: PimInterface, packet: PacketReceived, message: wire.Message) -> None:
    if isinstance(message, wire.Hello):
        neighbor.receive_hello(interface, packet.source, message)
    elif isinstance(message, JoinPrune):
        joinprune.receive(interface, message)
        if (takeover := interface.pim.takeover) is not None:
            takeover.join_prune(interface, packet.source, message)
    elif isinstance(message, wire.Assert):
        asserts.receive(interface, packet.source, message)
        if (takeover := interface.pim.takeover) is not None:
            takeover.asserted(interface, message.source, message.group)
    elif isinstance(message, wire.Register):
        register.receive(interface, packet, message)
    elif isinstance(message, wire.RegisterStop):
        register.receive_stop(interface, packet.source, message)
    elif isinstance(message, Bootstrap):
        bootstrap = interface.pim.bootstrap
        bootstrap.receive(interface, packet.source, packet.destination, message, packet.data)
    elif isinstance(message, CandidateRpAdvertisement):
        interface.pim.candidate_rp.receive(interface, message)


def _stands_for_a_hello(interface: PimInterface, packet: PacketReceived, message: wire.Message) -> bool:
    """Whether a message tells of a neighbour that never says Hello, on a point-to-point link where that is allowed.

    "Some older PIM implementations incorrectly fail to send Hello messages on point-to-point interfaces" (4.3.1). What
    it says lasts as long as a Hello without options; who has said a Hello is not spoken for.
    """
    if not interface.link.phyint.hello_optional or not interface.link.link.point_to_point:
        return False
    if not isinstance(message, (JoinPrune, wire.Assert, Bootstrap)):
        return False
    if _link_not_right(interface, packet) is not None:
        return False
    known = interface.neighbors.get(packet.source)
    return known is None or known.hello == wire.Hello()


def _look_for_a_double(interface: PimInterface, packet: PacketReceived) -> None:
    """A Hello from our address that we did not send: somebody else on the link has it (TH17)."""
    try:
        message = wire.decode(interface.pim.family, packet.source, packet.destination, packet.data)
    except Malformed:
        return
    if isinstance(message, wire.Hello) and message.generation_id != interface.generation_id:
        text = f"another router sends Hellos from our address {format_address(packet.source)}"
        interface.pim.warn(interface.name, "own_addr", text)


def _kind(data: bytes) -> str:
    """The name of a message for the counters, whatever the rest of it is worth."""
    row = wire.ROWS.get(data[0] & 0x0F) if data else None
    return wire.MESSAGE_NAMES[row.message] if row is not None else "unknown"


def _not_admitted(interface: PimInterface, packet: PacketReceived, message: wire.Message) -> str | None:
    """Why a well-formed message is not for us, as a reason word; None if it is."""
    pim, family = interface.pim, interface.pim.family
    if isinstance(message, (wire.Register, wire.RegisterStop)):
        if not pim.is_mine(packet.destination):
            return "bad_dest" if family.is_multicast(packet.destination) else "reg_not_local"
        return None if family.is_unicast(packet.source) else "bad_source"
    if isinstance(message, CandidateRpAdvertisement):
        return _advertisement_not_admitted(interface, packet, message)
    if isinstance(message, Bootstrap):
        return pim.bootstrap.not_admitted(interface, packet.source, packet.destination, message)
    if (reason := _link_not_right(interface, packet)) is not None:
        return reason
    if isinstance(message, JoinPrune) and packet.source not in interface.neighbors:
        return "jp_non_nbr"
    if isinstance(message, wire.Assert):
        return _assert_not_admitted(interface, packet.source, message)
    return None


def _link_not_right(interface: PimInterface, packet: PacketReceived) -> str | None:
    """Why a message is not one that a router on the link sends to all others there."""
    family = interface.pim.family
    if packet.destination != family.all_pim_routers:
        return "bad_dest"
    if not family.is_unicast(packet.source) or (family.size == 16 and not family.is_link_local(packet.source)):
        return "bad_source"
    return None if interface.neighbor_filter.passes(packet.source) else "nbr_filtered"


def _advertisement_not_admitted(
    interface: PimInterface, packet: PacketReceived, message: CandidateRpAdvertisement
) -> str | None:
    """Why a Candidate-RP-Advertisement is not for us."""
    pim = interface.pim
    if not pim.is_mine(packet.destination):
        return "bad_dest"
    if not pim.family.is_unicast(packet.source):
        return "bad_source"
    return pim.candidate_rp.not_admitted(interface, packet.source, message)


def _assert_not_admitted(interface: PimInterface, source: Address, message: wire.Assert) -> str | None:
    """Why an Assert is not for us (A22, TH32, TH34)."""
    pim = interface.pim
    if source not in interface.neighbors:
        return "assert_non_nbr"
    any_source = message.source == pim.family.any and message.rpt
    if not pim.ssm.usable(message.group) or not (any_source or pim.family.is_unicast(message.source)):
        return "assert_bad_addr"
    return None
