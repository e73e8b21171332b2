"""Conformance group U of shared trees: the upstream (*,G) and (S,G,rpt) machines (RFC 7761 4.5.4, 4.5.6, 4.5.7)."""

from __future__ import annotations

from itertools import product

import pytest
from asm_stand import AsmStand
from speakers import Channel
from tables import UPSTREAM_RPT, UPSTREAM_STAR

from pimpy.config.model import Config, StaticRp
from pimpy.core.pim import upstream, upstream_rpt
from pimpy.core.pim.tib import RptState
from pimpy.wire.family import Family, Prefix, parse_address
from pimpy.wire.join_prune import JoinPrune

NEVER = Config(spt_threshold="infinity")
T_PERIODIC = 60.0
OVERRIDE = 2.5


def jt(stand: AsmStand) -> float | None:
    """Seconds left on JT(*,G)."""
    star = stand.star
    return None if star is None or star.join_timer is None else star.join_timer.left(stand.net.now)


# Figure 5.


def happen(stand: AsmStand, event: str) -> None:
    """Let an event of figure 5 happen from the outside; 9 is RPF'(*,G), 8 the other router on the link."""
    eight = stand.peer("up", 8).address
    if event == "JoinDesired ->True":
        stand.say("Join(*,G)")
    elif event == "JoinDesired ->False":
        stand.say("Prune(*,G)")
    elif event == "Timer Expires":
        stand.run(jt(stand) or 0.0)
    elif event.startswith("See"):
        word = "Join(*,G)" if "Join" in event else "Prune(*,G)"
        stand.say(word, by=8, link="up", to=stand.nine)
    elif event == "RPF' changes due to an Assert":
        stand.hear_assert(stand.family.any, (True, 0, 0), by=8, link="up")
    elif event == "RPF' changes not due to an Assert":
        stand.r1.static_route(stand.rp, "up", eight)
        stand.run(0)
    else:
        stand.hello("up", 9, generation_id=0x99)


@pytest.mark.parametrize("left", [55.0, 0.001], ids=["long", "short"])
@pytest.mark.parametrize(("before", "event"), list(UPSTREAM_STAR))
def test_U1_U2_U3_U4_U7_U8_U9_every_cell_of_figure_5(family: Family, before: str, event: str, left: float) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8), down=(2,))
    if before == "J":
        stand.say("Join(*,G)", holdtime=0xFFFF)
        stand.run(T_PERIODIC - left)
    stand.mark()
    cell = UPSTREAM_STAR[before, event]
    happen(stand, event)
    assert (stand.star is not None and stand.star.joined) == (cell.state == "J")
    to_nine = [word for _, word in stand.told("up", to=stand.nine)]
    to_eight = [word for _, word in stand.told("up", to=stand.peer("up", 8).address)]
    assert to_nine == ["Join(*,G)"] * ("Send Join" in cell.actions) + ["Prune(*,G)"] * bool(
        {"Send Prune", "Send Prune to old"} & cell.actions
    )
    assert to_eight == ["Join(*,G)"] * ("Send Join to new" in cell.actions)
    timer = jt(stand)
    if cell.state == "NJ":
        assert timer is None
    elif "JT = t_periodic" in cell.actions:
        assert timer == T_PERIODIC
    elif "decrease JT to t_override" in cell.actions:
        assert timer is not None and timer <= min(left, OVERRIDE) + 1e-6
    elif "increase JT to t_suppressed" in cell.actions:
        assert timer is not None and 66 <= timer <= 84
    else:
        assert timer == pytest.approx(left)


def test_U1_figure_5_is_total() -> None:
    of_sg_alone = {upstream.Event.SEE_PRUNE_RPT, upstream.Event.SEE_PRUNE_STAR}
    typed = {event for _, event in UPSTREAM_STAR}
    assert typed == {event.value for event in upstream.MACHINE.events if event not in of_sg_alone}
    assert set(UPSTREAM_STAR) == set(product(("NJ", "J"), typed))


# Figure 7.

RPT_STATES = {"RNJ": RptState.NOT_JOINED, "P": RptState.PRUNED, "NP": RptState.NOT_PRUNED}


def ot(stand: AsmStand, source: Channel) -> float | None:
    """Seconds left on OT."""
    rpt = stand.sg(source).rpt
    timer = None if rpt is None else rpt.override_timer
    return None if timer is None else timer.left(stand.net.now)


