"""Conformance rows B10 to B12, B19, P5 to P8: what Bootstrap messages do to the RP-Set, and how they are cut."""

from __future__ import annotations

import pytest
from bsr_stand import BsrStand
from crafting import sealed
from digest import digest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pimpy.config.model import StaticRp
from pimpy.core.pim import bsm
from pimpy.core.pim.scope import GLOBAL, Zone, zone_of
from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, RpEntry, RpRange
from pimpy.wire.family import FAMILIES, IPV4, Family, Prefix, parse_address
from pimpy.wire.record import evolve


def ready(family: Family, **settings: object) -> tuple[BsrStand, bytes, list[bytes]]:
    """A stand, a BSR behind 9, and RPs."""
    stand = BsrStand(family, **settings)  # type: ignore[arg-type]
    return stand, stand.behind(9), [stand.behind(20 + number) for number in range(5)]


def test_B10_rps_missing_from_a_listed_range_vanish_at_once(family: Family) -> None:
    stand, bsr, rps = ready(family)
    stand.hear(bsr, stand.listed(stand.everything, rps[0], rps[1]))
    stand.run(60)
    stand.hear(bsr, stand.listed(stand.everything, rps[1]))
    assert stand.mapped() == {rps[1]: (0, 150)}


def test_B10_ranges_that_are_not_listed_stay_until_their_hold_time(family: Family) -> None:
    stand, bsr, rps = ready(family)
    first, second = stand.range("239.1.0.0/16", "ff1e:1::/32"), stand.range("239.2.0.0/16", "ff1e:2::/32")
    stand.hear(bsr, stand.listed(first, rps[0]), stand.listed(second, rps[1]))
    stand.run(60)
    stand.hear(bsr, stand.listed(first, rps[0]))
    assert stand.mapped(second) == {rps[1]: (0, 90)}
    stand.run(60)
    stand.hear(bsr, stand.listed(first, rps[0]))
    stand.run(30)
    assert stand.mapped(second) == {} and stand.mapped(first) == {rps[0]: (0, 120)}


@pytest.mark.parametrize("how", ["holdtime 0", "count 0"])
def test_B10_holdtime_0_or_rp_count_0_removes_at_once(family: Family, how: str) -> None:
    stand, bsr, rps = ready(family)
    stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    gone = stand.listed(stand.everything, (rps[0], 0, 0)) if how == "holdtime 0" else stand.listed(stand.everything)
    stand.hear(bsr, gone)
    assert stand.mapped() == {} and stand.rp_of() is None


def test_B10_a_new_priority_updates_its_mapping_and_the_mask_all_of_the_zone(family: Family) -> None:
    stand, bsr, rps = ready(family)
    first, second = stand.range("239.1.0.0/16", "ff1e:1::/32"), stand.range("239.2.0.0/16", "ff1e:2::/32")
    stand.hear(bsr, stand.listed(first, (rps[0], 10), (rps[1], 20)), stand.listed(second, rps[2]))
    stand.hear(bsr, stand.listed(first, (rps[0], 30), (rps[1], 20)), hash_mask_length=17)
    assert {rp: priority for rp, (priority, _) in stand.mapped(first).items()} == {rps[0]: 30, rps[1]: 20}
    zone = stand.router.pim.rp_set.zones[GLOBAL]
    assert zone.hash_mask == 17 and set(zone.ranges.by_prefix) == {first, second}


def test_B10_an_empty_message_stores_nothing_but_drives_the_election(family: Family) -> None:
    stand, bsr, rps = ready(family)
    stored = stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    stand.run(10)
    stand.mark()
    empty = stand.hear(bsr, hash_mask_length=8)
    assert stand.mapped() == {rps[0]: (0, 140)} and stand.timer() == 130
    zone = stand.zone()
    assert zone.last is not None and zone.last.messages == [stored], "nor is it the last message"
    assert stand.router.pim.rp_set.zones[GLOBAL].hash_mask == family.bits - 2
    assert stand.bsms() == [(0.0, empty)], "it is forwarded"


