"""The downstream per-interface (*,G) and (S,G) state machines: RFC 7761 4.5.1 and 4.5.2, figures 2 and 3.

The two tables are the same but for the entry that they speak of, so there is one here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.machine import Machine, Word
from pimpy.core.engine.timers import Timer
from pimpy.core.pim.instance import HOLDTIME_FOREVER
from pimpy.core.pim.tib import SG, StarG
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import PimInterface


class State(Word):
    """DownstreamJPState(*,G,I) or DownstreamJPState(S,G,I). There is no object for NoInfo."""

    NO_INFO = "no_info"
    JOIN = "join"
    PRUNE_PENDING = "prune_pending"


class Event(Word):
    """The columns of figures 2 and 3."""

    RECEIVE_JOIN = "Receive Join"
    RECEIVE_PRUNE = "Receive Prune"
    PRUNE_PENDING_TIMER_EXPIRES = "Prune-Pending Timer Expires"
    EXPIRY_TIMER_EXPIRES = "Expiry Timer Expires"


@define
class Downstream:
    """One entry on one interface, joined by somebody downstream."""

    entry: SG | StarG
    interface: PimInterface
    since: float
    state: State = State.NO_INFO
    expiry: Timer = field(init=False)
    """ET: when the Join ends if it is not refreshed; does not run if it never ends (holdtime 0xffff)."""
    prune_pending: Timer | None = None
    """PPT: how long others may override a Prune; made when first needed."""

    def __post_init__(self) -> None:
        self.expiry = Timer(self.interface.pim.heap, self, _expiry_timer_expires)


def receive(interface: PimInterface, entry: SG | StarG, event: Event, holdtime: float) -> None:
    """Let a Join or Prune of `entry` that was addressed to us on `interface` happen; `holdtime` in seconds."""
    downstream = interface.downstream.get(entry)
    if downstream is None:
        if event is Event.RECEIVE_PRUNE or holdtime == 0:  # neither makes state where there is none (J4, J10)
            interface.pim.touched.touch(entry)
            return
        downstream = Downstream(entry, interface, interface.pim.now)
    MACHINE.step(downstream.state, event, downstream, holdtime)


def close(downstream: Downstream) -> None:
    """Back to NoInfo without any message: the interface or the entry goes (J21)."""
    _to_no_info(downstream, 0.0)


def _set_expiry(downstream: Downstream, holdtime: float) -> None:
    """Set the Expiry Timer to the maximum of its current value and the HoldTime (4.5.2; J1, J10)."""
    if holdtime == HOLDTIME_FOREVER:
        downstream.expiry.cancel()
    elif downstream.expiry.running or downstream.state is State.NO_INFO:
        downstream.expiry.no_sooner_than(downstream.interface.pim.heap.after(holdtime))


def _to_join(downstream: Downstream, holdtime: float) -> None:
    entry, interface = downstream.entry, downstream.interface
    _set_expiry(downstream, holdtime)
    downstream.state = State.JOIN
    interface.downstream[entry] = downstream
    entry.joins |= interface.mask
    _tell("join_received", downstream)
    interface.pim.touched.touch(entry)


def _tell(what: str, downstream: Downstream) -> None:
    entry, interface = downstream.entry, downstream.interface
    if interface.pim.told is not None:
        interface.pim.tell(what, entry.group, entry.source if isinstance(entry, SG) else None, interface.name)


def _refresh(downstream: Downstream, holdtime: float) -> None:
    _set_expiry(downstream, holdtime)


def _back_to_join(downstream: Downstream, holdtime: float) -> None:
    """A Join overrode the Prune in time: the Prune-Pending Timer is cancelled."""
    if downstream.prune_pending is not None:
        downstream.prune_pending.cancel()
    _set_expiry(downstream, holdtime)
    downstream.state = State.JOIN


def _to_prune_pending(downstream: Downstream, _: float) -> None:
    """Wait for an override: J/P_Override_Interval(I) if there is more than one neighbour, else not at all."""
    interface = downstream.interface
    downstream.state = State.PRUNE_PENDING
    if len(interface.neighbors) > 1:
        if downstream.prune_pending is None:
            downstream.prune_pending = Timer(interface.pim.heap, downstream, _prune_pending_timer_expires)
        downstream.prune_pending.at(interface.pim.now + interface.jp_override_interval())
    else:
        _prune_pending_timer_expires(downstream)


def _prune(downstream: Downstream, _: float) -> None:
    """Nobody overrode the Prune: NoInfo, and a PruneEcho where there is more than one neighbour (J3)."""
    interface = downstream.interface
    _to_no_info(downstream, 0.0)
    if len(interface.neighbors) > 1:
        interface.pim.outbox.echo(interface, downstream.entry)


def _to_no_info(downstream: Downstream, _: float) -> None:
    entry, interface = downstream.entry, downstream.interface
    downstream.expiry.close()
    if downstream.prune_pending is not None:
        downstream.prune_pending.close()
    downstream.state = State.NO_INFO
    del interface.downstream[entry]
    entry.joins &= ~interface.mask
    _tell("join_ended", downstream)
    interface.pim.touched.touch(entry)


def _expiry_timer_expires(downstream: Downstream) -> None:
    MACHINE.step(downstream.state, Event.EXPIRY_TIMER_EXPIRES, downstream)


def _prune_pending_timer_expires(downstream: Downstream) -> None:
    MACHINE.step(downstream.state, Event.PRUNE_PENDING_TIMER_EXPIRES, downstream)


MACHINE: Machine[State, Event, Downstream] = Machine(
    "4.5.1, 4.5.2",
    State,
    Event,
    {
        (State.NO_INFO, Event.RECEIVE_JOIN): _to_join,
        (State.NO_INFO, Event.RECEIVE_PRUNE): None,
        (State.NO_INFO, Event.PRUNE_PENDING_TIMER_EXPIRES): None,
        (State.NO_INFO, Event.EXPIRY_TIMER_EXPIRES): None,
        (State.JOIN, Event.RECEIVE_JOIN): _refresh,
        (State.JOIN, Event.RECEIVE_PRUNE): _to_prune_pending,
        (State.JOIN, Event.PRUNE_PENDING_TIMER_EXPIRES): None,
        (State.JOIN, Event.EXPIRY_TIMER_EXPIRES): _to_no_info,
        (State.PRUNE_PENDING, Event.RECEIVE_JOIN): _back_to_join,
        (State.PRUNE_PENDING, Event.RECEIVE_PRUNE): None,
        (State.PRUNE_PENDING, Event.PRUNE_PENDING_TIMER_EXPIRES): _prune,
        (State.PRUNE_PENDING, Event.EXPIRY_TIMER_EXPIRES): _to_no_info,
    },
)
