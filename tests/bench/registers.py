"""Registers at the first hop, beside FRR and beside a bare loop in C: `python -m bench.registers`.

Processor time per packet, and packets delivered.

    src - r1 - rp

r1 is the DR of the source's link, and `rp` a host that counts what protocol 103 brings it and answers nothing, so
that r1 goes on registering for as long as the source sends. The bare loop (registers.c) does recvmmsg and sendmmsg
and nothing else: what it needs, nobody can do without who takes the packets by that way.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.frr import Frr
from lab.pimpyd import QUICK, Pimpyd
from lab.shell import LabError, run, wait_until
from lab.topology import Lab, Node, Port
from lab.traffic import Sender

from .contest import compete
from .measure import use
from .routers import rp_of_frr

SIZE = 1400
"""Bytes of a packet, its IP header included."""
GROUPS = {4: "239.1.1.1", 6: "ff0e::1234"}
SOURCE_CODE = Path(__file__).with_suffix(".c")
COUNTER = """table inet bench {{
  counter registers {{}}
  chain in {{ type filter hook prerouting priority -300; {match} counter name registers drop; }}
}}"""
MATCH = {4: "ip protocol 103", 6: "ip6 nexthdr 103"}


@dataclass(frozen=True)
class Registered:
    """One run."""

    kind: str
    family: int
    rate: int
    sent: int
    delivered: int
    cpu_us: float
    """Microseconds of processor time per packet sent, of the whole daemon."""


class Tool:
    """registers.c, compiled."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "registers"
        run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", str(self.path), str(SOURCE_CODE)])

    def send(self, port: Port, family: int, rate: int, count: int) -> tuple[int, float]:
        """Send so many packets; how many they were, and the seconds it took."""
        words = ["send", str(family), port.name, port.address(family), GROUPS[family], str(rate), str(count), str(SIZE)]
        sent, seconds = port.node.run(str(self.path), *words, timeout=300).split()
        return int(sent), float(seconds)


def delivered(node: Node) -> int:
    """Registers that have arrived."""
    found = json.loads(node.run("nft", "-j", "list", "counter", "inet", "bench", "registers"))
    return int(next(row["counter"]["packets"] for row in found["nftables"] if "counter" in row))


@contextlib.contextmanager
def contestant(kind: str, family: int, tool: Tool, r1: Node, rp: str) -> Iterator[list[int]]:
    """The first hop at work; the processes that do it."""
    if kind == "bare":
        port, source = r1.port("src"), r1.port("src").link
        (sender,) = (other for node, other in source.ports.items() if node is not r1)
        words = [port.name, sender.address(family), GROUPS[family], r1.port("rp").address(family), rp]
        process = r1.start("bare", str(tool.path), "bare", str(family), *words)
        wait_until(lambda: "ready" in process.output(), 10, "the bare loop runs", process.check_alive)
        yield [process.pid]
    elif kind == "pimpy":
        yield Pimpyd(r1, QUICK + f"rp-address {rp}\n").start().pids()
    else:
        frr = Frr(r1, ["src"], [family], settings=rp_of_frr(rp))
        yield frr.start().pids()


def measure(kind: str, family: int, rate: int, seconds: float = 10.0) -> Registered:
    """One run of one contestant."""
    with Lab() as lab:
        src, r1, rp = lab.host("src"), lab.router("r1"), lab.host("rp")
        lab.link(src, r1), lab.link(r1, rp)
        lab.start()
        rp.run("nft", COUNTER.format(match=MATCH[family]))
        tool = Tool(lab.claim.folder)
        with contestant(kind, family, tool, r1, rp.port("r1").address(family)) as pids:
            _warm_up(src.port("r1"), rp, family)
            time.sleep(1)
            before, arrived = use(pids), delivered(rp)
            sent, _ = tool.send(src.port("r1"), family, rate, int(rate * seconds))
            time.sleep(0.5)
            cpu, count = use(pids).since(before).cpu, delivered(rp) - arrived
        return Registered(kind, family, rate, sent, count, cpu / sent * 1e6)


def _warm_up(port: Port, rp: Node, family: int) -> None:
    """Until Registers arrive: neighbours, routes and entries stand. FRR takes its time to be the DR."""
    sender = Sender(port, [GROUPS[family]], rate=100)
    try:
        wait_until(lambda: delivered(rp) > 50, 60, "Registers arrive")
    except LabError:
        raise LabError("no Registers arrive") from None
    finally:
        sender.stop()


def table(runs: list[Registered]) -> str:
    head = f"{'packets/s':>10}{'sent':>10}{'delivered':>11}{'lost %':>9}{'CPU us/packet':>15}{'of bare':>9}"
    lines = [f"{'':8}{'family':8}{head}"]
    bare = {(one.family, one.rate): one.cpu_us for one in runs if one.kind == "bare"}
    for one in runs:
        limit = bare.get((one.family, one.rate))
        ratio = f"{one.cpu_us / limit:9.2f}" if limit else f"{'-':>9}"
        lost = 100 * (1 - one.delivered / one.sent)
        figures = f"{one.rate:10}{one.sent:10}{one.delivered:11}{lost:9.3f}{one.cpu_us:15.2f}{ratio}"
        lines.append(f"{one.kind:8}{'IPv' + str(one.family):8}{figures}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.registers", description="Registers of one stream at the first hop.")
    parser.add_argument("--kinds", nargs="+", choices=["bare", "pimpy", "frr"], default=["bare", "pimpy", "frr"])
    parser.add_argument("--families", nargs="+", type=int, choices=[4, 6], default=[4, 6])
    parser.add_argument("--rates", nargs="+", type=int, default=[50_000, 75_000], help="packets a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    options = parser.parse_args(words)
    return compete(
        itertools.product(options.families, options.rates, options.kinds),
        lambda case: f"{case[2]}, IPv{case[0]}: {case[1]} packets/s of {SIZE} bytes",
        lambda case: measure(case[2], case[0], case[1], options.seconds),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
