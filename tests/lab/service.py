"""pimpyd under a service manager that keeps its sockets (tools/service_manager.py), and the processes it is made of."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from .pimpyd import Pimpyd
from .shell import LabError, wait_until

MANAGER = Path(__file__).parent / "tools" / "service_manager.py"


def comm(pid: int) -> str:
    """The name of a process, empty if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def worker(daemon: Pimpyd) -> int:
    """The process that routes; LabError while there is none."""
    found = [pid for pid in daemon.pids() if comm(pid) == "pimpyd-worker"]
    if not found:
        raise LabError(f"no worker at {daemon.node}")
    return found[0]


def spare(daemon: Pimpyd) -> int | None:
    """The process that waits to take the worker's place; None while there is none."""
    return next((pid for pid in daemon.pids() if comm(pid) == "pimpyd-spare"), None)


def keeper(daemon: Pimpyd) -> int:
    """The process that holds the sockets."""
    found = [pid for pid in daemon.pids() if comm(pid) == "pimpyd"]
    if not found:
        raise LabError(f"no keeper at {daemon.node}")
    return found[0]


def restarts(daemon: Pimpyd) -> int:
    """How often the worker was started again."""
    return int(daemon.show("status")[0]["restarts"])


def wait_restarted(daemon: Pimpyd, before: int, timeout: float = 30) -> None:
    """Until a worker serves that was started after `before` restarts."""

    def look() -> bool:
        with contextlib.suppress(OSError, LabError, LookupError, ValueError):
            return restarts(daemon) > before
        return False

    wait_until(look, timeout, f"another worker serves at {daemon.node}", daemon.process.check_alive)


def wait_other_worker(daemon: Pimpyd, before: int, timeout: float = 30) -> None:
    """Until another worker than the process `before` serves."""

    def look() -> bool:
        with contextlib.suppress(LabError):
            return worker(daemon) != before and daemon.answers()
        return False

    wait_until(look, timeout, f"another worker serves at {daemon.node}", daemon.process.check_alive)


def kill_worker(daemon: Pimpyd, number: int = signal.SIGKILL) -> None:
    """Ends the worker with a signal, and waits until the next one serves."""
    before = restarts(daemon)
    os.kill(worker(daemon), number)
    wait_restarted(daemon, before)


def segfault(daemon: Pimpyd) -> None:
    """The worker ends in the C extension, by a bad pointer: its code is zeroes from now on, `add %al,(%rax)`."""
    before, pid = restarts(daemon), worker(daemon)
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    code = [line.split()[0] for line in lines if "/_mroute." in line and " r-xp " in line]
    if len(code) != 1:
        raise LabError(f"the worker at {daemon.node} has the extension's code at {code}")
    start, end = (int(number, 16) for number in code[0].split("-"))
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(start)
        memory.write(bytes(end - start))
    with contextlib.suppress(OSError, LabError, LookupError, ValueError):
        daemon.show("mroute")  # which calls it, if nothing else has
    wait_restarted(daemon, before)


class Service(Pimpyd):
    """The daemon under the stand-in for systemd."""

    def launch(self) -> Service:
        """Starts manager and daemon without waiting."""
        words = [sys.executable, "-I", "-S", str(MANAGER), str(self.node.folder), *self.command_line()]
        self.process = self.node.start("pimpyd", *words, pipe=True)
        return self

    def start(self) -> Service:
        """Starts both and waits until the daemon answers."""
        super().start()
        return self

    def restart(self) -> None:
        """As `systemctl restart` does: SIGTERM, and another start with what was kept."""
        before = worker(self)
        print("restart", file=self.process.stdin, flush=True)
        wait_other_worker(self, before)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """As `systemctl stop` does."""
        print("stop", file=self.process.stdin, flush=True)
        return self.process.wait(20)
