"""Multicast Router Discovery (RFC 4286): advertisements, solicitations, terminations."""

from __future__ import annotations

from itertools import pairwise

import pytest
from gmp_bench import Bench

from pimpy.core.gmp import GmpSettings
from pimpy.wire.checksum import is_sound
from pimpy.wire.family import FAMILIES, IPV4, Family, parse_address
from pimpy.wire.membership import Solicitation

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
ON = GmpSettings(mrdisc=True)
SNOOPERS = {4: parse_address("224.0.0.106"), 16: parse_address("ff02::6a")}
TYPES = {4: (0x30, 0x32), 16: (151, 153)}
"""Advertisement and termination."""


@both
def test_RFC4286_off_by_default(family: Family) -> None:
    bench = Bench(family, start=False)
    bench.m.start(bench.US)
    bench.to(1000.0)
    bench.receive(Solicitation(), bench.HOST, family.all_routers)
    bench.to(1010.0)
    bench.m.stop()
    assert bench.discovery == []


@both
def test_RFC4286_3_advertisements(family: Family) -> None:
    bench = Bench(family, ON, start=False)
    bench.m.start(bench.US)
    bench.to(200.0)
    times = [time for time, _, _ in bench.discovery]
    gaps = [after - before for before, after in pairwise(times)]
    assert 0 < times[0] <= 2.0, "not at once with all others that start after a power failure"
    assert all(0 < gap <= 2.0 for gap in gaps[:2]) and len({times[0], *gaps[:2]}) == 3
    assert all(19.5 <= gap <= 20.5 for gap in gaps[2:])
    assert len(gaps) >= 10 and len(set(gaps)) == len(gaps), "each interval is varied anew"
    for _, destination, data in bench.discovery:
        assert destination == SNOOPERS[family.size]
        assert (data[0], data[1], data[4:]) == (TYPES[family.size][0], 20, bytes((0, 125, 0, 2)))
        assert family is not IPV4 or is_sound(data)


@both
def test_RFC4286_3_advertisements_tell_the_queriers_values(family: Family) -> None:
    bench = Bench(family, ON)
    bench.query(bench.LOW, robustness=3, interval=60.0)
    bench.discovery.clear()
    bench.to(30.0)
    assert bench.discovery, "at its own time"
    assert bench.discovery[-1][2][4:] == bytes((0, 60, 0, 3))


@both
def test_RFC4286_4_a_solicitation_is_answered_soon(family: Family) -> None:
    bench = Bench(family, ON)
    bench.to(10.0)
    bench.discovery.clear()
    assert bench.receive(Solicitation(), bench.HOST, family.all_routers) == ""
    assert bench.discovery == []
    bench.to(12.0)
    ((answered, _, _),) = bench.discovery
    bench.to(45.0)
    assert 19.5 <= bench.discovery[1][0] - answered <= 20.5, "the interval begins anew with the answer"


@both
def test_RFC4286_3_4_solicitations_while_an_answer_is_pending_are_ignored(family: Family) -> None:
    """A flood of them is answered as one, and no sooner."""
    answers = []
    for flood in (1, 500):
        bench = Bench(family, ON)
        bench.to(10.0)
        bench.discovery.clear()
        for _ in range(flood):
            bench.receive(Solicitation(), bench.HOST, family.all_routers)
        bench.to(12.0)
        answers.append([time for time, _, _ in bench.discovery])
    assert len(answers[0]) == 1 and answers[0] == answers[1]


@both
def test_RFC4286_3_4_other_values_of_the_querier_send_nothing_by_themselves(family: Family) -> None:
    bench = Bench(family, ON)
    bench.to(10.0)
    bench.discovery.clear()
    changed = GmpSettings(mrdisc=True, query_interval=60.0, robustness=3)
    bench.m.reconfigure(changed)
    assert bench.discovery == []
    bench.to(30.0)
    assert [data[4:] for _, _, data in bench.discovery] == [bytes((0, 60, 0, 3))]


@both
def test_RFC4286_4_a_solicitation_to_somewhere_else_is_not_for_us(family: Family) -> None:
    bench = Bench(family, ON)
    bench.to(10.0)
    bench.discovery.clear()
    assert bench.receive(Solicitation(), bench.HOST, bench.G) == "bad_dest"
    bench.to(12.0)
    assert bench.discovery == []


@both
def test_RFC4286_5_termination(family: Family) -> None:
    bench = Bench(family, ON)
    bench.m.reconfigure(GmpSettings())
    ((_, destination, data),) = bench.discovery
    assert (destination, data[0], len(data)) == (SNOOPERS[family.size], TYPES[family.size][1], 4)
    bench.m.reconfigure(ON)
    bench.discovery.clear()
    bench.m.stop()
    assert [data[0] for _, _, data in bench.discovery] == [TYPES[family.size][1]]
