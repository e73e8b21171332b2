"""The record tables against Tables 8 and 9 of RFC 9776 (7 and 8 of RFC 9777), typed here once more in the RFC's own
notation and worked out by set arithmetic: every small state, every record; then long histories by hypothesis.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain, combinations, product
from types import CodeType

import pytest
from gmp_bench import ALLOW, BLOCK, IS_EX, IS_IN, TO_EX, TO_IN, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.wire.family import FAMILIES, Family
from pimpy.wire.record import define, field

TABLES = """
INCLUDE (A)   | IS_IN (B) | INCLUDE (A+B)       | (B)=GMI
INCLUDE (A)   | IS_EX (B) | EXCLUDE (A*B,B-A)   | (B-A)=0; Delete (A-B); Group Timer=GMI
EXCLUDE (X,Y) | IS_IN (A) | EXCLUDE (X+A,Y-A)   | (A)=GMI
EXCLUDE (X,Y) | IS_EX (A) | EXCLUDE (A-Y,Y*A)   | (A-X-Y)=GMI; Delete (X-A); Delete (Y-A); Group Timer=GMI
INCLUDE (A)   | ALLOW (B) | INCLUDE (A+B)       | (B)=GMI
INCLUDE (A)   | BLOCK (B) | INCLUDE (A)         | Send Q(G,A*B)
INCLUDE (A)   | TO_EX (B) | EXCLUDE (A*B,B-A)   | (B-A)=0; Delete (A-B); Send Q(G,A*B); Group Timer=GMI
INCLUDE (A)   | TO_IN (B) | INCLUDE (A+B)       | (B)=GMI; Send Q(G,A-B)
EXCLUDE (X,Y) | ALLOW (A) | EXCLUDE (X+A,Y-A)   | (A)=GMI
EXCLUDE (X,Y) | BLOCK (A) | EXCLUDE (X+(A-Y),Y) | (A-X-Y)=Group Timer; Send Q(G,A-Y)
EXCLUDE (X,Y) | TO_EX (A) | EXCLUDE (A-Y,Y*A)   | (A-X-Y)=Group Timer; Delete (X-A); Delete (Y-A); Send Q(G,A-Y); Group Timer=GMI
EXCLUDE (X,Y) | TO_IN (A) | EXCLUDE (X+A,Y-A)   | (A)=GMI; Send Q(G,X-A); Send Q(G)
"""  # noqa: E501
TYPES = {"IS_IN": IS_IN, "IS_EX": IS_EX, "TO_IN": TO_IN, "TO_EX": TO_EX, "ALLOW": ALLOW, "BLOCK": BLOCK}
ROWS = {}
for line in TABLES.strip().splitlines():
    before, received, after, actions = (part.strip() for part in line.split("|"))
    ROWS[before.split()[0], TYPES[received.split()[0]]] = (before, received, after, actions.split("; "))

OLD_REPORTS = {"report 1": 1, "report 2": 2}
GMI = 270.0
OLDER_HOST = 260.0
LMQT = 2.0
LMQI = 1.0
COUNT = 2


@cache
def compiled(expression: str) -> CodeType:
    """A set expression of the RFC as one of Python's."""
    return compile(expression.replace("+", "|").replace("*", "&"), "the tables", "eval")


def evaluate(expression: str, sets: dict[str, set[int]]) -> set[int]:
    """A set expression of the RFC: + is union, * intersection, - difference."""
    return set(eval(compiled(expression), {}, sets))


@cache
def letters(text: str) -> list[str]:
    """Those in `EXCLUDE (X,Y)`."""
    return re.findall(r"\b[ABXY]\b", text)


def named(text: str, values: tuple[set[int], ...]) -> dict[str, set[int]]:
    """The letters in `EXCLUDE (X,Y)` and what they stand for."""
    return dict(zip(letters(text), values, strict=True))


