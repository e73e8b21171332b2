"""The control socket as the keeper makes it: clients that come while the worker is away wait for the next one."""

from __future__ import annotations

import contextlib
import os
import socket
import stat


class SocketHeldError(Exception):
    """Another live daemon listens on the control socket; pimpyd exits with 69."""


def listen(path: str) -> socket.socket:
    """A socket that listens at `path` with mode 0600, in place of one that a dead daemon left.

    SocketHeldError if a live one has it; OSError if it cannot be made there. Blocking, and called once at start.
    """
    if len(os.fsencode(path)) > 100:
        raise OSError(f"{path}: the path of a socket has at most 100 bytes; name a shorter one with -u")
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = f"{path}.{os.getpid() % 1000000}"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        before = os.umask(0o177)
        try:
            listener.bind(temporary)
        finally:
            os.umask(before)
        listener.listen(64)
        os.rename(temporary, path)
        listener.setblocking(False)
    except OSError:
        listener.close()
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return listener


def _clear(path: str) -> None:
    """See that a socket may be made at `path`."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"{path} exists and is no socket; remove it, or name another one with -u")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass
    raise SocketHeldError(
        f"another daemon answers on {path}; stop it (pimctl -u {path} kill), or give this one a name of its own with -i"
    )


def is_at(listener: int, path: str) -> bool:
    """Whether a listening socket that was handed over is the one that clients find at `path`."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(listener)) as held:
        name = held.getsockname()
        return isinstance(name, str) and name.startswith(f"{path}.") and stat.S_ISSOCK(os.lstat(path).st_mode)
    return False
