"""Any-source streams over rows of three routers, one of which is a foreign one: src - a - b - c - h.

Rows of one lab share what of ours is the first hop, and what is the last one; each has groups of its own.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from .kernel import forwards
from .pimpyd import Pimpyd
from .shell import LabError, wait_until
from .topology import Lab, Node, Port
from .traffic import Receiver, Sender
from .traffic import Stream as Found

ROLES = {"first_hop": (0, 1), "rp": (1, 1), "last_hop": (2, 1), "middle": (1, 2)}
"""What the foreign router is: its place in the row, and the place of the RP."""
RATE = 500
ASM_GROUPS = {4: "239.{}.{}.1", 6: "ff0e:{}::{}:1"}
"""By the row's number and the stream's."""
RANGES = {4: "239.{}.0.0/16", 6: "ff0e:{}::/32"}


@dataclass
class Row:
    """The hosts and routers, and which router is foreign, which is the RP."""

    lab: Lab
    number: int
    src: Node
    routers: list[Node]
    host: Node
    foreign: Node
    rp: Port
    """The RP's interface towards the source: its address is the RP's."""
    tools: list[Sender | Receiver] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    """Of streams."""

    def end(self) -> None:
        """Whatever still streams."""
        for tool in self.tools:
            with contextlib.suppress(LabError):  # it has ended
                tool.stop()
        self.tools.clear()

    @property
    def ours(self) -> list[Node]:
        return [node for node in self.routers if node is not self.foreign]

    def prefix(self, family: int) -> str:
        """The groups of this row."""
        return RANGES[family].format(self.number)

    def rp_lines(self) -> str:
        """The RP in our configuration."""
        return "".join(f"rp-address {self.rp.address(family)} {self.prefix(family)}\n" for family in (4, 6))

    def lay_route(self) -> None:
        """Once the lab stands: the last hop gets the source over this row, not over another one."""
        first, middle, last = self.routers
        for family in (4, 6):
            last.route(family, self.src.port(first).link.prefix(family), middle.port(last))


def make_rows(lab: Lab) -> dict[str, Row]:
    """A row for each role, of a lab that is not started yet."""
    first, last = lab.router("a"), lab.router("c")
    return {role: make_row(lab, role, number, first, last) for number, role in enumerate(ROLES, 1)}


def make_row(lab: Lab, role: str, number: int, first: Node, last: Node) -> Row:
    """Between `first` and `last`, where they are ours in this role."""
    place, rp = ROLES[role]
    src, host = lab.host(f"src{number}"), lab.host(f"h{number}")
    routers = [
        first if place != 0 else lab.router(f"a{number}"),
        lab.router(f"b{number}"),
        last if place != 2 else lab.router(f"c{number}"),
    ]
    nodes = [src, *routers, host]
    for left, right in pairwise(nodes):
        lab.link(left, right)
    return Row(lab, number, src, routers, host, routers[place], routers[rp].port(nodes[rp].name))


def launch(rows: Iterable[Row], text: str) -> dict[Node, Pimpyd]:
    """Ours of all rows, once the lab stands, with `text` and the RPs."""
    rows = list(rows)
    for row in rows:
        row.lay_route()
    lines = text + "".join(row.rp_lines() for row in rows)
    return {node: Pimpyd(node, lines).launch() for node in dict.fromkeys(node for row in rows for node in row.ours)}


class Stream:
    """One any-source stream over the row."""

    def __init__(self, row: Row, family: int) -> None:
        self.row, self.family = row, family
        self.group = ASM_GROUPS[family].format(row.number, next(row.numbers) + 1)
        self.source = row.src.port(row.routers[0]).address(family)
        self.sender: Sender
        self.receiver: Receiver
        self.began: Found
        """What came first: until the receiver's count began anew."""

    @property
    def key(self) -> tuple[str, str]:
        return self.source, self.group

    def send(self) -> None:
        self.sender = Sender(self.row.src.port(self.row.routers[0]), [self.group], rate=RATE)
        self.row.tools.append(self.sender)

    def join(self) -> None:
        self.receiver = Receiver(self.row.host.port(self.row.routers[-1]), [(None, self.group)])
        self.row.tools.append(self.receiver)

    def wait_arrives(self, timeout: float = 60) -> None:
        """Until a second's worth of it has come."""
        self.receiver.wait_for(RATE, timeout)

    def wait_natively(self, timeout: float = 30) -> None:
        """Until each router's kernel forwards it to the next and nowhere else."""
        names = [*(node.name for node in self.row.routers[1:]), self.row.host.name]

        def native() -> bool:
            found = [forwards(node, *self.key) - {"pimreg"} for node in self.row.routers]  # pimd registers on and on
            return all(oifs == {name} for oifs, name in zip(found, names, strict=True))

        wait_until(native, timeout, "each router forwards to the next one alone")

    def assert_steady(self) -> None:
        """From now on all arrive, in order and once, over three routers."""
        self.receiver.reset()
        self.receiver.wait_for(RATE)
        found = self.receiver.stream(*self.key)
        assert (found.lost, found.duplicates, found.reordered) == (0, 0, 0), found
        assert found.ttls == (16 - len(self.row.routers),), found

    def end(self) -> None:
        self.sender.stop()
        self.receiver.stop()


@dataclass
class Foreign:
    """How the foreign router is asked for its tables."""

    agrees: Callable[[Stream], bool]
    """Whether its (S,G) entry is what it should be."""
    has_tree: Callable[[Stream], bool]
    """Whether it has the (*,G) entry of the stream's group."""


def play(row: Row, family: int, daemons: list[Pimpyd], foreign: Foreign, *, source_first: bool = True) -> list[Stream]:
    """A stream whose receiver comes first, and one whose source does; all tables agree while it flows."""
    streams = [receiver_first(row, family, daemons, foreign)]
    if source_first:
        streams.append(source_then_receiver(row, family, daemons))
    for stream in streams:
        stream.wait_natively()
        stream.assert_steady()
        for daemon in daemons:
            entry = daemon.entry(*stream.key)
            assert entry is not None and entry["upstream_state"] == "joined" and entry["is_spt"], entry
        wait_until(lambda one=stream: foreign.agrees(one), 30, f"{row.foreign} tells the same")  # type: ignore[misc]
    return streams


def receiver_first(row: Row, family: int, daemons: list[Pimpyd], foreign: Foreign) -> Stream:
    stream = Stream(row, family)
    stream.join()
    if row.rp.node is row.foreign:
        wait_until(lambda: foreign.has_tree(stream), 30, "the RP has the tree")
    else:
        wait_until(lambda: has_entry(row, daemons, stream, "*"), 30, "the RP has the tree")
    stream.send()
    stream.wait_arrives()
    stream.began = stream.receiver.stream(*stream.key)
    return stream


def source_then_receiver(row: Row, family: int, daemons: list[Pimpyd]) -> Stream:
    stream = Stream(row, family)
    stream.send()
    if row.rp.node is not row.foreign:
        wait_until(lambda: has_entry(row, daemons, stream, stream.source), 30, "the RP knows the source")
    stream.join()
    stream.wait_arrives()
    return stream


def has_entry(row: Row, daemons: list[Pimpyd], stream: Stream, source: str) -> bool:
    """Whether the RP, which is ours, has an entry of the group."""
    (daemon,) = (one for one in daemons if one.node is row.rp.node)
    return daemon.entry(source, stream.group) is not None
