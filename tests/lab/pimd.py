"""pimd 2.3.2 (Debian's, unpacked by tests/prepare) as a router of the lab. It speaks IPv4 only."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from .paths import PIMD
from .shell import Process, wait_until
from .topology import Node

# It keeps its files below /run, whatever it is told: one of its own, then.
ENTER = 'mount --bind "$1" /run && shift && exec "$@"'


class Pimd:
    """The daemon at one node. `text` is its whole configuration."""

    def __init__(self, node: Node, text: str = "") -> None:
        self.node = node
        self.text = text
        self.folder = node.folder / "pimd"
        self.process: Process

    def start(self) -> Pimd:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "pimd.conf").write_text(self.text)
        argv = ["sh", "-ec", ENTER, "pimd", str(self.folder), str(PIMD), "-f", "-c", "/run/pimd.conf"]
        self.process = self.node.start("pimd", *argv)
        pidfile = self.folder / "pimd.pid"
        wait_until(pidfile.exists, 20, f"pimd runs at {self.node}", self.process.check_alive)
        return self

    def dump(self) -> str:
        """Its own dump of its state (what `pimd -r` prints)."""
        path = self.folder / "pimd" / "pimd.dump"
        path.unlink(missing_ok=True)
        os.kill(self.process.pid, signal.SIGUSR1)
        wait_until(lambda: path.exists() and is_whole(path), 10, "pimd dumps", self.process.check_alive)
        return path.read_text()

    def neighbors(self) -> set[str]:
        """The addresses of all PIM neighbours."""
        vifs = self.dump().split("Multicast Routing Table")[0]
        rows = re.findall(r"^ *\d+  \S+ +\S+ +\d+  (.*)$", vifs, re.MULTILINE)
        return {word for row in rows for word in row.split() if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", word)}

    def entries(self) -> set[tuple[str, str]]:
        """The (source, group)s in its routing table."""
        table = self.dump().split("Multicast Routing Table")[-1]
        address = r"(\d+\.\d+\.\d+\.\d+)"
        return set(re.findall(rf"^{address} +{address} +SSM", table, re.MULTILINE))

    def route(self, source: str, group: str, rp: str = "SSM") -> tuple[str | None, frozenset[str]] | None:
        """The incoming and outgoing interfaces of its (S,G) entry, by name, `register_vif0` left out; None without one.

        `rp` is the RP that it has for the group.
        """
        vifs, _, table = self.dump().partition("Multicast Routing Table")
        names = {port.ipv4: port.name for port in self.node.ports.values()}
        rows = re.findall(r"^ *(\d+)  (\S+) +(\S+)/\d+ ", vifs, re.MULTILINE)
        numbers = {int(vif): names[address] for vif, address, _ in rows}
        _, found, entry = table.partition(f"{source:<15}  {group:<15}  {rp}")
        if not found:
            return None
        lines = {name: re.search(rf"^{name} *: (\S+)", entry, re.MULTILINE) for name in ("Outgoing oifs", "Incoming")}
        marks = {name: line.group(1) if line else "" for name, line in lines.items()}
        outgoing = {name for vif, name in numbers.items() if marks["Outgoing oifs"][vif] != "."}
        incoming = [name for vif, name in numbers.items() if marks["Incoming"][vif] != "."]
        return (incoming[0] if incoming else None), frozenset(outgoing)

    def stop(self) -> None:
        self.process.stop()


def is_whole(path: Path) -> bool:
    """Whether a file has something in it, and has not grown for a moment."""
    size = path.stat().st_size
    time.sleep(0.05)
    return size > 0 and path.stat().st_size == size
