"""The process that does the work, and the spare one that has imported all it needs and waits to take its place."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time

SPARE_AFTER = 20.0
"""Seconds after a worker is ready, or a spare one has ended, before a spare one is started: what has just begun may end
soon, and has better use for the processor."""
VARIABLE = "PIMPYD_SPARE_AFTER"
"""The variable of the environment that says another number of seconds: `inf` for no spare one ever."""


def spare_after() -> float:
    """Seconds: those that the environment asks for, or else SPARE_AFTER."""
    try:
        return max(0.0, float(os.environ[VARIABLE]))
    except (KeyError, ValueError):
        return SPARE_AFTER


class Worker:
    """A worker as its keeper sees it. Until it gets its first message, it imports, and waits."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self.line = line
        self.started = time.monotonic()
        self.heard = self.started
        self.ready = False
        self.ending = False
        self.hung = False

    def begin(self) -> None:
        """It gets its first message: its time starts now."""
        self.started = self.heard = time.monotonic()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(OSError):
            os.kill(self.pid, number)


def start(spare: bool = False) -> Worker:
    """A new process; a spare one imports what a worker needs later too.

    It does not hear of SIGINT and SIGTERM, which a terminal or a service manager sends to all processes of a program:
    what they mean, the keeper decides.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    call = f"main({theirs.fileno()}, spare={spare})"
    code = (
        f"import sys; sys.path[:] = {[root, *filter(None, sys.path)]!r}; from pimpy.daemon.worker import main; {call}"
    )
    os.set_inheritable(theirs.fileno(), True)
    words = [sys.executable, "-S", "-c", code]  # where modules are, we know already
    pid = os.posix_spawn(sys.executable, words, os.environ, setsigmask=[signal.SIGINT, signal.SIGTERM])
    theirs.close()
    return Worker(pid, ours)


class Spare:
    """At most one process that is to be the next worker, so that a crash costs no time to import.

    It knows nothing, and is confined like any worker before it gets anything to work on.
    """

    def __init__(self, process: Worker) -> None:
        self._process: Worker | None = process
        self.due = float("inf")
        """When one is to be started, on the monotonic clock."""

    def want(self) -> None:
        """There is to be one, a little later: what runs now needs the processor."""
        if self._process is None:
            self.due = time.monotonic() + spare_after()

    def start_if_due(self) -> None:
        """Start one if it is time."""
        if self._process is None and time.monotonic() >= self.due:
            self.due = float("inf")
            with contextlib.suppress(OSError):  # no memory, no process: the next worker starts from nothing
                self._process = start(spare=True)

    def take(self) -> Worker | None:
        """The one there is, to be the worker."""
        process, self._process, self.due = self._process, None, float("inf")
        return process

    def reap(self) -> None:
        """It may have ended."""
        if self._process is not None and os.waitpid(self._process.pid, os.WNOHANG)[0] != 0:
            self._process.line.close()
            self._process = None
            self.want()

    def end(self) -> None:
        """There is to be none any more."""
        process = self.take()
        if process is not None:
            process.line.close()
            process.signal(signal.SIGKILL)
            os.waitpid(process.pid, 0)
