"""The kernel's multicast rules (`ip mrule`): what comes in by an interface, or leaves by it, uses another table.

They are told by what they are made of. Those that an earlier process left are known by their protocol number.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket

from pimpy.kernel.attributes import attributes

PRIORITY = 31_000
"""Before the rule that leads everything to the main table (32767)."""
PROTOCOL = 112
"""Whose rules they are: no routing daemon has this number (/etc/iproute2/rt_protos)."""
FAMILIES = {"ipv4": 128, "ipv6": 129}
"""RTNL_FAMILY_IPMR and RTNL_FAMILY_IP6MR."""

_NEW, _DELETE, _GET, _ERROR, _DONE = 32, 33, 34, 2, 3
_REQUEST, _ACK, _DUMP, _EXCLUSIVE, _CREATE = 1, 4, 0x300, 0x200, 0x400
_TO_TABLE = 1
_IIF, _PRIORITY, _TABLE, _OIF, _PROTOCOL = 3, 6, 15, 17, 21
_HEADER = struct.Struct("=IHHII")
_RULE = struct.Struct("=BBBBBBBBI")

Rule = tuple[int, str, int]
"""(FRA_IIFNAME or FRA_OIFNAME, the interface's name, table)."""


def set_rules(family: str, table: int, names: set[str]) -> None:
    """Lead these interfaces, and no others, to the table; OSError if the kernel refuses."""
    wanted: set[Rule] = {(kind, name, table) for name in names for kind in (_IIF, _OIF)}
    with socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) as line:
        line.settimeout(5)
        standing = {rule for rule in _ours(line, FAMILIES[family]) if rule[2] == table}
        for rule in standing - wanted:
            _change(line, FAMILIES[family], _DELETE, 0, rule)
        for rule in wanted - standing:
            _change(line, FAMILIES[family], _NEW, _CREATE | _EXCLUSIVE, rule)


def tables(family: str) -> set[int]:
    """The tables to which rules of this kind lead, whoever's they are; none if the kernel has no such rules."""
    try:
        with socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) as line:
            line.settimeout(5)
            return {table for _, _, table in _ours(line, FAMILIES[family])}
    except OSError:
        return set()


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _change(line: socket, family: int, kind: int, flags: int, rule: Rule) -> None:
    which, name, table = rule
    body = _RULE.pack(family, 0, 0, 0, 0, 0, 0, _TO_TABLE, 0)
    body += _attribute(_PRIORITY, struct.pack("=I", PRIORITY)) + _attribute(_TABLE, struct.pack("=I", table))
    body += _attribute(which, name.encode() + b"\0") + _attribute(_PROTOCOL, bytes((PROTOCOL,)))
    line.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body)
    for found, data in _messages(line):
        number = -struct.unpack_from("=i", data)[0] if found == _ERROR else 0
        if number not in (0, errno.EEXIST, errno.ENOENT):
            raise OSError(number, os.strerror(number))


def _ours(line: socket, family: int) -> list[Rule]:
    """The rules of ours that stand."""
    body = _RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    line.send(_HEADER.pack(_HEADER.size + len(body), _GET, _REQUEST | _DUMP, 1, 0) + body)
    found = []
    for kind, data in _messages(line, until=_DONE):
        if kind == _NEW:
            values = attributes(data, _RULE.size)
            if values.get(_PROTOCOL) == bytes((PROTOCOL,)) and _TABLE in values:
                table = struct.unpack("=I", values[_TABLE])[0]
                found += [(k, values[k].rstrip(b"\0").decode(), table) for k in (_IIF, _OIF) if k in values]
    return found


def _messages(line: socket, until: int = _ERROR) -> Iterator[tuple[int, bytes]]:
    """(type, body) of the messages up to one of type `until`, or an error."""
    while True:
        data = line.recv(1 << 16)
        while len(data) >= _HEADER.size:
            length, kind, _, _, _ = _HEADER.unpack_from(data)
            if length < _HEADER.size:
                return
            yield kind, data[_HEADER.size : length]
            if kind in (until, _ERROR, _DONE):
                return
            data = data[(length + 3) & ~3 :]
