"""Nodes in network namespaces, the links between them, their addresses and routes.

    with Lab() as lab:
        source, r1, r2, host = lab.host("src"), lab.router("r1"), lab.router("r2"), lab.host("h")
        lab.link(source, r1), lab.link(r1, r2), lab.link(r2, host)      # veth pairs
        lab.lan("lan", r1, r2)                                          # a bridge
        lab.start()                                                     # makes it all, with shortest-path routes

The n-th link is 10.0.n.0/24 and fd00:0:0:n::/64, the k-th node has .k and ::k on it and the link-local address
fe80::n:k; so addresses read off the drawing, and a later node wins where the highest address does. The interface
of r1 towards r2 is called `r2` (at r1), and the one towards a LAN has the LAN's name.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import cleaning
from .namespace import inside, read_sysctl, write_sysctls
from .routing import shortest_paths
from .shell import LabError, Process, run, wait_until

if TYPE_CHECKING:
    from .capture import Capture

SYSCTLS = {
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/all/accept_ra": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv6/conf/default/dad_transmits": 0,
    "ipv6/conf/default/addr_gen_mode": 1,
    "ipv6/conf/default/router_solicitations": 0,
    "ipv4/igmp_max_memberships": 100000,
    "ipv4/igmp_max_msf": 4096,
    "ipv6/mld_max_msf": 4096,
    "ipv4/icmp_ratelimit": 0,
}
FORWARDING = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv6/conf/default/forwarding": 1}


class Port:
    """An interface of a node: one end of a link, or a LAN's connection."""

    def __init__(self, node: Node, link: Link, name: str) -> None:
        self.node = node
        self.link = link
        self.name = name
        n, k = link.number, node.number
        self.mac = f"02:00:00:00:{n:02x}:{k:02x}"
        self.ipv4 = f"10.0.{n}.{k}"
        self.ipv6 = f"fd00:0:0:{n:x}::{k:x}"
        self.link_local = f"fe80::{n:x}:{k:x}"

    def __repr__(self) -> str:
        return f"{self.node.name}:{self.name}"

    def address(self, family: int) -> str:
        """The global address of family 4 or 6."""
        return self.ipv4 if family == 4 else self.ipv6

    def pim_address(self, family: int) -> str:
        """The address that PIM, IGMP and MLD speak from: the link-local one in IPv6."""
        return self.ipv4 if family == 4 else self.link_local

    def set_up(self, up: bool) -> None:
        """Administratively, at this node: the other end of a veth pair loses its carrier too."""
        self.node.ip("link", "set", "dev", self.name, "up" if up else "down")
        if up:
            self.restore_addresses()

    def restore_addresses(self) -> None:
        """Linux takes the IPv6 addresses, and the routes of both families, away from a link that goes down."""
        for address in (f"{self.ipv6}/64", f"{self.link_local}/64"):
            self.node.ip("address", "replace", address, "dev", self.name, "nodad")

    def set_carrier(self, up: bool) -> None:
        """Carrier off or on, as if the cable were pulled: what is behind the link is untouched."""
        self.link.set_carrier(self, up)


class Link:
    """A veth pair between two nodes, or a LAN: a bridge in a namespace of its own."""

    def __init__(self, number: int, name: str, nodes: Sequence[Node], lan: bool, cost: int) -> None:
        self.number = number
        self.name = name
        self.lan = lan
        self.cost = cost
        self.up = True
        self.namespace: str | None = None
        self.ports: dict[Node, Port] = {}
        for node in nodes:
            others = [other.name for other in nodes if other is not node]
            port = Port(node, self, name if lan else others[0])
            if port.name in node.ports:
                port.name += str(number)
            self.ports[node] = node.ports[port.name] = port

    def prefix(self, family: int) -> str:
        return f"10.0.{self.number}.0/24" if family == 4 else f"fd00:0:0:{self.number:x}::/64"

    def set_up(self, up: bool) -> None:
        """Every end of it. `Lab.reroute` then knows."""
        self.up = up
        for port in self.ports.values():
            port.set_up(up)

    def set_carrier(self, port: Port, up: bool) -> None:
        state = "up" if up else "down"
        if self.lan:
            run(["ip", "-n", str(self.namespace), "link", "set", "dev", port.node.name, state])
        else:
            (other,) = (at for at in self.ports.values() if at is not port)
            other.set_up(up)

    def capture(self, what: str | None = None) -> Capture:
        """Starts to write down what passes here (tcpdump's words; None: PIM, IGMP and ICMPv6). See capture.py."""
        from .capture import capture_link

        return capture_link(self, what)


