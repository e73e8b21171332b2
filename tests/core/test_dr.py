"""Conformance rows N8 to N11, F17 and T16: the DR (RFC 7761 4.3.2) and neighbours that restart (4.3.1)."""

from __future__ import annotations

from itertools import product

import pytest
from stand import US, Stand

from pimpy.config.model import Config, Phyint
from pimpy.wire.family import Family, parse_address
from pimpy.wire.pim import LanPruneDelay
from pimpy.wire.record import evolve

HIGHEST = 2**32 - 1


def dr_by_the_rfc(mine: tuple[int | None, int], neighbors: list[tuple[int | None, int]]) -> tuple[int | None, int]:
    """DR(I) of RFC 7761 4.3.2, its two functions word for word; routers are (dr_priority, primary_ip_address)."""
    someone_says_none = any(priority is None for priority, _ in neighbors)

    def dr_is_better(a: tuple[int | None, int], b: tuple[int | None, int]) -> bool:
        if someone_says_none:
            return a[1] > b[1]
        assert a[0] is not None and b[0] is not None
        return a[0] > b[0] or (a[0] == b[0] and a[1] > b[1])

    dr = mine
    for neighbor in neighbors:
        if dr_is_better(neighbor, dr):
            dr = neighbor
    return dr


def elected(stand: Stand) -> int:
    """The number of the DR on `down`."""
    return parse_address(stand.row("interfaces", interface="down").dr_address)[-1]


@pytest.mark.parametrize("mine", [1, 0, HIGHEST])
def test_N9_T16_the_dr_has_the_highest_priority_then_the_highest_address(family: Family, mine: int) -> None:
    config = Config(phyints=(Phyint("down", dr_priority=mine),))
    for lower, higher in product((None, 0, 1, 2, 2**31, HIGHEST), repeat=2):
        stand = Stand(family, up=(), down=(), config=config, warm_up=0.0)
        stand.peer("down", 2).hello(dr_priority=lower)
        stand.peer("down", 9).hello(dr_priority=higher)
        stand.run(0)
        _, number = dr_by_the_rfc((mine, US), [(lower, 2), (higher, 9)])
        assert elected(stand) == number, (lower, higher)
        assert stand.i_am_dr() == (number == US)


def test_N9_our_own_priority_is_1_and_alone_we_are_the_dr(family: Family) -> None:
    stand = Stand(family, up=(), down=(), warm_up=0.0)
    assert stand.i_am_dr() and stand.row("interfaces", interface="down").dr_priority == 1
    stand.peer("down", 2).hello(dr_priority=1)
    stand.run(0)
    assert stand.i_am_dr(), "5 is higher than 2"
    stand.peer("down", 6).hello(dr_priority=1)
    stand.run(0)
    assert not stand.i_am_dr() and elected(stand) == 6


def with_a_member(family: Family, **settings: object) -> Stand:
    """A member on `down`, of which number 9 is the DR."""
    stand = Stand(family, down=(9,), **settings)  # type: ignore[arg-type]
    source, group = stand.channel()
    stand.host().join(group, source)
    stand.run(2)
    stand.mark()
    return stand


def test_N10_F17_who_is_not_the_dr_keeps_its_members_and_serves_them_not(family: Family) -> None:
    stand = with_a_member(family)
    assert not stand.i_am_dr()
    stand.run(300)
    assert stand.entry(stand.channel()) is not None, "stored"
    assert stand.forwards(stand.channel()) == set() and not stand.said()
    assert stand.row("mroute", row="outgoing").member is False


@pytest.mark.parametrize("cause", ["good-bye", "timeout", "lower priority", "own priority", "no priority"])
def test_N10_F18_a_new_dr_joins_at_once_for_the_members_it_has_stored(family: Family, cause: str) -> None:
    stand = with_a_member(family)
    nine, channel = stand.peer("down", 9), stand.channel()
    when = 0.0
    if cause == "good-bye":
        nine.hello(holdtime=0)
    elif cause == "timeout":
        nine.hello(holdtime=7)
        when = 7.0
    elif cause == "lower priority":
        nine.hello(dr_priority=0)
    elif cause == "own priority":
        stand.r1.configure(phyints=(Phyint("down", dr_priority=2),))
    else:
        stand.peer("down", 2).hello(dr_priority=None)
        nine.hello(holdtime=0)
    stand.run(when)
    assert stand.i_am_dr()
    assert stand.said(to=stand.nine) == [(when, "join", channel)]
    assert stand.forwards(channel) == {"down"}


def test_N10_our_own_change_of_address_elects_anew(family: Family) -> None:
    stand = Stand(family, down=(3,))
    source, group = stand.channel()
    stand.host().join(group, source)
    stand.run(0)
    assert stand.i_am_dr()
    for number, mine in ((2, False), (4, True)):
        stand.r1.ports["down"].readdress((stand.net.link_local("down", number), stand.net.subnet_bits))
        stand.run(0)
        assert stand.i_am_dr() == mine
        assert stand.forwards((source, group)) == ({"down"} if mine else set())


