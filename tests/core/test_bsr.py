"""Conformance group B, the election: checks, states, timers, what is forwarded (RFC 5059 3.1, 3.4, 3.5, 6.3)."""

from __future__ import annotations

from typing import Any

import pytest
from bsr_stand import BsrStand
from digest import digest
from network import START

from pimpy.config.model import Config, Phyint
from pimpy.core.pim.bsr import BsrTimes, rand_override
from pimpy.wire.bootstrap import Bootstrap
from pimpy.wire.family import IPV4, IPV6, Family, parse_address, parse_prefix
from pimpy.wire.record import evolve


def dropped(stand: BsrStand, reason: str, **how: object) -> None:
    """A Bootstrap message is dropped, counted, and changes nothing at all (B2)."""
    bsr, rp = stand.behind(9), stand.behind(20)
    stand.run(0.5)
    before, counted = digest(stand.router), stand.refused(reason)
    settings = {"hash_mask_length": 8, **how}
    stand.hear(settings.pop("bsr", bsr), stand.listed(stand.everything, rp), **settings)  # type: ignore[arg-type]
    assert digest(stand.router) == before
    assert stand.refused(reason) == counted + 1
    assert [stand.bsms(link) for link in ("up", "down", "rpt")] == [[], [], []]


def test_B1_B2_TH49_from_nobody_we_have_hello_state_for(family: Family) -> None:
    stand = BsrStand(family)
    dropped(stand, "bsm_non_nbr", by=77)
    stand.peer("up", 77).hello()
    stand.hear(stand.behind(8, by=77), stand.listed(stand.everything, stand.behind(20)), by=77)
    assert stand.rp_of() == stand.behind(20), "the same with a Hello before it is taken"


def test_B1_B2_TH50_not_from_the_rpf_neighbour_towards_the_bsr(family: Family) -> None:
    stand = BsrStand(family)
    dropped(stand, "bsm_rpf", by=2, link="down")
    dropped(stand, "bsm_rpf", bsr=parse_address("10.77.0.1" if family.size == 4 else "2001:db8:77::1"))
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.mark()
    dropped(stand, "bsm_rpf", by=2, link="down")
    assert stand.rp_of() == stand.behind(20)


def test_the_state_of_a_zone_is_as_old_as_the_router_at_most(family: Family) -> None:
    """`show bsr`: the global zone is there before the clock is known."""
    stand = BsrStand(family, started=100.0)
    assert stand.row("bsr", row="zone", zone="global").up_time == stand.net.now - START
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.run(5.0)
    assert 4.5 < stand.row("bsr", row="zone", zone="global").up_time <= 5.0


def test_B1_N20_a_route_that_names_only_a_point_to_point_interface_leads_to_the_far_end(family: Family) -> None:
    stand = BsrStand(family, p2p=True)
    beyond = stand.behind(1)
    stand.r1.static_route(beyond, "up", None)
    stand.hear(beyond, stand.listed(stand.everything, stand.behind(20)))
    assert stand.bsr() == beyond
    stand = BsrStand(family, p2p=True)
    stranger = stand.net.address("up", 77)
    stand.hear(stranger, stand.listed(stand.everything, stand.behind(20)))
    assert stand.bsr() is None, "it is on the link itself, and the far end is not it"


def test_B1_my_own_message_that_comes_back_is_dropped(family: Family) -> None:
    stand = BsrStand(family)
    stand.elected()
    stand.run(30)
    sent = stand.bsms()[-1][1]
    stand.mark()
    dropped(stand, "bsm_rpf", bsr=sent.bsr, by=2, link="down")


def test_B1_TH51_B3_unicast_is_dropped_unless_it_is_enabled(family: Family) -> None:
    stand = BsrStand(family, started=0)
    dropped(stand, "bsm_unicast", to=stand.us("up"))
    dropped(stand, "bad_dest", to=stand.peer("up", 3).address)
    stand.configure(unicast_bsm=True)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), to=stand.us("up"))
    assert stand.rp_of() == stand.behind(20) and stand.state() == "accept_preferred"
    assert stand.bsms("down") == [], "never forwarded"
    dropped(stand, "bsm_unicast_late", to=stand.us("up"))


