"""Bootstrap and Candidate-RP-Advertisement messages (RFC 5059 4.1, 4.2)."""

from __future__ import annotations

from struct import pack

import pytest
from pim_samples import FOREIGN, NETS, body, encode, masked, messages, reason_of, unicast

from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, CandidateRpAdvertisement, GroupRange, RpEntry, RpRange
from pimpy.wire.family import IPV4, IPV6, Address, Family, Prefix, parse_address, parse_prefix


def start(family: Family, hash_mask_length: int = 30) -> bytes:
    return pack(">HBB", 0x1234, hash_mask_length, 64) + unicast(family, NETS[family].rp)


def group(family: Family, flags: int = 0, length: int | None = None) -> bytes:
    prefix = NETS[family].range
    return masked(family, prefix.network, flags, prefix.length if length is None else length)


def rp(family: Family, address: Address | None = None, holdtime: int = 150, priority: int = 192) -> bytes:
    return unicast(family, address or NETS[family].rp) + pack(">HBB", holdtime, priority, 0)


def counts(whole: int, here: int) -> bytes:
    return bytes((whole, here, 0, 0))


def bootstrap(family: Family, *parts: bytes) -> Bootstrap:
    message = body(family, 4, *parts)
    assert isinstance(message, Bootstrap)
    return message


def candidate(family: Family, *parts: bytes) -> CandidateRpAdvertisement:
    message = body(family, 8, *parts)
    assert isinstance(message, CandidateRpAdvertisement)
    return message


def test_golden_bootstrap_ipv4() -> None:
    """By hand from the figure of RFC 5059 4.1; the checksum was summed apart."""
    golden = (
        "2480 6e38 1234 1e 40 0100 0a090909"
        "0100 01 10 ef010000 02 01 0000 0100 0a090909 0096 c0 00"
        "0100 80 04 e0000000 00 00 0000"
    )
    data = bytes.fromhex(golden)
    net = NETS[IPV4]
    message = pim.decode(IPV4, net.me, IPV4.all_pim_routers, data)
    assert message == Bootstrap(
        fragment_tag=0x1234,
        hash_mask_length=30,
        priority=64,
        bsr=net.rp,
        no_forward=True,
        ranges=(
            RpRange(net.range, False, True, 2, (RpEntry(net.rp, 150, 192),)),
            RpRange(IPV4.multicast, True, False, 0, ()),
        ),
    )
    assert encode(IPV4, message) == data


def test_bootstrap_fields(family: Family) -> None:
    net = NETS[family]
    data = (
        start(family)
        + group(family, 0x81)
        + counts(3, 2)
        + rp(family)
        + rp(family, net.dr, 0, 1)
        + group(family, 0, 24)
    ) + counts(0, 0)
    narrow = Prefix(net.range.network, 24)
    expected = Bootstrap(
        0x1234,
        30,
        64,
        net.rp,
        False,
        (
            RpRange(net.range, True, True, 3, (RpEntry(net.rp, 150, 192), RpEntry(net.dr, 0, 1))),
            RpRange(narrow, False, False, 0, ()),
        ),
    )
    assert bootstrap(family, data) == expected
    assert encode(family, expected)[4:] == data


def test_V15_reserved_fields_of_a_bootstrap_message_are_ignored(family: Family) -> None:
    dirty = start(family) + group(family, 0x7E) + b"\1\1\xff\xff" + rp(family)[:-1] + b"\xff"
    clean = start(family) + group(family) + counts(1, 1) + rp(family)
    assert bootstrap(family, dirty) == bootstrap(family, clean)


def test_B10_empty_bootstrap_message(family: Family) -> None:
    assert bootstrap(family, start(family)) == Bootstrap(0x1234, 30, 64, NETS[family].rp, False, ())


@pytest.mark.parametrize("size", range(4, 14))
def test_bsm_short(family: Family, size: int) -> None:
    data = encode(family, messages(family)["bootstrap"])[4:size]
    assert reason_of(bootstrap, family, data) == "truncated"


def test_B19_hash_mask_longer_than_the_address(family: Family) -> None:
    for length in (0, family.bits - 2, family.bits):
        assert bootstrap(family, start(family, length)).hash_mask_length == length
    for length in (family.bits + 1, 255):
        assert reason_of(bootstrap, family, start(family, length)) == "bsm_hashlen"


