"""What a daemon has used: processor time and memory of all its processes, as the kernel counts them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.service import comm

TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Use:
    """Seconds of processor time, and bytes of memory that are its own (resident)."""

    cpu: float
    memory: int

    def since(self, before: Use) -> Use:
        return Use(self.cpu - before.cpu, self.memory - before.memory)


def family_tree(pids: Iterable[int]) -> list[int]:
    """These processes and all that descend from them."""
    found = list(pids)
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text().split()]
    return list(dict.fromkeys(found))


def use(pids: Iterable[int]) -> Use:
    """Of these processes, their threads and their descendants.

    pimpyd's spare worker is left out: it starts some time or other, and does not care what is routed.
    """
    cpu, memory = 0.0, 0
    for pid in family_tree(pids):
        with contextlib.suppress(OSError):
            if comm(pid) == "pimpyd-spare":
                continue
            cpu += _cpu(pid)
            memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return Use(cpu, memory)


def _cpu(pid: int) -> float:
    """utime + stime: from schedstat, which counts nanoseconds, or else from stat, which counts ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[11:15]) * TICK  # its own and those of children it has waited for
    waited = sum(int(field) for field in fields[13:15]) * TICK
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    exact = sum(int(path.read_text().split()[0]) for path in threads) / 1e9
    # A thread that has ended is in the ticks only.
    return exact + waited if exact and abs(exact + waited - ticks) < 0.1 + ticks / 20 else ticks


def entries(namespace_pid: int, family: int) -> int:
    """The number of entries in the kernel's multicast forwarding cache, as a process in that namespace sees it."""
    name = "ip_mr_cache" if family == 4 else "ip6_mr_cache"
    return Path(f"/proc/{namespace_pid}/net/{name}").read_bytes().count(b"\n") - 1
