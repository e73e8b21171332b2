"""All hosts of a link answer each General Query at once: what an answer costs, and how long Hellos wait for it."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab.shell import LabError
from lab.topology import Lab
from lab.waves import SUBNET, Hosts, longest_silence

from .contest import arguments, compete
from .routers import Contestant, start_all

HOSTS, EACH = 1000, 10
WAVES = 4
"""The first makes state, the others refresh it."""
SETTLE = 4.0
"""Seconds until the work of the first wave is done."""


@dataclass(frozen=True)
class Waves:
    """One run."""

    kind: str
    family: int
    answers: int
    """Reports of one wave."""
    groups: int
    first_us: float
    """Microseconds of processor time for each report of the first wave."""
    again_us: float
    """The same of the waves after it."""
    memory: float
    """Growth in bytes for each group."""
    hellos: int
    silence: float
    """The longest time between two Hellos, seconds; they are due every second."""
    alive: bool


def measure(kind: str, family: int, hosts: int = HOSTS, each: int = EACH) -> Waves:
    """n - r - edge - h: the waves come from h, and n is pimpy in each run."""
    with Lab() as lab:
        src, n, r, h = lab.host("src"), lab.router("n"), lab.router("r"), lab.host("h")
        lab.link(src, r)
        watched, edge = lab.link(n, r), lab.lan("edge", r, h)
        lab.start()
        r.ip("address", "add", SUBNET, "dev", "edge")
        router = Contestant(kind, r, ["edge"], each_second=True)
        start_all([Contestant("pimpy", n, each_second=True), router], family)
        capture = watched.capture("pim or ip6")
        wave = Hosts(h.port(edge), src.port(r).address(family), hosts, each)
        before = router.use(family)
        first = wave.answer()
        time.sleep(SETTLE)
        once = router.use(family).since(before)
        waves = [first, *(wave.answer() for _ in range(WAVES - 1))]
        try:
            used, alive = router.use(family).since(before), router.entries(family) >= 0
        except (OSError, LabError):
            used, alive = once, False
        count, silence = longest_silence(capture, family, r, first.asked, waves[-1].done)
        return Waves(
            kind,
            family,
            hosts,
            hosts * each,
            once.cpu / hosts * 1e6,
            (used.cpu - once.cpu) / hosts / (WAVES - 1) * 1e6,
            used.memory / hosts / each,
            count,
            silence,
            alive,
        )


def table(runs: list[Waves]) -> str:
    words = ("answers", "groups", "us new", "us again", "bytes/group", "Hellos", "gap s")
    lines = [f"{'':8}{'family':8}" + "".join(f"{word:>12}" for word in words)]
    for run in runs:
        cells = (run.answers, run.groups, f"{run.first_us:.0f}", f"{run.again_us:.0f}", f"{run.memory:.0f}", run.hellos)
        row = "".join(f"{cell:>12}" for cell in (*cells, f"{run.silence:.2f}"))
        lines.append(f"{run.kind:8}{'IPv' + str(run.family):8}{row}{'' if run.alive else '  GONE'}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.wave", "All hosts answer each query within a second, while Hellos are due.")
    options = parser.parse_args(words)
    return compete(
        itertools.product(options.families, options.kinds),
        lambda case: f"{case[1]}, IPv{case[0]}: {HOSTS} hosts answer each query at once",
        lambda case: measure(case[1], case[0]),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
