"""How long a daemon takes from its exec until it answers and until it forwards: `python -m bench.start`.

A source, one router, a host that says all the time what it wants. FRR's zebra runs already: its pimd or pim6d is timed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.frr import DAEMONS, Frr
from lab.pimpyd import QUICK, Pimpyd
from lab.topology import Lab, Node
from lab.traffic import Sender, Watcher, ssm_group

from .contest import arguments

RATE = 1000
REPORTER = Path(__file__).parent / "reporter.py"


@dataclass(frozen=True)
class Start:
    """Seconds from exec to the first answer, and to the first datagram at the host."""

    answers: float
    forwards: float


def start_pimpyd(router: Node) -> tuple[float, float]:
    """When it was started, and how long it took to answer."""
    daemon = Pimpyd(router, QUICK)
    began = time.time()
    daemon.launch()
    return began, daemon.wait_ready(30)


def start_frr(router: Node, family: int) -> tuple[float, float]:
    daemon = Frr(router, ["h"], families=[family])
    daemon.start(only=["zebra"])
    began = time.time()
    daemon.start_daemon(DAEMONS[family])
    return began, time.time() - began


def measure(kind: str, family: int) -> Start:
    with Lab() as lab:
        source, host, router = lab.host("src"), lab.host("h"), lab.router("r1")
        lab.link(source, router)
        lab.link(router, host)
        lab.start()
        group = ssm_group(family)
        address = source.port(router).address(family)
        seen = Watcher(host.port(router), family, [(address, group)])
        Sender(source.port(router), [group], rate=RATE)
        host.start("reporter", sys.executable, str(REPORTER), host.port(router).name, address, group)
        time.sleep(0.5)
        began, answers = start_pimpyd(router) if kind == "pimpy" else start_frr(router, family)
        seen.wait_for(1, 30)
        return Start(answers, seen.stream().first_time - began)


def main(words: Sequence[str] | None = None) -> int:
    parser = arguments("bench.start", "From exec to work, pimpy beside FRR.")
    parser.add_argument("--times", type=int, default=10, help="how often each is started")
    options = parser.parse_args(words)
    head = f"{'answers, median ms':>20}{'least':>8}{'forwards, median ms':>22}{'least':>8}"
    print(f"{'':8}{'family':8}{'times':>6}{head}")
    for family in options.families:
        for kind in options.kinds:
            runs = [measure(kind, family) for _ in range(options.times)]
            answers, forwards = [one.answers * 1000 for one in runs], [one.forwards * 1000 for one in runs]
            print(
                f"{kind:8}{'IPv' + str(family):8}{len(runs):6}{statistics.median(answers):20.0f}{min(answers):8.0f}"
                f"{statistics.median(forwards):22.0f}{min(forwards):8.0f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
