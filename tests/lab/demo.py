"""The demonstration: three routers in a row, a source, two receivers, IPv4 and IPv6. `make demo` runs it.

--keep leaves the lab standing, --down takes down what --keep left.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from types import FrameType

from . import cleaning
from .drawing import draw_path
from .paths import PIMCTL
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import LabError, wait_until
from .topology import Lab
from .traffic import Receiver, Sender, Watcher, ssm_group

RATE = 1000
MEASURED = 3.0
"""Seconds over which rate and loss are measured."""
LAST_LISTENER = 2.0
"""Last Member Query Time, RFC 3376 8.8: two queries, a second each."""
SLACK = 1.5
SKETCH = """\
    src --- r1 --- r2 --- r3 --- far
                    |
                   near"""


@dataclass
class Family:
    """The stream of one address family and its two receivers."""

    version: int
    source: str
    group: str
    sender: Sender
    near: Receiver
    far: Receiver
    far_link: Watcher
    """What passes on the link to the far receiver, whether it listens or not."""
    core_link: Watcher
    """What r3 gets from r2."""


class Demo:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.failures: list[str] = []
        self.daemons: list[Pimpyd] = []
        self.families: list[Family] = []

    def check(self, good: bool, what: str) -> None:
        print(f"  {'ok  ' if good else 'BAD '} {what}")
        if not good:
            self.failures.append(what)

    def run(self) -> None:
        self.build()
        self.show("neighbors", "Who knows whom (pimctl show neighbors)")
        self.join()
        self.show("mroute", "The tree, as each router has it (pimctl show mroute)")
        self.draw()
        self.measure()
        self.far_leaves()
        self.near_leaves()

    def build(self) -> None:
        lab = self.lab
        title("Three routers in network namespaces, a source, two receivers")
        print(SKETCH + "\n")
        self.src, self.near, self.far = lab.host("src"), lab.host("near"), lab.host("far")
        self.routers = [lab.router(f"r{number}") for number in (1, 2, 3)]
        r1, r2, r3 = self.routers
        for one, other in ((self.src, r1), (r1, r2), (r2, r3), (r2, self.near), (r3, self.far)):
            lab.link(one, other)
        lab.start()
        started = time.monotonic()
        self.daemons = [Pimpyd(router, QUICK).launch() for router in self.routers]
        for daemon in self.daemons:
            print(f"  pimpyd at {daemon.node} answers after {daemon.wait_ready() * 1000:.0f} ms")
        wait_neighbors(self.daemons)
        print(f"  all neighbours are known after {time.monotonic() - started:.1f} s, in IPv4 and IPv6")

    def show(self, what: str, heading: str) -> None:
        title(heading)
        for daemon in self.daemons:
            print(f"{daemon.node}:")
            print("\n".join("  " + line for line in daemon.pimctl("show", what).splitlines()))

    def join(self) -> None:
        title(f"The source sends {RATE} packets/s of each family; both receivers join")
        r1, r2, r3 = self.routers
        for version in (4, 6):
            source, group = self.src.port(r1).address(version), ssm_group(version)
            watchers = Watcher(self.far.port(r3), version), Watcher(r3.port(r2), version)
            sender = Sender(self.src.port(r1), [group], rate=RATE)
            wait_until(lambda sender=sender: sender.sent().sent, 10, "the source sends")  # type: ignore[misc]
            near, far = (
                Receiver(host.port(router), [(source, group)]) for host, router in ((self.near, r2), (self.far, r3))
            )
            self.families.append(Family(version, source, group, sender, near, far, *watchers))
            for name, receiver in (("near", near), ("far", far)):
                wait_until(lambda one=receiver: one.received(), 20, "the stream arrives")  # type: ignore[misc]
                delay = receiver.stream().first_time - receiver.joined_at
                print(f"  IPv{version}: {name} joined ({source}, {group}): first packet after {delay * 1000:.0f} ms")

    def draw(self) -> None:
        title("The path of the stream")
        for family in self.families:
            print(draw_path(self.src, self.daemons, family.source, family.group))

    def measure(self) -> None:
        title(f"Rate and loss at each receiver, over {MEASURED:g} s")
        for family in self.families:
            family.near.reset()
            family.far.reset()
        time.sleep(MEASURED)
        print(f"  {'':6} {'receiver':9} {'packets/s':>10} {'lost':>6} {'twice':>6} {'hops':>5}")
        for family in self.families:
            for name, receiver in (("near", family.near), ("far", family.far)):
                stream = receiver.stream()
                rate = stream.received / max(0.001, stream.last_time - stream.first_time)
                hops = 16 - min(stream.ttls, default=16)
                row = f"{rate:10.0f} {stream.lost:6} {stream.duplicates:6} {hops:5}"
                print(f"  IPv{family.version:<3} {name:9} {row}")
                good = abs(rate - RATE) < RATE / 5 and not stream.lost and not stream.duplicates
                if not good:
                    self.failures.append(f"IPv{family.version}: {name} does not get all, once")

    def far_leaves(self) -> None:
        title("The far receiver leaves")
        for family in self.families:
            left = family.far.leave()
            family.far_link.wait_silent(0.5, 20)
            family.core_link.wait_silent(0.5, 20)
            at_far = family.far_link.stream().last_time - left
            at_core = family.core_link.stream().last_time - left
            bound = LAST_LISTENER + SLACK
            self.check(at_far < bound, f"IPv{family.version}: the stream stops there after {max(0.0, at_far):.1f} s")
            self.check(at_core < bound + 1, f"IPv{family.version}: the link r2-r3 is silent after {at_core:.1f} s")
            before = family.near.received()
            family.near.wait_for(RATE // 2)
            stream = family.near.stream()
            good = not stream.lost and stream.received > before
            self.check(good, f"IPv{family.version}: the near receiver lost {stream.lost} of {stream.received} packets")
        for family in self.families:
            print(draw_path(self.src, self.daemons, family.source, family.group))

    def near_leaves(self) -> None:
        if self.lab.keep:
            return
        title("The near receiver leaves too: nothing is asked for, nothing flows")
        for family in self.families:
            watcher = Watcher(self.routers[1].port("r1"), family.version)
            left = family.near.leave()
            watcher.wait_for(1, 5)
            watcher.wait_silent(0.5, 20)
            silent = watcher.stream().last_time - left
            self.check(silent < LAST_LISTENER + SLACK + 1, f"IPv{family.version}: r1-r2 is silent after {silent:.1f} s")
            family.sender.stop()
        asked = [(str(daemon.node), version) for daemon in self.daemons for version in (4, 6) if daemon.joined(version)]
        self.check(not asked, f"no router asks for anything{': ' + str(asked) if asked else ''}")


def title(text: str) -> None:
    print(f"\n== {text}\n", flush=True)


def explain_keep(demo: Demo) -> None:
    r2 = demo.daemons[1]
    title("The lab stands. Look around:")
    for daemon in demo.daemons:
        print(f"  {PIMCTL} -u {daemon.socket} show neighbors")
    print(f"  ip netns exec {r2.node.namespace} ip mroute show table all")
    print(f"  ip netns exec {demo.far.namespace} bash              # a shell at the far receiver")
    print(f"  less {r2.process.log}")
    print("\nThe source goes on sending, the near receiver listens. `make demo DOWN=1` takes it all down.")


def end_kindly(number: int, frame: FrameType | None) -> None:
    """One ^C or TERM ends the demonstration; further ones do not disturb the tidying up."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def play(keep: bool) -> int:
    lab = Lab(keep=keep)
    demo = Demo(lab)
    try:
        with lab:
            try:
                demo.run()
            except LabError as error:
                demo.failures.append(str(error))
                print(lab.logs(), file=sys.stderr)
            if keep:
                explain_keep(demo)
    except KeyboardInterrupt:
        print("\ndemo: STOPPED, everything is tidied up")
        return 130
    for failure in demo.failures:
        print(f"  failed: {failure}")
    print(f"\ndemo: {'FAILED' if demo.failures else 'OK'}{'' if keep else ', everything is tidied up'}")
    return 1 if demo.failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Three routers forward a stream, in network namespaces.")
    parser.add_argument("--keep", action="store_true", help="leave the lab standing")
    parser.add_argument("--down", action="store_true", help="take down what --keep left")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("demo: FAILED: it needs root, for network namespaces", file=sys.stderr)
        return 77
    if shutil.which("ip") is None:
        print("demo: FAILED: the program ip is missing (package iproute2)", file=sys.stderr)
        return 1
    swept = cleaning.sweep(kept=True)
    if arguments.down:
        print(f"demo: {swept or 'no'} lab{'' if swept == 1 else 's'} taken down")
        return 0
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, end_kindly)
    return play(arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
