"""Sends and receives numbered multicast packets inside a node of the lab.

Run as a script: the first line of its input is what to do, as JSON; each further line is a command; each answer is
a line of JSON. The end of its input ends it, unless it is told that it `stays`. It imports nothing but Python's
own, so that it starts in a few hundredths of a second. The library's side of it is traffic.py.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from typing import Any

PACKET = struct.Struct("!4sQd")
MAGIC = b"pmpy"
MEMBERSHIPS_PER_SOCKET = 100
MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP = 42, 45
MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP = 46, 47
MCAST_BLOCK_SOURCE, MCAST_UNBLOCK_SOURCE = 43, 44
IP_PKTINFO, IP_RECVTTL, IP_MULTICAST_ALL = 8, 12, 49
IPV6_MULTICAST_ALL = 29
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
REST = 0.05
"""Seconds in which packets wait for each other: the kernel notes when each one came, and several cost less together."""
AT_ONCE = 4096
"""Packets that are read before commands are looked at again."""

Json = dict[str, Any]


def answer(value: object) -> None:
    print(json.dumps(value), flush=True)


def sockaddr(family: int, address: str) -> bytes:
    """A struct sockaddr_storage."""
    if family == 4:
        packed = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(address))
    else:
        packed = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address), 0)
    return packed.ljust(128, b"\0")


class Stream:
    """What arrived of one (source, group)."""

    def __init__(self) -> None:
        self.seen = bytearray()  # a bit for each sequence number
        self.distinct = 0
        self.received = self.reordered = 0
        self.first_seq = self.last_seq = self.lowest = self.highest = -1
        self.first_time = self.last_time = 0.0
        self.highest_sent = self.first_delay = 0.0
        self.largest_gap = self.outage = self.last_lost = 0.0
        self.ttls: set[int] = set()

    def take(self, sequence: int, sent: float, arrived: float, ttl: int) -> None:
        if not self.received:
            self.first_seq = self.lowest = sequence
            self.first_time = arrived
            self.first_delay = arrived - sent
        else:
            self.largest_gap = max(self.largest_gap, arrived - self.last_time)
        self.received += 1
        self.last_seq, self.last_time = sequence, arrived
        self.ttls.add(ttl)
        if sequence > self.highest:
            if self.highest >= 0 and sequence > self.highest + 1:
                self.outage = max(self.outage, sent - self.highest_sent)
                self.last_lost = sent - (sent - self.highest_sent) / (sequence - self.highest)
            self.highest, self.highest_sent = sequence, sent
            self.mark(sequence)
        elif self.mark(sequence):
            self.reordered += 1
            self.lowest = min(self.lowest, sequence)

    def mark(self, sequence: int) -> bool:
        """Notes that it has arrived; whether that is new."""
        place, bit = sequence >> 3, 1 << (sequence & 7)
        if place >= len(self.seen):
            self.seen.extend(bytes(place + 64 - len(self.seen)))
        new = not self.seen[place] & bit
        self.seen[place] |= bit
        self.distinct += new
        return new

    def report(self) -> Json:
        return {
            "received": self.received,
            "lost": self.highest - self.lowest + 1 - self.distinct,
            "duplicates": self.received - self.distinct,
            "reordered": self.reordered,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "first_time": self.first_time,
            "last_time": self.last_time,
            "largest_gap": self.largest_gap,
            "outage": self.outage,
            "last_lost": self.last_lost,
            "first_delay": self.first_delay,
            "ttls": sorted(self.ttls),
        }


class Receiver:
    """Joins groups on one interface and counts what arrives."""

    def __init__(self, spec: Json) -> None:
        self.family: int = spec["family"]
        self.kind = socket.AF_INET if self.family == 4 else socket.AF_INET6
        self.index = socket.if_nametoindex(spec["interface"])
        self.port: int = spec["port"]
        self.stays: bool = spec["stays"]
        self.sockets: dict[int, socket.socket] = {}
        self.poll = select.poll()
        self.poll.register(sys.stdin, select.POLLIN)
        self.streams: dict[tuple[str, bytes], Stream] = {}
        self.joined: dict[tuple[str | None, str], socket.socket] = {}
        self.counts: dict[int, int] = {}

    def open_socket(self) -> socket.socket:
        six = self.family == 6
        sock = socket.socket(self.kind, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            for option in (IPV6_MULTICAST_ALL, socket.IPV6_RECVPKTINFO, socket.IPV6_RECVHOPLIMIT):
                sock.setsockopt(socket.IPPROTO_IPV6, option, 0 if option == IPV6_MULTICAST_ALL else 1)
        else:
            for option in (IP_MULTICAST_ALL, IP_PKTINFO, IP_RECVTTL):
                sock.setsockopt(socket.IPPROTO_IP, option, 0 if option == IP_MULTICAST_ALL else 1)
        sock.setblocking(False)
        sock.bind(("", self.port))
        self.sockets[sock.fileno()] = sock
        self.counts[sock.fileno()] = 0
        self.poll.register(sock, select.POLLIN)
        return sock

    def free_socket(self) -> socket.socket:
        for number, count in self.counts.items():
            if count < MEMBERSHIPS_PER_SOCKET:
                return self.sockets[number]
        return self.open_socket()

    def request(self, source: str | None, group: str) -> bytes:
        packed = struct.pack("=I4x", self.index) + sockaddr(self.family, group)
        return packed if source is None else packed + sockaddr(self.family, source)

    def join(self, source: str | None, group: str) -> None:
        same = [sock for (_, other), sock in self.joined.items() if other == group] if len(self.joined) < 500 else []
        sock = same[0] if same else self.free_socket()
        option = MCAST_JOIN_GROUP if source is None else MCAST_JOIN_SOURCE_GROUP
        level = socket.IPPROTO_IP if self.family == 4 else socket.IPPROTO_IPV6
        sock.setsockopt(level, option, self.request(source, group))
        self.joined[source, group] = sock
        self.counts[sock.fileno()] += 1

    def leave(self, source: str | None, group: str) -> None:
        sock = self.joined.pop((source, group))
        option = MCAST_LEAVE_GROUP if source is None else MCAST_LEAVE_SOURCE_GROUP
        level = socket.IPPROTO_IP if self.family == 4 else socket.IPPROTO_IPV6
        sock.setsockopt(level, option, self.request(source, group))
        self.counts[sock.fileno()] -= 1

    def block(self, source: str | None, group: str, on: bool) -> None:
        """Of a group joined for any source: not from this one, or from it again."""
        level = socket.IPPROTO_IP if self.family == 4 else socket.IPPROTO_IPV6
        option = MCAST_BLOCK_SOURCE if on else MCAST_UNBLOCK_SOURCE
        self.joined[None, group].setsockopt(level, option, self.request(source, group))

    def read(self, sock: socket.socket) -> bool:
        """Counts what has arrived; whether that was all."""
        for _ in range(AT_ONCE):
            try:
                data, extra, _, address = sock.recvmsg(2048, 256)
            except BlockingIOError:
                return True
            arrived, ttl, group = 0.0, 0, b""
            for level, kind, value in extra:
                if level == socket.SOL_SOCKET:
                    seconds, nanoseconds = struct.unpack("=qq", value)
                    arrived = seconds + nanoseconds / 1e9
                elif len(value) == 4:
                    (ttl,) = struct.unpack("=i", value)
                elif (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                    group = value[8:12]
                else:
                    group = value[:16]
            self.count(data, address[0], group, arrived, ttl)
        return False

    def count(self, data: bytes, source: str, group: bytes, arrived: float, ttl: int) -> None:
        if len(data) >= PACKET.size and data.startswith(MAGIC):
            _, sequence, sent = PACKET.unpack_from(data)
            key = (source, group)
            if key not in self.streams:
                self.streams[key] = Stream()
            self.streams[key].take(sequence, sent, arrived, ttl)

    def report(self) -> Json:
        streams = [
            {"source": source, "group": socket.inet_ntop(self.kind, group), **stream.report()}
            for (source, group), stream in self.streams.items()
        ]
        return {"now": time.time(), "streams": streams}

    def obey(self, command: Json) -> Json:
        joins = [(source, group) for source, group in command.get("memberships", [])]
        if command["do"] == "join":
            for source, group in joins:
                self.join(source, group)
        elif command["do"] == "leave":
            for source, group in joins or list(self.joined):
                self.leave(source, group)
        elif command["do"] in ("block", "unblock"):
            for source, group in joins:
                self.block(source, group, command["do"] == "block")
        elif command["do"] == "count":
            return {"count": len(self.streams)}
        elif command["do"] == "reset":
            self.streams.clear()
        else:
            return self.report()
        return {"now": time.time()}

    def read_all(self) -> bool:
        """Each socket in its turn, also if another one has more; whether that was all."""
        drained = [self.read(sock) for sock in self.sockets.values()]
        return all(drained)

    def serve(self) -> None:
        commands = select.poll()
        commands.register(sys.stdin, select.POLLIN)
        while True:
            self.poll.poll()
            rest = REST * 1000 if self.read_all() else 0
            if not commands.poll(rest):
                continue
            line = sys.stdin.readline()
            if line:
                self.read_all()
                answer(self.obey(json.loads(line)))
            elif self.stays:
                self.poll.unregister(sys.stdin)
                commands.unregister(sys.stdin)
            else:
                return


class Watcher(Receiver):
    """Joins nothing: counts what passes on the link, whoever wants it."""

    def __init__(self, spec: Json) -> None:
        super().__init__(spec)
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setblocking(False)
        sock.bind((spec["interface"], 0x0800 if self.family == 4 else 0x86DD))
        self.sockets[sock.fileno()] = sock
        self.poll.register(sock, select.POLLIN)

    def read(self, sock: socket.socket) -> bool:
        for _ in range(AT_ONCE):
            try:
                data, extra, _, _ = sock.recvmsg(2048, 256)
            except BlockingIOError:
                return True
            seconds, nanoseconds = struct.unpack("=qq", extra[0][2])
            arrived = seconds + nanoseconds / 1e9
            if self.family == 4 and len(data) > 20 and data[9] == socket.IPPROTO_UDP:
                source, group, ttl, start = data[12:16], data[16:20], data[8], (data[0] & 15) * 4
            elif self.family == 6 and len(data) > 40 and data[6] == socket.IPPROTO_UDP:
                source, group, ttl, start = data[8:24], data[24:40], data[7], 40
            else:
                continue
            self.count(data[start + 8 :], socket.inet_ntop(self.kind, source), group, arrived, ttl)
        return False


class Sender:
    """Sends numbered packets to one or more groups in turn, at a steady rate."""

    def __init__(self, spec: Json) -> None:
        self.six = spec["family"] == 6
        self.groups: list[str] = spec["groups"]
        self.rate: float = spec["rate"]
        self.count: int | None = spec["count"]
        self.stays: bool = spec["stays"]
        self.gap: float = spec["gap"]
        self.rest: float = spec["rest"]
        self.sequence = 0
        self.first_time = self.last_time = 0.0
        self.padding = b"\0" * max(0, spec["size"] - PACKET.size)
        index = socket.if_nametoindex(spec["interface"])
        sock = socket.socket(socket.AF_INET6 if self.six else socket.AF_INET, socket.SOCK_DGRAM)
        if self.six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, spec["ttl"])
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, spec["ttl"])
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        sock.bind((spec["source"], 0))
        self.socket = sock
        scope = (0, index) if self.six else ()
        self.targets = [(group, spec["port"], *scope) for group in self.groups]

    def send(self) -> None:
        number, turn = divmod(self.sequence, len(self.targets))
        now = time.time()
        self.socket.sendto(PACKET.pack(MAGIC, number, now) + self.padding, self.targets[turn])
        self.first_time = self.first_time or now
        self.last_time = now
        self.sequence += 1

    def report(self) -> Json:
        return {
            "now": time.time(),
            "sent": self.sequence,
            "per_group": self.sequence // len(self.groups),
            "first_time": self.first_time,
            "last_time": self.last_time,
        }

    def wait(self, pause: float) -> float:
        """How long to wait where the next packet is due after `pause` seconds."""
        return max(pause, self.rest) if pause > 0 else 0.0

    def serve(self) -> None:
        poll = select.poll()
        poll.register(sys.stdin, select.POLLIN)
        started = last = time.monotonic()
        while True:
            finished = self.count is not None and self.sequence >= self.count
            pause = max(started + self.sequence / self.rate, last + self.gap) - time.monotonic()
            if finished or pause > 0.0005 or self.sequence % 64 == 0:
                if poll.poll(None if finished else self.wait(pause) * 1000):
                    line = sys.stdin.readline()
                    if not line and self.stays:
                        poll.unregister(sys.stdin)
                        continue
                    answer(self.report())
                    if not line or json.loads(line)["do"] == "stop":
                        return
                    continue
                if pause > 0:
                    continue
            self.send()
            last = time.monotonic()


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    if spec["do"] == "send":
        sender = Sender(spec)
        answer({"now": time.time()})
        sender.serve()
    else:
        receiver = Watcher(spec) if spec["do"] == "watch" else Receiver(spec)
        answer(receiver.obey({"do": "join", "memberships": spec["memberships"]}))
        receiver.serve()


if __name__ == "__main__":
    main()
