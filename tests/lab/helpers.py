"""What tests of the daemon beside its peers share: rows of nodes, one stream, and a route as each side tells it."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .frr import Frr
from .kernel import mfc
from .pimpyd import Pimpyd, Row
from .shell import run
from .topology import Lab, Link, Node, Port
from .traffic import Receiver, Sender, ssm_group


def in_a_row(lab: Lab, *names: str) -> list[Node]:
    """Host, routers, host, each linked to the next; the lab is started."""
    first, *between, last = names
    nodes = [lab.host(first), *(lab.router(name) for name in between), lab.host(last)]
    for left, right in itertools.pairwise(nodes):
        lab.link(left, right)
    lab.start()
    return nodes


@dataclass
class Flow:
    """A stream on its way from one host to another."""

    source: str
    group: str
    sender: Sender
    receiver: Receiver

    @property
    def key(self) -> tuple[str, str]:
        return self.source, self.group

    def assert_arrived(self, hops: int, packets: int = 150) -> None:
        """That from now on all arrive once, in order, over so many routers (the lab's senders begin with TTL 16)."""
        self.receiver.reset()
        self.receiver.wait_for(packets)
        stream = self.receiver.stream(*self.key)
        assert (stream.lost, stream.duplicates, stream.reordered) == (0, 0, 0), stream
        assert stream.ttls == (16 - hops,), stream


def start_flow(sending: Port, receiving: Port, family: int, rate: float = 500, number: int = 1) -> Flow:
    """Sends, joins, and waits until the stream has arrived."""
    source, group = sending.address(family), ssm_group(family, number)
    receiver = Receiver(receiving, [(source, group)])
    flow = Flow(source, group, Sender(sending, [group], rate=rate), receiver)
    receiver.wait_for(100, 60)
    return flow


@dataclass(frozen=True)
class Route:
    """An (S,G) entry as a router has it. Interfaces are names."""

    incoming: str
    upstream: str | None
    """The neighbour that is asked for it; None where the source is on the link."""
    outgoing: frozenset[str]


def our_route(daemon: Pimpyd, source: str, group: str) -> Route | None:
    """What pimpyd says, None if it has no such entry."""
    entry = daemon.entry(source, group)
    if entry is None or entry["upstream_state"] != "joined":
        return None
    return Route(entry["incoming_interface"], entry["rpf_neighbor"], daemon.outgoing(source, group))


def frr_route(frr: Frr, source: str, group: str) -> Route | None:
    """What FRR says, None if it has no such entry, or has not joined it."""
    family = 6 if ":" in group else 4
    whats = ("pim upstream", "pim rpf", "mroute")
    upstream, rpf, entry = (frr.show(family, what).get(group, {}).get(source) for what in whats)
    if upstream is None or upstream["joinState"] != "Joined" or rpf is None or entry is None:
        return None
    neighbor = rpf["rpfAddress"] if rpf["rpfAddress"] not in ("0.0.0.0", "::", source) else None
    return Route(entry["iif"], neighbor, frozenset(entry.get("oil", ())))


def wait_gone(flow: Flow, *routers: Pimpyd | Frr) -> None:
    """Until none of these routers has the stream's entry any more."""

    def gone(router: Pimpyd | Frr) -> bool:
        return (our_route(router, *flow.key) if isinstance(router, Pimpyd) else frr_route(router, *flow.key)) is None

    for router in routers:
        router.node.lab.wait(partial(gone, router), 30, f"{flow.key} ends at {router.node}")


def kernel_forwards(node: Node, source: str, group: str) -> tuple[str | None, Set[str]]:
    """The incoming and the outgoing interfaces of the kernel's entry; (None, empty) if there is none."""
    entry = mfc(node, 6 if ":" in group else 4).get((source, group))
    return (None, frozenset()) if entry is None else (entry.iif, entry.oifs)


def interface_row(daemon: Pimpyd, family: int, name: str) -> Row:
    """The row of `show interfaces`; empty if there is none."""
    rows = [row for row in daemon.show("interfaces", family) if row["interface"] == name]
    return rows[0] if rows else {}


def is_up(daemon: Pimpyd, family: int, name: str) -> bool:
    return bool(interface_row(daemon, family, name).get("oper_status") == "up")


def querier(daemon: Pimpyd, family: int, name: str) -> str | None:
    """Whom pimpyd takes for the querier on an interface."""
    rows: list[Row] = daemon.show("igmp interfaces" if family == 4 else "mld interfaces", family)
    return next((row["querier"] for row in rows if row["interface"] == name), None)


def reconfigure(daemon: Pimpyd, text: str) -> None:
    """Writes the file anew and has it read."""
    daemon.config.write_text(text)
    daemon.ask("reload")


def eventually(daemon: Pimpyd, look: Callable[[], object], what: str, timeout: float = 30) -> None:
    """Until `look()` is true, as long as the daemon lives."""
    daemon.wait_for(lambda _: look(), timeout, what)


@dataclass(frozen=True)
class Ended:
    """What became of a program that was run to its end."""

    code: int
    out: str
    said: str
    """Its complaints."""
    seconds: float


def run_to_end(node: Node, *argv: str | Path, text_in: str = "", env: dict[str, str] | None = None) -> Ended:
    """Runs a program at a node, whatever its exit code."""
    words = [*(f"{name}={value}" for name, value in (env or {}).items()), *map(str, argv)]
    started = time.monotonic()
    done = subprocess.run(node.inside(["env", *words]), input=text_in, capture_output=True, text=True, timeout=30)
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


FOOTPRINT = """
cd /proc/sys/net; grep -rs . ipv4 ipv6 || :
cat /proc/net/ip_mr_vif /proc/net/ip6_mr_vif /proc/net/ip_mr_cache /proc/net/ip6_mr_cache
for family in 4 6; do ip -$family mroute show table all; ip -$family rule; ip -$family maddr; done
ip -d link | grep -o '[^ ]*: <[^>]*>\\|promiscuity [0-9]*\\|allmulti [0-9]*'
"""


def footprint(node: Node) -> list[str]:
    """All that a multicast router can change at its host: sysctls, tables of both families, groups, flags of links."""
    return node.run("sh", "-ec", FOOTPRINT).splitlines()


def plug(link: Link, index: int = 0) -> Link:
    """Makes a link between two nodes while the lab stands; its routes are for `Lab.reroute`.

    `index` is that of the interface at the first node, if it matters.
    """
    (one, other) = link.ports.values()
    half = "name {0.name} address {0.mac} netns {0.node.namespace}".format
    number = ["index", str(index)] if index else []
    run(["ip", "link", "add", *half(one).split(), *number, "type", "veth", "peer", *half(other).split()])
    for port in (one, other):
        lines = [f"link set dev {port.name} up", f"address add {port.ipv4}/24 dev {port.name}"]
        lines += [f"address add {address}/64 dev {port.name} nodad" for address in (port.ipv6, port.link_local)]
        run(["ip", "-n", port.node.namespace, "-batch", "-"], text_in="\n".join(lines) + "\n")
    return link


def unplug(link: Link) -> None:
    """Removes the interfaces at both ends."""
    port = next(iter(link.ports.values()))
    port.node.ip("link", "delete", port.name)