def test_N10_a_changed_priority_is_told_at_once(family: Family) -> None:
    stand = Stand(family)
    stand.r1.configure(phyints=(Phyint("down", dr_priority=7),))
    stand.run(0)
    assert [(when, hello.dr_priority) for when, hello in stand.hellos()] == [(0.0, 7)]
    assert stand.hellos("up") == [], "only where it changed"


def test_N11_F17_who_stops_being_dr_drops_what_it_did_as_dr_at_once(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()
    stand.host().join(group, source)
    stand.run(0)
    assert stand.forwards((source, group)) == {"down"} and stand.said() == [(0.0, "join", (source, group))]
    stand.run(3)
    stand.mark()
    stand.peer("down", 9).hello()
    stand.run(0)
    assert stand.forwards((source, group)) == set()
    assert stand.said(to=stand.nine) == [(0.0, "prune", (source, group))]


def test_N11_what_a_downstream_router_joined_stays(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.host().join(channel[1], channel[0])
    stand.run(0)
    stand.peer("down", 9).hello()
    stand.run(0)
    assert not stand.i_am_dr() and stand.forwards(channel) == {"down"} and not stand.said()


# Neighbours that restart.


def test_N8_U7_a_changed_genid_replaces_all_that_was_said(family: Family) -> None:
    stand = Stand(family, down=())
    nine = stand.peer("down", 9)
    nine.hello(addresses=(stand.net.address("down", 91),), lan_prune_delay=LanPruneDelay(True, 900, 9000))
    stand.run(0)
    assert not stand.i_am_dr()
    nine.hello(generation_id=0x9999, dr_priority=0, lan_prune_delay=None, addresses=None, holdtime=50)
    stand.run(0)
    row = stand.row("neighbors", interface="down")
    assert (row.gen_id, row.dr_priority, row.lan_prune_delay, row.secondary_addresses) == (0x9999, 0, False, "")
    assert row.expiration == 50
    assert stand.i_am_dr(), "and the DR is elected again"
    assert "genid_change" in stand.r1.reasons()


def test_N8_U7_joins_through_it_are_repeated_within_t_override(family: Family) -> None:
    delays = []
    for seed in range(20):
        stand = Stand(family, up=(9, 8), seed=seed)
        channels = stand.joined(1, 2)
        other = stand.channel(3)
        stand.r1.static_route(other[0], "up", stand.peer("up", 8).address)
        stand.peer("down", 2).join(stand.us(), other)
        stand.run(1)
        stand.mark()
        stand.peer("up", 9).hello(generation_id=0x9999)
        stand.run(3)
        said = stand.said(to=stand.nine)
        assert sorted(channel for _, _, channel in said) == sorted(channels)
        assert {verb for _, verb, _ in said} == {"join"}
        assert all(0 <= when <= 2.5 for when, _, _ in said)
        assert not stand.said(to=stand.peer("up", 8).address), "the other neighbour lost nothing"
        delays += [when for when, _, _ in said]
    assert min(delays) < 0.5 and max(delays) > 2.0, "rand(0, 2.5)"


def test_N8_U7_the_same_genid_changes_nothing(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.run(1)
    before = stand.join_timer(channel)
    stand.peer("up", 9).hello()
    stand.run(0)
    assert stand.join_timer(channel) == before == pytest.approx(59)


def test_U7_a_join_timer_that_is_shorter_stays(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.run(59.999)
    stand.peer("up", 9).hello(generation_id=0x9999)
    stand.run(0.001)
    assert [when for when, _, _ in stand.said()] == [60.0] and stand.join_timer(channel) == 60


def test_TH19_N7_a_join_between_two_answers_has_its_hello_in_front(family: Family) -> None:
    stand = Stand(family)
    nine = stand.peer("up", 9)
    nine.hello(generation_id=0x7001)
    stand.run(4.9)
    nine.hello(generation_id=0x7002)
    stand.run(0)
    stand.mark()
    stand.peer("down", 2).join(stand.us(), stand.channel())
    stand.run(0)
    assert [type(message).__name__ for _, message in stand.up.pim("r1")] == ["Hello", "JoinPrune"]


def test_TH19_restarts_that_follow_too_soon_are_answered_together(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    nine = stand.peer("up", 9)
    stand.run(1)
    stand.mark()
    for genid in range(40):
        nine.hello_said = evolve(nine.hello_said, generation_id=0x7000 + genid)
        nine.hello()
        stand.run(0.1)
        assert stand.row("neighbors", interface="up").gen_id == 0x7000 + genid, "its state follows always"
    stand.run(20)
    joins = [when for when, _, _ in stand.said(to=stand.nine)]
    assert len(joins) == 2 and joins[0] <= 2.5 and 5 <= joins[1] <= 7.5, "one now, one for all that followed"
    assert stand.counted("genid_suppressed", "hello") == 39
    assert stand.r1.reasons().count("genid_change") == 1
    assert len(stand.hellos("up")) <= 5, "two triggered, one before each Join (N7), one periodic"
    assert stand.forwards(channel) == {"down"}
