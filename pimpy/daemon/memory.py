"""Python's garbage collector, told what it need not look for."""

from __future__ import annotations

import gc

YOUNG = 50_000
"""Objects made and not freed before the youngest generation is looked through: a few ms, in a burst of Joins."""
GENERATIONS = 100
"""Looks at one generation before the next is looked through."""


def pause_collector() -> None:
    """While modules are imported and the daemon is put together: all of that stays."""
    gc.disable()


def tune_collector() -> None:
    """Never look again at what stands now, and seldom at what comes.

    Entries, machines and timers point at each other, and let go of each other when they end: reference counts free
    them all (tests/core/test_no_cycles.py). What is left for the collector are a few exceptions and control requests,
    but with its usual thresholds it would go through all entries again and again while they are made.

    What the imports left behind stays too, 2 MB: to find it, all would have to be looked through, adopted entries too,
    while packets wait.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, GENERATIONS, GENERATIONS)
    gc.enable()
