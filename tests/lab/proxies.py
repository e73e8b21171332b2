"""igmpproxy (Debian's, unpacked by tests/prepare) and pimpyd called by other daemons' names, in nodes of the lab."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from .kernel import vifs
from .paths import IGMPPROXY, PIMPYD
from .shell import Process, wait_until
from .topology import Node

# They keep their files below /run: one of its own, then.
ENTER = 'mount --bind "$1" /run && shift && exec "$@"'


class Program:
    """A daemon at one node under the name of another. `text` is its whole configuration."""

    def __init__(self, node: Node, name: str, text: str, ours: bool = True) -> None:
        self.node = node
        self.name = name
        self.ours = ours
        self.run = node.folder / "run"
        self.run.mkdir(exist_ok=True)
        self.config = self.run / f"{name}.conf"
        self.config.write_text(text)
        self.process: Process

    def start(self, *args: str, interfaces: int = 2, family: int = 4) -> Program:
        """Starts it with these words and waits until so many interfaces are in the kernel's table."""
        program = self._link() if self.ours else IGMPPROXY
        argv = ["sh", "-ec", ENTER, self.name, str(self.run), str(program), *args]
        self.process = self.node.start(self.name, *argv)
        wait_until(
            lambda: len(vifs(self.node, family)) >= interfaces, 20, f"{self.name} runs", self.process.check_alive
        )
        return self

    def _link(self) -> Path:
        """The symbolic link, where it is seen in spite of the other /run."""
        folder = Path("/tmp") / self.node.namespace
        folder.mkdir(exist_ok=True)
        self.node.lab.at_end(lambda: _remove(folder))
        link = folder / self.name
        if not link.is_symlink():
            link.symlink_to(PIMPYD)
        return link

    def ask(self, command: str) -> list[dict[str, Any]]:
        """The rows of a command of the control socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.run / f"{self.name}.sock"))
            client.sendall(json.dumps({"command": command}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                answer += client.recv(1 << 16)
        rows: list[dict[str, Any]] = json.loads(answer)["rows"]
        return rows

    def stop(self, number: int = 15) -> int:
        return self.process.stop(number)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
