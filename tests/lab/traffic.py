"""Receivers and senders of numbered multicast streams in nodes of the lab."""

from __future__ import annotations

import ipaddress
import json
import select
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from .shell import LabError, Process, wait_until
from .topology import Node, Port

PORT = 5000
Membership = tuple[str | None, str]
"""(source or None for any, group)."""


def family_of(address: str) -> int:
    return ipaddress.ip_address(address).version


def ssm_group(family: int, number: int = 1) -> str:
    """The n-th SSM group of the lab."""
    return str(ipaddress.ip_address("232.1.0.0" if family == 4 else "ff3e::8000:0") + number)


@dataclass(frozen=True)
class Stream:
    """What a receiver got of one stream. Times are the kernel's of arrival, as time.time() counts."""

    source: str
    group: str
    received: int
    lost: int
    """Missing between the first and the last that arrived."""
    duplicates: int
    reordered: int
    first_seq: int
    last_seq: int
    first_time: float
    last_time: float
    largest_gap: float
    """The longest time between two arrivals, seconds."""
    outage: float
    """The longest time between the sending of two arrivals with losses between them: 0 if nothing was lost."""
    ttls: tuple[int, ...]
    """All the TTLs that packets arrived with."""
    last_lost: float = 0.0
    """When the last one was sent that did not arrive, taking them to be sent evenly: 0 if nothing was lost."""
    first_delay: float = 0.0
    """Seconds from the sending of the first that arrived to its arrival."""

    @classmethod
    def none(cls, source: str = "", group: str = "") -> Stream:
        """Of a stream of which nothing arrived."""
        return cls(source, group, 0, 0, 0, 0, -1, -1, 0.0, 0.0, 0.0, 0.0, ())


@dataclass(frozen=True)
class Sent:
    """What a sender has sent."""

    sent: int
    per_group: int
    first_time: float
    last_time: float


