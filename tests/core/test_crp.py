"""Conformance rows B13 to B16, B21 to B23, T22: candidate RPs, and the BSR that collects them (RFC 5059 3.2, 3.3)."""

from __future__ import annotations

import pytest
from bsr_stand import BsrStand
from crafting import sealed
from digest import digest
from speakers import Packet

from pimpy.config.model import BsrCandidate, Config, Phyint, RpCandidate
from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, CandidateRpAdvertisement, GroupRange, RpEntry
from pimpy.wire.family import Family, parse_address, parse_prefix
from pimpy.wire.record import evolve


def elected(family: Family, **settings: object) -> BsrStand:
    stand = BsrStand(family, **settings)  # type: ignore[arg-type]
    stand.elected()
    return stand


def rps_of(message: Bootstrap) -> list[tuple[bytes, int, int]]:
    """(RP, priority, holdtime) of the first range."""
    return [(rp.address, rp.priority, rp.holdtime) for rp in message.ranges[0].rps] if message.ranges else []


# The BSR's side.


def test_B13_B16_an_offer_is_told_to_all_ten_seconds_after_the_election(family: Family) -> None:
    stand = elected(family)
    stand.run(2)
    stand.offer(stand.behind(20), stand.everything, priority=7)
    stand.run(70)
    assert [(when, rps_of(message)) for when, message in stand.bsms()] == [
        (0.0, []),
        (10.0, [(stand.behind(20), 7, 150)]),
        (70.0, [(stand.behind(20), 7, 150)]),
    ]
    assert stand.rp_of() == stand.behind(20), "the BSR goes by it as all others do"


def test_B13_a_changed_set_is_told_at_once_but_ten_seconds_after_the_last(family: Family) -> None:
    stand = elected(family)
    stand.run(30)
    for number in range(3):
        stand.offer(stand.behind(20 + number), stand.everything)
        stand.run(1)
    stand.run(27)
    assert [(when, len(rps_of(message))) for when, message in stand.bsms()] == [(0.0, 0), (30.0, 1), (40.0, 3)]
    stand.mark()
    stand.offer(stand.behind(20), stand.everything)
    stand.run(30)
    assert len(stand.bsms()) <= 1, "a repetition triggers nothing"


@pytest.mark.parametrize(("offered", "told"), [(1, 151), (60, 151), (61, 61), (150, 150), (65535, 65535)])
def test_B13_short_hold_times_are_replaced(family: Family, offered: int, told: int) -> None:
    stand = elected(family)
    stand.run(9.5)
    stand.offer(stand.behind(20), stand.everything, holdtime=offered)
    stand.run(1)
    assert rps_of(stand.bsms()[-1][1]) == [(stand.behind(20), 192, told)]


def test_B15_holdtime_0_is_answered_with_a_message_that_carries_it(family: Family) -> None:
    stand = elected(family)
    one, other = stand.behind(20), stand.behind(21)
    for rp in (one, other):
        stand.offer(rp, stand.everything)
    stand.run(30)
    stand.mark()
    stand.offer(one, stand.everything, holdtime=0)
    assert [rps_of(m) for _, m in stand.bsms()] == [[(one, 192, 0), (other, 192, 150)]]
    assert list(stand.mapped()) == [other]
    stand.run(60)
    assert rps_of(stand.bsms()[-1][1]) == [(other, 192, 150)]


def test_B12_a_range_without_rp_is_listed_with_count_0_for_bs_timeout(family: Family) -> None:
    stand = elected(family)
    stand.offer(stand.behind(20), stand.everything)
    stand.run(30)
    stand.mark()
    stand.offer(stand.behind(20), stand.everything, holdtime=0)
    stand.run(300)
    counts = [(when, [each.rp_count for each in message.ranges]) for when, message in stand.bsms()]
    assert counts[:4] == [(0.0, [1]), (60.0, [0]), (120.0, [0]), (180.0, [])]
    assert stand.rp_of() is None


def test_B16_a_mapping_ends_with_its_hold_time(family: Family) -> None:
    stand = elected(family)
    stand.offer(stand.behind(20), stand.everything, holdtime=100)
    stand.offer(stand.behind(21), stand.everything, holdtime=300)
    stand.run(99.9)
    stand.mark()
    stand.run(0.2)
    assert [[rp for rp, _, _ in rps_of(m)] for _, m in stand.bsms()] == [[stand.behind(21)]]


