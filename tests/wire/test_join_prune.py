"""Join/Prune messages: what is read of good and bad ones, and how they are written (RFC 7761 4.9.5)."""

from __future__ import annotations

from random import Random
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pim_samples import (
    FOREIGN,
    NETS,
    body,
    encode,
    masked,
    messages,
    reason_of,
    unicast,
)

from pimpy.wire import join_prune, pim
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Family
from pimpy.wire.join_prune import SG, SG_RPT, STAR_G, GroupSet, JoinPrune, SourceEntry
from pimpy.wire.reader import Malformed, Reader


def head(family: Family, groups: int, holdtime: int = 210) -> bytes:
    """The bytes in front of the group sets."""
    return unicast(family, NETS[family].neighbor) + pack(">BBH", 0, groups, holdtime)


def counts(joined: int, pruned: int) -> bytes:
    return pack(">HH", joined, pruned)


def read(family: Family, groups: int, *parts: bytes) -> JoinPrune:
    message = body(family, 3, head(family, groups), *parts)
    assert isinstance(message, JoinPrune)
    assert (message.upstream_neighbor, message.holdtime) == (NETS[family].neighbor, 210)
    return message


def good_set(family: Family) -> tuple[bytes, GroupSet]:
    """A set of one Join, to stand before or behind what is tested."""
    net = NETS[family]
    data = masked(family, net.other_group) + counts(1, 0) + masked(family, net.other_source, SG)
    return data, GroupSet(net.other_group, ((net.other_source, SG),), ())


GOLDEN = "2300fcad01000a000002000100d201000020ef01010100010001010007200a09090901000520c0000205"


def test_U24_golden_join_prune() -> None:
    net = NETS[IPV4]
    group_set = GroupSet(net.group, ((net.rp, STAR_G),), ((net.source, SG_RPT),))
    message = JoinPrune(net.neighbor, 210, (group_set,))
    assert encode(IPV4, message).hex() == GOLDEN
    assert pim.decode(IPV4, net.me, IPV4.all_pim_routers, bytes.fromhex(GOLDEN)) == message


def test_U24_flags_and_masks_of_each_kind(family: Family) -> None:
    net = NETS[family]
    assert (SG, SG_RPT, STAR_G) == (0x04, 0x05, 0x07)
    joins = ((net.rp, STAR_G), (net.source, SG))
    message = JoinPrune(net.neighbor, 210, (GroupSet(net.group, joins, ((net.other_source, SG_RPT),)),))
    expected = b"".join(
        (
            head(family, 1),
            masked(family, net.group) + counts(2, 1),
            masked(family, net.rp, 0x07) + masked(family, net.source, 0x04) + masked(family, net.other_source, 0x05),
        )
    )
    assert encode(family, message)[4:] == expected
    assert body(family, 3, expected) == message


@pytest.mark.parametrize("holdtime", [0, 1, 210, 0xFFFF])
def test_J10_holdtime_is_told_as_it_is(family: Family, holdtime: int) -> None:
    data, group_set = good_set(family)
    message = body(family, 3, head(family, 1, holdtime), data)
    assert message == JoinPrune(NETS[family].neighbor, holdtime, (group_set,))


def test_J7_unspecified_upstream_neighbor_is_read(family: Family) -> None:
    message = body(family, 3, unicast(family, family.any) + b"\0\0\0\xd2")
    assert message == JoinPrune(family.any, 210, ())


@pytest.mark.parametrize("flags", range(256))
def test_received_flags_are_only_w_and_r(family: Family, flags: int) -> None:
    net = NETS[family]
    kind = {0: SG, 1: SG_RPT, 3: STAR_G}.get(flags & 3)
    entry = masked(family, net.source, flags)
    expected: tuple[SourceEntry, ...] = () if kind is None else ((net.source, kind),)
    notes = () if kind is not None else ("jp_bad_flags",)
    group = masked(family, net.group)
    for data, joins, prunes in (
        (group + counts(1, 0) + entry, expected, ()),
        (group + counts(0, 1) + entry, (), expected),
        (group + counts(1, 1) + masked(family, net.rp, STAR_G) + entry, ((net.rp, STAR_G),), expected),
    ):
        message = read(family, 1, data)
        assert message.groups == (GroupSet(net.group, joins, prunes),)
        assert ("jp_odd_combo" in message.notes) == (kind == STAR_G and bool(joins and prunes))
        assert tuple(note for note in message.notes if note != "jp_odd_combo") == notes