class Tool:
    """A script of tools/ at work: a line in, a line out."""

    def __init__(self, node: Node, name: str, spec: dict[str, Any], tool: str = "mcast") -> None:
        number = len(list(node.folder.glob(f"{name}*.log")))
        self.process: Process = node.start_tool(f"{name}{number}", tool)
        self.first = self.ask({**spec, "stays": node.lab.keep})

    def ask(self, request: dict[str, Any], timeout: float = 30) -> dict[str, Any]:
        self.process.check_alive()
        print(json.dumps(request), file=self.process.stdin, flush=True)
        readable, _, _ = select.select([self.process.stdout], [], [], timeout)
        line = self.process.stdout.readline() if readable else ""
        if not line:
            self.process.wait(2) if readable else None
            raise LabError(f"{self.process.name} gives no answer: {self.process.output()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Watcher:
    """A program that joins nothing and counts the streams that arrive on an interface, wanted or not."""

    job = "watch"

    def __init__(self, port: Port, family: int, memberships: Iterable[Membership] = (), udp_port: int = PORT) -> None:
        self.memberships = list(memberships)
        self.port = port
        spec = {
            "do": self.job,
            "family": family,
            "interface": port.name,
            "port": udp_port,
            "memberships": self.memberships,
        }
        self._tool = Tool(port.node, self.job, spec)
        self.joined_at = float(self._tool.first["now"])

    def streams(self) -> dict[tuple[str, str], Stream]:
        """What has arrived so far, by (source, group)."""
        rows = self._tool.ask({"do": "report"})["streams"]
        streams = [Stream(**{**row, "ttls": tuple(row["ttls"])}) for row in rows]
        return {(stream.source, stream.group): stream for stream in streams}

    def stream(self, source: str | None = None, group: str | None = None) -> Stream:
        """The stream of this source and group; without them, the only one there is."""
        streams = self.streams()
        found = [
            stream
            for stream in streams.values()
            if (source is None or stream.source == source) and (group is None or stream.group == group)
        ]
        if len(found) > 1:
            raise LabError(f"{self.port} gets several: {sorted(streams)}")
        return found[0] if found else Stream.none(source or "", group or "")

    def received(self) -> int:
        """Packets of all streams."""
        return sum(stream.received for stream in self.streams().values())

    def count(self) -> int:
        """Of how many streams something has arrived."""
        return int(self._tool.ask({"do": "count"})["count"])

    def wait_for(self, packets: int = 1, timeout: float = 20) -> None:
        """Until so many more packets have arrived than have by now."""
        before = self.received()
        wait_until(lambda: self.received() - before >= packets, timeout, f"{packets} more packets at {self.port}")

    def wait_silent(self, silence: float = 1.0, timeout: float = 30) -> None:
        """Until nothing has arrived for `silence` seconds."""

        def silent() -> bool:
            answer = self._tool.ask({"do": "report"})
            last = max((row["last_time"] for row in answer["streams"]), default=0.0)
            return bool(answer["now"] - last >= silence)

        wait_until(silent, timeout, f"silence at {self.port}")

    def reset(self) -> None:
        """Counts from the beginning again."""
        self._tool.ask({"do": "reset"})

    def stop(self) -> None:
        self._tool.process.stop()


class Receiver(Watcher):
    """A program that has joined groups on an interface and counts what arrives of them."""

    job = "receive"

    def __init__(self, port: Port, memberships: Iterable[Membership], udp_port: int = PORT) -> None:
        wanted = list(memberships)
        super().__init__(port, family_of(wanted[0][1]), wanted, udp_port)

    def join(self, *memberships: Membership) -> float:
        """Joins more. Gives the time at which it had."""
        return float(self._tool.ask({"do": "join", "memberships": memberships})["now"])

    def leave(self, *memberships: Membership) -> float:
        """Leaves these, or all of them. Gives the time at which it had."""
        return float(self._tool.ask({"do": "leave", "memberships": memberships})["now"])

    def block(self, *memberships: Membership, on: bool = True) -> float:
        """Of groups joined for any source: not from these (MCAST_BLOCK_SOURCE), or from them again."""
        return float(self._tool.ask({"do": "block" if on else "unblock", "memberships": memberships})["now"])


class Sender:
    """A program that sends numbered packets to groups in turn; `rate` is of all its packets, per second.

    It makes up for the time in which the machine did not let it send, if `gap` is 0 by a burst: that is the shortest
    time between two packets, in seconds. Who sends much to many groups may `rest` so many seconds after each burst.
    """

    def __init__(
        self,
        port: Port,
        groups: Iterable[str],
        rate: float = 100,
        count: int | None = None,
        ttl: int = 16,
        size: int = 100,
        udp_port: int = PORT,
        source: str | None = None,
        gap: float = 0.0,
        rest: float = 0.0,
    ) -> None:
        self.groups, self.count = list(groups), count
        family = family_of(self.groups[0])
        self.source = source or port.address(family)
        spec = {
            "do": "send",
            "family": family,
            "interface": port.name,
            "source": self.source,
            "groups": self.groups,
            "port": udp_port,
            "rate": rate,
            "count": count,
            "ttl": ttl,
            "size": size,
            "gap": gap,
            "rest": rest,
        }
        self._tool = Tool(port.node, "send", spec)

    def sent(self) -> Sent:
        return self._sent(self._tool.ask({"do": "report"}))

    def stop(self) -> Sent:
        """Ends it; the totals."""
        sent = self._sent(self._tool.ask({"do": "stop"}))
        self._tool.process.wait()
        return sent

    def wait_done(self, timeout: float = 60) -> Sent:
        """Until its `count` is sent, then as stop()."""
        wait_until(lambda: self._done(), timeout, "all is sent")
        return self.stop()

    def _done(self) -> bool:
        answer = self._tool.ask({"do": "report"})
        return bool(answer["sent"] == self.count and answer["now"] - answer["last_time"] > 0.2)

    @staticmethod
    def _sent(answer: dict[str, Any]) -> Sent:
        return Sent(**{field.name: answer[field.name] for field in fields(Sent)})


def reports(
    port: Port,
    source: str | None,
    first: str,
    count: int,
    join: bool = True,
    times: int = 2,
    pause: float = 0.002,
    of_one_group: bool = False,
) -> float:
    """Reports from `port` that `count` groups from `first` on are wanted of `source`, or no longer. Nothing is joined.

    None is any source.
    With `of_one_group` it is so many sources from `source` on, of the group `first`. As a host does, the whole is said
    `times` times, a second apart. Gives the time at which it began; it goes on by itself.
    """
    family = family_of(first)
    spec = {
        "do": "join" if join else "leave",
        "family": family,
        "interface": port.name,
        "address": port.pim_address(family),
        "source": source,
        "first": first,
        "count": count,
        "times": times,
        "pause": pause,
        "of_one_group": of_one_group,
    }
    return float(Tool(port.node, "reports", spec, "reports").first["began"])
