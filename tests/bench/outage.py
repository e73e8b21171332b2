"""How long a receiver is without its stream when the way to the source moves or breaks: `python -m bench.outage`.

A square of routers, as in move.py. The link between the last router and its upstream one is set down, or loses its
carrier; no routing protocol says anything, the kernel takes another route that stands by.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from lab.kernel import forwards
from lab.shell import LabError
from lab.topology import Lab
from lab.traffic import Receiver, Sender, Stream, ssm_group

from . import move
from .contest import arguments
from .routers import Contestant, start_all

RATE = move.RATE
CAUSES = ("route moves", "link down", "carrier lost")
FLOATING = 2000
"""The metric of the route that stands by."""
PATIENCE = 30.0


@dataclass(frozen=True)
class Outages:
    """Of one cause, in ms, by sequence numbers; packets lost and doubled in all of them together."""

    kind: str
    family: int
    cause: str
    outages: tuple[float, ...]
    lost: int
    duplicates: int
    failed: int
    """How often the stream did not come back."""


class Square:
    """src - r1 - (r2 | r3) - r4 - h, the stream flowing over r2."""

    def __init__(self, lab: Lab, kind: str, family: int) -> None:
        self.lab = lab
        self.family = family
        src, host = lab.host("src"), lab.host("h")
        r1, self.r2, r3, self.r4 = nodes = [lab.router(f"r{number}") for number in (1, 2, 3, 4)]
        first = lab.link(src, r1)
        for one, other in ((r1, self.r2), (r1, r3), (self.r2, self.r4), (r3, self.r4), (self.r4, host)):
            lab.link(one, other)
        lab.start()
        for name in ("all", "r2"):
            self.r4.set_sysctls({f"ipv{v}/conf/{name}/ignore_routes_with_linkdown": 1 for v in (4, 6)})
        self.r4.route(family, first.prefix(family), r3.port(self.r4), metric=FLOATING)
        self.routers = [Contestant(kind, node, ["h"]) for node in nodes]
        start_all(self.routers, family)
        self.source, self.group = src.port(r1).address(family), ssm_group(family)
        self.receiver = Receiver(host.port(self.r4), [(self.source, self.group)])
        self.sender = Sender(src.port(r1), [self.group], rate=RATE)
        self.receiver.wait_for(RATE, 60)

    def break_link(self, cause: str) -> Stream:
        """What the receiver counts from before the failure on."""
        self.receiver.reset()
        port = self.r4.port(self.r2)
        if cause == "link down":
            port.set_up(False)
        else:
            port.set_carrier(False)
        self.receiver.wait_for(RATE * 2, PATIENCE)
        return self.receiver.stream()

    def repair(self) -> None:
        for node, other in ((self.r2, self.r4), (self.r4, self.r2)):
            node.port(other).set_up(True)
        self.lab.reroute()
        self.lab.wait(lambda: "r2" not in forwards(self.r4, self.source, self.group), 1)
        self.lab.wait(
            lambda: forwards(self.r2, self.source, self.group), 2 * PATIENCE, "the stream flows over r2 again"
        )
        self.receiver.wait_for(RATE, PATIENCE)


def measure(kind: str, family: int, cause: str, times: int) -> Outages:
    if cause == "route moves":
        moves = move.measure(kind, family, times)
        return Outages(kind, family, cause, moves.outages, moves.lost, moves.duplicates, 0)
    streams: list[Stream] = []
    failed = 0
    with Lab() as lab:
        square = Square(lab, kind, family)
        for _ in range(times):
            try:
                streams.append(square.break_link(cause))
            except LabError:
                failed += 1
            square.repair()
        square.sender.stop()
    outages = tuple(stream.outage * 1000 for stream in streams)
    lost, duplicates = sum(one.lost for one in streams), sum(one.duplicates for one in streams)
    return Outages(kind, family, cause, outages, lost, duplicates, failed)


def table(runs: list[Outages]) -> str:
    head = f"{'cause':14}{'':8}{'family':8}{'times':>6}{'median ms':>11}{'worst ms':>10}"
    lines = [f"{head}{'lost':>7}{'twice':>7}{'never back':>12}"]
    for run in runs:
        figures = (
            f"{statistics.median(run.outages):11.1f}{max(run.outages):10.1f}" if run.outages else f"{'-':>11}{'-':>10}"
        )
        lines.append(
            f"{run.cause:14}{run.kind:8}{'IPv' + str(run.family):8}{len(run.outages) + run.failed:6}{figures}"
            f"{run.lost:7}{run.duplicates:7}{run.failed:12}"
        )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.outage", "Outages of a stream, pimpy beside FRR.")
    parser.add_argument("--causes", nargs="+", choices=CAUSES, default=CAUSES)
    parser.add_argument("--times", type=int, default=10, help="how often each happens")
    options = parser.parse_args(words)
    runs = []
    for cause in options.causes:
        for family in options.families:
            for kind in options.kinds:
                print(f"{kind}, IPv{family}: {cause}, {options.times} times under {RATE} packets/s", flush=True)
                runs.append(measure(kind, family, cause, options.times))
    print("\n" + table(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
