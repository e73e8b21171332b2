"""The upstream (S,G,rpt) state machine for triggered messages (RFC 7761 4.5.7, figure 7), and the rule for the
periodic ones (4.5.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pimpy.core.engine.machine import Machine, Word
from pimpy.core.engine.timers import Timer
from pimpy.core.pim import macros
from pimpy.core.pim.tib import RptState, SGRpt

if TYPE_CHECKING:
    from pimpy.core.pim.tib import SG, StarG


class Event(Word):
    """The columns of figure 7 and of the table for the NotPruned state."""

    PRUNE_DESIRED = "PruneDesired(S,G,rpt) ->True"
    PRUNE_NOT_DESIRED = "PruneDesired(S,G,rpt) ->False"
    RPT_JOIN_NOT_DESIRED = "RPTJoinDesired(G) ->False"
    INHERITED_OLIST_NON_NULL = "inherited_olist(S,G,rpt) ->non-NULL"
    OVERRIDE_TIMER_EXPIRES = "Override Timer expires"
    SEE_PRUNE_RPT = "See Prune(S,G,rpt) to RPF'(S,G,rpt)"
    SEE_JOIN_RPT = "See Join(S,G,rpt) to RPF'(S,G,rpt)"
    SEE_PRUNE = "See Prune(S,G) to RPF'(S,G,rpt)"
    RPF_PRIME_IS_STARS = "RPF'(S,G,rpt) -> RPF'(*,G)"


def step(sg: SG, event: Event) -> None:
    """Let `event` happen."""
    state = sg.rpt.state if sg.rpt is not None else RptState.NOT_JOINED
    MACHINE.step(state, event, sg)


def settle(sg: SG) -> None:
    """Compare what the machine follows with the state it is in, and let the edges happen."""
    state = sg.rpt.state if sg.rpt is not None else RptState.NOT_JOINED
    if not macros.rpt_join_desired(sg):
        if state is not RptState.NOT_JOINED:
            step(sg, Event.RPT_JOIN_NOT_DESIRED)
    elif macros.prune_desired_rpt(sg):
        if state is not RptState.PRUNED:
            step(sg, Event.PRUNE_DESIRED)
    elif state is RptState.PRUNED:
        step(sg, Event.PRUNE_NOT_DESIRED)
    elif state is RptState.NOT_JOINED:
        step(sg, Event.INHERITED_OLIST_NON_NULL)
    _look_at_rpf_prime(sg)


def _look_at_rpf_prime(sg: SG) -> None:
    """See RPF'(S,G,rpt), and whether it becomes equal to RPF'(*,G) again, as it does when an Assert ends (U17)."""
    rpt, star = sg.rpt, sg.tree.star if sg.tree is not None else None
    if rpt is None:
        return
    rpt.rpf = macros.rpf_prime_rpt(sg)
    differs = bool(sg.asserts) and star is not None and rpt.rpf is not macros.rpf_prime_star(star)
    diverged, rpt.diverged = rpt.diverged, differs  # only the winner of an Assert of (S,G) makes a difference
    if diverged and not rpt.diverged and rpt.rpf is not None:
        step(sg, Event.RPF_PRIME_IS_STARS)


def is_pruned_with_star(sg: SG, star: StarG) -> bool:
    """Whether Prune(S,G,rpt) travels with a Join(*,G) to RPF'(*,G) (4.5.6; U14)."""
    rpf_prime_star = macros.rpf_prime_star(star)
    if sg.spt_bit:
        return rpf_prime_star is not macros.rpf_prime(sg)
    return macros.inherited_olist_rpt(sg) == 0 or rpf_prime_star is not macros.rpf_prime_rpt(sg)


def _rpt(sg: SG) -> SGRpt:
    if sg.rpt is None:
        sg.rpt = SGRpt()
    return sg.rpt


def _cancel_override(sg: SG) -> None:
    timer = _rpt(sg).override_timer
    if timer is not None:
        timer.cancel()


def _say(sg: SG, *, join: bool) -> None:
    """Send Join(S,G,rpt) or Prune(S,G,rpt) to RPF'(S,G,rpt)."""
    neighbor = macros.rpf_prime_rpt(sg)
    if neighbor is not None:
        sg.pim.outbox.add(neighbor, sg, join=join, rpt=True)


