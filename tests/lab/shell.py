"""Running programs, and waiting for what they bring about: by looking again, never by a fixed sleep."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol, TypeVar

T = TypeVar("T")


class LabError(Exception):
    """The lab itself, or a program in it, did not do what it should."""


def run(argv: Sequence[str], *, text_in: str | None = None, check: bool = True, timeout: float = 60) -> str:
    """What `argv` prints. Raises LabError with its complaint if it fails (unless `check` is False)."""
    done = subprocess.run(argv, input=text_in, capture_output=True, text=True, timeout=timeout, errors="replace")
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_until(
    look: Callable[[], T], timeout: float = 10, what: str = "", alive: Callable[[], None] | None = None
) -> T:
    """The first true value that `look` gives; LabError after `timeout` seconds. `alive` may raise to end it.

    It looks each tenth of a second, later on each twentieth of the time that it has waited: looking costs too.
    """
    started = time.monotonic()
    pause = 0.01
    while True:
        value = look()
        if value:
            return value
        if alive is not None:
            alive()
        waited = time.monotonic() - started
        if waited > timeout:
            raise LabError(
                f"after {timeout:g} s still not: {what or getattr(look, '__name__', look)} (last: {value!r})"
            )
        time.sleep(pause)
        pause = min(pause * 1.3, max(0.1, waited / 20))


class Child(Protocol):
    """What `Process` needs of subprocess.Popen."""

    @property
    def pid(self) -> int: ...
    @property
    def stdin(self) -> IO[str] | None: ...
    @property
    def stdout(self) -> IO[str] | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...


class Process:
    """A program in the background whose output goes to a file. It dies with this process, whatever happens to it."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, *, pipe: bool = False, outlive: bool = False) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self._log_file: IO[bytes] = log.open("ab")
        guard = [] if outlive else ["setpriv", "--pdeathsig", "KILL"]
        self._process: Child = subprocess.Popen(
            [*guard, *argv],
            stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else self._log_file,
            stderr=self._log_file,
            start_new_session=True,
            text=pipe,
            bufsize=1 if pipe else -1,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def check_alive(self) -> None:
        """Raises if it has ended, with the end of what it said."""
        if self.returncode is not None:
            raise LabError(f"{self.name} ended with {self.returncode}:\n{self.output()[-2000:]}")

    def output(self) -> str:
        """All that it has written so far (its complaints only, if its output is a pipe)."""
        return self.log.read_text(errors="replace")

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def wait(self, timeout: float = 10) -> int:
        """Its exit code."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} still runs after {timeout:g} s") from None

    def stop(self, number: int = signal.SIGTERM, timeout: float = 10) -> int:
        """Ends it with a signal, with SIGKILL if that does not help in time. Gives the exit code."""
        if self.returncode is None:
            self.send(number)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.send(signal.SIGKILL)
        code = self._process.wait(10)
        self._close()
        return code

    def _close(self) -> None:
        self._log_file.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
