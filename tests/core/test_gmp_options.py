"""What the configuration adds: static members, SSM mapping, allowed groups, limits in all, the queries' address."""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, BLOCK, IS_EX, IS_IN, TO_IN, Bench

from pimpy.core.gmp import GmpSettings, Totals
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Family, Prefix, format_address, parse_address

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def exactly(address: bytes) -> Prefix:
    return Prefix(address, 8 * len(address))


@both
def test_static_members_are_wanted_without_a_host(family: Family) -> None:
    names = Bench(family)
    wanted = ((names.G, None), (names.SSM, names.S(1)))
    bench = Bench(family, GmpSettings(static=wanted))
    assert bench.m.wants_any(bench.G)
    assert bench.m.wants(bench.SSM, bench.S(1))
    assert set(bench.changes) == {(0.0, bench.G, None), (0.0, bench.SSM, bench.S(1))}
    bench.to(1000.0)
    assert bench.m.wants_any(bench.G)
    shown = {(row.row, row.group_address, row.static, row.expire) for row in bench.rows()}
    assert shown == {
        ("group", format_address(bench.G), True, None),
        ("group", format_address(bench.SSM), False, None),
        ("source", format_address(bench.SSM), True, None),
    }
    assert set(bench.m.wishes()) == {(bench.G, None), (bench.SSM, bench.S(1))}


@both
def test_static_members_beside_hosts(family: Family) -> None:
    """No host's exclude list takes a source from the static member, no leave ends it; without it hosts decide."""
    names = Bench(family)
    bench = Bench(family, GmpSettings(static=((names.G, None),)))
    bench.record(IS_EX, [1])
    assert not bench.m.excludes(bench.G, bench.S(1))
    bench.changes.clear()
    bench.m.reconfigure(GmpSettings())
    assert bench.m.excludes(bench.G, bench.S(1))
    assert set(bench.changes) == {(0.0, bench.G, None), (0.0, bench.G, bench.S(1))}
    bench.m.reconfigure(GmpSettings(static=((names.G, None),)))
    bench.record(TO_IN)
    bench.to(10.0)
    assert bench.m.wants_any(bench.G)
    bench.changes.clear()
    bench.m.reconfigure(GmpSettings())
    assert not bench.m.wants_any(bench.G)
    assert bench.changes == [(10.0, bench.G, None)]


@both
def test_static_members_come_and_go_with_the_interface(family: Family) -> None:
    names = Bench(family)
    bench = Bench(family, GmpSettings(static=((names.G, None),)), start=False)
    assert not bench.m.wants_any(bench.G)
    bench.m.start(bench.US)
    assert bench.m.wants_any(bench.G)
    bench.m.stop()
    assert not bench.m.wants_any(bench.G)
    assert [(group, source) for _, group, source in bench.changes] == [(bench.G, None)] * 2


@both
def test_static_members_want_no_any_source_in_the_ssm_range(family: Family) -> None:
    names = Bench(family)
    bench = Bench(family, GmpSettings(static=((names.SSM, None), (names.G, None))))
    assert not bench.m.wants_any(bench.SSM)
    bench.ssm = {bench.G}
    bench.m.ssm_changed()
    assert bench.m.wants_any(bench.SSM)
    assert not bench.m.wants_any(bench.G)


MAPPED = pytest.mark.parametrize(
    ("family", "version"), [(IPV4, 1), (IPV4, 2), (IPV6, 1)], ids=["igmpv1", "igmpv2", "mldv1"]
)


@MAPPED
def test_S5_a_mapping_names_the_sources_for_older_hosts(family: Family, version: int) -> None:
    names = Bench(family)
    group = exactly(names.SSM)
    wide = family.ssm_ranges[5 if family is IPV6 else 0]
    mapping = ((wide, names.S(9)), (group, names.S(1)), (group, names.S(2)))
    bench = Bench(family, GmpSettings(ssm_map=mapping))
    assert bench.old_report(version, bench.SSM) == ""
    assert bench.lists(bench.SSM) == ("include", {1, 2}, set())
    bench.to(269.0)
    assert bench.lists(bench.SSM) == ("include", {1, 2}, set())
    bench.to(270.0)
    assert bench.rows() == []


