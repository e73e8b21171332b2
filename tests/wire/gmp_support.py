"""For the IGMP and MLD codec tests: messages of all kinds by hypothesis, and tshark as an independent reader."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import dpkt
import pytest
from hypothesis import strategies as st

from pimpy.wire.family import IPV4, Family
from pimpy.wire.membership import RECORD_TYPES, Leave, Message, OldReport, Query, Record, Report

LINKTYPE_RAW = 101


def addresses(family: Family) -> st.SearchStrategy[bytes]:
    """Any address."""
    return st.binary(min_size=family.size, max_size=family.size)


def reports(family: Family) -> st.SearchStrategy[Report]:
    """Reports of the newest version."""
    address = addresses(family)
    sources = st.lists(address, max_size=5).map(tuple)
    record = st.builds(Record, st.sampled_from(list(RECORD_TYPES)), address, sources)
    return st.builds(Report, st.lists(record, max_size=5).map(tuple))


def newest_queries(family: Family, version: int) -> st.SearchStrategy[Query]:
    """Queries of the newest version, of any times, exact or not."""
    return st.builds(
        Query,
        version=st.just(version),
        group=addresses(family),
        max_response=st.floats(0, 10000),
        suppress=st.booleans(),
        robustness=st.integers(0, 7),
        interval=st.floats(0, 40000),
        sources=st.lists(addresses(family), max_size=5).map(tuple),
    )


def ip_packet(family: Family, source: bytes, destination: bytes, message: bytes) -> bytes:
    """`message` in an IP packet as it leaves a router: TTL 1, Router Alert, TOS 0xc0, the ICMPv6 checksum filled in."""
    if family is IPV4:
        alert = b"\x94\x04\x00\x00"
        packet = dpkt.ip.IP(src=source, dst=destination, p=2, ttl=1, tos=0xC0, opts=alert, data=message)
        packet.hl = 6
        packet.len = 24 + len(message)
        return bytes(packet)
    hop_by_hop = bytes((58, 0, 5, 2, 0, 0, 1, 0))
    pseudo = source + destination + struct.pack("!II", len(message), 58)
    checksum = dpkt.in_cksum(pseudo + message[:2] + b"\0\0" + message[4:])
    body = hop_by_hop + message[:2] + struct.pack("!H", checksum) + message[4:]
    return struct.pack("!IHBB", 0x60000000, len(body), 0, 1) + source + destination + body


def tshark(folder: Path, packets: list[bytes], *fields: str) -> list[list[str]]:
    """One row a packet: what tshark complains of (empty if of nothing), then the `fields`. Missing: a failure."""
    if shutil.which("tshark") is None:
        if os.environ.get("PIMPY_ALLOW_MISSING"):
            pytest.skip("missing: the program tshark")
        pytest.fail("missing: the program tshark (PIMPY_ALLOW_MISSING=1 skips what is missing)")
    path = folder / "packets.pcap"
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file, linktype=LINKTYPE_RAW, snaplen=1 << 18)
        for number, packet in enumerate(packets):
            writer.writepkt(packet, ts=number)
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=|", "-o", "ip.check_checksum:TRUE"]
    for name in ("_ws.expert.message", "_ws.malformed", *fields):
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [["".join(row[:2]), *row[2:]] for row in rows]


def all_messages(oldest: tuple[int, ...], newest: int, group: bytes, sources: list[bytes]) -> list[Message]:
    """One message of each kind and version, for tshark."""
    any_group = bytes(len(group))
    queries: list[Message] = [Query(version, any_group, 10.0) for version in oldest]
    queries += [Query(version, group, 1.0) for version in oldest if version == max(oldest)]
    queries += [
        Query(newest, any_group, 10.0, False, 2, 125.0),
        Query(newest, any_group, 60.0, False, 0, 1000.0),
        Query(newest, group, 1.0, True, 7, 125.0),
        Query(newest, group, 1.0, False, 2, 125.0, tuple(sources)),
    ]
    reports: list[Message] = [OldReport(version, group) for version in oldest]
    records = [Record(kind, group, tuple(sources[:kind])) for kind in RECORD_TYPES]
    return [*queries, *reports, Leave(group), Report(tuple(records)), Report((Record(4, group),)), Report(())]
