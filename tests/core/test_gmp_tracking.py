"""Explicit tracking and what follows from it: leaves that count at once, and when they must not."""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, BLOCK, IS_EX, IS_IN, TO_EX, TO_IN, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.core.gmp import GmpSettings, Totals
from pimpy.core.rows import GmpReporterRow
from pimpy.core.views.members import group_rows
from pimpy.wire.family import FAMILIES, Family, format_address

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
TRACKED = GmpSettings(tracking=True, immediate_leave=True)
FORCED = GmpSettings(forced_leave=True)


def hosts(bench: Bench) -> dict[str, tuple[str, str]]:
    """The known hosts: address -> (mode, sources)."""
    return {
        row.reporter_address: (row.filter_mode, row.sources)
        for row in group_rows(bench.m, "eth0", bench.now, hosts=True)
        if isinstance(row, GmpReporterRow)
    }


@both
def test_immediate_leave_the_last_members_leave_counts_at_once(family: Family) -> None:
    bench = Bench(family, TRACKED)
    for number in (1, 2):
        bench.record(IS_EX, by=bench.host(number))
    bench.to(10.0)
    bench.take_sent()
    bench.record(TO_IN, by=bench.host(1))
    assert bench.m.wants_any(bench.G)
    bench.changes.clear()
    bench.record(TO_IN, by=bench.host(2))
    assert not bench.m.wants_any(bench.G)
    assert bench.rows() == []
    assert bench.changes == [(10.0, bench.G, None)]


@both
def test_immediate_leave_never_cuts_another_member(family: Family) -> None:
    """The one that stays is not even asked, and keeps the group although the asking would have taken 2 s."""
    bench = Bench(family, TRACKED)
    bench.record(IS_EX, by=bench.host(1))
    bench.record(IS_EX, by=bench.host(2))
    bench.record(TO_IN, by=bench.host(1))
    bench.to(100.0)
    bench.record(IS_EX, by=bench.host(2))
    bench.to(200.0)
    assert bench.m.wants_any(bench.G)


@both
def test_immediate_leave_one_query_for_a_member_that_was_never_heard(family: Family) -> None:
    bench = Bench(family, TRACKED)
    bench.record(IS_EX, by=bench.host(1))
    bench.take_sent()
    bench.record(TO_IN, by=bench.host(1))
    assert bench.asked() == [(0.0, False, set())]
    bench.to(10.0)
    assert len(bench.asked()) == 1
    bench.record(IS_EX, by=bench.host(9))
    assert bench.m.wants_any(bench.G)


@both
def test_immediate_leave_of_sources(family: Family) -> None:
    bench = Bench(family, TRACKED)
    bench.record(ALLOW, [1, 2], by=bench.host(1))
    bench.record(ALLOW, [2, 3], by=bench.host(2))
    bench.record(BLOCK, [1, 2], by=bench.host(1))
    assert bench.lists() == ("include", {2, 3}, set())
    bench.record(TO_IN, [], by=bench.host(2))
    assert bench.rows() == []


@both
def test_immediate_leave_of_a_source_in_mode_exclude(family: Family) -> None:
    bench = Bench(family, TRACKED)
    bench.record(IS_EX, [], by=bench.host(1))
    bench.record(IS_EX, [1], by=bench.host(2))
    assert bench.lists() == ("exclude", {1}, set()) or bench.lists() == ("exclude", set(), set())
    bench.record(BLOCK, [1], by=bench.host(1))
    assert bench.lists() == ("exclude", set(), {1})
    bench.record(ALLOW, [1], by=bench.host(2))
    assert bench.lists() == ("exclude", {1}, set())


@both
def test_immediate_leave_keeps_sources_that_others_include(family: Family) -> None:
    bench = Bench(family, TRACKED)
    bench.record(IS_EX, by=bench.host(1))
    bench.record(ALLOW, [4], by=bench.host(2))
    bench.record(TO_IN, by=bench.host(1))
    assert bench.lists() == ("include", {4}, set())


