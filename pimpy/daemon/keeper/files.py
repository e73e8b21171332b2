"""The configuration's files, read for the worker: it may not open what root alone can read.

A worker gets the file that the command line names, and what files it was given name behind `include`, nothing else.
What was in force last is kept, for a worker that starts while the file on the disk has an error.
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import re

MAX_BYTES = 16 << 20
"""A configuration that is larger is none."""
MAX_NAMES = 1000
"""Files of one pattern."""

_INCLUDE = re.compile(rb"^[ \t]*include[ \t]+([^\s#]+)", re.IGNORECASE | re.MULTILINE)
_WILD = frozenset("*?[")


DIRECTORY = "/etc"


def find(config: str | None, ident: str) -> str | None:
    """The file to read: `-f`, or /etc/IDENT.conf, or for the ident pimpyd /etc/pimd.conf; None if there is none."""
    if config is not None:
        return config
    names = [f"{DIRECTORY}/{ident}.conf"]
    if ident == "pimpyd":
        names.append(f"{DIRECTORY}/pimd.conf")
    return next((name for name in names if os.path.lexists(name)), None)


class Files:
    """What one worker may read."""

    def __init__(self, config: str | None, ident: str) -> None:
        self._config = config
        self._ident = ident
        self._path: str | None = None
        self._granted: set[str] = set()
        self._patterns: set[str] = set()
        self._read: dict[str, bytes] = {}
        self._in_force: tuple[str | None, dict[str, bytes]] | None = None
        self._spare = False
        self._spare_next = False

    def begin(self) -> None:
        """A new worker, or a new attempt of it, reads from the beginning."""
        self._granted, self._patterns, self._read = set(), set(), {}
        self._path, self._spare = None, False

    def find(self) -> str | None:
        """The file to read, None if there is none."""
        spare, self._spare_next = self._spare_next, False
        self.begin()
        self._spare = spare
        self._path = self._in_force[0] if spare and self._in_force else find(self._config, self._ident)
        if self._path is not None:
            self._granted.add(self._path)
        return self._path

    def read(self, path: str) -> int:
        """A descriptor with the file's bytes, to be closed by the caller; OSError if there is none to be had."""
        if path not in self._granted:
            raise PermissionError(errno.EACCES, "no file of the configuration")
        data = self._bytes(path)
        self._read[path] = data
        folder = os.path.dirname(path)
        for word in _INCLUDE.findall(data):
            name = os.path.join(folder, os.fsdecode(word))
            if _WILD & set(name):
                self._patterns.add(name)
            else:
                self._granted.add(name)
        descriptor = os.memfd_create("configuration", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.lseek(descriptor, 0, os.SEEK_SET)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _bytes(self, path: str) -> bytes:
        if self._spare and self._in_force is not None:
            try:
                return self._in_force[1][path]
            except KeyError:
                raise FileNotFoundError(errno.ENOENT, "not there when it was read last") from None
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"it has more than {MAX_BYTES >> 20} MiB")
        return data

    def expand(self, pattern: str) -> list[str]:
        """The files of a pattern that a file has named, sorted."""
        if pattern not in self._patterns:
            raise PermissionError(errno.EACCES, "no pattern of the configuration")
        if self._spare and self._in_force is not None:
            found = fnmatch.filter(self._in_force[1], pattern)
        else:
            found = glob.glob(pattern)
        names = sorted(found)[:MAX_NAMES]
        self._granted.update(names)
        return names

    def use_spare(self) -> bool:
        """Give what was in force last when it is read the next time; whether there is such a thing."""
        self._spare_next = self._in_force is not None
        return self._spare_next

    def accept(self) -> None:
        """What was read last is in force."""
        self._in_force = self._path, dict(self._read)
