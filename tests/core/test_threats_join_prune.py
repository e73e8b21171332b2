"""Threats in Join/Prune messages (reliability.md, TH21 to TH31, TH65): where a part is dropped, the rest counts.

The state is then that of the message without the part, digest by digest, and the part is counted.
"""

from __future__ import annotations

import pytest
from crafting import JOIN_SIZE, joining, patched, raw, sealed
from digest import digest
from speakers import group_sets
from stand import Stand, star_entries

from pimpy.wire.family import Family, parse_address
from pimpy.wire.join_prune import SG, SG_RPT, GroupSet, JoinPrune
from pimpy.wire.record import evolve


def same_as(family: Family, whole: JoinPrune, rest: JoinPrune, reason: str, count: int = 1) -> None:
    """A message does what it would without a part of it, and the part is counted."""
    one, other = Stand(family), Stand(family)
    for stand, message in ((one, whole), (other, rest)):
        stand.channel(), stand.channel(2)
        stand.peer("down", 2).send(message)
        stand.run(0)
    assert digest(one.router) == digest(other.router)
    assert (one.counted(reason), other.counted(reason)) == (count, 0)
    assert one.said() == other.said()


def test_TH26_J8_a_join_star_with_an_unknown_rp(family: Family) -> None:
    stand = Stand(family)
    group = parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
    good = ((stand.channel()[0], SG),)
    bad = (*star_entries(stand.net.address("up", 77)), (stand.channel(2)[0], SG_RPT))
    whole = JoinPrune(stand.us(), 210, (GroupSet(group, bad + good, ()),))
    same_as(family, whole, JoinPrune(stand.us(), 210, (GroupSet(group, good, ()),)), "jp_wrong_rp", 1)