@pytest.mark.parametrize("running", [None, 0.001, 50.0], ids=["no OT", "short OT", "long OT"])
@pytest.mark.parametrize(("before", "event"), list(UPSTREAM_RPT))
def test_U15_U16_U17_U18_every_cell_of_figure_7(family: Family, before: str, event: str, running: float | None) -> None:
    stand = AsmStand(family, down=(2,), config=NEVER)
    source = stand.far()
    stand.say("Join(S,G)", by=9, link="up", holdtime=0xFFFF)
    if before != "RNJ":
        stand.say("Join(*,G)", holdtime=0xFFFF)
    if before == "P":
        stand.say("Prune(S,G,rpt)", holdtime=0xFFFF)
    sg = stand.sg(source)
    if before == "NP" and running is not None:
        upstream_rpt.step(sg, upstream_rpt.Event.SEE_PRUNE_RPT)
        assert sg.rpt is not None and sg.rpt.override_timer is not None
        sg.rpt.override_timer.at(stand.net.now + running)
    stand.mark()
    state = sg.rpt.state if sg.rpt is not None else RptState.NOT_JOINED
    assert state is RPT_STATES[before]
    was, cell = ot(stand, source), UPSTREAM_RPT[before, event]
    stand.net.checker.on = False  # the machine alone moves, not what it follows
    upstream_rpt.step(sg, upstream_rpt.Event(event))
    stand.net.touch(stand.r1)
    stand.run(0)
    state = sg.rpt.state if sg.rpt is not None else RptState.NOT_JOINED
    assert state is RPT_STATES[cell.state]
    told = [word for _, word in stand.told("rpt", to=stand.seven)]
    assert told == [action.removeprefix("Send ") for action in cell.actions if action.startswith("Send")]
    if "OT = min(OT, t_override)" in cell.actions:
        assert ot(stand, source) is not None and ot(stand, source) <= min(OVERRIDE, was or OVERRIDE)  # type: ignore[operator]
    elif "cancel OT" in cell.actions:
        assert ot(stand, source) is None
    elif event != "Override Timer expires":
        assert ot(stand, source) == was


def test_U15_figure_7_is_total() -> None:
    events = [event.value for event in upstream_rpt.MACHINE.events]
    assert set(UPSTREAM_RPT) == set(product(RPT_STATES, events))


# The rows.


def test_U4_a_seen_prune_star_is_overridden_whatever_rp_it_names(family: Family) -> None:
    times = []
    for seed in range(10):
        stand = AsmStand(family, rp="up", up=(9, 8), seed=seed)
        stand.say("Join(*,G)")
        stand.run(10)
        stand.mark()
        right, stand.rp = stand.rp, stand.net.address("up", 77)
        stand.say("Prune(*,G)", by=8, link="up", to=stand.nine)
        stand.rp = right
        stand.run(30)
        ((when, word),) = stand.told("up", to=stand.nine)
        assert word == "Join(*,G)" and when <= OVERRIDE
        times.append(when)
    assert len(set(times)) > 1, "rand(0, 2.5)"


@pytest.mark.parametrize("word", ["Prune(S,G)", "Prune(S,G,rpt)", "Prune(*,G)"])
def test_U5_each_prune_that_would_cut_the_source_is_overridden(family: Family, word: str) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8))
    stand.far()
    stand.say("Join(S,G)")
    stand.run(10)
    stand.mark()
    stand.say(word, by=8, link="up", to=stand.nine)
    stand.run(OVERRIDE)
    assert "Join(S,G)" in [told for _, told in stand.told("up", to=stand.nine)]