@define
class Oracle:
    """A group as the tables have it: plain numbers, looked through from end to end each time."""

    querier: bool = True
    mode: str = "INCLUDE"
    group_ends: float = 0.0
    ends: dict[int, float] = field(factory=dict)
    """When the timer of each source ends; 0 for one whose timer is zero."""
    now: float = 0.0
    asked_until: float = 0.0
    older: dict[int, float] = field(factory=dict)
    """When the timer of each older version ends."""

    def sets(self) -> tuple[set[int], set[int]]:
        running = {source for source, end in self.ends.items() if end}
        return running, set(self.ends) - running

    def advance(self, now: float) -> None:
        """Tables 6 and 7, expiry by expiry."""
        while True:
            due = [end for end in [*self.ends.values(), self.group_ends] if end and end <= now]
            if not due:
                break
            self.now = min(due)
            for source, end in list(self.ends.items()):
                if end == self.now:
                    self.ends[source] = 0
            if self.mode == "EXCLUDE" and self.group_ends == self.now:
                self.mode, self.group_ends = "INCLUDE", 0.0
            if self.mode == "INCLUDE":
                self.ends = {source: end for source, end in self.ends.items() if end}
            self.forget()
        self.now = now

    def forget(self) -> None:
        """Without a record there is no version either."""
        if self.mode == "INCLUDE" and not self.ends:
            self.older.clear()

    def hear(self, kind: int | str, listed: set[int], newest: int) -> None:
        """7.3.2, Tables 12 to 14: any message, as the version of the group has it."""
        if kind in OLD_REPORTS:
            self.older[OLD_REPORTS[str(kind)]] = self.now + OLDER_HOST
            kind, listed = IS_EX, set()
        elif kind == "leave":
            kind, listed = TO_IN, set()
        version = min([newest, *(older for older, end in self.older.items() if end > self.now)])
        ignored = {2: (BLOCK,), 1: (BLOCK, TO_IN) if newest == 3 else (BLOCK,), newest: ()}[version]
        if kind not in ignored:
            self.receive(int(kind), set() if kind == TO_EX and version < newest else listed)
        self.forget()

    def receive(self, kind: int, listed: set[int]) -> tuple[set[int], bool]:
        """One record; what Q(G,X) and Q(G) are due for it, at first sending."""
        before, received, after, actions = ROWS[self.mode, kind]
        running, zero = self.sets()
        state = (running, zero) if self.mode == "EXCLUDE" else (running,)
        sets = named(before, state) | named(received.split()[1], (listed,))
        old_group_timer = self.group_ends
        asked: set[int] = set()
        whole = False
        for action in actions:
            if match := re.fullmatch(r"\((.*)\)=(.*)", action):
                end = {"GMI": self.now + GMI, "0": 0.0, "Group Timer": old_group_timer}[match[2]]
                self.ends |= dict.fromkeys(evaluate(match[1], sets), end)
            elif match := re.fullmatch(r"Delete \((.*)\)", action):
                for source in evaluate(match[1], sets):
                    del self.ends[source]
            elif action == "Group Timer=GMI":
                self.group_ends = self.now + GMI
            elif action == "Send Q(G)":
                whole = self.ask_group()
            else:
                match = re.fullmatch(r"Send Q\(G,(.*)\)", action)
                assert match is not None, action
                asked = self.ask(evaluate(match[1], sets))
        self.mode, lists = after.split()[0], re.split(r",", after.split(" ", 1)[1][1:-1])
        expected = [evaluate(part, sets) for part in lists]
        assert set().union(*expected) == set(self.ends)
        if self.mode == "EXCLUDE":
            assert self.sets() == tuple(expected)
        return asked, whole

    def ask(self, sources: set[int]) -> set[int]:
        """6.6.3.2: those with a timer larger than LMQT."""
        if not self.querier:
            return set()
        due = {source for source in sources if self.ends[source] > self.now + LMQT}
        self.ends |= dict.fromkeys(due, self.now + LMQT)
        return due

    def ask_group(self) -> bool:
        """6.6.3.1, but not again while the answer to the last one is awaited."""
        if not self.querier or (self.now < self.asked_until and self.group_ends <= self.asked_until):
            return False
        self.group_ends = min(self.group_ends, self.now + LMQT)
        self.asked_until = self.now + LMQT
        return True


