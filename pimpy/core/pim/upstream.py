"""The upstream (*,G) and (S,G) state machines: RFC 7761 4.5.4 and 4.5.5, figures 5 and 6.

The tables differ in the columns that only (S,G) has; the actions are the same, of the entry in hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pimpy.core.engine.machine import Machine, Word
from pimpy.core.engine.timers import Timer
from pimpy.core.pim import macros
from pimpy.core.pim.tib import SG, StarG

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import Neighbor

Entry = SG | StarG

T_SUPPRESSED_FACTORS = (1.1, 1.4)
"""t_suppressed = rand(1.1, 1.4) * t_periodic (4.11)."""


class State(Word):
    """Of an upstream machine; in the entry it is the flag `joined`."""

    NOT_JOINED = "not_joined"
    JOINED = "joined"


class Event(Word):
    """The columns of figures 5 and 6 and of the tables for the Joined state."""

    JOIN_DESIRED = "JoinDesired ->True"
    JOIN_NOT_DESIRED = "JoinDesired ->False"
    TIMER_EXPIRES = "Timer Expires"
    SEE_JOIN = "See Join to RPF'"
    SEE_PRUNE = "See Prune to RPF'"
    SEE_PRUNE_RPT = "See Prune(S,G,rpt) to RPF'(S,G)"
    SEE_PRUNE_STAR = "See Prune(*,G) to RPF'(S,G)"
    RPF_PRIME_CHANGES = "RPF' changes not due to an Assert"
    RPF_PRIME_GENID_CHANGES = "RPF' GenID changes"
    RPF_PRIME_CHANGES_BY_ASSERT = "RPF' changes due to an Assert"


def step(entry: Entry, event: Event, holdtime: float = 0.0) -> None:
    """Let `event` happen; `holdtime` is that of a Join which was seen, in seconds."""
    MACHINE.step(State.JOINED if entry.joined else State.NOT_JOINED, event, entry, holdtime)


def settle(entry: Entry, *, desired: bool, rpf_prime: Neighbor | None) -> None:
    """Compare JoinDesired and RPF' with what they were, and let the edges happen."""
    if desired and not entry.joined:
        entry.rpf = rpf_prime
        step(entry, Event.JOIN_DESIRED)
    elif entry.joined and not desired:
        step(entry, Event.JOIN_NOT_DESIRED)
    elif entry.joined and rpf_prime is not entry.rpf:
        by_assert = _is_by_assert(entry, rpf_prime)
        step(entry, Event.RPF_PRIME_CHANGES_BY_ASSERT if by_assert else Event.RPF_PRIME_CHANGES)
        entry.rpf = rpf_prime
        _tell("rpf_changed", entry)
    entry.rpf = rpf_prime
    entry.rpf_by_assert = _loses_there(entry, rpf_prime)


def _loses_there(entry: Entry, neighbor: Neighbor | None) -> bool:
    """Whether RPF' is the winner of an Assert, not the MRIB's next hop."""
    return neighbor is not None and bool(macros.assert_lost(entry) & neighbor.interface.mask)


def _is_by_assert(entry: Entry, rpf_prime: Neighbor | None) -> bool:
    """Whether an Assert on an unchanged interface, or the end of one, made the new RPF' (4.5.4, 4.5.5; U9)."""
    old = entry.rpf
    if old is None or rpf_prime is None or old.interface is not rpf_prime.interface:
        return False
    if old.interface.neighbors.get(old.address) is not old:
        return False
    return entry.rpf_by_assert or _loses_there(entry, rpf_prime)


def _send_join(entry: Entry) -> None:
    """Send Join to RPF' and set the Join Timer to t_periodic; without an RPF' there is nobody to tell."""
    if entry.rpf is None:
        if entry.join_timer is not None:
            entry.join_timer.cancel()
        return
    if entry.join_timer is None:
        entry.join_timer = Timer(entry.pim.heap, entry, _join_timer_expires)
    entry.pim.outbox.add(entry.rpf, entry, join=True)
    entry.join_timer.at(entry.pim.heap.after(entry.pim.outbox.t_periodic()))


def tell_new_rp(star: StarG) -> None:
    """Only the RP changed, the neighbour did not: a Join that names the new RP (U8)."""
    _send_join(star)