def test_B11_TH54_a_range_over_several_fragments_counts_when_all_have_come(family: Family) -> None:
    stand, bsr, rps = ready(family)
    other = stand.range("239.9.0.0/16", "ff1e:9::/32")
    stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    part = stand.listed(stand.everything, rps[1], rps[2], count=3)
    stand.hear(bsr, part, stand.listed(other, rps[4]), fragment_tag=500)
    assert list(stand.mapped()) == [rps[0]] and list(stand.mapped(other)) == [rps[4]], "complete ones count at once"
    stand.hear(bsr, part, fragment_tag=500)
    assert list(stand.mapped()) == [rps[0]], "a repetition does not count twice"
    stand.hear(bsr, stand.listed(stand.everything, rps[3], count=3), fragment_tag=500)
    assert set(stand.mapped()) == {rps[1], rps[2], rps[3]}


def test_B11_TH54_a_lost_fragment_leaves_the_old_set_of_that_range(family: Family) -> None:
    stand, bsr, rps = ready(family)
    stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    stand.run(60)
    stand.hear(bsr, stand.listed(stand.everything, rps[1], count=2), fragment_tag=500)
    stand.run(60)
    stand.hear(bsr, stand.listed(stand.everything, rps[2], count=2), fragment_tag=501)
    assert stand.mapped() == {rps[0]: (0, 30)} and stand.refused("bsm_incomplete") == 1
    stand.run(60)
    stand.hear(bsr, stand.listed(stand.everything, rps[3], count=2), fragment_tag=501)
    assert stand.mapped() == {}, "what follows a minute later with the same tag is another message"


def test_B5_B11_the_whole_message_is_refreshed_when_its_bsr_is_silent(family: Family) -> None:
    stand, bsr, rps = ready(family)
    one = stand.listed(stand.everything, (rps[0], 0, 131), count=2)
    stand.hear(bsr, one, fragment_tag=9)
    stand.hear(bsr, stand.listed(stand.everything, (rps[1], 0, 131), count=2), fragment_tag=9)
    stand.run(130)
    assert stand.mapped() == {rps[0]: (0, 131), rps[1]: (0, 131)}


def test_P5_bsm_deletes_static_never(family: Family) -> None:
    stand, bsr, rps = ready(family)
    stand.configure(rp_addresses=(StaticRp(rps[4], stand.everything),))
    assert stand.rp_of() == rps[4]
    stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    assert stand.rp_of() == rps[0], "of the same range what is learned comes first"
    stand.hear(bsr, stand.listed(stand.everything))
    assert stand.rp_of() == rps[4]
    stand.configure(rp_addresses=(StaticRp(rps[4], stand.everything, override=True),))
    stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    assert stand.rp_of() == rps[4], "unless the line says override"
    stand.configure(rp_addresses=())
    assert stand.rp_of() == rps[0]


def test_P1_P5_the_longest_range_decides_wherever_it_comes_from(family: Family) -> None:
    stand, bsr, rps = ready(family)
    long = stand.range("239.1.0.0/16", "ff1e::/16")
    stand.configure(rp_addresses=(StaticRp(rps[4], long),))
    stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    assert stand.rp_of() == rps[4]
    stand.hear(bsr, stand.listed(family.host(stand.group()), rps[1]))
    assert stand.rp_of() == rps[1]


def test_P8_bsm_bz_bits_a_bidir_range_is_neither_sparse_nor_skipped(family: Family) -> None:
    stand, bsr, rps = ready(family)
    long = stand.range("239.1.0.0/16", "ff1e::/16")
    stand.hear(bsr, stand.listed(stand.everything, rps[0]), stand.listed(long, rps[1], bidir=True))
    assert stand.rp_of() is None, "no shorter sparse range in its place"
    outside = parse_address("239.2.1.1" if family.size == 4 else "ff18::1")
    assert stand.rp_of(outside) == rps[0]
    stand.member()
    assert stand.star is not None and stand.star.tree.rp is None
    stand.hear(bsr, stand.listed(long, rps[1]))
    assert stand.rp_of() == rps[1] and stand.star.tree.rp == rps[1]
    stand.hear(bsr, stand.listed(long))
    assert stand.rp_of() == rps[0] == stand.star.tree.rp


