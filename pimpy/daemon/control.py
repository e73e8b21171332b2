"""The control socket: a Unix stream socket that speaks JSON, one request a line, and pimd's text protocol.

JSON: `{"command": "show neighbors"}` is answered by `{"rows": [...]}`, `{"text": "..."}` or
`{"error": "...", "code": N}` (N as pimctl's exit code), a line each, as many as the client likes. Any other
first byte is pimd's protocol: one command, ended by a newline, the end of the stream or 50 ms of silence; its
answer, and the end.
Clients are bounded in number, time and memory; whatever they send, routing goes on.
What answers are made of is imported when it is first needed: see `later.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from heapq import merge
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Any

from pimpy.daemon import commands
from pimpy.daemon.backend import Backend
from pimpy.daemon.keeper.listener import SocketHeldError as SocketHeldError
from pimpy.daemon.keeper.listener import listen as listen
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.daemon import smcroute_ipc
    from pimpy.daemon.rows import AnyRow

log = logging.getLogger("pimpy.control")

_SLICE = 200
"""Rows that are formatted before the loop gets its turn again: about 2 ms."""


@frozen
class Limits(Value):
    """How much of the daemon a client may take. Times are in seconds."""

    clients: int = 32
    line: int = 65536
    """Bytes of a request."""
    silence: float = 0.05
    """What ends a request of pimd's protocol, whose client sends no newline."""
    first: float = 10.0
    """Until the first byte."""
    request: float = 5.0
    """From the first byte of a JSON request to its newline."""
    idle: float = 60.0
    """Between two JSON requests."""
    write: float = 10.0
    """Until a client has taken the next slice of its answer."""


DEFAULT_LIMITS = Limits()