def subsets(numbers: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(chain.from_iterable(combinations(numbers, size) for size in range(len(numbers) + 1)))


def prepare(bench: Bench, oracle: Oracle, mode: str, running: tuple[int, ...], zero: tuple[int, ...]) -> None:
    """Bring both into a state; X and A end at 280 s, the group at 270 s, it is 20 s now."""
    steps = [(0.0, IS_EX, zero)] if mode == "EXCLUDE" else []
    for time, kind, sources in [*steps, (10.0, ALLOW, running)]:
        bench.to(time)
        oracle.advance(time)
        bench.record(kind, sources)
        oracle.receive(kind, set(sources))
    bench.to(20.0)
    oracle.advance(20.0)
    bench.take_sent()
    bench.changes.clear()


def compare(bench: Bench, oracle: Oracle) -> None:
    running, zero = oracle.sets()
    assert bench.lists() == (oracle.mode.lower(), running, zero)
    group_left, sources = bench.timers()
    assert alike(group_left, oracle.group_ends - oracle.now if oracle.mode == "EXCLUDE" else None)
    assert sources.keys() == oracle.ends.keys()
    for source, end in oracle.ends.items():
        assert alike(sources[source], end - oracle.now if end else None)


def alike(left: float | None, expected: float | None) -> bool:
    """Whether two are the same number of seconds, or both none."""
    if left is None or expected is None:
        return left is expected
    return abs(left - expected) < 1e-6


STATES = [("INCLUDE", running, ()) for running in subsets((1, 2, 3))]
for lists in product((0, 1, 2), repeat=3):
    STATES.append(
        (
            "EXCLUDE",
            tuple(number for number, where in enumerate(lists, 1) if where == 1),
            tuple(number for number, where in enumerate(lists, 1) if where == 2),
        )
    )


@pytest.mark.parametrize("querier", [True, False], ids=["querier", "other"])
@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_I5_I6_M3_every_row_on_every_small_state(family: Family, kind: int, querier: bool) -> None:
    for (mode, running, zero), listed in product(STATES, subsets((1, 2, 3, 4))):
        bench, oracle = Bench(family), Oracle(querier=querier)
        if not querier:
            bench.query(bench.LOW, robustness=2, interval=125.0)
        prepare(bench, oracle, mode, running, zero)
        before = bench.status()
        asked, whole = oracle.receive(kind, set(listed))
        bench.record(kind, listed)
        compare(bench, oracle)
        expected = [(20.0, False, set())] * whole + [(20.0, False, asked)] * bool(asked)
        assert bench.asked() == expected
        after = bench.status()
        differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert sorted((group, source or b"") for _, group, source in bench.changes) == sorted(
            (group, source or b"") for group, source in differing
        )


def test_the_tables_above_are_complete() -> None:
    assert len(ROWS) == 12


EVENT = st.tuples(
    st.sampled_from([0.0, 0.3, 1.0, 1.7, 2.0, 30.0, 135.0, 269.0, 270.0]),
    st.sampled_from([*sorted(TYPES.values()), *sorted(TYPES.values()), *OLD_REPORTS, "leave"]),
    st.sets(st.integers(1, 5), max_size=4),
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@settings(max_examples=150)
@given(querier=st.booleans(), events=st.lists(EVENT, max_size=25))
def test_I5_I6_I7_I8_I12_M4_histories(
    family: Family, querier: bool, events: list[tuple[float, int | str, set[int]]]
) -> None:
    bench, oracle = Bench(family), Oracle(querier=querier)
    if not querier:
        bench.query(bench.LOW, robustness=2, interval=125.0)
        bench.m.querier.present_timer.cancel()
    for wait, kind, listed in [*events, (600.0, BLOCK, set())]:
        before = bench.status()
        bench.changes.clear()
        bench.to(bench.now + wait)
        oracle.advance(oracle.now + wait)
        compare(bench, oracle)
        check_changes(bench, before, after := bench.status(), exact=False)
        bench.changes.clear()
        if kind == "leave":
            bench.leave()
        elif kind in OLD_REPORTS:
            kind = kind if OLD_REPORTS[str(kind)] < bench.newest else "report 1"
            bench.old_report(OLD_REPORTS[str(kind)])
        else:
            bench.record(int(kind), listed)
        oracle.hear(kind, listed, bench.newest)
        compare(bench, oracle)
        check_changes(bench, after, bench.status(), exact=True)
    assert not bench.rows()


def check_changes(bench: Bench, before: dict, after: dict, exact: bool) -> None:  # type: ignore[type-arg]
    """`changed` told all that differs; a single record tells each thing once and nothing else."""
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    told = [(group, source) for _, group, source in bench.changes]
    assert set(told) >= differing
    if exact:
        assert set(told) == differing
        assert len(told) == len(differing)
