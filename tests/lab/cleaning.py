"""Labs leave nothing behind: each has a folder below STATE, locked by its owner as long as that one lives.

A lab whose lock is free was left by a run that was killed; the next lab takes it down, unless it was kept on purpose.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .namespace import processes_in
from .paths import STATE

KEPT = "kept"
PREFIX = "pimpy-"


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One at a time makes or sweeps labs."""
    STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    lock = os.open(STATE / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


class Claim:
    """A new lab's folder, with its lock: `token` is part of the names of all its namespaces."""

    def __init__(self) -> None:
        with _alone():
            self.token = secrets.token_hex(3)
            self.folder = STATE / self.token
            self.folder.mkdir()
            self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def namespace(self, name: str) -> str:
        return f"{PREFIX}{self.token}-{name}"

    def keep(self) -> None:
        """Leaves the lab standing when its owner ends."""
        (self.folder / KEPT).touch()
        os.close(self._lock)

    def tear_down(self) -> None:
        tear_down(self.folder)
        os.close(self._lock)


def _namespaces(token: str) -> list[str]:
    folder = Path("/run/netns")
    return sorted(path.name for path in folder.glob(f"{PREFIX}{token}-*")) if folder.exists() else []


def _kill_inside(namespaces: list[str]) -> None:
    """Kills what still runs in these namespaces, until nothing does."""
    for _ in range(50):
        pids = processes_in(namespaces)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def tear_down(folder: Path) -> None:
    """Takes down the lab of `folder`: its processes, its namespaces, then the folder."""
    namespaces = _namespaces(folder.name)
    _kill_inside(namespaces)
    if namespaces:
        batch = "".join(f"netns delete {name}\n" for name in namespaces)
        subprocess.run(["ip", "-force", "-batch", "-"], input=batch, text=True, capture_output=True, timeout=60)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(kept: bool = False) -> int:
    """Takes down every lab whose owner is dead (those kept on purpose only if `kept`). Says how many."""
    with _alone():
        folders = [path for path in sorted(STATE.iterdir()) if path.is_dir()]
        return sum(_sweep_one(path) for path in folders if kept or not (path / KEPT).exists())


def _sweep_one(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Its owner is taking it down at this moment, or died on its first step; nothing else is in it.
        shutil.rmtree(folder, ignore_errors=True)
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tear_down(folder)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
