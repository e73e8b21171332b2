"""What a stream costs that a static route makes an entry for, beside Debian's smcroute, by the number of routes."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab.kernel import mfc
from lab.smcroute import Smcroute
from lab.topology import Lab
from lab.traffic import Sender

from .contest import tried
from .measure import use

STREAMS = 500
SETTLED = 8.0
"""Seconds after the start, whose own work is not that of streams; a spare worker is started later."""


@dataclass(frozen=True)
class Upcalls:
    """Processor time for each stream, in microseconds, and memory in bytes."""

    kind: str
    rules: int
    cost: float
    memory: int
    reload: float
    """Seconds of processor time for reading the same file again."""


def routes(count: int) -> str:
    """So many routes, each of a range of 256 groups."""
    lines = (f"mroute from src group 225.{number >> 8}.{number & 255}.0/24 to h\n" for number in range(count))
    return "".join(lines)


def groups(rules: int) -> list[str]:
    """Groups of the last routes, each stream another one."""
    found = []
    for number in range(STREAMS):
        rule = rules - 1 - number % rules
        found.append(f"225.{rule >> 8}.{rule & 255}.{1 + number // rules}")
    return found


def measure(kind: str, rules: int) -> Upcalls:
    """One run, `kind` being `pimpy` or `smcroute`."""
    with Lab() as lab:
        src, r, h = lab.host("src"), lab.router("r"), lab.host("h")
        lab.link(src, r), lab.link(r, h)
        lab.start()
        daemon = Smcroute(r, kind == "pimpy", routes(rules), ("-c", "0")).start()
        pids = [daemon.process.pid]
        time.sleep(SETTLED)
        before = use(pids)
        sender = Sender(src.port("r"), groups(rules), rate=1000, count=STREAMS)
        lab.wait(lambda: len(mfc(r, 4)) >= STREAMS, 60, "an entry of each stream")
        cost = use(pids).since(before).cpu / STREAMS
        sender.stop()
        memory, before = use(pids).memory, use(pids)
        daemon.reconfigure(daemon.text)
        return Upcalls(kind, rules, cost * 1e6, memory, use(pids).since(before).cpu)


def table(runs: list[Upcalls]) -> str:
    """The figures as text."""
    lines = [f"{'':10}{'routes':>8}{'us of CPU a stream':>20}{'MB':>8}{'s of CPU a reload':>20}"]
    for run in runs:
        lines.append(f"{run.kind:10}{run.rules:>8}{run.cost:>20.0f}{run.memory / 1e6:>8.1f}{run.reload:>20.3f}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.upcalls", description="New streams by static routes.")
    parser.add_argument("--kinds", nargs="+", choices=["pimpy", "smcroute"], default=["pimpy", "smcroute"])
    parser.add_argument("--routes", nargs="+", type=int, default=[10, 1000, 10000])
    options = parser.parse_args(words)
    runs = tried(
        itertools.product(options.routes, options.kinds),
        lambda case: f"{case[1]}: {STREAMS} streams by {case[0]} static routes",
        lambda case: measure(case[1], case[0]),
    )
    print("\n" + table(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