@pytest.mark.parametrize("how", ["no_forward", "unicast"])
def test_B3_TH51_a_quick_refresh_counts_within_bs_period_of_the_start_only(family: Family, how: str) -> None:
    for started, taken in ((39.0, True), (41.0, False)):
        stand = BsrStand(family, config=Config(unicast_bsm=True), started=started)  # 20 s have passed before
        settings = {"no_forward": True} if how == "no_forward" else {"to": stand.us("down")}
        bsr, rp = stand.behind(9), stand.behind(20)
        message = stand.hear(bsr, stand.listed(stand.everything, rp), by=2, link="down", **settings)
        assert (stand.rp_of() == rp) is taken, "and is not RPF-checked"
        assert stand.refused("bsm_unicast_late") == (not taken)
        assert [stand.bsms(link) for link in ("up", "down", "rpt")] == [[], [], []], "and never forwarded"
        assert not taken or stand.timer() == 130
        assert message.no_forward is (how == "no_forward")


def test_B3_a_quick_refresh_after_any_accepted_message_is_dropped(family: Family) -> None:
    stand = BsrStand(family, started=0)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.mark()
    dropped(stand, "bsm_unicast_late", no_forward=True)


def test_B3_all_fragments_of_a_quick_refresh_are_taken(family: Family) -> None:
    stand = BsrStand(family, started=0)
    bsr, rp = stand.behind(9), stand.behind(20)
    ranges = [stand.range(f"239.{n}.0.0/16", f"ff1e:{n}::/32") for n in (1, 2)]
    for prefix in ranges:
        stand.hear(bsr, stand.listed(prefix, rp), no_forward=True, fragment_tag=7, by=2, link="down")
    assert [bool(stand.mapped(prefix)) for prefix in ranges] == [True, True]
    stand.hear(bsr, stand.listed(stand.everything, rp), no_forward=True, fragment_tag=8, by=2, link="down")
    assert not stand.mapped() and stand.refused("bsm_unicast_late") == 1


def test_B4_accept_any_takes_the_first_whatever_its_weight(family: Family) -> None:
    stand = BsrStand(family)
    assert stand.state() == "accept_any" and stand.timer() is None
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), priority=0)
    assert (stand.state(), stand.timer(), stand.bsr()) == ("accept_preferred", 130, stand.behind(9))


def test_B4_accept_preferred_takes_equal_or_higher_weight_only(family: Family) -> None:
    stand = BsrStand(family)
    rps = [stand.behind(20 + n) for n in range(4)]
    stand.hear(stand.behind(9), stand.listed(stand.everything, rps[0]), priority=64)
    stand.run(10)
    for bsr, priority in ((stand.behind(8), 64), (stand.behind(10), 63)):
        stand.mark()
        dropped_state = digest(stand.router)
        stand.hear(bsr, stand.listed(stand.everything, rps[1]), priority=priority)
        assert digest(stand.router) == dropped_state and stand.bsms() == [], "neither stored nor forwarded"
    assert stand.timer() == 120
    for bsr, priority, rp in (
        (stand.behind(9), 64, rps[1]),
        (stand.behind(10), 64, rps[2]),
        (stand.behind(8), 65, rps[3]),
    ):
        stand.run(1)
        stand.mark()
        sent = stand.hear(bsr, stand.listed(stand.everything, rp), priority=priority)
        assert (stand.bsr(), stand.timer(), stand.rp_of()) == (bsr, 130, rp)
        assert stand.bsms() == [(0.0, sent)]


def test_B4_a_lower_priority_of_the_current_bsr_is_taken_and_kept(family: Family) -> None:
    stand = BsrStand(family)
    bsr, rp = stand.behind(9), stand.behind(20)
    stand.hear(bsr, stand.listed(stand.everything, rp), priority=100)
    stand.run(5)
    stand.hear(bsr, stand.listed(stand.everything, rp), priority=10)
    assert stand.zone().current == (10, bsr) and stand.timer() == 130
    stand.hear(stand.behind(8), stand.listed(stand.everything, rp), priority=11)
    assert stand.bsr() == stand.behind(8)


def test_B5_a_silent_bsr_is_forgotten_and_its_mappings_live_on(family: Family) -> None:
    stand = BsrStand(family)
    bsr, rp = stand.behind(9), stand.behind(20)
    stand.hear(bsr, stand.listed(stand.everything, (rp, 0, 140)))
    stand.run(129.999)
    assert stand.bsr() == bsr and stand.mapped()[rp][1] == pytest.approx(10.001, abs=0.01)
    stand.run(0.001)
    assert (stand.state(), stand.bsr(), stand.timer()) == ("accept_any", None, None)
    assert stand.mapped()[rp][1] == 140, "the RP-Set is refreshed once from the stored message"
    stand.run(139.999)
    assert stand.rp_of() == rp
    stand.run(0.001)
    assert stand.rp_of() is None, "until their own hold time is over"


