"""Addresses, ranges and what each family says of them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pimpy.wire.family import (
    FAMILIES,
    IPV4,
    IPV6,
    Family,
    Prefix,
    family_of,
    format_address,
    parse_address,
    parse_prefix,
)

addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


@given(addresses)
def test_text_and_back(address: bytes) -> None:
    assert format_address(address) == str(ip_address(address))
    assert parse_address(format_address(address)) == address


@given(addresses, addresses, st.integers(0, 128))
def test_a_range_covers_what_ipaddress_says(address: bytes, network: bytes, length: int) -> None:
    length = min(length, 8 * len(network))
    expected = ip_network((network, length), strict=False)
    prefix = Prefix(expected.network_address.packed, length)
    assert prefix.covers(network)
    assert prefix.covers(address) == (len(address) == len(network) and ip_address(address) in expected)
    assert parse_prefix(str(prefix)) == prefix


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.256", "fe80::1%eth0", "10.0.0.1%lo", "::g", "1.2.3.4/8"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    ["10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.1/8", "ff00::/129", "ff00::1/8", "10.0.0.0/²"],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError):
        parse_prefix(text)


@pytest.mark.parametrize("size", [0, 3, 5, 15, 17])
def test_an_address_has_4_or_16_bytes(size: int) -> None:
    with pytest.raises(ValueError):
        format_address(bytes(size))
    with pytest.raises(ValueError):
        family_of(bytes(size))


def test_family_of_an_address(family: Family) -> None:
    assert family_of(family.any) is family
    assert family.any == bytes(family.size)
    assert family.bits == 8 * family.size
    assert family.host(family.any) == Prefix(family.any, family.bits)
    assert family in FAMILIES


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        (IPV4, "192.0.2.1", True),
        (IPV4, "169.254.1.1", True),
        (IPV4, "223.255.255.255", True),
        (IPV4, "0.0.0.0", False),
        (IPV4, "0.1.2.3", False),
        (IPV4, "127.0.0.1", False),
        (IPV4, "224.0.0.1", False),
        (IPV4, "240.0.0.1", False),
        (IPV4, "255.255.255.255", False),
        (IPV4, "2001:db8::1", False),
        (IPV6, "2001:db8::1", True),
        (IPV6, "fe80::1", True),
        (IPV6, "::", False),
        (IPV6, "::1", False),
        (IPV6, "ff02::1", False),
        (IPV6, "192.0.2.1", False),
    ],
)
def test_what_can_name_one_host(family: Family, text: str, expected: bool) -> None:
    assert family.is_unicast(parse_address(text)) is expected


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        (IPV4, "169.254.0.0", True),
        (IPV4, "169.255.0.0", False),
        (IPV6, "fe80::", True),
        (IPV6, "febf::1", True),
        (IPV6, "fec0::1", False),
        (IPV6, "2001:db8::1", False),
    ],
)
def test_what_is_link_local(family: Family, text: str, expected: bool) -> None:
    assert family.is_link_local(parse_address(text)) is expected


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        (IPV4, "224.0.1.0", True),
        (IPV4, "232.0.0.1", True),
        (IPV4, "239.255.255.255", True),
        (IPV4, "224.0.0.13", False),
        (IPV4, "223.1.1.1", False),
        (IPV4, "ff0e::1", False),
        (IPV6, "ff0e::1", True),
        (IPV6, "ff33::1", True),
        (IPV6, "ff03::1", True),
        (IPV6, "ff00::1", False),
        (IPV6, "ff01::1", False),
        (IPV6, "ff02::1", False),
        (IPV6, "ff32::1", False),
        (IPV6, "fe80::1", False),
        (IPV6, "239.1.1.1", False),
    ],
)
def test_F20_groups_that_may_cross_a_router(family: Family, text: str, expected: bool) -> None:
    assert family.is_routable_group(parse_address(text)) is expected


def test_well_known_groups_are_link_scope_multicast(family: Family) -> None:
    for group in (family.all_pim_routers, family.all_hosts, family.all_routers, family.all_reports):
        assert family.is_multicast(group)
        assert not family.is_routable_group(group)
    assert not family.is_multicast(family.any)


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        (IPV4, "232.0.0.0", True),
        (IPV4, "232.255.255.255", True),
        (IPV4, "233.0.0.0", False),
        (IPV6, "ff3e::8000:1", True),
        (IPV6, "ff35::1", True),
        (IPV6, "ff3e:0:1::1", True),
        (IPV6, "ff3e:1::1", False),
        (IPV6, "ff0e::1", False),
    ],
)
def test_S1_default_ssm_ranges(family: Family, text: str, expected: bool) -> None:
    assert any(prefix.covers(parse_address(text)) for prefix in family.ssm_ranges) is expected
