"""Records and what becomes of them: expiry, older hosts, limits, rows.

Conformance I7, I8, I12, I13, I17 to I19, I21, I22, M4, M9, S9, T27, T30.
"""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, BLOCK, IS_EX, IS_IN, TO_EX, TO_IN, Bench

from pimpy.core.gmp import GmpSettings
from pimpy.core.rows import GmpGroupRow, GmpInterfaceRow, GmpSourceRow
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Family, format_address, parse_address
from pimpy.wire.membership import Record, Report

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
OLD = pytest.mark.parametrize(
    ("family", "version"), [(IPV4, 2), (IPV6, 1)], ids=lambda value: getattr(value, "name", f"v{value}")
)
"""The older versions that know leaves."""


@both
def test_I21_T27_a_membership_ends_270_s_after_the_last_report(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.record(IS_IN, [1], bench.G2)
    for time in (125.0, 250.0):
        bench.to(time)
        bench.record(IS_EX)
        bench.record(IS_IN, [1], bench.G2)
    bench.changes.clear()
    bench.to(519.99)
    assert bench.changes == []
    bench.to(520.0)
    assert bench.changes == [(520.0, bench.G, None), (520.0, bench.G2, bench.S(1))]
    assert bench.rows() == []


@both
def test_I7_group_timer_expiry_keeps_the_running_sources(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [1, 2])
    bench.to(10.0)
    bench.record(ALLOW, [2, 3])
    bench.changes.clear()
    bench.to(270.0)
    assert bench.lists() == ("include", {2, 3}, set())
    assert bench.changes == [(270.0, bench.G, None), (270.0, bench.G, bench.S(1))]
    bench.to(280.0)
    assert bench.rows() == []


@both
def test_I7_none_left_deletes_the_record(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [1, 2])
    bench.changes.clear()
    bench.to(270.0)
    assert bench.rows() == []
    assert {source for _, _, source in bench.changes} == {None, bench.S(1), bench.S(2)}


@both
def test_I8_source_timer_expiry(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_IN, [1, 2])
    bench.to(100.0)
    bench.record(IS_IN, [2])
    bench.changes.clear()
    bench.to(270.0)
    assert (bench.lists(), bench.changes) == (("include", {2}, set()), [(270.0, bench.G, bench.S(1))])
    bench.to(370.0)
    assert bench.rows() == []


@both
def test_I8_in_mode_exclude_the_source_stays_and_is_not_forwarded(family: Family) -> None:
    bench = Bench(family)
    bench.record(ALLOW, [1])
    bench.to(100.0)
    bench.record(IS_EX, [1])
    bench.changes.clear()
    bench.to(270.0)
    assert (bench.lists(), bench.changes) == (("exclude", set(), {1}), [(270.0, bench.G, bench.S(1))])


@both
def test_changed_is_called_when_all_is_in_its_new_state(family: Family) -> None:
    bench = Bench(family)
    seen = []
    bench.m.link.changed = lambda group, source: seen.append((source, bench.lists()))
    bench.record(IS_EX, [1])
    assert seen == [(None, ("exclude", set(), {1})), (bench.S(1), ("exclude", set(), {1}))]
    seen.clear()
    bench.to(270.0)
    assert [state for _, state in seen] == [("include", set(), set())] * 2


@both
def test_a_refresh_tells_nothing(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [1])
    bench.record(ALLOW, [2])
    bench.changes.clear()
    bench.to(50.0)
    bench.record(IS_EX, [1, 2])
    bench.record(ALLOW, [2])
    assert bench.changes == []


@both
def test_a_refresh_of_2000_sources_is_no_heap_operation(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_IN, range(1, 2001))
    bench.to(100.0)
    queued = {time: list(timers) for time, timers in bench.heap._buckets.items()}
    bench.record(IS_IN, range(1, 2001))
    assert {time: list(timers) for time, timers in bench.heap._buckets.items()} == queued
    bench.to(369.99)
    assert len(bench.rows()) == 2001


@both
def test_what_makes_no_record(family: Family) -> None:
    bench = Bench(family)
    for kind in (IS_IN, TO_IN, ALLOW, BLOCK):
        assert bench.record(kind) == ""
    bench.record(BLOCK, [1, 2])
    bench.leave()
    assert (bench.rows(), bench.changes, bench.sent) == ([], [], [])
    assert not bench.m.excludes(bench.G, bench.S(1))


@both
@pytest.mark.parametrize("kind", [IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK])
@pytest.mark.parametrize("mode", [IS_IN, IS_EX])
def test_a_source_listed_twice_counts_once(family: Family, mode: int, kind: int) -> None:
    once, twice = Bench(family), Bench(family)
    for bench, listed in ((once, [1, 2, 3]), (twice, [1, 1, 2, 2, 3, 3, 1])):
        bench.record(mode, [1, 9])
        bench.record(ALLOW, [2])
        bench.changes.clear()
        bench.to(10.0)
        bench.record(kind, listed)
    assert (twice.lists(), twice.timers(), twice.asked()) == (once.lists(), once.timers(), once.asked())
    assert twice.changes == once.changes


@OLD
def test_I12_M4_T30_an_older_report_sets_the_group_to_its_version(family: Family, version: int) -> None:
    bench = Bench(family)
    bench.record(ALLOW, [1])
    assert bench.old_report(version) == ""
    assert bench.lists() == ("exclude", set(), set())
    bench.record(BLOCK, [1])
    bench.record(TO_EX, [1, 2])
    assert bench.lists() == ("exclude", set(), set())
    assert bench.asked() == []
    bench.record(ALLOW, [3])
    assert bench.lists() == ("exclude", {3}, set())
    bench.to(259.99)
    assert bench.rows()[0].version == version
    bench.to(260.0)
    assert bench.rows()[0].version == bench.newest
    bench.record(BLOCK, [1])
    bench.to(262.0)
    assert bench.lists() == ("exclude", {3}, {1})


@OLD
def test_I12_M4_a_leave_is_TO_IN(family: Family, version: int) -> None:
    bench = Bench(family)
    bench.old_report(version)
    bench.leave()
    bench.to(2.0)
    assert [(time, bool(query.sources)) for time, _, query in bench.sent] == [(0.0, False), (1.0, False)]
    assert {query.version for query in bench.take_sent()} == {bench.newest}
    assert bench.rows() == []


def test_I12_a_version_1_host_is_not_cut_off_by_a_leave() -> None:
    bench = Bench(IPV4)
    bench.record(ALLOW, [1])
    bench.old_report(1)
    bench.leave()
    bench.record(TO_IN, [2])
    bench.record(BLOCK, [1])
    assert bench.asked() == []
    assert bench.lists() == ("exclude", set(), set())
    bench.record(ALLOW, [2])
    assert bench.lists() == ("exclude", {2}, set())
    bench.to(260.0)
    bench.leave()
    bench.to(262.0)
    assert bench.rows() == []


def test_I12_version_1_then_2_then_3() -> None:
    bench = Bench(IPV4)
    bench.old_report(1)
    bench.to(100.0)
    bench.old_report(2)
    assert bench.rows()[0].version == 1
    bench.to(260.0)
    assert bench.rows()[0].version == 2
    bench.to(359.99)
    assert bench.rows()[0].version == 2
    bench.to(360.0)
    assert bench.rows()[0].version == 3


@OLD
def test_I12_the_older_host_timer_follows_adopted_values(family: Family, version: int) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=3, interval=60.0)
    bench.old_report(version)
    bench.to(189.99)
    assert bench.rows()[0].version == version
    bench.to(190.0)
    assert bench.rows()[0].version == bench.newest


