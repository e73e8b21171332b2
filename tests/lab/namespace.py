"""What a lab does inside a network namespace without starting a program there: a thread enters it, acts and ends."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from fcntl import ioctl
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
FOLDER = Path("/run/netns")
SYSCTLS = Path("/proc/sys/net")
CLONE_NEWNET = 0x40000000
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
_libc = ctypes.CDLL(None, use_errno=True)


def inside(namespace: str, act: Callable[[], T]) -> T:
    """What `act` gives in the namespace; nobody else in this process is moved there. It must start no process."""

    def enter() -> T:
        descriptor = os.open(FOLDER / namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(descriptor, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns({namespace})")
        finally:
            os.close(descriptor)
        return act()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter).result()


def write_sysctls(values: dict[str, int]) -> None:
    """Sets /proc/sys/net/KEY for each key that this kernel has."""
    for key, value in values.items():
        path = SYSCTLS / key
        if path.exists():
            path.write_text(f"{value}\n")


def read_sysctl(key: str) -> str:
    return (SYSCTLS / key).read_text().strip()


def end_offload(interfaces: Iterable[str]) -> None:
    """Lets the kernel compute checksums itself, so that captures have them; what cannot do that is left alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for name in interfaces:
            value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, 0))
            ioctl(sock, SIOCETHTOOL, struct.pack("16sP16x", name.encode(), ctypes.addressof(value)))


def processes_in(namespaces: Iterable[str]) -> list[int]:
    """The processes that are in one of these namespaces."""
    wanted = {(found.st_dev, found.st_ino) for found in (os.stat(FOLDER / name) for name in namespaces)}
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found = os.stat(f"/proc/{pid}/ns/net")
        except OSError:  # it has ended
            continue
        if (found.st_dev, found.st_ino) in wanted:
            pids.append(int(pid))
    return pids
