"""The script that smcrouted names with `-e`: the keeper runs it, as the worker may not, and checks what that says."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from typing import NoReturn

MOST = 32
"""Scripts at work at one time; further ones are left out."""

_INSTALL = re.compile(r"install ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45})", re.ASCII)


class Scripts:
    """Runs the script, and sees to its end."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._running: set[int] = set()
        self._next_dump: tuple[str, str] | None = None
        """What was asked for while one was being written, which may have read the state before."""

    def run(self, what: str) -> None:
        """`reload`, or `install SOURCE GROUP`: the word is its argument, the addresses are in its environment."""
        if self._path is None:
            return
        self.reap()
        environment = {key: value for key, value in os.environ.items() if key not in ("source", "group")}
        word = "reload"
        if what != word:
            found = _INSTALL.fullmatch(what)
            if found is None:
                return
            word, environment["source"], environment["group"] = "install", found[1], found[2]
        if len(self._running) >= MOST:
            print(f"pimpyd: {MOST} scripts are at work: {what} is not told", file=sys.stderr)
            return
        self._start(self._path, [word], environment)

    def dump(self, socket_path: str, file: str) -> None:
        """Have a client of the control socket write the state to `file`, as pim6sd does on SIGUSR1."""
        self.reap()
        if self._running:
            self._next_dump = socket_path, file
        else:
            root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
            code = (
                f"import sys; sys.path.insert(0, {root!r}); from pimpy.cli.pim6sd_dump import main;"
                f" main({socket_path!r}, {file!r})"
            )
            self._start(sys.executable, ["-P", "-c", code], dict(os.environ))

    def _start(self, path: str, arguments: list[str], environment: dict[str, str]) -> None:
        pid = os.fork()
        if pid == 0:
            _execute(path, arguments, environment)
        self._running.add(pid)

    def reap(self) -> None:
        """Let those go that have ended."""
        for pid in list(self._running):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self._running.discard(pid)
        if self._next_dump is not None and not self._running:
            wanted, self._next_dump = self._next_dump, None
            self.dump(*wanted)


def _execute(path: str, arguments: list[str], environment: dict[str, str]) -> NoReturn:
    """The new process: the script, as root if the keeper may be root again."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):
                os.setresgid(0, 0, 0)
                os.setresuid(0, 0, 0)
        os.execve(path, [path, *arguments], environment)
    except OSError as error:
        print(f"pimpyd: cannot run {path}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)
