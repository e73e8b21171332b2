"""Conformance group A: who forwards onto a LAN (RFC 7761 4.6)."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from speakers import Channel

from pimpy.config.model import Config, Phyint
from pimpy.core.pim.metric import PREFERENCES, Metric, better
from pimpy.wire import pim
from pimpy.wire.family import IPV4, Family, parse_address
from pimpy.wire.record import evolve

GOOD, BAD = (False, 0, 1), (False, 200, 9)
"""(RPTbit, preference, metric) better and worse than ours: 101 and 0."""
RPT_GOOD, RPT_BAD = (True, 0, 1), (True, 200, 9)
CANCEL = (True, 0x7FFFFFFF, 0xFFFFFFFF)


def forwarding(family: Family, spt: bool = True, down: tuple[int, ...] = (2, 3)) -> tuple[AsmStand, Channel]:
    """A router that forwards S to `down`, from the source's own tree or from the shared one."""
    stand = AsmStand(family, down=down, config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(*,G)", *(["Join(S,G)"] if spt else []), holdtime=0xFFFF)
    stand.data(source, "up" if spt else "rpt")
    assert stand.forwards(source) == {"down"} and stand.sg(source).spt_bit == spt
    stand.mark()
    return stand, source


def said(stand: AsmStand, link: str = "down") -> list[tuple[float, tuple[bool, int, int]]]:
    """(time, metric) of the Asserts sent."""
    return [(when, (m.rpt, m.preference, m.metric)) for when, m in stand.asserts(link)]


OURS, OURS_RPT = (False, 101, 0), (True, 101, 0)


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A1_A24_F12_T11_data_on_an_outgoing_interface_makes_a_winner(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    stand.data(source, "down")
    which = source if spt else None
    assert (stand.assert_state(which), stand.assert_timer(which)) == ("winner", 177.0)
    assert said(stand) == [(0.0, OURS if spt else OURS_RPT)]
    assert stand.assert_state(None if spt else source) == "no_info"
    assert stand.forwards(source) == {"down"}


def test_A2_could_assert_needs_the_bit_and_its_terms(family: Family) -> None:
    stand, source = forwarding(family, down=(2,))
    stand.say("Prune(S,G)", "Prune(S,G,rpt)")
    stand.say("Join(S,G)", by=9, link="up")
    stand.hear_assert(source[0], BAD, by=2)
    assert stand.assert_state(source) == "no_info", "pruned off the shared tree there, and not joined"
    stand.say("Join(S,G)")
    stand.hear_assert(source[0], BAD, by=2)
    assert stand.assert_state(source) == "winner"
    stand.hear_assert(source[0], BAD, by=9, link="up")
    assert stand.assert_state(source, "up") == "loser", "never where RPF_interface(S) is"


def test_A2_a_lost_star_assert_takes_the_shared_trees_terms_away(family: Family) -> None:
    stand, source = forwarding(family, spt=False)
    stand.say("Join(S,G)", by=9, link="up")
    stand.hear_assert(family.any, RPT_GOOD)
    stand.data(source, "up")
    assert stand.sg(source).spt_bit and stand.assert_state(None) == "loser"
    stand.hear_assert(source[0], BAD)
    assert stand.assert_state(source) == "no_info"


def test_A3_the_order_of_metrics() -> None:
    four = [
        Metric(rpt, preference, value, address)
        for rpt in (False, True)
        for preference in (0, 1, 0x7FFFFFFF)
        for value in (0, 0x80000000, 0xFFFFFFFF)
        for address in (b"\xff\0\0\1", b"\x7f\0\0\1", b"\0\0\0\1")
    ]
    for place, one in enumerate(four):
        for other_place, other in enumerate(four):
            assert better(one, other) == (place < other_place), (one, other)


def test_A4_metrics_come_from_the_routes(family: Family) -> None:
    assert PREFERENCES[4] == 1 and PREFERENCES[188] == 110 and PREFERENCES[186] == 20
    for protocol, expected in ((188, 110), (4, 1), (99, 101)):
        stand, source = forwarding(family)
        route = evolve(stand.r1.route(source[0]), protocol=protocol, metric=0xFFFFFFF0)
        stand.r1.handle(route)
        stand.run(0)
        stand.data(source, "down")
        assert said(stand) == [(0.0, (False, expected, 0xFFFFFFF0))]


def overridden(distances: int | None, metrics: int | None, **phyint: int) -> Config:
    """A configuration with Assert metrics for all, and for what is reached over `up` and `rpt`."""
    links = tuple(Phyint(name, **phyint) for name in ("up", "rpt")) if phyint else ()  # type: ignore[arg-type]
    return Config(spt_threshold="infinity", route_distance=distances, route_metric=metrics, phyints=links)


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (overridden(None, None), (110, 77)),
        (overridden(50, None), (50, 77)),
        (overridden(None, 60), (110, 60)),
        (overridden(50, 60), (50, 60)),
        (overridden(50, 60, distance=3, metric=4), (3, 4)),
        (overridden(None, 60, distance=0), (0, 60)),
        (overridden(50, None, metric=0), (50, 0)),
    ],
    ids=["kernel", "distance", "metric", "both", "phyint", "phyint_distance", "phyint_metric"],
)
def test_A4_distance_and_metric_may_be_configured(
    family: Family, spt: bool, config: Config, expected: tuple[int, int]
) -> None:
    stand, source = forwarding(family, spt)
    for target in (source[0], stand.rp):
        stand.r1.handle(evolve(stand.r1.route(target), protocol=188, metric=77))
    stand.configure(route_distance=config.route_distance, route_metric=config.route_metric, phyints=config.phyints)
    stand.data(source, "down")
    assert said(stand) == [(0.0, (not spt, *expected))]


