"""FRRouting (Debian 13's, unpacked by tests/prepare) as a router of the lab: zebra, pimd for IPv4, pim6d for IPv6.

And mgmtd, though nobody asks it anything: without it zebra tries a hundred times a second to tell it of each link.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from .paths import FRR_ROOT
from .shell import LabError, Process, run, wait_until
from .topology import Node

DAEMONS = {4: "pimd", 6: "pim6d"}
# /run/frr of the root is this node's folder, seen by this node's daemons only.
ENTER = 'mount -t proc proc "$1/proc" && mount --bind "$2" "$1/run/frr" && shift 2 && exec chroot "$@"'


class Frr:
    """The daemons at one node.

    `members` are the interfaces with IGMP and MLD, all others (and those too) speak PIM. `lines` are further lines
    of an interface's block, `settings` of the whole configuration, per family: {4: ["ip pim ..."], 6: [...]}.
    """

    def __init__(
        self,
        node: Node,
        members: Iterable[str] = (),
        families: Iterable[int] = (4, 6),
        lines: Mapping[int, Iterable[str]] | None = None,
        settings: Mapping[int, Iterable[str]] | None = None,
    ) -> None:
        self.node = node
        self.members = set(members)
        self.families = tuple(families)
        self.lines = dict(lines or {})
        self.settings = dict(settings or {})
        self.folder = node.folder / "frr"
        self.daemons: dict[str, Process] = {}

    def configuration(self, family: int) -> str:
        ip, gmp = ("ip", "igmp") if family == 4 else ("ipv6", "mld")
        text = [f"hostname {self.node.name}", *self.settings.get(family, ())]
        for name in self.node.ports:
            text += [f"interface {name}", f" {ip} pim"]
            text += [f" {ip} {gmp}"] if name in self.members else []
            text += [f" {line}" for line in self.lines.get(family, ())]
            text.append("exit")
        return "\n".join(text) + "\n"

    def start(self, only: Iterable[str] = ()) -> Frr:
        """Starts the daemons, or `only` these of them, and waits until they answer."""
        (FRR_ROOT / "run/frr").mkdir(mode=0o755, exist_ok=True)
        self.folder.mkdir(exist_ok=True)
        for family in self.families:
            (self.folder / f"{DAEMONS[family]}.conf").write_text(self.configuration(family))
        (self.folder / "zebra.conf").write_text(f"hostname {self.node.name}\n")
        owner = run(["chroot", str(FRR_ROOT), "id", "-u", "frr"]).strip()
        for path in (self.folder, *self.folder.iterdir()):
            shutil.chown(path, int(owner), int(owner))
        for daemon in only or ("mgmtd", "zebra", *(DAEMONS[family] for family in self.families)):
            self.start_daemon(daemon)
        return self

    def start_daemon(self, daemon: str) -> None:
        common = ["-A", "127.0.0.1", "-P", "0", "-u", "frr", "-g", "frr", "--vty_socket", "/run/frr"]
        files = ["-i", f"/run/frr/{daemon}.pid", "-z", "/run/frr/zserv.api"]
        files += ["-f", f"/run/frr/{daemon}.conf"] if daemon != "mgmtd" else []
        # Without mgmtd zebra complains of each link's change, many times over.
        log = [] if daemon == "zebra" else ["--log", "stdout"]
        process = self.node.start(daemon, *self._enter(f"/usr/lib/frr/{daemon}", *common, *files, *log))
        self.daemons[daemon] = process
        wait_until(lambda: self._answers(daemon), 20, f"{daemon} answers at {self.node}", process.check_alive)

    def _enter(self, *argv: str) -> list[str]:
        return ["sh", "-ec", ENTER, "frr", str(FRR_ROOT), str(self.folder), str(FRR_ROOT), *argv]

    def _answers(self, daemon: str) -> bool:
        with contextlib.suppress(OSError, LabError):
            return "FRRouting" in self.ask(daemon, "show version")
        return False

    def ask(self, daemon: str, *commands: str) -> str:
        """What a daemon prints at these commands, one after the other, on the socket that vtysh would ask it by.

        Each is ended by a zero byte, and each answer by three and the command's result, 0 if it was obeyed.
        """
        said = b""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(20)
            line.connect(str(self.folder / f"{daemon}.vty"))
            for command in ("enable", *commands):
                line.sendall(command.encode() + b"\0")
                answer = b""
                while answer[-4:-1] != b"\0\0\0":
                    piece = line.recv(1 << 16)
                    if not piece:
                        raise LabError(f"{daemon} at {self.node} hung up: {command}")
                    answer += piece
                if answer[-1]:
                    raise LabError(f"{daemon} at {self.node}: {command}: {answer[:-4].decode().strip()}")
                said += answer[:-4]
        return said.decode()

    def show(self, family: int, what: str) -> Any:
        """The decoded answer of `show ip WHAT json`, or ipv6: show(4, "pim neighbor")."""
        ip = "ip" if family == 4 else "ipv6"
        return json.loads(self.ask(DAEMONS[family], f"show {ip} {what} json") or "{}")

    def neighbors(self, family: int) -> set[str]:
        """The addresses of all PIM neighbours."""
        answer = self.show(family, "pim neighbor")
        return {address for rows in answer.values() if isinstance(rows, dict) for address in rows}

    def has_neighbors(self, family: int, count: int) -> bool:
        """Whether there are that many or more."""
        return len(self.neighbors(family)) >= count

    def joined(self, family: int) -> set[tuple[str, str]]:
        """The (source, group)s whose upstream state is Joined."""
        answer = self.show(family, "pim upstream")
        return {
            (source, group)
            for group, sources in answer.items()
            if isinstance(sources, dict)
            for source, entry in sources.items()
            if isinstance(entry, dict) and "J" in entry.get("joinState", "")
        }

    def members_of(self, family: int) -> set[tuple[str, str]]:
        """The (interface, group)s with members."""
        answer = self.show(family, "igmp groups" if family == 4 else "mld joins")
        return set(_members4(answer) if family == 4 else _members6(answer))

    def pids(self) -> list[int]:
        return [process.pid for process in self.daemons.values()]

    def stop(self) -> None:
        for process in self.daemons.values():
            process.stop()


def _members4(answer: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for interface, entry in answer.items():
        if isinstance(entry, dict):
            for row in entry.get("groups", ()):
                yield interface, row["group"]


def _members6(answer: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for vrf in answer.values():
        for interface, groups in vrf.items() if isinstance(vrf, dict) else ():
            for group in groups if isinstance(groups, dict) else ():
                if group.startswith("ff"):
                    yield interface, group
