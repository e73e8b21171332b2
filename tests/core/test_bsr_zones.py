"""Conformance rows B18, B22, B23, T21: admin-scope zones, their borders, their BSRs (RFC 5059 1.3, 3.1, 3.3, 3.4)."""

from __future__ import annotations

import pytest
from bsr_stand import ZONES, BsrStand
from crafting import sealed
from digest import digest

from pimpy.config.model import BsrCandidate, Config, Phyint, StaticRp
from pimpy.core.pim.scope import GLOBAL, Zone, zone_of
from pimpy.wire import pim
from pimpy.wire.bootstrap import GroupRange, RpRange
from pimpy.wire.family import IPV4, IPV6, Family, parse_address, parse_prefix


def head(stand: BsrStand, *rps: bytes) -> RpRange:
    """The first range of a scoped message: the whole scope."""
    return stand.listed(stand.scope, *rps, zone=True)


def test_B18_the_ranges_of_a_zone() -> None:
    """In IPv6 it is its scope ID, whatever the flags."""
    six = Zone(parse_prefix("ff05::/16"))
    assert [str(prefix) for prefix in six.ranges()] == [f"ff{flags:x}5::/16" for flags in range(16)]
    four = Zone(parse_prefix("239.192.0.0/14"))
    assert four.ranges() == (four.range,) and GLOBAL.ranges() == ()


def test_B18_a_scoped_message_has_a_state_of_its_own(family: Family) -> None:
    stand = BsrStand(family)
    one, other, rps = stand.behind(9), stand.behind(10), [stand.behind(20 + n) for n in range(3)]
    stand.hear(one, stand.listed(stand.everything, rps[0]), priority=100)
    stand.hear(other, head(stand, rps[1]), priority=10)
    assert (stand.bsr(), stand.bsr(stand.scope)) == (one, other)
    assert stand.rp_of() == rps[0] and stand.rp_of(stand.inside()) == rps[1]
    stand.run(100)
    stand.hear(one, stand.listed(stand.everything, rps[0]), priority=100)
    stand.run(30)
    assert (stand.state(), stand.state(stand.scope)) == ("accept_preferred", "accept_any")


def test_B11_B18_fragments_of_a_scoped_message_make_one(family: Family) -> None:
    """Each begins with the range of its zone, and the non-scoped one's are none of their business."""
    stand = BsrStand(family)
    bsr, rps = stand.behind(9), [stand.behind(20 + n) for n in range(4)]
    inside = family.host(stand.inside())
    stand.hear(bsr, head(stand), stand.listed(inside, rps[0], count=2), fragment_tag=500)
    stand.hear(bsr, stand.listed(stand.everything, rps[3]), fragment_tag=500)
    assert stand.mapped(inside, stand.scope) == {} and list(stand.mapped()) == [rps[3]]
    stand.hear(bsr, head(stand), stand.listed(inside, rps[1], count=2), fragment_tag=500)
    assert set(stand.mapped(inside, stand.scope)) == {rps[0], rps[1]} and list(stand.mapped()) == [rps[3]]


def test_B18_a_group_in_a_zone_takes_no_mapping_of_a_wider_one(family: Family) -> None:
    stand = BsrStand(family)
    rps = [stand.behind(20 + n) for n in range(3)]
    inside = stand.inside()
    narrow = family.host(inside)
    stand.hear(stand.behind(9), stand.listed(stand.everything, rps[0]), stand.listed(narrow, rps[1]))
    assert stand.rp_of(inside) == rps[1]
    stand.hear(stand.behind(10), head(stand, rps[2]))
    assert stand.rp_of(inside) == rps[2], "though the range of the other one is longer"
    stand.hear(stand.behind(10), head(stand), fragment_tag=4000)
    assert stand.rp_of(inside) == rps[2], "an empty message takes nothing back"
    stand.configure(rp_addresses=(StaticRp(rps[0], stand.scope),))
    stand.run(281)
    assert stand.rp_of(inside) == rps[0], "static ones hold in every zone"


