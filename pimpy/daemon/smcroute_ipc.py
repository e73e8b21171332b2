"""smcroute's binary control protocol, so that its smcroutectl and scripts work.

A message is `struct {size_t len; uint16 cmd; uint16 count; char argv[0]}` in the host's byte order and word size, at
most 1024 bytes with its header: `count` strings, each with a NUL behind it, and one NUL more. The answer to a
command is one NUL, or a text and a NUL: what is to be shown, or what went wrong. Older clients (2.5) read until the
end of the stream, newer ones may send further messages: a client that sends none for a moment is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pimpy.config import route_words
from pimpy.config.diagnostics import shown
from pimpy.config.routes import Static, StaticJoin, StaticRoute
from pimpy.core.engine.events import Event, FlushIdle, StaticEdited
from pimpy.core.router import Router
from pimpy.daemon import smcroute_text
from pimpy.daemon.commands import RefusedError
from pimpy.wire.family import Family, family_of, parse_address

log = logging.getLogger("pimpy.control")

HEADER = struct.Struct("@NHH4x" if struct.calcsize("@N") == 8 else "@NHH")
MAX_MESSAGE = 1024
SHOWN = ("routes", "groups", "interfaces", "pending")
_LEAST = {"a": 3, "r": 2, "j": 2, "l": 2}
"""How many arguments a command needs at least."""


class Daemon(Protocol):
    """What the commands need of the daemon."""

    def routers(self) -> Mapping[Family, Router]:
        """The router of each family that runs."""

    def feed(self, family: Family, event: Event) -> None:
        """Let an event happen, and what follows from it."""

    def counts(self) -> dict[str, smcroute_text.Counts]:
        """The kernel's counters by the family's name."""

    def command(self, name: str, args: Sequence[str]) -> str:
        """`reload` and `kill`; RefusedError if it cannot be."""


class BadMessage(Exception):
    """Bytes that are no message: the connection ends."""


class CommandError(Exception):
    """A command that failed; the text is the answer."""


def is_binary(first: bytes | bytearray) -> bool:
    """Whether a connection that begins with these two bytes or more speaks this protocol, and no text or JSON."""
    return len(first) >= 2 and first[1] <= MAX_MESSAGE >> 8


def parse(message: bytes) -> tuple[str, list[str]]:
    """The command's letter and its arguments; BadMessage if the bytes are no message."""
    _, command, count = HEADER.unpack_from(message)
    words = message[HEADER.size :].split(b"\0")
    if not 32 < command < 127 or count > len(words) - 1:
        raise BadMessage
    return chr(command), [word.decode("utf-8", errors="replace") for word in words[:count]]


