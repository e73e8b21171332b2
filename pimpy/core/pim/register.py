"""Registers: how a new source reaches its RP (RFC 7761 4.4).

The machines are here. The packets are not: what the kernel hands up for the register tunnel is sent to the RP by the
extension (`kernel/native/tunnel.c`), for the (S,G) that a SetRegister names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.effects import DelRegister, SetRegister
from pimpy.core.engine.machine import Machine, Word
from pimpy.core.engine.timers import Timer
from pimpy.core.interface import REGISTER_MASK, REGISTER_VIF
from pimpy.core.pim import data, macros, trees
from pimpy.core.pim.repeats import answered_by_stop
from pimpy.core.pim.spt_threshold import switch_to_spt_desired
from pimpy.wire import pim as wire
from pimpy.wire.family import Address, format_address
from pimpy.wire.reader import Malformed
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.engine.events import PacketReceived
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.pim.tib import SG

REGISTER_SUPPRESSION_TIME = 60.0
"""Register_Suppression_Time (4.11), seconds."""
REGISTER_PROBE_TIME = 5.0
"""Register_Probe_Time (4.11), seconds."""
RP_KEEPALIVE_PERIOD = 3 * REGISTER_SUPPRESSION_TIME + REGISTER_PROBE_TIME
"""The least for the Keepalive Timer at the RP after a Register-Stop, in seconds (4.4.2, 4.11; erratum 5342)."""
BEHIND_TIME = 3.0
"""Seconds for which copies leave behind their Registers, if no Register-Stop comes."""
OLD_RP_TIME = 60.0
"""Seconds that a Register-Stop of the former RP still counts (R6)."""


class State(Word):
    """The Register machine of the DR (4.4.1)."""

    NO_INFO = "no_info"
    JOIN = "join"
    JOIN_PENDING = "join_pending"
    PRUNE = "prune"


class Event(Word):
    """The columns of figure 1."""

    TIMER_EXPIRES = "Register-Stop Timer expires"
    COULD_REGISTER = "Could Register ->True"
    COULD_NOT_REGISTER = "Could Register ->False"
    REGISTER_STOP = "Register-Stop received"
    RP_CHANGED = "RP changed"


@define
class Registering:
    """The Register machine of an entry, in a state other than NoInfo."""

    sg: SG
    rp: Address
    """Where the tunnel leads."""
    state: State = State.NO_INFO
    timer: Timer = field(init=False)
    """RST, the Register-Stop Timer."""
    old_rp: Address | None = None
    old_rp_until: float = 0.0
    told: SetRegister | None = None
    """What the register table has of it."""
    behind: Timer | None = None
    """Runs while copies leave behind their Registers; None while packets go by the tunnel or by interfaces only."""

    def __post_init__(self) -> None:
        self.timer = Timer(self.sg.pim.heap, self, _timer_expires)


def settle(sg: SG) -> None:
    """Compare CouldRegister(S,G) and RP(G) with what they were, and let the edges happen."""
    tree = sg.tree
    if tree is None:
        return
    could = tree.rp is not None and not tree.i_am_rp and macros.could_register(sg)  # at the RP nothing is sent (R22)
    registering = sg.register
    if not could:
        if registering is not None:
            MACHINE.step(registering.state, Event.COULD_NOT_REGISTER, registering)
        return
    assert tree.rp is not None
    if registering is None:
        registering = sg.register = Registering(sg, tree.rp)
        MACHINE.step(State.NO_INFO, Event.COULD_REGISTER, registering)
    elif registering.rp != tree.rp:
        registering.old_rp, registering.old_rp_until = registering.rp, sg.pim.now + OLD_RP_TIME
        registering.rp = tree.rp
        MACHINE.step(registering.state, Event.RP_CHANGED, registering)
    _write_table(registering)


def leaves_behind(sg: SG, oifs: int) -> bool:
    """Whether each packet of `sg` is to leave in its Register first, and then by the interfaces of `oifs`.

    From the first Join(S,G) to the Register-Stop it takes both ways. Where these meet, data changes over to S's own
    tree when a packet has come by it, and what comes by the RP's tree afterwards is dropped (4.2.2). So no packet may
    overtake the Registers before it, its own included: the kernel sends it on at once, and a Register takes longer.
    Not for ever: an RP that does not switch over itself answers nothing.
    """
    registering = sg.register
    if registering is None:
        return False
    if not oifs & REGISTER_MASK or not oifs & ~REGISTER_MASK & ~macros.rpf_mask(sg):
        _close_behind(registering)
        return False
    if registering.behind is None:
        registering.behind = Timer(sg.pim.heap, registering, _behind_ends)
        registering.behind.at(sg.pim.now + BEHIND_TIME)
    return registering.behind.running


def _behind_ends(registering: Registering) -> None:
    registering.sg.pim.touched.touch(registering.sg)


def _close_behind(registering: Registering) -> None:
    if registering.behind is not None:
        registering.behind.close()
        registering.behind = None


def _write_table(registering: Registering) -> None:
    """Keep the register table's entry true: from where to where data goes, and whether it goes (4.4.1)."""
    sg, told = registering.sg, registering.told
    address = sg.pim.source_towards(sg)
    if address is None:
        _forget_in_table(registering)
        return
    stopped = registering.state is not State.JOIN or registering.rp in sg.pim.unreachable
    if told is None or (told.address, told.rp, told.stopped) != (address, registering.rp, stopped):
        registering.told = SetRegister(sg.source, sg.group, address, registering.rp, stopped)
        sg.pim.emit(registering.told)