def test_B19_group_mask_longer_than_the_address(family: Family) -> None:
    for length in (family.bits + 1, 200, 255):
        data = start(family) + group(family, 0, length) + counts(1, 1) + rp(family)
        assert reason_of(bootstrap, family, data) == "bad_mask"


def test_B19_group_that_is_not_multicast(family: Family) -> None:
    net = NETS[family]
    shortest = family.multicast.length
    wide = masked(family, family.multicast.network, 0, shortest)
    assert bootstrap(family, start(family) + wide + counts(0, 0)).ranges[0].group == family.multicast
    for bad in (masked(family, net.rp), masked(family, family.multicast.network, 0, shortest - 1), group(family, 0, 0)):
        data = start(family) + bad + counts(0, 0)
        assert reason_of(bootstrap, family, data) == "bsm_bad_addr"


BAD_ROUTERS = {
    IPV4: ("0.0.0.0", "127.0.0.1", "239.1.1.1", "255.255.255.255"),
    IPV6: ("::", "::1", "ff0e::1"),
}


def test_B19_rp_and_bsr_that_are_not_unicast(family: Family) -> None:
    for text in BAD_ROUTERS[family]:
        address = parse_address(text)
        listed = start(family) + group(family) + counts(2, 2) + rp(family) + rp(family, address)
        assert reason_of(bootstrap, family, listed) == "bsm_bad_addr"
        bsr = pack(">HBB", 1, 30, 64) + unicast(family, address)
        assert reason_of(bootstrap, family, bsr) == "bsm_bad_addr"


def test_B19_count_running_past_the_end(family: Family) -> None:
    data = start(family) + group(family)
    for here in (2, 3, 255):
        listed = data + counts(255, here) + rp(family)
        assert reason_of(bootstrap, family, listed) == "truncated"


def test_B19_more_rps_in_the_fragment_than_in_the_whole(family: Family) -> None:
    for whole in (0, 1):
        data = start(family) + group(family) + counts(whole, 2) + rp(family) * 2
        assert reason_of(bootstrap, family, data) == "bsm_rp_count"
    data = start(family) + group(family) + counts(2, 2) + rp(family) * 2
    assert len(bootstrap(family, data).ranges[0].rps) == 2


def test_B19_and_V9_other_family_and_encoding(family: Family) -> None:
    other = FOREIGN[family]
    own = start(family) + group(family)
    tail = bytes(64)
    for bad in (
        pack(">HBB", 1, 30, 64) + unicast(other, NETS[other].rp) + tail,
        start(family) + group(other) + counts(1, 1) + rp(family) + tail,
        own + counts(1, 1) + rp(other) + tail,
        own + counts(1, 1) + b"\0\0" + rp(family)[2:],
    ):
        assert reason_of(bootstrap, family, bad) == "bad_address_family"
    bad_encoding = own + counts(1, 1) + rp(family)[:1] + b"\1" + rp(family)[2:]
    assert reason_of(bootstrap, family, bad_encoding) == "bad_encoding"


def test_B19_a_bad_range_behind_good_ones_drops_the_message_whole(family: Family) -> None:
    good = group(family) + counts(1, 1) + rp(family)
    assert len(bootstrap(family, start(family), good, good).ranges) == 2
    assert reason_of(bootstrap, family, start(family), good, good[:-1]) == "truncated"
    assert reason_of(bootstrap, family, start(family), good, b"\0") == "truncated"


@pytest.mark.parametrize("length", range(8, 16))
def test_B18_scoped_ipv6_message_whose_first_mask_is_shorter_than_16(length: int) -> None:
    data = start(IPV6) + masked(IPV6, parse_address("ff00::"), 0x01, length) + counts(0, 0)
    assert reason_of(bootstrap, IPV6, data) == "bsm_scope_mask"


def test_B18_only_the_first_range_and_only_with_z_and_only_ipv6() -> None:
    wide, scope = masked(IPV6, parse_address("ff00::"), 0, 8), masked(IPV6, parse_address("ff05::"), 0x01, 16)
    wide_z = wide[:2] + b"\1" + wide[3:]
    for first, second in ((wide, wide_z), (scope, wide_z)):
        message = bootstrap(IPV6, start(IPV6) + first + counts(0, 0) + second + counts(0, 0))
        assert [each.zone for each in message.ranges] == [first is scope, True]
    four = masked(IPV4, parse_address("239.0.0.0"), 0x01, 8) + counts(0, 0)
    assert bootstrap(IPV4, start(IPV4) + four).ranges[0].group == parse_prefix("239.0.0.0/8")


