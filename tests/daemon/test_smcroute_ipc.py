"""smcroute's control protocol: any bytes in any pieces, and what its commands answer."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.config.model import Config
from pimpy.core.engine.events import AddressesChanged, Configured, Event, LinkChanged
from pimpy.core.router import Router
from pimpy.daemon.commands import RefusedError
from pimpy.daemon.smcroute_ipc import HEADER, MAX_MESSAGE, BadMessage, Server, is_binary, parse
from pimpy.daemon.smcroute_text import Counts
from pimpy.wire.family import FAMILIES, Family, parse_address


class FakeDaemon:
    """Both routers, without a kernel."""

    def __init__(self) -> None:
        self.found = {family: Router(family, Random(1)) for family in FAMILIES}
        self.asked: list[str] = []
        for family, router in self.found.items():
            router.handle(Configured(Config(phyints_enabled=False)), 1.0)
            for ifindex, name in ((1, "lo"), (2, "t1"), (3, "t2")):
                router.handle(LinkChanged(ifindex, name, True, name != "lo", name == "lo", False, 1500), 1.0)
                address = parse_address("10.7.1.1" if family.size == 4 else "fe80::1")
                router.handle(AddressesChanged(ifindex, ((address, 24),)), 1.0)

    def routers(self) -> Mapping[Family, Router]:
        return self.found

    def feed(self, family: Family, event: Event) -> None:
        self.found[family].handle(event, 2.0)
        self.found[family].drain()

    def counts(self) -> dict[str, Counts]:
        return {}

    def command(self, name: str, args: Sequence[str]) -> str:
        self.asked.append(name)
        if name == "reload" and len(self.asked) > 1:
            raise RefusedError("F:1: broken")
        return ""


def frame(letter: str, *words: str) -> bytes:
    payload = b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return HEADER.pack(HEADER.size + len(payload), ord(letter), len(words)) + payload


def answers(server: Server, data: bytes, pieces: Sequence[int] = ()) -> bytes:
    """What a client gets that sends `data`, cut at these places, and then its end."""

    async def talk() -> bytes:
        ours, theirs = asyncio.StreamReader(), bytearray()

        class Writer:
            def write(self, said: bytes) -> None:
                theirs.extend(said)

            async def drain(self) -> None:
                pass

        task = asyncio.ensure_future(server.serve(b"", ours, Writer()))  # type: ignore[arg-type]
        places = [0, *sorted(place for place in pieces if place <= len(data)), len(data)]
        for start, end in pairwise(places):
            ours.feed_data(data[start:end])
            await asyncio.sleep(0)
        ours.feed_eof()
        await asyncio.wait_for(task, 10)
        return bytes(theirs)

    return asyncio.run(talk())


def test_the_bytes_of_the_reference() -> None:
    """As captured from Debian's smcroutectl."""
    said = bytes.fromhex("1e000000000000006a00020000000000") + b"t1\x00225.7.7.9\x00\x00"
    assert parse(said) == ("j", ["t1", "225.7.7.9"]) and frame("j", "t1", "225.7.7.9") == said
    assert is_binary(said) and not is_binary(b"{}") and not is_binary(b"show") and not is_binary(b"s")


@pytest.mark.parametrize(
    ("letter", "words", "answer"),
    [
        ("j", ("t1", "225.7.7.9"), ""),
        ("j", ("nope", "225.7.7.9"), "unknown interface nope"),
        ("j", ("t1", "10.1.1.1"), "join: Invalid multicast group: 10.1.1.1"),
        ("l", ("t1", "225.7.7.9"), "No group (*,225.7.7.9) on t1 to leave"),
        ("l", ("t1", "10.7.1.2", "232.1.1.1"), "No group (10.7.1.2,232.1.1.1) on t1 to leave"),
        ("a", ("t1", "225.7.7.9", "t2"), ""),
        ("a", ("t1", "ff0e::1", "t2"), ""),
        ("a", ("nope", "225.7.7.9", "t2"), "ipc: mroute: inbound nope is not a known phyint"),
        ("a", ("t1", "300.1.1.1", "t2"), "mroute: invalid source/group address: 300.1.1.1"),
        ("r", ("t1", "225.20.0.1"), "mroute: deleting route from t1 (0.0.0.0/32,225.20.0.1/32)"),
        ("F", (), ""),
        ("k", (), ""),
        ("H", (), ""),
        ("z", (), "Unknown or malformed IPC message 'z' from client."),
        ("a", ("t1",), "Unknown or malformed IPC message 'a' from client."),
    ],
)
def test_commands(letter: str, words: tuple[str, ...], answer: str) -> None:
    assert answers(Server(FakeDaemon()), frame(letter, *words)) == answer.encode() + b"\0"


