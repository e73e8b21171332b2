"""From the command line and the file system to a configuration: where the file is, and how it is read."""

from __future__ import annotations

import glob
import os

from attrs import evolve

from pimpy.config.model import Config
from pimpy.config.native import Result, load
from pimpy.daemon.options import Options

MAX_BYTES = 16 << 20
"""A configuration that is larger is none."""

DIRECTORY = "/etc"


def find(options: Options) -> str | None:
    """The file to read: `-f`, or /etc/IDENT.conf, or for the ident pimpyd /etc/pimd.conf; None if there is none."""
    if options.config is not None:
        return options.config
    names = [f"{DIRECTORY}/{options.ident}.conf"]
    if options.ident == "pimpyd":
        names.append(f"{DIRECTORY}/pimd.conf")
    return next((name for name in names if os.path.lexists(name)), None)


def load_options(options: Options) -> tuple[str | None, Result]:
    """The file (None: there is none, and the defaults hold) and what became of it, the command line worked in."""
    path = find(options)
    result = Result(Config(), ()) if path is None else load(path, read, expand)
    config = result.model
    if config is not None:
        if options.disable_vifs:
            config = evolve(config, phyints_enabled=False)
        if options.metrics is not None:
            config = evolve(config, metrics=options.metrics)
        result = evolve(result, model=config)
    return path, result


def read(path: str) -> str:
    """The text of a file, whatever bytes it has; OSError if it cannot be had or is too large to be a configuration."""
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(f"it has more than {MAX_BYTES >> 20} MiB")
    return data.decode("utf-8", errors="replace")


def expand(pattern: str) -> list[str]:
    """The files that a pattern stands for, sorted."""
    return sorted(glob.glob(pattern))