def test_U12_at_the_rp_and_where_the_source_is_connected_nothing_is_sent(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    stand.say("Join(*,G)")
    stand.near()
    stand.say("Join(S,G)")
    stand.run(70)
    assert [stand.told(link) for link in ("up", "rpt", "src")] == [[], [], []]


def test_U12_where_the_rp_is_on_a_link_of_ours_the_join_goes_to_it(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    stand.rp = stand.net.address("rpt", 7)
    if family.size == 16:
        stand.hello("rpt", 7, addresses=(stand.rp,))
    stand.configure(rp_addresses=(StaticRp(stand.rp, family.multicast),))
    stand.say("Join(*,G)")
    assert stand.told("rpt", to=stand.seven) == [(0.0, "Join(*,G)")]


def test_U13_P6_P7_members_that_came_before_the_rp_are_joined_with_it(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    stand.member()
    stand.run(3)
    assert stand.told("rpt") == []
    stand.mark()
    stand.configure(rp_addresses=(StaticRp(stand.rp, family.multicast),))
    assert stand.told("rpt", to=stand.seven) == [(0.0, "Join(*,G)")]


def test_P6_a_source_that_came_before_the_rp_is_registered_with_it(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    source = stand.near()
    stand.data(source)
    stand.configure(rp_addresses=(StaticRp(stand.rp, family.multicast),))
    stand.data(source)
    assert [kind for _, kind in stand.registers()] == ["data"]


def test_U8_P6_another_rp_behind_the_same_neighbour_is_told_by_a_join_alone(family: Family) -> None:
    stand = AsmStand(family)
    stand.say("Join(*,G)")
    stand.run(10)
    stand.mark()
    stand.rp = parse_address("10.8.0.2" if family.size == 4 else "2001:db8:8::2")
    stand.r1.static_route(stand.rp, "rpt", stand.seven)
    stand.configure(rp_addresses=(StaticRp(stand.rp, Prefix(stand.group(), family.bits)),))
    assert stand.told("rpt", to=stand.seven) == [(0.0, "Join(*,G)")] and jt(stand) == 60


def test_U8_an_rp_elsewhere_is_joined_and_the_old_one_pruned(family: Family) -> None:
    stand = AsmStand(family)
    stand.say("Join(*,G)")
    stand.mark()
    stand.rp = parse_address("10.8.0.2" if family.size == 4 else "2001:db8:8::2")
    stand.r1.static_route(stand.rp, "up", stand.nine)
    stand.configure(rp_addresses=(StaticRp(stand.rp, family.multicast),))
    assert (stand.told("up"), stand.told("rpt")) == ([(0.0, "Join(*,G)")], [(0.0, "Prune(*,G)")])
    stand.mark()
    stand.configure(rp_addresses=())
    assert stand.told("up") == [(0.0, "Prune(*,G)")], "naming no RP"
    assert stand.star is not None and stand.star.joined


def periodic(stand: AsmStand) -> list[str]:
    """What the next periodic message to the RP holds."""
    stand.mark()
    stand.run(jt(stand) or 0.0)
    ((_, message),) = stand.messages("rpt")
    assert len(message.groups) == 1
    return [word for _, word in stand.told("rpt")]


def test_U14_a_periodic_join_carries_the_prunes_of_4_5_6(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=NEVER)
    first, second, third = stand.far(1), stand.far(2), stand.far(3)
    stand.say("Join(*,G)", "Join(S,G)", holdtime=0xFFFF)
    for source in (first, second, third):
        stand.data(source, "rpt")
    assert periodic(stand) == ["Join(*,G)"]
    stand.data(first, "up")
    assert periodic(stand) == ["Join(*,G)", "Prune(S,G,rpt)"], "(1) SPTbit, RPF'(*,G) != RPF'(S,G)"
    stand.say("Prune(S2,G,rpt)", holdtime=0xFFFF)
    assert periodic(stand) == ["Join(*,G)", "Prune(S,G,rpt)", "Prune(S2,G,rpt)"], "(2) inherited_olist(S,G,rpt) empty"


def test_U14_case_3_the_assert_winner_for_the_source_is_another_one(family: Family) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8), down=(2,), config=NEVER)
    source = stand.far(by=8)
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.data(source, "up")
    assert not stand.sg(source).spt_bit
    stand.hear_assert(source[0], (False, 0, 0), by=8, link="up")
    assert stand.assert_state(source, "up") == "loser" and not stand.sg(source).spt_bit
    stand.mark()
    stand.run(jt(stand) or 0.0)
    assert [word for _, word in stand.told("up", to=stand.nine)] == ["Join(*,G)", "Prune(S,G,rpt)"]


def test_U15_prune_and_join_rpt_leave_at_once(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=NEVER)
    source = stand.far()
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    stand.run(10)
    stand.mark()
    stand.say("Prune(S,G,rpt)")
    assert stand.told("rpt", to=stand.seven) == [(0.0, "Prune(S,G,rpt)")]
    stand.run(1)
    stand.say("Join(S,G,rpt)")
    assert stand.told("rpt")[1:] == [(1.0, "Join(S,G,rpt)")]


def test_U15_from_not_joined_the_join_star_carries_the_prune(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=NEVER)
    source = stand.far()
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    assert [word for _, word in stand.told("rpt")] == ["Join(*,G)", "Prune(S,G,rpt)"]
    assert len(stand.messages("rpt")) == 1 and stand.sg(source).rpt is not None


def seen_on_the_way_to_the_rp(family: Family, word: str, seed: int = 1) -> tuple[AsmStand, Channel]:
    """A router on the shared tree, which sees another one's message to RPF'(S,G,rpt)."""
    stand = AsmStand(family, down=(2,), config=NEVER, seed=seed)
    stand.hello("rpt", 8)
    source = stand.far()
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    stand.run(10)
    stand.mark()
    stand.say(word, by=8, link="rpt", to=stand.seven)
    return stand, source


@pytest.mark.parametrize("word", ["Prune(S,G,rpt)", "Prune(S,G)"])
def test_U16_a_seen_prune_is_overridden_by_a_join_rpt(family: Family, word: str) -> None:
    stand, _ = seen_on_the_way_to_the_rp(family, word)
    stand.run(OVERRIDE)
    ((when, told),) = stand.told("rpt", to=stand.seven)
    assert told == "Join(S,G,rpt)" and 0 <= when <= OVERRIDE


def test_U16_unless_another_one_was_quicker(family: Family) -> None:
    stand, _ = seen_on_the_way_to_the_rp(family, "Prune(S,G,rpt)")
    stand.say("Join(S,G,rpt)", by=8, link="rpt", to=stand.seven)
    stand.run(10)
    assert stand.told("rpt") == []


def test_U17_no_override_where_rpf_prime_rpt_is_another_router(family: Family) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8), down=(2,), config=NEVER)
    source = stand.far()
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.data(source, "up")
    eight = stand.peer("up", 8).address
    stand.hear_assert(source[0], (False, 0, 0), by=8, link="up")
    stand.run(3)
    stand.mark()
    stand.say("Prune(S,G,rpt)", by=9, link="up", to=eight)
    stand.run(OVERRIDE)
    assert "Join(S,G,rpt)" not in [word for _, word in stand.told("up")]
    stand.mark()
    stand.hear_assert(source[0], (True, 0x7FFFFFFF, 0xFFFFFFFF), by=8, link="up")
    stand.run(OVERRIDE)
    assert "Join(S,G,rpt)" in [word for _, word in stand.told("up", to=stand.nine)], "equal again: t_override"


