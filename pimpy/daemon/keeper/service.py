"""The service manager: systemd, or whoever speaks its protocol (sd_notify, LISTEN_FDS, FDSTORE).

What is stored there outlives the keeper itself: whoever starts the service again gives it back. The same words serve
when the keeper executes another version of itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

FIRST = 3
"""The first descriptor that is handed over."""


def inherited() -> dict[str, int]:
    """The descriptors that were handed to this process, by name; of several of one name the last counts."""
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    count, pid = os.environ.pop("LISTEN_FDS", "0"), os.environ.pop("LISTEN_PID", "")
    if pid != str(os.getpid()) or not count.isdigit():
        return {}
    found: dict[str, int] = {}
    for index in range(int(count)):
        descriptor = FIRST + index
        try:
            os.set_inheritable(descriptor, False)
        except OSError:
            continue
        name = names[index] if index < len(names) else f"unnamed{index}"
        if name in found:
            os.close(found[name])
        found[name] = descriptor
    return found


def hand_over(kept: Mapping[str, int]) -> dict[str, str]:
    """Make the kept descriptors those that a program finds which this process executes: its environment."""
    # First out of the way, then into their places: none may be overwritten while it is still to be moved.
    moved = [os.dup2(fd, FIRST + len(kept) + 1000 + index, False) for index, fd in enumerate(kept.values())]
    for index, descriptor in enumerate(moved):
        os.dup2(descriptor, FIRST + index, True)
    names = ":".join(kept)
    return {
        **os.environ,
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(kept)),
        "LISTEN_FDNAMES": names,
    }


class Manager:
    """The service manager that started us, if one did."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        stored = environment.get("FDSTORE", "")
        self.keeps = bool(self._address) and stored.isdigit() and int(stored) > 0
        """Whether what is stored there outlives us: systemd 254 says so itself, before it our unit file does."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.watchdog = int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) else None
        """Seconds between two signs of life that it wants, None for none."""

    def tell(self, words: str, descriptor: int | None = None) -> None:
        """Say something, if anybody listens: `READY=1`."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(1.0)
            out.connect(address)
            if descriptor is None:
                out.send(words.encode())
            else:
                socket.send_fds(out, [words.encode()], [descriptor])

    def store(self, name: str, descriptor: int) -> None:
        """Let it keep a copy of a descriptor, whatever poll says of it."""
        if self.keeps:
            self.tell(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", descriptor)

    def forget(self, name: str) -> None:
        """It is to keep this one no longer."""
        if self.keeps:
            self.tell(f"FDSTOREREMOVE=1\nFDNAME={name}")
