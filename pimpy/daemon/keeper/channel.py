"""What keeper and worker say to each other: a verb, a text and descriptors, one message a packet of a socket pair.

The worker asks, the keeper answers; of its own accord the keeper says nothing (it sends signals). The verbs:

    open [FAMILY:TABLE...] the configuration is fine: give me the sockets, of these further tables too
                                                                              -> kept NAME..., go FACTS | (the end)
    ready                  everything is served
    alive                  said every second, as long as the event loop is not late
    find                   where is the configuration?                        -> path PATH | none
    read PATH              a file of the configuration                        -> file + descriptor | error ERRNO
    expand PATTERN         the files of a pattern that the configuration names -> names PATH... | error ERRNO
    spare                  from now on, read what was in force last           -> done | error ERRNO
    reloaded               what was read last is in force now
    keep NAME + descriptor keep this, too
    drop NAME              keep it no longer
    restart [PROGRAM]      start again, as this program                       -> done | refused TEXT
    room NAME              whole packets come to this socket from now on: it needs a large buffer
    rules FAMILY:TABLE [NAME...] lead these interfaces to that table          -> done | error ERRNO | refused TEXT
    guard [SOURCES|ROUTERS] let these ranges register, by nftables; or all -> done | refused TEXT
    ending                 somebody ended the daemon: my exit is its end
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

MAX_TEXT = 1 << 16
"""Bytes of a message."""
MAX_DESCRIPTORS = 200
"""Descriptors of a message; the kernel takes 253."""


class Message:
    """One message: `verb`, the `text` behind it, and descriptors, which belong to whoever received it."""

    __slots__ = ("descriptors", "text", "verb")

    def __init__(self, verb: str, text: str, descriptors: list[int]) -> None:
        self.verb = verb
        self.text = text
        self.descriptors = descriptors


def send(channel: socket.socket, verb: str, text: str = "", descriptors: Sequence[int] = ()) -> None:
    """Send a message; OSError if the other side is gone, or has not read for long."""
    data = f"{verb} {text}".encode("utf-8", "surrogateescape")
    if len(data) > MAX_TEXT:
        raise OSError(errno.EMSGSIZE, "a message that is too long")
    socket.send_fds(channel, [data], list(descriptors))


def receive(channel: socket.socket) -> Message | None:
    """The next message, None at the end; BlockingIOError if there is none yet and the socket does not wait."""
    data, descriptors, _, _ = socket.recv_fds(channel, MAX_TEXT, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    verb, _, text = data.decode("utf-8", "surrogateescape").partition(" ")
    return Message(verb, text, descriptors)
