"""pimpyd at a node of the lab, and what it says of itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .paths import PIMCTL, PIMPYD
from .shell import LabError, Process, wait_until
from .topology import Node

Row = dict[str, Any]
FAMILIES = {4: "ipv4", 6: "ipv6"}

QUICK = "hello-interval 5\ntriggered-hello-delay 0\n"
"""The beginning of most labs' configuration: neighbours are known at once."""


class Pimpyd:
    """The daemon at one node. `text` is its whole configuration; `args` are further words of its command line."""

    def __init__(self, node: Node, text: str = QUICK, args: Iterable[str] = ()) -> None:
        self.node = node
        self.args = list(args)
        self.socket = node.folder / "pimpyd.sock"
        self.config = node.folder / "pimpyd.conf"
        self.config.write_text(text)
        self.process: Process
        self.started_at = 0.0

    def command_line(self) -> list[str]:
        files = ["-f", str(self.config), "-u", str(self.socket), "-p", str(self.node.folder / "pimpyd.pid")]
        return [str(PIMPYD), "-n", "-i", self.node.name, *files, *self.args]

    def launch(self) -> Pimpyd:
        """Starts it without waiting."""
        self.started_at = time.monotonic()
        self.process = self.node.start("pimpyd", *self.command_line())
        return self

    def start(self) -> Pimpyd:
        """Starts it and waits until it answers."""
        self.launch()
        self.wait_ready()
        return self

    def wait_ready(self, timeout: float = 10) -> float:
        """Until it answers; the seconds that it took since its start."""
        wait_until(self.answers, timeout, f"pimpyd answers at {self.node}", self.process.check_alive)
        return time.monotonic() - self.started_at

    def answers(self) -> bool:
        with contextlib.suppress(OSError, LabError):
            return bool(self.ask("show status"))
        return False

    def ask(self, command: str, timeout: float = 10) -> Row:
        """The answer of the control socket to one JSON request."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(str(self.socket))
            client.sendall(json.dumps({"command": command}).encode() + b"\n")
            pieces = [client.recv(1 << 16)]
            while pieces[-1] and not pieces[-1].endswith(b"\n"):
                pieces.append(client.recv(1 << 20))
        answer: Row = json.loads(b"".join(pieces) or "{}")
        if "error" in answer:
            raise LabError(f"{self.node}: {command}: {answer['error']}")
        return answer

    def show(self, what: str, family: int | None = None) -> list[Row]:
        """The rows of `show WHAT`, of one family if it is named."""
        rows: list[Row] = self.ask(f"show {what}")["rows"]
        return [row for row in rows if family is None or row.get("address_family") == FAMILIES[family]]

    def pimctl(self, *words: str, check: bool = True, timeout: float = 20) -> str:
        """What the real pimctl prints."""
        argv = [str(PIMCTL), "-u", str(self.socket), *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    # what it knows

    def neighbors(self, family: int) -> set[str]:
        """The addresses of all neighbours."""
        return {row["address"] for row in self.show("neighbors", family)}

    def entry(self, source: str, group: str) -> Row | None:
        """The row of an (S,G) entry."""
        for row in self.show("mroute", 6 if ":" in group else 4):
            if row["row"] == "entry" and (row["source_address"], row["group"]) == (source, group):
                return row
        return None

    def outgoing(self, source: str, group: str) -> frozenset[str]:
        """The interfaces that it forwards (source, group) to."""
        return frozenset(
            row["outgoing_interface"]
            for row in self.show("mroute", 6 if ":" in group else 4)
            if row["row"] == "outgoing"
            and (row["source_address"], row["group"]) == (source, group)
            and row["forwarding"]
        )

    def joined(self, family: int) -> set[tuple[str, str]]:
        """The (source, group)s that it has joined upstream."""
        return {
            (row["source_address"], row["group"])
            for row in self.show("mroute", family)
            if row["row"] == "entry" and row["upstream_state"] == "joined"
        }

    def wait_for(self, look: Callable[[Pimpyd], object], timeout: float = 10, what: str = "") -> None:
        """Until `look(self)` is true."""
        wait_until(lambda: look(self), timeout, f"{what or 'as expected'} at {self.node}", self.process.check_alive)

    # its life

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it in good order; its exit code."""
        return self.process.stop(number)

    def kill(self) -> None:
        """As a crash does: itself and its children, at once."""
        for pid in reversed(self.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def pids(self) -> list[int]:
        """Its process and all that descend from it."""
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                found += [int(child) for child in children]
        return found

    def log(self) -> str:
        return self.process.output()


def wait_neighbors(daemons: Iterable[Pimpyd], families: Iterable[int] = (4, 6), timeout: float = 15) -> None:
    """Until every daemon knows all other daemons on its links."""
    daemons = list(daemons)
    nodes = {daemon.node for daemon in daemons}
    for daemon in daemons:
        for family in families:
            expected = {
                other.pim_address(family)
                for port in daemon.node.ports.values()
                for node, other in port.link.ports.items()
                if node in nodes and node is not daemon.node
            }
            daemon.wait_for(
                lambda one, family=family, expected=expected: one.neighbors(family) >= expected,  # type: ignore[misc]
                timeout,
                f"IPv{family} neighbours {sorted(expected)}",
            )


def prefer(daemons: Iterable[Pimpyd]) -> None:
    """Let them run as soon as they have to, whatever other tests do: of a new stream the kernel keeps four packets, so
    that at 1,000 a second their threads have 4 ms to ask for more. What they start later runs as others do."""
    before_others = os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO))
    with contextlib.suppress(PermissionError):
        for pid in (pid for daemon in daemons for pid in daemon.pids()):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setscheduler(int(thread.name), os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, before_others)
