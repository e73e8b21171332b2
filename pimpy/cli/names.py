"""The programs that pimpyd and pimctl stand in for, by the name they were called with (a symbolic link)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn


def _smcrouted() -> NoReturn:
    from pimpy.cli.smcrouted import main

    main()


def _smcroutectl() -> NoReturn:
    from pimpy.cli.smcroutectl import main

    main()


def _igmpproxy() -> NoReturn:
    from pimpy.cli.igmpproxy import main

    main()


def _mcproxy() -> NoReturn:
    from pimpy.cli.mcproxy import main

    main()


def _pim6sd() -> NoReturn:
    from pimpy.cli.pim6sd import main

    main()


def _pim6stat() -> NoReturn:
    from pimpy.cli.pim6sd import stat

    stat()


def _pimd() -> NoReturn:
    from pimpy.cli.pimd import main

    main()


_PROGRAMS: dict[str, Callable[[], NoReturn]] = {
    "pimd": _pimd,
    "smcrouted": _smcrouted,
    "smcroutectl": _smcroutectl,
    "igmpproxy": _igmpproxy,
    "mcproxy": _mcproxy,
    "pim6sd": _pim6sd,
    "pim6stat": _pim6stat,
}


def stand_in(called: str) -> Callable[[], NoReturn] | None:
    """The main function of the program that `called` names, None for our own programs."""
    return _PROGRAMS.get(os.path.basename(called))


def run_as(
    name: str,
    config: str | None,
    *,
    foreground: bool,
    log_level: str,
    syslog: bool,
    families: tuple[str, ...],
    dump: str | None = None,
) -> int:
    """Run the daemon in the place of `name`, whose grammar the configuration is in; its exit code.

    Only the tables of `families` are taken: another daemon may have the other one.
    """
    from pimpy.daemon.background import run_path
    from pimpy.daemon.keeper import beginning

    return beginning.run(
        {
            "config": os.path.abspath(config) if config is not None else None,
            "foreground": foreground,
            "ident": name,
            "pidfile": None,
            "pidfile_path": run_path(f"{name}.pid"),
            "socket": None,
            "socket_path": run_path(f"{name}.sock"),
            "log_level": log_level,
            "debug": (),
            "syslog": syslog,
            "table": 0,
            "startup_delay": 0.0,
            "retry": False,
            "disable_vifs": False,
            "wait": False,
            "dialect": name,
            "metrics": None,
            "record": None,
            "user": None,
            "families": families,
            "dump": dump,
        }
    )
