"""Any-source streams over a row of three routers, one of which is a foreign one: src - a - b - c - h."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from .kernel import forwards
from .pimpyd import Pimpyd
from .shell import wait_until
from .topology import Lab, Node, Port
from .traffic import Receiver, Sender
from .traffic import Stream as Found

ROLES = {"first_hop": (0, 1), "rp": (1, 1), "last_hop": (2, 1), "middle": (1, 2)}
"""What the foreign router is: its place in the row, and the place of the RP."""
RATE = 500
ASM_GROUPS = {4: "239.1.{}.1", 6: "ff0e::{}:1"}


@dataclass
class Row:
    """The hosts and routers, and which router is foreign, which is the RP."""

    lab: Lab
    src: Node
    routers: list[Node]
    host: Node
    foreign: Node
    rp: Port
    """The RP's interface towards the source: its address is the RP's."""

    @property
    def ours(self) -> list[Node]:
        return [node for node in self.routers if node is not self.foreign]

    def rp_lines(self) -> str:
        """The RP in our configuration."""
        return f"rp-address {self.rp.ipv4}\nrp-address {self.rp.ipv6}\n"


def make_row(lab: Lab, role: str, suffix: str = "") -> Row:
    """A row of a lab that is not started yet; `suffix` tells its nodes' names from another row's."""
    place, rp = ROLES[role]
    src = lab.host(f"src{suffix}")
    routers = [lab.router(name + suffix) for name in "abc"]
    host = lab.host(f"h{suffix}")
    nodes = [src, *routers, host]
    for left, right in pairwise(nodes):
        lab.link(left, right)
    return Row(lab, src, routers, host, routers[place], routers[rp].port(nodes[rp].name))


class Stream:
    """One any-source stream over the row."""

    def __init__(self, row: Row, family: int, number: int) -> None:
        self.row, self.family = row, family
        self.group = ASM_GROUPS[family].format(number)
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

    def join(self) -> None:
        self.receiver = Receiver(self.row.host.port(self.row.routers[-1]), [(None, self.group)])

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
    stream = Stream(row, family, 1)
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
    stream = Stream(row, family, 2)
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