class Node:
    """A host or a router: a network namespace and what runs in it."""

    def __init__(self, lab: Lab, number: int, name: str, forwards: bool) -> None:
        self.lab = lab
        self.number = number
        self.name = name
        self.forwards = forwards
        self.namespace = lab.claim.namespace(name)
        self.ports: dict[str, Port] = {}

    def __repr__(self) -> str:
        return self.name

    def port(self, towards: Node | Link | str) -> Port:
        """Its interface towards a node, on a link, or of that name."""
        if isinstance(towards, Link):
            return towards.ports[self]
        return self.ports[towards if isinstance(towards, str) else towards.name]

    @property
    def folder(self) -> Path:
        """For what this node writes: logs, sockets, captures."""
        folder = self.lab.claim.folder / self.name
        folder.mkdir(exist_ok=True)
        return folder

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` in this node."""
        return ["ip", "netns", "exec", self.namespace, *argv]

    def run(self, *argv: str, check: bool = True, timeout: float = 60) -> str:
        """Runs a program here and gives what it prints."""
        return run(self.inside(argv), check=check, timeout=timeout)

    def start(self, name: str, *argv: str, pipe: bool = False) -> Process:
        """Starts a program here, to be ended with the lab at the latest."""
        return self.lab.start_process(f"{self.name}.{name}", self.inside(argv), self.folder / f"{name}.log", pipe)

    def start_tool(self, name: str, tool: str) -> Process:
        """Starts a script of tools/ here, in the same way; its input and output are pipes."""
        return self.lab.start_tool(f"{self.name}.{name}", tool, self.namespace, self.folder / f"{name}.log")

    def ip(self, *words: str, check: bool = True) -> str:
        """The command ip, for this node: node.ip("route", "replace", ...)."""
        return run(["ip", "-n", self.namespace, *words], check=check)

    def ip_json(self, *words: str) -> list[dict[str, Any]]:
        """The same, its answer decoded."""
        answer: list[dict[str, Any]] = json.loads(run(["ip", "-n", self.namespace, "-j", *words]) or "[]")
        return answer

    def sysctl(self, **values: int) -> None:
        """Sets /proc/sys/net/KEY, with `__` for `/`."""
        self.set_sysctls({key.replace("__", "/"): value for key, value in values.items()})

    def set_sysctls(self, values: dict[str, int]) -> None:
        inside(self.namespace, lambda: write_sysctls(values))

    def read_sysctl(self, key: str) -> str:
        return inside(self.namespace, lambda: read_sysctl(key))

    def route(self, family: int, prefix: str, via: Port, metric: int | None = None) -> None:
        """Lays or moves a route: `via` is the next hop's port."""
        (own,) = (port for port in self.ports.values() if port.link is via.link)
        extra = ["metric", str(metric)] if metric is not None else []
        self.ip(f"-{family}", "route", "replace", prefix, "via", via.pim_address(family), "dev", own.name, *extra)

    def lose(self, percent: int, match: str = "") -> None:
        """Drops this share of what arrives here (`match`: nft's words, `ip protocol pim` say). 0 ends it."""
        self.run("nft", "delete", "table", "inet", "lab_loss", check=False)
        if percent:
            share = "" if percent >= 100 else f"numgen random mod 100 < {percent}"
            table = (
                "table inet lab_loss { chain in { type filter hook prerouting priority -300;"
                f" {match} {share} drop; }}; }}"
            )
            self.run("nft", table)


class Lab:
    """A network that stands as long as its `with` block."""

    def __init__(self, keep: bool = False) -> None:
        cleaning.sweep()
        self.claim = cleaning.Claim()
        self.keep = keep
        self.nodes: list[Node] = []
        self.links: list[Link] = []
        self.captures: list[Capture] = []
        self._closed = False
        self._processes: list[Process] = []
        self._stoppers: list[Callable[[], object]] = []

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.keep and kind is None:
            self.claim.keep()
            return
        self.close()

    # building

    def host(self, name: str) -> Node:
        """A node that does not forward."""
        return self._node(name, forwards=False)

    def router(self, name: str) -> Node:
        return self._node(name, forwards=True)

    def _node(self, name: str, forwards: bool) -> Node:
        if len(name) > 12:
            raise LabError(f"{name}: nodes name interfaces, 12 characters at most")
        node = Node(self, len(self.nodes) + 1, name, forwards)
        self.nodes.append(node)
        return node

    def link(self, a: Node, b: Node, cost: int = 1) -> Link:
        """A veth pair."""
        return self._link(f"{a.name}-{b.name}", (a, b), False, cost)

    def lan(self, name: str, *nodes: Node, cost: int = 1) -> Link:
        """A bridge with a port for each node."""
        return self._link(name, nodes, True, cost)

    def _link(self, name: str, nodes: Sequence[Node], lan: bool, cost: int) -> Link:
        link = Link(len(self.links) + 1, name, nodes, lan, cost)
        self.links.append(link)
        return link

    def start(self) -> None:
        """Makes the namespaces, links, addresses and routes of all that was declared."""
        from .building import build

        build(self)

    def shortest_paths(self) -> dict[Node, dict[Link, Port]]:
        """For each node and link: the next hop's port on the shortest way there (links' costs added)."""
        return {node: shortest_paths(node) for node in self.nodes}

    def reroute(self, *nodes: Node) -> None:
        """As a routing protocol does once links went up or down, or costs changed: at these nodes, or at all."""
        from .building import lay_routes

        for node in nodes or self.nodes:
            lay_routes(node, shortest_paths(node))

    # what runs in it

    def start_process(self, name: str, argv: Sequence[str], log: Path, pipe: bool = False) -> Process:
        process = Process(name, argv, log, pipe=pipe, outlive=self.keep)
        self._processes.append(process)
        return process

    def start_tool(self, name: str, tool: str, namespace: str, log: Path) -> Process:
        from .starting import ToolProcess

        process = ToolProcess(name, tool, namespace, log, outlive=self.keep)
        self._processes.append(process)
        return process

    def at_end(self, stop: Callable[[], object]) -> None:
        """Something to do before the lab is taken down."""
        self._stoppers.append(stop)

    def wait(self, look: Callable[[], Any], timeout: float = 10, what: str = "") -> Any:
        return wait_until(look, timeout, what)

    def capture_all(self) -> None:
        """Captures the control packets of every link."""
        for link in self.links:
            link.capture()

    def logs(self, lines: int = 40) -> str:
        """The end of what each program has written: for a test that failed."""
        parts = []
        for path in sorted(self.claim.folder.glob("*/*.log")):
            text = path.read_text(errors="replace").splitlines()
            if text:
                parts.append(f"--- {path.parent.name}/{path.name}\n" + "\n".join(text[-lines:]))
        return "\n".join(parts)

    def close(self) -> None:
        """Takes it all down; once is enough."""
        if self._closed:
            return
        self._closed = True
        try:
            for stop in reversed(self._stoppers):
                stop()
        finally:
            self._stoppers.clear()
            self._end_processes()
            self.claim.tear_down()

    def _end_processes(self) -> None:
        running = [process for process in reversed(self._processes) if process.returncode is None]
        for process in running:
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + 3
        for process in self._processes:
            process.stop(signal.SIGTERM, max(0.01, deadline - time.monotonic()))
        self._processes.clear()
