"""The loops of pimctl join, send and ping, until their count, their time or an interrupt ends them."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from pimpy.cli.detail import scaled
from pimpy.cli.traffic import ping, sockets, stream

Show = Callable[[str], None]


def receive(
    group: str,
    source: str | None,
    index: int,
    port: int,
    seconds: float | None,
    count: int | None,
    as_json: bool,
    show: Show,
) -> bool:
    """Join, count what arrives, tell each second; whether anything arrived."""
    started, told = time.monotonic(), time.monotonic()
    streams: dict[str, stream.Arrivals] = {}
    before: dict[str, tuple[int, int]] = {}
    with sockets.receiver(group, source, index, port) as sock, suppress(KeyboardInterrupt):
        while not _over(started, seconds) and not _enough(streams, count):
            ready, _, _ = select.select([sock], [], [], 0.1)
            if ready:
                data, sender, _, when, ttl = sockets.take(sock)
                streams.setdefault(sender, stream.Arrivals()).take(data, when or time.time(), ttl)
            if time.monotonic() - told >= 1:
                passed, told = time.monotonic() - told, time.monotonic()
                for sender, found in streams.items():
                    packets, octets = before.get(sender, (0, 0))
                    rates = (found.received - packets) / passed, (found.octets - octets) * 8 / passed
                    before[sender] = found.received, found.octets
                    if not as_json:
                        show(_arrived(sender, group, found, rates))
    for sender, found in sorted(streams.items()):
        flat = json.dumps(_row(sender, group, found)) + "\n"
        show(flat if as_json else "in all: " + _arrived(sender, group, found, None))
    if not streams and not as_json:
        show(f"nothing arrived from {source or 'anybody'} to {group}, port {port}; another port is heard by --port N\n")
    return bool(streams)


def _over(started: float, seconds: float | None) -> bool:
    return seconds is not None and time.monotonic() - started >= seconds


def _enough(streams: dict[str, stream.Arrivals], count: int | None) -> bool:
    return count is not None and sum(found.received for found in streams.values()) >= count


def _arrived(sender: str, group: str, found: stream.Arrivals, rates: tuple[float, float] | None) -> str:
    said = [f"{found.received} packets"]
    if rates is not None:
        said.append(f"{rates[0]:.0f}/s, {scaled(rates[1], 'bit/s')}")
    if found.numbered:
        said.append(f"{found.lost} lost, {found.duplicates} twice, {found.reordered} out of order")
        said.append(f"delay {_ms(found.delays[0])}/{_ms(found.delay or 0)}/{_ms(found.delays[2])} ms")
    if found.ttl is not None:
        said.append(f"TTL {found.ttl}")
    return f"({sender},{group}) " + ", ".join(said) + "\n"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


def _row(sender: str, group: str, found: stream.Arrivals) -> dict[str, Any]:
    return {
        "source_address": sender,
        "group": group,
        "packets": found.received,
        "bytes": found.octets,
        "lost": found.lost,
        "duplicates": found.duplicates,
        "reordered": found.reordered,
        "delay": found.delay,
        "ttl": found.ttl,
    }


def send(
    group: str, index: int, port: int, ttl: int, rate: float, size: int, seconds: float | None, count: int | None
) -> int:
    """Send numbered packets at a pace; how many went out."""
    sent, started = 0, time.monotonic()
    with sockets.sender(group, index, ttl) as sock, suppress(KeyboardInterrupt):
        while not _over(started, seconds) and (count is None or sent < count):
            due = started + sent / rate
            if (wait := due - time.monotonic()) > 0:
                time.sleep(min(wait, 0.2))
                continue
            sock.sendto(stream.packet(sent, time.time(), size), (group, port))
            sent += 1
    return sent


def ask(host: str, group: str | None, index: int, count: int, interval: float, show: Show) -> dict[str, int]:
    """Ping a host that answers; how many were sent, and came back by unicast and by multicast."""
    family = sockets.family_of(host)
    wanted, source = (group, None) if group is not None else (ping.SSM_GROUPS[family], host)
    client = os.getpid() & 0xFFFF
    tally = {"sent": 0, "unicast": 0, "multicast": 0}
    with sockets.asker(family) as own:
        port = own.getsockname()[1]
        with sockets.receiver(wanted, source, index, port) as joined, suppress(KeyboardInterrupt):
            for sequence in range(1, count + 1):
                message = ping.Message(ping.ASK, client, sequence, time.time(), wanted)
                own.sendto(ping.encode(message), (host, ping.PORT))
                tally["sent"] += 1
                for line, kind in _answers(own, joined, client, interval, last=(tally, count)):
                    tally[kind] += 1
                    show(line)
    return tally


def _answers(
    own: socket.socket, joined: socket.socket, client: int, interval: float, last: tuple[dict[str, int], int]
) -> Iterator[tuple[str, str]]:
    """(line, `unicast` or `multicast`) of each answer within the interval; after the last request until all came."""
    deadline = time.monotonic() + interval
    tally, count = last
    while (left := deadline - time.monotonic()) > 0:
        if tally["sent"] == count and tally["unicast"] >= count and tally["multicast"] >= count:
            return
        ready, _, _ = select.select([own, joined], [], [], left)
        for sock in ready:
            try:
                data, host, _, when, ttl = sockets.take(sock)
            except ConnectionError:
                continue  # nobody answers there; the next one may
            message = ping.decode(data)
            if message is None or message.kind != ping.ANSWER or message.client != client or message.time is None:
                continue
            kind = "unicast" if sock is own else "multicast"
            passed = _ms((when or time.time()) - message.time)
            hops = "" if ttl is None else f" ttl={ttl}"
            yield f"  {kind} from {host}, seq={message.sequence}{hops} time={passed} ms\n", kind


def answer(index: int | None, ttl: int, count: int | None, show: Show) -> int:
    """Answer requests of both families as ssmpingd does, out of the interface that they came in by, unless one is
    named; how many there were."""
    waiting = [sockets.answerer(socket.AF_INET, ping.PORT), sockets.answerer(socket.AF_INET6, ping.PORT)]
    answered = 0
    with suppress(KeyboardInterrupt):
        while count is None or answered < count:
            ready, _, _ = select.select(waiting, [], [], 1.0)
            for sock in ready:
                data, address, came_by = sockets.request(sock)
                found = ping.answer(data)
                if found is None or sockets.family_of(found[1]) != sock.family:
                    continue
                reply, group = found
                sockets.set_way_out(sock, index or came_by, ttl)
                for to in (address, (group, address[1])):
                    with suppress(OSError):
                        sock.sendto(reply, to)
                answered += 1
                show(f"answered {address[0]} to {group}\n")
    for sock in waiting:
        sock.close()
    return answered