@OLD
def test_TH11_a_change_of_version_is_told_and_can_be_refused(family: Family, version: int) -> None:
    bench = Bench(family)
    bench.old_report(version)
    bench.to(100.0)
    bench.old_report(version)
    assert [(level, reason) for level, reason, _ in bench.notices] == [("info", "compat_change")]
    bench = Bench(family, GmpSettings(oldest_version=bench.newest))
    assert bench.old_report(version) == "old_version"
    assert bench.rows() == []
    bench.record(IS_EX)
    assert bench.leave() == "old_version"
    assert bench.timers() == (270.0, {})


def test_TH11_version_1_alone_can_be_refused() -> None:
    bench = Bench(IPV4, GmpSettings(oldest_version=2))
    assert bench.old_report(1) == "old_version"
    assert bench.old_report(2) == ""
    assert bench.leave() == ""


@both
def test_I13_older_hosts_on_an_interface_of_the_newest_version(family: Family) -> None:
    for version in range(1, 3 if family is IPV4 else 2):
        bench = Bench(family)
        for time in (0.0, 125.0, 250.0, 375.0):
            bench.to(time)
            bench.old_report(version)
        assert bench.changes == [(0.0, bench.G, None)]


@pytest.mark.parametrize(("family", "version"), [(IPV4, 2), (IPV4, 1), (IPV6, 1)])
def test_I13_newer_hosts_on_an_interface_of_an_older_version(family: Family, version: int) -> None:
    bench = Bench(family, GmpSettings(version=version))
    bench.record(TO_EX, [1])
    assert bench.lists() == ("exclude", set(), set())
    bench.record(ALLOW, [1], bench.SSM)
    assert bench.lists(bench.SSM) == ("include", {1}, set())
    assert bench.rows()[0].version == version
    bench.record(BLOCK, [2])
    assert bench.lists() == ("exclude", set(), set())