def test_P6_a_longer_range_a_removed_holder_and_a_priority_move_groups_at_once(family: Family) -> None:
    stand, bsr, rps = ready(family)
    stand.member()
    stand.hear(bsr, stand.listed(stand.everything, (rps[0], 5)))
    tree = stand.router.pim.tib.groups[stand.group()]
    found = [tree.rp]
    stand.hear(bsr, stand.listed(family.host(stand.group()), (rps[1], 5)))
    found.append(tree.rp)
    stand.hear(bsr, stand.listed(family.host(stand.group()), (rps[2], 5)))
    found.append(tree.rp)
    stand.hear(bsr, stand.listed(family.host(stand.group()), (rps[2], 9), (rps[3], 8)))
    found.append(tree.rp)
    stand.hear(bsr, stand.listed(family.host(stand.group()), (rps[2], 7), (rps[3], 8)))
    found.append(tree.rp)
    stand.hear(bsr, stand.listed(family.host(stand.group())))
    found.append(tree.rp)
    assert found == [rps[0], rps[1], rps[2], rps[3], rps[2], rps[0]]


def test_P6_only_groups_whose_rp_differs_are_touched(family: Family) -> None:
    stand, bsr, rps = ready(family)
    groups = [stand.group(number) for number in range(1, 60)]
    for group in groups:
        stand.net.host("down").want_any(group)
    stand.hear(bsr, stand.listed(stand.everything, *((rp, 5) for rp in rps)))
    stand.run(10)
    before = {group: stand.rp_of(group) for group in groups}
    assert len(set(before.values())) > 2
    stand.mark()
    stand.hear(bsr, stand.listed(stand.everything, *((rp, 5) for rp in rps[1:])))
    moved = {group for group in groups if stand.rp_of(group) != before[group]}
    assert moved == {group for group in groups if before[group] == rps[0]}
    named = {group_set.group for _, message in stand.messages("up") for group_set in message.groups}
    assert named == moved, "no Join for the others"


def test_P7_members_and_sources_are_kept_while_no_rp_is_known(family: Family) -> None:
    stand, bsr, rps = ready(family)
    stand.member()
    near = stand.near()
    stand.data(near)
    assert stand.star is not None and not stand.registers()
    stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    stand.mark()
    stand.data(near)
    assert stand.registers(), "the source is spoken for at once"
    stand.run(5)
    assert stand.star.joined
    stand.hear(bsr, stand.listed(stand.everything))
    assert stand.star is not None and stand.star.members and stand.star.tree.rp is None


# B12: fragments.


@st.composite
def messages(draw: st.DrawFn) -> tuple[Family, Zone, Bootstrap, int]:
    family = draw(st.sampled_from(FAMILIES))
    scoped = draw(st.booleans())
    base = ("239.192.0.0/14", "ff05::/16")[family.size == 16] if scoped else None
    from pimpy.wire.family import parse_prefix

    zone = GLOBAL if base is None else zone_of(family, parse_prefix(base))
    head = family.multicast if base is None else parse_prefix(base)
    ranges = []
    for number in draw(st.lists(st.integers(0, 200), max_size=12, unique=True)):
        length = head.length + 8 if number else head.length
        network = int.from_bytes(head.network, "big") | number << (family.bits - length)
        count = draw(st.sampled_from([0, 1, 2, 3, 30, 255]))
        rps = tuple(RpEntry(bytes(family.size - 2) + bytes((1, n)), 150, n % 3) for n in range(count))
        ranges.append(RpRange(Prefix(network.to_bytes(family.size, "big"), length), False, False, count, rps))
    bsr = bytes(family.size - 1) + b"\x09"
    message = Bootstrap(77, 30, 64, bsr, False, tuple(ranges))
    return family, zone, message, draw(st.sampled_from([120, 300, 548, 1480, 8980]))


def split_zone() -> tuple[Family, Zone, Bootstrap, int]:
    """The zone's own range has more RPs than fit into a fragment."""
    from pimpy.wire.family import parse_prefix

    zone = zone_of(IPV4, parse_prefix("239.192.0.0/14"))
    assert zone.range is not None
    rps = tuple(RpEntry(bytes((10, 0, 1, n)), 150, n % 3) for n in range(30))
    inside = Prefix(bytes((239, 193, 0, 0)), 16)
    ranges = (RpRange(zone.range, False, False, 30, rps), RpRange(inside, False, False, 1, rps[:1]))
    return IPV4, zone, Bootstrap(77, 30, 64, bytes((10, 0, 0, 9)), False, ranges), 120


