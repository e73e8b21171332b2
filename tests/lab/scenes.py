"""Networks that several lab tests play in, and what they look at: routing tables, captured messages, times."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from subprocess import PIPE, Popen

import pytest

from . import capture, needs
from .capture import Capture
from .kernel import mfc
from .paths import PIMCTL
from .pimpyd import FAMILIES as NAMES
from .pimpyd import QUICK, Pimpyd, Row, prefer, wait_neighbors
from .shell import LabError, wait_until
from .topology import Lab, Link, Node
from .traffic import Receiver, Sender, Watcher, ssm_group

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])

LAST_LISTENER = 2.0
"""Last Member Query Time and Last Listener Query Time: two queries, a second each (RFC 9776 8.10)."""
AT_ONCE = 1.0
"""What happens at once takes some hundredths of a second; but this host may be busy with other things."""

RowsOf = Callable[[list[Pimpyd]], list[list[Row]]]
Branch = tuple[str, set[str]]
"""Incoming interface and outgoing ones of an entry."""
Tree = Mapping[Node, Branch]
"""The branch of each router on a stream's tree; the others forward nothing."""


class Net:
    """A lab with pimpyd at all its routers and a capture of control messages on all its links."""

    def __init__(self, lab: Lab, texts: Mapping[Node, str] | None = None, args: Mapping[Node, list[str]] | None = None):
        """Starts what was declared in `lab`. `texts` are configurations other than QUICK, `args` further words."""
        for need in (needs.need_captures, needs.need_pimpyd):
            need()
        self.lab = lab
        lab.start()
        lab.capture_all()
        self.routers = [node for node in lab.nodes if node.forwards]
        self.daemons = {
            node: Pimpyd(node, (texts or {}).get(node, QUICK), (args or {}).get(node, ())).launch()
            for node in self.routers
        }
        for daemon in self.daemons.values():
            daemon.wait_ready()
        self.wait_neighbors()

    def wait_neighbors(self) -> None:
        wait_neighbors(self.daemons.values())
        prefer(self.living())

    def living(self) -> list[Pimpyd]:
        return [daemon for daemon in self.daemons.values() if daemon.process.returncode is None]

    def mend(self) -> None:
        """Starts what a test has ended, and waits until all know each other."""
        living = self.living()
        ended = [daemon.launch() for daemon in self.daemons.values() if daemon not in living]
        for daemon in ended:
            daemon.wait_ready()
        self.wait_neighbors()

    def capture(self, link: Link) -> Capture:
        """The first capture of that link: the one of control messages since the beginning."""
        return next(capture for capture in self.lab.captures if capture.link is link)

    def assert_clean(self) -> None:
        capture.assert_clean(self.lab, *self.routers)