def test_B16_TH59_only_the_elected_bsr_takes_offers(family: Family) -> None:
    stand = BsrStand(family)
    rp = stand.behind(20)
    for state in ("accept_any", "pending", "candidate"):
        if state == "pending":
            stand.stand_for_bsr()
        if state == "candidate":
            stand.hear(stand.behind(9), priority=200)
        assert stand.state() == state
        before = digest(stand.router)
        stand.offer(rp, stand.everything)
        assert digest(stand.router) == before
    assert stand.refused("crp_not_bsr", "candidate_rp_advertisement") == 3


def test_B16_prefix_count_0_stands_for_all_groups(family: Family) -> None:
    stand = elected(family)
    stand.offer(stand.behind(20))
    stand.run(11)
    assert stand.bsms()[-1][1].ranges[0].group == family.multicast


def test_TH59_Y1_a_filter_says_who_may_be_candidate(family: Family) -> None:
    allowed = parse_prefix("10.6.0.20/32" if family.size == 4 else "2001:db8:6::14/128")
    stand = elected(family)
    stand.configure(rp_candidate_filter=(allowed,))
    before = digest(stand.router)
    stand.offer(stand.behind(21), stand.everything)
    stand.offer(stand.behind(20), stand.everything, source=stand.behind(21))
    stand.offer(stand.behind(21), stand.everything, source=stand.behind(20))
    assert digest(stand.router) == before
    assert stand.refused("crp_filtered", "candidate_rp_advertisement") == 3
    stand.offer(stand.behind(20), stand.everything)
    assert len(stand.zone().crp_set) == 1


def test_TH60_Y2_offers_are_capped_and_the_old_ones_stay(family: Family) -> None:
    stand = elected(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_rp_mappings=3)
    for number in range(5):
        stand.offer(stand.behind(20 + number), stand.everything)
    assert stand.refused("crp_limit", "candidate_rp_advertisement") == 2
    assert set(stand.zone().crp_set.ranges[stand.everything]) == {stand.behind(20 + n) for n in range(3)}
    stand.offer(stand.behind(20), stand.everything, priority=3)
    assert stand.zone().crp_set.ranges[stand.everything][stand.behind(20)].priority == 3
    stand.offer(stand.behind(21), stand.everything, holdtime=0)
    stand.offer(stand.behind(24), stand.everything)
    assert len(stand.zone().crp_set) == 3


def test_B20_bsr_border_takes_no_offer(family: Family) -> None:
    stand = elected(family, config=Config(phyints=(Phyint("rpt", bsr_border=True),)))
    before = digest(stand.router)
    stand.offer(stand.behind(20), stand.everything)
    assert digest(stand.router) == before and stand.refused("bsm_border", "candidate_rp_advertisement") == 1


@pytest.mark.parametrize("name", ["to another", "to all", "from a group"])
def test_V3_an_offer_to_or_from_the_wrong_place(family: Family, name: str) -> None:
    stand = elected(family)
    message = CandidateRpAdvertisement(stand.behind(20), 1, 150, (GroupRange(stand.everything),))
    to = {"to another": stand.behind(33), "to all": family.all_pim_routers}.get(name, stand.me)
    source = stand.group() if name == "from a group" else stand.behind(20)
    before = digest(stand.router)
    data = pim.encode(family, source, to, message)
    stand.r1.receive(stand.r1.ports["rpt"], Packet("pim", source, to, data, 60, False))
    stand.run(0)
    assert digest(stand.router) == before
    reason = "bad_source" if name == "from a group" else "bad_dest"
    assert stand.refused(reason, "candidate_rp_advertisement") == 1


def bad_offer(stand: BsrStand) -> tuple[bytearray, dict[str, int]]:
    texts = (("239.1.0.0/16", "ff1e::/16"), ("239.2.0.0/16", "ff1d::/16"), ("224.0.0.0/4", "ff00::/8"))
    groups = tuple(GroupRange(stand.range(*text)) for text in texts)
    message = CandidateRpAdvertisement(stand.behind(20), 1, 150, groups)
    data = bytearray(pim.encode(stand.family, stand.dr, stand.me, message))
    size = stand.family.size
    group = 8 + 2 + size
    return data, {"count": 4, "rp family": 8, "rp": 10, "group family": group, "mask": group + 3, "group": group + 4}


CRP_BAD = {
    "crp-trunc: count past the end": ("truncated", {"count": 200}),
    "one more than there are": ("truncated", {"count": 4}),
    "RP of the other family": ("bad_address_family", {"rp family": None}),
    "RP multicast": ("crp_bad_addr", {"rp": 0xFF}),
    "group of the other family": ("bad_address_family", {"group family": None}),
    "mask too long": ("bad_mask", {"mask": 129}),
    "mask too short": ("crp_bad_addr", {"mask": 3}),
    "group not multicast": ("crp_bad_addr", {"group": 10}),
}