def test_bits_beyond_the_mask_are_cleared(family: Family) -> None:
    net = NETS[family]
    data = masked(family, net.group, 0, net.range.length)
    assert bootstrap(family, start(family) + data + counts(0, 0)).ranges[0].group == net.range
    assert candidate(family, b"\1\xc0\0\x96", unicast(family, net.rp), data).groups == (GroupRange(net.range),)


def test_golden_candidate_rp_advertisement_ipv4() -> None:
    """By hand from the figure of RFC 5059 4.2; the checksum was summed apart."""
    golden = "2800 6e80 02 c0 0096 0100 0a090909 0100 00 10 ef010000 0100 81 04 e0000000"
    data = bytes.fromhex(golden)
    net = NETS[IPV4]
    message = pim.decode(IPV4, net.dr, net.rp, data)
    assert message == CandidateRpAdvertisement(
        rp=net.rp, priority=192, holdtime=150, groups=(GroupRange(net.range), GroupRange(IPV4.multicast, True, True))
    )
    assert encode(IPV4, message) == data


def test_B16_prefix_count_0(family: Family) -> None:
    net = NETS[family]
    message = candidate(family, b"\0\xff\xff\xff", unicast(family, net.rp))
    assert message == CandidateRpAdvertisement(net.rp, 255, 0xFFFF, ())


def test_B19_candidate_rp_advertisement(family: Family) -> None:
    net, other = NETS[family], FOREIGN[family]
    head, own = b"\2\xc0\0\x96", unicast(family, net.rp)
    good = group(family)
    assert len(candidate(family, head, own, good, good).groups) == 2
    for parts, reason in (
        ((own, good, group(family, 0, family.bits + 1)), "bad_mask"),
        ((own, good, masked(family, net.rp)), "crp_bad_addr"),
        ((own, good, group(family, 0, family.multicast.length - 1)), "crp_bad_addr"),
        ((own, good, group(other), bytes(32)), "bad_address_family"),
        ((unicast(other, NETS[other].rp), good, good, bytes(32)), "bad_address_family"),
        ((own[:1] + b"\1" + own[2:], good, good), "bad_encoding"),
        ((own, good), "truncated"),
        ((own, good, good[:-1]), "truncated"),
    ):
        assert reason_of(candidate, family, head, *parts) == reason
    for text in BAD_ROUTERS[family]:
        bad = unicast(family, parse_address(text))
        assert reason_of(candidate, family, head, bad, good, good) == "crp_bad_addr"


def test_what_cannot_be_written(family: Family) -> None:
    net, other = NETS[family], NETS[FOREIGN[family]]
    bad_rps = (RpEntry(other.rp, 1, 1), RpEntry(net.rp, 0x10000, 1), RpEntry(net.rp, 1, 256))
    bad_ranges = (
        RpRange(other.range, False, False, 0, ()),
        RpRange(net.range, False, False, 256, ()),
        RpRange(Prefix(net.range.network, 256), False, False, 0, ()),
        *(RpRange(net.range, False, False, 1, (each,)) for each in bad_rps),
    )
    bad: list[pim.Message] = [
        *(Bootstrap(1, 30, 64, net.rp, False, (each,)) for each in bad_ranges),
        Bootstrap(0x10000, 30, 64, net.rp, False, ()),
        Bootstrap(1, 256, 64, net.rp, False, ()),
        Bootstrap(1, 30, -1, net.rp, False, ()),
        Bootstrap(1, 30, 64, other.rp, False, ()),
        CandidateRpAdvertisement(other.rp, 1, 1, ()),
        CandidateRpAdvertisement(net.rp, 256, 1, ()),
        CandidateRpAdvertisement(net.rp, 1, 0x10000, ()),
        CandidateRpAdvertisement(net.rp, 1, 1, (GroupRange(other.range),)),
        CandidateRpAdvertisement(net.rp, 1, 1, (GroupRange(net.range),) * 256),
    ]
    for message in bad:
        with pytest.raises(ValueError):
            encode(family, message)