def source_changed(pim: Pim) -> None:
    """The address that Registers come from may be another one now."""
    for sg in pim.tib.sg.values():
        if sg.register is not None:
            pim.touched.touch(sg)


def _forget_in_table(registering: Registering) -> None:
    if registering.told is not None:
        registering.told = None
        registering.sg.pim.emit(DelRegister(registering.sg.source, registering.sg.group))


def receive_stop(interface: PimInterface, source: Address, message: wire.RegisterStop) -> None:
    """A Register-Stop addressed to us (4.4.1; R2, R6, R7).

    One of a former RP answers Registers that left before the change. The tunnel to it is taken down already, and the
    one to the new RP is none of its business ("Update Register Tunnel"), so that it is neither wrong nor obeyed.
    """
    pim = interface.pim
    if pim.anycast.receive_stop(source, message):
        return
    if message.source == pim.family.any:
        tree = pim.tib.groups.get(message.group)
        entries = list(tree.sources) if tree is not None else []
    else:
        found = pim.tib.sg.get(message.source + message.group)
        entries = [found] if found is not None else []
    for sg in entries:
        registering = sg.register
        if registering is None:
            continue
        late = source == registering.old_rp and pim.now < registering.old_rp_until
        if source == registering.rp:
            MACHINE.step(registering.state, Event.REGISTER_STOP, registering)
        elif not late:
            pim.refuse(interface.name, "register_stop", "regstop_not_rp")


def receive(interface: PimInterface, outer: PacketReceived, message: wire.Register) -> None:
    """A Register addressed to us: packet_arrives_on_rp_tunnel of 4.4.2."""
    pim, source, destination = interface.pim, outer.source, outer.destination
    try:
        inner_source, group = wire.inner_addresses(pim.family, message.packet, message.null)
    except Malformed as bad:
        pim.refuse(interface.name, "register", bad.reason)
        return
    if not pim.ssm.usable(group):
        pim.refuse(interface.name, "register", "reg_bad_inner")
        return
    if pim.ssm.holds(group):
        pim.refuse(interface.name, "register", "reg_ssm")
        _send_stop(interface, destination, source, group, inner_source)
        return
    rp = trees.rp(pim, group)
    from_member = pim.anycast.takes(rp, source, destination)
    if (rp != destination and not from_member) or not pim.is_mine(destination):
        if pim.anycast.is_stray(rp, destination):
            text = f"{format_address(source)} registers with our own address, not with the shared one of the RP"
            pim.warn(interface.name, "reg_not_anycast", text)
        pim.refuse(interface.name, "register", "reg_not_rp")
        _send_stop(interface, destination, source, group, inner_source)
        return
    if not (pim.registers.sources.passes(inner_source) and pim.registers.routers.passes(source)):
        pim.refuse(interface.name, "register", "reg_filtered")
        _send_stop(interface, destination, source, group, inner_source)
        return
    if not message.null and pim.repeats.is_one(pim.tib.sg.get(inner_source + group), source, destination):
        return
    sg = _entry(interface, source, group, inner_source)
    if sg is not None:
        stop = _at_rp(interface, sg, source, destination)
        if not message.null and not pim.anycast.sets:
            pim.repeats.register(sg, source, destination, stop)
    if not from_member and destination == rp:
        pim.anycast.copy(interface, outer, inner_source + group, message)
    if sg is not None and sg.flow is None and not message.null:
        data.arrives(sg, REGISTER_VIF)  # the kernel's copy enters the normal path (R13)


def _at_rp(interface: PimInterface, sg: SG, dr: Address, rp: Address) -> bool:
    """I_am_RP(G) AND outer.dst == RP(G); the kernel itself decapsulates, so only state is left to do (R10 to R13).

    Whether a Register-Stop was sent.
    """
    stop = answered_by_stop(sg)
    if stop:
        _send_stop(interface, rp, dr, sg.group, sg.source)
    if sg.spt_bit or switch_to_spt_desired(sg):
        period = sg.pim.settings.keepalive_period
        data.set_keepalive(sg, max(period, RP_KEEPALIVE_PERIOD) if stop else period)
    return stop


