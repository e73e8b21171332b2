"""Specific queries: when, how often, with which S flag, in how many messages.

Conformance I9 to I11, I26, M3, M7, T29.
"""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, BLOCK, IS_EX, IS_IN, TO_EX, TO_IN, Bench
from hypothesis import given
from hypothesis import strategies as st

from pimpy.core.gmp import GmpSettings
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Family
from pimpy.wire.membership import Query

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
ALL: set[int] = set()


@both
@pytest.mark.parametrize("how", ["leave", "to_in"])
def test_I9_T29_the_last_member_leaves(family: Family, how: str) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.to(50.0)
    bench.sent.clear()
    bench.changes.clear()
    bench.leave() if how == "leave" else bench.record(TO_IN)
    bench.to(51.99)
    expected = Query(bench.newest, bench.G, 1.0, False, 2, 125.0)
    assert bench.sent == [(50.0, bench.G, expected), (51.0, bench.G, expected)]
    assert bench.m.wants_any(bench.G)
    bench.to(60.0)
    assert bench.changes == [(52.0, bench.G, None)]
    assert len(bench.sent) == 2
    assert bench.rows() == []


@both
def test_I9_never_when_another_member_answers(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.to(50.0)
    bench.changes.clear()
    bench.leave()
    bench.to(51.9)
    bench.record(IS_EX)
    bench.to(200.0)
    assert bench.changes == []
    assert bench.timers() == (pytest.approx(51.9 + 270 - 200), {})


@both
def test_I9_the_group_timer_is_never_raised(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.to(269.0)
    bench.leave()
    assert bench.timers() == (1.0, {})


@both
def test_I9_other_intervals_and_counts(family: Family) -> None:
    settings = GmpSettings(last_member_query_interval=0.5, last_member_query_count=3)
    bench = Bench(family, settings)
    bench.record(IS_EX)
    bench.sent.clear()
    bench.leave()
    bench.to(1.49)
    assert [(time, query.max_response) for time, _, query in bench.sent] == [(0.0, 0.5), (0.5, 0.5), (1.0, 0.5)]
    assert bench.m.wants_any(bench.G)
    bench.to(1.5)
    assert not bench.m.wants_any(bench.G)


@both
def test_I10_S_flag_of_a_retransmission_tells_of_an_answer(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.leave()
    bench.to(0.5)
    bench.record(IS_EX)
    bench.to(10.0)
    assert bench.asked() == [(0.0, False, ALL), (1.0, True, ALL)]


@both
def test_I10_each_sending_for_sources_is_split_by_their_timers(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_IN, [1, 2, 3])
    bench.record(BLOCK, [1, 2])
    bench.to(0.5)
    bench.record(ALLOW, [1])
    bench.to(10.0)
    assert bench.asked() == [(0.0, False, {1, 2}), (1.0, True, {1}), (1.0, False, {2})]
    assert bench.lists() == ("include", {1, 3}, set())
    assert [time for time, _, _ in bench.changes] == [0.0, 0.0, 0.0, 2.0]


@both
def test_I10_sources_that_end_soon_are_not_asked_for(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_IN, [1])
    bench.to(100.0)
    bench.record(IS_IN, [2])
    bench.to(268.5)
    bench.sent.clear()
    bench.record(BLOCK, [1, 2])
    assert bench.asked() == [(268.5, False, {2})]
    assert bench.timers()[1] == {1: 1.5, 2: 2.0}
    bench.record(BLOCK, [1, 2])
    bench.to(269.0)
    bench.record(BLOCK, [1, 2])
    assert len(bench.asked()) == 1


@pytest.mark.parametrize(("family", "parts"), [(IPV4, [366, 366, 268]), (IPV6, [89] * 11 + [21])])
def test_I10_M7_long_queries_are_split_and_nothing_is_lost(family: Family, parts: list[int]) -> None:
    bench = Bench(family)
    sources = range(1, 1001)
    bench.record(IS_IN, sources)
    bench.record(BLOCK, sources)
    assert [len(numbers) for _, _, numbers in bench.asked()] == parts
    assert set().union(*(numbers for _, _, numbers in bench.asked())) == set(sources)
    bench.to(2.0)
    assert len(bench.asked()) == 2 * len(parts)
    assert bench.rows() == []


@both
def test_I10_splitting_follows_the_mtu(family: Family) -> None:
    bench = Bench(family, GmpSettings(mtu=1280))
    bench.record(IS_IN, range(1, 401))
    bench.record(TO_IN)
    assert max(len(numbers) for _, _, numbers in bench.asked()) == {IPV4: 311, IPV6: 75}[family]


@both
def test_I11_a_received_query_with_S_clear_lowers_with_S_set_does_not(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=2, interval=125.0)
    bench.record(IS_EX, [1])
    bench.record(ALLOW, [2, 3])
    bench.query(bench.LOW, bench.G, suppress=True)
    bench.query(bench.LOW, bench.G, [1, 2], suppress=True)
    assert bench.timers() == (270.0, {1: None, 2: 270.0, 3: 270.0})
    bench.query(bench.LOW, bench.G, [1, 2, 7])
    assert bench.timers() == (270.0, {1: None, 2: 2.0, 3: 270.0})
    bench.query(bench.LOW, bench.G)
    assert bench.timers() == (2.0, {1: None, 2: 2.0, 3: 270.0})
    bench.to(1.0)
    bench.query(bench.LOW, bench.G)
    assert bench.timers() == (1.0, {1: None, 2: 1.0, 3: 269.0})
    bench.query(bench.LOW, bench.G2)
    bench.to(2.0)
    assert bench.lists() == ("include", {3}, set())


@both
def test_I11_T29_LMQT_follows_the_adopted_robustness(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=2, interval=125.0)
    bench.record(IS_EX)
    bench.query(bench.LOW, bench.G, robustness=3)
    assert bench.timers() == (3.0, {})


@both
def test_I11_a_query_for_the_group_does_not_start_the_group_timer(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=2, interval=125.0)
    bench.record(ALLOW, [1])
    bench.query(bench.LOW, bench.G)
    assert bench.timers() == (None, {1: 270.0})


@both
def test_I11_a_non_querier_sends_nothing_and_lowers_nothing_by_itself(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=2, interval=125.0)
    bench.record(IS_EX)
    bench.record(ALLOW, [1])
    bench.leave()
    bench.record(TO_IN)
    bench.record(BLOCK, [1, 2])
    bench.record(TO_EX, [1])
    bench.to(5.0)
    assert bench.sent == []
    assert bench.timers() == (265.0, {1: 265.0})


@both
def test_I11_an_older_specific_query_lowers_too(family: Family) -> None:
    """Such a query has no S flag (RFC 2236 3, RFC 2710 4)."""
    bench = Bench(family)
    bench.query(bench.LOW, version=bench.newest - 1)
    bench.record(IS_EX)
    bench.query(bench.LOW, bench.G, version=bench.newest - 1)
    assert bench.timers() == (2.0, {})


def test_I11_a_version_1_query_of_igmp_lowers_nothing() -> None:
    bench = Bench(IPV4)
    bench.record(IS_EX)
    bench.query(bench.LOW, bench.G, version=1)
    assert bench.timers() == (270.0, {})


@both
def test_I26_a_new_action_merges_with_what_is_pending(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_IN, [1, 2, 3])
    bench.record(BLOCK, [1])
    bench.to(0.5)
    bench.record(BLOCK, [2])
    bench.to(10.0)
    assert bench.asked() == [(0.0, False, {1}), (0.5, False, {1, 2}), (1.5, False, {2})]
    assert [(time, source) for time, _, source in bench.changes[3:]] == [(2.0, bench.S(1)), (2.5, bench.S(2))]


@both
def test_I26_counts_are_kept_for_each_source(family: Family) -> None:
    bench = Bench(family, GmpSettings(last_member_query_count=3))
    bench.record(IS_IN, [1, 2])
    bench.record(BLOCK, [1])
    bench.to(1.5)
    bench.record(BLOCK, [1, 2])
    bench.to(10.0)
    assert bench.asked() == [
        (0.0, False, {1}),
        (1.0, False, {1}),
        (1.5, False, {1, 2}),
        (2.5, False, {2}),
        (3.5, False, {2}),
    ]


@both
def test_I26_the_group_query_replaces_the_S_half_for_sources(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.record(ALLOW, [1, 2])
    bench.record(TO_IN)
    assert bench.asked() == [(0.0, False, ALL), (0.0, False, {1, 2})]
    bench.to(0.5)
    bench.record(ALLOW, [1])
    bench.to(10.0)
    assert bench.asked()[2:] == [(1.0, False, ALL), (1.0, False, {2})]
    assert bench.lists() == ("include", {1}, set())


@both
def test_I26_a_mass_leave_costs_two_queries(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.record(ALLOW, [1])
    for step in range(100):
        bench.to(step / 100)
        bench.record(TO_IN, [1] if step < 50 else [])
    bench.to(1.9)
    bench.leave()
    bench.to(10.0)
    assert bench.asked() == [(0.0, False, ALL), (0.5, False, ALL), (0.5, False, {1}), (1.5, False, {1})]
    assert [(time, source) for time, _, source in bench.changes[2:]] == [(2.0, None), (2.5, bench.S(1))]


@both
def test_I26_a_leave_after_an_answer_asks_anew(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.leave()
    bench.to(0.5)
    bench.record(IS_EX)
    bench.to(0.7)
    bench.leave()
    bench.to(10.0)
    assert bench.asked() == [(0.0, False, ALL), (0.7, False, ALL), (1.7, False, ALL)]
    assert bench.changes[-1] == (2.7, bench.G, None)


@both
def test_I26_a_deleted_source_is_not_asked_for_again(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_IN, [1, 2])
    bench.record(BLOCK, [1, 2])
    bench.to(0.5)
    bench.record(IS_EX, [2])
    bench.to(0.6)
    bench.record(ALLOW, [1])
    bench.to(10.0)
    assert bench.asked() == [(0.0, False, {1, 2}), (1.0, False, {2})]


@both
def test_I26_after_a_stall_nothing_is_asked_for_that_is_over(family: Family) -> None:
    """All timers fire late and at once: the first retransmission, then the ends, with a sending still to come."""
    bench = Bench(family, GmpSettings(last_member_query_count=3))
    bench.record(IS_EX, [3])
    bench.record(ALLOW, [1])
    bench.record(TO_IN)
    bench.record(ALLOW, [2])
    bench.heap.fire(5.0)
    assert bench.lists() == ("include", {2}, set())
    bench.to(20.0)
    assert bench.asked() == [(0.0, False, ALL), (0.0, False, {1}), (5.0, False, ALL), (5.0, False, {1})]


@both
def test_I26_what_was_pending_at_a_stop_is_not_sent_after_a_start(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.leave()
    bench.to(0.5)
    bench.m.stop()
    bench.m.start(bench.US)
    bench.to(10.0)
    assert len(bench.asked()) == 1


def test_RFC2236_7_an_answer_ends_the_asking_in_version_2() -> None:
    bench = Bench(IPV4, GmpSettings(version=2))
    bench.old_report(2)
    bench.leave()
    bench.to(0.5)
    bench.old_report(2)
    bench.to(10.0)
    assert bench.asked() == [(0.0, False, ALL)]
    assert bench.m.wants_any(bench.G)


@pytest.mark.parametrize(("family", "version"), [(IPV4, 2), (IPV6, 1)])
def test_I15_an_older_version_never_asks_for_sources(family: Family, version: int) -> None:
    bench = Bench(family, GmpSettings(version=version))
    bench.record(IS_IN, [1, 2])
    bench.record(TO_IN, [1])
    bench.record(BLOCK, [1])
    assert bench.asked() == []
    assert bench.timers()[1] == {1: 270.0, 2: 270.0}


@both
@given(data=st.data())
def test_I26_no_source_ends_early_without_two_queries(family: Family, data: st.DataObject) -> None:
    bench = Bench(family)
    kinds = st.sampled_from([BLOCK, TO_IN, ALLOW, IS_IN])
    steps = st.tuples(st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.9, 2.5]), kinds, st.sets(st.integers(1, 3), max_size=3))
    for wait, kind, sources in data.draw(st.lists(steps, max_size=15)):
        bench.record(kind, sources)
        bench.to(bench.now + wait)
    bench.to(bench.now + 5.0)
    known: set[bytes | None] = set()
    for time, _, source in bench.changes:
        if source not in known:
            known.add(source)
            continue
        known.remove(source)
        number = next(number for number in (1, 2, 3) if bench.S(number) == source)
        asked = [when for when, _, numbers in bench.asked() if number in numbers]
        assert len([when for when in asked if time - 2.001 <= when <= time]) >= 2
