"""The downstream per-interface (S,G,rpt) state machine: RFC 7761 4.5.3, figure 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.machine import Machine, Word
from pimpy.core.engine.timers import Timer
from pimpy.core.pim.instance import HOLDTIME_FOREVER
from pimpy.core.pim.tib import SGRpt
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.pim.tib import SG


class State(Word):
    """DownstreamJPState(S,G,rpt,I). There is no object for NoInfo; no time passes in the two Tmp states."""

    NO_INFO = "no_info"
    PRUNE = "prune"
    PRUNE_PENDING = "prune_pending"
    PRUNE_TMP = "prune_tmp"
    PRUNE_PENDING_TMP = "prune_pending_tmp"


class Event(Word):
    """The columns of figure 4."""

    RECEIVE_JOIN_STAR = "Receive Join(*,G)"
    RECEIVE_JOIN_RPT = "Receive Join(S,G,rpt)"
    RECEIVE_PRUNE_RPT = "Receive Prune(S,G,rpt)"
    END_OF_MESSAGE = "End of Message"
    PRUNE_PENDING_TIMER_EXPIRES = "Prune-Pending Timer Expires"
    EXPIRY_TIMER_EXPIRES = "Expiry Timer Expires"


@define
class RptDownstream:
    """One source on one interface, pruned off the shared tree by somebody downstream."""

    sg: SG
    interface: PimInterface
    since: float
    state: State = State.NO_INFO
    expiry: Timer = field(init=False)
    """ET; does not run if the Prune never ends (holdtime 0xffff)."""
    prune_pending: Timer = field(init=False)
    """PPT."""

    def __post_init__(self) -> None:
        self.expiry = Timer(self.interface.pim.heap, self, _expiry_timer_expires)
        self.prune_pending = Timer(self.interface.pim.heap, self, _prune_pending_timer_expires)


def receive(interface: PimInterface, sg: SG, event: Event, holdtime: float = 0.0) -> None:
    """Let an event of a message that was addressed to us on `interface` happen; `holdtime` in seconds."""
    machine = interface.downstream_rpt.get(sg)
    if machine is None:
        if event is not Event.RECEIVE_PRUNE_RPT or holdtime == 0:
            return
        machine = RptDownstream(sg, interface, interface.pim.now)
    MACHINE.step(machine.state, event, machine, holdtime)


def close(machine: RptDownstream) -> None:
    """Back to NoInfo: the interface goes (J21)."""
    _to_no_info(machine, 0.0)


def _move(machine: RptDownstream, state: State) -> None:
    """Enter `state`, and keep prunes(S,G,rpt) true to it; in the Tmp states forwarding stays as it was."""
    sg, mask = machine.sg, machine.interface.mask
    rpt = sg.rpt
    if rpt is None:
        rpt = sg.rpt = SGRpt()
    pruned = state in (State.PRUNE, State.PRUNE_TMP)
    pending = state in (State.PRUNE_PENDING, State.PRUNE_PENDING_TMP)
    if bool(rpt.prunes & mask) != pruned or bool(rpt.pending & mask) != pending:
        rpt.prunes = rpt.prunes | mask if pruned else rpt.prunes & ~mask
        rpt.pending = rpt.pending | mask if pending else rpt.pending & ~mask
        machine.interface.pim.touched.touch(sg)
    machine.state = state


def _set_expiry(machine: RptDownstream, holdtime: float) -> None:
    """Set the Expiry Timer to the maximum of its current value and the HoldTime (J14, J15)."""
    if holdtime == HOLDTIME_FOREVER:
        machine.expiry.cancel()
    elif machine.expiry.running or machine.state is State.NO_INFO:
        machine.expiry.no_sooner_than(machine.interface.pim.now + holdtime)


def _to_prune_pending(machine: RptDownstream, holdtime: float) -> None:
    """Start both timers; with one neighbour nobody can override, and the Prune-Pending Timer is 0 (J13)."""
    interface = machine.interface
    _set_expiry(machine, holdtime)
    interface.downstream_rpt[machine.sg] = machine
    _move(machine, State.PRUNE_PENDING)
    if len(interface.neighbors) > 1:
        machine.prune_pending.at(interface.pim.now + interface.jp_override_interval())
    else:
        _prune_pending_timer_expires(machine)


def _to_prune(machine: RptDownstream, _: float) -> None:
    _move(machine, State.PRUNE)


def _restart_prune(machine: RptDownstream, holdtime: float) -> None:
    _set_expiry(machine, holdtime)
    _move(machine, State.PRUNE)


def _restart_prune_pending(machine: RptDownstream, holdtime: float) -> None:
    """The Prune that the same message repeats: the Prune-Pending Timer runs on."""
    _set_expiry(machine, holdtime)
    _move(machine, State.PRUNE_PENDING)


def _to_prune_tmp(machine: RptDownstream, _: float) -> None:
    _move(machine, State.PRUNE_TMP)


def _to_prune_pending_tmp(machine: RptDownstream, _: float) -> None:
    _move(machine, State.PRUNE_PENDING_TMP)


def _to_no_info(machine: RptDownstream, _: float) -> None:
    machine.expiry.close()
    machine.prune_pending.close()
    del machine.interface.downstream_rpt[machine.sg]
    _move(machine, State.NO_INFO)


def _expiry_timer_expires(machine: RptDownstream) -> None:
    MACHINE.step(machine.state, Event.EXPIRY_TIMER_EXPIRES, machine)


def _prune_pending_timer_expires(machine: RptDownstream) -> None:
    MACHINE.step(machine.state, Event.PRUNE_PENDING_TIMER_EXPIRES, machine)


MACHINE: Machine[State, Event, RptDownstream] = Machine(
    "4.5.3",
    State,
    Event,
    {
        (State.NO_INFO, Event.RECEIVE_JOIN_STAR): None,
        (State.NO_INFO, Event.RECEIVE_JOIN_RPT): None,
        (State.NO_INFO, Event.RECEIVE_PRUNE_RPT): _to_prune_pending,
        (State.NO_INFO, Event.END_OF_MESSAGE): None,
        (State.NO_INFO, Event.PRUNE_PENDING_TIMER_EXPIRES): None,
        (State.NO_INFO, Event.EXPIRY_TIMER_EXPIRES): None,
        (State.PRUNE, Event.RECEIVE_JOIN_STAR): _to_prune_tmp,
        (State.PRUNE, Event.RECEIVE_JOIN_RPT): _to_no_info,
        (State.PRUNE, Event.RECEIVE_PRUNE_RPT): _restart_prune,
        (State.PRUNE, Event.END_OF_MESSAGE): None,
        (State.PRUNE, Event.PRUNE_PENDING_TIMER_EXPIRES): None,
        (State.PRUNE, Event.EXPIRY_TIMER_EXPIRES): _to_no_info,
        (State.PRUNE_PENDING, Event.RECEIVE_JOIN_STAR): _to_prune_pending_tmp,
        (State.PRUNE_PENDING, Event.RECEIVE_JOIN_RPT): _to_no_info,
        (State.PRUNE_PENDING, Event.RECEIVE_PRUNE_RPT): None,
        (State.PRUNE_PENDING, Event.END_OF_MESSAGE): None,
        (State.PRUNE_PENDING, Event.PRUNE_PENDING_TIMER_EXPIRES): _to_prune,
        (State.PRUNE_PENDING, Event.EXPIRY_TIMER_EXPIRES): _to_no_info,
        (State.PRUNE_TMP, Event.RECEIVE_JOIN_STAR): None,
        (State.PRUNE_TMP, Event.RECEIVE_JOIN_RPT): None,
        (State.PRUNE_TMP, Event.RECEIVE_PRUNE_RPT): _restart_prune,
        (State.PRUNE_TMP, Event.END_OF_MESSAGE): _to_no_info,
        (State.PRUNE_TMP, Event.PRUNE_PENDING_TIMER_EXPIRES): None,
        (State.PRUNE_TMP, Event.EXPIRY_TIMER_EXPIRES): None,
        (State.PRUNE_PENDING_TMP, Event.RECEIVE_JOIN_STAR): None,
        (State.PRUNE_PENDING_TMP, Event.RECEIVE_JOIN_RPT): None,
        (State.PRUNE_PENDING_TMP, Event.RECEIVE_PRUNE_RPT): _restart_prune_pending,
        (State.PRUNE_PENDING_TMP, Event.END_OF_MESSAGE): _to_no_info,
        (State.PRUNE_PENDING_TMP, Event.PRUNE_PENDING_TIMER_EXPIRES): None,
        (State.PRUNE_PENDING_TMP, Event.EXPIRY_TIMER_EXPIRES): None,
    },
)
