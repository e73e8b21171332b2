"""Many hosts that answer a General Query: each with one report of its own groups, from an address of its own.

Run as a script inside a node. Its first line of input is what to do, as JSON; each further line has it wait for the
next General Query of the interface, and answer for all hosts within a time. The library's side of it is waves.py.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
import sys
import time
from typing import Any

ROUTER_ALERT = bytes.fromhex("94040000")
HOP_BY_HOP = bytes.fromhex("3a00050200000100")
MODE_IS_INCLUDE, ALLOW = 1, 5
TO = {4: ipaddress.ip_address("224.0.0.22"), 6: ipaddress.ip_address("ff02::16")}
ALL_ETHERNET = 3


def checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def frame(family: int, host: int, sender: str, kind: int, source: str, groups: list[str]) -> bytes:
    """A report of `groups`, each of one source, as an Ethernet frame."""
    named = ipaddress.ip_address(source).packed
    rows = [struct.pack("!BBH", kind, 0, 1) + ipaddress.ip_address(group).packed + named for group in groups]
    body = struct.pack("!HH", 0, len(rows)) + b"".join(rows)
    own, to = ipaddress.ip_address(sender).packed, TO[family].packed
    if family == 4:
        report = b"\x22\0" + checksum(b"\x22\0\0\0" + body) + body
        head = struct.pack("!BBHHHBBH", 0x46, 0xC0, 24 + len(report), 0, 0, 1, 2, 0) + own + to + ROUTER_ALERT
        packet = head[:10] + checksum(head) + head[12:] + report
        ethernet = b"\x01\0\x5e\0\0\x16"
    else:
        report = b"\x8f\0\0\0" + body
        pseudo = own + to + struct.pack("!II", len(report), 58)
        report = report[:2] + checksum(pseudo + report) + report[4:]
        packet = struct.pack("!IHBB", 6 << 28, 8 + len(report), 0, 1) + own + to + HOP_BY_HOP + report
        ethernet = b"\x33\x33\0\0\0\x16"
    return ethernet + b"\x02\0" + struct.pack("!I", host) + (b"\x08\0" if family == 4 else b"\x86\xdd") + packet


def is_general_query(family: int, data: bytes) -> bool:
    """Whether a frame is one, of any version."""
    if family == 4:
        if data[12:14] != b"\x08\0" or len(data) < 34 or data[23] != 2:
            return False
        message = data[14 + 4 * (data[14] & 15) :]
        return message[:1] == b"\x11" and message[4:8] == bytes(4)
    message = data[14 + 40 + 8 :]
    return data[12:14] == b"\x86\xdd" and data[20:21] == b"\0" and message[:1] == b"\x82" and message[8:24] == bytes(16)


def frames(spec: dict[str, Any], kind: int) -> list[bytes]:
    """One report for each host."""
    sender, first = ipaddress.ip_address(spec["address"]), ipaddress.ip_address(spec["first"])
    made = []
    for host in range(spec["hosts"]):
        groups = [str(first + host * spec["each"] + number) for number in range(spec["each"])]
        made.append(frame(spec["family"], host, str(sender + host), kind, spec["source"], groups))
    return made


def wait_for_query(sock: socket.socket, family: int) -> float:
    """The time of the next one."""
    while True:
        data = sock.recv(2048)
        if is_general_query(family, data):
            return time.time()


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_ETHERNET))
    sock.bind((spec["interface"], ALL_ETHERNET))
    answers = {kind: frames(spec, kind) for kind in (ALLOW, MODE_IS_INCLUDE)}
    print(json.dumps({"bytes": len(answers[ALLOW][0])}), flush=True)
    kind = ALLOW
    for _ in sys.stdin:
        sock.setblocking(False)
        try:
            while sock.recv(2048):
                pass  # what came before this turn is not its query
        except BlockingIOError:
            sock.setblocking(True)
        asked = wait_for_query(sock, spec["family"])
        pause = spec["within"] / len(answers[kind])
        for number, answer in enumerate(answers[kind]):
            sock.send(answer)
            if (ahead := asked + number * pause - time.time()) > 0.001:
                time.sleep(ahead)
        kind = MODE_IS_INCLUDE
        print(json.dumps({"asked": asked, "done": time.time()}), flush=True)


if __name__ == "__main__":
    main()