@dataclass(eq=False)
class Flow:
    """One stream, (source, group) from `sender`, and all that a test starts for it."""

    net: Net
    family: int
    sender: Node
    number: int = 1
    """Of the group."""
    rows: RowsOf = field(default_factory=lambda: rows_by_socket)
    """How the daemons are asked for their trees."""
    tools: list[Receiver | Watcher | Sender] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.port,) = self.sender.ports.values()
        self.source = self.port.address(self.family)
        self.group = ssm_group(self.family, self.number)
        self.key = self.source, self.group

    def send(self, rate: float = 500, count: int | None = None, ttl: int = 16) -> Sender:
        """Starts the source; it has begun."""
        sender = Sender(self.port, [self.group], rate=rate, count=count, ttl=ttl)
        self.tools.append(sender)
        wait_until(lambda: sender.sent().sent, 10, "the source sends")
        return sender

    def join(self, host: Node) -> Receiver:
        (port,) = host.ports.values()
        receiver = Receiver(port, [self.key])
        self.tools.append(receiver)
        return receiver

    def watch(self, node: Node, interface: str) -> Watcher:
        """Counts all that passes there."""
        watcher = Watcher(node.port(interface), self.family)
        self.tools.append(watcher)
        return watcher

    def stop(self) -> None:
        """Ends whatever still runs."""
        for tool in self.tools:
            with contextlib.suppress(LabError):  # it has ended
                tool.stop()

    def wait_tree(self, tree: Tree, timeout: float = 10) -> None:
        """Until the kernels forward the stream along `tree`, and every daemon's table agrees with its kernel's."""
        found: list[str] = []

        def stands() -> bool:
            living = self.net.living()
            found[:] = self._astray(tree) or disagreements(living, self.family)
            if not found and self.rows is not rows_by_socket:  # what takes longer is asked only when all else is there
                found[:] = disagreements(living, self.family, self.rows)
            return not found

        try:
            wait_until(stands, timeout)
        except LabError:
            raise AssertionError(f"{self.key}: the tree is not as expected:\n" + "\n".join(found)) from None

    def _astray(self, tree: Tree) -> list[str]:
        lines = []
        for node in self.net.routers:
            found, expected = kernel_table(node, self.family).get(self.key), tree.get(node)
            nothing = found is None or not found[1]
            if not (nothing if expected is None else found == expected):
                lines.append(f"{node}: the kernel has {found}, expected is {expected}")
        return lines

    def unwanted(self, node: Node) -> str | None:
        """The incoming interface of the kernel's entry that says that the stream is not wanted; None without one."""
        incoming, outgoing = kernel_table(node, self.family).get(self.key, (None, set()))
        return None if outgoing else incoming


def kernel_table(node: Node, family: int) -> dict[tuple[str, str], Branch]:
    """Entries of the kernel: (incoming interface, outgoing ones); an unresolved one has no name."""
    return {key: (entry.iif or "unresolved", set(entry.oifs)) for key, entry in mfc(node, family).items()}


def rows_by_socket(daemons: Iterable[Pimpyd]) -> list[list[Row]]:
    """What each tells of its tree when it is asked over its control socket."""
    return [daemon.show("mroute") for daemon in daemons]


def rows_by_pimctl(daemons: Iterable[Pimpyd]) -> list[list[Row]]:
    """The same from `pimctl --json show mroute`, which takes a good deal longer."""
    argv = [str(PIMCTL), "--json", "show", "mroute", "-u"]
    asked = [Popen([*argv, str(daemon.socket)], stdout=PIPE, text=True) for daemon in daemons]
    return [json.loads(pimctl.communicate(timeout=20)[0] or "[]") for pimctl in asked]


def disagreements(daemons: list[Pimpyd], family: int, rows: RowsOf = rows_by_socket) -> list[str]:
    """Where `rows` tells of another table than the kernel's: entries, incoming and outgoing interfaces."""
    lines = []
    for daemon, answer in zip(daemons, rows(daemons), strict=True):
        kernel, told = kernel_table(daemon.node, family), told_table(answer, family)
        if told != kernel:
            lines.append(f"{daemon.node}: the kernel has {kernel}, the daemon tells {told}")
    return lines


def told_table(rows: list[Row], family: int) -> dict[tuple[str, str], Branch]:
    """The rows of `show mroute` in the form of `kernel_table`: entries that the kernel should have."""
    table: dict[tuple[str, str], Branch] = {}
    rows = [row for row in rows if row["address_family"] == NAMES[family]]
    for row in rows:
        if row["row"] == "entry" and (row["is_spt"] or row["mode"] == "negative"):
            table[row["source_address"], row["group"]] = row["incoming_interface"], set()
    for row in rows:
        if row["row"] == "outgoing" and row["forwarding"]:
            table[row["source_address"], row["group"]][1].add(row["outgoing_interface"])
    return table


def upcalls(daemon: Pimpyd, family: int) -> int:
    """How often the kernel asked it what to do with a stream."""
    return sum(row["count"] for row in daemon.show("counters", family) if row["type"] == "nocache")