@settings(max_examples=150)
@given(messages())
@example(split_zone())
def test_B12_B22_fragments_fit_share_their_head_and_together_are_the_message(
    case: tuple[Family, Zone, Bootstrap, int],
) -> None:
    family, zone, message, room = case
    parts = bsm.fragments(family, zone, message, room)
    last = bsm.LastBsm(message.bsr, message.fragment_tag, 0.0)
    found: dict[Prefix, tuple[RpEntry, ...]] = {}
    for part in parts:
        data = pim.encode(family, family.any, family.any, part)
        assert len(data) <= room
        assert evolve(part, ranges=()) == evolve(message, ranges=()), "one tag, one hash mask, one priority"
        if zone is not GLOBAL:
            assert part.ranges[0].zone, "the first range has the Z bit"
            assert family.size == 16 or part.ranges[0].group == zone.range
            assert all(zone.contains(each.group) for each in part.ranges)
        assert len({each.group for each in part.ranges}) == len(part.ranges), "none twice"
        assert not any(each.zone for each in part.ranges[1:]) and (
            zone is not GLOBAL or not part.ranges[:1] or not part.ranges[0].zone
        )
        for each in part.ranges:
            whole = last.whole(each)
            if whole is not None and (whole or each.group not in found):
                found[each.group] = whole
    wanted = {each.group: set(each.rps) for each in message.ranges}
    if zone.range is not None and (family is IPV4 or not wanted):
        wanted.setdefault(zone.range, set())
    assert {group: set(rps) for group, rps in found.items()} == wanted


def test_B12_each_range_is_kept_in_one_piece_if_it_can_be(family: Family) -> None:
    def listed(number: int, count: int) -> RpRange:
        network = int.from_bytes(family.multicast.network, "big") | number << (family.bits - 16)
        rps = tuple(RpEntry(bytes(family.size - 1) + bytes((n + 1,)), 150, 0) for n in range(count))
        return RpRange(Prefix(network.to_bytes(family.size, "big"), 16), False, False, count, rps)

    message = Bootstrap(1, 30, 64, bytes(family.size - 1) + b"\1", False, tuple(listed(n, 20) for n in range(1, 9)))
    parts = bsm.fragments(family, GLOBAL, message, 600)
    assert len(parts) > 2
    assert all(len(each.rps) == each.rp_count for part in parts for each in part.ranges)


def test_B12_a_fragment_is_as_long_as_there_is_room_and_no_byte_longer(family: Family) -> None:
    """RFC 5059 4.1: header, tag, BSR; of each range the group and counts; of each RP address, hold time, priority."""
    head, of_range, of_rp = (4 + 4 + 6, 8 + 4, 6 + 4) if family.size == 4 else (4 + 4 + 18, 20 + 4, 18 + 4)
    rps = tuple(RpEntry(bytes(family.size - 1) + bytes((n + 1,)), 150, 0) for n in range(5))
    first = RpRange(family.multicast, False, False, 5, rps)
    second = RpRange(Prefix(family.multicast.network, 20), False, False, 2, rps[:2])
    one = Bootstrap(1, 30, 64, bytes(family.size - 1) + b"\1", False, (first,))
    two = evolve(one, ranges=(first, second))
    for message, ranges, count in ((one, 1, 5), (two, 2, 7)):
        need = head + ranges * of_range + count * of_rp
        (whole,) = bsm.fragments(family, GLOBAL, message, need)
        assert whole == message and len(pim.encode(family, family.any, family.any, whole)) == need
        assert len(bsm.fragments(family, GLOBAL, message, need - 1)) == 2
    room = head + of_range + 3 * of_rp
    assert [len(part.ranges[0].rps) for part in bsm.fragments(family, GLOBAL, one, room)] == [3, 2]
    assert [len(part.ranges[0].rps) for part in bsm.fragments(family, GLOBAL, one, room - 1)] == [2, 2, 1]


# B19, section 1.2 of reliability.md: bytes that are no good.