@both
def test_I18_non_queriers_keep_the_same_tables(family: Family) -> None:
    querier, other = Bench(family), Bench(family)
    other.query(other.LOW, robustness=2, interval=125.0)
    for bench in (querier, other):
        bench.record(IS_EX, [1])
        bench.record(ALLOW, [2], bench.G2)
        bench.old_report(1, bench.G)
    assert querier.status() == other.status()


@pytest.mark.parametrize(
    ("family", "groups"),
    [
        (IPV4, ("224.0.0.1", "224.0.0.22", "224.0.0.251", "224.0.0.255")),
        (IPV6, ("ff02::1", "ff02::16", "ff00::1", "ff01::1", "ff12::5", "ff32::1")),
    ],
)
def test_I19_M9_groups_that_are_never_routed(family: Family, groups: tuple[str, ...]) -> None:
    bench = Bench(family)
    for group in groups:
        assert bench.record(IS_EX, [], parse_address(group)) == ""
        assert bench.record(ALLOW, [1], parse_address(group)) == ""
        assert bench.old_report(1, parse_address(group)) == ""
    assert (bench.rows(), bench.changes) == ([], [])


@pytest.mark.parametrize(("family", "group"), [(IPV4, "224.0.1.0"), (IPV6, "ff03::1"), (IPV6, "ff1e::1")])
def test_M9_scope_3_and_above_is_routed(family: Family, group: str) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [], parse_address(group))
    assert bench.m.wants_any(parse_address(group))


@both
def test_S9_the_caller_may_know_more_groups_that_have_no_state(family: Family) -> None:
    bench = Bench(family, usable=lambda group: False)
    bench.record(IS_EX)
    assert bench.rows() == []


@both
def test_I19_records_of_unicast_addresses_are_ignored_the_next_ones_count(family: Family) -> None:
    bench = Bench(family)
    records = (Record(IS_EX, bench.US), Record(ALLOW, family.any, (bench.S(1),)), Record(IS_EX, bench.G))
    assert bench.receive(Report(records), bench.HOST, family.all_reports) == ""
    assert [reason for _, reason in bench.counts] == ["bad_group", "bad_group", ""]
    assert bench.status() == {(bench.G, None): "any"}


@both
def test_sources_that_cannot_be_hosts_are_ignored_the_next_ones_count(family: Family) -> None:
    bench = Bench(family)
    listed = (family.any, bench.G, bench.S(1))
    assert bench.receive(Report((Record(ALLOW, bench.G, listed),)), bench.HOST, family.all_reports) == ""
    assert [reason for _, reason in bench.counts] == ["bad_source", ""]
    assert bench.status() == {(bench.G, bench.S(1)): "wanted"}
    only_bad = Report((Record(ALLOW, bench.G2, (family.any,)),))
    bench.receive(only_bad, bench.HOST, family.all_reports)
    assert len(bench.m.link.groups) == 1


@both
def test_I17_a_report_that_is_cut_counts_as_far_as_it_goes(family: Family) -> None:
    bench = Bench(family)
    report = Report((Record(IS_EX, bench.G), Record(IS_EX, bench.G2)))
    data = bytearray(bench.codec.encode(report))
    data[7] = 3
    if family is IPV4:
        data[2:4] = (int.from_bytes(data[2:4], "big") - 1).to_bytes(2, "big")
    bench.m.receive(bench.HOST, family.all_reports, 1, True, bytes(data))
    assert bench.counts[-1][1] == "truncated"
    assert bench.m.wants_any(bench.G) and bench.m.wants_any(bench.G2)


