"""The upstream (S,G) state machine: RFC 7761 4.5.5, figure 6, and what settling an entry means for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pimpy.core.engine.machine import Machine, Word
from pimpy.core.engine.timers import Timer
from pimpy.core.pim import macros

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import Neighbor
    from pimpy.core.pim.tib import SG

T_SUPPRESSED_FACTORS = (1.1, 1.4)
"""t_suppressed = rand(1.1, 1.4) * t_periodic (4.11)."""


class State(Word):
    """Of the upstream machine; in the entry it is the flag `joined`."""

    NOT_JOINED = "not_joined"
    JOINED = "joined"


class Event(Word):
    """The columns of figure 6 and of the table for the Joined state."""

    JOIN_DESIRED = "JoinDesired(S,G) ->True"
    JOIN_NOT_DESIRED = "JoinDesired(S,G) ->False"
    TIMER_EXPIRES = "Timer Expires"
    SEE_JOIN = "See Join(S,G) to RPF'(S,G)"
    SEE_PRUNE = "See Prune(S,G) to RPF'(S,G)"
    SEE_PRUNE_RPT = "See Prune(S,G,rpt) to RPF'(S,G)"
    SEE_PRUNE_STAR = "See Prune(*,G) to RPF'(S,G)"
    RPF_PRIME_CHANGES = "RPF'(S,G) changes not due to an Assert"
    RPF_PRIME_GENID_CHANGES = "RPF'(S,G) GenID changes"
    RPF_PRIME_CHANGES_BY_ASSERT = "RPF'(S,G) changes due to an Assert"


def step(sg: SG, event: Event, holdtime: float = 0.0) -> None:
    """Let `event` happen; `holdtime` is that of a Join which was seen, in seconds."""
    MACHINE.step(State.JOINED if sg.joined else State.NOT_JOINED, event, sg, holdtime)


def settle(sg: SG) -> None:
    """Compare JoinDesired(S,G) and RPF'(S,G) with what they were, and let the edges happen."""
    desired = macros.join_desired(sg)
    rpf_prime = macros.rpf_prime(sg)
    if desired and not sg.joined:
        sg.rpf = rpf_prime
        step(sg, Event.JOIN_DESIRED)
    elif sg.joined and not desired:
        step(sg, Event.JOIN_NOT_DESIRED)
    elif sg.joined and rpf_prime is not sg.rpf:
        step(sg, Event.RPF_PRIME_CHANGES)
    sg.rpf = rpf_prime


def _send_join(sg: SG) -> None:
    """Send Join(S,G) to RPF'(S,G) and set the Join Timer to t_periodic; without an RPF' there is nobody to tell."""
    if sg.join_timer is None:
        sg.join_timer = Timer(sg.pim.heap, sg, _join_timer_expires)
    if sg.rpf is None:
        sg.join_timer.cancel()
        return
    sg.pim.outbox.add(sg.rpf.interface, sg.rpf.address, sg, join=True)
    sg.join_timer.at(sg.pim.now + sg.pim.outbox.t_periodic())


def _send_prune(sg: SG, neighbor: Neighbor | None) -> None:
    """Send Prune(S,G) to what was RPF'(S,G); the outbox knows whether it is still there to hear it (U11)."""
    if neighbor is not None:
        sg.pim.outbox.add(neighbor.interface, neighbor.address, sg, join=False)


def _to_joined(sg: SG, _: float) -> None:
    sg.joined = True
    _send_join(sg)


def _to_not_joined(sg: SG, _: float) -> None:
    sg.joined = False
    if sg.join_timer is not None:
        sg.join_timer.cancel()
    _send_prune(sg, sg.rpf)


def _timer_expires(sg: SG, _: float) -> None:
    _send_join(sg)


def _suppress(sg: SG, holdtime: float) -> None:
    """Increase Join Timer to t_joinsuppress = min(t_suppressed, HoldTime) (4.5.5; U3)."""
    assert sg.rpf is not None and sg.join_timer is not None, "only what has an RPF' can see a Join to it"
    if sg.rpf.interface.suppression_enabled():
        low, high = (factor * sg.pim.outbox.t_periodic() for factor in T_SUPPRESSED_FACTORS)
        sg.join_timer.no_sooner_than(sg.pim.now + min(sg.pim.random.uniform(low, high), holdtime))


def _override(sg: SG, _: float) -> None:
    """Decrease Join Timer to t_override = rand(0, Effective_Override_Interval(I)) (4.11)."""
    if sg.rpf is not None and sg.join_timer is not None:
        t_override = sg.pim.random.uniform(0, sg.rpf.interface.effective_override_interval())
        sg.join_timer.no_later_than(sg.pim.now + t_override)


def _rpf_prime_changes(sg: SG, _: float) -> None:
    """Send Join(S,G) to the new next hop, Prune(S,G) to the old one, set the Join Timer to t_periodic (U8, U11)."""
    old, sg.rpf = sg.rpf, macros.rpf_prime(sg)
    _send_join(sg)
    _send_prune(sg, old)


def _join_timer_expires(sg: SG) -> None:
    step(sg, Event.TIMER_EXPIRES)


_Action = Callable[["SG", float], None]
_NOTHING: dict[tuple[State, Event], _Action | None] = {
    (State.NOT_JOINED, event): None for event in Event if event is not Event.JOIN_DESIRED
}

MACHINE: Machine[State, Event, SG] = Machine(
    "4.5.5",
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