def raw_message(stand: BsrStand, bsr: bytes, rps: list[bytes]) -> bytearray:
    message = stand.message(bsr, stand.listed(stand.everything, *rps[:2]))
    nine = stand.peer("up", 9)
    return bytearray(pim.encode(stand.family, nine.address, stand.family.all_pim_routers, message))


def offsets(family: Family) -> dict[str, int]:
    """Where the fields of that message stand."""
    size = family.size
    group = 8 + 2 + size
    counts = group + 4 + size
    return {
        "hash": 6,
        "bsr family": 8,
        "bsr": 10,
        "group family": group,
        "mask": group + 3,
        "group": group + 4,
        "count": counts,
        "here": counts + 1,
        "rp family": counts + 4,
        "rp": counts + 6,
    }


BAD = {
    "bsm-hashlen": ("bsm_hashlen", {"hash": 129}),
    "hash 33": ("bsm_hashlen", {"hash": 33}),
    "hash 255": ("bsm_hashlen", {"hash": 255}),
    "BSR of the other family": ("bad_address_family", {"bsr family": None}),
    "BSR multicast": ("bsm_bad_addr", {"bsr": 0xFF}),
    "group of the other family": ("bad_address_family", {"group family": None}),
    "group mask too long": ("bad_mask", {"mask": 129}),
    "group not multicast": ("bsm_bad_addr", {"group": 10}),
    "group mask too short": ("bsm_bad_addr", {"mask": 3}),
    "bsm-short: more here than in all": ("bsm_rp_count", {"count": 1}),
    "bsm-short: rp-cnt 0": ("bsm_rp_count", {"count": 0}),
    "count past the end": ("truncated", {"count": 200, "here": 200}),
    "RP of the other family": ("bad_address_family", {"rp family": None}),
    "RP multicast": ("bsm_bad_addr", {"rp": 0xFF}),
    "encoding not native": ("bad_encoding", {"encoding": 1}),
}


@pytest.mark.parametrize("name", BAD)
def test_B19_B2_TH55_bad_bytes_drop_the_message_whole(family: Family, name: str) -> None:
    reason, changes = BAD[name]
    if name == "hash 33" and family.size == 16:
        pytest.skip("33 bits are fine for IPv6")
    stand, bsr, rps = ready(family)
    stand.hear(bsr, stand.listed(stand.everything, rps[3]))
    stand.mark()
    data, places = raw_message(stand, bsr, rps), offsets(family)
    places["encoding"] = places["rp family"] + 1
    for field, value in changes.items():
        data[places[field]] = 3 - family.pim_number if value is None else value
    before = digest(stand.router)
    stand.peer("up", 9).send_bytes(sealed(stand, data, source=stand.nine))
    stand.run(0)
    assert digest(stand.router) == before and stand.refused(reason) == 1 and stand.bsms() == []
    stand.peer("up", 9).send_bytes(sealed(stand, raw_message(stand, bsr, rps), source=stand.nine))
    stand.run(0)
    assert set(stand.mapped()) == set(rps[:2]), "the same without that is taken"


def test_B19_V5_bsm_short_truncated_at_every_length(family: Family) -> None:
    stand, bsr, rps = ready(family)
    data = raw_message(stand, bsr, rps)
    before = digest(stand.router)
    whole_ranges = 8 + 2 + family.size
    for length in range(len(data)):
        if length == whole_ranges:
            continue  # without any range it is a message, an empty one
        stand.peer("up", 9).send_bytes(
            sealed(stand, data[:length], source=stand.nine) if length >= 4 else bytes(data[:length])
        )
        stand.run(0)
    assert digest(stand.router) == before and stand.bsms() == []


def test_bsm_unbounded_TH57_Y2_pairs_are_capped_and_the_old_ones_stay(family: Family) -> None:
    stand, bsr, rps = ready(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_rp_mappings=3)
    stand.hear(bsr, stand.listed(stand.everything, rps[0], rps[1]))
    more = stand.range("239.1.0.0/16", "ff1e::/16")
    stand.hear(bsr, stand.listed(more, rps[0], rps[1], rps[2]))
    assert set(stand.mapped()) == {rps[0], rps[1]} and len(stand.mapped(more)) == 1
    assert stand.refused("bsm_limit") == 2 and stand.r1.reasons().count("bsm_limit") == 1
    stand.hear(bsr, stand.listed(stand.everything, rps[0], (rps[1], 7)))
    assert stand.mapped()[rps[1]][0] == 7, "what stands is kept up"
    stand.hear(bsr, stand.listed(stand.everything, rps[1]), stand.listed(more, rps[0], rps[1]))
    assert len(stand.mapped(more)) == 2, "there is room again"


