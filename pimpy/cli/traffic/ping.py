"""The protocol of ssmping and asmping: a request by unicast, answered by unicast and by multicast at once.

A message is a letter (Q asks, A answers) and options: type and length, two bytes each, and the value. What a request
carries comes back as it is, so the client knows its own by number and time.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

from pimpy.cli.traffic import PORT as PORT
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

SSM_GROUPS = {socket.AF_INET: "232.43.211.234", socket.AF_INET6: "ff3e::4321:1234"}
ASK, ANSWER = b"Q", b"A"
CLIENT, SEQUENCE, TIME, GROUP = 1, 2, 3, 4
_FAMILIES = {1: 4, 2: 16}
"""The address families of IANA, and how long their addresses are."""
MAX_OPTIONS = 64


@frozen
class Message(Value):
    """A message; None for options that it does not carry."""

    kind: bytes
    client: int | None = None
    sequence: int | None = None
    time: float | None = None
    group: str | None = None


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    parts = [message.kind]
    if message.client is not None:
        parts.append(struct.pack("!HHI", CLIENT, 4, message.client))
    if message.sequence is not None:
        parts.append(struct.pack("!HHI", SEQUENCE, 4, message.sequence))
    if message.time is not None:
        whole = int(message.time)
        parts.append(struct.pack("!HHII", TIME, 8, whole, int((message.time - whole) * 1e6)))
    if message.group is not None:
        packed = ip_address(message.group).packed
        parts.append(struct.pack("!HHB", GROUP, 1 + len(packed), 1 if len(packed) == 4 else 2) + packed)
    return b"".join(parts)


def decode(data: bytes) -> Message | None:
    """A message; None for what is none, or is cut off."""
    if data[:1] not in (ASK, ANSWER):
        return None
    at, found = 1, dict[int, bytes]()
    while at + 4 <= len(data) and len(found) < MAX_OPTIONS:
        kind, length = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + length]
        if len(value) != length:
            return None
        found.setdefault(kind, value)
        at += 4 + length
    numbers = _number(found.get(CLIENT)), _number(found.get(SEQUENCE))
    return Message(data[:1], *numbers, _time(found.get(TIME)), _group(found.get(GROUP)))


def _number(value: bytes | None) -> int | None:
    return int(struct.unpack("!I", value)[0]) if value is not None and len(value) == 4 else None


def _time(value: bytes | None) -> float | None:
    if value is None or len(value) != 8:
        return None
    whole, micro = struct.unpack("!II", value)
    return float(whole + micro / 1e6)


def _group(value: bytes | None) -> str | None:
    """The group of an option: one byte of family in ssmping 0.9, two in later drafts, and the address."""
    if value is None:
        return None
    for size, width in _FAMILIES.items():
        for head in (1, 2):
            if len(value) == head + width and int.from_bytes(value[:head], "big") == size:
                address = ip_address(value[head:])
                return str(address) if address.is_multicast else None
    return None


def answer(data: bytes) -> tuple[bytes, str] | None:
    """What an answerer sends to a request, and to which group beside the client; None if it is no request."""
    message = decode(data)
    if message is None or message.kind != ASK or message.group is None:
        return None
    return ANSWER + data[1:], message.group