def test_B6_a_candidate_begins_pending_and_is_elected_after_bs_rand_override(family: Family) -> None:
    stand = BsrStand(family)
    stand.stand_for_bsr()
    assert (stand.state(), stand.timer()) == ("pending", 5.0)
    stand.run(4.999)
    assert stand.state() == "pending" and stand.bsms() == []
    stand.run(0.001)
    assert (stand.state(), stand.timer(), stand.bsr()) == ("elected", 60, stand.me)
    assert [(when, m.priority, m.bsr, m.ranges) for when, m in stand.bsms()] == [(5.0, 64, stand.me, ())]


def test_B6_pending_a_preferred_message_makes_a_candidate(family: Family) -> None:
    stand = BsrStand(family)
    stand.stand_for_bsr()
    sent = stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), priority=65)
    assert (stand.state(), stand.timer(), stand.rp_of()) == ("candidate", 130, stand.behind(20))
    assert [m for _, m in stand.bsms()] == [sent]


def test_B6_pending_a_weaker_message_is_forwarded_not_stored_and_the_timer_runs_on(family: Family) -> None:
    stand = BsrStand(family)
    stand.stand_for_bsr()
    stand.run(2)
    sent = stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), priority=63)
    assert (stand.state(), stand.timer(), stand.rp_of(), stand.bsr()) == ("pending", 3.0, None, None)
    assert [m for _, m in stand.bsms()] == [sent]


def test_B6_pending_its_own_weight_stands_for_the_current_one(family: Family) -> None:
    stand = BsrStand(family)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), priority=200)
    stand.stand_for_bsr(priority=64)
    assert stand.state() == "pending"
    stand.hear(stand.behind(8), stand.listed(stand.everything, stand.behind(20)), priority=100)
    assert (stand.state(), stand.bsr()) == ("candidate", stand.behind(8)), "though the one before had more weight"


def test_B7_elected_originates_every_bs_period(family: Family) -> None:
    stand = BsrStand(family)
    stand.elected()
    stand.run(200)
    assert [when for when, _ in stand.bsms()] == [0.0, 60.0, 120.0, 180.0]


@pytest.mark.parametrize(("after", "answered"), [(3.0, 10.0), (30.0, 30.0)])
def test_B7_B13_elected_answers_a_weaker_message_at_once_or_ten_seconds_after_the_last(
    family: Family, after: float, answered: float
) -> None:
    stand = BsrStand(family)
    stand.elected()
    stand.run(after)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), priority=63)
    stand.run(90)
    assert [when for when, _ in stand.bsms()] == [0.0, answered, answered + 60]
    assert stand.rp_of() is None and stand.state() == "elected"


def test_B7_elected_gives_way_to_more_weight(family: Family) -> None:
    stand = BsrStand(family)
    stand.elected()
    stand.offer(stand.behind(30), stand.everything)
    stand.mark()
    sent = stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), priority=65)
    assert (stand.state(), stand.timer(), stand.rp_of()) == ("candidate", 130, stand.behind(20))
    assert [m for _, m in stand.bsms()] == [sent]
    stand.run(129)
    assert [m for _, m in stand.bsms()] == [sent], "nothing of its own any more"


def test_B8_a_candidate_whose_bsr_is_silent_stands_again(family: Family) -> None:
    stand = BsrStand(family)
    bsr, rp = stand.behind(9), stand.behind(20)
    stand.stand_for_bsr(priority=64)
    stand.hear(bsr, stand.listed(stand.everything, (rp, 0, 140)), priority=100)
    stand.run(130)
    delay = rand_override(family, (64, stand.me), (100, bsr))
    assert stand.state() == "pending" and stand.timer() == pytest.approx(delay, abs=0.01) and 5 < delay < 23
    assert stand.mapped()[rp][1] == 140, "the mappings outlive the election"
    stand.run(delay)
    assert stand.state() == "elected" and stand.rp_of() == rp


def test_B8_the_elected_bsr_got_weaker_than_we_are(family: Family) -> None:
    stand = BsrStand(family)
    bsr, rp = stand.behind(9), stand.behind(20)
    stand.stand_for_bsr(priority=64)
    stand.hear(bsr, stand.listed(stand.everything, rp), priority=100)
    stand.run(5)
    stand.mark()
    sent = stand.hear(bsr, stand.listed(stand.everything, stand.behind(21)), priority=0)
    assert stand.state() == "pending" and 5 <= (stand.timer() or 0) <= 23
    assert [m for _, m in stand.bsms()] == [sent] and stand.rp_of() == rp, "forwarded, not stored"
    stand.run(stand.timer() or 0)
    assert stand.state() == "elected"


