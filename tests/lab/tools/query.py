"""Sends one IGMPv3 general query from any source address: `query.py INTERFACE SOURCE`. Run inside a node."""

from __future__ import annotations

import socket
import struct
import sys


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def query(source: str) -> bytes:
    """The whole IPv4 packet, with the Router Alert option."""
    body = struct.pack("!BBH4sBBH", 0x11, 100, 0, bytes(4), 2, 125, 0)
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    addresses = socket.inet_aton(source) + socket.inet_aton("224.0.0.1")
    head = struct.pack("!BBHHHBBH", 0x46, 0xC0, 24 + len(body), 0, 0, 1, 2, 0) + addresses + bytes.fromhex("94040000")
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def main() -> None:
    interface, source = sys.argv[1:3]
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as sock:
        sock.sendto(query(source), (interface, 0x0800, 0, 0, bytes.fromhex("01005e000001")))


main()