def test_B18_members_move_when_a_zone_comes_and_goes(family: Family) -> None:
    stand = BsrStand(family)
    rps = [stand.behind(20 + n) for n in range(2)]
    inside = stand.inside()
    stand.net.host("down").want_any(inside)
    for _ in range(30):
        stand.hear(stand.behind(9), stand.listed(stand.everything, rps[0]))
        if stand.now == 0:
            tree = stand.router.pim.tib.groups[inside]
            assert tree.rp == rps[0]
            stand.hear(stand.behind(10), head(stand, rps[1]))
            assert tree.rp == rps[1]
        stand.run(50)
    tree = stand.router.pim.tib.groups[inside]
    assert stand.state(stand.scope) == "no_info" and tree.rp == rps[0]


def test_B18_T21_a_learnt_zone_goes_sz_timeout_after_its_bst_expired(family: Family) -> None:
    stand = BsrStand(family)
    stand.hear(stand.behind(10), head(stand, stand.behind(20)))
    stand.run(130)
    assert stand.state(stand.scope) == "accept_any"
    stand.run(1299.9)
    assert stand.state(stand.scope) == "accept_any"
    stand.run(0.1)
    assert stand.state(stand.scope) == "no_info"
    assert not stand.router.rpf.paths and set(stand.router.pim.rp_set.zones) <= {GLOBAL}


def test_B18_a_message_in_time_keeps_the_zone(family: Family) -> None:
    stand = BsrStand(family)
    stand.hear(stand.behind(10), head(stand, stand.behind(20)))
    stand.run(1000)
    stand.hear(stand.behind(11), head(stand, stand.behind(20)))
    stand.run(1400)
    assert stand.state(stand.scope) == "accept_any"


def test_B18_lines_for_the_other_family_or_an_address_that_is_not_ours_stand_in_nobodys_way(family: Family) -> None:
    stand = BsrStand(family)
    elsewhere = parse_address("10.77.0.1" if family.size == 4 else "2001:db8:77::1")
    other = parse_prefix(ZONES[20 - family.size])
    lines = (
        BsrCandidate(priority=3, scope=other),
        BsrCandidate(address=elsewhere, priority=4),
        BsrCandidate(address=stand.me, priority=5, scope=stand.scope),
        BsrCandidate(address=stand.me, priority=6),
    )
    stand.configure(bsr_candidates=lines)
    found = {row.zone: row.candidate_priority for row in stand.rows("bsr") if row.row == "zone"}
    assert found == {"global": 6, str(stand.scope): 5}


def test_T21_a_configured_zone_stays(family: Family) -> None:
    phyint = Phyint("rpt", scoped=(parse_prefix("239.192.0.0/14"), parse_prefix("ff05::/16")))
    stand = BsrStand(family, config=Config(phyints=(phyint,)))
    assert stand.state(stand.scope) == "accept_any"
    stand.hear(stand.behind(10), head(stand, stand.behind(20)))
    stand.run(3000)
    assert stand.state(stand.scope) == "accept_any"
    stand.configure(phyints=())
    stand.run(1300)
    assert stand.state(stand.scope) == "no_info"


def test_B18_TH53_a_scoped_ipv6_message_needs_16_bits_of_mask() -> None:
    stand = BsrStand(IPV6)
    message = stand.message(stand.behind(9), stand.listed(parse_prefix("ff05::/16"), stand.behind(20), zone=True))
    data = bytearray(pim.encode(IPV6, stand.nine, IPV6.all_pim_routers, message))
    place = 8 + 2 + 16 + 3
    assert data[place] == 16
    data[place] = 15
    before = digest(stand.router)
    stand.peer("up", 9).send_bytes(sealed(stand, data, source=stand.nine))
    stand.run(0)
    assert digest(stand.router) == before and stand.refused("bsm_scope_mask") == 1


def test_B18_a_scoped_message_with_a_range_of_another_zone_is_dropped_whole(family: Family) -> None:
    stand = BsrStand(family)
    before = digest(stand.router)
    foreign = stand.range("239.1.0.0/16", "ff08::/16")
    stand.hear(stand.behind(9), head(stand, stand.behind(20)), stand.listed(foreign, stand.behind(20)))
    assert digest(stand.router) == before and stand.refused("bsm_scope_range") == 1


