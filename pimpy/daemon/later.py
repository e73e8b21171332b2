"""What a worker needs, but not to start: it is imported in idle moments, once the daemon is ready.

Python takes longer to import all of this than to take over the network. It does not wait until it is asked for
either: an upgrade may have put files of another version in place by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module

MODULES = (
    "pimpy.core.views",
    "pimpy.daemon.rows",
    "pimpy.daemon.entries",
    "pimpy.core.explain",
    "pimpy.daemon.facts",
    "pimpy.daemon.pimd_text",
    "pimpy.config.igmpproxy",
    "pimpy.config.mcproxy",
    "pimpy.config.pim6sd",
    "pimpy.config.smcroute",
    "pimpy.config.pimd_ways",
    "pimpy.daemon.smcroute_ipc",
    "pimpy.daemon.recorder",
    "difflib",
)
"""Whatever a function imports that runs in the worker; tests/daemon/test_later.py finds one that is missing here."""

OF_METRICS = ("pimpy.daemon.metrics", "prometheus_client")
"""What only a daemon needs that serves metrics; the library takes a third as long as all the others together."""

PAUSE = 0.1
"""Seconds between two modules: packets are taken in between."""


def import_all() -> None:
    """Import all of it now."""
    for name in MODULES + OF_METRICS:
        import_module(name)


def import_in_turn(done: Callable[[], None], *, metrics: bool) -> None:
    """Import a module now and then, on the running event loop; `done` is called when there is none left."""
    waiting = iter(MODULES + OF_METRICS if metrics else MODULES)
    loop = asyncio.get_running_loop()

    def turn() -> None:
        for name in waiting:
            import_module(name)
            loop.call_later(PAUSE, turn)
            return
        done()

    loop.call_later(PAUSE, turn)
