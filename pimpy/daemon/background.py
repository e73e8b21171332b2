"""Going into the background, so that the caller learns whether the daemon came up: the parent leaves when it is ready.

The parent ends with 0 when `ready()` was called, or else with the exit code of the daemon, whose
messages still go to the caller's stderr until then. In the foreground `ready()` does nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable

RUN_DIRECTORY = "/run"
"""Where the PID file and the control socket are, unless the command line says otherwise."""
_READY = b"ready\n"

_pipe: int | None = None
"""Where the parent listens; None in the foreground, and after `ready()`."""


def run(main: Callable[[], int]) -> int:
    """Run `main` in a process of the background. Returns in both, with the exit code that each has to end with."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return _await(reading, child)
    os.close(reading)
    os.setsid()
    if os.fork():
        os._exit(0)
    return _detached(main, writing)


def ready() -> None:
    """The daemon answers and forwards: let the parent go, and give the terminal back."""
    global _pipe
    if _pipe is None:
        return
    pipe, _pipe = _pipe, None
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)
    with contextlib.suppress(OSError):
        os.write(pipe, _READY)
    os.close(pipe)


def run_path(name: str) -> str:
    """A file of a running daemon: a name without a slash is under /run."""
    return name if "/" in name else f"{RUN_DIRECTORY}/{name}"


def write_pidfile(path: str) -> None:
    """Write this process's number there (`PID`, newline; 0644), in one step. Called when the daemon is ready."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def touch_pidfile(path: str) -> None:
    """Mark a reload by the file's time; scripts look at it."""
    with contextlib.suppress(OSError):
        os.utime(path)


def remove_pidfile(path: str) -> None:
    """Remove the PID file if it is still ours."""
    with contextlib.suppress(OSError, ValueError):
        with open(path, encoding="ascii") as file:
            if int(file.read(32)) != os.getpid():
                return
        os.unlink(path)


def _await(pipe: int, child: int) -> int:
    """The parent: what the daemon says of itself, as an exit code."""
    os.waitpid(child, 0)
    said = b""
    while chunk := os.read(pipe, 64):
        said += chunk
        if said.endswith(b"\n"):
            break
    os.close(pipe)
    if said == _READY:
        return 0
    try:
        return int(said)
    except ValueError:
        print("pimpyd: it ended before it was ready; run it with -n to see why", file=sys.stderr)
        return 1


def _detached(main: Callable[[], int], pipe: int) -> int:
    """The daemon's process: runs `main`, and tells the parent how it ended if it never was ready."""
    global _pipe
    _pipe = pipe
    code = 1
    try:
        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    finally:
        if _pipe is not None:
            with contextlib.suppress(OSError):
                os.write(_pipe, b"%d\n" % code)
            os.close(_pipe)
            _pipe = None
    return code
