"""What a stream costs that a static route makes an entry for, beside Debian's smcroute, by the number of routes.

    src - r - h

r asks for each new stream (an upcall), and its first packet waits in the kernel for the answer. Some streams begin one
by one: what one upcall takes, and how late its packet is. Then many begin at once: what one of many takes.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab.kernel import mfc
from lab.smcroute import Smcroute
from lab.topology import Lab, Node
from lab.traffic import Sender, Watcher

from .contest import compete
from .measure import use

LONE = 500
RATE = 500
"""Streams a second that begin one by one: each finds the daemon asleep."""
BURST = 2000
SETTLED = 8.0
"""Seconds after the start, whose own work is not that of streams; a spare worker is started later."""


@dataclass(frozen=True)
class Upcalls:
    """Processor time for each stream and delays of first packets in microseconds, and memory in bytes."""

    kind: str
    rules: int
    lone: float
    """Processor time for a stream that begins alone."""
    delay: float
    """From the sending of the first packet of such a stream to its arrival, half of them take less."""
    late: float
    """The same, of a hundred 99 take less."""
    burst: float
    """Processor time for a stream of BURST that begin at once."""
    answered: int
    """How many of these got an entry by their first packet."""
    memory: int
    reload: float
    """Seconds of processor time for reading the same file again."""


def routes(count: int) -> str:
    """So many routes, each of a range of 256 groups."""
    lines = (f"mroute from src group 225.{number >> 8}.{number & 255}.0/24 to h\n" for number in range(count))
    return "".join(lines)


def groups(rules: int, first: int, count: int) -> list[str]:
    """Groups of the last routes, each stream another one."""
    found = []
    for number in range(first, first + count):
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
        watcher = Watcher(h.port("r"), 4)
        time.sleep(SETTLED)
        before = use(pids)
        sender = Sender(src.port("r"), groups(rules, 0, LONE), rate=RATE, count=LONE)
        lab.wait(lambda: watcher.count() >= LONE, 60, "the first packet of each stream")
        lone = use(pids).since(before).cpu / LONE
        sender.stop()
        delays = statistics.quantiles((stream.first_delay for stream in watcher.streams().values()), n=100)
        before = use(pids)
        sender = Sender(src.port("r"), groups(rules, LONE, BURST), rate=1e6, count=BURST)
        answered = settled(r) - LONE
        burst = use(pids).since(before).cpu / answered
        sender.stop()
        memory, before = use(pids).memory, use(pids)
        daemon.reconfigure(daemon.text)
        reload = use(pids).since(before).cpu
    lone, delay, late, burst = (value * 1e6 for value in (lone, delays[49], delays[98], burst))
    return Upcalls(kind, rules, lone, delay, late, burst, answered, memory, reload)


def settled(node: Node) -> int:
    """How many entries stand, once there come no more."""
    before, found = -1, 0
    while found != before:
        time.sleep(1.0)
        before, found = found, sum(entry.iif is not None for entry in mfc(node, 4).values())
    return found


def table(runs: list[Upcalls]) -> str:
    """The figures as text."""
    lone, burst = f"{'CPU us':>9}{'delay us':>10}{'99 %':>10}", f"{'CPU us':>10}{'entries':>9}"
    lines = [
        f"{'':18}{'one by one':>29}{f'{BURST} at once':>19}",
        f"{'':10}{'routes':>8}{lone}{burst}{'MB':>8}{'s of CPU a reload':>20}",
    ]
    for run in runs:
        lone = f"{run.lone:>9.0f}{run.delay:>10.0f}{run.late:>10.0f}"
        burst = f"{run.burst:>10.0f}{run.answered:>9}"
        lines.append(f"{run.kind:10}{run.rules:>8}{lone}{burst}{run.memory / 1e6:>8.1f}{run.reload:>20.3f}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.upcalls", description="New streams by static routes.")
    parser.add_argument("--kinds", nargs="+", choices=["pimpy", "smcroute"], default=["pimpy", "smcroute"])
    parser.add_argument("--routes", nargs="+", type=int, default=[10, 1000, 10000])
    options = parser.parse_args(words)
    return compete(
        itertools.product(options.routes, options.kinds),
        lambda case: f"{case[1]}: streams by {case[0]} static routes",
        lambda case: measure(case[1], case[0]),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
