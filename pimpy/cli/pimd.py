"""Called as `pimd`: 3.0's command line, or with `--dialect pimd2` that of 2.3.2, where some flags mean other things.

2.3.2's -f is "foreground" and -s the log level; -l, -q and -r speak to a daemon that runs.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

RUN = "/run"
OLD = "pimd2"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Never returns."""
    words = list(sys.argv[1:] if argv is None else argv)
    from pimpy.cli import pimpyd

    if not _is_old(words):
        named = any(word in ("-i", "--ident") or word.startswith("--ident=") for word in words)
        pimpyd.main(words if named else ["-i", "pimd", *words])
    said = _parser().parse_args(words)
    if said.show_routes:
        sys.exit(_show(said.ident))
    if said.reload_config or said.quit_daemon:
        sys.exit(_signal(said.ident, signal.SIGHUP if said.reload_config else signal.SIGTERM))
    pimpyd.main(translate(said))


def _is_old(words: Sequence[str]) -> bool:
    return f"--dialect={OLD}" in words or ("--dialect", OLD) in pairwise(words)


def _parser() -> argparse.ArgumentParser:
    """The flags of 2.3.2."""
    made = argparse.ArgumentParser(prog="pimd", allow_abbrev=False, description="pimd 2.3.2's command line.")
    add = made.add_argument
    add("--dialect", help=argparse.SUPPRESS)
    add("-c", "--config", metavar="FILE", help="configuration, default /etc/pimd.conf")
    add("-d", "--debug", metavar="SYS", nargs="?", const="all", help="subsystems to debug")
    add("-f", "--foreground", action="store_true", help="stay in the foreground")
    add("-l", "--reload-config", action="store_true", help="let the running daemon read its configuration again")
    add("-N", "--disable-vifs", action="store_true", help="use only interfaces that the configuration enables")
    add("-q", "--quit-daemon", action="store_true", help="end the running daemon")
    add("-r", "--show-routes", action="store_true", help="show the tables of the running daemon")
    add("-s", "--loglevel", metavar="LEVEL", help="level of the log")
    add("-t", "--table-id", metavar="ID", help="multicast routing table")
    add("-v", "--version", action="store_true", help="show the version")
    add("-i", "--ident", default="pimd", help=argparse.SUPPRESS)
    return made


def translate(said: argparse.Namespace) -> list[str]:
    """The same in pimpyd's own words."""
    words = ["--dialect", OLD, "-i", said.ident]
    pairs = (("-f", said.config), ("-d", said.debug), ("-l", said.loglevel), ("-t", said.table_id))
    for flag, value in pairs:
        words += [flag, value] if value is not None else []
    flags = (("-n", said.foreground), ("--disable-vifs", said.disable_vifs), ("-v", said.version))
    return [*words, *(flag for flag, given in flags if given)]


def _show(ident: str) -> int:
    """2.3.2's dump; nothing, and no complaint, without a daemon."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(f"{RUN}/{ident}.sock")
            client.sendall(b"show dump\n")
            while piece := client.recv(65536):
                sys.stdout.write(piece.decode(errors="replace"))
    except OSError:
        pass
    return 0


def _signal(ident: str, number: int) -> int:
    """As 2.3.2: 0, whether anybody is there or not."""
    try:
        with open(f"{RUN}/{ident}.pid", encoding="ascii") as file:
            os.kill(int(file.read(32)), number)
    except (OSError, ValueError):
        pass
    return 0