def test_B8_the_elected_bsr_got_weaker_but_not_weaker_than_we_are(family: Family) -> None:
    stand = BsrStand(family)
    bsr = stand.behind(9)
    stand.stand_for_bsr(priority=64)
    stand.hear(bsr, stand.listed(stand.everything, stand.behind(20)), priority=100)
    stand.hear(bsr, stand.listed(stand.everything, stand.behind(21)), priority=65)
    assert (stand.state(), stand.zone().current, stand.rp_of()) == ("candidate", (65, bsr), stand.behind(21))


def test_B8_a_candidate_ignores_a_weaker_message_of_anybody_else(family: Family) -> None:
    stand = BsrStand(family)
    stand.stand_for_bsr(priority=64)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), priority=100)
    stand.run(5)
    stand.mark()
    before = digest(stand.router)
    stand.hear(stand.behind(8), stand.listed(stand.everything, stand.behind(21)), priority=99)
    assert digest(stand.router) == before and stand.bsms() == []


def test_B9_TH58_forwarded_on_every_interface_with_neighbours_unchanged(family: Family) -> None:
    stand = BsrStand(family)
    stand.net.links["down"].mtu = 600
    rps = [stand.behind(20 + n) for n in range(40)]
    sent = stand.hear(stand.behind(9), stand.listed(stand.everything, *rps))
    for link in ("up", "down", "rpt"):
        spoken = [(packet, m) for _, packet, m in stand.net.links[link].spoken("r1") if isinstance(m, Bootstrap)]
        assert [m for _, m in spoken] == [sent], f"{link}: whole, whatever the MTU"
        packet = spoken[0][0]
        assert packet.source == stand.us(link) and packet.ttl == 1
        assert packet.destination == family.all_pim_routers
    assert stand.bsms("src") == [], "nobody is there"


def test_B17_a_new_neighbour_is_told_by_the_dr_after_its_hello(family: Family) -> None:
    stand = BsrStand(family)
    message = stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.mark()
    stand.peer("down", 4).hello()  # 5, we, stay the DR
    stand.run(7)
    (hello_at, _), *_ = stand.hellos()
    assert stand.bsms() == [(round(hello_at, 3), evolve(message, no_forward=True))] and hello_at <= 5
    assert stand.bsms("up") == stand.bsms("rpt") == []


def test_B17_a_neighbour_that_restarted_is_told(family: Family) -> None:
    stand = BsrStand(family)
    message = stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.mark()
    stand.hello("down", 2, generation_id=4711)
    stand.run(7)
    assert [m for _, m in stand.bsms()] == [evolve(message, no_forward=True)]


def test_B17_only_the_dr_tells_or_who_would_be_if_the_newcomer_were_not(family: Family) -> None:
    for others, tells in (((2,), True), ((2, 8), False)):
        stand = BsrStand(family, down=others)
        message = stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
        stand.mark()
        stand.peer("down", 200).hello()
        stand.run(7)
        assert not stand.i_am_dr()
        assert [m for _, m in stand.bsms()] == ([evolve(message, no_forward=True)] if tells else [])


def test_B17_the_elected_bsr_tells_its_own_message(family: Family) -> None:
    stand = BsrStand(family)
    stand.elected()
    stand.offer(stand.behind(20), stand.everything)
    stand.run(12)
    told = stand.bsms()[-1][1]
    stand.mark()
    stand.peer("down", 4).hello()
    stand.run(7)
    assert [m for _, m in stand.bsms()] == [evolve(told, no_forward=True)]


def test_B20_bsr_border_nothing_is_sent_and_nothing_accepted(family: Family) -> None:
    stand = BsrStand(family, config=Config(phyints=(Phyint("up", bsr_border=True), Phyint("rpt", bsr_border=True))))
    dropped(stand, "bsm_border")
    bsr = stand.behind(9, by=2, link="down")
    stand.hear(bsr, stand.listed(stand.everything, stand.behind(20)), by=2, link="down")
    assert len(stand.bsms("down")) == 1 and stand.bsms("up") == stand.bsms("rpt") == []
    stand.peer("up", 4).hello()
    stand.run(7)
    assert stand.bsms("up") == [], "nor is a newcomer told"


def test_Y1_a_filter_says_who_may_be_bsr(family: Family) -> None:
    allowed = parse_prefix("10.6.0.8/32" if family.size == 4 else "2001:db8:6::8/128")
    stand = BsrStand(family, config=Config(bsr_filter=(allowed,)))
    dropped(stand, "bsm_filtered")
    stand.hear(stand.behind(8), stand.listed(stand.everything, stand.behind(20)))
    assert stand.bsr() == stand.behind(8)


