"""What the worker may ask of the keeper, each request checked here: it may no longer be the worker that we made."""

from __future__ import annotations

import errno
import os
import re
import time
from typing import TYPE_CHECKING

from pimpy.daemon import background
from pimpy.daemon.keeper import channel
from pimpy.daemon.keeper.channel import Message
from pimpy.daemon.keeper.upgrade import Refused

if TYPE_CHECKING:
    from pimpy.daemon.keeper.keeper import Keeper
    from pimpy.daemon.keeper.workers import Worker

_MEMBER = re.compile(r"member[46]-[0-9]{1,9}\.[0-9]{1,10}\.[0-9]{1,4}", re.ASCII)
_TABLE = re.compile(r"(ipv4|ipv6):([0-9]{1,9})", re.ASCII)
MAX_TABLES = 16
MAX_KEPT = 480
"""Descriptors that are kept at most; the unit file lets the service manager take 512."""


def further_tables(text: str) -> list[tuple[str, int]]:
    """(family, table) of each word `FAMILY:TABLE`; what is none is passed over."""
    found = [_TABLE.fullmatch(word) for word in text.split()[:MAX_TABLES]]
    return [(match.group(1), int(match.group(2))) for match in found if match is not None]


def answer(keeper: Keeper, worker: Worker, message: Message) -> None:
    """Do what a message asks for, and answer it."""
    try:
        if not take(keeper, worker, message):
            _reply(keeper, worker, message)
    except OSError:
        pass  # the worker is gone, or does not read: its end is seen elsewhere
    finally:
        for descriptor in message.descriptors:
            os.close(descriptor)


def take(keeper: Keeper, worker: Worker, message: Message) -> bool:
    """Do what a message asks for if it wants no answer; whether it was such a one."""
    if message.verb == "alive":
        pass
    elif message.verb == "keep":
        if len(message.descriptors) == 1 and _MEMBER.fullmatch(message.text) and len(keeper.kept) < MAX_KEPT:
            keeper.keep(message.text, os.dup(message.descriptors[0]))
    elif message.verb == "drop":
        if _MEMBER.fullmatch(message.text):
            keeper.drop(message.text)
    elif message.verb == "room":
        keeper.make_room(message.text)
    elif message.verb == "ready":
        keeper.ready(worker)
    elif message.verb == "reloaded":
        keeper.files.accept()
        background.touch_pidfile(keeper.asked["pidfile_path"])
        keeper.manager.tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        keeper.manager.tell("READY=1")
    elif message.verb == "script":
        keeper.scripts.run(message.text)
    elif message.verb == "ending":
        worker.ending = True
    else:
        return False
    return True


def _reply(keeper: Keeper, worker: Worker, message: Message) -> None:
    line, text = worker.line, message.text
    if message.verb == "open":
        assert keeper.opening is not None
        keeper.opening.serve(worker, further_tables(text))
        return
    try:
        if message.verb == "find":
            path = keeper.files.find()
            channel.send(line, "none" if path is None else "path", path or "")
        elif message.verb == "read":
            descriptor = keeper.files.read(text)
            channel.send(line, "file", "", [descriptor])
            os.close(descriptor)
        elif message.verb == "expand":
            channel.send(line, "names", "\0".join(keeper.files.expand(text)))
        elif message.verb == "spare":
            channel.send(line, "done" if keeper.files.use_spare() else "error", str(errno.ENOENT))
        elif message.verb == "rules":
            keeper.lead(text)
            channel.send(line, "done")
        elif message.verb == "guard":
            keeper.guard(text)
            channel.send(line, "done")
        elif message.verb == "restart":
            keeper.restart(text)
            channel.send(line, "done")
        else:
            channel.send(line, "error", str(errno.ENOSYS))
    except Refused as refusal:
        channel.send(line, "refused", str(refusal))
    except OSError as error:
        channel.send(line, "error", str(error.errno or errno.EIO))
