"""pimpyd's command line: pimd 3.0's flags and a few more, to `Options`; the daemon itself is `daemon/app.py`.

Exit codes: 0 ended as asked, 1 failed while running, 2 wrong words, 69 table or socket held by another daemon, 77 a
capability is missing, 78 the configuration is wrong. Imports stay light: a wrong flag or `-h` is answered at once.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pimpy import __version__

OK = 0
FAILED = 1
USAGE = 2
UNAVAILABLE = 69
NO_PERMISSION = 77
CONFIG = 78

MAX_TABLE = 999_999_999
DIALECTS = ("pimpyd", "pimd", "pimd2", "pim6sd", "smcroute", "igmpproxy", "mcproxy")
"""Grammars; the first two and pimd 2.3.2's are one."""


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    made = argparse.ArgumentParser(
        prog="pimpyd",
        description="Route multicast: PIM-SM and PIM-SSM, IGMP and MLD, IPv4 and IPv6.",
        allow_abbrev=False,
        add_help=False,
    )
    _common(made)
    _running(made)
    _configuration(made)
    return made


def _common(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    add("-h", "--help", action="help", help="show this text and end")
    add("-v", "--version", action="version", version=f"pimpyd version {__version__}", help="show the version and end")
    add("-n", "--foreground", action="store_true", help="stay in the foreground; log to stderr unless -s")
    add("-i", "--ident", metavar="IDENT", default="pimpyd", type=_ident, help="name of the configuration, socket, ...")
    add("-p", "--pidfile", metavar="FILE", help="PID file (default /run/IDENT.pid)")
    add("-u", "--ipc", metavar="SOCK", help="control socket (default /run/IDENT.sock)")
    add("-l", "--loglevel", metavar="LEVEL", default="notice", type=_level, help="none err warning notice info debug")
    add("-d", "--debug", metavar="SYS[,SYS]", action="append", default=[], type=_systems, help="subsystems to debug")
    add("-s", "--syslog", action="store_true", help="log to syslog, in the foreground too")


def _running(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    add("-t", "--table-id", metavar="TABLE", default=0, type=_table, help="multicast routing table of the kernel")
    add("-w", "--startup-delay", metavar="SEC", default=0.0, type=_seconds, help="wait before anything is opened")
    add("-r", "--retry", action="store_true", help="wait for interfaces that the configuration enables")
    add("--wait", action="store_true", help="try a table that another daemon holds again every 10 s")
    add(
        "--metrics", metavar="ADDR:PORT", type=_listen, help="serve Prometheus metrics there; a port alone: on loopback"
    )
    add("--user", metavar="NAME", help="whom the process that routes runs as (default pimpy, or else nobody)")
    add("--good-bye", action="store_true", help="say good-bye for a daemon that ended without, and end")
    add("--record", metavar="FILE", help="write the stream of events to FILE")
    add("--replay", metavar="FILE", help="run a recorded stream through a fresh core, and end")


def _configuration(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    add("-f", "--config", metavar="FILE", help="configuration (default /etc/IDENT.conf, then /etc/pimd.conf)")
    add("--disable-vifs", action="store_true", help="use only interfaces that the configuration enables")
    add(
        "--check", metavar="FILE", nargs="?", const="", help="read the configuration, print what is to be said, and end"
    )
    add("--print-guard", action="store_true", help="print the nftables table of register-guard, and end")
    add("--dialect", metavar="NAME", type=_dialect, help="grammar of the configuration: the name of a daemon")


def _ident(text: str) -> str:
    if not text or "/" in text or not text.isprintable() or text.startswith("."):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be part of a file's name")
    return text


def _level(text: str) -> str:
    from pimpy.daemon.levels import LEVEL_WORDS, level_name

    try:
        return level_name(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"no such level: {text!r}; known are {', '.join(LEVEL_WORDS)}") from None


def _systems(text: str) -> tuple[str, ...]:
    from pimpy.daemon.levels import SUBSYSTEMS, subsystems

    try:
        return subsystems(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; known are {', '.join(SUBSYSTEMS)}") from None


def _table(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_TABLE:
        raise argparse.ArgumentTypeError(f"{text!r} is no table: 0 to {MAX_TABLE}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no time in seconds: 0 to 86400")
    return value


def _listen(text: str) -> tuple[str, int]:
    from pimpy.config.directives import parse_listen

    try:
        return parse_listen(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _dialect(text: str) -> str:
    if text not in DIALECTS:
        raise argparse.ArgumentTypeError(f"no such dialect: {text!r}; known are {', '.join(DIALECTS)}")
    return text


def check(config: str | None, ident: str, dialect: str | None) -> int:
    """`--check`: the dialect, every remark on stdout with file and line, then a verdict; the exit code."""
    from pimpy.daemon.configfile import load_options, name_dialect
    from pimpy.daemon.options import Options

    options = Options(config=config, ident=ident, dialect=dialect, check=True)
    path, result = load_options(options)
    if (named := name_dialect(options)) is not None:
        print(f"{path}: {named}")
    for remark in result.diagnostics:
        print(remark)
    what = path or "no configuration file: defaults"
    errors, notes = len(result.errors), len(result.notes)
    print(f"{what}: {'not usable' if errors else 'ok'}, {_count(errors, 'error')}, {_count(notes, 'note')}")
    return CONFIG if errors else OK


def print_guard(config: str | None, ident: str, dialect: str | None, table: int) -> int:
    """`--print-guard`: what `register-guard` would have nftables do, for a firewall of one's own; the exit code."""
    from pimpy.daemon.configfile import load_options
    from pimpy.daemon.options import Options
    from pimpy.kernel.guard import ruleset

    _, result = load_options(Options(config=config, ident=ident, dialect=dialect, check=True))
    for remark in result.diagnostics:
        print(remark, file=sys.stderr)
    if result.model is None:
        return CONFIG
    print(ruleset(result.model.register_accept, result.model.register_accept_from, table), end="")
    return OK


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The command line, or that of another program under whose name this one was called. Never returns."""
    from pimpy.cli.names import stand_in

    if argv is None and (other := stand_in(sys.argv[0])) is not None:
        other()
    grammar = parser()
    said = grammar.parse_args(argv)
    if said.check and said.config:
        grammar.error("the file to check is named twice: --check FILE or -f FILE")
    if said.record and said.replay:
        grammar.error("--record and --replay exclude each other")
    if said.check is not None:
        sys.exit(check(said.check or said.config, said.ident, said.dialect))
    if said.print_guard:
        sys.exit(print_guard(said.config, said.ident, said.dialect, said.table_id))
    sys.exit(_run(said))


def _run(said: argparse.Namespace) -> int:
    """Run the daemon; it goes into the background by itself, unless it is to stay."""
    if said.replay is not None:
        from pimpy.daemon.replaying import replay_file

        return replay_file(said.replay)
    from pimpy.daemon.background import run_path

    if said.good_bye:
        from pimpy.daemon import farewell

        return farewell.say(run_path(said.ipc or f"{said.ident}.sock"))
    from pimpy.daemon.keeper import beginning

    if not said.foreground:
        said.config = said.config and os.path.abspath(said.config)  # it is read again, when / is the working directory
        said.record = said.record and os.path.abspath(said.record)
        said.pidfile, said.ipc = _absolute(said.pidfile), _absolute(said.ipc)
    return beginning.run(
        {
            "config": said.config,
            "foreground": said.foreground,
            "ident": said.ident,
            "pidfile": said.pidfile,
            "pidfile_path": run_path(said.pidfile or f"{said.ident}.pid"),
            "socket": said.ipc,
            "socket_path": run_path(said.ipc or f"{said.ident}.sock"),
            "log_level": said.loglevel,
            "debug": tuple(dict.fromkeys(word for words in said.debug for word in words)),
            "syslog": said.syslog,
            "table": said.table_id,
            "startup_delay": said.startup_delay,
            "retry": said.retry,
            "disable_vifs": said.disable_vifs,
            "wait": said.wait,
            "dialect": said.dialect,
            "metrics": said.metrics,
            "record": said.record,
            "user": said.user,
        }
    )


def _absolute(name: str | None) -> str | None:
    """A path that does not depend on the working directory; a name without a slash is under /run anyway."""
    return os.path.abspath(name) if name and "/" in name else name


if __name__ == "__main__":
    main()
