"""Whole files of igmpproxy and mcproxy in virtual time: what their words make a proxy do; and who owns a stream."""

from __future__ import annotations

import pytest
from proxy_stand import ProxyStand
from speakers import CODECS, Packet

from pimpy.config import igmpproxy, mcproxy
from pimpy.config.native import Result
from pimpy.config.proxies import Proxy
from pimpy.config.routes import Static, StaticRoute
from pimpy.core.explain import explain
from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import IPV4, IPV6, Family, parse_address
from pimpy.wire.membership import Record, RecordType, Report
from pimpy.wire.record import evolve


def stand_of(family: Family, result: Result) -> ProxyStand:
    """A proxy of this file, between its links."""
    assert result.model is not None and not result.errors
    return ProxyStand(family, proxies=result.model.proxies)


def asked(stand: ProxyStand, link: str = "up") -> set[bytes]:
    return {group for _, group, _ in stand.records(link)}


# igmpproxy


def test_igmpproxy_several_upstreams_and_their_lists() -> None:
    """Each upstream is asked for what its lists permit; of a list with white entries the rest is denied."""
    plain = ProxyStand(IPV4)
    one, two, three = (plain.group(number) for number in (1, 2, 3))
    text = """
        phyint up upstream altnet 10.9.0.0/16 whitelist 239.1.0.1/32
        phyint up2 upstream altnet 10.9.0.0/16 blacklist 239.1.0.1/32
        phyint d1 downstream blacklist 239.1.0.3/32
        phyint d2 downstream whitelist 239.1.0.0/16 blacklist 239.1.0.2/32
    """
    stand = stand_of(IPV4, igmpproxy.parse(text))
    for link in ("d1", "d2"):
        for group in (one, two, three):
            stand.host(link).want_any(group)
    stand.run(1)
    assert asked(stand) == {one} and asked(stand, "up2") == {two, three}
    source = plain.source()
    assert stand.data(source, one) == {"d1", "d2"}
    assert stand.data(source, two, "up2") == {"d1"} and stand.data(source, three, "up2") == {"d2"}
    assert stand.data(plain.source(2), two, "up") == set(), "that upstream may not bring it"


@pytest.mark.parametrize("altnet", ["10.9.0.0/16", "10.9.7.7/16"], ids=["aligned", "not aligned"])
def test_igmpproxy_altnets_aligned_or_not(altnet: str) -> None:
    stand = stand_of(IPV4, igmpproxy.parse(f"phyint up upstream altnet {altnet} phyint d1 downstream"))
    stand.host("d1").want_any(stand.group())
    stand.run(1)
    assert stand.data(stand.source(), stand.group()) == {"d1"}
    assert stand.data(parse_address("10.200.0.1"), stand.group()) == set(), "behind no altnet, and not on the link"


def test_igmpproxy_honours_source_lists() -> None:
    stand = stand_of(IPV4, igmpproxy.parse("phyint up upstream altnet 10.9.0.0/16 phyint d1 downstream"))
    group, a, b = stand.group(), stand.source(1), stand.source(2)
    stand.host("d1").join(group, a)
    stand.run(1)
    assert stand.records()[0] == ("ALLOW_NEW_SOURCES", group, {a})
    assert stand.data(a, group) == {"d1"} and stand.data(b, group) == set()


# mcproxy


def mcproxy_file(family: Family, rules: str) -> str:
    protocol = "IGMPv3" if family is IPV4 else "MLDv2"
    return f"protocol {protocol}; pinstance tv: up up2 ==> d1 d2; {rules}"


def names(family: Family) -> tuple[str, str]:
    """(a range with the group 1, one with the source 1) as mcproxy writes them."""
    return ("239.1.0.1", "10.9.0.1") if family.size == 4 else ("ff0e::1:1", "2001:db8:9::1")


def test_mcproxy_first_by_groups_and_sources(family: Family) -> None:
    """A table names groups and sources, and the interface on the other side."""
    group, source = names(family)
    rules = f"""
        table wanted {{ d1({group} | {source}); }};
        pinstance tv upstream up in whitelist table wanted;
        pinstance tv upstream * in rulematching first;
    """
    stand = stand_of(family, mcproxy.parse(mcproxy_file(family, rules)))
    g, (a, b) = stand.group(), map(stand.source, (1, 2))
    stand.host("d1").join(g, a)
    stand.host("d2").join(g, b)
    stand.run(1)
    assert stand.records("up")[0] == ("ALLOW_NEW_SOURCES", g, {a})
    assert {tuple(found) for _, _, found in stand.records("up2")} == {(b,)}
    assert stand.data(a, g, "up") == {"d1"} and stand.data(b, g, "up2") == {"d2"}


def test_mcproxy_mutex_counts_the_time_that_it_is_given(family: Family) -> None:
    """Where mcproxy itself takes 20 s whatever it is told."""
    stand = stand_of(family, mcproxy.parse(mcproxy_file(family, "pinstance tv upstream * in rulematching mutex 4000;")))
    g, s = stand.group(), stand.source()
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.data(s, g, "up") == {"d1"}
    waited = 0.0
    while stand.data(s, g, "up2") == set():
        stand.run(0.5)
        waited += 0.5
    assert 4 <= waited <= 8


