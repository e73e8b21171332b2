"""N SSM groups joined at once through three routers: processor time, memory, and how long until all flow."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.topology import Lab, Node
from lab.traffic import Sender, Watcher, reports, ssm_group

from .contest import arguments, compete
from .measure import Use
from .routers import Contestant, start_all

SETTLE = 3.0
"""Seconds after the last entry stands for which work is still counted: hosts report a second time, for one."""
DATA_RATE = 20000
PATIENCE = 60.0
"""Seconds after which what stands then is all."""
STALLED = 3.0
"""Seconds without progress after which the hosts report again, as they do when they are queried."""


@dataclass(frozen=True)
class Joined:
    """One run. Lists are of r1 (at the source), r2 and r3 (at the receiver)."""

    kind: str
    family: int
    count: int
    reached: int
    """How many came to stand: fewer, if a router cannot be brought to hear all reports."""
    cpu_us: tuple[float, ...]
    """Microseconds of processor time per (S,G)."""
    memory: tuple[float, ...]
    """Growth in bytes per (S,G)."""
    standing: float
    """Seconds from the first report until all three kernels have every entry."""
    flowing: float
    """Seconds from the first report until each stream has arrived, in a run of its own with data from the start."""
    repeated: int
    """How often the hosts had to report again because reports were lost, in both runs."""

    @property
    def busiest(self) -> float:
        return max(self.cpu_us)


@dataclass(frozen=True)
class Reached:
    """How many, the times of begin and end, and how often the hosts had to report again."""

    count: int
    began: float
    ended: float
    repeated: int


class Network:
    """src - r1 - r2 - r3 - h, with the routers up."""

    def __init__(self, lab: Lab, kind: str, family: int) -> None:
        self.family = family
        self.source: Node = lab.host("src")
        nodes = [lab.router(f"r{number}") for number in (1, 2, 3)]
        self.host: Node = lab.host("h")
        for left, right in itertools.pairwise([self.source, *nodes, self.host]):
            lab.link(left, right)
        lab.start()
        self.routers = [Contestant(kind, node, ["h"]) for node in nodes]
        start_all(self.routers, family)

    @property
    def source_address(self) -> str:
        return self.source.port("r1").address(self.family)

    def join(self, count: int) -> float:
        return reports(self.host.port("r3"), self.source_address, ssm_group(self.family), count)

    def standing(self) -> int:
        """How many entries all routers' kernels have."""
        return min(router.entries(self.family) for router in self.routers)

    def join_until(self, count: int, reached: Callable[[], int]) -> Reached:
        """Joins, and waits until `reached` says `count`."""
        began = moved = time.time()
        first, repeated, last = self.join(count), 0, 0
        while (now := reached()) < count:
            if now > last:
                last, moved = now, time.time()
            if time.time() - began > PATIENCE:
                break
            if time.time() - moved > STALLED:
                self.join(count)
                moved, repeated = time.time(), repeated + 1
            time.sleep(0.05)
        return Reached(now, first, time.time(), repeated)


def control_run(kind: str, family: int, count: int) -> tuple[list[Use], Reached]:
    """Without data: what each router used until all entries stood."""
    with Lab() as lab:
        network = Network(lab, kind, family)
        time.sleep(1)
        before = [router.use(family) for router in network.routers]
        reached = network.join_until(count, network.standing)
        time.sleep(SETTLE)
        used = [router.use(family).since(old) for router, old in zip(network.routers, before, strict=True)]
        return used, reached


def data_run(kind: str, family: int, count: int) -> tuple[float, Reached]:
    """With data of all streams from before the joins: the seconds until one packet of each had arrived."""
    with Lab() as lab:
        network = Network(lab, kind, family)
        groups = [ssm_group(family, number + 1) for number in range(count)]
        watcher = Watcher(network.host.port("r3"), family)
        Sender(network.source.port("r1"), groups, rate=DATA_RATE)
        reached = network.join_until(count, watcher.count)
        return max(stream.first_time for stream in watcher.streams().values()) - reached.began, reached


def measure(kind: str, family: int, count: int) -> Joined:
    used, stood = control_run(kind, family, count)
    flowing, flowed = data_run(kind, family, count)
    cpu = tuple(one.cpu / stood.count * 1e6 for one in used)
    memory = tuple(one.memory / stood.count for one in used)
    reached, repeated = min(stood.count, flowed.count), stood.repeated + flowed.repeated
    return Joined(kind, family, count, reached, cpu, memory, stood.ended - stood.began, flowing, repeated)


def table(runs: list[Joined]) -> str:
    head = (
        f"{'':8}{'family':8}{'(S,G)':>8}   {'CPU us per (S,G): r1':>21}{'r2':>8}{'r3':>8}{'busiest':>9}"
        f"   {'KiB per (S,G)':>14}   {'all stand s':>12}   {'all flow s':>11}{'reports again':>15}{'missing':>9}"
    )
    lines = [head]
    for run in runs:
        r1, r2, r3 = run.cpu_us
        missing, memory = run.count - run.reached, max(run.memory) / 1024
        lines.append(
            f"{run.kind:8}{'IPv' + str(run.family):8}{run.count:8}   {r1:21.1f}{r2:8.1f}{r3:8.1f}{run.busiest:9.1f}"
            f"   {memory:14.2f}   {run.standing:12.2f}   {run.flowing:11.2f}{run.repeated:15}{missing:9}"
        )
    return "\n".join(lines)


def growth(runs: list[Joined]) -> list[str]:
    """How the cost of an entry grows with their number, for each contestant."""
    said = []
    for kind, family in dict.fromkeys((run.kind, run.family) for run in runs):
        same = [run for run in runs if (run.kind, run.family) == (kind, family)]
        if len(same) > 1:
            ratio = same[-1].busiest / same[0].busiest
            few, many = same[0].count, same[-1].count
            said.append(f"{kind} IPv{family}: an (S,G) costs {ratio:.2f} times as much at {many} as at {few}")
    return said


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.joins", "SSM joins through three routers.")
    parser.add_argument("--counts", nargs="+", type=int, default=[1000, 10000, 20000], help="(S,G)s to join")
    options = parser.parse_args(words)
    return compete(
        itertools.product(options.families, options.kinds, options.counts),
        lambda case: f"{case[1]}, IPv{case[0]}: {case[2]} joins through three routers",
        lambda case: measure(case[1], case[0], case[2]),
        lambda runs: "\n".join([table(runs), *growth(runs)]),
    )


if __name__ == "__main__":
    sys.exit(main())
