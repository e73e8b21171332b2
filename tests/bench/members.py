"""Hosts' reports at a first hop: many groups, and many sources of one group. Processor time and memory."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab.shell import LabError
from lab.topology import Lab
from lab.traffic import reports, ssm_group

from .contest import arguments, compete
from .measure import Use
from .routers import Contestant, start_all

SETTLE = 4.0
"""Seconds after the last report in which work is still counted."""
TIMES = 3
"""How often each report is sent: the first makes state, the others refresh it."""


@dataclass(frozen=True)
class Members:
    """One run: `what` is `groups` or `sources`."""

    kind: str
    family: int
    what: str
    count: int
    cpu_us: float
    """Microseconds of processor time for each record of each report."""
    memory: float
    """Growth in bytes for each group or source."""
    alive: bool
    """Whether the router was still there at the end."""


def measure(kind: str, family: int, what: str, count: int) -> Members:
    with Lab() as lab:
        src, r, h = lab.host("src"), lab.router("r"), lab.host("h")
        lab.link(src, r)
        lab.link(r, h)
        lab.start()
        router = Contestant(kind, r, ["h"])
        start_all([router], family)
        time.sleep(1)
        before = router.use(family)
        one = what == "sources"
        reports(h.port(r), src.port(r).address(family), ssm_group(family), count, times=TIMES, of_one_group=one)
        time.sleep(TIMES + count / 20_000 * TIMES + SETTLE)
        try:
            used, alive = router.use(family).since(before), bool(router.entries(family) >= 0)
        except (OSError, LabError):
            used, alive = Use(0.0, 0), False
        return Members(kind, family, what, count, used.cpu / count / TIMES * 1e6, used.memory / count, alive)


def table(runs: list[Members]) -> str:
    head = f"{'':8}{'family':8}{'':>9}{'count':>8}{'CPU us a record':>17}{'bytes each':>12}  at the end"
    return "\n".join(
        [head]
        + [
            f"{run.kind:8}{'IPv' + str(run.family):8}{run.what:>9}{run.count:8}{run.cpu_us:17.1f}{run.memory:12.0f}"
            f"  {'there' if run.alive else 'GONE'}"
            for run in runs
        ]
    )


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.members", "Reports of hosts at one router.")
    parser.add_argument("--groups", type=int, default=10000, help="groups that a host reports")
    parser.add_argument("--sources", type=int, default=5000, help="sources of one group that a host reports")
    options = parser.parse_args(words)
    counts = {"groups": options.groups, "sources": options.sources}
    return compete(
        itertools.product(options.families, options.kinds, counts),
        lambda case: f"{case[1]}, IPv{case[0]}: reports of {counts[case[2]]} {case[2]}",
        lambda case: measure(case[1], case[0], case[2], counts[case[2]]),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
