"""Packing group sets into Join/Prune messages (RFC 7761 4.9.5, 4.9.5.1, 4.9.5.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pim_samples import NETS, encode

from pimpy.wire.family import FAMILIES, IPV4, Address, Family
from pimpy.wire.join_prune import SG, SG_RPT, STAR_G, GroupSet, JoinPrune, SourceEntry, pack

MTU = 1500


def packed(family: Family, sets: Iterable[GroupSet], mtu: int = MTU) -> list[JoinPrune]:
    """The messages for an interface of `mtu` bytes; each is checked to fit and to be addressed rightly."""
    net = NETS[family]
    result = pack(family, net.neighbor, 210, sets, mtu - family.ip_header)
    for message in result:
        assert (message.upstream_neighbor, message.holdtime) == (net.neighbor, 210)
        assert len(encode(family, message)) <= mtu - family.ip_header
        assert 1 <= len(message.groups) <= 255
        assert len({group_set.group for group_set in message.groups}) == len(message.groups)
        assert all(group_set.joins or group_set.prunes for group_set in message.groups)
    return result


def address(base: Address, number: int) -> Address:
    """`base` with another end."""
    return base[:-2] + number.to_bytes(2, "big")


def sources(family: Family, count: int, kind: int) -> tuple[SourceEntry, ...]:
    return tuple((address(NETS[family].source, number), kind) for number in range(1, count + 1))


def singles(family: Family, count: int) -> list[GroupSet]:
    net = NETS[family]
    return [GroupSet(address(net.group, number), ((net.source, SG),), ()) for number in range(1, count + 1)]


Told = Counter[tuple[Address, str, SourceEntry]]


def told(sets: Iterable[GroupSet]) -> Told:
    """Each (group, "join" or "prune", entry), with how often it stands there."""
    result: Told = Counter()
    for group, joins, prunes in sets:
        result.update((group, "join", entry) for entry in joins)
        result.update((group, "prune", entry) for entry in prunes)
    return result


def all_sets(result: list[JoinPrune]) -> list[GroupSet]:
    return [group_set for message in result for group_set in message.groups]


def test_nothing_to_tell(family: Family) -> None:
    assert packed(family, []) == []
    assert packed(family, [GroupSet(NETS[family].group, (), ())]) == []


def test_one_set_is_one_message(family: Family) -> None:
    net = NETS[family]
    group_set = GroupSet(net.group, ((net.rp, STAR_G),), ((net.source, SG_RPT),))
    assert packed(family, iter([group_set])) == [JoinPrune(net.neighbor, 210, (group_set,))]


def test_U20_capacity_of_one_group_set(family: Family) -> None:
    capacity = 181 if family is IPV4 else 70
    net = NETS[family]
    fits = GroupSet(net.group, ((net.rp, STAR_G),), sources(family, capacity - 1, SG_RPT))
    (message,) = packed(family, [fits])
    assert message.groups == (fits,)
    assert MTU - len(encode(family, message)) - family.ip_header < 4 + family.size
    tree = GroupSet(net.group, sources(family, capacity, SG), ())
    assert [len(each.groups[0].joins) for each in packed(family, [tree])] == [capacity]
    more = GroupSet(net.group, sources(family, capacity + 1, SG), ())
    assert [len(each.groups[0].joins) for each in packed(family, [more])] == [capacity, 1]


def test_U19_star_set_that_does_not_fit_keeps_the_numerically_smallest_prunes(family: Family) -> None:
    capacity = 181 if family is IPV4 else 70
    net = NETS[family]
    prunes = sources(family, 400, SG_RPT)
    shuffled = prunes[200:] + prunes[:200][::-1]
    result = packed(family, [GroupSet(net.group, ((net.rp, STAR_G),), shuffled)])
    assert len(result) == 1
    (group_set,) = result[0].groups
    assert group_set.joins == ((net.rp, STAR_G),)
    assert group_set.prunes == prunes[: capacity - 1]


def test_U19_numerically_smallest_is_by_unsigned_bytes(family: Family) -> None:
    net = NETS[family]
    low, high = b"\x01" + net.source[1:], b"\xdf" + net.source[1:]
    mtu = family.ip_header + 4 + 6 + family.size + 8 + family.size + 2 * (4 + family.size)
    star = GroupSet(net.group, ((net.rp, STAR_G),), ((high, SG_RPT), (low, SG_RPT)))
    assert packed(family, [star], mtu)[0].groups[0].prunes == ((low, SG_RPT),)


def test_U19_star_set_goes_to_the_next_message_rather_than_be_split(family: Family) -> None:
    net = NETS[family]
    star = GroupSet(net.other_group, ((net.rp, STAR_G),), sources(family, 60, SG_RPT))
    before = GroupSet(net.group, sources(family, 140 if family is IPV4 else 30, SG), ())
    first, second = packed(family, [before, star])
    assert (first.groups, second.groups) == ((before,), (star,))


def test_U19_the_other_entries_of_a_star_set_may_travel_apart(family: Family) -> None:
    net = NETS[family]
    joins = ((net.rp, STAR_G), *sources(family, 150, SG))
    prunes = tuple((address(net.rp, number), SG_RPT) for number in range(150))
    result = packed(family, [GroupSet(net.group, joins, prunes)])
    assert all(len(message.groups) == 1 for message in result)
    with_star = [group_set for group_set in all_sets(result) if (net.rp, STAR_G) in group_set.joins]
    assert len(with_star) == 1
    assert set(with_star[0].prunes) <= set(prunes)
    capacity = 181 if family is IPV4 else 70
    assert with_star[0].prunes == prunes[: capacity - 1]
    entries = told(all_sets(result))
    assert max(entries.values()) == 1
    assert {entry for _, place, entry in entries if place == "join"} == set(joins)
    rest = [group_set for group_set in all_sets(result) if group_set is not with_star[0]]
    assert not any(kind == SG_RPT for group_set in rest for _, kind in group_set.prunes)


def test_U21_2000_joins_to_one_neighbor(family: Family) -> None:
    sets = singles(family, 2000)
    result = packed(family, sets)
    per_packet = 73 if family is IPV4 else 32
    assert [len(message.groups) for message in result[:-1]] == [per_packet] * (2000 // per_packet)
    assert len(result[-1].groups) == 2000 % per_packet
    assert told(all_sets(result)) == told(sets)


def test_U21_never_more_than_255_groups(family: Family) -> None:
    sets = singles(family, 600)
    result = packed(family, sets, 65000)
    assert [len(message.groups) for message in result] == [255, 255, 90]
    assert told(all_sets(result)) == told(sets)


def test_U21_255_groups_and_a_set_that_must_be_split(family: Family) -> None:
    net = NETS[family]
    long = GroupSet(net.other_group, sources(family, 9000, SG), ())
    sets = [each for each in singles(family, 256) if each.group != net.other_group][:255]
    result = packed(family, [*sets, long], 65000)
    assert len(result[0].groups) == 255
    assert told(all_sets(result)) == told([*sets, long])


def test_sets_of_one_group_become_one(family: Family) -> None:
    net = NETS[family]
    parts = [GroupSet(net.group, (entry,), ()) for entry in sources(family, 50, SG)]
    other = GroupSet(net.other_group, ((net.rp, STAR_G),), ())
    prune = GroupSet(net.group, (), ((net.rp, SG),))
    (message,) = packed(family, [parts[0], other, *parts, prune])
    assert message.groups == (GroupSet(net.group, sources(family, 50, SG), ((net.rp, SG),)), other)


def test_many_sources_of_one_group_in_sets_of_their_own(family: Family) -> None:
    net = NETS[family]
    result = packed(family, [GroupSet(net.group, (entry,), ()) for entry in sources(family, 20000, SG)])
    capacity = 181 if family is IPV4 else 70
    assert [len(message.groups[0].joins) for message in result[:-1]] == [capacity] * (20000 // capacity)
    assert told(all_sets(result)) == told([GroupSet(net.group, sources(family, 20000, SG), ())])


def one(family: Family, joins: tuple[SourceEntry, ...], prunes: tuple[SourceEntry, ...]) -> list[GroupSet]:
    """The sets that one set becomes, each from a message of its own."""
    result = packed(family, [GroupSet(NETS[family].group, joins, prunes)])
    assert all(len(message.groups) == 1 for message in result)
    return all_sets(result)


def test_U23_a_join_goes_before_the_same_prune(family: Family) -> None:
    net = NETS[family]
    tree, rpt, star, old = (net.source, SG), (net.source, SG_RPT), (net.rp, STAR_G), (net.dr, STAR_G)
    group = net.group
    assert one(family, (tree,), (tree,)) == [GroupSet(group, (tree,), ())]
    assert one(family, (rpt,), (rpt,)) == [GroupSet(group, (rpt,), ())]
    assert one(family, (star,), (star,)) == [GroupSet(group, (star,), ())]
    assert one(family, (star,), (old, rpt)) == [GroupSet(group, (star,), (rpt,))]


def test_U23_redundant_rpt_entries_are_left_out(family: Family) -> None:
    net = NETS[family]
    rpt, other, star = (net.source, SG_RPT), (net.other_source, SG_RPT), (net.rp, STAR_G)
    group = net.group
    assert one(family, (star, rpt), (other,)) == [GroupSet(group, (star,), (other,))]
    assert one(family, (rpt,), (star, other)) == [GroupSet(group, (), (star,))]


def test_U23_prune_of_the_tree_travels_apart_from_an_rpt_entry_of_the_source(family: Family) -> None:
    net = NETS[family]
    tree, rpt, star = (net.source, SG), (net.source, SG_RPT), (net.rp, STAR_G)
    other, group = (net.other_source, SG), net.group
    assert one(family, (star,), (tree, rpt, other)) == [
        GroupSet(group, (star,), (rpt, other)),
        GroupSet(group, (), (tree,)),
    ]
    assert one(family, (rpt,), (tree,)) == [GroupSet(group, (rpt,), ()), GroupSet(group, (), (tree,))]
    assert one(family, (tree,), (rpt,)) == [GroupSet(group, (tree,), (rpt,))]
    assert one(family, (), (rpt, tree)) == [GroupSet(group, (), (rpt,)), GroupSet(group, (), (tree,))]


def test_U23_one_star_join_only_and_the_last_rp_counts(family: Family) -> None:
    net = NETS[family]
    old, new, tree = (net.dr, STAR_G), (net.rp, STAR_G), (net.source, SG)
    assert one(family, (old, tree, new), ()) == [GroupSet(net.group, (new, tree), ())]
    assert one(family, (), (old, new)) == [GroupSet(net.group, (), (new,))]


def test_allowed_combinations_stay_as_they_are(family: Family) -> None:
    net = NETS[family]
    star, tree, rpt = (net.rp, STAR_G), (net.source, SG), (net.other_source, SG_RPT)
    for joins, prunes in (((star, tree), (rpt,)), ((tree,), (star,)), ((star,), (tree, rpt)), ((tree, rpt), ())):
        assert one(family, joins, prunes) == [GroupSet(net.group, joins, prunes)]


@pytest.mark.parametrize("left", [0, 1, 2, 9])
def test_a_long_set_begins_in_the_current_message(family: Family, left: int) -> None:
    net = NETS[family]
    capacity = 181 if family is IPV4 else 70
    # What the first set may hold so that the second finds room for its head and `left` entries.
    room = (MTU - family.ip_header - 4 - 6 - family.size - 2 * (8 + family.size)) // (4 + family.size) - left
    before = GroupSet(net.group, sources(family, room, SG), ())
    long = GroupSet(net.other_group, sources(family, capacity + 30, SG), ())
    result = packed(family, [before, long])
    assert [len(each.joins) for each in result[0].groups] == ([room, left] if left else [room])
    assert told(all_sets(result)) == told([before, long])


def test_too_small_a_limit_is_refused(family: Family) -> None:
    smallest = 4 + 6 + family.size + 8 + family.size + 4 + family.size
    (group_set,) = singles(family, 1)
    neighbor = NETS[family].neighbor
    assert len(pack(family, neighbor, 210, [group_set], smallest)) == 1
    with pytest.raises(ValueError):
        pack(family, neighbor, 210, [group_set], smallest - 1)


def random_sets(family: Family, random: Random) -> list[GroupSet]:
    """Sets of a few groups and sources, forbidden combinations and repetitions included."""
    net = NETS[family]

    def entries() -> tuple[SourceEntry, ...]:
        count = random.choice((0, 1, 1, 2, 8))
        found = [(address(net.source, random.randint(1, 9)), random.choice((SG, SG_RPT))) for _ in range(count)]
        if random.random() < 0.3:
            found.insert(random.randint(0, count), (random.choice((net.rp, net.dr)), STAR_G))
        return tuple(dict.fromkeys(found))

    count = random.randint(0, 12)
    return [GroupSet(address(net.group, random.randint(1, 6)), entries(), entries()) for _ in range(count)]


@settings(max_examples=600)
@given(st.sampled_from(FAMILIES), st.integers(0, 2**32))
def test_any_sets(family: Family, seed: int) -> None:
    """Whatever is packed into whatever size: it fits, it is allowed, and no more is lost than the rules say."""
    random = Random(seed)
    sets = random_sets(family, random)
    mtu = family.ip_header + 4 + 6 + family.size + 8 + family.size + 4 + family.size + random.choice((0, 8, 50, 300))
    result = packed(family, sets, mtu)
    given_entries, told_entries = told(sets), told(all_sets(result))
    assert set(told_entries) <= set(given_entries)
    assert max(told_entries.values(), default=1) == 1
    for group_set in all_sets(result):
        assert_allowed(group_set)
    for group, place, entry in set(given_entries) - set(told_entries):
        assert_may_be_missing(family, result, (group, place, entry), mtu)


def assert_allowed(group_set: GroupSet) -> None:
    """The table of RFC 7761 4.9.5.1: neither `no` nor what it advises against (conformance U23)."""
    joined, pruned = set(group_set.joins), set(group_set.prunes)
    assert joined.isdisjoint(pruned)
    stars_joined = [entry for entry in joined if entry[1] == STAR_G]
    stars_pruned = [entry for entry in pruned if entry[1] == STAR_G]
    assert len(stars_joined) + len(stars_pruned) <= 1
    rpt_joined = {source for source, kind in joined if kind == SG_RPT}
    rpt_pruned = {source for source, kind in pruned if kind == SG_RPT}
    assert not (stars_joined or stars_pruned) or not rpt_joined
    assert not stars_pruned or not rpt_pruned
    assert not {source for source, kind in pruned if kind == SG} & (rpt_joined | rpt_pruned)


def assert_may_be_missing(
    family: Family, result: list[JoinPrune], missing: tuple[Address, str, SourceEntry], mtu: int
) -> None:
    """Only what a Join(*,G), a Prune(*,G) or the same Join makes needless is missing, or what U19 cuts."""
    group, place, entry = missing
    there = told(all_sets(result))
    stars = {where for told_group, where, (_, kind) in there if told_group == group and kind == STAR_G}
    if entry[1] == STAR_G:
        assert stars
    elif place == "join":
        assert entry[1] == SG_RPT and stars
    elif (group, "join", entry) in there or (entry[1] == SG_RPT and stars == {"prune"}):
        pass
    else:
        assert entry[1] == SG_RPT and stars == {"join"}
        message, kept = next(
            (message, group_set.prunes)
            for message in result
            for group_set in message.groups
            if group_set.group == group and any(kind == STAR_G for _, kind in group_set.joins)
        )
        assert all(each < entry for each in kept)
        assert len(message.groups) == 1 and len(encode(family, message)) + 4 + family.size > mtu - family.ip_header
