"""pimctl's end of the control socket: one JSON request, one JSON answer, and what can go wrong between.

Imports little: users wait for it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from pimpy.daemon.commands import BEFORE_ROWS, BEHIND_ROWS

IDENTS = ("pimpyd", "pimd", "pim6sd")
"""The names that a daemon is looked for by, when none is given."""

REFUSED = 1
USAGE = 2
NOT_RUNNING = 3
PERMISSION = 4
TIMEOUT = 5


class FailedError(Exception):
    """The daemon could not be asked, or said no. `code` is what pimctl exits with."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def find(path: str | None, ident: str | None) -> str:
    """The control socket that `-u` and `-i` mean; without them the first that is there."""
    if path:
        return path if "/" in path else f"/run/{path}"
    if ident:
        return f"/run/{ident}.sock"
    return next((name for name in map("/run/{}.sock".format, IDENTS) if os.path.exists(name)), "/run/pimpyd.sock")


class Client:
    """A connection to the daemon, made at the first question and used for the others."""

    def __init__(self, path: str, timeout: float = 10.0) -> None:
        self.path = path
        self.timeout = timeout
        self._socket: socket.socket | None = None
        self._rest = b""

    def ask(self, command: str) -> dict[str, Any]:
        """The answer to `command`: it has `rows` or `text`. FailedError otherwise."""
        return self._taken(self._said(command))

    def ask_text(self, command: str) -> str:
        """The reply to a command of pimd's text protocol. FailedError if there is none."""
        pieces = []
        try:
            with self._connect() as connection:
                connection.sendall(command.encode() + b"\n")
                while piece := connection.recv(1 << 16):
                    pieces.append(piece)
        except TimeoutError:
            raise FailedError(f"no answer on {self.path} within {self.timeout:g} s", TIMEOUT) from None
        except OSError as error:
            raise FailedError(f"the connection to {self.path} broke: {error.strerror or error}", NOT_RUNNING) from None
        return b"".join(pieces).decode(errors="replace")

    def ask_rows(self, command: str) -> str:
        """The rows of the answer to `command` as the daemon wrote them, JSON objects with BETWEEN_ROWS between.

        FailedError if it has none. Of thousands of rows half the time would go into reading and writing them again.
        """
        line = self._said(command)
        if line.startswith(BEFORE_ROWS) and line.endswith(BEHIND_ROWS):
            return line[len(BEFORE_ROWS) : -len(BEHIND_ROWS)].decode()
        self._taken(line)
        raise FailedError("the answer has no rows: is the daemon another version than pimctl?", TIMEOUT)

    def _said(self, command: str) -> bytes:
        """The line that answers; FailedError if the daemon cannot be asked."""
        try:
            return self._exchange(command)
        except TimeoutError:
            self.close()
            text = f"no answer on {self.path} within {self.timeout:g} s: is the daemon stopped or overloaded?"
            raise FailedError(text, TIMEOUT) from None
        except OSError as error:
            self.close()
            text = f"the connection to {self.path} broke: {error.strerror or error}"
            raise FailedError(text, NOT_RUNNING) from None

    def _taken(self, line: bytes) -> dict[str, Any]:
        """What the line says; FailedError if that is an error, or nothing that a daemon says."""
        try:
            answer = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self.close()
            how = "hung up" if not line else "answered in a way that is not pimpyd's"
            raise FailedError(f"what listens on {self.path} {how}: is it a pimpyd?", TIMEOUT)
        if "error" in answer:
            code = answer.get("code")
            raise FailedError(str(answer["error"]), code if isinstance(code, int) and 0 < code < 256 else REFUSED)
        return answer

    def stream(self, command: str) -> Iterator[dict[str, Any]]:
        """The answers to a command that never ends; FailedError when the daemon ends."""
        yield self.ask(command)
        assert self._socket is not None
        self._socket.settimeout(None)
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                yield json.loads(line)
                continue
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise FailedError(f"the daemon on {self.path} has ended", NOT_RUNNING)
            self._rest += piece

    def close(self) -> None:
        """Close the connection; the next question makes another one."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""

    def _exchange(self, command: str) -> bytes:
        """The line that answers, without its end if there is none."""
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(json.dumps({"command": command}).encode() + b"\n")
        pieces = [self._rest]
        while b"\n" not in pieces[-1]:
            piece = self._socket.recv(1 << 18)
            if not piece:
                break
            pieces.append(piece)
        line, newline, self._rest = b"".join(pieces).partition(b"\n")
        return line + newline

    def _connect(self) -> socket.socket:
        path = self.path
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            text = f"no daemon answers on {path}: start pimpyd, or name its socket with -u or its ident with -i"
            raise FailedError(text, NOT_RUNNING) from None
        except PermissionError:
            connection.close()
            raise FailedError(f"no permission for {path}: run pimctl as root (sudo pimctl ...)", PERMISSION) from None
        except TimeoutError:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            raise FailedError(f"cannot connect to {path}: {error.strerror or error}", NOT_RUNNING) from None
        return connection
