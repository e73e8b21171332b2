"""The first steps of the daemon: its worker has the most to import, so it starts before the keeper imports anything."""

from __future__ import annotations

import os
import sys
from typing import Any

from pimpy.daemon import background
from pimpy.daemon.keeper import privileges, service, workers

Remark = tuple[str, str, str]
"""What a worker is to log for its keeper: level, reason, text."""
EXIT_USAGE = 2


def run(asked: dict[str, Any]) -> int:
    """Run the daemon that the command line asks for, as `daemon.options` has it; its exit code."""
    if asked["foreground"] or os.environ.pop("PIMPYD_BACKGROUND", ""):
        return _keep(asked)
    return background.run(lambda: _keep(asked))


def _keep(asked: dict[str, Any]) -> int:
    remarks: list[Remark] = []
    try:  # a worker starts as the user that it is to be
        why = privileges.choose_user(asked.pop("user"))
    except LookupError as missing:
        print(f"pimpyd: {missing.args[0]}", file=sys.stderr)
        return EXIT_USAGE
    if why is not None:
        remarks.append(("warning", "worker_user", f"the worker stays the user it is: {why}"))
    kept = service.inherited()  # before a worker starts, which would have them too and hold tables that are given up
    first = workers.start()
    from pimpy.daemon.keeper.keeper import Keeper

    return Keeper(asked, kept, first, remarks).run()
