"""Groups in the SSM range, and groups that come into it or leave it (conformance S5, S8; TH12)."""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, BLOCK, IS_EX, TO_EX, TO_IN, Bench

from pimpy.wire.family import FAMILIES, IPV4, Family
from pimpy.wire.membership import Record, Report

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@both
def test_S5_TH12_wishes_for_any_source_do_not_count_in_the_SSM_range(family: Family) -> None:
    bench = Bench(family)
    bench.record(ALLOW, [1], bench.SSM)
    records = [Record(kind, bench.SSM, sources) for kind in (IS_EX, TO_EX) for sources in ((), (bench.S(2),))]
    records.insert(2, Record(ALLOW, bench.SSM, (bench.S(3),)))
    bench.receive(Report(tuple(records)), bench.HOST, family.all_reports)
    assert [reason for _, reason in bench.counts] == ["", *["ssm_bad_record"] * 4, ""]
    assert bench.lists(bench.SSM) == ("include", {1, 3}, set())
    for version in range(1, 3 if family is IPV4 else 2):
        assert bench.old_report(version, bench.SSM) == "ssm_bad_record"
    assert bench.leave(bench.SSM) == "ssm_bad_record"
    assert bench.timers(bench.SSM) == (None, {1: 270.0, 3: 270.0})
    assert bench.asked() == []
    assert [reason for _, reason, _ in bench.notices] == ["ssm_bad_record"]
    bench.record(BLOCK, [1], bench.SSM)
    bench.record(TO_IN, [1], bench.SSM)
    bench.to(2.0)
    assert bench.lists(bench.SSM) == ("include", {1}, set())


@both
def test_S5_a_group_of_the_range_that_nobody_named_makes_no_record(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [1], bench.SSM)
    bench.old_report(1, bench.SSM)
    assert (bench.rows(), bench.changes) == ([], [])


@both
def test_S8_a_group_that_comes_into_the_range(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [1])
    bench.record(ALLOW, [2])
    bench.old_report(1, bench.G2)
    bench.leave(bench.G2)
    bench.changes.clear()
    bench.sent.clear()
    bench.ssm |= {bench.G, bench.G2}
    bench.m.ssm_changed()
    assert bench.lists() == ("include", {2}, set())
    assert {(group, source) for _, group, source in bench.changes} == {
        (bench.G, None),
        (bench.G, bench.S(1)),
        (bench.G2, None),
    }
    assert [query.group for query in bench.take_sent()] == [family.any]
    bench.to(5.0)
    assert bench.asked() == []
    bench.changes.clear()
    bench.to(280.0)
    assert [source for _, _, source in bench.changes] == [bench.S(2)]


@both
def test_S8_older_hosts_of_a_group_that_comes_into_the_range_are_forgotten(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=2, interval=125.0)
    for version in range(1, 3 if family is IPV4 else 2):
        bench.old_report(version)
    bench.record(ALLOW, [2])
    bench.ssm.add(bench.G)
    bench.m.ssm_changed()
    assert (bench.rows()[0].version, bench.rows()[0].expire) == (bench.newest, None)
    assert bench.sent == []


@both
def test_S8_a_group_that_leaves_the_range_is_asked_for_at_once(family: Family) -> None:
    bench = Bench(family)
    bench.record(ALLOW, [1], bench.SSM)
    bench.to(10.0)
    bench.ssm.clear()
    bench.m.ssm_changed()
    assert [(time, query.group) for time, _, query in bench.sent] == [(10.0, family.any)]
    bench.record(IS_EX, [], bench.SSM)
    assert bench.m.wants_any(bench.SSM)
    bench.m.stop()
    bench.m.ssm_changed()
    assert len(bench.sent) == 1