def test_TH27_S3_shared_tree_entries_in_the_ssm_range(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()
    bad = (*star_entries(stand.net.address("up", 77)), (stand.channel(2)[0], SG_RPT))
    whole = JoinPrune(stand.us(), 210, (GroupSet(group, ((source, SG), *bad), ()),))
    same_as(family, whole, JoinPrune(stand.us(), 210, group_sets(joins=((source, group),))), "jp_ssm", 2)


def test_TH24_V8_wc_without_rpt_is_ignored_and_the_others_processed(family: Family) -> None:
    one, other = Stand(family), Stand(family)
    first, second = one.channel(1, group=1), one.channel(2, group=1)
    other.channel(1), other.channel(2)
    message = JoinPrune(one.us(), 210, group_sets(joins=(first, second)))
    data = raw(one, message)
    data[len(data) - 2 * family.size - 4 - 2] = 0x06  # S and WC, without RPT, in the first entry
    one.peer("down", 2).send_bytes(sealed(one, data))
    other.peer("down", 2).send(JoinPrune(one.us(), 210, group_sets(joins=(second,))))
    for stand in (one, other):
        stand.run(0)
    assert set(one.router.pim.tib.sg) == set(other.router.pim.tib.sg) == {second[0] + second[1]}
    assert digest(one.router) == digest(other.router) and one.counted("jp_bad_flags") == 1


def test_TH25_V9_entries_of_the_other_family_are_ignored(family: Family) -> None:
    stand = Stand(family)
    (source, group) = stand.channel()
    data = raw(stand, joining(stand))
    foreign = bytes((3 - family.pim_number, 0, 4, 32 if family.size == 16 else 128)) + bytes(20 - family.size)
    data += foreign
    data[-len(foreign) - family.size - 4 - 3] = 2  # two joined sources
    stand.peer("down", 2).send_bytes(sealed(stand, data))
    stand.run(0)
    assert stand.counted("jp_mixed_af") == 1 and set(stand.router.pim.tib.sg) == {source + group}


@pytest.mark.parametrize("source", ["multicast", "zero", "loopback"])
def test_TH28_a_source_that_can_be_nobody_makes_no_state(family: Family, source: str) -> None:
    texts = {"multicast": ("232.9.9.9", "ff0e::1"), "zero": ("0.0.0.0", "::"), "loopback": ("127.0.0.1", "::1")}
    bad = parse_address(texts[source][family.size == 16])
    stand = Stand(family)
    good = stand.channel()
    same_as(
        family,
        JoinPrune(stand.us(), 210, group_sets(joins=((bad, good[1]), good))),
        JoinPrune(stand.us(), 210, group_sets(joins=(good,))),
        "jp_bad_source",
    )


def test_TH28_Y2_a_flood_of_joins_is_capped_and_the_old_state_stays(family: Family) -> None:
    stand = Stand(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_sg=5)
    old = stand.joined(1, 2, 3)
    two = stand.peer("down", 2)
    two.join(stand.us(), *(stand.channel(number) for number in range(4, 104)))
    stand.run(0)
    assert len(stand.router.pim.tib.sg) == 5 and stand.counted("jp_limit") == 98
    assert all(stand.forwards(channel) == {"down"} for channel in old)
    assert stand.r1.reasons().count("jp_limit") == 1
    before = digest(stand.router)
    two.join(stand.us(), stand.channel(200))
    stand.run(0)
    assert digest(stand.router) == before and stand.counted("jp_limit") == 99
    two.join(stand.us(), *old, holdtime=300)
    two.prune(stand.us(), old[0])
    two.join(stand.us(), stand.channel(200))
    stand.run(0)
    assert stand.forwards(stand.channel(200)) == {"down"}, "room again"


def test_TH28_Y2_members_are_capped_too(family: Family) -> None:
    stand = Stand(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_sg=3)
    host = stand.host()
    for number in range(1, 10):
        source, group = stand.channel(number)
        host.join(group, source)
    stand.run(0)
    assert len(stand.router.pim.tib.sg) == 3
    assert stand.counted("sg_limit", "report", family.gmp) == 6
    assert stand.r1.reasons().count("sg_limit") == 1


def test_TH30_U23_impossible_combinations_are_joins_then_prunes(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    channel = stand.channel()
    message = JoinPrune(stand.us(), 210, group_sets(joins=(channel,), prunes=(channel,)))
    stand.peer("down", 2).send_bytes(bytes(raw(stand, message)))
    stand.run(0)
    assert stand.counted("jp_odd_combo") == 1
    assert stand.row("mroute", row="outgoing").jp_state == "prune_pending"
    stand.run(3)
    assert stand.entry(channel) is None


def test_TH31_J1_a_short_holdtime_is_used_as_given_and_counted(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=2)
    stand.run(1.99)
    assert stand.counted("jp_short_holdtime") == 1 and stand.forwards(channel) == {"down"}
    stand.run(0.01)
    assert stand.forwards(channel) == set()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=3)
    stand.run(0)
    assert stand.counted("jp_short_holdtime") == 1


def test_TH21_a_join_does_not_refresh_the_neighbour(family: Family) -> None:
    stand = Stand(family, down=())
    two = stand.peer("down", 2)
    two.hello(holdtime=20)
    stand.run(10)
    two.join(stand.us(), stand.channel())
    stand.run(9.99)
    assert stand.neighbors() == {2}
    stand.run(0.01)
    assert stand.neighbors() == set()


def test_TH65_V15_reserved_bits_are_ignored(family: Family) -> None:
    one, other = Stand(family), Stand(family)
    size = family.size
    for stand in (one, other):
        stand.channel()
    source_flags = JOIN_SIZE[size] - size - 2
    group_flags = JOIN_SIZE[size] - 2 * size - 4 - 4 - 2
    reserved = {"at_1": 0xFF, f"at_{4 + 2 + size}": 0xFF, f"at_{group_flags}": 0x7E, f"at_{source_flags}": 0xFC}
    patched(joining, **reserved)(one, one.peer("down", 2))
    patched(joining)(other, other.peer("down", 2))
    for stand in (one, other):
        stand.run(0)
    assert digest(one.router) == digest(other.router) and len(one.router.pim.tib.sg) == 1
