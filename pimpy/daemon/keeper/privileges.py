"""What keeper and worker may do: who they are, and their capabilities.

The keeper is root with two capabilities. Its real and saved user are the worker's: so it may become the worker, and
send it signals, without a capability for either, and the worker may do neither to it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import stat

from pimpy.kernel import _mroute

NET_ADMIN, NET_RAW = 12, 13
KEPT = 1 << NET_ADMIN | 1 << NET_RAW
USERS = ("pimpy", "nobody")
"""Whom the worker runs as: the first one there is."""


def choose_user(user: str | None) -> str | None:
    """Make sure that this process can make others the worker's user; why they keep this process's, if they have to.

    `user` is whom the worker is to be; None for the first of USERS that there is. LookupError for one that is not.
    """
    return _change_user(user) if os.geteuid() == 0 else None


def give_up_capabilities() -> None:
    """The tables are open: give up what a keeper does not need, for good."""
    _mroute.keep_capabilities(KEPT)


def _change_user(user: str | None) -> str | None:
    if os.getresuid() != (0, 0, 0):
        return None  # an earlier version of this keeper did
    entry = _entry(user)
    if entry is None:
        return f"there is no user {' or '.join(USERS)}"
    with contextlib.suppress(OSError):
        os.setgroups([])
    try:
        os.setresgid(entry.pw_gid, 0, entry.pw_gid)
        os.setresuid(entry.pw_uid, 0, entry.pw_uid)
    except OSError as error:
        return f"no process here can be the user {entry.pw_name}: {error.strerror}"
    return None


def _entry(user: str | None) -> pwd.struct_passwd | None:
    for name in USERS if user is None else (user,):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            if user is not None:
                raise LookupError(f"there is no user {user!r}") from None
    return None


def be_taken_first() -> None:
    """When memory runs out, it is the worker that goes, not the keeper, whose value it inherited."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
        if int(file.read()) < 0:
            file.seek(0)
            file.write("0")


def within_reach(path: str) -> bool:
    """Whether anybody may pass through all folders above a file: a clone in root's home is for root alone."""
    folder = os.path.dirname(os.path.abspath(path))
    while True:
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            return False
        if folder == (above := os.path.dirname(folder)):
            return True
        folder = above


def become_worker(parent: int) -> str | None:
    """Give up everything a worker does not need, for good; what of it this kernel cannot do, in words.

    `parent` is the keeper: with it, the worker ends. What is to be imported has to be by then.
    """
    be_taken_first()
    user, group = os.getresuid()[0], os.getresgid()[0]
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    _mroute.keep_capabilities(0)
    _mroute.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    try:
        _mroute.lock_down()
    except OSError as error:
        return f"system calls are not filtered: {error.strerror}"
    return None
