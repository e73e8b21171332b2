"""smcroutectl: smcroute's client, its commands, batch mode and output."""

from __future__ import annotations

import getopt
import os
import re
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from pimpy import __version__

HEADER = struct.Struct("@NHH4x" if struct.calcsize("@N") == 8 else "@NHH")
MAX_MESSAGE = 1024
TIMEOUT = 30.0
PIPELINE = 64
"""Requests that are sent before their answers are read."""

_HELP = """\
Usage: smcroutectl [-bdhjptv] [-i NAME] [-u FILE] [COMMAND]

Options:
  -b         Batch mode: read commands from stdin, one a line
  -d         Detailed output in show
  -h         Show this text
  -i NAME    Name of the daemon, default smcroute
  -j         JSON output in show
  -p         Plain headings
  -t         No headings
  -u FILE    The daemon's control socket, default /run/NAME.sock
  -v         Show the version

Commands:
  help                           Show this text
  version                        Show the version
  flush                          Flush idle dynamic routes
  kill                           Stop the daemon
  reload | restart               Read the configuration again
  show [groups | interfaces | pending | routes]
  add    IIF [S[/L]] G[/L] OIF...     Add a route, or outgoing interfaces to one
  remove IIF [S[/L]] G[/L] [OIF...]   Remove a route, or outgoing interfaces of one
  join   IIF [S[/L]] G[/L]            Join a group
  leave  IIF [S[/L]] G[/L]            Leave a group
"""
_COMMANDS = {
    "help": ("", 0),
    "version": ("", 0),
    "flush": ("F", 0),
    "kill": ("k", 0),
    "reload": ("H", 0),
    "restart": ("H", 0),
    "show": ("s", 0),
    "add": ("a", 3),
    "remove": ("r", 2),
    "del": ("r", 2),
    "join": ("j", 2),
    "leave": ("l", 2),
}
"""Each command's letter, and how many words it needs."""

Heading = Callable[[str], str]


class FailedError(Exception):
    """What is to be said on stderr before ending with 1."""


def find(word: str) -> str:
    """The command that a word or its beginning means; anything else shows the routes, as smcroutectl does."""
    if word in _COMMANDS:
        return word
    return next((name for name in _COMMANDS if word and name.startswith(word)), "show")


def message(letter: str, words: Sequence[str]) -> bytes:
    """The bytes of a request; FailedError if they are too many."""
    payload = b"".join(os.fsencode(word) + b"\0" for word in words) + b"\0"
    length = HEADER.size + len(payload)
    if length > MAX_MESSAGE:
        raise FailedError("the command is too long")
    return HEADER.pack(length, ord(letter), len(words)) + payload


def ask(connection: socket.socket, request: bytes) -> str:
    """Send a request; the text of the answer without its NUL."""
    connection.sendall(request)
    pieces = [connection.recv(65536)]
    while pieces[-1] and not pieces[-1].endswith(b"\0"):
        pieces.append(connection.recv(65536))
    answer = b"".join(pieces)
    if not answer.endswith(b"\0"):
        raise ConnectionResetError("the daemon closed the connection")
    return answer[:-1].decode("utf-8", errors="replace")