def test_several_commands_on_a_connection_and_their_effect() -> None:
    daemon = FakeDaemon()
    server = Server(daemon)
    data = frame("a", "t1", "10.7.1.2", "225.1.1.1", "t2") + frame("a", "t1", "10.7.1.2", "225.1.1.1", "absent")
    assert answers(server, data + frame("j", "t1", "225.1.1.0/30") + frame("J", "routes")).startswith(b"\0\0\0{")
    four = daemon.found[FAMILIES[0]]
    (rule,) = four.static.rules.values()
    assert rule.route.outgoing == ("t2", "absent") and len(four.static.joins.joined) == 4
    show = server.answer("s", ["routes"]).decode()
    heading = "ROUTE (S,G)                                IIF  OIFS=\n"
    line = "(10.7.1.2, 225.1.1.1)                      t1   t2\n"
    assert show == f"(S,G) Rules_\n{heading}{line}Kernel MFC Table_\n{heading}{line}\0"
    detail = server.answer("S", []).decode()
    assert "ROUTE (S,G)                                IIF    PACKETS      BYTES  OIFS=\n" in detail
    assert "(10.7.1.2, 225.1.1.1)                      t1           0          0  t2\n" in detail
    assert server.answer("s", ["pending"]).decode() == (
        "PENDING ROUTES AND GROUPS\nmroute  from t1 source 10.7.1.2 group 225.1.1.1 to t2 absent\n\0"
    )
    interfaces = server.answer("s", ["interfaces"]).decode()
    assert interfaces.startswith(" INDEX PHYINT  VIF  MIF=\n     1 lo      N/A  N/A\n     2 t1        0  N/A\n")
    assert server.answer("r", ["t1", "10.7.1.2", "225.1.1.1", "absent"]) == b"\0"
    assert next(iter(four.static.rules.values())).route.outgoing == ("t2",)
    assert server.answer("r", ["t1", "10.7.1.2", "225.1.1.1"]) == b"\0" and not four.static.rules


def test_a_reload_that_is_refused_says_why() -> None:
    server = Server(FakeDaemon())
    assert server.answer("H", []) == b"\0" and server.answer("H", []) == b"F:1: broken\0"


def test_too_long_or_too_short_a_message_ends_the_connection() -> None:
    for length in (0, 8, MAX_MESSAGE + 1, 2**63):
        server = Server(FakeDaemon())
        data = struct.pack("@NHH4x", length, ord("s"), 0) + bytes(50) + frame("s")
        assert answers(server, data) == b"" and server.bad["malformed"] == 1
    with pytest.raises(BadMessage):
        parse(frame("s")[:8] + struct.pack("@HH4x", ord("s"), 9) + b"\0")


WORDS = st.sampled_from(["t1", "t+", "nope", "225.1.1.1", "10.7.1.2", "ff0e::1", "225.0.0.0/8", "\xff" * 90, "", "-1"])
MESSAGES = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda letter, words: frame(letter, *words), st.sampled_from("arjlFHksSJz0"), st.lists(WORDS, max_size=5)
    ),
)


@settings(max_examples=300)
@given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_any_bytes_in_any_pieces(messages: list[bytes], pieces: list[int]) -> None:
    """An answer or an end, never an exception; and the daemon still answers."""
    server = Server(FakeDaemon())
    answers(server, b"".join(messages), pieces)
    assert answers(server, frame("s", "interfaces")).startswith(b" INDEX PHYINT")
