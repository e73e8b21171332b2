"""Sends IGMPv3 or MLDv2 reports for many SSM groups at once, packed, at a bounded pace, without joining anything.

Run as a script inside a node; its input is what to do, as one line of JSON; it says when it begins.
The library's side of it is `reports` in traffic.py.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
import sys
import time
from collections.abc import Iterator

ROUTER_ALERT = bytes.fromhex("94040000")
HOP_BY_HOP = bytes.fromhex("0000050200000100")
IPV6_HOPOPTS = 54
TO_INCLUDE, TO_EXCLUDE, ALLOW, BLOCK = 3, 4, 5, 6


def records(kind: int, source: str | None, first: str, count: int, of_one_group: bool) -> Iterator[bytes]:
    """A record with one source for each of `count` groups from `first` on; or of one group, for each source.

    Without a source they are of none, for whoever sends.
    """
    start = ipaddress.ip_address(first)
    if source is None:
        yield from (struct.pack("!BBH", kind, 0, 0) + (start + number).packed for number in range(count))
        return
    sources = ipaddress.ip_address(source)
    for number in range(count):
        group, named = (start, sources + number) if of_one_group else (start + number, sources)
        yield struct.pack("!BBH", kind, 0, 1) + group.packed + named.packed


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def packets(
    family: int, kind: int, source: str | None, first: str, count: int, of_one_group: bool = False
) -> Iterator[bytes]:
    """Whole reports that fit an Ethernet frame. The kernel fills in the checksum of ICMPv6."""
    size, code = (122, 0x22) if family == 4 else (40, 143)
    rows = list(records(kind, source, first, count, of_one_group))
    for start in range(0, count, size):
        part = rows[start : start + size]
        body = struct.pack("!HH", 0, len(part)) + b"".join(part)
        head = struct.pack("!BBH", code, 0, 0)
        if family == 4:
            head = struct.pack("!BBH", code, 0, checksum(head + body))
        yield head + body


def open_socket(family: int, interface: str, address: str) -> tuple[socket.socket, tuple[object, ...]]:
    index = socket.if_nametoindex(interface)
    if family == 4:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, ROUTER_ALERT)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
        sock.bind((address, 0))
        return sock, ("224.0.0.22", 0)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, HOP_BY_HOP)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.bind((address, 0, 0, index))
    return sock, ("ff02::16", 0, 0, index)


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    family = spec["family"]
    sock, target = open_socket(family, spec["interface"], spec["address"])
    source = spec["source"]
    join, leave = (TO_EXCLUDE, TO_INCLUDE) if source is None else (ALLOW, BLOCK)
    kind = join if spec["do"] == "join" else leave
    ready = list(packets(family, kind, source, spec["first"], spec["count"], spec.get("of_one_group", False)))
    began = time.time()
    print(json.dumps({"began": began, "packets": len(ready)}), flush=True)
    for turn in range(spec["times"]):
        if turn:
            time.sleep(max(0.0, began + turn - time.time()))
        for packet in ready:
            sock.sendto(packet, target)
            time.sleep(spec["pause"])


if __name__ == "__main__":
    main()