def test_V6_a_bad_length_in_the_second_set_drops_the_first_as_well(family: Family) -> None:
    net = NETS[family]
    data, group_set = good_set(family)
    assert read(family, 1, data).groups == (group_set,)
    for joined, pruned in ((2, 0), (0, 2), (1, 1), (0xFFFF, 0), (0xFFFF, 0xFFFF)):
        bad = masked(family, net.group) + counts(joined, pruned) + masked(family, net.source, SG)
        assert reason_of(read, family, 2, data, bad) == "jp_malformed"


def test_V6_more_groups_told_than_there_are(family: Family) -> None:
    data, _ = good_set(family)
    for groups in (2, 255):
        assert reason_of(read, family, groups, data) == "jp_malformed"
    assert reason_of(read, family, 255) == "jp_malformed"


def test_fewer_groups_told_than_there_are_bytes(family: Family) -> None:
    data, group_set = good_set(family)
    assert read(family, 1, data, data[:-1]).groups == (group_set,)
    assert read(family, 0, data).groups == ()


@pytest.mark.parametrize("place", ["join", "prune"])
def test_V7_source_mask_that_is_not_full_drops_the_message(family: Family, place: str) -> None:
    net = NETS[family]
    data, _ = good_set(family)
    for length in {0, 8, 31, 32, 33, 64, 127, 128, 129, 255} - {family.bits}:
        entries = masked(family, net.rp, STAR_G) + masked(family, net.source, SG_RPT, length)
        number = counts(2, 0) if place == "join" else counts(0, 2)
        bad = masked(family, net.group) + number + entries
        assert reason_of(read, family, 2, data, bad) == "jp_bad_mask"
        single = masked(family, net.group) + counts(1, 0) + masked(family, net.source, SG, length)
        assert reason_of(read, family, 2, data, single) == "jp_bad_mask"


def test_V7_group_mask_that_is_not_full_skips_the_set(family: Family) -> None:
    net = NETS[family]
    data, group_set = good_set(family)
    for length in {0, 4, 8, 31, 32, 33, 127, 128, 129, 200, 255} - {family.bits}:
        bad = masked(family, net.group, 0, length) + counts(1, 1) + masked(family, net.source, SG) * 2
        message = read(family, 3, data, bad, masked(family, net.group) + counts(0, 0))
        assert message.groups == (group_set, GroupSet(net.group, (), ()))
        assert message.notes == ("jp_bad_group",)


def test_V7_a_source_with_a_bad_mask_in_a_skipped_set_drops_the_message(family: Family) -> None:
    net = NETS[family]
    bad = masked(family, net.group, 0, 8) + counts(1, 0) + masked(family, net.source, SG, 8)
    assert reason_of(read, family, 1, bad) == "jp_bad_mask"


def test_group_that_is_not_multicast_skips_the_set(family: Family) -> None:
    net = NETS[family]
    data, group_set = good_set(family)
    for group in (net.rp, family.any):
        message = read(family, 2, masked(family, group) + counts(1, 0) + masked(family, net.source, SG), data)
        assert message.groups == (group_set,)
        assert message.notes == ("jp_bad_group",)


def test_V8_wildcard_without_rpt_is_ignored_and_the_others_are_processed(family: Family) -> None:
    net = NETS[family]
    data, group_set = good_set(family)
    entries = masked(family, net.rp, 0x06) + masked(family, net.source, SG) + masked(family, net.other_source, 0x02)
    message = read(family, 2, masked(family, net.group) + counts(2, 1) + entries, data)
    assert message.groups == (GroupSet(net.group, ((net.source, SG),), ()), group_set)
    assert message.notes == ("jp_bad_flags",)


def test_V9_unknown_address_family_drops_the_message(family: Family) -> None:
    net = NETS[family]
    data, _ = good_set(family)
    for number in (0, 3, 255):
        group = bytes((number, 0, 0, family.bits)) + net.group
        source = bytes((number, 0, SG, family.bits)) + net.source
        for bad in (group + counts(0, 0), masked(family, net.group) + counts(1, 0) + source):
            assert reason_of(read, family, 2, data, bad) == "bad_address_family"
        upstream = bytes((number, 0)) + net.neighbor + b"\0\0\0\xd2"
        assert reason_of(body, family, 3, upstream) == "bad_address_family"