class Server:
    """Answers the messages of clients. `bad` counts what they did wrong."""

    def __init__(self, daemon: Daemon, first: float = 10.0, grace: float = 0.05, write: float = 10.0) -> None:
        self.daemon = daemon
        self.bad: Counter[str] = Counter()
        self._first = first
        self._grace = grace
        self._write = write

    async def serve(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer message after message; `first` has been read already. TimeoutError if the client is too slow."""
        buffer = bytearray(first)
        patience = self._first
        while (message := await self._message(buffer, reader, patience)) is not None:
            patience = self._grace
            try:
                writer.write(self.answer(*parse(message)))
            except BadMessage:
                self.bad["malformed"] += 1
                return
            async with asyncio.timeout(self._write):
                await writer.drain()
            await asyncio.sleep(0)

    async def _message(self, buffer: bytearray, reader: asyncio.StreamReader, patience: float) -> bytes | None:
        """The next message; None at the end of the stream, where it has none, or if none begins within `patience`.

        TimeoutError if one that began does not end.
        """
        if not buffer:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    buffer += await reader.read(MAX_MESSAGE)
            if not buffer:
                return None
        async with asyncio.timeout(self._first):
            while True:
                if len(buffer) >= HEADER.size:
                    length = HEADER.unpack_from(buffer)[0]
                    if not HEADER.size <= length <= MAX_MESSAGE:
                        self.bad["malformed"] += 1
                        return None
                    if len(buffer) >= length:
                        message = bytes(buffer[:length])
                        del buffer[:length]
                        return message
                chunk = await reader.read(MAX_MESSAGE)
                if not chunk:
                    return None
                buffer += chunk

    def answer(self, command: str, args: list[str]) -> bytes:
        """Do a command; the answer with its NUL."""
        act = _COMMANDS.get(command)
        try:
            if act is None or len(args) < _LEAST.get(command, 0):
                raise CommandError(f"Unknown or malformed IPC message '{command}' from client.")
            text = act(self, args)
        except CommandError as error:
            self.bad["refused"] += 1
            log.warning("%s", error, extra={"reason": "smcroutectl"})
            text = str(error)
        except Exception:
            log.exception("internal error in a command of smcroutectl")
            text = "Internal error, see the log."
        return text.encode("utf-8", errors="replace").replace(b"\0", b"") + b"\0"

    # The commands.

    def add(self, args: list[str]) -> str:
        """`add IIF [S[/L]] G[/L] OIF...`: to a route that is there, these interfaces are added."""
        family, route = self._route(args)
        router = self._router(family)
        if not self._is_known(router, route.interface):
            raise CommandError(f"ipc: mroute: inbound {shown(route.interface)} is not a known phyint")
        known = router.static.rules.get(route.key)
        if known is not None:
            outgoing = tuple(dict.fromkeys(known.route.outgoing + route.outgoing))
            route = StaticRoute(route.interface, route.source, route.group, outgoing)
        self.daemon.feed(family, StaticEdited(Static((route,)), True))
        return ""

    def remove(self, args: list[str]) -> str:
        """`remove IIF [S] G [OIF...]`: the route, or only these of its outgoing interfaces."""
        family, route = self._route(args)
        known = self._router(family).static.rules.get(route.key)
        if known is None:
            source = route.source if route.source is not None else family.host(family.any)
            raise CommandError(f"mroute: deleting route from {shown(route.interface)} ({source},{route.group})")
        left = tuple(name for name in known.route.outgoing if name not in route.outgoing)
        if route.outgoing and left:
            changed = StaticRoute(route.interface, route.source, route.group, left)
            self.daemon.feed(family, StaticEdited(Static((changed,)), True))
        else:
            self.daemon.feed(family, StaticEdited(Static((route,)), False))
        return ""

    def join(self, args: list[str]) -> str:
        """`join IIF [S[/L]] G[/L]`"""
        family, join = self._join(args)
        router = self._router(family)
        if not self._is_known(router, join.interface):
            raise CommandError(f"unknown interface {shown(join.interface)}")
        if join in router.static.joins.wanted:
            raise CommandError(f"Already joined {_channel(join)} on {join.interface}")
        self.daemon.feed(family, StaticEdited(Static((), (join,)), True))
        return ""

    def leave(self, args: list[str]) -> str:
        """`leave IIF [S[/L]] G[/L]`"""
        family, join = self._join(args)
        if join not in self._router(family).static.joins.wanted:
            raise CommandError(f"No group {_channel(join)} on {shown(join.interface)} to leave")
        self.daemon.feed(family, StaticEdited(Static((), (join,)), False))
        return ""

    def flush(self, args: list[str]) -> str:
        """Entries of streams that were silent since the last flush go."""
        for family in self.daemon.routers():
            self.daemon.feed(family, FlushIdle())
        return ""

    def reload(self, args: list[str]) -> str:
        """Read the configuration again."""
        try:
            self.daemon.command("reload", [])
        except RefusedError as refusal:
            raise CommandError(refusal.text) from None
        return ""

    def kill(self, args: list[str]) -> str:
        """End."""
        self.daemon.command("kill", [])
        return ""

    def show(self, args: list[str]) -> str:
        """`show [routes|groups|interfaces|pending]`"""
        return smcroute_text.show(_what(args), list(self.daemon.routers().values()), self.daemon.counts(), False)

    def show_detail(self, args: list[str]) -> str:
        """The same with `-d`."""
        return smcroute_text.show(_what(args), list(self.daemon.routers().values()), self.daemon.counts(), True)

    def show_json(self, args: list[str]) -> str:
        """The same with `-j`."""
        return smcroute_text.as_json(_what(args), list(self.daemon.routers().values()), self.daemon.counts())

    def _route(self, args: list[str]) -> tuple[Family, StaticRoute]:
        words = self._words(args)
        route = route_words.route(words, _complain)
        assert route is not None, "complaints are raised"
        return family_of(route.group.network), route

    def _join(self, args: list[str]) -> tuple[Family, StaticJoin]:
        join = route_words.join(self._words(args[:3]), _complain)
        assert join is not None, "complaints are raised"
        return family_of(join.group.network), join

    def _words(self, args: list[str]) -> route_words.Words:
        """The words in their places: IIF, then a source if it is no group, then the group."""
        interface, first, *rest = args
        words = route_words.Words(route_words.interface_name(interface))
        if rest and not _is_group(first) and (_is_group(rest[0]) or _is_address(first)):
            words.source, first, *rest = first, *rest
        words.group = first
        words.outgoing = tuple(map(route_words.interface_name, rest))
        return words

    def _router(self, family: Family) -> Router:
        router = self.daemon.routers().get(family)
        if router is None:
            raise CommandError(f"this host routes no {family.name}")
        return router

    def _is_known(self, router: Router, name: str) -> bool:
        return name.endswith("+") or any(interface.name == name for interface in router.interfaces.values())


def _complain(word: str | None, text: str) -> None:
    if word is not None and text.endswith(f"multicast group: {shown(word)}"):
        text = f"mroute: invalid source/group address: {shown(word)}" if text.startswith("mroute") else text
    raise CommandError(text)


def _is_address(word: str) -> bool:
    try:
        parse_address(word.partition("/")[0])
    except ValueError:
        return False
    return True


def _is_group(word: str) -> bool:
    if not _is_address(word):
        return False
    address = parse_address(word.partition("/")[0])
    return family_of(address).is_multicast(address)


def _what(args: list[str]) -> str:
    """Which table is asked for: by the beginning of its name, else the routes."""
    word = args[0] if args else ""
    return next((name for name in SHOWN if word and name.startswith(word)), "routes")


def _channel(join: StaticJoin) -> str:
    return f"({smcroute_text.text_of(join.source) or '*'},{smcroute_text.text_of(join.group)})"


_COMMANDS: dict[str, Callable[[Server, list[str]], str]] = {
    "a": Server.add,
    "r": Server.remove,
    "j": Server.join,
    "l": Server.leave,
    "F": Server.flush,
    "H": Server.reload,
    "k": Server.kill,
    "s": Server.show,
    "S": Server.show_detail,
    "J": Server.show_json,
}
