"""Conformance rows Y2, Y3, Y4 and TH43, TH48: what is new is refused at a limit, what stands stays, it is counted."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from digest import digest
from speakers import group_sets
from stand import Stand

from pimpy.config.model import Config
from pimpy.core.engine.events import NoCache, PacketReceived
from pimpy.core.pim.limits import MAX_SHARES, Bucket, Shares
from pimpy.wire import pim
from pimpy.wire.family import Family, parse_address
from pimpy.wire.join_prune import STAR_G, GroupSet, JoinPrune
from pimpy.wire.record import evolve

# The bucket itself.


def test_Y4_a_bucket_holds_a_seconds_worth() -> None:
    bucket = Bucket(10, 10, 0.0)
    assert [bucket.take(0.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert not bucket.take(0.0999) and bucket.take(0.11) and not bucket.take(0.11)
    assert not bucket.full(1.0) and bucket.full(1.2)
    assert [bucket.take(100.0) for _ in range(12)] == [True] * 10 + [False] * 2


def test_Y4_shares_are_apart_and_their_number_is_bounded() -> None:
    shares: Shares[int] = Shares(2)
    assert [shares.take(1, 0.0) for _ in range(3)] == [True, True, False]
    assert shares.take(2, 0.0)
    for number in range(3, MAX_SHARES + 1):
        assert shares.take(number, 0.0)
    assert len(shares._shares) == MAX_SHARES
    late = [shares.take(number, 0.0) for number in range(5000, 5010)]
    assert late == [True, True] + [False] * 8, "who comes late has one share with all who do"
    assert len(shares._shares) == MAX_SHARES + 1
    assert shares.take(9999, 10.0) and len(shares._shares) == 1, "the idle ones made room"


def test_Y4_a_rate_of_nothing_is_no_limit() -> None:
    shares: Shares[int] = Shares(0)
    assert all(shares.take(1, 0.0) for _ in range(10_000)) and not shares._shares


# State.


def test_Y2_TH15_neighbours_are_limited_for_each_interface(family: Family) -> None:
    stand = Stand(family, down=(2, 3, 4), config=Config(state_limits=(("neighbors", 2),)))
    assert stand.neighbors() == {2, 3} and stand.neighbors("up") == {9}
    assert stand.counted("nbr_limit", "hello") >= 1
    stand.peer("down", 3).hello(holdtime=0)
    stand.run(31)
    assert len(stand.neighbors()) == 2


def test_Y2_TH28_channels_are_limited(family: Family) -> None:
    stand = Stand(family, config=Config(state_limits=(("sg", 3),)))
    channels = stand.joined(1, 2, 3, 4, 5)
    assert [stand.forwards(channel) for channel in channels] == [{"down"}] * 3 + [set()] * 2
    assert stand.counted("jp_limit") == 2


def test_Y2_TH28_shared_trees_are_limited(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    stand.configure(state_limits=(("groups", 2),))
    groups = [stand.group(number) for number in (1, 2, 3)]
    sets = tuple(GroupSet(group, ((stand.rp, STAR_G),), ()) for group in groups)
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, sets))
    stand.run(0)
    assert list(stand.router.pim.tib.groups) == groups[:2] and stand.counted("jp_limit") == 1
    before = digest(stand.router)
    host = stand.net.host("down")
    host.want_any(groups[2])
    stand.run(0)
    assert list(stand.router.pim.tib.groups) == groups[:2]
    assert stand.counted("star_limit", "report", family.gmp) >= 1 and len(before) > 0
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, (GroupSet(groups[0], (), ((stand.rp, STAR_G),)),)))
    stand.run(4)
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, sets[2:]))
    stand.run(0)
    assert list(stand.router.pim.tib.groups) == groups[1:], "room again"
    star = stand.router.pim.tib.groups[groups[2]].star
    assert star is not None and star.members, "and the member that was turned away is served"


def test_Y2_TH28_a_member_that_was_turned_away_is_served_once_there_is_an_entry(family: Family) -> None:
    stand = Stand(family, config=Config(state_limits=(("sg", 1),)))
    (first,) = stand.joined()
    source, group = stand.channel(2)
    stand.host().join(group, source)
    stand.run(2)
    assert stand.entry((source, group)) is None
    stand.peer("down", 2).prune(stand.us(), first)
    stand.run(4)
    stand.peer("up", 9).join(stand.us("up"), (source, group))
    stand.run(0)
    entry = stand.entry((source, group))
    assert entry is not None and entry.members == stand.pim_interface("down").mask


def test_Y2_TH48_sources_of_data_are_limited(family: Family) -> None:
    stand = AsmStand(family)
    stand.configure(state_limits=(("sg", 4),))
    first = [stand.near(number=number) for number in range(200, 204)]
    for source in first:
        stand.data(source)
    before = stand.entry(first[0])
    late = [stand.near(number=number) for number in range(204, 214)]
    for source in late:
        stand.data(source)
    assert len(stand.router.pim.tib.sg) == 4 and stand.entry(first[0]) is before
    assert stand.counted("sg_limit", "data") == 10
    kernel = stand.r1.kernel
    assert all(kernel.mfc[source][1] == 0 for source in late), "kept off by negative entries"
    upcalls = kernel.upcalls
    for source in late * 3:
        stand.data(source)
    assert kernel.upcalls == upcalls, "so the kernel does not ask again"
    stand.run(31)
    assert all(source not in kernel.mfc for source in late), "which do not stand long"


def test_TH48_F21_negative_entries_are_bounded(family: Family) -> None:
    stand = AsmStand(family)
    stand.net.checker.on = False
    vif = stand.r1.vif("up")
    assert vif is not None
    size = family.size
    for number in range(9000):
        source = stand.far()[0][: size - 2] + number.to_bytes(2, "big")
        stand.r1.handle(NoCache(vif, source, stand.group()))
    stand.run(0)
    assert len(stand.router.forwarding.negatives()) == 8192 and not stand.router.pim.tib.sg
    stand.run(31)
    assert not stand.router.forwarding.negatives() and not stand.r1.kernel.mfc


# Registers.


def rp(family: Family, limit: int) -> AsmStand:
    stand = AsmStand(family, rp="me", down=(2,))
    stand.configure(register_limit=limit, spt_threshold="infinity")
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    return stand


def registered(stand: AsmStand, number: int, dr: str, null: bool = True) -> None:
    """A DR registers a source to us."""
    channel = stand.far(number)
    message = pim.Register(False, null, pim.dummy_header(stand.family, *channel))
    stand.unicast(message, parse_address(dr), stand.rp)


def drs(family: Family) -> tuple[str, str]:
    return ("10.7.7.7", "10.7.7.8") if family.size == 4 else ("2001:db8:7::7", "2001:db8:7::8")


def test_TH43_Y2_new_sources_of_one_dr_are_limited_per_second(family: Family) -> None:
    stand = rp(family, 3)
    bad, good = drs(family)
    for number in range(1, 11):
        registered(stand, number, bad)
    assert len(stand.router.pim.tib.sg) == 0 or len(stand.router.pim.tib.sg) <= 3
    assert stand.counted("reg_limit", "register") == 7
    assert stand.r1.reasons().count("reg_limit") == 1
    before = stand.counted("reg_limit", "register")
    for number in range(11, 14):
        registered(stand, number, good)
    assert stand.counted("reg_limit", "register") == before, "another DR has its own share"
    stand.run(1)
    registered(stand, 20, bad)
    assert stand.counted("reg_limit", "register") == before


def test_TH43_what_stands_is_not_touched_by_a_flood(family: Family) -> None:
    stand = rp(family, 3)
    source = stand.far(1)
    stand.register(source)
    assert stand.net.copies("down", stand.net.sent) == 1
    for number in range(2, 50):
        registered(stand, number, drs(family)[0], null=True)
    stand.register(source)
    assert stand.net.copies("down", stand.net.sent) == 1, "and its Registers cost nothing of the limit"
    stand.run(30)
    stand.register(source)
    assert stand.net.copies("down", stand.net.sent) == 1


def test_TH43_what_the_kernel_decapsulates_has_a_limit_too(family: Family) -> None:
    stand = rp(family, 3)
    for number in range(1, 101):
        stand.register(stand.far(number))
    assert len(stand.router.pim.tib.sg) <= 6, "three that Registers made, three that their packets made"
    assert stand.counted("reg_limit", "register") >= 94


def test_Y2_register_limit_0_is_none(family: Family) -> None:
    stand = rp(family, 0)
    for number in range(1, 101):
        stand.register(stand.far(number))
    assert len(stand.router.pim.tib.sg) == 100


# Messages.


def flood(stand: Stand, message: pim.Message, count: int, source: bytes, to: bytes | None = None) -> None:
    """So many messages at once."""
    destination = to or stand.family.all_pim_routers
    data = pim.encode(stand.family, source, destination, message)
    ifindex = stand.r1.ports["down"].ifindex
    for _ in range(count):
        stand.r1.handle(PacketReceived("pim", ifindex, source, destination, 1, False, data))


LIMITED = Config(
    message_limits=(("hello", 10), ("join-prune", 10), ("assert", 10), ("register", 10), ("register-stop", 10))
)


def floods(stand: Stand) -> dict[str, tuple[pim.Message, bytes]]:
    """A message of each type, and where it is sent to."""
    source, group = stand.channel()
    all_routers, us = stand.family.all_pim_routers, stand.net.address("down", 5)
    return {
        "hello": (stand.peer("down", 2).hello_said, all_routers),
        "join_prune": (JoinPrune(stand.us(), 210, group_sets(joins=((source, group),))), all_routers),
        "assert": (pim.Assert(group, source, False, 200, 200), all_routers),
        "register": (pim.Register(False, True, pim.dummy_header(stand.family, source, group)), us),
        "register_stop": (pim.RegisterStop(group, source), us),
    }


@pytest.mark.parametrize("kind", ["hello", "join_prune", "assert", "register", "register_stop"])
def test_Y3_Y4_each_type_has_a_share_of_its_own(family: Family, kind: str) -> None:
    stand = Stand(family, down=(2, 3), config=LIMITED)
    stand.run(5)
    message, to = floods(stand)[kind]
    two, three = stand.peer("down", 2), stand.peer("down", 3)
    flood(stand, message, 1000, two.address, to)
    stand.run(0)
    assert stand.counted("rate_limit", kind) == 990
    assert stand.r1.reasons().count("rate_limit") == 1
    for other, (harmless, where) in floods(stand).items():
        if other != kind:
            flood(stand, harmless, 1, two.address, where)
            assert stand.counted("rate_limit", other) == 0, "another type"
    if to == stand.family.all_pim_routers:
        flood(stand, message, 1, three.address, to)
        assert stand.counted("rate_limit", kind) == 990, "another neighbour"
    stand.run(1)
    flood(stand, message, 1, two.address, to)
    assert stand.counted("rate_limit", kind) == 990, "a second later"


def test_Y3_Y4_strangers_cannot_use_up_a_neighbours_share(family: Family) -> None:
    stand = Stand(family, down=(2,), config=LIMITED)
    stand.run(5)
    stranger = stand.peer("down", 66).address
    flood(stand, JoinPrune(stand.us(), 210, group_sets(joins=(stand.channel(),))), 1000, stranger)
    assert stand.counted("jp_non_nbr") == 10 and stand.counted("rate_limit") == 990
    channel = stand.channel()
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    assert stand.forwards(channel) == {"down"}


def test_Y3_under_a_flood_neighbours_stay_and_timers_are_in_time(family: Family) -> None:
    stand = Stand(family, down=(2,))
    stand.net.checker.on = False
    (channel,) = stand.joined(holdtime=30)
    stranger = stand.peer("down", 66)
    message = JoinPrune(stand.us(), 210, group_sets(joins=(stand.channel(7),)))
    for _ in range(60):
        flood(stand, message, 100, stranger.address)
        flood(stand, evolve(stranger.hello_said, generation_id=stand.net.random.getrandbits(32)), 20, stranger.address)
        stand.run(0.5)
    assert 2 in stand.neighbors() and stand.neighbors("up") == {9}
    assert stand.forwards(channel) == set(), "its Join ended after 30 s"
    assert len(stand.router.pim.counters.values) < 200


def test_Y4_by_default_what_a_neighbour_may_sensibly_say_is_far_below_the_limits(family: Family) -> None:
    stand = Stand(family, down=(2,))
    stand.net.checker.on = False
    two = stand.peer("down", 2).address
    message = JoinPrune(stand.us(), 210, group_sets(joins=(stand.channel(),)))
    flood(stand, message, 5000, two)
    assert stand.counted("rate_limit") == 0


def test_Y4_limits_may_change_and_be_lifted(family: Family) -> None:
    stand = Stand(family, down=(2,), config=LIMITED)
    two, hello = stand.peer("down", 2).address, stand.peer("down", 2).hello_said
    flood(stand, hello, 30, two)
    assert stand.counted("rate_limit", "hello") > 0
    stand.r1.configure(message_limits=(("hello", 0),))
    before = stand.counted("rate_limit", "hello")
    flood(stand, hello, 5000, two)
    assert stand.counted("rate_limit", "hello") == before


def test_Y3_J15_what_ends_with_the_message_heeds_a_shared_tree_that_was_refused(family: Family) -> None:
    stand = AsmStand(family, config=Config(state_limits=(("groups", 1),)))
    stand.far()
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    join = GroupSet(stand.group(2), ((stand.rp, STAR_G),), ())
    stand.peer("down", 2).send(JoinPrune(stand.us("down"), 210, (join,)))
    stand.run(0)
    assert stand.counted("jp_limit") == 1 and set(stand.router.pim.tib.groups) == {stand.group()}
