"""Conformance rows P9 to P13: embedded RP (RFC 3956)."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from bsr_stand import BsrStand

from pimpy.config.model import Config, StaticRp
from pimpy.core.pim.embedded import embedded_rp, is_embedded
from pimpy.core.pim.rp_set import RpSet
from pimpy.wire.family import IPV4, IPV6, Address, parse_address


def rp_of(text: str) -> Address | None:
    """RP(G) by the group alone."""
    return RpSet(IPV6).rp(parse_address(text))


@pytest.mark.parametrize(
    ("group", "rp"),
    [
        ("ff7e:140:2001:db8:beef:feed:0:1234", "2001:db8:beef:feed::1"),
        ("ff78:530:2001:db8:c0de::1", "2001:db8:c0de::5"),
        ("ff7e:f20:2001:db8:dead:beef:0:1", "2001:db8::f"),
    ],
)
def test_P10_the_rp_stands_in_the_group(group: str, rp: str) -> None:
    assert rp_of(group) == parse_address(rp)


@pytest.mark.parametrize(
    "group",
    [
        "ff7e:40:2001:db8:beef:feed:0:1234",
        "ff7e:100:2001:db8:beef:feed:0:1234",
        "ff7e:141:2001:db8:beef:feed:0:1234",
        "ff70:140::1",
        "ff7e:140:fe80::1",
        "ff7e:140:ff02::1",
        "ff7e:140:0:1:2:3:0:1",
    ],
)
def test_P12_what_is_no_rp_yields_none(group: str) -> None:
    assert is_embedded(parse_address(group)) and embedded_rp(parse_address(group)) is None
    mappings = RpSet(IPV6)
    assert mappings.rp(parse_address(group)) is None


@pytest.mark.parametrize("group", ["fffe:140:2001:db8:beef:feed:0:1234", "ff3e:140:2001:db8:beef:feed:0:1234"])
def test_P12_other_flags_are_no_embedded_rp(group: str) -> None:
    assert not is_embedded(parse_address(group)) and rp_of(group) is None


def test_P10_an_ipv4_group_has_none() -> None:
    assert not is_embedded(parse_address("239.112.1.1")) and RpSet(IPV4).rp(parse_address("239.1.1.1")) is None


GROUP = parse_address("ff7e:140:2001:db8:0:3::1")
BAD = parse_address("ff7e:40:2001:db8:0:3::1")


def test_P11_embedded_outranks_bsr_and_static() -> None:
    stand = BsrStand(IPV6)
    other = stand.behind(20)
    stand.configure(rp_addresses=(StaticRp(other, IPV6.host(GROUP), override=True),))
    stand.hear(stand.behind(9), stand.listed(IPV6.host(GROUP), other), stand.listed(IPV6.host(BAD), other))
    assert stand.rp_of(GROUP) == parse_address("2001:db8:0:3::1")
    assert stand.rp_of(BAD) is None, "an invalid one yields no RP"
    stand.configure(embedded_rp=False)
    assert stand.rp_of(GROUP) == stand.rp_of(BAD) == other, "with the option off they are groups like all"


def test_P11_the_option_moves_the_groups_that_stand() -> None:
    stand = AsmStand(IPV6)
    stand.net.host("down").want_any(GROUP)
    stand.run(0)
    tree = stand.router.pim.tib.groups[GROUP]
    assert tree.rp == parse_address("2001:db8:0:3::1")
    stand.configure(embedded_rp=False)
    assert tree.rp == stand.rp
    stand.configure(embedded_rp=True)
    assert tree.rp == parse_address("2001:db8:0:3::1")


def test_P9_an_ssm_group_has_no_tree_whatever_its_flags() -> None:
    from pimpy.wire.family import parse_prefix

    stand = AsmStand(IPV6, rp="none", config=Config(ssm_ranges6=(parse_prefix("ff70::/12"),)))
    stand.net.host("down").want_any(GROUP)
    stand.run(5)
    assert not stand.router.pim.tib.groups


@pytest.mark.parametrize("on", [True, False])
def test_P13_i_am_rp_only_where_the_address_is_mine_and_the_option_is_on(on: bool) -> None:
    stand = AsmStand(IPV6, rp="none", config=Config(embedded_rp=on))
    mine = stand.net.address("rpt", 5)  # 2001:db8:0:3::5
    group = parse_address("ff7e:540:2001:db8:0:3::1")
    other = parse_address("ff7e:640:2001:db8:0:3::1")
    for each in (group, other):
        stand.net.host("down").want_any(each)
    stand.run(0)
    trees = stand.router.pim.tib.groups
    assert (trees[group].rp, trees[group].i_am_rp) == ((mine, True) if on else (None, False))
    assert not trees[other].i_am_rp, "an address that would fit the subnet is not ours"