@both
def test_immediate_leave_keeps_a_named_source_that_the_table_forgot(family: Family) -> None:
    """Beside a host that wants everything a named source needs no record (Table 8 deletes it), after it it does."""
    bench = Bench(family, TRACKED)
    bench.record(ALLOW, [1], by=bench.host(1))
    bench.record(IS_EX, by=bench.host(2))
    assert bench.lists() == ("exclude", set(), set())
    bench.to(100.0)
    bench.record(TO_IN, by=bench.host(2))
    assert bench.lists() == ("include", {1}, set())
    assert bench.timers() == (None, {1: 170.0})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_immediate_leave_falls_back_among_older_hosts(family: Family) -> None:
    """Two hosts of the older version, one of which kept quiet because it heard the other's report."""
    version = 2 if family.size == 4 else 1
    bench = Bench(family, TRACKED)
    bench.old_report(version, by=bench.host(1))
    bench.to(10.0)
    bench.take_sent()
    bench.leave(by=bench.host(1))
    assert bench.m.wants_any(bench.G)
    assert bench.asked() == [(10.0, False, set())]
    bench.to(10.5)
    bench.old_report(version, by=bench.host(2))
    bench.to(13.0)
    assert bench.m.wants_any(bench.G)
    bench.to(100.0)
    bench.leave(by=bench.host(2))
    bench.to(102.0)
    assert bench.rows() == []


@both
def test_immediate_leave_falls_back_as_long_as_the_record_stands(family: Family) -> None:
    """The older version's time is over, but one of its hosts may still be there and quiet."""
    bench = Bench(family, TRACKED)
    bench.old_report(2 if family.size == 4 else 1, by=bench.host(1))
    for time in (125.0, 250.0, 375.0):
        bench.to(time)
        bench.record(IS_EX, by=bench.host(2))
    assert bench.rows()[0].version == bench.newest
    bench.record(TO_IN, by=bench.host(2))
    assert bench.m.wants_any(bench.G)
    bench.to(377.0)
    assert bench.rows() == []


def test_immediate_leave_falls_back_while_a_host_without_address_may_be_there() -> None:
    bench = Bench(FAMILIES[0], TRACKED)
    bench.record(IS_EX, by=bench.family.any)
    bench.record(IS_EX, by=bench.host(1))
    bench.record(TO_IN, by=bench.host(1))
    assert bench.m.wants_any(bench.G)
    bench.to(1.0)
    bench.record(IS_EX, by=bench.host(1))
    bench.to(250.0)
    bench.record(IS_EX, by=bench.host(1))
    bench.to(271.0)
    bench.record(TO_IN, by=bench.host(1))
    assert bench.rows() == []


@both
def test_immediate_leave_falls_back_where_members_were_there_before_it(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX, by=bench.host(1))
    bench.m.reconfigure(TRACKED)
    bench.record(IS_EX, by=bench.host(2))
    bench.record(TO_IN, by=bench.host(2))
    assert bench.m.wants_any(bench.G)


@both
def test_immediate_leave_falls_back_where_hosts_could_not_be_remembered(family: Family) -> None:
    bench = Bench(family, TRACKED, totals=Totals(max_hosts=2))
    bench.record(IS_EX, by=bench.host(1))
    bench.record(IS_EX, by=bench.host(2))
    assert bench.record(IS_EX, by=bench.host(3)) == ""
    assert ("host_limit" in [reason for _, reason in bench.counts]) is True
    for number in (1, 2):
        bench.record(TO_IN, by=bench.host(number))
    assert bench.m.wants_any(bench.G)
    assert bench.m.totals.hosts == 0


@both
def test_immediate_leave_counts_without_hosts_that_were_not_heard_for_a_membership_interval(family: Family) -> None:
    bench = Bench(family, GmpSettings(tracking=True, immediate_leave=True))
    bench.record(TO_EX, by=bench.host(1))
    bench.to(200)
    bench.record(TO_EX, by=bench.host(2))
    bench.to(269.9)
    assert bench.m.link.totals.hosts == 2
    bench.to(270)
    bench.record(TO_IN, by=bench.host(2))
    assert not bench.m.wants_any(bench.G), "the first was last heard 270 s ago"
    assert bench.m.link.totals.hosts == 0


def test_without_the_option_leaves_are_asked_about(family: Family) -> None:
    bench = Bench(family, GmpSettings(tracking=True))
    bench.record(IS_EX, by=bench.host(1))
    bench.record(TO_IN, by=bench.host(1))
    assert bench.m.wants_any(bench.G)
    bench.to(2.0)
    assert bench.rows() == []


