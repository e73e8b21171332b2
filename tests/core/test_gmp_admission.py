"""Which packets count: TTL, Router Alert, source, destination, checksum, length, and any bytes at all.

Conformance I14, I16, I24, I25, M2, M5; TH5 to TH14. After each packet that is dropped a good one shows that the
machine still works, and before it nothing has changed.
"""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, IS_EX, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.core.gmp import GmpSettings
from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Family, parse_address
from pimpy.wire.membership import Leave, Message, OldReport, Query, Record, Report

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def report(bench: Bench) -> Report:
    return Report((Record(IS_EX, bench.G),))


def general(bench: Bench) -> Query:
    return Query(bench.newest, bench.family.any, 10.0, False, 3, 60.0)


def assert_untouched(bench: Bench) -> None:
    """Nothing came of it; and what is good still counts."""
    assert (bench.rows(), bench.changes, bench.sent) == ([], [], [])
    assert bench.interface_row().is_querier
    assert bench.receive(report(bench), bench.HOST, bench.family.all_reports) == ""
    assert bench.receive(general(bench), bench.LOW, bench.family.all_hosts) == ""
    assert bench.m.wants_any(bench.G)
    assert not bench.interface_row().is_querier


@both
@pytest.mark.parametrize("ttl", [0, 2, 64, 255])
def test_I16_M2_TH5_TH7_ttl_other_than_1(family: Family, ttl: int) -> None:
    bench = Bench(family)
    reason = {IPV4: "igmp_ttl", IPV6: "mld_hl"}[family]
    for message, source in ((report(bench), bench.HOST), (general(bench), bench.LOW), (Leave(bench.G), bench.HOST)):
        assert bench.receive(message, source, family.all_hosts, ttl=ttl) == reason
    assert_untouched(bench)


def test_TH6_router_alert_is_an_option_in_igmp() -> None:
    bench = Bench(IPV4)
    assert bench.receive(report(bench), bench.HOST, IPV4.all_reports, alert=False) == ""
    bench = Bench(IPV4, GmpSettings(require_router_alert=True))
    assert bench.receive(report(bench), bench.HOST, IPV4.all_reports, alert=False) == "igmp_no_ra"
    assert_untouched(bench)


def test_M2_TH7_mld_without_router_alert() -> None:
    bench = Bench(IPV6)
    for message, source in ((report(bench), bench.HOST), (general(bench), bench.LOW), (Leave(bench.G), bench.HOST)):
        assert bench.receive(message, source, IPV6.all_hosts, alert=False) == "mld_no_ra"
    assert_untouched(bench)


@pytest.mark.parametrize("source", ["::", "2001:db8::1", "ff02::16", "::1"])
def test_M2_TH7_mld_from_no_link_local_address(source: str) -> None:
    bench = Bench(IPV6)
    for message in (report(bench), OldReport(1, bench.G)):
        assert bench.receive(message, parse_address(source), bench.G) == "mld_src"
    assert bench.notices == []
    assert bench.receive(general(bench), parse_address(source), IPV6.all_hosts) == "mld_src"
    assert [(level, reason) for level, reason, _ in bench.notices] == [("warning", "mld_src")]
    assert_untouched(bench)


@pytest.mark.parametrize("source", ["0.0.0.0", "10.0.0.77", "192.0.2.1", "169.254.1.1"])
def test_I16_TH8_igmp_reports_count_from_any_source(source: str) -> None:
    bench = Bench(IPV4, on_link=lambda address: address[:1] == b"\x0a")
    for message in (report(bench), OldReport(2, bench.G), OldReport(1, bench.G2)):
        assert bench.receive(message, parse_address(source), IPV4.all_hosts) == ""
    assert bench.m.wants_any(bench.G) and bench.m.wants_any(bench.G2)
    assert bench.rows()[0].last_reporter == source


def test_I16_TH8_the_option_drops_reports_from_off_link() -> None:
    bench = Bench(IPV4, GmpSettings(on_link_only=True), on_link=lambda address: address[:1] == b"\x0a")
    for message in (report(bench), OldReport(2, bench.G), Leave(bench.G)):
        assert bench.receive(message, parse_address("192.0.2.1"), IPV4.all_routers) == "igmp_src_subnet"
    assert_untouched(bench)
    assert bench.receive(OldReport(2, bench.G2), IPV4.any, bench.G2) == ""
    assert bench.m.wants_any(bench.G2)


def test_I16_queries_from_off_link_are_dropped() -> None:
    bench = Bench(IPV4, on_link=lambda address: address[:1] == b"\x0a")
    assert bench.receive(general(bench), parse_address("9.9.9.9"), IPV4.all_hosts) == "igmp_src_subnet"
    assert [reason for _, reason, _ in bench.notices] == ["igmp_src_subnet"]
    assert_untouched(bench)


@pytest.mark.parametrize("source", ["224.0.0.1", "255.255.255.255", "127.0.0.1"])
def test_igmp_from_what_is_no_host(source: str) -> None:
    bench = Bench(IPV4)
    assert bench.receive(report(bench), parse_address(source), IPV4.all_reports) == "bad_source"
    assert bench.receive(general(bench), parse_address(source), IPV4.all_hosts) == "bad_source"
    assert_untouched(bench)