def test_V9_encoding_type_other_than_0_drops_the_message(family: Family) -> None:
    net = NETS[family]
    data, _ = good_set(family)
    for encoding in (1, 255):
        group = bytes((family.pim_number, encoding, 0, family.bits)) + net.group
        source = bytes((family.pim_number, encoding, SG, family.bits)) + net.source
        for bad in (group + counts(0, 0), masked(family, net.group) + counts(1, 0) + source):
            assert reason_of(read, family, 2, data, bad) == "bad_encoding"
        upstream = bytes((family.pim_number, encoding)) + net.neighbor + b"\0\0\0\xd2"
        assert reason_of(body, family, 3, upstream) == "bad_encoding"


def test_V9_upstream_neighbor_of_the_other_family_drops_the_message(family: Family) -> None:
    other = FOREIGN[family]
    data, _ = good_set(other)
    upstream = unicast(other, NETS[other].neighbor) + b"\0\1\0\xd2"
    assert reason_of(body, family, 3, upstream, data) == "bad_address_family"


def test_V9_mixed_families_only_those_of_the_upstream_neighbor_are_used(family: Family) -> None:
    net, other = NETS[family], FOREIGN[family]
    foreign = NETS[other]
    data, group_set = good_set(family)
    sources = masked(other, foreign.source, SG) + masked(family, net.source, SG) + masked(other, foreign.rp, SG_RPT)
    mixed = masked(family, net.group) + counts(2, 1) + sources
    whole_set = (
        masked(other, foreign.group) + counts(1, 1) + masked(other, foreign.source, SG) + masked(family, net.rp, SG)
    )
    message = read(family, 3, mixed, whole_set, data)
    assert message.groups == (GroupSet(net.group, ((net.source, SG),), ()), group_set)
    assert message.notes == ("jp_mixed_af",)
    bad_mask = masked(family, net.group) + counts(1, 0) + masked(other, foreign.source, SG, family.bits)
    assert reason_of(read, family, 1, bad_mask) == "jp_bad_mask"


@pytest.mark.parametrize("flags", [0x07, 0x03])
def test_V10_star_star_rp_set_is_skipped_and_the_next_is_processed(family: Family, flags: int) -> None:
    net = NETS[family]
    data, group_set = good_set(family)
    everything = family.multicast
    skipped = masked(family, everything.network, 0, everything.length) + counts(1, 0) + masked(family, net.rp, flags)
    message = read(family, 2, skipped, data)
    assert message.groups == (group_set,)
    assert message.notes == ("jp_bad_group",)


def test_V15_reserved_fields_are_ignored(family: Family) -> None:
    net = NETS[family]
    upstream = unicast(family, net.neighbor) + b"\xff\1\0\xd2"
    data = masked(family, net.group, 0xFF) + counts(1, 0) + masked(family, net.source, 0xF8 | SG)
    message = body(family, 3, upstream, data)
    assert message == JoinPrune(net.neighbor, 210, (GroupSet(net.group, ((net.source, SG),), ()),))
    assert encode(family, message)[4 + 2 + family.size] == 0


def test_U23_forbidden_combinations_are_read_and_noted(family: Family) -> None:
    net = NETS[family]
    star, star2 = masked(family, net.rp, STAR_G), masked(family, net.dr, STAR_G)
    tree, rpt = masked(family, net.source, SG), masked(family, net.source, SG_RPT)
    group = masked(family, net.group)
    odd = {"both stars": star + star2, "same tree": tree + tree, "same rpt": rpt + rpt}
    even = {"star, rpt": star + rpt, "star, tree": star + tree, "tree, rpt": tree + rpt, "rpt, tree": rpt + tree}
    for name, entries in (odd | even).items():
        message = read(family, 1, group + counts(1, 1) + entries)
        assert message.notes == (("jp_odd_combo",) if name in odd else ()), name
        assert (len(message.groups[0].joins), len(message.groups[0].prunes)) == (1, 1)
    twice = group + counts(1, 0) + tree
    message = read(family, 2, twice, twice)
    assert message.groups == (GroupSet(net.group, ((net.source, SG),), ()),) * 2
    assert message.notes == ("jp_odd_combo",)


# The short way of reading against the careful one