@pytest.mark.parametrize("name", CRP_BAD)
def test_B19_crp_trunc_bad_bytes_drop_an_offer_whole(family: Family, name: str) -> None:
    reason, changes = CRP_BAD[name]
    stand = elected(family)
    data, places = bad_offer(stand)
    good = bytes(data)
    for field, value in changes.items():
        data[places[field]] = 3 - family.pim_number if value is None else value
    before = digest(stand.router)
    for content in (sealed(stand, data, to=stand.me, source=stand.dr), good):
        if content == good:
            assert digest(stand.router) == before
            assert stand.refused(reason, "candidate_rp_advertisement") == 1
        stand.r1.receive(stand.r1.ports["rpt"], Packet("pim", stand.dr, stand.me, content, 60, False))
        stand.run(0)
    assert len(stand.zone().crp_set) == 3


def test_B19_V5_an_offer_truncated_at_every_length(family: Family) -> None:
    stand = elected(family)
    data, _ = bad_offer(stand)
    before = digest(stand.router)
    for length in range(4, len(data)):
        cut = sealed(stand, data[:length], to=stand.me, source=stand.dr)
        stand.r1.receive(stand.r1.ports["rpt"], Packet("pim", stand.dr, stand.me, cut, 60, False))
        stand.run(0)
    assert digest(stand.router) == before


def test_B21_of_bidir_and_sparse_candidates_bidir_is_listed(family: Family) -> None:
    stand = elected(family)
    stand.offer(stand.behind(20), stand.everything)
    stand.offer(stand.behind(21), stand.everything, bidir=True)
    stand.run(11)
    (listed,) = stand.bsms()[-1][1].ranges
    assert listed.bidir and [rp.address for rp in listed.rps] == [stand.behind(21)] and listed.rp_count == 1
    assert stand.rp_of() is None, "P8"
    stand.offer(stand.behind(21), stand.everything, holdtime=0, bidir=True)
    stand.run(11)
    assert stand.rp_of() == stand.behind(20)


def test_B12_as_bsr_messages_fit_the_smallest_link(family: Family) -> None:
    stand = elected(family)
    stand.net.links["down"].mtu = 576
    stand.r1.ports["down"].tell()
    for number in range(60):
        stand.offer(stand.behind(20 + number), stand.everything)
    stand.run(59)
    stand.mark()
    stand.run(20)
    parts = [message for _, message in stand.bsms()]
    assert len(parts) > 1 and len({(m.fragment_tag, m.hash_mask_length, m.priority) for m in parts}) == 1
    assert sum(len(each.rps) for part in parts for each in part.ranges) == 60
    assert len(stand.mapped()) == 60
    stand.run(60)
    assert len({m.fragment_tag for _, m in stand.bsms()}) == 2, "each message has a tag of its own"


# The candidate's side.


def test_B14_T22_a_new_bsr_gets_three_offers_soon_then_one_a_minute(family: Family) -> None:
    stand = BsrStand(family)
    stand.offer_ourselves()
    stand.run(100)
    assert stand.advertisements() == [], "without a BSR nobody is told"
    stand.mark()
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    for _ in range(4):
        stand.run(60)
        stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    times = [when for when, _ in stand.advertisements()]
    pauses = [later - sooner for sooner, later in zip([0.0, *times], times, strict=False)]
    assert all(0 < pause <= 3 for pause in pauses[:3]), pauses
    assert pauses[3:] == pytest.approx([60.0] * len(pauses[3:])) and len(pauses) >= 6
    message = stand.advertisements()[0][1]
    assert message == CandidateRpAdvertisement(stand.me, 192, 150, (GroupRange(family.multicast),))
    (packet, *_) = [p for _, p, m in stand.net.links["up"].spoken("r1") if isinstance(m, CandidateRpAdvertisement)]
    assert (packet.source, packet.destination) == (stand.me, stand.behind(9)), "unicast, from a routable address"


def test_B14_another_bsr_gets_three_offers_too(family: Family) -> None:
    stand = BsrStand(family)
    stand.offer_ourselves()
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.run(20)
    stand.mark()
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.run(9)
    assert stand.advertisements() == []
    stand.hear(stand.behind(10), stand.listed(stand.everything, stand.behind(20)), priority=90)
    stand.run(9)
    assert len(stand.advertisements()) == 3