def assert_joins_at_once(receiver: Receiver, joined_at: float | None = None) -> None:
    """That the stream arrives at once after the join, which was the receiver's first unless `joined_at` is given."""
    wait_until(receiver.received, 20, f"the stream arrives at {receiver.port}")
    late = receiver.stream().first_time - (joined_at or receiver.joined_at)
    assert late < AT_ONCE, f"the first packet came {late:.3f} s after the join"


def assert_ends(watcher: Watcher, since: float, within: float) -> None:
    """That the last packet passes there at most `within` seconds after `since`."""
    watcher.wait_silent(0.5)
    late = watcher.stream().last_time - since
    assert late < within, f"{watcher.port}: the stream went on for {late:.3f} s"


def assert_whole(receiver: Receiver, packets: int | None = None) -> None:
    """That nothing was lost, doubled or reordered, and, if it is given, that so many packets came from the first on."""
    stream = receiver.stream()
    assert stream.received > 0
    assert (stream.lost, stream.duplicates, stream.reordered) == (0, 0, 0), stream
    if packets is not None:
        assert (stream.first_seq, stream.received) == (0, packets), stream


@dataclass(frozen=True)
class JoinPrune:
    """A Join/Prune message as tshark reads it off a link."""

    time: float
    """As time.time() counts."""
    sender: Node
    upstream: str
    """The address of the router that it is meant for."""
    joins: int
    prunes: int
    """Sources in all of its groups."""
    length: int
    """Bytes of the IP packet."""
    groups: frozenset[str]
    joined: frozenset[str]
    """The addresses that it names among its joins, of whatever group."""
    pruned: frozenset[str]


LISTS = ("pim.upstream_neighbor", "pim.group", "pim.join_ip", "pim.prune_ip")
LISTS6 = ("pim.upstream_neighbor_ip6", "pim.group_ip6", "pim.join_ip6", "pim.prune_ip6")


def join_prunes(capture: Capture, family: int | None = None) -> list[JoinPrune]:
    """The Join/Prune messages that passed on a link, of one family or of both; ends the capture."""
    what = {None: "", 4: " and ip", 6: " and ipv6"}[family]
    names = ("frame.time_epoch", "eth.src", "pim.numjoins", "pim.numprunes", "frame.len", *LISTS, *LISTS6)
    nodes = {port.mac: node for node, port in capture.link.ports.items()}
    messages = []
    for time, mac, joins, prunes, length, *rest in capture.fields(f"pim.type == 3{what}", *names):
        four, six = rest[: len(LISTS)], rest[len(LISTS) :]
        (upstream,), *lists = (frozenset((a or b).split(",")) for a, b in zip(four, six, strict=True))
        messages.append(
            JoinPrune(float(time), nodes[mac], upstream, _sum(joins), _sum(prunes), int(length) - 14, *lists)
        )
    return messages


def _sum(numbers: str) -> int:
    return sum(int(number) for number in numbers.split(",") if number)


def hellos(capture: Capture, family: int, sender: Node) -> list[tuple[float, int, int]]:
    """The Hellos of a router on a link, as (time, holdtime, GenID); ends the capture."""
    mac = capture.link.ports[sender].mac
    what = f"pim.type == 0 and eth.src == {mac} and {'ip' if family == 4 else 'ipv6'}"
    rows = capture.fields(what, "frame.time_epoch", "pim.holdtime", "pim.generation_id")
    return [(float(time), int(holdtime), int(genid, 0)) for time, holdtime, genid in rows]


def queries(capture: Capture, family: int) -> list[tuple[float, Node, str]]:
    """The IGMP or MLD queries on a link, as (time, sender, group): 0.0.0.0 or :: in General Queries."""
    what, group = (
        ("igmp.type == 0x11", "igmp.maddr") if family == 4 else ("icmpv6.type == 130", "icmpv6.mld.multicast_address")
    )
    nodes = {port.mac: node for node, port in capture.link.ports.items()}
    rows = capture.fields(what, "frame.time_epoch", "eth.src", group)
    return [(float(time), nodes[mac], address) for time, mac, address in rows]
