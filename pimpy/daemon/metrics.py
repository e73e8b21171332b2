"""/metrics for Prometheus: a small HTTP server on the daemon's loop. What it tells is in `exposition.py`.

/metrics/mroute has series of single streams (`stream_series.py`), as many as somebody asks for.

The library prometheus_client serves process_* only, and is imported at the first scrape.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from pimpy.daemon import exposition, logs
from pimpy.daemon.backend import Backend
from pimpy.daemon.exposition import Family
from pimpy.daemon.stream_series import BadSelectionError, Selection, StreamSeries

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from pimpy.daemon.control import ControlServer

log = logging.getLogger("pimpy.metrics")

PAGE = "/metrics"
STREAMS = "/metrics/mroute"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_CLIENTS = 16
MAX_REQUEST = 8192
TIMEOUT = 10.0
"""Seconds for a request to come, and for its answer to be taken."""

_STATUS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class MetricsServer:
    """Serves the metrics of one daemon at (host, port). `port` is the real one once it is started."""

    def __init__(self, listen: tuple[str, int], backend: Backend, control: ControlServer | None = None) -> None:
        """`control` is the control socket whose bad clients are told too."""
        self.host, self.port = listen
        self.backend = backend
        self.control = control
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._scraping = asyncio.Lock()
        self._process: CollectorRegistry | None = None

    async def start(self) -> None:
        """Listen. OSError names the address, and what to do."""
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=MAX_REQUEST)
        except OSError as error:
            where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
            text = f"cannot serve metrics on {where}: {error.strerror or error}; name another address with `metrics`"
            raise OSError(error.errno, text) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop, whatever is under way."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def page(self, names: Collection[str] = ()) -> bytes:
        """The page, or only the metrics of these names."""
        async with self._scraping:
            families = exposition.merged(await self._families())
        if names:
            families = [family for family in families if f"pimpy_{family.name}" in names]
        return "".join(family.text() for family in families).encode() + self._of_process(names)

    async def _families(self) -> list[Family]:
        backend = self.backend
        status = backend.status()
        families = [
            *exposition.of_status(status),
            *exposition.of_interfaces(backend.rows("interfaces")),
            *exposition.of_neighbors(backend.rows("neighbors")),
            *exposition.of_watches(backend.rows("watches")),
            *exposition.of_rps(backend),
            *exposition.of_counters(backend),
            *exposition.of_memberships(backend),
            *self._of_log(),
            self._of_control(),
        ]
        await asyncio.sleep(0)
        return [*families, *exposition.of_entries(backend.totals())]

    async def streams(self, selection: Selection) -> bytes:
        """The page of the entries that are asked for."""
        series = StreamSeries(selection, time.time())
        async with self._scraping:
            for part in self.backend.entries():
                series.take(part)
                await asyncio.sleep(0)
        return series.text()

    def _of_log(self) -> list[Family]:
        suppressed = Family("log_suppressed_total", "counter", "Lines of the log that were held back as repetitions.")
        lost = Family("log_lost_total", "counter", "Lines of the log that nobody took.")
        for handler in logging.getLogger("pimpy").handlers:
            if isinstance(handler, logs.Handler):
                suppressed.add(handler.limit.suppressed)
                lost.add(handler.lost)
        return [suppressed, lost]

    def _of_control(self) -> Family:
        errors = Family("control_errors_total", "counter", "What clients of the control socket did wrong, by reason.")
        for reason, count in sorted(self.control.bad.items() if self.control is not None else ()):
            errors.add(count, reason=reason)
        return errors

    def _of_process(self, names: Collection[str]) -> bytes:
        """process_*: memory, processor time, open files, start."""
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

        if self._process is None:
            self._process = CollectorRegistry()
            ProcessCollector(registry=self._process)
        text = generate_latest(self._process)
        if not names:
            return text
        blocks = text.split(b"# HELP ")[1:]
        return b"".join(b"# HELP " + block for block in blocks if block.split()[0].decode() in names)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._tasks) >= MAX_CLIENTS:
                await _answer(writer, 503, b"too many clients\n")
                return
            self._tasks.add(task)
            async with asyncio.timeout(TIMEOUT):
                request = await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(TIMEOUT):
                await self._request(request.partition(b"\r\n")[0], writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            with contextlib.suppress(OSError):
                await _answer(writer, 400, b"this is no HTTP request\n")
        except (OSError, asyncio.CancelledError):  # TimeoutError is an OSError
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _request(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        words = line.decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            await _answer(writer, 400, b"this is no HTTP request\n")
            return
        method, target, _ = words
        if method not in ("GET", "HEAD"):
            await _answer(writer, 405, b"only GET and HEAD\n")
            return
        try:
            url = urlsplit(target)
            query = parse_qs(url.query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            await _answer(writer, 400, b"this is no URL\n")
            return
        if url.path not in (PAGE, STREAMS):
            text = f"the metrics are at {PAGE}, those of streams at {STREAMS}\n"
            await _answer(writer, 404, text.encode(), method == "HEAD")
            return
        try:
            if url.path == PAGE:
                body = await self.page(query.get("name[]", []))
            else:
                body = await self.streams(Selection.of(query))
        except BadSelectionError as problem:
            await _answer(writer, 400, f"{problem}\n".encode("ascii", "backslashreplace"))
            return
        except Exception:
            log.exception("internal error in a scrape")
            await _answer(writer, 500, b"internal error, see the daemon's log\n")
            return
        await _answer(writer, 200, body, method == "HEAD")


async def _answer(writer: asyncio.StreamWriter, code: int, body: bytes, head: bool = False) -> None:
    header = (
        f"HTTP/1.1 {code} {_STATUS[code]}\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(header.encode())
    if not head:
        writer.write(body)
    await writer.drain()