def test_A4_a_connected_source_and_the_rp_itself_keep_0_0_whatever_is_configured(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,), config=overridden(50, 60))
    source, far = stand.near(), stand.far()
    stand.say("Join(*,G)")
    stand.data(source)
    stand.data(source, "down")
    stand.register(far)
    stand.data(far, "down")
    assert said(stand) == [(0.0, (False, 0, 0)), (0.0, (True, 0, 0))]


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A4_what_counts_is_the_interface_towards_the_source_not_that_of_the_assert(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    for target in (source[0], stand.rp):
        stand.r1.handle(evolve(stand.r1.route(target), protocol=188, metric=77))
    stand.configure(
        phyints=(Phyint("down", distance=3, metric=4), Phyint("up" if spt else "rpt", distance=5, metric=6))
    )
    stand.data(source, "down")
    assert said(stand) == [(0.0, (not spt, 5, 6))]


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A4_A13_a_loser_whose_interface_is_configured_better_forgets(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    which, named = (source, source[0]) if spt else (None, family.any)
    stand.hear_assert(named, (not spt, 50, 50))
    towards = "up" if spt else "rpt"
    stand.configure(phyints=(Phyint(towards, distance=51), Phyint("down", distance=1)))
    assert stand.assert_state(which) == "loser"
    stand.configure(phyints=(Phyint(towards, distance=49),))
    assert stand.assert_state(which) == "no_info" and stand.forwards(source) == {"down"}


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A4_A13_a_loser_whose_metric_is_configured_better_forgets(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    which, named = (source, source[0]) if spt else (None, family.any)
    stand.hear_assert(named, (not spt, 50, 50))
    stand.configure(route_distance=51)
    assert stand.assert_state(which) == "loser"
    stand.configure(route_distance=49)
    assert stand.assert_state(which) == "no_info" and stand.forwards(source) == {"down"}


def test_A4_the_rp_itself_and_a_connected_source_say_0_0(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.near()
    stand.say("Join(*,G)")
    stand.data(source)
    stand.data(source, "down")
    far = stand.far()
    stand.register(far)
    stand.data(far, "down")
    assert said(stand) == [(0.0, (False, 0, 0)), (0.0, (True, 0, 0))]


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A5_a_winner_answers_what_is_inferior_and_yields_to_what_is_preferred(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    which, named = (source, source[0]) if spt else (None, family.any)
    stand.data(source, "down")
    stand.run(50)
    stand.hear_assert(named, BAD if spt else RPT_BAD)
    assert len(said(stand)) == 2 and stand.assert_timer(which) == 177
    stand.hear_assert(named, GOOD if spt else RPT_GOOD)
    assert (stand.assert_state(which), stand.assert_timer(which)) == ("loser", 180)
    assert stand.assert_winner(which) == stand.peer("down", 3).address
    assert stand.forwards(source) == set() and len(said(stand)) == 2


def test_A6_T10_T11_a_winner_says_it_again_after_177_s(family: Family) -> None:
    stand, source = forwarding(family)
    stand.data(source, "down")
    for _ in range(6):
        stand.run(30)
        stand.data(source, "up")
    stand.run(176.99 + 177 - 180)
    assert said(stand) == [(0.0, OURS), (177.0, OURS)]
    stand.run(0.01)
    assert said(stand)[2:] == [(354.0, OURS)]


def test_A7_F7_losing_on_the_rpf_interface_sets_the_sptbit(family: Family) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8), down=(2,))
    source = stand.far(by=8)
    stand.say("Join(*,G)", "Join(S,G)")
    stand.hear_assert(source[0], GOOD, by=9, link="up")
    assert (stand.assert_state(source, "up"), stand.assert_timer(source, "up")) == ("loser", 180)
    assert stand.sg(source).spt_bit
    assert stand.sg(source).rpf is not None and stand.sg(source).rpf.address == stand.nine  # type: ignore[union-attr]


def test_A7_a_downstream_loser_keeps_its_bit(family: Family) -> None:
    stand, source = forwarding(family, spt=False)
    stand.hear_assert(source[0], GOOD)
    assert stand.assert_state(source) == "loser" and not stand.sg(source).spt_bit


def test_A7_an_assert_for_a_source_without_state_counts_where_the_shared_tree_is_forwarded(family: Family) -> None:
    stand = AsmStand(family, down=(2, 3), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.hear_assert(source[0], GOOD)
    assert stand.assert_state(source) == "loser"
    assert stand.net.copies("down", stand.data(source, "rpt")) == 0
    other = stand.far(2)
    assert stand.net.copies("down", stand.data(other, "rpt")) == 1


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A8_A19_a_loser_takes_the_interface_out_of_every_entry(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    second = stand.far(2)
    stand.data(second, "rpt")
    stand.hear_assert(*((source[0], GOOD) if spt else (family.any, RPT_GOOD)))
    assert stand.forwards(source) == set()
    assert stand.forwards(second) == ({"down"} if spt else set())
    assert stand.star is not None and stand.star.joined == spt
    assert not stand.sg(source).joined
    stand.run(1)
    assert ("Prune(*,G)" in [word for _, word in stand.told("rpt")]) == (not spt)


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A9_A10_what_refreshes_a_loser(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    which, named, rpt = (source, source[0], False) if spt else (None, family.any, True)
    stand.hear_assert(named, (rpt, 10, 10))
    stand.run(50)
    stand.hear_assert(named, (rpt, 50, 50))
    assert stand.assert_timer(which) == 180, "acceptable, from the winner"
    stand.run(50)
    stand.hear_assert(named, (rpt, 60, 60), by=2)
    assert stand.assert_timer(which) == 130, "acceptable, from somebody else, not preferred"
    stand.hear_assert(named, (rpt, 40, 0), by=2)
    assert stand.assert_timer(which) == 180 and stand.assert_winner(which) == stand.peer("down", 2).address
    if spt:
        stand.run(50)
        stand.hear_assert(named, (True, 0, 0), by=2)
        assert stand.assert_timer(which) in (130, None), "an R=1 Assert does not refresh"


def test_A10_an_r1_assert_that_is_neither_cancel_nor_inferior_changes_nothing(family: Family) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8), down=(2,))
    source = stand.far(by=8)
    stand.say("Join(*,G)", "Join(S,G)")
    stand.hear_assert(source[0], GOOD, by=9, link="up")
    stand.run(50)
    stand.hear_assert(source[0], (True, 5, 5), by=9, link="up")
    assert stand.assert_timer(source, "up") == 130, "mine is infinite there: acceptable, but R=1"


@pytest.mark.parametrize("what", [BAD, CANCEL], ids=["inferior", "cancel"])
@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A11_an_inferior_assert_or_a_cancel_of_the_winner_ends_it(
    family: Family, spt: bool, what: tuple[bool, int, int]
) -> None:
    stand, source = forwarding(family, spt)
    which, named = (source, source[0]) if spt else (None, family.any)
    stand.hear_assert(named, GOOD if spt else RPT_GOOD)
    assert stand.forwards(source) == set()
    stand.hear_assert(named, CANCEL, by=2)
    assert stand.assert_state(which) == "loser", "somebody else's"
    stand.hear_assert(named, what if spt else (True, what[1], what[2]))
    assert stand.assert_state(which) == "no_info"
    assert stand.forwards(source) == {"down"}


def test_A11_on_the_rpf_interface_a_worse_assert_keeps_the_loser_a_cancel_does_not(family: Family) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8), down=(2,))
    source = stand.far(by=8)
    stand.say("Join(*,G)", "Join(S,G)")
    stand.hear_assert(source[0], GOOD, by=9, link="up")
    stand.hear_assert(source[0], (False, 250, 250), by=9, link="up")
    assert stand.assert_state(source, "up") == "loser"
    stand.hear_assert(source[0], CANCEL, by=9, link="up")
    assert stand.assert_state(source, "up") == "no_info"


@pytest.mark.parametrize("what", ["holdtime over", "good-bye", "genid"])
def test_A12_the_end_of_the_winner_ends_it_at_once(family: Family, what: str) -> None:
    stand, source = forwarding(family)
    stand.hello("down", 4, holdtime=20)
    stand.hear_assert(source[0], GOOD, by=4)
    assert stand.assert_state(source) == "loser"
    if what == "genid":
        stand.hello("down", 4, generation_id=0x77)
    elif what == "good-bye":
        stand.hello("down", 4, holdtime=0)
    else:
        stand.run(20)
    assert stand.assert_state(source) == "no_info" and stand.forwards(source) == {"down"}


def test_A13_a_loser_forgets_after_180_s(family: Family) -> None:
    stand, source = forwarding(family)
    stand.hear_assert(source[0], GOOD)
    stand.run(179.99)
    assert stand.assert_state(source) == "loser"
    stand.run(0.01)
    assert stand.assert_state(source) == "no_info"


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A13_a_loser_forgets_when_it_has_no_reason_to_follow(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt, down=(2,))
    which, named = (source, source[0]) if spt else (None, family.any)
    stand.hear_assert(named, GOOD if spt else RPT_GOOD, by=2)
    stand.say("Prune(*,G)", "Prune(S,G)")
    assert stand.assert_state(which) == "no_info"


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A13_a_loser_forgets_when_its_own_metric_becomes_better(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    which, named = (source, source[0]) if spt else (None, family.any)
    stand.hear_assert(named, (not spt, 50, 50))
    target = source[0] if spt else stand.rp
    stand.r1.handle(evolve(stand.r1.route(target), protocol=4, metric=1))
    stand.run(0)
    assert stand.assert_state(which) == "no_info" and stand.forwards(source) == {"down"}


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A13_a_loser_forgets_when_rpf_moves_away(family: Family, spt: bool) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8), down=(2,))
    source = stand.far(by=8)
    stand.say("Join(*,G)", "Join(S,G)")
    stand.say("Join(*,G)", "Join(S,G)", by=8, link="up")  # so that there is a reason to follow all the same
    which, named = (source, source[0]) if spt else (None, family.any)
    stand.hear_assert(named, GOOD if spt else RPT_GOOD, by=9, link="up")
    assert stand.assert_state(which, "up") == "loser"
    stand.r1.static_route(source[0] if spt else stand.rp, "rpt", stand.seven)
    stand.run(0)
    assert stand.assert_state(which, "up") == "no_info"


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A14_a_join_addressed_to_the_loser_ends_it(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt)
    which, named = (source, source[0]) if spt else (None, family.any)
    stand.hear_assert(named, GOOD if spt else RPT_GOOD)
    stand.say("Join(*,G)" if spt else "Join(S,G)")
    assert stand.assert_state(which) == "loser", "a Join of the other entry does not"
    stand.say("Join(S,G)" if spt else "Join(*,G)", to=stand.peer("down", 3).address)
    assert stand.assert_state(which) == "loser", "nor one to somebody else"
    stand.say("Join(S,G)" if spt else "Join(*,G)")
    assert stand.assert_state(which) == "no_info"


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A15_a_winner_that_could_no_longer_assert_cancels(family: Family, spt: bool) -> None:
    stand, source = forwarding(family, spt, down=(2,))
    stand.data(source, "down")
    stand.say("Prune(*,G)", "Prune(S,G)")
    assert said(stand) == [(0.0, OURS if spt else OURS_RPT), (0.0, CANCEL)]
    assert stand.asserts()[-1][1].source == (source[0] if spt else family.any)
    assert stand.assert_state(source if spt else None) == "no_info"


def test_A15_the_bytes_of_a_cancel() -> None:
    cancel = pim.Assert(parse_address("239.1.1.1"), parse_address("192.0.2.5"), *CANCEL)
    data = pim.encode(IPV4, parse_address("10.0.0.1"), IPV4.all_pim_routers, cancel)
    assert data.hex() == "250026d701000020ef0101010100c0000205ffffffffffffffff"


@pytest.mark.parametrize("how", ["shutdown", "disabled", "gone"])
def test_A16_a_winner_cancels_when_it_goes(family: Family, how: str) -> None:
    stand, source = forwarding(family)
    stand.data(source, "down")
    stand.mark()
    if how == "shutdown":
        stand.r1.shutdown()
        assert stand.r1.kernel.contents() == ({}, {}, set(), set(), {})
    elif how == "disabled":
        stand.configure(phyints=(Phyint("down", enabled=False),))
    else:
        stand.r1.detach("down")
    stand.run(0)
    assert said(stand) == ([] if how == "gone" else [(0.0, CANCEL)]), "a link that is gone hears nothing"


def test_A17_one_assert_moves_one_machine(family: Family) -> None:
    stand, source = forwarding(family)
    stand.hear_assert(source[0], GOOD)
    assert stand.assert_state(None) == "no_info"
    stand.hear_assert(source[0], RPT_GOOD, by=2)
    assert (stand.assert_state(source), stand.assert_state(None)) == ("loser", "no_info"), "(S,G) is not NoInfo"
    stand.hear_assert(source[0], CANCEL)
    assert (stand.assert_state(source), stand.assert_state(None)) == ("no_info", "no_info"), "it was not NoInfo"
    stand.hear_assert(family.any, RPT_GOOD)
    assert stand.assert_state(source) == "no_info" and stand.assert_state(None) == "loser"


def test_A17_an_r1_assert_that_names_a_source_without_state_is_for_the_shared_tree(family: Family) -> None:
    stand, source = forwarding(family, spt=False)
    stand.hear_assert(source[0], RPT_GOOD)
    assert (stand.assert_state(source), stand.assert_state(None)) == ("no_info", "loser")
    stand, source = forwarding(family, spt=False)
    other = stand.far(7)
    stand.hear_assert(other[0], RPT_GOOD)
    assert stand.assert_state(None) == "loser"


def test_A18_r0_asserts_never_move_the_star_machine_nor_r1_ones_a_winner(family: Family) -> None:
    stand, source = forwarding(family, spt=False)
    stand.data(source, "down")
    stand.hear_assert(source[0], GOOD)
    assert stand.assert_state(None) == "winner"
    stand, source = forwarding(family)
    stand.data(source, "down")
    stand.hear_assert(source[0], (True, 0, 0))
    assert stand.assert_state(source) == "winner" and len(said(stand)) == 2


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
def test_A20_U9_U10_rpf_prime_is_the_winner_until_no_info(family: Family, spt: bool) -> None:
    stand = AsmStand(family, rp="up", up=(9, 8, 6), down=(2,))
    source = stand.far(by=9)
    stand.say("Join(*,G)", "Join(S,G)", holdtime=0xFFFF)
    eight = stand.peer("up", 8).address
    named, join = (source[0], "Join(S,G)") if spt else (family.any, "Join(*,G)")
    stand.run(10)
    stand.mark()
    stand.hear_assert(named, GOOD if spt else RPT_GOOD, by=8, link="up")
    stand.run(2.5)
    assert join in [word for _, word in stand.told("up", to=eight)], "within t_override"
    assert "Prune" + join[4:] not in [word for _, word in stand.told("up", to=stand.nine)], "no Prune to the old"
    stand.mark()
    six = stand.peer("up", 6).address
    stand.r1.static_route(source[0] if spt else stand.rp, "up", six)
    stand.run(0)
    assert stand.told("up", to=six) == [], "a route's change is not seen while the winner stands (U10)"
    entry = stand.sg(source) if spt else stand.star
    assert entry is not None and entry.rpf is not None and entry.rpf.address == eight
    stand.hear_assert(named, CANCEL, by=8, link="up")
    assert entry.rpf.address == six


def test_A21_the_winner_serves_members_though_it_is_not_the_dr(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.member()
    stand.hello("down", 2, dr_priority=9)
    stand.data(source, "rpt")
    stand.data(source, "down")
    assert stand.assert_state(None) == "winner"
    stand.say("Prune(*,G)")
    assert stand.forwards(source) == {"down"} and stand.assert_state(None) == "winner"


def test_A21_F19_the_winner_spares_members_what_they_exclude(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(*,G)")
    host = stand.member()
    stand.hello("down", 2, dr_priority=9)
    stand.data(source, "rpt")
    stand.data(source, "down")
    stand.say("Prune(*,G)")
    assert stand.assert_state(None) == "winner" and stand.forwards(source) == {"down"}
    host.want_any(stand.group(), source[0])
    stand.run(5)
    assert stand.forwards(source) == set(), "pim_exclude(S,G) holds for the winner as it does for a DR"


def test_A21_the_dr_that_lost_does_not(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.member()
    stand.data(source, "rpt")
    assert stand.i_am_dr() and stand.forwards(source) == {"down"}
    stand.hear_assert(family.any, RPT_GOOD, by=2)
    assert stand.forwards(source) == set() and stand.star is not None and not stand.star.joined


def test_A22_strangers_and_ourselves_are_not_heard(family: Family) -> None:
    stand, source = forwarding(family)
    stand.hear_assert(source[0], GOOD, by=44)
    assert stand.assert_state(source) == "no_info" and stand.counted("assert_non_nbr", "assert") == 1
    message = pim.Assert(source[1], source[0], *GOOD)
    stand.peer("down", 3).send(message, source=stand.us())
    stand.run(0)
    assert stand.assert_state(source) == "no_info" and stand.counted("own_packet", "assert") == 1


def test_A25_a_worse_assert_is_answered(family: Family) -> None:
    for metric in (BAD, RPT_GOOD, CANCEL):
        stand, source = forwarding(family)
        stand.hear_assert(source[0], metric)
        assert (stand.assert_state(source), stand.assert_timer(source)) == ("winner", 177)
        assert said(stand) == [(0.0, OURS)] and stand.assert_state(None) == "no_info"


def test_A25_so_is_one_for_the_shared_tree(family: Family) -> None:
    stand, source = forwarding(family, spt=False)
    stand.hear_assert(family.any, RPT_BAD)
    assert (stand.assert_state(None), stand.assert_timer(None)) == ("winner", 177)
    assert said(stand) == [(0.0, OURS_RPT)] and stand.asserts()[0][1].source == family.any
    assert stand.forwards(source) == {"down"}


def test_A26_an_acceptable_r1_assert_makes_a_loser_of_the_shared_tree(family: Family) -> None:
    stand, source = forwarding(family, spt=False)
    stand.hear_assert(family.any, RPT_GOOD)
    assert (stand.assert_state(None), stand.assert_timer(None)) == ("loser", 180)
    assert stand.assert_winner(None) == stand.peer("down", 3).address and not stand.sg(source).spt_bit


def test_S6_A1_a_channel_of_the_ssm_range_asserts_too(family: Family) -> None:
    stand = AsmStand(family)
    channel = stand.far()[0], parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    stand.data(channel, "down")
    assert stand.assert_state(channel) == "winner" and said(stand)[-1][1] == OURS
    stand.peer("down", 3).send(pim.Assert(channel[1], channel[0], *GOOD))
    stand.run(0)
    assert stand.assert_state(channel) == "loser" and stand.forwards(channel) == set()