class Client:
    """One connection, and how answers are to be shown."""

    def __init__(self, path: str, said: dict[str, str]) -> None:
        self.path = path
        self.said = said
        self.connection: socket.socket | None = None

    def connect(self) -> socket.socket:
        """The connection, made with the first command that needs it."""
        if self.connection is None:
            self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.connection.settimeout(TIMEOUT)
            try:
                self.connection.connect(self.path)
            except (FileNotFoundError, ConnectionRefusedError):
                raise FailedError(f"Cannot find IPC socket {self.path}") from None
            except OSError as error:
                raise FailedError(f"Failed connecting to daemon: {error.strerror or error}") from None
        return self.connection

    def run(self, words: Sequence[str]) -> bool:
        """Do one command; whether it went well. FailedError if there is no daemon."""
        name = find(words[0]) if words else "show"
        arguments = list(words[1:]) if words and find(words[0]) == name else []
        letter, least = _COMMANDS[name]
        if name == "help":
            print(_HELP, end="")
            return True
        if name == "version":
            print(f"SMCRoute v2.6.1 (pimpyd {__version__})")
            return True
        if len(arguments) < least:
            print(f"Not enough arguments to command {name}")
            print(_HELP, end="")
            return False
        if name == "show":
            letter = "J" if "j" in self.said else "S" if "d" in self.said else "s"
        text = self.ask(message(letter, arguments))
        if name == "show":
            self.show(text)
            return True
        if text:
            print(f"smcroutectl: {text}", file=sys.stderr)
        return not text

    def run_all(self, lines: Sequence[bytes]) -> bool:
        """Do the commands of these lines; whether all went well. Plain ones do not wait for each other's answers."""
        good, together = True, list[bytes]()
        for line in lines:
            words = os.fsdecode(line.partition(b"#")[0]).split()
            if not words:
                continue
            name = find(words[0])
            letter, least = _COMMANDS[name]
            if name != "show" and letter and len(words) > least:
                together.append(message(letter, words[1:]))
                if len(together) < PIPELINE:
                    continue
                words = []
            good &= self._ask_all(together)
            together = []
            good &= self.run(words) if words else True
        return self._ask_all(together) and good

    def _ask_all(self, requests: Sequence[bytes]) -> bool:
        """Send requests at once and tell of the answers that are none; whether there was none such."""
        if not requests:
            return True
        self.connection = None  # it may have been let go
        connection, answers = self.connect(), b""
        try:
            connection.sendall(b"".join(requests))
            while answers.count(b"\0") < len(requests) and (chunk := connection.recv(65536)):
                answers += chunk
        except OSError as error:
            raise FailedError(f"no answer: {error.strerror or error}") from None
        if answers.count(b"\0") < len(requests):
            raise FailedError("the daemon closed the connection")
        failed = [text.decode("utf-8", errors="replace") for text in answers.split(b"\0") if text]
        for text in failed:
            print(f"smcroutectl: {text}", file=sys.stderr)
        return not failed

    def ask(self, request: bytes) -> str:
        """The answer to a request. The daemon may have let go of a connection that was silent: then by a new one."""
        fresh = self.connection is None
        try:
            return ask(self.connect(), request)
        except OSError as error:
            self.connection = None
            if fresh or isinstance(error, TimeoutError):
                raise FailedError(f"no answer: {error.strerror or error}") from None
        return self.ask(request)

    def show(self, text: str) -> None:
        """The answer of a show command, its headings as asked for; an empty line follows."""
        if "j" in self.said:
            print(text, end="")
            return
        for line in text.splitlines():
            if line.endswith(("=", "_")):
                if "t" not in self.said:
                    print(self.heading(line))
            else:
                print(line)
        print()

    def heading(self, line: str) -> str:
        """A title or heading without its mark: underlined or inverse on a terminal."""
        title, text = line.endswith("_"), line[:-1]
        if "p" in self.said or not sys.stdout.isatty():
            return text
        return f"\x1b[4m{text}\x1b[0m" if title else f"\x1b[7m{text}\x1b[0m"


def _batch(client: Client) -> bool:
    """Commands from stdin, those that come together sent together; whether all went well."""
    good, rest = True, b""
    while chunk := os.read(0, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        good &= client.run_all(lines)
    return client.run_all([rest]) and good


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The command line. Never returns."""
    try:
        options, words = getopt.getopt(list(sys.argv[1:] if argv is None else argv), "bdFhi:I:jptu:v")
    except getopt.GetoptError as error:
        print(f"smcroutectl: {error.msg}", file=sys.stderr)
        sys.exit(1)
    said = {flag[1]: value for flag, value in options}
    if "h" in said or "v" in said:
        print(_HELP if "h" in said else f"SMCRoute v2.6.1 (pimpyd {__version__})\n", end="")
        sys.exit(0)
    name = said.get("i", said.get("I", "smcroute"))
    path = said.get("u") or f"/run/{name}.sock"
    if not re.search("/", path):
        path = f"/run/{path}"
    client = Client(path, said)
    try:
        good = _batch(client) if "b" in said else client.run(words)
        sys.stdout.flush()
    except FailedError as error:
        print(f"smcroutectl: {error}", file=sys.stderr)
        good = False
    except BrokenPipeError:
        good = False
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
