"""What a crash costs: `python -m bench.crash`. N (S,G) stand, the daemon is killed, and comes back at once.

src - r - h. A stream flows to a real member all the time. pimpyd's worker is started again by its keeper; FRR's pimd or
pim6d, and pimd, are started again by this program, at once, as a watchdog would in the best case. In the very moment of
the crash a new stream begins (`answers`), and a host asks for one that flows already (`joins`).
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from lab.frr import DAEMONS, Frr
from lab.pimd import Pimd
from lab.pimpyd import QUICK, Pimpyd
from lab.service import spare, worker
from lab.shell import LabError, wait_until
from lab.topology import Lab, Node
from lab.traffic import Receiver, Sender, reports, ssm_group

from .measure import entries

RATE = 500
PATIENCE = 120.0


@dataclass(frozen=True)
class Crash:
    """Of one crash. Milliseconds; None where a daemon has no such thing."""

    lost: int
    outage: float
    answer: float
    """Until the first stream that nobody had seen before has its answer (an entry) in the kernel."""
    joins: float
    """Until the host has the first packet of the stream that it asked for when the daemon was killed."""
    adoption: float | None


class Router:
    """A daemon that can be killed and comes back."""

    def __init__(self, kind: str, node: Node, family: int) -> None:
        self.kind, self.node, self.family = kind, node, family
        self.pimpyd = Pimpyd(node, QUICK, ["-l", "info"]) if kind == "pimpy" else None
        self.frr = Frr(node, ["h"], families=[family]) if kind == "frr" else None
        self.pimd = Pimd(node) if kind == "pimd" else None
        for daemon in (self.pimpyd, self.frr, self.pimd):
            if daemon is not None:
                daemon.start()

    def kill(self) -> None:
        if self.pimpyd is not None:
            os.kill(worker(self.pimpyd), signal.SIGKILL)
        elif self.frr is not None:
            name = DAEMONS[self.family]
            self.frr.daemons[name].stop(signal.SIGKILL)
            self.frr.start_daemon(name)
        elif self.pimd is not None:
            self.pimd.process.stop(signal.SIGKILL)
            (self.pimd.folder / "pimd.pid").unlink(missing_ok=True)
            self.pimd.start()

    def settle(self) -> None:
        """Let it be as it is most of the time: pimpyd's spare worker is there some seconds after a start."""
        time.sleep(3)
        if self.pimpyd is not None:
            self.pimpyd.wait_for(spare, PATIENCE)

    def adoption(self) -> float | None:
        """What the last worker says of itself."""
        if self.pimpyd is None:
            return None
        name = "ipv4" if self.family == 4 else "ipv6"
        found = re.findall(rf"{name}: \d+ entries of an earlier worker taken over in (\d+) ms", self.pimpyd.log())
        return float(found[-1]) if found else None


def answered(pid: int, family: int, group: str) -> bool:
    """Whether the kernel has an entry that says what to do with a group."""
    packed = ip_address(group).packed
    text = group if family == 6 else f"{int.from_bytes(packed, sys.byteorder):08X}"
    if family == 6:
        text = ":".join(f"{packed[i]:02x}{packed[i + 1]:02x}" for i in range(0, 16, 2))
    path = Path(f"/proc/{pid}/net/{'ip_mr_cache' if family == 4 else 'ip6_mr_cache'}")
    for line in path.read_text().splitlines()[1:]:
        words = line.split()
        if words[0] == text:
            return words[2] not in ("-1", "65535")
    return False


def measure(kind: str, family: int, count: int, times: int) -> list[Crash]:
    with Lab() as lab:
        source, host, router = lab.host("src"), lab.host("h"), lab.router("r")
        lab.link(source, router)
        lab.link(router, host)
        lab.start()
        daemon = Router(kind, router, family)
        address, group = source.port(router).address(family), ssm_group(family, 1)
        receiver = Receiver(host.port(router), [(address, group)])
        Sender(source.port(router), [group], rate=RATE)
        receiver.wait_for(RATE, PATIENCE)
        inside = router.start("sleeper", "sleep", "1000").pid
        if count:
            reports(host.port(router), address, ssm_group(family, 1000), count)
            wait_until(lambda: entries(inside, family) >= count, PATIENCE, f"{count} entries")
        return [crash(daemon, receiver, source, inside, number) for number in range(times)]


def crash(daemon: Router, receiver: Receiver, source: Node, inside: int, number: int) -> Crash:
    there = source.port("r").address(daemon.family), ssm_group(daemon.family, 600000 + number)
    Sender(source.port("r"), [there[1]], rate=200)
    daemon.settle()
    receiver.reset()
    receiver.wait_for(RATE // 2, PATIENCE)
    unknown = ssm_group(daemon.family, 500000 + number)
    began = time.monotonic()
    killed = time.time()
    daemon.kill()
    receiver.join(there)
    Sender(source.port("r"), [unknown], rate=100, count=3000)
    wait_until(lambda: answered(inside, daemon.family, unknown), PATIENCE, "a new stream is answered")
    answer = time.monotonic() - began
    wait_until(lambda: receiver.stream(*there).received, PATIENCE, "the host that asked is served")
    joins = receiver.stream(*there).first_time - killed
    main = there[0], ssm_group(daemon.family, 1)
    wait_until(lambda: receiver.stream(*main).received > RATE, PATIENCE, "the first stream flows on")
    stream = receiver.stream(*main)
    receiver.leave(there)
    return Crash(stream.lost, stream.outage * 1000, answer * 1000, joins * 1000, daemon.adoption())


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.crash", description="What a crash costs, beside FRR and pimd.")
    parser.add_argument("--kinds", nargs="+", choices=["pimpy", "frr", "pimd"], default=["pimpy", "frr", "pimd"])
    parser.add_argument("--families", nargs="+", type=int, choices=[4, 6], default=[4, 6])
    parser.add_argument("--count", type=int, default=10000, help="(S,G)s that stand")
    parser.add_argument("--times", type=int, default=3, help="how often each is killed")
    options = parser.parse_args(words)
    print(
        f"{'':8}{'family':8}{'(S,G)':>7}{'times':>6}{'lost':>7}{'outage ms':>11}{'answers ms':>12}"
        f"{'joins ms':>10}{'adoption ms':>13}"
    )
    for family in options.families:
        for kind in options.kinds:
            if (kind, family) == ("pimd", 6):
                continue
            try:
                runs = measure(kind, family, options.count, options.times)
            except LabError as error:
                print(f"{kind:8}{'IPv' + str(family):8}{options.count:7}  FAILED: {error}", flush=True)
                continue
            adoptions = [run.adoption for run in runs if run.adoption is not None]
            print(
                f"{kind:8}{'IPv' + str(family):8}{options.count:7}{len(runs):6}{sum(run.lost for run in runs):7}"
                f"{max(run.outage for run in runs):11.0f}{statistics.median(run.answer for run in runs):12.0f}"
                f"{statistics.median(run.joins for run in runs):10.0f}"
                + (f"{statistics.median(adoptions):13.0f}" if adoptions else f"{'-':>13}"),
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