def test_TH57_zones_are_capped(family: Family) -> None:
    from pimpy.wire.record import evolve

    stand = BsrStand(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_zones=3)
    texts = (
        ("239.1.0.0/16", "239.2.0.0/16", "239.3.0.0/16") if family is IPV4 else ("ff05::/16", "ff08::/16", "ff06::/16")
    )
    for text in texts:
        stand.hear(stand.behind(9), stand.listed(parse_prefix(text), stand.behind(20), zone=True))
    assert len(stand.router.pim.bootstrap.zones) == 3 and stand.refused("bsm_limit") == 1


@pytest.mark.parametrize(
    ("boundary", "message", "held"),
    [
        ("239.192.0.0/14", "239.192.0.0/14", True),
        ("239.192.0.0/14", "239.193.0.0/16", True),
        ("239.192.0.0/14", "239.0.0.0/8", False),
        ("239.192.0.0/14", "239.1.0.0/16", False),
        ("239.192.0.0/14", None, False),
        ("ff05::/16", "ff05::/16", True),
        ("ff05::/16", "ff15::/16", True),
        ("ff08::/16", "ff05::/16", True),
        ("ff05::/16", "ff08::/16", False),
        ("ff05::/16", None, False),
    ],
)
def test_B18_TH52_a_border_neither_sends_forwards_nor_accepts(boundary: str, message: str | None, held: bool) -> None:
    family = IPV6 if ":" in boundary else IPV4
    stand = BsrStand(family, config=Config(phyints=(Phyint("up", scoped=(parse_prefix(boundary),)),)))
    first = (
        stand.listed(stand.everything, stand.behind(20))
        if message is None
        else stand.listed(parse_prefix(message), stand.behind(20), zone=True)
    )
    before = digest(stand.router)
    stand.hear(stand.behind(9), first)
    assert stand.refused("bsm_scope") == held and (digest(stand.router) == before) is held
    stand.mark()
    stand.hear(stand.behind(30, by=2, link="down"), first, by=2, link="down", priority=200)
    assert len(stand.bsms("down")) == 1 and len(stand.bsms("up")) == (not held)
    stand.mark()
    stand.peer("up", 3).hello()
    stand.run(7)
    assert len(stand.bsms("up")) == (not held and stand.i_am_dr("up"))


def test_B18_a_scoped_candidate_sends_nothing_across_its_border(family: Family) -> None:
    stand = BsrStand(family)
    stand.configure(
        phyints=(Phyint("up", scoped=(stand.scope,)),),
        bsr_candidates=(BsrCandidate(stand.me, scope=stand.scope),),
    )
    stand.run(6)
    (message,) = [m for _, m in stand.bsms("down")]
    assert message.ranges[0].zone and message.ranges[0].group == stand.scope and stand.bsms("up") == []


def test_B22_one_message_for_each_zone_and_each_mapping_in_one_of_them(family: Family) -> None:
    stand = BsrStand(family)
    stand.configure(bsr_candidates=(BsrCandidate(stand.me), BsrCandidate(stand.me, scope=stand.scope)))
    stand.run(6)
    narrow = family.host(stand.inside())
    stand.offer(stand.behind(20), stand.everything)
    stand.offer(stand.behind(21), narrow)
    stand.mark()
    stand.run(20)
    scoped, plain = (next(m for _, m in stand.bsms() if bool(m.ranges[0].zone) is wanted) for wanted in (True, False))
    assert [each.group for each in plain.ranges] == [stand.everything]
    assert scoped.ranges[0].zone and not any(each.zone for each in scoped.ranges[1:])
    if family is IPV4:
        assert [(each.group, each.rp_count) for each in scoped.ranges] == [(stand.scope, 0), (narrow, 1)]
    else:
        assert [(each.group, each.rp_count) for each in scoped.ranges] == [(narrow, 1)]
    assert stand.rp_of(stand.inside()) == stand.behind(21) and stand.rp_of() == stand.behind(20)


def test_B16_B22_a_range_wider_than_the_zone_is_none_of_its_bsr(family: Family) -> None:
    stand = BsrStand(family)
    stand.configure(bsr_candidates=(BsrCandidate(stand.me, scope=stand.scope),))
    stand.run(6)
    before = digest(stand.router)
    stand.offer(stand.behind(20))
    stand.offer(stand.behind(20), stand.everything)
    assert digest(stand.router) == before
    stand.offer(stand.behind(20), stand.everything, family.host(stand.inside()))
    assert list(stand.zone(stand.scope).crp_set.ranges) == [family.host(stand.inside())], "range by range"
    assert stand.refused("crp_not_bsr", "candidate_rp_advertisement") == 3


