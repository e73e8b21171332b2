"""The lab's side of tools/starter.py: senders and receivers as forks of one program that has all they need."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import IO

from .shell import LabError, Process

STARTER = Path(__file__).parent / "tools" / "starter.py"


class Fork:
    """A process that somebody else has started, as far as `Process` needs one. How it ended is not known."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self._descriptor = os.pidfd_open(pid)
        self._ended = False

    def poll(self) -> int | None:
        """0 once it has ended."""
        return 0 if self._ended or self._wait(0) else None

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended and not self._wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return 0

    def _wait(self, timeout: float | None) -> bool:
        self._ended = bool(select.select([self._descriptor], [], [], timeout)[0])
        if self._ended:
            os.close(self._descriptor)
        return self._ended

    def send_signal(self, number: int) -> None:
        if not self._ended:
            signal.pidfd_send_signal(self._descriptor, number)


class Starter:
    """The program that starts them; it ends with this process."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        with theirs:
            number = str(theirs.fileno())
            argv = [sys.executable, "-I", "-S", str(STARTER), number]
            self._process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def start(self, tool: str, namespace: str, log: IO[bytes], outlive: bool) -> Fork:
        """A tool at a namespace; what it complains of goes to `log`. With `outlive` it may live on without us."""
        request = {"tool": tool, "namespace": namespace, "outlive": outlive}
        stdin, to_it = os.pipe()
        from_it, stdout = os.pipe()
        socket.send_fds(self._ours, [json.dumps(request).encode()], [stdin, stdout, log.fileno()])
        for descriptor in (stdin, stdout):
            os.close(descriptor)
        pid = self._ours.recv(100)
        if not pid:
            raise LabError(f"{STARTER} ended with {self._process.wait()}")
        return Fork(int(pid), os.fdopen(to_it, "w", buffering=1), os.fdopen(from_it, "r"))


@cache
def starter(pid: int) -> Starter:
    """That of a process."""
    return Starter()


class ToolProcess(Process):
    """A tool in the background, its input and output being pipes. It dies with us, unless it may outlive us."""

    def __init__(self, name: str, tool: str, namespace: str, log: Path, *, outlive: bool = False) -> None:
        self.name, self.argv, self.log = name, [tool], log
        self._log_file = log.open("ab")
        self._process = starter(os.getpid()).start(tool, namespace, self._log_file, outlive)
