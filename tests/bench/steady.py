"""N channels joined through three routers, and then nothing but refreshes: `python -m bench.steady`.

    src - r1 - r2 - r3 - h

Hosts answer a General Query every 125 s, and each router joins again every 60 s: processor time of each over two
minutes, in hundredths of a core.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab.topology import Lab

from .contest import arguments, compete
from .joins import Network

PERIOD = 120.0
"""Seconds: each entry is refreshed twice."""
CALM = 15.0
"""Seconds after the last entry stands until the work of the joins is over."""


@dataclass(frozen=True)
class Steady:
    """One run. The list is of r1 (at the source), r2 and r3 (at the receiver)."""

    kind: str
    family: int
    count: int
    stayed: int
    """Entries that stand at the end."""
    percent: tuple[float, ...]
    """Of one core."""


def measure(kind: str, family: int, count: int) -> Steady:
    """One run of one contestant."""
    with Lab() as lab:
        network = Network(lab, kind, family)
        network.join_until(count, network.standing)
        time.sleep(CALM)
        began, before = time.monotonic(), [router.use(family) for router in network.routers]
        time.sleep(PERIOD)
        used = [router.use(family).since(old) for router, old in zip(network.routers, before, strict=True)]
        seconds = time.monotonic() - began
        return Steady(kind, family, count, network.standing(), tuple(100 * one.cpu / seconds for one in used))


def table(runs: list[Steady]) -> str:
    lines = [f"{'':8}{'family':8}{'(S,G)':>8}{'stayed':>8}{'% of a core: r1':>18}{'r2':>8}{'r3':>8}"]
    for run in runs:
        cells = "".join(f"{value:{width}.2f}" for value, width in zip(run.percent, (18, 8, 8), strict=True))
        lines.append(f"{run.kind:8}{'IPv' + str(run.family):8}{run.count:8}{run.stayed:8}{cells}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.steady", "Channels that stand, refreshed.", families=(4,))
    parser.add_argument("--counts", nargs="+", type=int, default=[10000])
    options = parser.parse_args(words)
    return compete(
        itertools.product(options.families, options.counts, options.kinds),
        lambda case: f"{case[2]}, IPv{case[0]}: {case[1]} channels",
        lambda case: measure(case[2], case[0], case[1]),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
