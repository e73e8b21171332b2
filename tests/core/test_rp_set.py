"""Conformance group P for static RPs: the mapping, the hash, RPs that fail (RFC 7761 4.7.1, 4.7.2)."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand

from pimpy.config.model import StaticRp
from pimpy.core.pim.rp_set import Mapping, RpSet, hash_value
from pimpy.wire.family import IPV4, IPV6, Family, parse_address, parse_prefix

FOUR = ("10.0.0.1", "10.0.0.2", "192.168.7.1")
SIX = ("2001:db8::1", "2001:db8::2", "2001:db8:0:7::9")
VECTORS = [
    ("239.1.1.1", 30, FOUR, (1679372561, 694951000, 1269164561), "10.0.0.1"),
    ("239.1.1.4", 30, FOUR, (514038453, 1677100540, 1269004725), "10.0.0.2"),
    ("239.1.1.8", 30, FOUR, (757990489, 1921052576, 533397337), "10.0.0.2"),
    ("239.1.1.12", 30, FOUR, (1740140029, 755718468, 2864381), "10.0.0.1"),
    ("239.1.1.1", 0, FOUR, (1410713617, 426292056, 901956369), "10.0.0.1"),
    ("239.1.1.1", 32, FOUR, (239626324, 1224047885, 756995412), "10.0.0.2"),
    ("225.1.2.3", 30, ("10.0.12.2", "10.0.23.3", "172.16.0.1"), (1489817944, 1746030059, 1300470289), "10.0.23.3"),
    ("ff0e::1234", 126, SIX, (1119349325, 134927764, 254021448), "2001:db8::1"),
    ("ff0e::1237", 126, SIX, (1119349325, 134927764, 254021448), "2001:db8::1"),
    ("ff0e::1238", 126, SIX, (1317931713, 333510152, 214416468), "2001:db8::1"),
    ("ff05::101", 126, SIX, (1327150777, 342729216, 700010268), "2001:db8::1"),
    (
        "ff08::db8:1",
        126,
        ("2001:db8:a::1", "2001:db8:b::1", "2001:db8:c::1"),
        (1287020473, 2118737849, 1771069369),
        "2001:db8:b::1",
    ),
]


def rp_set(family: Family, *mappings: tuple[str, str, int]) -> RpSet:
    found = RpSet(family)
    found.replace(Mapping(parse_prefix(prefix), parse_address(rp), priority) for prefix, rp, priority in mappings)
    return found


@pytest.mark.parametrize(("group", "bits", "candidates", "values", "winner"), VECTORS)
def test_P2_P3_the_hash_vectors(
    group: str, bits: int, candidates: tuple[str, ...], values: tuple[int, ...], winner: str
) -> None:
    family = IPV4 if "." in group else IPV6
    address = parse_address(group)
    assert tuple(hash_value(address, bits, parse_address(rp)) for rp in candidates) == values
    everything = "224.0.0.0/4" if family is IPV4 else "ff00::/8"
    for order in (candidates, candidates[::-1]):
        mappings = rp_set(family, *((everything, rp, 1) for rp in order))
        mappings.hash_mask = bits
        assert mappings.rp(address) == parse_address(winner)


def test_P2_the_default_mask_is_30_and_126() -> None:
    assert (RpSet(IPV4).hash_mask, RpSet(IPV6).hash_mask) == (30, 126)


def test_P3_a_mask_of_all_bits_or_none_is_defined() -> None:
    for bits in (0, 128):
        assert 0 <= hash_value(parse_address("ff0e::1"), bits, parse_address("2001:db8::1")) < 1 << 31


def test_P1_longest_range_then_lowest_priority_then_hash() -> None:
    group = parse_address("239.1.1.1")
    assert rp_set(IPV4, ("239.0.0.0/8", "10.0.0.9", 0), ("239.1.0.0/16", "10.0.0.1", 200)).rp(group) == parse_address(
        "10.0.0.1"
    )
    assert rp_set(IPV4, ("239.0.0.0/8", "10.0.0.1", 5), ("239.0.0.0/8", "10.0.0.2", 4)).rp(group) == parse_address(
        "10.0.0.2"
    )
    equal = rp_set(IPV4, ("239.0.0.0/8", "10.0.0.1", 5), ("239.0.0.0/8", "10.0.0.2", 5))
    assert equal.rp(group) == parse_address("10.0.0.1") and equal.rp(parse_address("239.1.1.4")) == parse_address(
        "10.0.0.2"
    )


def test_P1_of_equal_hashes_the_highest_address_wins() -> None:
    group = parse_address("ff0e::1")
    first, second = parse_address("2001:db8::1:0:0"), parse_address("2001:db8:0:1::")  # folded they are the same
    assert hash_value(group, 126, first) == hash_value(group, 126, second)
    both = rp_set(IPV6, ("ff00::/8", "2001:db8::1:0:0", 1), ("ff00::/8", "2001:db8:0:1::", 1))
    assert both.rp(group) == max(first, second)


def test_P4_several_static_rps_with_disjoint_and_nested_ranges(family: Family) -> None:
    if family is IPV4:
        ranges = (("239.1.0.0/16", "10.0.0.1", 1), ("239.2.0.0/16", "10.0.0.2", 1), ("239.1.1.0/24", "10.0.0.3", 1))
        groups = {"239.1.9.9": "10.0.0.1", "239.2.1.1": "10.0.0.2", "239.1.1.7": "10.0.0.3", "239.3.1.1": None}
    else:
        ranges = (("ff1e:1::/32", SIX[0], 1), ("ff1e:2::/32", SIX[1], 1), ("ff1e:1:1::/48", SIX[2], 1))
        groups = {"ff1e:1:9::1": SIX[0], "ff1e:2::1": SIX[1], "ff1e:1:1::1": SIX[2], "ff1e:3::1": None}
    mappings = rp_set(family, *ranges)
    for group, rp in groups.items():
        assert mappings.rp(parse_address(group)) == (None if rp is None else parse_address(rp)), group


def test_P6_only_groups_whose_rp_differs_move(family: Family) -> None:
    stand = AsmStand(family)
    stand.say("Join(*,G)")
    mine = stand.router.pim.tib.groups[stand.group()]
    stand.mark()
    elsewhere = parse_address("10.8.0.9" if family.size == 4 else "2001:db8:8::9")
    longer = StaticRp(elsewhere, parse_prefix("239.7.0.0/16" if family.size == 4 else "ff1e:7::/32"))
    stand.configure(rp_addresses=(*stand.r1.config.rp_addresses, longer))
    assert mine.rp == stand.rp and stand.told("rpt") == []


def test_P7_without_an_rp_members_are_stored_and_nothing_is_sent(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    stand.member()
    stand.data(stand.near())
    stand.run(100)
    assert stand.star is not None and stand.star.members and not stand.registers()
    assert [stand.told(link) for link in ("up", "rpt")] == [[], []]
    stand.say("Join(*,G)")
    assert stand.counted("jp_wrong_rp") == 1


def test_P9_S3_a_group_of_the_ssm_range_has_no_tree_whatever_the_mapping_says(family: Family) -> None:
    stand = AsmStand(family)
    ssm = parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
    host = stand.net.host("down")
    host.want_any(ssm)
    stand.run(5)
    stand.data((stand.near()[0], ssm))
    assert stand.router.pim.rp_set.rp(ssm) == stand.rp, "the range is in the mapping"
    assert not stand.router.pim.tib.groups and not stand.registers() and stand.told("rpt") == []


@pytest.mark.parametrize("how", ["address", "interface"])
def test_P14_when_my_rp_address_goes_i_am_rp_no_more_in_the_same_event(family: Family, how: str) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    stand.say("Join(*,G)")
    tree = stand.router.pim.tib.groups[stand.group()]
    assert tree.i_am_rp
    port = stand.r1.ports["rpt"]
    if how == "interface":
        stand.r1.detach("rpt")
    else:
        port.readdress(*((a, bits) for a, bits in port.addresses if a != stand.rp))
    assert not tree.i_am_rp
    stand.run(0)
    if how == "address":
        stand.register(stand.far())
    assert stand.forwards(stand.far()) == set()


def several(stand: AsmStand, *numbers: int, priority: int = 1) -> list[bytes]:
    """Static RPs for all groups, each behind the neighbour with number 7."""
    texts = [f"10.8.0.{n}" if stand.family.size == 4 else f"2001:db8:8::{n:x}" for n in numbers]
    rps = [parse_address(text) for text in texts]
    for rp in rps:
        stand.r1.static_route(rp, "rpt", stand.seven)
    stand.configure(rp_addresses=tuple(StaticRp(rp, stand.family.multicast, priority) for rp in rps))
    stand.run(0)
    return rps


def test_P4_of_several_static_rps_one_without_a_route_is_passed_over_and_comes_back(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    rps = several(stand, 1, 2, 3)
    groups = [stand.group(number) for number in range(1, 40)]
    for group in groups:
        stand.net.host("down").want_any(group)
    stand.run(5)
    rp_of = stand.router.pim.rp_set.rp
    before = {group: rp_of(group) for group in groups}
    failing = max(rps, key=lambda rp: list(before.values()).count(rp))
    mine = {group for group in groups if before[group] == failing}
    assert 3 < len(mine) < len(groups) - 3
    for back in (False, True):
        stand.mark()
        stand.r1.static_route(failing, "rpt" if back else None, stand.seven if back else None)
        stand.run(0)
        after = {group: rp_of(group) for group in groups}
        assert all(after[group] not in (failing, None) for group in mine) or back
        assert {group for group in groups if after[group] != before[group]} == (set() if back else mine)
        told = {group_set.group for _, message in stand.messages("rpt") for group_set in message.groups}
        assert told == mine, "the others are not touched"


def test_P4_the_ways_to_static_rps_are_known_as_long_as_there_is_a_choice(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    rps = several(stand, 1, 2)
    stand.configure(rp_addresses=tuple(StaticRp(rp, family.multicast) for rp in rps))
    assert set(stand.router.rpf.paths) == set(rps)
    stand.configure(rp_addresses=())
    assert not stand.router.rpf.paths
    stand.configure(rp_addresses=(StaticRp(rps[0], family.multicast),))
    assert not stand.router.rpf.paths, "one is taken whether it is reached or not"


def test_P4_the_next_priority_stands_in_when_the_first_is_unreachable(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    first, second = several(stand, 1, 2)
    lines = (StaticRp(first, family.multicast, 1), StaticRp(second, family.multicast, 2))
    stand.configure(rp_addresses=lines)
    found = [stand.router.pim.rp_set.rp(stand.group())]
    for link in (None, "rpt"):
        stand.r1.static_route(first, link, stand.seven if link else None)
        stand.run(0)
        found.append(stand.router.pim.rp_set.rp(stand.group()))
    assert found == [first, second, first]
    for rp in (first, second):
        stand.r1.static_route(rp, None)
    stand.run(0)
    assert stand.router.pim.rp_set.rp(stand.group()) == first, "without any route the choice is the same as with all"


def test_P4_ways_to_static_rps_are_watched_only_where_another_could_take_their_place(family: Family) -> None:
    stand = AsmStand(family)
    assert not stand.router.rpf.paths
    rps = several(stand, 1, 2)
    assert set(stand.router.rpf.paths) == set(rps)
    several(stand, 1)
    assert not stand.router.rpf.paths