def _send_prune(entry: Entry, neighbor: Neighbor | None) -> None:
    """Send Prune to what was RPF', the outbox knows whether it is still there to hear it (U11)."""
    if neighbor is not None:
        entry.pim.outbox.add(neighbor, entry, join=False)


def _to_joined(entry: Entry, _: float) -> None:
    entry.joined = True
    _tell("joined", entry)
    if isinstance(entry, SG) and entry.tree is None:
        entry.spt_bit = True  # in the SSM range it counts as set wherever the channel is joined (4.8.2; S6)
    _send_join(entry)


def _tell(what: str, entry: Entry) -> None:
    if entry.pim.told is not None:
        rpf = entry.rpf
        source = entry.source if isinstance(entry, SG) else None
        where, to = (None, None) if rpf is None else (rpf.interface.name, rpf.address)
        entry.pim.tell(what, entry.group, source, where, to)


def _to_not_joined(entry: Entry, _: float) -> None:
    entry.joined = False
    _tell("left", entry)
    if isinstance(entry, SG):
        entry.spt_bit = False  # 4.5.5, and nowhere else (F9)
    if entry.join_timer is not None:
        entry.join_timer.cancel()
    _send_prune(entry, entry.rpf)


def _timer_expires(entry: Entry, _: float) -> None:
    _send_join(entry)


def _suppress(entry: Entry, holdtime: float) -> None:
    """Increase Join Timer to t_joinsuppress = min(t_suppressed, HoldTime) (4.5.4, 4.5.5; U3)."""
    if entry.rpf is not None and entry.join_timer is not None and entry.rpf.interface.suppression_enabled():
        low, high = (factor * entry.pim.outbox.t_periodic() for factor in T_SUPPRESSED_FACTORS)
        entry.join_timer.no_sooner_than(entry.pim.now + min(entry.pim.random.uniform(low, high), holdtime))


def _override(entry: Entry, _: float) -> None:
    """Decrease Join Timer to t_override = rand(0, Effective_Override_Interval(I)) (4.11)."""
    rpf_prime = macros.rpf_prime(entry) if isinstance(entry, SG) else macros.rpf_prime_star(entry)
    if rpf_prime is not None and entry.join_timer is not None:
        t_override = entry.pim.random.uniform(0, rpf_prime.interface.effective_override_interval())
        entry.join_timer.no_later_than(entry.pim.now + t_override)


def _rpf_prime_changes(entry: Entry, _: float) -> None:
    """Send Join to the new next hop, Prune to the old one, set the Join Timer to t_periodic (U8, U11)."""
    old = entry.rpf
    entry.rpf = macros.rpf_prime(entry) if isinstance(entry, SG) else macros.rpf_prime_star(entry)
    _send_join(entry)
    _send_prune(entry, old)


def _join_timer_expires(entry: Entry) -> None:
    step(entry, Event.TIMER_EXPIRES)


_Action = Callable[[Entry, float], None]
_NOTHING: dict[tuple[State, Event], _Action | None] = {
    (State.NOT_JOINED, event): None for event in Event if event is not Event.JOIN_DESIRED
}

MACHINE: Machine[State, Event, Entry] = Machine(
    "4.5.4, 4.5.5",
    State,
    Event,
    {
        **_NOTHING,
        (State.NOT_JOINED, Event.JOIN_DESIRED): _to_joined,
        (State.JOINED, Event.JOIN_DESIRED): None,
        (State.JOINED, Event.JOIN_NOT_DESIRED): _to_not_joined,
        (State.JOINED, Event.TIMER_EXPIRES): _timer_expires,
        (State.JOINED, Event.SEE_JOIN): _suppress,
        (State.JOINED, Event.SEE_PRUNE): _override,
        (State.JOINED, Event.SEE_PRUNE_RPT): _override,
        (State.JOINED, Event.SEE_PRUNE_STAR): _override,
        (State.JOINED, Event.RPF_PRIME_CHANGES): _rpf_prime_changes,
        (State.JOINED, Event.RPF_PRIME_GENID_CHANGES): _override,
        (State.JOINED, Event.RPF_PRIME_CHANGES_BY_ASSERT): _override,
    },
)