@pytest.mark.parametrize(("family", "version"), [(IPV4, 2), (IPV6, 1)], ids=["igmpv2", "mldv1"])
def test_S5_a_leave_of_a_mapped_channel_asks_for_its_sources(family: Family, version: int) -> None:
    names = Bench(family)
    bench = Bench(family, GmpSettings(ssm_map=((exactly(names.SSM), names.S(1)),)))
    bench.old_report(version, bench.SSM)
    bench.record(ALLOW, [3], bench.SSM)
    assert bench.leave(bench.SSM) == ""
    assert bench.asked() == [(0.0, False, {1})]
    bench.to(2.0)
    assert bench.lists(bench.SSM) == ("include", {3}, set())
    bench.record(BLOCK, [3], bench.SSM)
    bench.to(4.0)
    assert bench.rows() == []


def test_S5_a_version_1_host_of_a_mapped_channel_is_not_cut_off() -> None:
    names = Bench(IPV4)
    bench = Bench(IPV4, GmpSettings(ssm_map=((exactly(names.SSM), names.S(1)),)))
    bench.old_report(1, bench.SSM)
    bench.leave(bench.SSM)
    bench.to(100.0)
    assert bench.lists(bench.SSM) == ("include", {1}, set())


@both
def test_S5_without_a_mapping_older_hosts_are_ignored_as_before(family: Family) -> None:
    names = Bench(family)
    bench = Bench(family, GmpSettings(ssm_map=((exactly(names.G), names.S(1)),)))
    assert bench.old_report(2 if family is IPV4 else 1, bench.SSM) == "ssm_bad_record"
    assert bench.leave(bench.SSM) == "ssm_bad_record"
    assert bench.record(IS_EX, [], bench.SSM) == ""
    assert "ssm_bad_record" in [reason for _, reason in bench.counts]
    bench.old_report(2 if family is IPV4 else 1)
    assert bench.lists() == ("exclude", set(), set())


@both
def test_Y2_only_allowed_groups_get_records(family: Family) -> None:
    names = Bench(family)
    bench = Bench(family, GmpSettings(allowed=(exactly(names.G),)))
    assert bench.record(IS_EX) == ""
    assert "group_denied" not in [reason for _, reason in bench.counts]
    bench.record(IS_EX, group=bench.G2)
    bench.record(IS_IN, [1], group=bench.G2)
    assert [reason for _, reason in bench.counts].count("group_denied") == 2
    assert {row.group_address for row in bench.rows()} == {format_address(bench.G)}
    assert [reason for _, reason, _ in bench.notices] == ["group_denied"]
    bench.changes.clear()
    bench.m.reconfigure(GmpSettings(allowed=(exactly(names.G2),)))
    assert bench.rows() == []
    assert bench.changes == [(0.0, bench.G, None)]


@both
def test_TH14_limits_of_all_interfaces_together(family: Family) -> None:
    totals = Totals(max_groups=3, max_sources=4)
    one, two = Bench(family, totals=totals), Bench(family, totals=totals)
    one.record(IS_IN, [1, 2, 3])
    two.record(IS_IN, [1, 2])
    assert (totals.groups, totals.sources) == (2, 4)
    assert two.lists() == ("include", {1}, set())
    assert two.counts[-2:] == [
        ("report_v3" if family is IPV4 else "report_v2", "source_limit"),
        (two.counts[-1][0], ""),
    ]
    two.record(IS_EX, group=two.G2)
    one.record(IS_EX, group=one.G2)
    assert one.lists(one.G2) == ("include", set(), set())
    assert "group_limit" in [reason for _, reason in one.counts]
    one.m.stop()
    assert (totals.groups, totals.sources) == (2, 1)
    two.record(IS_IN, [2, 3])
    assert two.lists() == ("include", {1, 2, 3}, set())


@both
def test_querier_address_is_what_elects(family: Family) -> None:
    names = Bench(family)
    bench = Bench(family, GmpSettings(querier_address=names.LOW), start=False)
    bench.m.start(bench.HIGH)
    between = bench.LOW[:-1] + b"\x06"
    assert bench.m.querier.address == names.LOW
    bench.query(between)
    assert bench.interface_row().is_querier
    bench.m.reconfigure(GmpSettings())
    assert bench.m.querier.address == bench.HIGH
    bench.query(between)
    assert not bench.interface_row().is_querier


