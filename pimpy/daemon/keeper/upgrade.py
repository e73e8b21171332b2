"""Which program the keeper executes when it is to start again: itself, or another version."""

from __future__ import annotations

import os
import stat
import sys

_TRIAL = 10
"""Seconds that a program has to tell its version."""


class Refused(Exception):
    """That program is not executed: the text tells why."""


def next_program(path: str) -> list[str]:
    """The words to execute: `path`, or if it is empty the program that this process was started as.

    A worker may be in the hands of somebody else, so `path` must be what only root can have put there, and called
    pimpyd. It must be able to tell its version: with a program that cannot even start, all streams would end.
    """
    path = path or _own_program()
    if not path.startswith("/"):
        raise Refused(f"{path}: the program is named by its whole path")
    if os.path.basename(path) != "pimpyd":
        raise Refused(f"{path}: it is not called pimpyd")
    for name in (path, os.path.dirname(path)):
        try:
            found = os.stat(name)
        except OSError as error:
            raise Refused(f"{name}: {error.strerror}") from None
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Refused(f"{name}: others than root can change it")
    if _no_new_privileges():
        raise Refused(
            f"{path}: no program can be root here (NoNewPrivileges): name it in the unit, restart the service"
        )
    _try(path)
    return [path, *sys.argv[1:]]


def _no_new_privileges() -> bool:
    """Whether what this process executes cannot be root any more: its real user is the worker's."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return "NoNewPrivs:\t1" in file.read() and os.getuid() != os.geteuid()


def _own_program() -> str:
    return os.path.abspath(sys.argv[0])


def _try(path: str) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
    try:
        pid = os.posix_spawn(
            "/usr/bin/env", ["env", "timeout", str(_TRIAL), path, "-v"], os.environ, file_actions=actions
        )
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    finally:
        os.close(null)
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise Refused(f"{path} -v does not work")
