"""The host side: what we say as a member. Conformance X5, X8, X10 to X13, I24, T31, T33."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import product

import pytest
from gmp_bench import ALLOW, BLOCK, CODECS, IS_EX, IS_IN, NAMES, TO_EX, TO_IN
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.core.engine.timers import TimerHeap
from pimpy.core.gmp.host import Host
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Address, Family, parse_address
from pimpy.wire.membership import Leave, Message, OldReport, Query, Record, Report

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
OLDER = pytest.mark.parametrize(
    ("family", "version"), [(IPV4, 1), (IPV4, 2), (IPV6, 1)], ids=["igmpv1", "igmpv2", "mldv1"]
)


class HostBench:
    """A host at time 0. `said` is what it sent: (time, record type, group's name, sources' numbers)."""

    def __init__(self, family: Family, robustness: int = 2, mtu: int = 1500, seed: int = 1) -> None:
        self.family = family
        self.newest = 3 if family is IPV4 else 2
        names = [parse_address(name) for name in NAMES[family]]
        self.G, self.G2, _, _, self.ROUTER, _, _, self._source = names
        self.heap = TimerHeap()
        self.sent: list[tuple[float, Address, Message]] = []
        self.lengths: list[int] = []
        self.counts: list[str] = []
        self.host = Host(
            family,
            self.heap,
            random.Random(seed),
            self._send,
            lambda name, reason: self.counts.append(reason),
            robustness,
            mtu,
        )

    def S(self, number: int) -> Address:
        return (int.from_bytes(self._source, "big") + number).to_bytes(self.family.size, "big")

    def _send(self, destination: Address, data: bytes) -> None:
        message = CODECS[self.family].decode(data)
        assert message is not None
        self.sent.append((self.heap.now, destination, message))
        self.lengths.append(len(data))

    def to(self, time: float) -> None:
        while (deadline := self.heap.next_deadline()) is not None and deadline <= time:
            self.heap.fire(deadline)
        self.heap.fire(time)

    def listen(self, excludes: bool, numbers: Iterable[int] = (), group: Address | None = None) -> None:
        self.host.listen(group or self.G, excludes, tuple(self.S(number) for number in numbers))

    def query(self, group: Address | None = None, numbers: Iterable[int] = (), **change: object) -> str:
        """A query arrives; the reason that it was counted under."""
        values: dict[str, object] = {"version": self.newest, "max_response": 10.0}
        header: dict[str, object] = {"ttl": 1, "alert": True, "source": self.ROUTER}
        header["destination"] = group or self.family.all_hosts
        for key, value in change.items():
            (header if key in header else values)[key] = value
        sources = tuple(self.S(number) for number in numbers)
        query = Query(group=group or self.family.any, sources=sources, **values)  # type: ignore[arg-type]
        data = CODECS[self.family].encode(query)
        args = (header["source"], header["destination"], header["ttl"], header["alert"])
        self.host.receive(*args, data)  # type: ignore[arg-type]
        return self.counts[-1]

    def records(self) -> list[tuple[float, int, frozenset[int]]]:
        """(time, type, sources) of every record sent so far."""
        base = int.from_bytes(self._source, "big")
        return [
            (round(time, 6), record.type, frozenset(int.from_bytes(s, "big") - base for s in record.sources))
            for time, _, message in self.sent
            if isinstance(message, Report)
            for record in message.records
        ]

    def kinds(self) -> list[tuple[int, frozenset[int]]]:
        return [(kind, sources) for _, kind, sources in self.records()]


def named(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


@both
def test_X8_T33_a_change_is_said_at_once_and_once_more_within_a_second(family: Family) -> None:
    gaps = []
    for seed in range(40):
        bench = HostBench(family, seed=seed)
        bench.listen(True, [])
        bench.to(10.0)
        (first, *_), (second, *_) = bench.records()
        assert first == 0.0
        gaps.append(second)
        assert bench.kinds() == [(TO_EX, named())] * 2
        assert [destination for _, destination, _ in bench.sent] == [family.all_reports] * 2
    assert all(0 < gap <= 1.0 for gap in gaps)
    assert max(gaps) - min(gaps) > 0.5


@both
def test_X8_robustness_says_how_often(family: Family) -> None:
    bench = HostBench(family, robustness=4)
    bench.listen(False, [1])
    bench.to(10.0)
    assert bench.kinds() == [(ALLOW, named(1))] * 4


CHANGES = [
    ((False, {1, 2}), (False, {2, 3}), [(ALLOW, named(3)), (BLOCK, named(1))]),
    ((False, {1}), (False, {1, 2}), [(ALLOW, named(2))]),
    ((False, {1}), (False, set()), [(BLOCK, named(1))]),
    ((True, {1, 2}), (True, {2, 3}), [(ALLOW, named(1)), (BLOCK, named(3))]),
    ((False, {1}), (True, {2}), [(TO_EX, named(2))]),
    ((True, {1}), (False, {2}), [(TO_IN, named(2))]),
    ((True, {1}), (False, set()), [(TO_IN, named())]),
]


@both
@pytest.mark.parametrize(("before", "after", "records"), CHANGES)
def test_X12_records_of_a_state_change(
    family: Family,
    before: tuple[bool, set[int]],
    after: tuple[bool, set[int]],
    records: list[tuple[int, frozenset[int]]],
) -> None:
    bench = HostBench(family)
    bench.listen(*before)
    bench.to(10.0)
    bench.sent.clear()
    bench.listen(*after)
    assert bench.kinds() == records
    bench.to(20.0)
    assert bench.kinds() == records * 2


@both
def test_X12_what_is_no_change_says_nothing(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(True, [1])
    bench.to(10.0)
    bench.sent.clear()
    bench.listen(True, [1])
    bench.listen(False, [], bench.G2)
    bench.to(20.0)
    assert bench.sent == []


@both
def test_X12_a_leave_within_the_repeats_is_not_lost(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(False, [1, 2])
    bench.listen(False, [1])
    assert bench.kinds() == [(ALLOW, named(1, 2)), (ALLOW, named(1)), (BLOCK, named(2))]
    bench.to(10.0)
    assert bench.kinds()[3:] == [(BLOCK, named(2))]


@both
def test_X12_a_change_of_sources_within_a_change_of_mode_is_said_with_the_mode(family: Family) -> None:
    """TO_EX with the list as it is now until RV of those are out, then the sources that still have reports left."""
    bench = HostBench(family)
    bench.listen(True, [])
    bench.listen(True, [3])
    assert bench.kinds() == [(TO_EX, named()), (TO_EX, named(3))]
    bench.to(10.0)
    assert bench.kinds()[2:] == [(BLOCK, named(3))]


@both
def test_X12_a_change_of_mode_takes_the_place_of_what_was_left(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(False, [1])
    bench.listen(True, [2])
    bench.to(10.0)
    assert bench.kinds() == [(ALLOW, named(1)), (TO_EX, named(2)), (TO_EX, named(2))]


@both
def test_X13_a_general_query_is_answered_with_all_groups(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(True, [1])
    bench.listen(False, [2], bench.G2)
    bench.to(10.0)
    bench.sent.clear()
    assert bench.query() == ""
    assert bench.sent == []
    bench.to(20.0)
    ((time, destination, message),) = bench.sent
    assert isinstance(message, Report)
    assert 10.0 < time <= 20.0
    assert destination == family.all_reports
    assert message.records == (Record(IS_EX, bench.G, (bench.S(1),)), Record(IS_IN, bench.G2, (bench.S(2),)))


@both
@pytest.mark.parametrize(
    ("state", "asked", "answer"),
    [
        ((False, {1, 2}), [], [(IS_IN, named(1, 2))]),
        ((True, {1, 2}), [], [(IS_EX, named(1, 2))]),
        ((False, {1, 2}), [2, 3], [(IS_IN, named(2))]),
        ((False, {1, 2}), [3], []),
        ((True, {1, 2}), [2, 3], [(IS_IN, named(3))]),
        ((True, {1, 2}), [1, 2], []),
    ],
)
def test_X13_answers_to_specific_queries(
    family: Family, state: tuple[bool, set[int]], asked: list[int], answer: list[tuple[int, frozenset[int]]]
) -> None:
    bench = HostBench(family)
    bench.listen(*state)
    bench.to(10.0)
    bench.sent.clear()
    bench.query(bench.G, asked, max_response=1.0)
    bench.to(11.0)
    assert bench.kinds() == answer
    bench.query(bench.G2, max_response=1.0)
    bench.to(20.0)
    assert bench.kinds() == answer


@both
def test_X13_pending_answers_are_combined_and_the_earlier_time_wins(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(True, [])
    bench.to(10.0)
    bench.sent.clear()
    bench.query(bench.G, [1], max_response=10.0)
    bench.query(bench.G, [2], max_response=0.5)
    bench.to(10.5)
    assert bench.kinds() == [(IS_IN, named(1, 2))]
    bench.to(30.0)
    assert len(bench.sent) == 1
    bench.query(bench.G, [1], max_response=10.0)
    bench.query(bench.G, [], max_response=0.5)
    bench.query(bench.G, [5], max_response=0.5)
    bench.to(60.0)
    assert bench.kinds()[1:] == [(IS_EX, named())]


@both
def test_X13_a_general_answer_that_comes_sooner_serves_specific_queries_too(family: Family) -> None:
    answers = []
    for seed in range(20):
        bench = HostBench(family, seed=seed)
        bench.listen(True, [])
        bench.to(10.0)
        bench.sent.clear()
        bench.query(max_response=0.1)
        bench.query(bench.G, max_response=10.0)
        bench.to(30.0)
        assert bench.sent[0][0] <= 10.1
        answers.append(len(bench.sent))
    assert answers.count(1) >= 15, "nearly always the specific one would be due later"


@both
def test_igmp3_maxresp0_an_answer_is_never_given_at_once(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(True, [])
    bench.to(10.0)
    bench.sent.clear()
    bench.query(max_response=0.0)
    assert bench.sent == []
    bench.to(10.2)
    assert len(bench.sent) == 1


@both
def test_X11_long_lists_are_split_or_cut_to_the_mtu(family: Family) -> None:
    most, header = (365, 24) if family is IPV4 else (89, 48)
    for excludes, count in product((False, True), (most, most + 1, 1000)):
        bench = HostBench(family)
        bench.listen(excludes, range(1, count + 1))
        bench.to(10.0)
        half = bench.kinds()[: len(bench.kinds()) // 2]
        told = sorted(number for _, sources in half for number in sources)
        assert told == list(range(1, (min(count, most) if excludes else count) + 1))
        assert max(bench.lengths) + header <= 1500
        assert len(half) == (1 if excludes else -(-count // most))


@both
def test_X11_an_answer_with_many_groups_is_packed(family: Family) -> None:
    bench = HostBench(family)
    groups = [bench.G[:-2] + number.to_bytes(2, "big") for number in range(1, 501)]
    for group in groups:
        bench.listen(True, [], group)
    bench.to(10.0)
    bench.sent.clear()
    bench.lengths.clear()
    bench.query()
    bench.to(20.0)
    header = 24 if family is IPV4 else 48
    assert max(bench.lengths) + header <= 1500
    assert len(bench.kinds()) == 500
    size = 8 if family is IPV4 else 20
    assert len(bench.sent) == -(-500 // ((1500 - header - 8) // size))


@both
def test_X11_groups_that_are_never_reported(family: Family) -> None:
    bench = HostBench(family)
    texts = ["224.0.0.1"] if family is IPV4 else ["ff02::1", "ff01::5", "ff00::5", "ff11::5"]
    for text in texts:
        bench.listen(True, [], parse_address(text))
    bench.to(10.0)
    bench.query()
    bench.to(30.0)
    assert bench.sent == []
    bench.listen(True, [], parse_address("224.0.0.251" if family is IPV4 else "ff02::fb"))
    assert len(bench.sent) == 1


@OLDER
def test_X5_X10_a_general_query_of_an_older_version_changes_ours_at_once(family: Family, version: int) -> None:
    bench = HostBench(family)
    bench.listen(False, [1])
    assert bench.query(version=version) == ""
    assert bench.host.version() == version
    bench.sent.clear()
    bench.to(10.0)
    ((time, destination, message),) = bench.sent
    assert (destination, message) == (bench.G, OldReport(version, bench.G))
    assert time > 0.0, "the repeat of the state change is dropped, the query is answered"


@OLDER
def test_X5_a_specific_query_changes_nothing(family: Family, version: int) -> None:
    bench = HostBench(family)
    bench.listen(True, [])
    bench.query(bench.G, version=version)
    assert bench.host.version() == bench.newest


@OLDER
def test_X5_T31_back_to_the_newest_when_the_older_querier_is_gone(family: Family, version: int) -> None:
    bench = HostBench(family)
    bench.query(version=version, max_response=10.0)
    end = 350.0 if family is IPV4 else 260.0
    bench.to(end - 0.1)
    assert bench.host.version() == version
    bench.to(end)
    assert bench.host.version() == bench.newest
    bench.listen(False, [1])
    assert bench.kinds() == [(ALLOW, named(1))]


def test_X5_version_1_then_2() -> None:
    bench = HostBench(IPV4)
    bench.query(version=1)
    bench.to(100.0)
    bench.query(version=2, max_response=10.0)
    assert bench.host.version() == 1
    bench.to(351.0)
    assert bench.host.version() == 2
    bench.to(451.0)
    assert bench.host.version() == 3


@OLDER
def test_X10_only_coming_and_going_is_said(family: Family, version: int) -> None:
    bench = HostBench(family)
    bench.query(version=version)
    bench.to(20.0)
    bench.listen(False, [1])
    bench.to(30.0)
    bench.listen(False, [1, 2])
    bench.listen(True, [3])
    bench.to(40.0)
    assert [message for _, _, message in bench.sent] == [OldReport(version, bench.G)] * 2
    bench.sent.clear()
    bench.listen(False, [])
    left = [] if (family, version) == (IPV4, 1) else [(40.0, family.all_routers, Leave(bench.G))]
    assert bench.sent == left
    bench.query(version=version)
    bench.to(60.0)
    assert bench.sent == left


@OLDER
def test_X10_another_members_answer_is_enough_in_an_older_version(family: Family, version: int) -> None:
    bench = HostBench(family)
    bench.query(version=version)
    bench.listen(True, [])
    bench.to(20.0)
    bench.sent.clear()
    bench.query(version=version)
    other = CODECS[family].encode(OldReport(version, bench.G))
    bench.host.receive(bench.ROUTER, bench.G, 1, True, other)
    bench.to(40.0)
    assert bench.sent == []


@both
def test_X13_in_the_newest_version_nobody_keeps_quiet(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(True, [])
    bench.to(10.0)
    bench.sent.clear()
    bench.query()
    bench.host.receive(bench.ROUTER, bench.G, 1, True, CODECS[family].encode(OldReport(bench.newest - 1, bench.G)))
    bench.to(20.0)
    assert bench.kinds() == [(IS_EX, named())]


@both
def test_I24_TH6_queries_that_a_host_ignores(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(True, [])
    bench.to(10.0)
    bench.sent.clear()
    alert = "igmp_no_ra" if family is IPV4 else "mld_no_ra"
    assert bench.query(alert=False) == alert
    assert bench.query(destination=bench.G) == "bad_dest"
    assert bench.query(ttl=2) == ("igmp_ttl" if family is IPV4 else "mld_hl")
    if family is IPV6:
        assert bench.query(source=parse_address("2001:db8::1")) == "mld_src"
    bench.host.receive(bench.ROUTER, family.all_hosts, 1, True, b"")
    bench.host.receive(bench.ROUTER, family.all_hosts, 1, True, b"\x11" if family is IPV4 else b"\x82")
    assert bench.counts[-2:] == ["truncated", "truncated"]
    bench.to(60.0)
    assert bench.sent == []
    assert bench.query() == ""
    bench.to(80.0)
    assert len(bench.sent) == 1


def test_I24_a_version_1_query_has_no_router_alert() -> None:
    bench = HostBench(IPV4)
    assert bench.query(version=1, alert=False) == ""
    assert bench.query(version=2, alert=False) == "igmp_no_ra"


@both
def test_X7_on_another_link_everything_is_said_anew(family: Family) -> None:
    bench = HostBench(family)
    bench.listen(True, [1])
    bench.listen(False, [2], bench.G2)
    bench.query(version=bench.newest - 1)
    bench.to(20.0)
    bench.sent.clear()
    bench.host.stop()
    bench.to(30.0)
    assert bench.sent == []
    bench.host.restart()
    assert bench.kinds() == [(TO_EX, named(1)), (ALLOW, named(2))]


STATE = st.tuples(st.booleans(), st.frozensets(st.integers(1, 4), max_size=3))


@both
@settings(max_examples=200)
@given(steps=st.lists(st.tuples(st.sampled_from([0.0, 0.2, 1.5]), STATE), min_size=1, max_size=12), lose=st.data())
def test_X12_a_router_that_misses_single_reports_knows_in_the_end(
    family: Family, steps: list[tuple[float, tuple[bool, frozenset[int]]]], lose: st.DataObject
) -> None:
    """With a robustness of 2, whatever single reports are lost, never two in a row."""
    bench = HostBench(family)
    for wait, (excludes, sources) in steps:
        bench.to(bench.heap.now + wait)
        bench.listen(excludes, sources)
    bench.to(bench.heap.now + 10.0)
    base = int.from_bytes(bench.S(0), "big")
    excludes, listed, lost = False, frozenset[int](), False
    for _, _, message in bench.sent:
        assert isinstance(message, Report)
        lost = not lost and lose.draw(st.booleans())
        for record in () if lost else message.records:
            told = frozenset(int.from_bytes(source, "big") - base for source in record.sources)
            if record.type in (TO_EX, TO_IN):
                excludes, listed = record.type == TO_EX, told
            elif (record.type == ALLOW) != excludes:
                listed |= told
            else:
                listed -= told
    assert (excludes, listed) == steps[-1][1]