def told(stand: BsrStand, *bsrs: bytes) -> dict[bytes, tuple[GroupRange, ...]]:
    """What each BSR was told."""
    stand.mark()
    stand.run(4)
    found: dict[bytes, tuple[GroupRange, ...]] = {}
    for _, packet, message in stand.net.links["up"].spoken("r1"):
        if isinstance(message, pim.CandidateRpAdvertisement) and packet.destination in bsrs:
            found[packet.destination] = message.groups
    return found


def test_B23_each_range_goes_to_the_smallest_scope_that_holds_it(family: Family) -> None:
    stand = BsrStand(family)
    plain, scoped = stand.behind(9), stand.behind(10)
    narrow, other = family.host(stand.inside()), stand.range("239.1.0.0/16", "ff1e::/16")
    stand.offer_ourselves(group_prefixes=(narrow, other))
    stand.hear(scoped, head(stand, stand.behind(20)))
    assert told(stand, plain, scoped) == {scoped: (GroupRange(narrow),)}, "without a non-scoped BSR the rest is untold"
    stand.hear(plain, stand.listed(stand.everything, stand.behind(20)))
    assert told(stand, plain, scoped)[plain] == (GroupRange(other),)


def test_B23_a_scope_inside_a_range_is_advertised_to_its_bsr_too(family: Family) -> None:
    stand = BsrStand(family)
    plain, scoped = stand.behind(9), stand.behind(10)
    stand.offer_ourselves()
    stand.hear(plain, stand.listed(stand.everything, stand.behind(20)))
    stand.hear(scoped, head(stand, stand.behind(20)))
    found = told(stand, plain, scoped)
    assert found[plain] == (GroupRange(stand.everything),)
    if family is IPV4:
        assert found[scoped] == (GroupRange(stand.scope),)
    else:
        ranges = {each.group for each in found[scoped]}
        assert ranges == {parse_prefix(f"ff{flags:x}5::/16") for flags in range(16)}
    assert all(each.group.length >= (16 if family is IPV6 else 4) for each in found[scoped])


def test_B23_the_z_bit_is_set_by_a_border_router_of_the_scope_only(family: Family) -> None:
    for border in (False, True):
        phyints = (Phyint("rpt", scoped=(parse_prefix("239.192.0.0/14"), parse_prefix("ff05::/16"))),) if border else ()
        stand = BsrStand(family, config=Config(phyints=phyints))
        scoped = stand.behind(10)
        stand.offer_ourselves(group_prefixes=(stand.scope,))
        stand.hear(scoped, head(stand, stand.behind(20)))
        (groups,) = told(stand, scoped).values()
        assert [each.zone for each in groups] == [border]


def test_zones_of_ipv6_are_scopes_whatever_the_flags() -> None:
    zone = zone_of(IPV6, parse_prefix("ff15:1234::/32"))
    assert zone == Zone(parse_prefix("ff05::/16")) and str(zone) == "ff05::/16"
    assert zone.holds(parse_address("ff75::1")) and not zone.holds(parse_address("ff18::1"))
    assert len(zone.ranges()) == 16 and zone.contains(parse_prefix("ff35::/96"))
    assert not zone.contains(parse_prefix("ff00::/8"))


def test_B18_a_zone_whose_bsr_has_no_rp_yet_keeps_its_groups_from_wider_ones(family: Family) -> None:
    stand = BsrStand(family)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    assert stand.rp_of(stand.inside()) == stand.behind(20)
    stand.hear(stand.behind(10), head(stand))
    assert stand.rp_of(stand.inside()) is None and stand.rp_of() == stand.behind(20)


def test_T21_a_zone_that_is_gone_is_told_of_no_candidate_any_more(family: Family) -> None:
    stand = BsrStand(family)
    stand.offer_ourselves(group_prefixes=(stand.scope,))
    stand.hear(stand.behind(10), head(stand, stand.behind(20)))
    assert stand.router.pim.candidate_rp.advertisers
    stand.run(130 + 1300)
    assert stand.state(stand.scope) == "no_info" and not stand.router.pim.candidate_rp.advertisers
