"""The route to the source of N streams moves while all of them flow: `python -m bench.many_moves`.

    src - r1 - (r2 | r3) - r4 - h

Each move touches every entry of the last router: it joins by the other way, leaves the old one, and its kernel takes
data from there. How long after the move is a packet still lost, of whatever stream?
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab.shell import wait_until
from lab.topology import Lab
from lab.traffic import Sender, Watcher, reports, ssm_group

from .contest import arguments, compete
from .measure import Use
from .routers import Contestant, start_all

RATE = 5000
"""Packets a second of all streams together."""
REST = 3.0
"""Seconds between two moves."""


@dataclass(frozen=True)
class Moves:
    """Times in ms after each move; processor time in microseconds for each entry and move, at the last router."""

    kind: str
    family: int
    groups: int
    last_loss: tuple[float, ...]
    lost: int
    cpu_us: float


def measure(kind: str, family: int, groups: int, moves: int) -> Moves:
    """One run of one contestant."""
    with Lab() as lab:
        src, host = lab.host("src"), lab.host("h")
        r1, r2, r3, r4 = nodes = [lab.router(f"r{number}") for number in (1, 2, 3, 4)]
        first = lab.link(src, r1)
        for one, other in ((r1, r2), (r1, r3), (r2, r4), (r3, r4), (r4, host)):
            lab.link(one, other)
        lab.start()
        r4.route(family, first.prefix(family), r2.port(r4))
        routers = [Contestant(kind, node, ["h"]) for node in nodes]
        start_all(routers, family)
        watcher = Watcher(host.port(r4), family)
        reports(host.port(r4), src.port(r1).address(family), ssm_group(family), groups)
        sender = Sender(src.port(r1), [ssm_group(family, number + 1) for number in range(groups)], rate=RATE)
        wait_until(lambda: watcher.count() >= groups, 60, "all streams flow")
        time.sleep(REST)
        used, last_loss, lost = Use(0.0, 0), [], 0
        for number in range(moves):
            watcher.reset()
            time.sleep(1 + groups / RATE)
            before, moved = routers[3].use(family), time.time()
            r4.route(family, first.prefix(family), (r3, r2)[number % 2].port(r4))
            time.sleep(REST + 2 * groups / RATE)
            used = Use(used.cpu + routers[3].use(family).since(before).cpu, 0)
            streams = watcher.streams().values()
            last_loss.append(max(0.0, *((stream.last_lost - moved) * 1000 for stream in streams)))
            lost += sum(stream.lost for stream in streams)
        sender.stop()
        return Moves(kind, family, groups, tuple(last_loss), lost, used.cpu / groups / moves * 1e6)


def table(runs: list[Moves]) -> str:
    words = "last loss, ms: median"
    lines = [f"{'':8}{'family':8}{'streams':>8}{words:>24}{'worst':>8}{'lost':>8}{'CPU us each':>13}"]
    for run in runs:
        median, worst = statistics.median(run.last_loss), max(run.last_loss)
        row = f"{run.kind:8}{'IPv' + str(run.family):8}{run.groups:8}{median:24.0f}{worst:8.0f}"
        lines.append(f"{row}{run.lost:8}{run.cpu_us:13.0f}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.many_moves", "The route of many streams moves.", families=(4,))
    parser.add_argument("--groups", type=int, default=2000)
    parser.add_argument("--moves", type=int, default=6)
    options = parser.parse_args(words)
    return compete(
        itertools.product(options.families, options.kinds),
        lambda case: f"{case[1]}, IPv{case[0]}: {options.groups} streams, {options.moves} moves",
        lambda case: measure(case[1], case[0], options.groups, options.moves),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