def test_TH56_Y4_bsm_rate_repetitions_above_the_rate_are_dropped_first(family: Family) -> None:
    from pimpy.core.pim import bootstrap

    stand, bsr, rps = ready(family)
    message = stand.hear(bsr, stand.listed(stand.everything, rps[0]))
    stand.run(2)
    stand.mark()
    for _ in range(bootstrap.RATE + 50):
        stand.peer("up", 9).send(message)
    stand.run(0)
    assert stand.refused("bsm_rate") == 50 and len(stand.bsms()) == bootstrap.RATE
    assert stand.neighbors("up") == {9}
    stand.hear(bsr, stand.listed(stand.everything, rps[1]))
    assert stand.rp_of() == rps[1], "another message passes"
    stand.run(1)
    stand.mark()
    stand.peer("up", 9).send(message)
    stand.run(0)
    assert len(stand.bsms()) == 1, "a second later it passes again"


def test_messages_wait_for_the_way_to_their_bsr_in_order_and_within_a_limit(family: Family) -> None:
    from pimpy.core.pim import bootstrap

    stand, _, rps = ready(family)
    nine = stand.peer("up", 9)
    for number in range(bootstrap.MAX_HELD + 5):
        nine.send(stand.message(stand.behind(100 + number), stand.listed(stand.everything, rps[0])))
    stand.run(0)
    assert stand.refused("bsm_limit") == 5 and not stand.router.pim.bootstrap.held
    known = stand.router.rpf.paths
    assert list(known) == [stand.bsr()], "only the way to the BSR is kept up"


def test_V15_TH65_reserved_bits_of_a_message_are_ignored(family: Family) -> None:
    stand, bsr, rps = ready(family)
    other, _, _ = ready(family)
    data, places = raw_message(stand, bsr, rps), offsets(family)
    data[1] = 0x7F  # all flag bits but N
    data[places["group"] - 2] |= 0x7E
    data[places["count"] + 2] = data[places["count"] + 3] = 0xFF
    data[places["rp"] + family.size + 3] = 0xFF
    for each, content in ((stand, data), (other, raw_message(other, bsr, rps))):
        each.peer("up", 9).send_bytes(sealed(each, content, source=each.nine))
        each.run(0)
    assert stand.mapped() == other.mapped() != {} and len(stand.bsms()) == 1


def test_3f_a_message_without_change_looks_at_no_group_and_a_change_at_those_that_move(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pimpy.core.pim.rp_set import Choice, RpSet

    stand, bsr, rps = ready(family)
    stand.net.checker.on = False
    texts = [(f"239.{n}.0.0/16", f"ff1e:{n}::/32") for n in range(1, 6)]
    ranges = [stand.range(*text) for text in texts]
    listed = [stand.listed(prefix, *((rp, 5) for rp in rps)) for prefix in ranges]
    stand.hear(bsr, *listed)
    host = stand.net.host("down")
    for prefix in ranges:
        for number in range(40):
            host.want_any(prefix.network[:-1] + bytes((number * 4 + 1,)))
    stand.run(5)
    trees = stand.router.pim.tib.groups
    assert len(trees) == 200
    looked: list[bytes] = []
    choose = RpSet.choose

    def spy(self: RpSet, group: bytes) -> Choice:
        looked.append(group)
        return choose(self, group)

    monkeypatch.setattr(RpSet, "choose", spy)
    stand.hear(bsr, *listed)
    assert looked == []
    failing = max(rps, key=lambda rp: sum(tree.rp == rp for tree in trees.values()))
    moving = {group for group, tree in trees.items() if tree.rp == failing and ranges[0].covers(group)}
    assert 0 < len(moving) < 40
    less = stand.listed(ranges[0], *((rp, 5) for rp in rps if rp != failing))
    stand.hear(bsr, less, *listed[1:])
    assert set(looked) == moving
    assert all(trees[group].rp not in (failing, None) for group in moving)