def random_sets(family: Family, random: Random) -> tuple[int, bytes]:
    """(number, bytes) of group sets: all usual, or with some unusual ones, or cut off."""
    other = FOREIGN[family]
    unusual = random.choice((0.0, 0.0, 0.1))

    def rarely() -> bool:
        return random.random() < unusual

    def masked_address(flags: int, group: bool) -> bytes:
        owner = other if rarely() else family
        address = random.randbytes(owner.size) if rarely() else (NETS[owner].group if group else NETS[owner].source)
        end = bytes((random.randint(0, 255),))
        return masked(owner, address[:-1] + end, flags, random.choice((8, 0, 255)) if rarely() else None)

    def source() -> bytes:
        return masked_address(random.randint(0, 255) if rarely() else random.choice((SG, SG_RPT, STAR_G)), group=False)

    number = random.randint(0, 6)
    only_singles = random.random() < 0.4
    parts: list[bytes] = []
    for _ in range(number):
        joined, pruned = (1, 0) if only_singles else (random.randint(0, 3), random.choice((0, 0, 1, 2)))
        parts.append(masked_address(random.randint(0, 255) if rarely() else 0, group=True) + counts(joined, pruned))
        parts += [source() for _ in range(joined + pruned)]
    data = b"".join(parts)
    if random.random() < 0.2:
        data = data[: len(data) - random.randint(1, 30)]
    return number, data


def outcome(family: Family, data: bytes, careful: bool) -> object:
    """What reading `data` gives: the message with its notes, or the reason why not."""
    reader = Reader(data, reason="jp_malformed")
    try:
        if careful:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(join_prune, "_read_single", lambda *_: [])
                patch.setattr(join_prune, "_read_plain", refuse)
                message = join_prune.read(family, reader)
        else:
            message = join_prune.read(family, reader)
    except Malformed as problem:
        return problem.reason
    return message, message.notes


def refuse(*_: object) -> list[GroupSet]:
    raise KeyError


@settings(max_examples=800)
@given(st.sampled_from(FAMILIES), st.integers(0, 2**32))
def test_the_short_way_reads_what_the_careful_one_does(family: Family, seed: int) -> None:
    number, sets = random_sets(family, Random(seed))
    raw = head(family, number) + sets
    assert outcome(family, raw, careful=False) == outcome(family, raw, careful=True)


def test_usual_messages_take_the_short_way(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_prune, "_read_careful", refuse)
    usual = [message for message in messages(family).values() if isinstance(message, JoinPrune)]
    assert len(usual) == 4
    for message in usual:
        assert body(family, 3, encode(family, message)[4:]) == message


def test_messages_of_single_joins_take_the_shortest_way(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_prune, "_read_plain", refuse)
    monkeypatch.setattr(join_prune, "_read_careful", refuse)
    singles = messages(family)["join_prune singles"]
    assert body(family, 3, encode(family, singles)[4:]) == singles
    assert body(family, 3, encode(family, singles)[4:] + b"trailing") == singles


def test_notes_are_not_part_of_the_message(family: Family) -> None:
    net = NETS[family]
    data, group_set = good_set(family)
    bad = masked(family, net.group, 0, 8) + counts(0, 0)
    noted = read(family, 2, data, bad)
    clean = JoinPrune(net.neighbor, 210, (group_set,))
    assert noted.notes and noted == clean
    assert encode(family, noted) == encode(family, clean)


# Writing


def test_what_cannot_be_written(family: Family) -> None:
    net, other = NETS[family], NETS[FOREIGN[family]]
    one = GroupSet(net.group, ((net.source, SG),), ())
    for message in (
        JoinPrune(net.neighbor, 0x10000, (one,)),
        JoinPrune(net.neighbor, -1, (one,)),
        JoinPrune(other.neighbor, 210, (one,)),
        JoinPrune(net.neighbor, 210, (GroupSet(other.group, ((net.source, SG),), ()),)),
        JoinPrune(net.neighbor, 210, (GroupSet(net.group, ((other.source, SG),), ()),)),
        JoinPrune(net.neighbor, 210, (GroupSet(net.group, ((net.source, SG), (other.source, SG)), ()),)),
        JoinPrune(net.neighbor, 210, (GroupSet(net.group, ((net.source, 0x06),), ()),)),
        JoinPrune(net.neighbor, 210, (GroupSet(net.group, (), ((net.source, 0x00),)),)),
        JoinPrune(net.neighbor, 210, (one,) * 256),
    ):
        with pytest.raises(ValueError):
            encode(family, message)
    assert len(encode(family, JoinPrune(net.neighbor, 210, (one,) * 255))) == 4 + 6 + family.size + 255 * (
        12 + 2 * family.size
    )


def test_the_layouts_are_those_of_each_family() -> None:
    """12 + 8 bytes a set of one IPv4 source, 24 + 20 of one IPv6 source (RFC 7761 4.9.1)."""
    for family, size in ((IPV4, 20), (IPV6, 44)):
        data, _ = good_set(family)
        assert len(data) == size