@both
def test_a_non_querier_ends_what_nobody_wants_too_and_asks_nobody(family: Family) -> None:
    bench = Bench(family, TRACKED)
    bench.query(bench.LOW, robustness=2, interval=125.0)
    bench.take_sent()
    bench.record(IS_EX, by=bench.host(1))
    bench.record(TO_IN, by=bench.host(1))
    assert (bench.rows(), bench.sent) == ([], [])


@both
def test_forced_leave_ends_it_for_everybody(family: Family) -> None:
    bench = Bench(family, FORCED)
    bench.record(IS_EX, by=bench.host(1))
    bench.record(IS_EX, by=bench.host(2))
    bench.record(TO_IN, by=bench.host(1))
    assert bench.rows() == []
    bench.record(IS_EX, by=bench.host(2))
    assert bench.m.wants_any(bench.G)


@both
def test_forced_leave_of_older_hosts(family: Family) -> None:
    bench = Bench(family, FORCED)
    bench.old_report(2 if family.size == 4 else 1)
    bench.leave()
    assert bench.rows() == []


def test_forced_leave_heeds_version_1_which_has_no_leaves() -> None:
    bench = Bench(FAMILIES[0], FORCED)
    bench.old_report(1)
    bench.leave()
    assert bench.m.wants_any(bench.G)


@both
def test_reporters_are_named(family: Family) -> None:
    bench = Bench(family, GmpSettings(tracking=True))
    bench.record(IS_EX, [3], by=bench.host(1))
    bench.record(ALLOW, [2, 1], by=bench.host(2))
    first, second = (format_address(bench.S(number)) for number in (1, 2))
    assert hosts(bench) == {
        format_address(bench.host(1)): ("exclude", format_address(bench.S(3))),
        format_address(bench.host(2)): ("include", f"{first} {second}"),
    }
    assert [row.hosts_count for row in bench.rows() if row.row == "group"] == [2]
    bench.to(200.0)
    bench.record(IS_EX, by=bench.host(1))
    bench.to(270.0)
    assert list(hosts(bench)) == [format_address(bench.host(1))]


@both
def test_an_answer_about_some_sources_is_not_all_that_a_host_wants(family: Family) -> None:
    """Table 5: who excludes answers a query for sources with those of them that it wants."""
    bench = Bench(family, TRACKED)
    bench.record(IS_EX, [1], by=bench.host(1))
    bench.record(IS_IN, [2], by=bench.host(1))
    bench.record(IS_EX, by=bench.host(2))
    bench.record(TO_IN, by=bench.host(2))
    assert bench.m.wants_any(bench.G)


EVENT = st.tuples(
    st.integers(1, 4),
    st.sampled_from([IS_EX, TO_EX, TO_IN, ALLOW, BLOCK]),
    st.frozensets(st.integers(1, 4), max_size=3),
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@settings(max_examples=200)
@given(events=st.lists(EVENT, max_size=30))
def test_no_wish_of_a_tracked_host_is_ever_cut_and_none_outlasts_its_leave(
    family: Family, events: list[tuple[int, int, frozenset[int]]]
) -> None:
    """Hosts that say what they want, at one moment, against sets kept by hand."""
    bench = Bench(family, TRACKED)
    wishes: dict[int, tuple[bool, frozenset[int]]] = {}
    for number, kind, listed in events:
        excludes, named = wishes.get(number, (False, frozenset()))
        if kind in (IS_EX, TO_EX):
            excludes, named = True, listed
        elif kind == TO_IN:
            excludes, named = False, listed
        elif kind == ALLOW:
            named = named - listed if excludes else named | listed
        else:
            named = named | listed if excludes else named - listed
        wishes[number] = (excludes, named)
        bench.record(kind, sorted(listed), by=bench.host(number))
        for source in range(1, 6):
            wanted = any((source in names) != excluding for excluding, names in wishes.values())
            served = bench.m.wants(bench.G, bench.S(source)) or (
                bench.m.wants_any(bench.G) and not bench.m.excludes(bench.G, bench.S(source))
            )
            assert served or not wanted, f"source {source} is cut from {wishes}"
            left_at_once = kind in (TO_IN, BLOCK, TO_EX)
            if left_at_once and not any(excluding for excluding, _ in wishes.values()):
                assert wanted or not served, f"source {source} flows for nobody: {wishes}"
    bench.m.stop()
    totals = bench.m.totals
    assert (totals.groups, totals.sources, totals.hosts) == (0, 0, 0)