@both
def test_I24_destinations_that_count(family: Family) -> None:
    for destination in (None, Bench(family).US, family.all_hosts, family.all_routers, family.all_reports):
        bench = Bench(family)
        assert bench.receive(OldReport(1, bench.G), bench.HOST, destination or bench.G) == ""
        assert bench.receive(general(bench), bench.LOW, destination or family.all_hosts) == ""
        assert bench.receive(Query(bench.newest, bench.G, 1.0), bench.LOW, destination or bench.G) == ""
        assert bench.timers() == (2.0, {})
        assert not bench.interface_row().is_querier


@both
def test_I24_a_report_of_the_newest_version_to_our_address(family: Family) -> None:
    bench = Bench(family)
    assert bench.receive(report(bench), bench.HOST, bench.US) == ""
    assert bench.m.wants_any(bench.G)


@both
def test_I24_other_destinations_do_not_count(family: Family) -> None:
    bench = Bench(family)
    wrong: list[tuple[Message, bytes]] = [
        (report(bench), bench.G),
        (report(bench), bench.G2),
        (OldReport(1, bench.G), bench.G2),
        (Leave(bench.G), bench.G2),
        (Leave(bench.G), bench.US),
        (general(bench), bench.G2),
        (Query(bench.newest, bench.G, 1.0), bench.G2),
    ]
    for message, destination in wrong:
        source = bench.LOW if isinstance(message, Query) else bench.HOST
        assert bench.receive(message, source, destination) == "bad_dest"
    assert_untouched(bench)


@both
def test_a_leave_to_the_group_itself_counts(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    assert bench.receive(Leave(bench.G), bench.HOST, bench.G) == ""
    assert bench.timers() == (2.0, {})


@both
def test_queries_for_what_is_no_group(family: Family) -> None:
    bench = Bench(family)
    for group, sources in ((bench.US, ()), (family.any, (bench.S(1),))):
        query = Query(bench.newest, group, 1.0, sources=sources)
        assert bench.receive(query, bench.LOW, family.all_hosts) == "bad_group"
    assert_untouched(bench)


@both
def test_own_reports_count(family: Family) -> None:
    """A router may be a member itself (RFC 9776 6)."""
    bench = Bench(family)
    assert bench.receive(report(bench), bench.US, family.all_reports) == ""
    assert bench.m.wants_any(bench.G)


def test_I25_a_bad_checksum_comes_first() -> None:
    bench = Bench(IPV4)
    data = bench.codec.encode(report(bench))
    bench.m.receive(bench.HOST, IPV4.all_reports, 1, True, data[:-1] + b"?")
    assert bench.counts == [("report_v3", "bad_checksum")]
    assert_untouched(bench)


@both
def test_I14_M5_TH13_lengths(family: Family) -> None:
    bench = Bench(family)
    data = bench.codec.encode(general(bench))
    for length in range(1, len(data)):
        part = data[:length]
        if family is IPV4 and length >= 4:
            blank = part[:2] + b"\0\0" + part[4:]
            part = blank[:2] + internet_checksum(blank).to_bytes(2, "big") + blank[4:]
        if length != {IPV4: 8, IPV6: 24}[family]:
            bench.m.receive(bench.LOW, family.all_hosts, 1, True, part)
            assert bench.counts[-1] == ("query", "truncated" if length < 4 else "bad_length")
    assert_untouched(bench)


@both
def test_I25_unknown_types_are_ignored_without_a_word(family: Family) -> None:
    bench = Bench(family)
    for kind in range(256):
        if bench.codec.type_name(bytes((kind,))) is None:
            bench.m.receive(bench.HOST, family.all_hosts, 255, False, bytes((kind, 0, 0, 0)))
            assert bench.counts[-1] == ("other", "unknown_type")
    bench.m.receive(bench.HOST, family.all_hosts, 1, True, b"")
    assert bench.counts[-1] == ("other", "truncated")
    assert bench.notices == []
    assert_untouched(bench)


@both
def test_names_of_messages(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.old_report(1)
    bench.leave()
    bench.query(bench.HIGH)
    names = {IPV4: ["report_v3", "report_v1", "leave", "query"], IPV6: ["report_v2", "report_v1", "done", "query"]}
    assert bench.counts == [(name, "") for name in names[family]]


ADDRESS = {
    IPV4: st.one_of(st.binary(min_size=4, max_size=4), st.sampled_from([IPV4.any, bytes((239, 1, 1, 1))])),
    IPV6: st.one_of(st.binary(min_size=16, max_size=16), st.sampled_from([parse_address("fe80::1"), IPV6.any])),
}


@both
@settings(max_examples=150)
@given(data=st.data())
def test_V5_any_bytes_from_anywhere(family: Family, data: st.DataObject) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [1])
    types = sorted({IPV4: (0x11, 0x12, 0x16, 0x17, 0x22), IPV6: (130, 131, 132, 143)}[family])
    for _ in range(data.draw(st.integers(1, 8))):
        message = bytes((data.draw(st.sampled_from(types)),)) + data.draw(st.binary(max_size=90))
        if family is IPV4 and len(message) >= 4:
            blank = message[:2] + b"\0\0" + message[4:]
            message = blank[:2] + internet_checksum(blank).to_bytes(2, "big") + blank[4:]
        source, destination = data.draw(ADDRESS[family]), data.draw(ADDRESS[family])
        before = len(bench.counts)
        bench.m.receive(source, destination, data.draw(st.sampled_from([1, 1, 1, 64])), True, message)
        assert len(bench.counts) > before
        bench.to(bench.now + data.draw(st.sampled_from([0.0, 1.0, 100.0])))
    bench.record(ALLOW, [2])
    assert bench.m.wants(bench.G, bench.S(2))
    bench.m.stop()
    assert bench.rows() == []