class ControlServer:
    """The control socket of one daemon. `bad` counts, by reason, what clients did wrong."""

    def __init__(
        self, path: str, backend: Backend, limits: Limits = DEFAULT_LIMITS, binary: smcroute_ipc.Server | None = None
    ) -> None:
        self.path = path
        self.binary = binary
        """Who answers clients that speak smcroute's protocol."""
        self.backend = backend
        self.limits = limits
        self.bad: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._inode: tuple[int, int] | None = None

    async def start(self, listener: socket.socket | None = None) -> None:
        """Serve on `listener`, or on a socket of our own at `path` (see `listen` for what that raises)."""
        sock = listener if listener is not None else listen(self.path)
        self._inode = _inode(self.path)
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=self.limits.line)

    async def close(self) -> None:
        """Let answers that are under way end within a second, then close everything and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        tasks = self._tasks - {asyncio.current_task()}
        busy = {task for task in tasks if task.get_name() == "busy"}
        if busy:
            await asyncio.wait(busy, timeout=1.0)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._inode is not None and _inode(self.path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._tasks) >= self.limits.clients:
                self.bad["too_many_clients"] += 1
                text = f"{self.limits.clients} clients are connected already; try again later"
                writer.write(_line({"error": text, "code": commands.REFUSED}))
                return
            self._tasks.add(task)
            await _Client(self, reader, writer, task).run()
        except TimeoutError:
            self.bad["timeout"] += 1
            writer.transport.abort()
        except OSError:
            self.bad["lost"] += 1
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()


class _Client:
    """One connection."""

    def __init__(
        self,
        server: ControlServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        task: asyncio.Task[None],
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.task = task
        self.buffer = bytearray()

    async def run(self) -> None:
        """Answer request after request until the client, its protocol or a limit ends it."""
        patience = self.server.limits.first
        if self.server.binary is not None and await self._is_binary():
            await self.server.binary.serve(bytes(self.buffer), self.reader, self.writer)
            return
        while (request := await self._request(patience)) is not None:
            self.task.set_name("busy")
            if not request.lstrip().startswith(b"{"):
                await self._write(self._text(request))
                return
            await self._json(request)
            self.task.set_name("idle")
            patience = self.server.limits.idle

    async def _is_binary(self) -> bool:
        """Whether the first two bytes are smcroute's; they stay in the buffer."""
        from pimpy.daemon import smcroute_ipc

        async with asyncio.timeout(self.server.limits.first):
            while len(self.buffer) < 2 and (chunk := await self.reader.read(4096)):
                self.buffer += chunk
        return smcroute_ipc.is_binary(self.buffer)

    async def _request(self, patience: float) -> bytes | None:
        """The next request; None at the end. TimeoutError if the client does not come to an end with it."""
        limits = self.server.limits
        started: float | None = None
        clock = asyncio.get_running_loop().time
        while (end := self.buffer.find(b"\n")) < 0:
            if len(self.buffer) > limits.line:
                await self._too_long()
                return None
            is_json = self.buffer.lstrip()[:1] == b"{"
            if not self.buffer:
                wait = patience
            elif is_json:
                started = clock() if started is None else started
                wait = started + limits.request - clock()
            else:
                wait = limits.silence
            try:
                async with asyncio.timeout(wait):
                    chunk = await self.reader.read(4096)
            except TimeoutError:
                if not self.buffer or is_json:
                    raise
                break
            if not chunk:
                break
            self.buffer += chunk
        if end > limits.line:
            await self._too_long()
            return None
        line = bytes(self.buffer if end < 0 else self.buffer[: end + 1])
        del self.buffer[: len(line)]
        return line or None

    async def _too_long(self) -> None:
        self.server.bad["line_too_long"] += 1
        text = f"a request has at most {self.server.limits.line} bytes"
        await self._write(_line({"error": text, "code": commands.USAGE}))

    def _text(self, request: bytes) -> bytes:
        """pimd's protocol."""
        from pimpy.daemon import pimd_text

        try:
            answer = pimd_text.answer(self.server.backend, request.decode("utf-8", errors="replace"))
        except commands.RefusedError as refusal:
            self.server.bad["refused"] += 1
            answer = f"{refusal.text}\n"
        except Exception:
            log.exception("internal error in a command of the text protocol")
            answer = "Internal error, see the log.\n"
        return answer.encode("utf-8", errors="replace")

    async def _json(self, request: bytes) -> None:
        try:
            command = _command(request)
            if commands.is_monitor(command):
                await self._monitor()
                return
            rows, text = commands.answer(self.server.backend, command)
        except commands.RefusedError as refusal:
            self.server.bad["refused"] += 1
            await self._write(_line({"error": refusal.text, "code": refusal.code}))
            return
        except Exception:
            log.exception("internal error in a command of the control socket")
            await self._write(_line({"error": "internal error, see the daemon's log", "code": commands.REFUSED}))
            return
        if rows is None:
            await self._write(_line({"text": text}))
        else:
            await self._rows(rows)

    async def _rows(self, rows: list[AnyRow]) -> None:
        """The rows in order, slice by slice, so that the loop has its turn between them."""
        from pimpy.daemon.rows import as_json

        ordered = await _ordered(rows)
        before = commands.BEFORE_ROWS
        while piece := list(islice(ordered, _SLICE)):
            await self._write(before + as_json(piece).encode("utf-8", errors="replace"))
            await asyncio.sleep(0)
            before = commands.BETWEEN_ROWS.encode()
        await self._write(commands.BEHIND_ROWS if rows else commands.BEFORE_ROWS + commands.BEHIND_ROWS)

    async def _monitor(self) -> None:
        """Events, one an answer, until the client says something or goes."""
        from pimpy.daemon.rows import as_json

        self.task.set_name("idle")
        monitor = self.server.backend.monitor
        listener = monitor.subscribe()
        end = asyncio.ensure_future(self.reader.read(4096))
        try:
            await self._write(_line({"text": "watching"}))
            while not end.done():
                news = asyncio.ensure_future(listener.take())
                await asyncio.wait({news, end}, return_when=asyncio.FIRST_COMPLETED)
                if not news.done():
                    news.cancel()
                    break
                for row in news.result():
                    told = as_json([row]).encode("utf-8", errors="replace")
                    self.writer.write(commands.BEFORE_ROWS + told + commands.BEHIND_ROWS)
                await self._write(b"")
        finally:
            monitor.unsubscribe(listener)
            end.cancel()

    async def _write(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(self.server.limits.write):
            await self.writer.drain()


async def _ordered(rows: list[AnyRow]) -> Iterator[AnyRow]:
    """The rows in order: sorted by pieces, which are merged as they are asked for."""
    from pimpy.daemon.rows import sort_key

    runs: list[list[tuple[tuple[Any, ...], int]]] = []
    for start in range(0, len(rows), _SLICE * 5):
        piece = rows[start : start + _SLICE * 5]
        runs.append(sorted(zip(map(sort_key, piece), range(start, len(rows)), strict=False)))
        await asyncio.sleep(0)
    joined = all(before[-1] < after[0] for before, after in pairwise(runs))
    merged = chain.from_iterable(runs) if joined else merge(*runs)
    return (rows[index] for _, index in merged)


def _command(request: bytes) -> str:
    """The command of a JSON request."""
    try:
        said = json.loads(request)
    except (ValueError, RecursionError):
        raise commands.RefusedError("the request is not JSON", commands.USAGE) from None
    command = said.get("command") if isinstance(said, dict) else None
    if not isinstance(command, str):
        raise commands.RefusedError('a request is an object like {"command": "show neighbors"}', commands.USAGE)
    return command


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", errors="replace") + b"\n"


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
