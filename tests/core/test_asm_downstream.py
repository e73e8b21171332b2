"""Conformance rows J13 to J19, and figures 2 and 4: the downstream machines of shared trees (RFC 7761 4.5.1, 4.5.3)."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from asm_stand import AsmStand
from speakers import Channel
from tables import DOWNSTREAM_RPT, DOWNSTREAM_STAR

from pimpy.core.pim import downstream, downstream_rpt
from pimpy.wire.family import Family
from pimpy.wire.join_prune import SG_RPT, STAR_G, GroupSet, JoinPrune

STATES = {"NI": "no_info", "J": "join", "PP": "prune_pending"}
RPT_STATES = {
    "NI": "no_info",
    "P": "prune",
    "PP": "prune_pending",
    "P'": "prune_tmp",
    "PP'": "prune_pending_tmp",
}
OVERRIDE = 3.0
RECEIVED = 100
FOREVER = 0xFFFF


def star_machine(stand: AsmStand) -> Any:
    return stand.router.pim.interfaces[stand.r1.ports["down"].ifindex].downstream.get(stand.star)  # type: ignore[arg-type]


def rpt_machine(stand: AsmStand, source: Channel) -> Any:
    entry = stand.entry(source)
    machines = stand.router.pim.interfaces[stand.r1.ports["down"].ifindex].downstream_rpt
    return None if entry is None else machines.get(entry)


def timers(stand: AsmStand, machine: Any) -> tuple[str, float | None, float | None]:
    """(state, ET, PPT)"""
    if machine is None:
        return "no_info", None, None
    pending = machine.prune_pending
    now = stand.net.now
    return machine.state.value, machine.expiry.left(now), None if pending is None else pending.left(now)


def after(cell: Any, names: dict[str, str], before: tuple[str, float | None, float | None], alone: bool) -> Any:
    """(state, ET, PPT) that a cell of the RFC leads to; with one neighbour the PPT is 0 and expires at once."""
    state, expiry, pending = cell.state, before[1], before[2]
    if "start ET" in cell.actions:
        expiry = float(RECEIVED)
    if "max ET" in cell.actions:
        expiry = None if expiry is None else max(expiry, RECEIVED)
    if "start PPT" in cell.actions:
        pending = OVERRIDE
    if "cancel PPT" in cell.actions or not state.startswith("PP"):
        pending = None
    if alone and "start PPT" in cell.actions:
        return None
    return ("no_info", None, None) if state == "NI" else (names[state], expiry, pending)


# Figure 2.


def test_J1_figure_2_is_total() -> None:
    events = [event.value for event in downstream.MACHINE.events]
    typed = {(state, event.removesuffix("(*,G)")) for state, event in DOWNSTREAM_STAR}
    assert typed == set(product(STATES, events))


@pytest.mark.parametrize("alone", [False, True], ids=["lan", "alone"])
@pytest.mark.parametrize("held", [20, 400])
@pytest.mark.parametrize(("before", "event"), list(DOWNSTREAM_STAR))
def test_J1_J2_J3_J4_every_cell_of_figure_2(family: Family, before: str, event: str, held: int, alone: bool) -> None:
    stand = AsmStand(family)
    if before != "NI":
        stand.say("Join(*,G)", holdtime=held)
    if before == "PP":
        stand.say("Prune(*,G)")
    if alone:
        stand.hello("down", 3, holdtime=0)
    stand.mark()
    was = timers(stand, star_machine(stand))
    cell = DOWNSTREAM_STAR[before, event]
    if event.startswith("Receive"):
        stand.say(event.removeprefix("Receive "), holdtime=RECEIVED)
    else:
        assert fire(stand, star_machine(stand), event) or before in ("NI", "J")
        if event.startswith("Prune") and before == "J":
            return
    expected = after(cell, STATES, was, alone)
    assert timers(stand, star_machine(stand)) == (expected or ("no_info", None, None))
    echoes = [word for _, word in stand.told("down", to=stand.us())]
    assert echoes == (["Prune(*,G)"] if "Send Prune-Echo" in cell.actions and not alone else [])


def fire(stand: AsmStand, machine: Any, event: str) -> bool:
    """Let a timer of a machine expire; whether it ran."""
    timer = None if machine is None else machine.expiry if event.startswith("Expiry") else machine.prune_pending
    if timer is None or not timer.running:
        return False
    if event.startswith("Expiry") and machine.prune_pending is not None:
        machine.prune_pending.at(machine.expiry.deadline + 1)
    stand.run(timer.left(stand.net.now))
    return True


# Figure 4.


def test_J13_figure_4_is_total() -> None:
    assert set(DOWNSTREAM_RPT) == set(product(RPT_STATES, [event.value for event in downstream_rpt.MACHINE.events]))
    assert {state.value for state in downstream_rpt.MACHINE.states} == set(RPT_STATES.values())


RPT_CASES = [
    (before, event, held, alone)
    for (before, event), held, alone in product(DOWNSTREAM_RPT, (20, 400), (False, True))
    if not (alone and before in ("PP", "PP'"))  # with one neighbour a Prune waits for nobody
]


@pytest.mark.parametrize(("before", "event", "held", "alone"), RPT_CASES)
def test_J13_J14_J15_every_cell_of_figure_4(family: Family, before: str, event: str, held: int, alone: bool) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)", by=9, link="up")  # so that the entry stays
    if alone:
        stand.hello("down", 3, holdtime=0)
    if before != "NI":
        stand.say("Prune(S,G,rpt)", holdtime=held)
    if before in ("P", "P'") and not alone:
        stand.run(OVERRIDE)
    machine = rpt_machine(stand, source)
    if before.endswith("'"):
        step(stand, source, "Receive Join(*,G)")
    was = timers(stand, machine)
    assert was[0] == RPT_STATES[before] or machine is None
    cell = DOWNSTREAM_RPT[before, event]
    if before == "NI" and event == "Receive Prune(S,G,rpt)":
        stand.say("Prune(S,G,rpt)", holdtime=RECEIVED)
    else:
        step(stand, source, event)
    expected = after(cell, RPT_STATES, was, alone)
    if expected is None:
        expected = ("prune", float(RECEIVED), None)
    assert timers(stand, rpt_machine(stand, source)) == expected
    step(stand, source, "End of Message")
    stand.run(0)


def step(stand: AsmStand, source: Channel, event: str) -> None:
    """Let one event happen to the machine alone, in the middle of a message if need be."""
    interface = stand.router.pim.interfaces[stand.r1.ports["down"].ifindex]
    machine = rpt_machine(stand, source)
    kind = downstream_rpt.Event(event)
    if machine is not None and kind.value.endswith(("Expires",)):
        downstream_rpt.MACHINE.step(machine.state, kind, machine)
        if kind is downstream_rpt.Event.PRUNE_PENDING_TIMER_EXPIRES and machine.state is downstream_rpt.State.PRUNE:
            machine.prune_pending.cancel()
    else:
        downstream_rpt.receive(interface, stand.sg(source), kind, RECEIVED)


# The rows.


def pruned(stand: AsmStand, *sources: Channel) -> set[str]:
    """Which sources the shared tree does not bring to `down`."""
    names = set()
    for source in sources:
        number = stand.data(source, "rpt")
        if not stand.net.copies("down", number):
            names.add(stand.names[source[0]])
    return names


def shared(family: Family, down: tuple[int, ...] = (2, 3)) -> tuple[AsmStand, Channel, Channel]:
    """A router that keeps to the shared tree, joined on `down`, and two sources."""
    stand = AsmStand(family, down=down)
    first, second = stand.far(1), stand.far(2)
    stand.say("Join(*,G)", holdtime=FOREVER)
    assert pruned(stand, first, second) == set()
    stand.mark()
    return stand, first, second


def test_J13_a_prune_rpt_waits_3_s_on_a_lan(family: Family) -> None:
    stand, first, second = shared(family)
    stand.say("Prune(S,G,rpt)")
    stand.run(2.99)
    assert pruned(stand, first, second) == set()
    stand.run(0.01)
    assert pruned(stand, first, second) == {"S"}
    assert stand.told("down") == [], "no echo (J14)"
    stand.run(207 - 0.01)
    assert pruned(stand, first, second) == {"S"}
    stand.run(0.01)
    assert pruned(stand, first, second) == set(), "ET of 210 s"


def test_J13_with_one_neighbour_at_once(family: Family) -> None:
    stand, first, second = shared(family, down=(2,))
    stand.say("Prune(S,G,rpt)")
    assert pruned(stand, first, second) == {"S"}
    stand.say("Join(S,G,rpt)")
    assert pruned(stand, first, second) == set()


def test_J13_a_join_rpt_overrides_the_prune(family: Family) -> None:
    stand, first, second = shared(family)
    stand.say("Prune(S,G,rpt)")
    stand.run(2)
    stand.say("Join(S,G,rpt)", by=3)
    stand.run(10)
    assert pruned(stand, first, second) == set()


def test_J14_a_further_prune_prolongs_and_never_shortens(family: Family) -> None:
    stand, first, _ = shared(family, down=(2,))
    stand.say("Prune(S,G,rpt)", holdtime=210)
    stand.run(10)
    stand.say("Prune(S,G,rpt)", holdtime=50)
    assert timers(stand, rpt_machine(stand, first))[1] == 200
    stand.say("Prune(S,G,rpt)", holdtime=300)
    assert timers(stand, rpt_machine(stand, first))[1] == 300


def test_J15_a_join_star_ends_all_prunes_that_its_message_does_not_repeat(family: Family) -> None:
    stand, first, second = shared(family, down=(2,))
    stand.say("Prune(S,G,rpt)", "Prune(S2,G,rpt)")
    assert pruned(stand, first, second) == {"S", "S2"}
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    assert pruned(stand, first, second) == {"S"}
    stand.say("Join(*,G)")
    assert pruned(stand, first, second) == set()


def test_J15_forwarding_never_changes_in_between(family: Family) -> None:
    stand, first, _ = shared(family, down=(2,))
    stand.say("Prune(S,G,rpt)")
    before = dict(stand.r1.kernel.mfc)
    writes = stand.r1.kernel.writes
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    assert stand.r1.kernel.writes == writes
    assert stand.r1.kernel.mfc == before and pruned(stand, first) == {"S"}


def test_J15_in_prune_pending_the_timer_runs_on(family: Family) -> None:
    stand, first, second = shared(family)
    stand.say("Prune(S,G,rpt)", holdtime=100)
    stand.run(2)
    stand.say("Join(*,G)", "Prune(S,G,rpt)", holdtime=210)
    assert timers(stand, rpt_machine(stand, first)) == ("prune_pending", 210.0, 1.0)
    stand.run(1)
    assert pruned(stand, first, second) == {"S"}


def test_J15_the_message_ends_with_its_last_group_set(family: Family) -> None:
    stand, first, second = shared(family, down=(2,))
    stand.say("Prune(S,G,rpt)", "Prune(S2,G,rpt)")
    sets = (
        GroupSet(stand.group(), ((stand.rp, STAR_G),), ()),
        GroupSet(stand.group(), (), ((first[0], SG_RPT),)),
    )
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, sets))
    stand.run(0)
    assert pruned(stand, first, second) == {"S"}


def test_J16_a_first_message_makes_both_states(family: Family) -> None:
    stand = AsmStand(family)
    first, second = stand.far(1), stand.far(2)
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    assert pruned(stand, first, second) == set()
    stand.run(OVERRIDE)
    assert pruned(stand, first, second) == {"S"}


def test_J17_a_prune_star_leaves_the_rpt_machines_without_effect(family: Family) -> None:
    stand, first, second = shared(family, down=(2,))
    stand.say("Prune(S,G,rpt)")
    stand.say("Prune(*,G)")
    assert timers(stand, rpt_machine(stand, first))[0] == "prune"
    assert pruned(stand, first, second) == {"S", "S2"}
    assert stand.star is None
    stand.say("Join(*,G)")
    assert pruned(stand, first, second) == set(), "the Join(*,G) ended it"


def test_J18_a_join_s_g_on_an_entry_of_an_rpt_prune_starts_the_spt_at_once(family: Family) -> None:
    stand, _, _ = shared(family)
    stand.say("Prune(S,G,rpt)")
    stand.run(10)
    stand.mark()
    stand.say("Join(S,G)", by=3)
    assert stand.told("up", to=stand.nine) == [(0.0, "Join(S,G)")]


def test_J19_a_join_s_g_brings_the_source_back_in_spite_of_the_prune(family: Family) -> None:
    stand, first, _ = shared(family, down=(2,))
    stand.say("Prune(S,G,rpt)")
    assert pruned(stand, first) == {"S"}
    stand.say("Join(S,G)", by=2)
    stand.run(3)
    stand.data(first, "up")
    assert stand.sg(first).spt_bit and stand.forwards(first) == {"down"}


def test_J8_J9_U3_the_rp_that_is_named_counts_for_joins_only(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    rp, stand.rp = stand.rp, stand.net.address("up", 77)
    stand.say("Join(*,G)")
    assert stand.star is None and stand.counted("jp_wrong_rp") == 1
    wrong, stand.rp = stand.rp, rp
    stand.say("Join(*,G)")
    assert stand.star is not None
    stand.rp = wrong
    stand.say("Prune(*,G)")
    assert stand.star is None