def test_U17_a_route_that_moves_both_is_no_such_event(family: Family) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8), down=(2,), config=NEVER)
    source = stand.far()
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.data(source, "up")
    stand.mark()
    stand.r1.static_route(stand.rp, "up", stand.peer("up", 8).address)
    stand.run(5)
    assert [word for _, word in stand.told("up")] in (["Join(*,G)", "Prune(*,G)"], ["Prune(*,G)", "Join(*,G)"])


def test_U18_when_the_shared_tree_is_left_nothing_is_said_of_its_sources(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=NEVER)
    first, second = stand.far(1), stand.far(2)
    stand.say("Join(*,G)", "Prune(S2,G,rpt)")
    stand.data(first, "rpt")
    stand.mark()
    stand.say("Prune(*,G)")
    assert [word for _, word in stand.told("rpt")] == ["Prune(*,G)"]
    for source in (first, second):
        rpt = stand.sg(source).rpt
        assert rpt is None or rpt.state is RptState.NOT_JOINED
    stand.run(30)
    assert len(stand.told("rpt")) == 1


def test_U19_one_message_holds_the_join_and_as_many_prunes_as_fit(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=NEVER)
    room = 180 if family.size == 4 else 69
    sources = [stand.far(number) for number in range(1, room + 21)]
    words = [f"Prune({stand.names[source[0]]},G,rpt)" for source in sources]
    stand.say("Join(*,G)", holdtime=0xFFFF)
    for start in range(0, len(words), 50):
        stand.say(*words[start : start + 50], holdtime=0xFFFF)
    stand.mark()
    stand.run(jt(stand) or 0.0)
    ((_, message),) = stand.messages("rpt")
    ((_, joins, prunes),) = message.groups
    kept = sorted(source for source, _ in sources)[:room]
    assert len(joins) == 1 and [source for source, _ in prunes] == kept


def test_U23_no_message_contradicts_itself(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=NEVER)
    stand.far(1), stand.far(2)
    stand.say("Join(*,G)", "Join(S,G)", "Prune(S,G)", "Join(S,G,rpt)", "Prune(*,G)", "Prune(S,G,rpt)")
    stand.run(1)
    stand.say("Join(*,G)", "Join(S2,G,rpt)", "Prune(S2,G,rpt)")
    stand.run(1)
    assert all(isinstance(message, JoinPrune) for _, message in stand.messages("rpt"))
    assert stand.star is not None and stand.star.joined
