"""From the command line and the file system to a configuration: where the file is, and how it is read."""

from __future__ import annotations

import glob
from typing import Protocol

from pimpy.config.diagnostics import NOTE, Diagnostic
from pimpy.config.dialects import LOADERS, NATIVE, detect
from pimpy.config.model import Config
from pimpy.config.native import Result
from pimpy.config.tables import assigned
from pimpy.daemon.keeper.files import MAX_BYTES, find
from pimpy.daemon.options import Options
from pimpy.wire.record import evolve


class Source(Protocol):
    """Where the configuration is read: the disk, or a keeper who reads it for us."""

    def find(self) -> str | None:
        """The file to read, None if there is none."""

    def read(self, path: str) -> str:
        """The text of a file, whatever bytes it has; OSError if it cannot be had."""

    def expand(self, pattern: str) -> list[str]:
        """The files that a pattern stands for, sorted."""


class Disk:
    """The file system itself."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def find(self) -> str | None:
        """See `Source`."""
        return find(self._options.config, self._options.ident)

    def read(self, path: str) -> str:
        """See `Source`."""
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise OSError(f"it has more than {MAX_BYTES >> 20} MiB")
        return data.decode("utf-8", errors="replace")

    def expand(self, pattern: str) -> list[str]:
        """See `Source`."""
        return sorted(glob.glob(pattern))


WITHOUT_DEFAULTS = ("pim6sd", "smcroute", "igmpproxy", "mcproxy")
"""Dialects in which a file that is missing does not mean that PIM runs everywhere."""


def _detected(path: str | None, source: Source) -> str:
    """The dialect of a file, where the command line names none."""
    if path is None:
        return NATIVE
    try:
        return detect(source.read(path), path).dialect
    except OSError:
        return NATIVE


def name_dialect(options: Options) -> str | None:
    """`dialect NAME (why)`, as people read it; None without a file."""
    disk = Disk(options)
    path = disk.find()
    if path is None:
        return None
    if options.dialect is not None:
        return f"dialect {options.dialect} (as asked for)"
    try:
        found = detect(disk.read(path), path)
    except OSError:
        return None
    return f"dialect {found.dialect} ({found.reason})"


def load_options(options: Options, source: Source | None = None) -> tuple[str | None, Result]:
    """The file (None: there is none, and the defaults hold) and what became of it, the command line worked in."""
    source = source or Disk(options)
    path = source.find()
    dialect = options.dialect
    if path is None and dialect not in WITHOUT_DEFAULTS:
        result = Result(Config(), ())
    else:
        result = LOADERS[dialect or _detected(path, source)](
            path or f"/etc/{options.ident}.conf", source.read, source.expand
        )
    config = result.model
    if config is not None:
        if options.flush_interval is not None:
            config = evolve(config, static=evolve(config.static, flush_interval=options.flush_interval))
        if options.mrdisc_interval is not None:
            config = evolve(config, mrdisc_interval=options.mrdisc_interval)
        if options.disable_vifs:
            config = evolve(config, phyints_enabled=False)
        if options.metrics is not None:
            config = evolve(config, metrics=options.metrics)
        config, moved = assigned(config, options.table)
        told = tuple(Diagnostic(path or "", 0, NOTE, name, f"proxy {name}: {text}") for name, text in moved)
        result = evolve(result, model=config, diagnostics=(*result.diagnostics, *told))
    return path, result