@both
def test_one_group_twice_in_one_report(family: Family) -> None:
    """A source-list change comes as ALLOW and BLOCK of the same group (RFC 9776 4.2.13)."""
    bench = Bench(family)
    bench.record(IS_IN, [1, 2])
    sources = [(bench.S(3),), (bench.S(1),)]
    records = (Record(ALLOW, bench.G, sources[0]), Record(BLOCK, bench.G, sources[1]))
    bench.receive(Report(records), bench.HOST, family.all_reports)
    bench.to(2.0)
    assert bench.lists() == ("include", {2, 3}, set())


@both
def test_I22_TH14_limits_refuse_new_and_keep_old(family: Family) -> None:
    bench = Bench(family, GmpSettings(max_groups=2, max_sources=3))
    third = bench.G2[:-1] + b"\x99"
    bench.record(IS_EX)
    bench.record(ALLOW, [1, 2], bench.G2)
    assert bench.record(IS_EX, [], third) == ""
    assert ("group_limit" in [reason for _, reason in bench.counts]) and not bench.m.wants_any(third)
    bench.counts.clear()
    bench.record(BLOCK, [1], third)
    bench.record(IS_IN, [], third)
    assert [reason for _, reason in bench.counts] == ["", ""]
    bench.record(ALLOW, [1, 2, 3, 4, 5], bench.G2)
    assert bench.lists(bench.G2) == ("include", {1, 2, 3}, set())
    bench.record(IS_EX, [1, 2, 3, 4])
    assert bench.lists() == ("exclude", {1, 2, 3}, set())
    for time in range(10, 70, 10):
        bench.to(time)
        bench.record(IS_EX, [], third)
    reasons = [reason for _, reason, _ in bench.notices]
    assert reasons == ["group_limit", "source_limit", "group_limit"]
    bench.record(IS_EX)
    bench.record(ALLOW, [1], bench.G2)
    assert bench.m.wants_any(bench.G) and bench.m.wants(bench.G2, bench.S(1))


@both
def test_I22_a_record_of_1000_sources(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_IN, range(1, 1001))
    assert bench.rows()[0].sources_count == 1000
    assert all(bench.m.wants(bench.G, bench.S(number)) for number in range(1, 1001))


@both
def test_rows(family: Family) -> None:
    bench = Bench(family)
    bench.to(10.0)
    bench.record(IS_EX, [1])
    bench.to(15.0)
    bench.record(ALLOW, [2])
    group = format_address(bench.G)
    common = {"address_family": family.name, "interface": "eth0", "group_address": group}
    assert bench.rows() == [
        GmpGroupRow(
            row="group",
            **common,
            filter_mode="exclude",
            version=bench.newest,
            up_time=5.0,
            expire=265.0,
            last_reporter=format_address(bench.HOST),
            sources_count=2,
            hosts_count=None,
            static=False,
        ),
        GmpSourceRow(
            row="source",
            **common,
            source_address=format_address(bench.S(1)),
            forwarding=False,
            up_time=5.0,
            expire=None,
            static=False,
        ),
        GmpSourceRow(
            row="source",
            **common,
            source_address=format_address(bench.S(2)),
            forwarding=True,
            up_time=0.0,
            expire=270.0,
            static=False,
        ),
    ]


@both
def test_interface_row(family: Family) -> None:
    bench = Bench(family)
    bench.to(15.0)
    bench.record(IS_EX, [1])
    assert bench.interface_row() == GmpInterfaceRow(
        address_family=family.name,
        interface="eth0",
        oper_status="up",
        version=bench.newest,
        querier=format_address(bench.US),
        is_querier=True,
        querier_expiration=None,
        query_expiration=16.25,
        query_interval=125.0,
        query_max_response_time=10.0,
        robustness_variable=2,
        groups_count=1,
        sources_count=1,
        max_groups=65536,
        queries_sent=0,
        queries_received=0,
        reports_v1_received=0,
        reports_v2_received=0,
        reports_v3_received=0,
        leaves_received=0,
        refused=0,
        immediate_leave="off",
        bridge=None,
        bridge_querier=None,
        bridge_router_port=None,
        bridge_warning=None,
    )