def _entry(interface: PimInterface, dr: Address, group: Address, source: Address) -> SG | None:
    """The (S,G) entry; a new one only within the limits, in all and of that DR a second (TH43)."""
    pim = interface.pim
    known = pim.tib.sg.get(source + group)
    if known is not None:
        return known
    if not pim.registers.shares.take(dr, pim.now):
        pim.refuse(interface.name, "register", "reg_limit")
        text = f"{format_address(dr)} registers more than {pim.registers.shares.rate:g} new sources a second"
        pim.warn(interface.name, "reg_limit", text)
        return None
    return trees.obtain_limited(pim, source, group, trees.Asker(interface.name, "register", "reg_limit"))


def _send_stop(interface: PimInterface, rp: Address, dr: Address, group: Address, source: Address) -> None:
    pim = interface.pim
    pim.send_unicast(interface, rp, dr, wire.RegisterStop(group, source))


def _send_null_register(registering: Registering) -> None:
    """To the RP, from our address towards it (R3, R17)."""
    sg = registering.sg
    pim = sg.pim
    source = pim.source_towards(sg)
    if source is not None:
        interface = macros.rpf_interface(pim, sg.path)
        assert interface is not None, "who registers is the DR of the source's link"
        dummy = wire.dummy_header(pim.family, sg.source, sg.group)
        pim.send_unicast(interface, source, registering.rp, wire.Register(False, True, dummy))


def _add_tunnel(registering: Registering) -> None:
    sg = registering.sg
    sg.joins |= REGISTER_MASK
    sg.pim.need_register_vif()
    sg.pim.touched.touch(sg)


def _remove_tunnel(registering: Registering) -> None:
    sg = registering.sg
    sg.joins &= ~REGISTER_MASK
    sg.pim.touched.touch(sg)


def _to_join(registering: Registering, _: float) -> None:
    registering.state = State.JOIN
    _tell("register_started", registering)
    registering.timer.cancel()
    _add_tunnel(registering)


def _tell(what: str, registering: Registering) -> None:
    sg = registering.sg
    sg.pim.tell(what, sg.group, sg.source, None, registering.rp)


def _update_tunnel(registering: Registering, _: float) -> None:
    """The tunnel leads to the new RP."""


def _to_no_info(registering: Registering, _: float) -> None:
    registering.timer.close()
    _close_behind(registering)
    _tell("register_ended", registering)
    registering.sg.register = None
    _forget_in_table(registering)
    _remove_tunnel(registering)


def _to_prune(registering: Registering, _: float) -> None:
    """Remove the tunnel, set RST to rand(0.5, 1.5) * Register_Suppression_Time - Register_Probe_Time (R2)."""
    registering.state = State.PRUNE
    _tell("register_stopped", registering)
    _remove_tunnel(registering)
    low, high = 0.5 * REGISTER_SUPPRESSION_TIME, 1.5 * REGISTER_SUPPRESSION_TIME
    pim = registering.sg.pim
    registering.timer.at(pim.now + pim.random.uniform(low, high) - REGISTER_PROBE_TIME)


def _to_join_pending(registering: Registering, _: float) -> None:
    """Set RST to Register_Probe_Time, send a Null-Register (R3)."""
    registering.state = State.JOIN_PENDING
    registering.timer.at(registering.sg.pim.now + REGISTER_PROBE_TIME)
    _send_null_register(registering)


def _timer_expires(registering: Registering) -> None:
    MACHINE.step(registering.state, Event.TIMER_EXPIRES, registering)


MACHINE: Machine[State, Event, Registering] = Machine(
    "4.4.1",
    State,
    Event,
    {
        (State.NO_INFO, Event.TIMER_EXPIRES): None,
        (State.NO_INFO, Event.COULD_REGISTER): _to_join,
        (State.NO_INFO, Event.COULD_NOT_REGISTER): None,
        (State.NO_INFO, Event.REGISTER_STOP): None,
        (State.NO_INFO, Event.RP_CHANGED): None,
        (State.JOIN, Event.TIMER_EXPIRES): None,
        (State.JOIN, Event.COULD_REGISTER): None,
        (State.JOIN, Event.COULD_NOT_REGISTER): _to_no_info,
        (State.JOIN, Event.REGISTER_STOP): _to_prune,
        (State.JOIN, Event.RP_CHANGED): _update_tunnel,
        (State.JOIN_PENDING, Event.TIMER_EXPIRES): _to_join,
        (State.JOIN_PENDING, Event.COULD_REGISTER): None,
        (State.JOIN_PENDING, Event.COULD_NOT_REGISTER): _to_no_info,
        (State.JOIN_PENDING, Event.REGISTER_STOP): _to_prune,
        (State.JOIN_PENDING, Event.RP_CHANGED): _to_join,
        (State.PRUNE, Event.TIMER_EXPIRES): _to_join_pending,
        (State.PRUNE, Event.COULD_REGISTER): None,
        (State.PRUNE, Event.COULD_NOT_REGISTER): _to_no_info,
        (State.PRUNE, Event.REGISTER_STOP): None,
        (State.PRUNE, Event.RP_CHANGED): _to_join,
    },
)
