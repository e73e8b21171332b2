"""igmpproxy's command line: `igmpproxy [-h] [-n] [-d] [-v [-v]] FILE`, in front of the one daemon.

Exit codes are igmpproxy's: 0 ended as asked, 1 wrong words or no permission, 255 everything else that ends it. SIGHUP,
which ended igmpproxy, reads the configuration again.
"""

from __future__ import annotations

import getopt
import sys
from collections.abc import Sequence
from typing import NoReturn

from pimpy.cli.names import run_as

_HELP = """\
Usage: igmpproxy [-h] [-n] [-d] [-v [-v]] <configfile>

   -h   Display this help screen
   -n   Do not run as a daemon
   -d   Run in debug mode. Output all messages on stderr. Implies -n.
   -v   Be verbose. Give twice to see even debug messages.
"""
FAILED = 255


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The command line. Never returns."""
    try:
        options, words = getopt.getopt(list(sys.argv[1:] if argv is None else argv), "hndv")
    except getopt.GetoptError as error:
        print(f"igmpproxy: {error.msg}\n{_HELP}", end="", file=sys.stderr)
        sys.exit(1)
    flags = [flag for flag, _ in options]
    if "-h" in flags:
        print(_HELP, end="", file=sys.stderr)
        sys.exit(0)
    if len(words) != 1:
        print("You must specify the configuration file." if not words else "Too many words.", file=sys.stderr)
        sys.exit(1)
    code = run_as(
        "igmpproxy",
        words[0],
        foreground="-n" in flags or "-d" in flags,
        log_level=("notice", "info", "debug")[min(flags.count("-v"), 2)],
        syslog="-d" not in flags,
        families=("ipv4",),
    )
    sys.exit({0: 0, 77: 1}.get(code, FAILED))


if __name__ == "__main__":
    main()