def test_bsm_timer_priority_a_changed_candidacy_is_told_at_once(family: Family) -> None:
    stand = BsrStand(family)
    stand.elected(priority=64)
    stand.run(20)
    stand.stand_for_bsr(priority=10)
    assert stand.state() == "elected" and [m.priority for _, m in stand.bsms()] == [64, 10]
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)), priority=11)
    assert stand.state() == "candidate"


def test_the_address_goes_and_the_candidacy_goes_with_it(family: Family) -> None:
    stand = BsrStand(family)
    stand.elected()
    stand.run(20)
    port = stand.r1.ports["src"]
    kept = tuple((address, bits) for address, bits in port.addresses if address != stand.me)
    port.readdress(*kept)
    stand.run(0)
    assert stand.state() == "accept_any" and stand.bsr() is None
    assert [m.priority for _, m in stand.bsms()] == [64, 0], "it leaves gracefully"
    stand.run(100)
    assert len(stand.bsms()) == 2
    port.readdress(*stand.net.addresses("src", 5))
    stand.run(6)
    assert stand.state() == "elected"


@pytest.mark.parametrize(
    ("mine", "stored", "seconds"),
    [
        (("10.0.0.9", 64), None, 5.0),
        (("10.0.0.9", 64), ("10.0.0.9", 64), 5.0),
        (("10.0.0.1", 64), ("10.0.0.9", 64), 5.198),
        (("10.0.0.1", 0), ("10.0.0.9", 255), 22.922),
        (("192.0.2.1", 64), ("10.0.0.9", 100), 15.919),
        (("::1", 64), ("::9", 64), 5.050),
        (("2001:db8::1", 64), ("::9", 100), 17.169),
    ],
)
def test_T20_B6_BS_Rand_Override(mine: tuple[str, int], stored: tuple[str, int] | None, seconds: float) -> None:
    family = IPV6 if ":" in mine[0] else IPV4
    weight = (mine[1], parse_address(mine[0]))
    other = None if stored is None else (stored[1], parse_address(stored[0]))
    assert rand_override(family, weight, other) == pytest.approx(seconds, abs=0.001)


def test_T20_BS_Rand_Override_is_never_outside_5_to_23_seconds(family: Family) -> None:
    addresses = [bytes(family.size), bytes(family.size - 1) + b"\1", b"\xff" * family.size, b"\x7f" * family.size]
    for mine in addresses:
        for other in addresses:
            for priority in (0, 1, 64, 254, 255):
                for best in (0, 1, 64, 254, 255):
                    assert 5 <= rand_override(family, (priority, mine), (best, other)) <= 23


def test_T17_T18_T19_T21_the_values_follow_from_bs_period() -> None:
    for period, timeout, pause, zone in (
        (60.0, 130.0, 10.0, 1300.0),
        (30.0, 70.0, 5.0, 700.0),
        (600.0, 1210.0, 10.0, 12100.0),
    ):
        times = BsrTimes(period)
        assert (times.period, times.timeout, times.min_interval, times.zone_timeout) == (period, timeout, pause, zone)


def test_T23_default_priority_and_hash_masks(family: Family) -> None:
    from pimpy.config.native import parse

    model = parse("bsr-candidate\nrp-candidate\n").model
    assert model is not None
    assert (model.bsr_candidates[0].priority, model.rp_candidates[0].priority) == (64, 192)
    stand = BsrStand(family)
    stand.configure(bsr_candidates=model.bsr_candidates)
    stand.run(6)
    message = stand.bsms()[-1][1]
    assert message.hash_mask_length == (30 if family.size == 4 else 126)
    assert message.bsr == max(stand.net.address(link, 5) for link in stand.r1.ports), "the highest of ours"


def test_B13_an_offer_that_is_repeated_causes_no_message_and_one_that_differs_does(family: Family) -> None:
    stand = BsrStand(family)
    stand.elected()
    rp = stand.behind(20)
    stand.offer(rp, stand.everything, priority=9)
    stand.run(20)
    changes: tuple[dict[str, Any], ...] = ({"priority": 8}, {"priority": 8, "holdtime": 200})
    for change in changes:
        before = {"priority": 9} if change == changes[0] else changes[0]
        stand.mark()
        stand.offer(rp, stand.everything, **before)
        stand.run(1)
        assert stand.bsms() == []
        stand.offer(rp, stand.everything, **change)
        stand.run(0)
        ((_, message),) = stand.bsms()
        (entry,) = message.ranges[0].rps
        assert (entry.priority, entry.holdtime) == (8, change.get("holdtime", 150))
        stand.run(20)