def test_B14_group_prefixes_and_interval(family: Family) -> None:
    stand = BsrStand(family)
    ranges = (parse_prefix("239.1.0.0/16"), parse_prefix("ff1e::/16"))
    stand.offer_ourselves(priority=3, interval=20, group_prefixes=ranges)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.run(100)
    message = stand.advertisements()[-1][1]
    mine = ranges[family.size == 16]
    assert message == CandidateRpAdvertisement(stand.me, 3, 50, (GroupRange(mine),))
    assert 6 <= len(stand.advertisements()) <= 9


def test_B15_a_candidate_that_ends_says_so_at_once(family: Family) -> None:
    for how in ("configuration", "address", "shutdown"):
        stand = BsrStand(family)
        stand.offer_ourselves()
        stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
        stand.run(20)
        stand.mark()
        if how == "configuration":
            stand.configure(rp_candidates=())
        elif how == "shutdown":
            stand.r1.shutdown()
        else:
            port = stand.r1.ports["src"]
            port.readdress(*((a, bits) for a, bits in port.addresses if a != stand.me))
        stand.run(0)
        assert [(m.rp, m.holdtime) for _, m in stand.advertisements()] == [(stand.me, 0)], how
        stand.run(200)
        assert len(stand.advertisements()) == 1


def test_B15_an_elected_bsr_that_ends_says_so_with_priority_0(family: Family) -> None:
    stand = elected(family)
    stand.offer(stand.behind(20), stand.everything)
    stand.run(30)
    stand.mark()
    stand.r1.shutdown()
    assert [(m.priority, rps_of(m)) for _, m in stand.bsms()] == [(0, [(stand.behind(20), 192, 150)])]


def test_B15_bsr_and_candidate_in_one_router_end_together(family: Family) -> None:
    stand = BsrStand(family)
    stand.configure(rp_candidates=(RpCandidate(stand.me),))
    stand.elected()
    stand.run(30)
    assert stand.rp_of() == stand.me, "it is its own candidate without a packet"
    assert stand.advertisements() == []
    stand.mark()
    stand.r1.shutdown()
    assert [(m.priority, rps_of(m)) for _, m in stand.bsms()] == [(0, [(stand.me, 192, 0)])]


@pytest.mark.parametrize("which", ["named", "interface", "automatic"])
def test_candidate_addresses(family: Family, which: str) -> None:
    stand = BsrStand(family)
    wish = {
        "named": RpCandidate(stand.me),
        "interface": RpCandidate(interface="down"),
        "automatic": RpCandidate(),
    }[which]
    stand.configure(rp_candidates=(wish,), bsr_candidates=(BsrCandidate(wish.address, wish.interface),))
    stand.run(30)
    expected = {
        "named": stand.me,
        "interface": stand.net.address("down", 5),
        "automatic": max(stand.net.address(link, 5) for link in stand.r1.ports),
    }[which]
    assert stand.bsr() == expected and stand.rp_of() == expected


def test_a_candidate_on_a_loopback(family: Family) -> None:
    from node import LOOPBACK

    from pimpy.core.engine.events import AddressesChanged

    stand = BsrStand(family)
    address = parse_address("10.255.0.1" if family.size == 4 else "2001:db8:ff::1")
    own = parse_address("127.0.0.1" if family.size == 4 else "::1")
    stand.configure(bsr_candidates=(BsrCandidate(interface="lo"),))
    stand.run(30)
    assert stand.state() == "accept_any", "127.0.0.1 and ::1 are no addresses for that"
    stand.r1.handle(AddressesChanged(LOOPBACK, ((own, family.bits), (address, family.bits))))
    stand.run(6)
    assert stand.bsr() == address


def test_a_named_address_that_is_not_ours_makes_no_candidate(family: Family) -> None:
    stand = BsrStand(family)
    stand.configure(bsr_candidates=(BsrCandidate(stand.behind(40)),), rp_candidates=(RpCandidate(stand.behind(40)),))
    stand.run(30)
    assert stand.state() == "accept_any" and not stand.router.pim.candidate_rp.candidacies


def test_bsm_2cbsr_offers_to_two_candidates_while_they_change_places(family: Family) -> None:
    stand = BsrStand(family)
    stand.stand_for_bsr(priority=64)
    stand.offer(stand.behind(20), stand.everything)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(21)), priority=100)
    stand.offer(stand.behind(20), stand.everything)
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(21)), priority=0)
    stand.offer(stand.behind(20), stand.everything)
    assert stand.state() == "pending" and len(stand.zone().crp_set) == 0
    stand.run(25)
    stand.offer(stand.behind(20), stand.everything)
    stand.run(11)
    assert stand.bsms()[-1][1].ranges[0].rps == (RpEntry(stand.behind(20), 150, 192),)
