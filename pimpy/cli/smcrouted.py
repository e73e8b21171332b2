"""smcrouted's command line: its flags, files and exit codes, in front of the one daemon.

Exit codes are those of sysexits, as smcrouted has them: 64 wrong words, 69 the table is held by another daemon, 77 no
permission, 78 the configuration that `-F` checked has an error; and 1 for an interval of `-m` or a user of `-p` that
cannot be.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pimpy import __version__

USAGE = 64
CONFIG = 78

_HELP = """\
Usage: smcrouted [hnNsv] [-c SEC] [-d SEC] [-e CMD] [-f FILE] [-F FILE] [-i NAME]
                 [-l LVL] [-m SEC] [-p USER[:GROUP]] [-P FILE] [-t ID] [-u FILE]

  -c SEC     Flush idle dynamic routes every SEC seconds, default 60, 0 turns it off
  -d SEC     Startup delay, before anything is opened
  -e CMD     Script to call on reload, and when a route of several streams made an entry
  -f FILE    Configuration, default /etc/NAME.conf
  -F FILE    Only check this configuration, and end: 0 or 78
  -h         Show this text
  -i NAME    Names the configuration, the socket, the PID file and the log; default smcroute
  -l LVL     Log level: none, err, notice, info, debug; default notice
  -m SEC     Multicast router discovery interval, 4-180; default 20
  -n         Stay in the foreground
  -N         Has no effect: interfaces are used as soon as a line names them
  -p USER    Whom the process that routes runs as
  -P FILE    PID file, default /run/NAME.pid
  -s         Log to syslog, even with -n
  -t ID      Multicast routing table of the kernel, default 0
  -u FILE    Control socket, default /run/NAME.sock
  -v         Show the version
"""
_LEVELS = ("none", "err", "notice", "info", "debug")


def _number(text: str) -> int:
    """As C's atoi: the digits at the beginning, else 0."""
    digits = ""
    for letter in text.strip():
        if not (letter.isascii() and letter.isdigit()):
            break
        digits += letter
    return int(digits[:9] or 0)


def verify(path: str) -> int:
    """`-F FILE`: every error with its line; the exit code."""
    from pimpy.config.smcroute import load
    from pimpy.daemon.configfile import Disk
    from pimpy.daemon.options import Options

    print(f"Verifying configuration file {path} ...")
    disk = Disk(Options())
    result = load(path, disk.read, disk.expand)
    for error in result.errors:
        where = f"{error.path} line {error.line}: " if error.line else ""
        print(f"{where}{error.text}", file=sys.stderr)
    if result.errors:
        print(f"Parse error in {path}", file=sys.stderr)
        return CONFIG
    return 0


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The command line. Never returns."""
    try:
        options, _ = getopt.gnu_getopt(
            list(sys.argv[1:] if argv is None else argv), "c:d:D:e:f:F:hi:I:l:m:nNp:P:st:u:v"
        )
    except getopt.GetoptError as error:
        print(f"smcrouted: {error.msg}\n{_HELP}", end="", file=sys.stderr)
        sys.exit(USAGE)
    said = {flag[1]: value for flag, value in options}
    if "h" in said:
        print(_HELP, end="")
        sys.exit(0)
    if "v" in said:
        print(f"SMCRoute v2.6.1 (pimpyd {__version__})")
        sys.exit(0)
    if "F" in said:
        sys.exit(verify(said["F"]))
    if "m" in said and not 4 <= _number(said["m"]) <= 180:
        print("Invalid mrdisc announcement interval, 4-180.", file=sys.stderr)
        sys.exit(1)
    sys.exit(_run(said))


def _run(said: dict[str, str]) -> int:
    from pimpy.daemon.background import run_path
    from pimpy.daemon.keeper import beginning

    name = said.get("i", said.get("I", "smcroute"))
    if not name or "/" in name or name.startswith(".") or not name.isprintable():
        print(f"smcrouted: invalid identity {name!r}", file=sys.stderr)
        return USAGE
    level = said.get("l", "notice")
    absolute = {key: os.path.abspath(said[key]) for key in "fPu" if said.get(key)}
    code = beginning.run(
        {
            "config": absolute.get("f"),
            "foreground": "n" in said,
            "ident": name,
            "pidfile": absolute.get("P"),
            "pidfile_path": absolute.get("P") or run_path(f"{name}.pid"),
            "socket": absolute.get("u"),
            "socket_path": absolute.get("u") or run_path(f"{name}.sock"),
            "log_level": level if level in _LEVELS else "notice",
            "debug": (),
            "syslog": "s" in said,
            "table": _number(said.get("t", "0")),
            "startup_delay": float(_number(said.get("d", "0"))),
            "retry": False,
            "disable_vifs": False,
            "wait": False,
            "dialect": "smcroute",
            "metrics": None,
            "record": None,
            "user": said["p"].partition(":")[0] if said.get("p") else None,
            "script": os.path.abspath(said["e"]) if said.get("e") else None,
            "mrdisc_interval": _number(said["m"]) if "m" in said else None,
            "flush_interval": _number(said["c"]) if "c" in said else None,
        }
    )
    return 1 if code == beginning.EXIT_USAGE else code


if __name__ == "__main__":
    main()
