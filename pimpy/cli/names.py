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


_PROGRAMS: dict[str, Callable[[], NoReturn]] = {
    "smcrouted": _smcrouted,
    "smcroutectl": _smcroutectl,
}


def stand_in(called: str) -> Callable[[], NoReturn] | None:
    """The main function of the program that `called` names, None for our own programs."""
    return _PROGRAMS.get(os.path.basename(called))