def test_mcproxy_downstream_filters_and_peering(family: Family) -> None:
    group, _ = names(family)
    rules = f"""
        pinstance tv downstream d2 out blacklist table {{ ({group} | *); }};
        pinstance tv downstream d1 in blacklist table {{ (* | *); }};
    """
    stand = stand_of(family, mcproxy.parse(mcproxy_file(family, rules)))
    g, h = stand.group(1), stand.group(2)
    for link in ("d1", "d2"):
        for wanted in (g, h):
            stand.host(link).want_any(wanted)
    stand.run(1)
    assert stand.data(stand.source(), g) == {"d1"} and stand.data(stand.source(), h) == {"d1", "d2"}
    assert stand.data(stand.net.address("d1", 77), h, "d1") == set()
    assert stand.data(stand.net.address("d2", 77), h, "d2") == {"up", "up2", "d1"}


# One daemon.


def test_static_holds_before_a_proxy_which_holds_before_pim(family: Family) -> None:
    stand = ProxyStand(family, pim=True)
    group, source = stand.group(), stand.source()
    stand.host("d1").want_any(group)
    stand.run(1)

    def owner() -> str:
        (row,) = [row for row in stand.router.rows("mroute") if getattr(row, "row", "") == "entry"]
        return str(row.mode)  # type: ignore[union-attr]

    assert stand.data(source, group) == {"d1"} and owner() == "proxy"
    route = StaticRoute("up", family.host(source), family.host(group), ("other",))
    stand.r1.configure(static=Static((route,)))
    stand.run(0)
    assert stand.data(source, group) == {"other"} and owner() == "static"
    reasons = {row.reason for row in explain(stand.router, source, group)}
    assert "static_rule" in reasons and "proxy_rule" not in reasons
    stand.r1.configure(static=Static())
    stand.run(0)
    assert stand.data(source, group) == {"d1"} and owner() == "proxy", "the proxy has it again"
    assert "proxy_rule" in {row.reason for row in explain(stand.router, source, group)}


def test_an_interface_that_changes_its_master(family: Family) -> None:
    """From the proxy to PIM and back, by a reload; the proxy's other links do not notice."""
    stand = ProxyStand(family, pim=True)
    whole: tuple[Proxy, ...] = stand.r1.config.proxies
    less = (evolve(whole[0], downstreams=whole[0].downstreams[:1]),)
    stand.host("d1").want_any(stand.group())
    stand.run(1)
    assert stand.data(stand.source(), stand.group()) == {"d1"}
    modes = []
    for proxies in (less, whole):
        stand.r1.configure(proxies=proxies)
        stand.run(2)
        modes.append({row.interface: row.mode for row in stand.router.rows("interfaces")}["d2"])
        assert stand.data(stand.source(), stand.group()) == {"d1"}
    assert modes == ["pim", "proxy"]


def test_the_families_of_the_files() -> None:
    assert igmpproxy.parse("phyint a upstream").model.families == ("ipv4",)  # type: ignore[union-attr]
    assert mcproxy.parse("protocol MLDv1; pinstance a: b ==> c;").model.families == (IPV6.name,)  # type: ignore[union-attr]


# Reports that igmpproxy and mcproxy read beyond the end of.


@pytest.mark.parametrize(
    ("at", "value", "whole"),
    [
        (6, b"\0\2", True),
        (6, b"\xff\xff", True),
        (10, b"\0\1", False),
        (10, b"\xff\xff", False),
        (9, b"\xff", False),
        (None, b"", False),
    ],
    ids=["a_record_more", "65535_records", "a_source_more", "65535_sources", "auxiliary_data", "cut"],
)
@pytest.mark.parametrize("link", ["d1", "up"])
def test_I17_a_report_that_names_more_than_it_holds_counts_as_far_as_it_goes(
    family: Family, link: str, at: int | None, value: bytes, whole: bool
) -> None:
    """Who follows the lengths in it leaves the packet; here its whole records count, and upstream none."""
    stand = ProxyStand(family)
    host, group = stand.host(link), stand.group()
    good = CODECS[family.gmp].encode(Report((Record(RecordType.CHANGE_TO_EXCLUDE_MODE, group, ()),)))
    data = bytearray(good[:-2])
    if at is not None:
        data = bytearray(good)
        data[at : at + len(value)] = value
    if family is IPV4:
        data[2:4] = bytes(2)
        data[2:4] = internet_checksum(bytes(data)).to_bytes(2, "big")
    before = dict(stand.router.counters.values)
    host.link.transmit(host, Packet(family.gmp, host.address, family.all_reports, bytes(data)))
    stand.run(1)
    counted = {key for key, count in stand.router.counters.values.items() if count != before.get(key, 0)}
    heard = whole and link == "d1"
    assert asked(stand) == ({group} if heard else set())
    assert stand.data(stand.source(), group) == ({"d1"} if heard else set())
    assert any(key[0] == link and key[2] == "rx" and (key[4] or link == "up") for key in counted), counted
    stand.host("d1").want_any(group)
    stand.run(1)
    assert asked(stand) == {group} and stand.data(stand.source(2), group) == {"d1"}