@pytest.mark.parametrize(
    ("family", "address", "why"),
    [
        (IPV4, "192.0.2.1", "it is in no subnet of the link"),
        (IPV6, "2001:db8::1", "it is not link-local"),
    ],
)
def test_querier_address_that_hosts_would_not_believe_is_refused(family: Family, address: str, why: str) -> None:
    bench = Bench(
        family, GmpSettings(querier_address=parse_address(address)), on_link=lambda a: a[:1] == b"\x0a", start=False
    )
    bench.m.start(bench.US)
    assert bench.m.querier.address == bench.US
    assert bench.notices == [
        (
            "warning",
            "querier_address",
            f"querier-address {address} is not used: {why}, and hosts would drop our queries",
        )
    ]


@both
def test_clear_forgets_a_group_and_asks(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [1])
    bench.record(IS_EX, group=bench.G2)
    bench.changes.clear()
    assert bench.m.clear(bench.G) is True
    assert bench.asked() == [(0.0, False, set())]
    assert bench.changes == [(0.0, bench.G, None), (0.0, bench.G, bench.S(1))]
    assert bench.m.wants_any(bench.G2)
    assert bench.m.clear(bench.G) is False
    bench.record(IS_EX)
    assert bench.m.wants_any(bench.G)


# Two rows that were in doubt: who is followed of several that beat us, and our own members.


@both
def test_I3_of_several_that_beat_us_the_lowest_is_followed(family: Family) -> None:
    """The higher one will hear the lower one and fall silent: its values count for nothing meanwhile."""
    bench = Bench(family)
    middle = bench.LOW[:-1] + b"\x03"
    bench.query(bench.LOW, robustness=3, interval=60.0)
    bench.to(10.0)
    bench.query(middle, robustness=7, interval=1000.0)
    row = bench.interface_row()
    assert (row.querier, row.robustness_variable, row.query_interval) == (format_address(bench.LOW), 3, 60.0)
    assert row.querier_expiration == pytest.approx(3 * 60 + 5)


@both
def test_I3_one_that_beats_us_succeeds_a_querier_that_is_gone(family: Family) -> None:
    bench = Bench(family)
    middle = bench.LOW[:-1] + b"\x03"
    bench.query(bench.LOW, robustness=2, interval=60.0)
    bench.to(100.0)
    bench.query(middle, robustness=4, interval=50.0)
    bench.to(126.0)
    bench.query(middle, robustness=4, interval=50.0)
    row = bench.interface_row()
    assert (row.querier, row.robustness_variable, row.query_interval) == (format_address(middle), 4, 50.0)
    assert bench.sent == []


@both
def test_I16_our_own_reports_are_members_our_own_queries_are_not(family: Family) -> None:
    """A program on the router that joins a group is a member of its link like any other."""
    names = Bench(family)
    bench = Bench(family, is_own=lambda address: address in (names.US, names.HIGH))
    assert bench.record(IS_EX, by=bench.US) == ""
    assert bench.m.wants_any(bench.G)
    assert bench.query(bench.HIGH) == "own_packet"
    assert bench.query(bench.US) == "own_packet"
    assert bench.interface_row().is_querier


@both
def test_where_nobody_listens_hosts_are_neither_asked_nor_heard(family: Family) -> None:
    """pim6sd's `nolistener`; a static member is one all the same."""
    names = Bench(family)
    bench = Bench(family, GmpSettings(listener=False, mrdisc=True, static=((names.G2, None),)), start=False)
    bench.m.start(bench.US)
    assert bench.record(IS_EX) == "if_not_enabled"
    assert bench.query(bench.LOW) == "if_not_enabled"
    bench.m.readdress(bench.HIGH)
    bench.to(1000.0)
    assert not bench.sent and not bench.discovery
    assert bench.interface_row().oper_status == "down" and not bench.interface_row().is_querier
    assert bench.m.wishes() == [(bench.G2, None)]


@both
def test_to_listen_ends_and_begins_again_at_a_reload(family: Family) -> None:
    names = Bench(family)
    static = ((names.G2, None),)
    bench = Bench(family, GmpSettings(static=static))
    bench.record(IS_EX)
    bench.changes.clear()
    bench.m.reconfigure(GmpSettings(static=static, listener=False))
    assert bench.changes == [(0.0, bench.G, None)]
    assert bench.m.wishes() == [(bench.G2, None)]
    bench.to(1000.0)
    assert not bench.sent
    bench.m.readdress(bench.HIGH)
    bench.m.reconfigure(GmpSettings(static=static))
    assert [query.group for query in bench.take_sent()] == [family.any], "it asks at once"
    assert bench.interface_row().querier == format_address(bench.HIGH)
    assert bench.record(IS_EX) == ""
    assert bench.m.wants_any(bench.G)