def _enter_pruned(sg: SG, _: float) -> None:
    """From RPTNotJoined: the Join(*,G) carries the Prune (U15)."""
    _rpt(sg).state = RptState.PRUNED


def _to_pruned(sg: SG, _: float) -> None:
    _rpt(sg).state = RptState.PRUNED
    _cancel_override(sg)
    _say(sg, join=False)


def _enter_not_pruned(sg: SG, _: float) -> None:
    _rpt(sg).state = RptState.NOT_PRUNED


def _to_not_pruned(sg: SG, _: float) -> None:
    _rpt(sg).state = RptState.NOT_PRUNED
    _say(sg, join=True)


def _to_not_joined(sg: SG, _: float) -> None:
    _rpt(sg).state = RptState.NOT_JOINED
    _cancel_override(sg)


def _override_timer_expires(sg: SG, _: float) -> None:
    """Only where RPF'(S,G,rpt) is RPF'(*,G) there is (*,G) state to speak of (4.5.7; U17)."""
    star = sg.tree.star if sg.tree is not None else None
    if star is not None and macros.rpf_prime_rpt(sg) is macros.rpf_prime_star(star):
        _say(sg, join=True)


def _override(sg: SG, _: float) -> None:
    """OT = min(OT, t_override), one that does not run being infinite (U16)."""
    rpt, neighbor = _rpt(sg), macros.rpf_prime_rpt(sg)
    if neighbor is None:
        return
    if rpt.override_timer is None:
        rpt.override_timer = Timer(sg.pim.heap, sg, _override_timer_fires)
    t_override = sg.pim.random.uniform(0, neighbor.interface.effective_override_interval())
    rpt.override_timer.no_later_than(sg.pim.now + t_override)


def _cancel(sg: SG, _: float) -> None:
    _cancel_override(sg)


def _override_timer_fires(sg: SG) -> None:
    step(sg, Event.OVERRIDE_TIMER_EXPIRES)


_Action = Callable[["SG", float], None]
_ONLY_NOT_PRUNED: dict[tuple[RptState, Event], _Action | None] = {
    (state, event): None
    for state in (RptState.NOT_JOINED, RptState.PRUNED)
    for event in (
        Event.OVERRIDE_TIMER_EXPIRES,
        Event.SEE_PRUNE_RPT,
        Event.SEE_JOIN_RPT,
        Event.SEE_PRUNE,
        Event.RPF_PRIME_IS_STARS,
    )
}

MACHINE: Machine[RptState, Event, SG] = Machine(
    "4.5.7",
    RptState,
    Event,
    {
        **_ONLY_NOT_PRUNED,
        (RptState.NOT_JOINED, Event.PRUNE_DESIRED): _enter_pruned,
        (RptState.NOT_JOINED, Event.PRUNE_NOT_DESIRED): None,
        (RptState.NOT_JOINED, Event.RPT_JOIN_NOT_DESIRED): None,
        (RptState.NOT_JOINED, Event.INHERITED_OLIST_NON_NULL): _enter_not_pruned,
        (RptState.PRUNED, Event.PRUNE_DESIRED): None,
        (RptState.PRUNED, Event.PRUNE_NOT_DESIRED): _to_not_pruned,
        (RptState.PRUNED, Event.RPT_JOIN_NOT_DESIRED): _to_not_joined,
        (RptState.PRUNED, Event.INHERITED_OLIST_NON_NULL): None,
        (RptState.NOT_PRUNED, Event.PRUNE_DESIRED): _to_pruned,
        (RptState.NOT_PRUNED, Event.PRUNE_NOT_DESIRED): None,
        (RptState.NOT_PRUNED, Event.RPT_JOIN_NOT_DESIRED): _to_not_joined,
        (RptState.NOT_PRUNED, Event.INHERITED_OLIST_NON_NULL): None,
        (RptState.NOT_PRUNED, Event.OVERRIDE_TIMER_EXPIRES): _override_timer_expires,
        (RptState.NOT_PRUNED, Event.SEE_PRUNE_RPT): _override,
        (RptState.NOT_PRUNED, Event.SEE_JOIN_RPT): _cancel,
        (RptState.NOT_PRUNED, Event.SEE_PRUNE): _override,
        (RptState.NOT_PRUNED, Event.RPF_PRIME_IS_STARS): _override,
    },
)
