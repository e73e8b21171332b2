"""pim6sd's command line: `pim6sd [-hnv] [-f FILE] [-d LEVEL[,LEVEL]]`, in front of the one daemon.

SIGUSR1 writes the state to /run/pim6sd.dump, which pim6stat shows. Exit codes are pim6sd's: 0 ended as asked, 1 wrong
words or no permission, 255 everything else that ends it.
"""

from __future__ import annotations

import getopt
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pimpy import __version__
from pimpy.cli.names import run_as

_HELP = """\
Usage: pim6sd [-hnv] [-f FILE] [-d LEVEL[,LEVEL]]

  -d LEVEL   Log debug messages; any LEVEL means all of them
  -f FILE    The configuration, default /etc/pim6sd.conf
  -h         Show this text
  -n         Stay in the foreground
  -v         Show the version
"""
_STAT_HELP = "Usage: pim6stat [-d] [-f FILE] [-p PID] [-s] [-w SEC]\n"
FAILED = 255
DUMP = "/run/pim6sd.dump"
PIDFILE = "/run/pim6sd.pid"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The command line. Never returns."""
    try:
        options, words = getopt.getopt(list(sys.argv[1:] if argv is None else argv), "hnvf:d:")
    except getopt.GetoptError as error:
        print(f"pim6sd: {error.msg}\n{_HELP}", end="", file=sys.stderr)
        sys.exit(1)
    said = {flag[1]: value for flag, value in options}
    if "h" in said or "v" in said:
        print(_HELP if "h" in said else f"pim6sd version 2.1.0 (pimpyd {__version__})\n", end="")
        sys.exit(0)
    if words:
        print(_HELP, end="", file=sys.stderr)
        sys.exit(1)
    level = "debug" if "d" in said else "notice"
    code = run_as(
        "pim6sd",
        said.get("f", "/etc/pim6sd.conf"),
        foreground="n" in said,
        log_level=level,
        syslog="n" not in said,
        families=("ipv6",),
        dump=DUMP,
    )
    sys.exit({0: 0, 77: 1}.get(code, FAILED))


def stat(argv: Sequence[str] | None = None) -> NoReturn:
    """pim6stat: have the daemon write its state, and show it."""
    try:
        options, words = getopt.getopt(list(sys.argv[1:] if argv is None else argv), "df:hp:sw:")
    except getopt.GetoptError as error:
        print(f"pim6stat: {error.msg}\n{_STAT_HELP}", end="", file=sys.stderr)
        sys.exit(1)
    said = {flag[1]: value for flag, value in options}
    if "h" in said or words:
        print(_STAT_HELP, end="")
        sys.exit(0 if "h" in said else 1)
    path = Path(said.get("f", DUMP))
    wait = float(said["w"]) if said.get("w", "").replace(".", "", 1).isdigit() else 5.0
    try:
        text = said.get("p") or Path(PIDFILE).read_text(encoding="ascii")
        sys.stdout.write(_fetch(path, int(text), min(wait, 60.0)))
    except (OSError, ValueError) as error:
        print(f"pim6stat: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def _fetch(path: Path, pid: int, wait: float) -> str:
    """The text that the daemon writes on SIGUSR1; TimeoutError if it does not."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + wait
    while not path.exists() or path.stat().st_mtime_ns == before:
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} wrote no {path} within {wait:g} s")
        time.sleep(0.05)
    return path.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    main()
