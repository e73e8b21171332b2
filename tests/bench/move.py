"""A square of routers: the route to the source moves while a stream flows. How long is the receiver without it?"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from lab.topology import Lab
from lab.traffic import Receiver, Sender, ssm_group

from .contest import arguments, compete
from .routers import Contestant, start_all

RATE = 1000


@dataclass(frozen=True)
class Moves:
    """Outages in ms, by sequence numbers; packets lost and doubled in all moves together."""

    kind: str
    family: int
    outages: tuple[float, ...]
    lost: int
    duplicates: int


def measure(kind: str, family: int, moves: int) -> Moves:
    """src - r1 - (r2 | r3) - r4 - h; the route at r4 goes to and fro between r2 and r3."""
    with Lab() as lab:
        source_node, host = lab.host("src"), lab.host("h")
        r1, r2, r3, r4 = (lab.router(f"r{number}") for number in (1, 2, 3, 4))
        first = lab.link(source_node, r1)
        for one, other in ((r1, r2), (r1, r3), (r2, r4), (r3, r4), (r4, host)):
            lab.link(one, other)
        lab.start()
        routers = [Contestant(kind, node, ["h"]) for node in (r1, r2, r3, r4)]
        start_all(routers, family)
        source, group = source_node.port(r1).address(family), ssm_group(family)
        receiver = Receiver(host.port(r4), [(source, group)])
        sender = Sender(source_node.port(r1), [group], rate=RATE)
        receiver.wait_for(RATE, 60)
        outages, lost, duplicates = [], 0, 0
        for number in range(moves):
            receiver.reset()
            r4.route(family, first.prefix(family), (r3, r2)[number % 2].port(r4))
            receiver.wait_for(RATE * 2, 60)
            stream = receiver.stream()
            outages.append(stream.outage * 1000)
            lost, duplicates = lost + stream.lost, duplicates + stream.duplicates
        sender.stop()
        return Moves(kind, family, tuple(outages), lost, duplicates)


def table(runs: list[Moves]) -> str:
    lines = [f"{'':8}{'family':8}{'moves':>6}{'median ms':>11}{'worst ms':>10}{'lost':>7}{'twice':>7}"]
    for run in runs:
        median, worst = statistics.median(run.outages), max(run.outages)
        lines.append(
            f"{run.kind:8}{'IPv' + str(run.family):8}{len(run.outages):6}{median:11.1f}{worst:10.1f}"
            f"{run.lost:7}{run.duplicates:7}"
        )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.move", "The route to the source moves.")
    parser.add_argument("--moves", type=int, default=10)
    options = parser.parse_args(words)
    return compete(
        itertools.product(options.families, options.kinds),
        lambda case: f"{case[1]}, IPv{case[0]}: the route moves {options.moves} times under {RATE} packets/s",
        lambda case: measure(case[1], case[0], options.moves),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
