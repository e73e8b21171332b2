"""The worker's end of the line to its keeper: what it may ask for, and what it was given."""

from __future__ import annotations

import os
import socket
from ast import literal_eval
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from pimpy.daemon.keeper import channel
from pimpy.daemon.keeper.channel import Message
from pimpy.wire.family import Prefix
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

SECONDS = 60.0
"""How long an answer may take; but for the first one, which waits for the table."""


class RefusedByKeeper(Exception):
    """The keeper will not do that: the text tells why."""


@frozen
class Given(Value):
    """What a worker starts with."""

    kept: Mapping[str, int]
    """Descriptors by name."""
    families: tuple[str, ...]
    adopts: bool
    """Whether the sockets may hold what another worker did."""
    restarts: int
    first: bool
    """Whether no worker of this keeper has served yet."""
    asked: tuple[tuple[str, int], ...]
    """(family, table) of the further tables that it asked for."""
    tables: tuple[tuple[str, int], ...]
    """(family, table) of the further tables that are open."""
    remarks: tuple[tuple[str, str, str], ...]
    """What the keeper would have logged: level, reason, text."""


class Keeping:
    """The keeper, as its worker sees it. With the line to it, this process ends."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line

    def hello(self) -> dict[str, Any]:
        """What the command line asked for, and `keeper`: its process number."""
        said: dict[str, Any] = literal_eval(self._answer("hello").text)
        return said

    def open(self, further: Sequence[tuple[str, int]] = ()) -> Given:
        """All that is open, as soon as it is, these further tables too."""
        channel.send(self.line, "open", " ".join(f"{family}:{table}" for family, table in further))
        kept: dict[str, int] = {}
        while (message := self._receive()).verb == "kept":
            kept.update(zip(message.text.split(), message.descriptors, strict=True))
        facts = literal_eval(message.text)
        families, tables, remarks = (tuple(facts.pop(name)) for name in ("families", "tables", "remarks"))
        return Given(kept, families, asked=tuple(further), tables=tables, remarks=remarks, **facts)

    def find(self) -> str | None:
        """See `configfile.Source`."""
        message = self._ask("find")
        return message.text if message.verb == "path" else None

    def read(self, path: str) -> str:
        """See `configfile.Source`."""
        with open(self._ask("read", path).descriptors[0], "rb") as file:
            return file.read().decode("utf-8", errors="replace")

    def expand(self, pattern: str) -> list[str]:
        """See `configfile.Source`."""
        text = self._ask("expand", pattern).text
        return text.split("\0") if text else []

    def use_spare(self) -> bool:
        """Read what was in force last from now on; whether there is such a thing."""
        try:
            self._ask("spare")
        except OSError:
            return False
        return True

    def tell(self, verb: str, text: str = "", descriptor: int | None = None) -> None:
        """Say what wants no answer: `ready`, `alive`, `reloaded`, `ending`, `keep`, `drop`, `room`."""
        try:
            channel.send(self.line, verb, text, () if descriptor is None else (descriptor,))
        except OSError:
            _without_keeper()

    def keep(self, name: str, descriptor: int) -> None:
        """It is to keep a copy of this descriptor."""
        self.tell("keep", name, descriptor)

    def drop(self, name: str) -> None:
        """It is to keep this one no longer."""
        self.tell("drop", name)

    def make_room(self, name: str) -> None:
        """Whole packets come to this socket from now on."""
        self.tell("room", name)

    def restart(self, program: str) -> None:
        """Start again, as `program` if it is not empty; RefusedByKeeper if that may not be."""
        message = self._ask("restart", program)
        if message.verb == "refused":
            raise RefusedByKeeper(message.text)

    def guard(self, accepted: tuple[tuple[Prefix, ...], tuple[Prefix, ...]] | None) -> None:
        """Let Registers in from these sources and these routers alone, by an nftables table; None: take it back.

        RefusedByKeeper if that cannot be.
        """
        text = "" if accepted is None else "|".join(" ".join(map(str, prefixes)) for prefixes in accepted)
        if len(text) > channel.MAX_TEXT // 2:
            raise RefusedByKeeper("too many ranges; put `pimpyd --print-guard` into your firewall")
        message = self._ask("guard", text)
        if message.verb == "refused":
            raise RefusedByKeeper(message.text)

    def lead(self, family: str, table: int, names: Iterable[str]) -> None:
        """Have these interfaces, and no others, use a further table; OSError or RefusedByKeeper if that cannot be."""
        message = self._ask("rules", " ".join((f"{family}:{table}", *names)))
        if message.verb == "refused":
            raise RefusedByKeeper(message.text)

    def _ask(self, verb: str, text: str = "") -> Message:
        self.line.settimeout(SECONDS)
        self.tell(verb, text)
        try:
            message = self._receive()
        finally:
            self.line.settimeout(None)
        if message.verb == "error":
            number = int(message.text)
            raise OSError(number, os.strerror(number))
        return message

    def _answer(self, verb: str) -> Message:
        message = self._receive()
        if message.verb != verb:
            _without_keeper()
        return message

    def _receive(self) -> Message:
        try:
            message = channel.receive(self.line)
        except OSError:
            message = None
        return message if message is not None else _without_keeper()


def _without_keeper() -> NoReturn:
    """A worker does not outlive its keeper: the next one needs the tables."""
    os._exit(1)
