"""The recorder sits on the seam of the core: what went in, and a check sum of what came out.

A recording is JSON lines. The first names its format; each further one is of one family:
`{"af", "t", "seed"}` a router begins, `{"af", "t", "event"}` an event, `{"af", "t"}` the timers up to then,
`{"af", "effects"}` the check sum of a drain, and `{"af", "t", "state"}` that of all rows, before Shutdown and at
the end. What is of a further table of the kernel has its number beside, `"table"`. Replaying runs the stream through
fresh routers and compares: a field problem is run again on a desk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from copy import copy
from hashlib import blake2b
from random import Random
from typing import IO, Any

from pimpy import __version__
from pimpy.config import model
from pimpy.core import views
from pimpy.core.engine import effects, events
from pimpy.core.router import Router
from pimpy.wire.family import FAMILIES, Prefix
from pimpy.wire.record import define, fields, frozen, is_record
from pimpy.wire.value import Value

FORMAT = 1

_Key = tuple[str, int]
"""The family's name, and the table; 0 for the main one."""

_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for module in (events, model)
    for cls in vars(module).values()
    if isinstance(cls, type) and is_record(cls)
} | {"Prefix": Prefix}


class BadRecordingError(Exception):
    """A recording that cannot be read: the text names the line."""


def to_plain(value: Any) -> Any:
    """An event, a configuration or a part of one as what JSON can hold."""
    if isinstance(value, bytes):
        return {"x": value.hex()}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if is_record(type(value)):
        names = (attribute.name for attribute in fields(type(value)))
        return {"c": type(value).__name__, **{name: to_plain(getattr(value, name)) for name in names}}
    return value


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`; ValueError, KeyError or TypeError for what it never made."""
    if isinstance(value, list):
        return tuple(from_plain(item) for item in value)
    if isinstance(value, dict):
        if "x" in value:
            return bytes.fromhex(value["x"])
        arguments = {name: from_plain(item) for name, item in value.items() if name != "c"}
        return _CLASSES[value["c"]](**arguments)
    return value


def effects_sum(drained: Iterable[effects.Effect]) -> str:
    """The check sum of a list of effects."""
    return _sum(map(repr, drained))


def state_sum(router: Router) -> str:
    """The check sum of everything that a router can tell of itself."""
    return _sum(repr(row) for kind in views.KINDS for row in router.rows(kind))


def _sum(texts: Iterable[str]) -> str:
    digest = blake2b(digest_size=8)
    for text in texts:
        digest.update(text.encode())
    return digest.hexdigest()


@define
class _Stream:
    """Where all of one recording is written."""

    file: IO[str] | None


class Recorder:
    """Writes a recording to `file`, a text stream. OSError of the stream ends the recording, not the daemon."""

    def __init__(self, file: IO[str]) -> None:
        self._stream = _Stream(file)
        self._table: dict[str, int] = {}
        self._write({"pimpy": __version__, "format": FORMAT})

    def of_table(self, table: int) -> Recorder:
        """What is written by it goes to the same recording, and is of a further table."""
        other = copy(self)
        other._table = {"table": table}
        return other

    def begins(self, router: Router, seed: int) -> None:
        """A router with random numbers from `seed`."""
        self._write({"af": router.family.name, **self._table, "seed": seed})

    def event(self, router: Router, event: events.Event, now: float) -> None:
        """`event` is about to be handled."""
        if self._stream.file is not None:
            self._write({"af": router.family.name, **self._table, "t": now, "event": to_plain(event)})

    def advance(self, router: Router, now: float) -> None:
        """The timers up to `now` are about to fire."""
        self._write({"af": router.family.name, **self._table, "t": now})

    def drained(self, router: Router, drained: list[effects.Effect]) -> None:
        """This is what a drain brought."""
        if self._stream.file is not None:
            self._write({"af": router.family.name, **self._table, "effects": effects_sum(drained)})

    def state(self, router: Router) -> None:
        """This is what the router can tell of itself now."""
        if self._stream.file is not None:
            now = router.heap.now
            self._write({"af": router.family.name, **self._table, "t": now, "state": state_sum(router)})

    def close(self) -> None:
        """Write out what is left."""
        if self._stream.file is not None:
            file, self._stream.file = self._stream.file, None
            file.close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._stream.file is None:
            return
        try:
            self._stream.file.write(json.dumps(line, separators=(",", ":")) + "\n")
        except OSError:
            self._stream.file = None


@frozen
class Replay(Value):
    """What a replay found, for one family and table."""

    family: str
    table: int
    """0 for the main table."""
    events: int
    drains: int
    differences: tuple[int, ...]
    """Lines of the recording at which the effects or the state were others."""
    complete: bool
    """Whether the recording had its end."""
    router: Router


@define
class _Run:
    router: Router
    events: int = 0
    drains: int = 0
    complete: bool = False
    differences: list[int] | None = None


def replay(lines: Iterable[str]) -> Iterator[Replay]:
    """Run a recording through fresh routers; BadRecordingError names the line that cannot be read."""
    runs: dict[_Key, _Run] = {}
    for number, text in enumerate(lines, 1):
        try:
            _replay_line(runs, number, json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BadRecordingError(f"line {number}: {problem!r}") from problem
    for key, run in runs.items():
        yield Replay(*key, run.events, run.drains, tuple(run.differences or ()), run.complete, run.router)


def _replay_line(runs: dict[_Key, _Run], number: int, line: dict[str, Any]) -> None:
    if number == 1:
        if line["format"] != FORMAT:
            raise ValueError(f"format {line['format']}, only {FORMAT} is known")
        return
    key = line["af"], line.get("table", 0)
    if "seed" in line:
        family = next(family for family in FAMILIES if family.name == line["af"])
        runs[key] = _Run(Router(family, Random(line["seed"])), differences=[])
        return
    run = runs[key]
    assert run.differences is not None
    if "event" in line:
        run.events += 1
        run.complete = False
        run.router.handle(from_plain(line["event"]), line["t"])
    elif "effects" in line:
        run.drains += 1
        if effects_sum(run.router.drain()) != line["effects"]:
            run.differences.append(number)
    elif "state" in line:
        run.complete = True
        run.router.heap.now = max(run.router.heap.now, line["t"])
        if state_sum(run.router) != line["state"]:
            run.differences.append(number)
    else:
        run.router.advance(line["t"])
