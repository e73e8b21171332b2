"""Every reason for which a Bootstrap message or an offer is dropped (reliability.md 2, TH49 to TH60), and section 1.2.

Each input is dropped whole: one count under its reason, the state and the mapping as they were, nothing sent; the same
input without what is wrong about it is taken. The last test holds the list against the reason words of the code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bsr_stand import BsrStand
from crafting import sealed
from digest import digest
from speakers import Packet

import pimpy.core
import pimpy.wire
from pimpy.config.model import AnycastRp, Config, Phyint
from pimpy.core.pim import bootstrap
from pimpy.core.pim.rp_set import hash_value
from pimpy.wire import pim
from pimpy.wire.bootstrap import CandidateRpAdvertisement, GroupRange
from pimpy.wire.family import IPV4, IPV6, Family, parse_address, parse_prefix
from pimpy.wire.record import evolve, frozen
from pimpy.wire.value import Value

BSM, OFFER = "bootstrap", "candidate_rp_advertisement"
Act = Callable[[BsrStand], None]


@frozen
class Bad(Value):
    """An input: how it is sent, and how without what is wrong about it."""

    act: Act
    good: Act
    kind: str = BSM
    config: Config = Config()
    started: float = 100.0
    elected: bool = False
    families: tuple[Family, ...] = (IPV4, IPV6)
    before: Act = lambda stand: None
    relent: Act = lambda stand: None
    """What makes the stand take the good one where the configuration was in its way."""


def heard(stand: BsrStand, **settings: Any) -> None:
    """A Bootstrap message that is right unless `settings` say otherwise."""
    prefix = settings.pop("prefix", stand.everything)
    stand.hear(settings.pop("bsr", stand.behind(9)), stand.listed(prefix, stand.behind(20)), **settings)


def patched(**changes: int) -> Act:
    """A Bootstrap message with these bytes at these fields, its checksum right."""

    def act(stand: BsrStand) -> None:
        size = stand.family.size
        group = 8 + 2 + size
        places = {"hash": 6, "bsr": 10, "family": 8, "encoding": 9, "mask": group + 3, "count": group + 4 + size}
        message = stand.message(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
        data = bytearray(pim.encode(stand.family, stand.nine, stand.family.all_pim_routers, message))
        for field, value in changes.items():
            data[places[field]] = value
        stand.peer("up", 9).send_bytes(sealed(stand, data, source=stand.nine))
        stand.run(0)

    return act


def cut(stand: BsrStand) -> None:
    message = stand.message(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    data = pim.encode(stand.family, stand.nine, stand.family.all_pim_routers, message)[:-1]
    stand.peer("up", 9).send_bytes(sealed(stand, data, source=stand.nine))
    stand.run(0)


def scoped(stand: BsrStand, foreign: bool = False) -> None:
    """A message of the zone, with a range of another one if `foreign`."""
    ranges = [stand.listed(stand.scope, stand.behind(20), zone=True)]
    if foreign:
        ranges.append(stand.listed(stand.range("239.1.0.0/16", "ff08::/16"), stand.behind(20)))
    stand.hear(stand.behind(9), *ranges)


def scope_mask(stand: BsrStand, bits: int = 15) -> None:
    message = stand.message(stand.behind(9), stand.listed(parse_prefix("ff05::/16"), stand.behind(20), zone=True))
    data = bytearray(pim.encode(IPV6, stand.nine, IPV6.all_pim_routers, message))
    data[8 + 2 + 16 + 3] = bits
    stand.peer("up", 9).send_bytes(sealed(stand, data, source=stand.nine))
    stand.run(0)


def many(stand: BsrStand) -> None:
    """The message that stands, as often as the rate allows; one more would be a repetition too much."""
    stand.hear(stand.behind(9), stand.listed(stand.everything, stand.behind(20)))
    stand.run(2)
    for _ in range(bootstrap.RATE):
        again(stand)


def again(stand: BsrStand) -> None:
    last = stand.zone().last
    assert last is not None
    stand.peer("up", 9).send(last.messages[-1])
    stand.run(0)


def few_zones(stand: BsrStand) -> None:
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_zones=1)


def offered(stand: BsrStand, **settings: Any) -> None:
    stand.offer(stand.behind(20), stand.everything, **settings)


def sent_offer(group: tuple[str, str] | None = None, cut_off: int = 0, source: str = "", to: str = "") -> Act:
    """An offer of bytes: for a group that may be none, shortened, from and to odd places."""

    def act(stand: BsrStand) -> None:
        whence = stand.group() if source else stand.dr
        where = stand.family.all_pim_routers if to else stand.me
        message = CandidateRpAdvertisement(stand.behind(20), 1, 150, (GroupRange(stand.everything),))
        data = bytearray(pim.encode(stand.family, whence, where, message))
        if group is not None:
            data[8 + 2 + stand.family.size + 4] = 10  # the group's first byte
        data = data[: len(data) - cut_off]
        packet = Packet("pim", whence, where, sealed(stand, data, to=where, source=whence), 60, False)
        stand.r1.receive(stand.r1.ports["rpt"], packet)
        stand.run(0)

    return act


def full(stand: BsrStand) -> None:
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_rp_mappings=0)


def roomy(stand: BsrStand) -> None:
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_rp_mappings=100, max_zones=100)


def no_phyints(stand: BsrStand) -> None:
    stand.configure(phyints=())


BORDER = Config(phyints=(Phyint("up", scoped=(parse_prefix("239.192.0.0/14"), parse_prefix("ff05::/16"))),))
NOBODY = (parse_prefix("198.51.100.0/24"), parse_prefix("2001:db8:ffff::/48"))

WALK: dict[tuple[str, str], Bad] = {
    (BSM, "bsm_non_nbr"): Bad(lambda s: heard(s, by=77), heard),
    (BSM, "bsm_rpf"): Bad(lambda s: heard(s, by=2, link="down"), heard),
    (BSM, "bsm_unicast"): Bad(lambda s: heard(s, to=s.us("up")), heard, started=0),
    (BSM, "bad_dest"): Bad(lambda s: heard(s, to=s.peer("up", 3).address), heard),
    (BSM, "bsm_unicast_late"): Bad(lambda s: heard(s, no_forward=True), heard),
    (BSM, "bsm_border"): Bad(
        heard, heard, config=Config(phyints=(Phyint("up", bsr_border=True),)), relent=no_phyints
    ),
    (BSM, "bsm_scope"): Bad(scoped, scoped, config=BORDER, relent=no_phyints),
    (BSM, "bsm_scope_mask"): Bad(scope_mask, lambda s: scope_mask(s, 16), families=(IPV6,)),
    (BSM, "bsm_scope_range"): Bad(lambda s: scoped(s, foreign=True), scoped),
    (BSM, "bsm_filtered"): Bad(
        heard, heard, config=Config(bsr_filter=NOBODY), relent=lambda s: s.configure(bsr_filter=())
    ),
    (BSM, "bsm_hashlen"): Bad(patched(hash=129), patched(hash=32)),
    (BSM, "bsm_rp_count"): Bad(patched(count=0), patched(count=1)),
    (BSM, "bsm_bad_addr"): Bad(patched(bsr=0xFF), patched()),
    (BSM, "bad_mask"): Bad(patched(mask=129), patched()),
    (BSM, "bad_address_family"): Bad(patched(family=9), patched()),
    (BSM, "bad_encoding"): Bad(patched(encoding=1), patched()),
    (BSM, "truncated"): Bad(cut, patched()),
    (BSM, "bsm_limit"): Bad(scoped, scoped, before=few_zones, relent=roomy),
    (BSM, "bsm_rate"): Bad(again, lambda s: heard(s, priority=99), before=many),
    (OFFER, "crp_not_bsr"): Bad(offered, offered, OFFER, relent=lambda s: s.elected()),
    (OFFER, "crp_filtered"): Bad(
        offered, offered, OFFER, Config(rp_candidate_filter=NOBODY), elected=True,
        relent=lambda s: s.configure(rp_candidate_filter=()),
    ),
    (OFFER, "crp_limit"): Bad(offered, offered, OFFER, elected=True, before=full, relent=roomy),
    (OFFER, "crp_bad_addr"): Bad(sent_offer(group=("", "")), sent_offer(), OFFER, elected=True),
    (OFFER, "truncated"): Bad(sent_offer(cut_off=1), sent_offer(), OFFER, elected=True),
    (OFFER, "bad_source"): Bad(sent_offer(source="group"), sent_offer(), OFFER, elected=True),
    (OFFER, "bad_dest"): Bad(sent_offer(to="all"), sent_offer(), OFFER, elected=True),
    (OFFER, "bsm_border"): Bad(
        offered, offered, OFFER, Config(phyints=(Phyint("rpt", bsr_border=True),)), elected=True, relent=no_phyints
    ),
}  # fmt: skip
"""(type, reason word): the input."""

INCOMPLETE = {"bsm_incomplete": "counted of a message that was taken, when the next one comes: TH54 in test_bsm.py"}


@pytest.mark.parametrize("key", list(WALK), ids="-".join)
def test_dropped_whole_and_counted(family: Family, key: tuple[str, str]) -> None:
    kind, reason = key
    bad = WALK[key]
    if family not in bad.families:
        pytest.skip("only IPv6 zones have scope IDs")
    stand = BsrStand(family, config=bad.config, started=bad.started)
    if bad.elected:
        stand.elected()
    stand.behind(9), stand.behind(20)
    bad.before(stand)
    stand.mark()
    before, counted, rp = digest(stand.router), stand.refused(reason, kind), stand.rp_of()
    bad.act(stand)
    assert digest(stand.router) == before and stand.rp_of() == rp
    assert stand.refused(reason, kind) == counted + 1
    assert [stand.bsms(link) for link in ("up", "down", "rpt")] == [[], [], []] and stand.advertisements() == []
    bad.relent(stand)
    before = digest(stand.router)
    bad.good(stand)
    assert digest(stand.router) != before, "without what is wrong it is taken"
    assert stand.refused(reason, kind) == counted + 1


def test_the_walk_knows_every_reason_of_the_code() -> None:
    words = set()
    for package in (pimpy.core, pimpy.wire):
        for path in Path(package.__path__[0]).rglob("*.py"):
            words |= set(re.findall(r'"((?:bsm|crp)_[a-z_]+)"', path.read_text()))
    assert words == {reason for _, reason in WALK if reason[:4] in ("bsm_", "crp_")} | INCOMPLETE.keys()


# Section 1.2, what is not in test_bsm.py, test_crp.py or test_bsr.py by its name. autorp-* has no surface here.


def test_bsm_oversize_refrag_a_message_larger_than_a_link_is_passed_on_as_it_is(family: Family) -> None:
    """TH58: ranges with and without RPs, many of them; it is not cut anew."""
    stand = BsrStand(family, mtu=1500)
    bsr, rps = stand.behind(9), [stand.behind(20 + number) for number in range(120 if family is IPV4 else 60)]
    empty = stand.range("239.7.0.0/16", "ff1e:7::/32")
    message = stand.hear(bsr, stand.listed(empty), stand.listed(stand.everything, *rps), stand.listed(empty))
    (told,) = [m for _, m in stand.bsms("down")]
    assert told == message and len(stand.mapped()) == len(rps)


def test_bsm_clear_uaf_mappings_go_while_everything_hangs_on_them(family: Family) -> None:
    stand = BsrStand(family)
    bsr, rp = stand.behind(9), stand.behind(20)
    stand.hear(bsr, stand.listed(stand.everything, rp))
    stand.member()
    stand.say("Join(*,G)")
    stand.data(stand.near())
    for _ in range(3):
        stand.hear(bsr, stand.listed(stand.everything, (rp, 0, 0)))
        assert stand.rp_of() is None and stand.star is not None
        stand.hear(bsr, stand.listed(stand.everything, rp))
        assert stand.rp_of() == rp
    stand.r1.shutdown()
    stand.run(0)


def test_bsm_noforward_fwd_a_quick_refresh_is_never_passed_on(family: Family) -> None:
    stand = BsrStand(family, started=0)
    heard(stand, no_forward=True)
    assert stand.rp_of() == stand.behind(20) and [stand.bsms(link) for link in ("up", "down", "rpt")] == [[], [], []]


def test_bsm_no_nbr_iface_nothing_is_passed_on_where_nobody_is(family: Family) -> None:
    stand = BsrStand(family)
    heard(stand)
    assert {link: len(stand.bsms(link)) for link in ("up", "down", "rpt", "src")} == {
        "up": 1, "down": 1, "rpt": 1, "src": 0,
    }  # fmt: skip


def test_rp_hash_compat_the_rfcs_value_whoever_asks() -> None:
    """What routers of another make have for this group (troglobit/pimd #93): P2's first row, by another program."""
    found = [hash_value(parse_address("239.1.1.1"), 30, parse_address(rp)) for rp in ("10.0.0.1", "10.0.0.2")]
    assert found == [1679372561, 694951000]


def test_register_storm_registers_end_with_the_stop(family: Family) -> None:
    """And a Register-Stop that comes a thousand times is one (troglobit/pimd #128)."""
    stand = BsrStand(family)
    stand.configure(anycast_rps=(AnycastRp(stand.behind(20), (stand.behind(21),)),))
    heard(stand)
    stand.rp = stand.behind(20)
    channel = stand.near()
    stand.data(channel)
    assert stand.registers() == [(stand.now, "data")]
    for _ in range(1000):
        stand.register_stop(channel)
    stand.mark()
    for _ in range(20):
        stand.data(channel)
        stand.run(1)
    assert stand.registers() == []
