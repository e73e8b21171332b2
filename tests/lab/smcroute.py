"""smcrouted at a node of the lab: Debian's, unpacked by tests/prepare, or pimpyd called by that name."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .helpers import Ended, run_to_end
from .paths import PIMPYD, SMCROUTECTL, SMCROUTED
from .shell import Process, wait_until
from .topology import Node


def called(node: Node, name: str) -> Path:
    """pimpyd under another name, as a symbolic link."""
    link = node.folder / name
    if not link.exists():
        link.symlink_to(PIMPYD)
    return link


@dataclass
class Smcroute:
    """The daemon at one node. `text` is its whole configuration; `ours` says whose program it is."""

    node: Node
    ours: bool
    text: str = ""
    args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.socket = self.node.folder / "smcroute.sock"
        self.pidfile = self.node.folder / "smcroute.pid"
        self.config = self.node.folder / "smcroute.conf"
        self.config.write_text(self.text)
        self.process: Process

    def command_line(self) -> list[str]:
        program = called(self.node, "smcrouted") if self.ours else SMCROUTED
        files = ["-f", str(self.config), "-u", str(self.socket), "-P", str(self.pidfile)]
        return [str(program), "-n", "-l", "info", *files, *self.args]

    def start(self) -> Smcroute:
        self.pidfile.unlink(missing_ok=True)
        self.process = self.node.start("smcrouted", *self.command_line())
        wait_until(self.pidfile.exists, 20, f"smcrouted runs at {self.node}", self.process.check_alive)
        wait_until(lambda: self.ctl("show", "interfaces").code == 0, 10, "it answers", self.process.check_alive)
        return self

    def ctl(self, *words: str, ours: bool | None = None, text_in: str = "") -> Ended:
        """What a client prints: its own one, or that of `ours`."""
        mine = self.ours if ours is None else ours
        program = called(self.node, "smcroutectl") if mine else SMCROUTECTL
        return run_to_end(self.node, program, "-u", self.socket, *words, text_in=text_in)

    def show(self, *words: str, ours: bool | None = None) -> list[str]:
        """The lines of `show`, headings left out, sorted."""
        found = self.ctl("-t", "show", *words, ours=ours)
        assert found.code == 0, found
        return sorted(" ".join(line.split()) for line in found.out.splitlines() if line.strip())

    def reconfigure(self, text: str) -> None:
        """Another file, and a reload."""
        self.config.write_text(text)
        done = self.ctl("reload")
        assert done.code == 0, done

    def cpu(self) -> float:
        """Seconds of processor time that it has used, its children's included."""
        total = 0.0
        pids = [self.process.pid]
        for pid in pids:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            pids += [int(child) for child in children]
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def stop(self) -> int:
        return self.process.stop()


def version(program: Path) -> str:
    """What a program says of itself."""
    return subprocess.run([program, "-v"], capture_output=True, text=True, timeout=10).stdout
