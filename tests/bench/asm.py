"""N any-source groups joined, and then N sources that begin at once: `python -m bench.asm`.

    src - r1 - r2 (the RP) - r3 - h

r1 registers, the RP and the last hop switch to the sources' own trees. Processor time of each router, and how long
until all streams arrive.
"""

from __future__ import annotations

import ipaddress
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab.topology import Lab, Node
from lab.traffic import Sender, Watcher, reports

from .contest import arguments, compete
from .measure import Use
from .routers import Contestant, start_all

DATA_RATE = 1.0
"""Packets a second of each stream."""
SETTLE = 5.0
"""Seconds after the last stream has arrived for which work is still counted."""
STALLED = 3.0
PATIENCE = 90.0
"""Seconds after which what flows then is all."""
FIRST = {4: "239.1.0.1", 6: "ff0e::1:1"}


@dataclass(frozen=True)
class Flows:
    """One run. Lists are of r1, r2 and r3."""

    kind: str
    family: int
    count: int
    reached: int
    cpu_us: tuple[float, ...]
    """Microseconds of processor time per flow."""
    memory: tuple[float, ...]
    """Growth in bytes per flow."""
    flowing: float
    """Seconds from the first packet sent until each stream has arrived."""


def join(host: Node, family: int, count: int) -> None:
    reports(host.port("r3"), None, FIRST[family], count)


def measure(kind: str, family: int, count: int, patience: float = PATIENCE) -> Flows:
    """One run of one contestant."""
    with Lab() as lab:
        source, nodes, host = lab.host("src"), [lab.router(f"r{number}") for number in (1, 2, 3)], lab.host("h")
        for left, right in itertools.pairwise([source, *nodes, host]):
            lab.link(left, right)
        lab.start()
        rp = nodes[1].port("r1").address(family)
        routers = [Contestant(kind, node, ["h", "src"], rp=rp) for node in nodes]
        start_all(routers, family)
        watcher = Watcher(host.port("r3"), family)
        time.sleep(2)
        before = [router.use(family) for router in routers]
        join(host, family, count)
        time.sleep(3 + count / 5000)
        reached, flowing = _flow(watcher, source, host, family, count, patience)
        time.sleep(SETTLE)
        used = [router.use(family).since(old) for router, old in zip(routers, before, strict=True)]
        cpu, memory = _each(used, "cpu", count, 1e6), _each(used, "memory", count)
        return Flows(kind, family, count, reached, cpu, memory, flowing)


def _each(used: list[Use], what: str, count: int, unit: float = 1.0) -> tuple[float, ...]:
    return tuple(getattr(one, what) / count * unit for one in used)


def _flow(watcher: Watcher, source: Node, host: Node, family: int, count: int, patience: float) -> tuple[int, float]:
    """How many streams came to flow, and how long that took. Reports that a router lost are said again."""
    start = ipaddress.ip_address(FIRST[family])
    Sender(source.port("r1"), [str(start + number) for number in range(count)], rate=DATA_RATE * count)
    began = moved = time.time()
    last = 0
    while (now := watcher.count()) < count and time.time() - began < patience:
        if now > last:
            last, moved = now, time.time()
        elif time.time() - moved > STALLED:
            join(host, family, count)
            moved = time.time()
        time.sleep(0.05)
    return now, max((stream.first_time for stream in watcher.streams().values()), default=began) - began


def table(runs: list[Flows]) -> str:
    used = f"{'CPU us a flow: r1':>20}{'r2':>8}{'r3':>8}{'memory':>9}"
    lines = [f"{'':8}{'family':8}{'flows':>8}{'arrive':>8}{used}{'s':>8}"]
    for one in runs:
        cpu = "".join(f"{value:{width}.0f}" for value, width in zip(one.cpu_us, (20, 8, 8), strict=True))
        words = f"{one.kind:8}{'IPv' + str(one.family):8}{one.count:8}{one.reached:8}{cpu}"
        lines.append(f"{words}{max(one.memory):9.0f}{one.flowing:8.1f}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.asm", "Any-source streams that begin at once.")
    parser.add_argument("--counts", nargs="+", type=int, default=[1000, 10000])
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds for all streams to arrive")
    options = parser.parse_args(words)
    return compete(
        itertools.product(options.families, options.counts, options.kinds),
        lambda case: f"{case[2]}, IPv{case[0]}: {case[1]} flows",
        lambda case: measure(case[2], case[0], case[1], options.patience),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
