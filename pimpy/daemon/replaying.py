"""`pimpyd --replay FILE`: a recording run through fresh routers, and what came of it in words."""

from __future__ import annotations

import sys

from pimpy.daemon.recorder import BadRecordingError, replay

EXIT_FAILED = 1


def replay_file(path: str) -> int:
    """Run a recording through fresh routers; 0 if they did what was recorded, 1 if not, or if it cannot be read."""
    try:
        with open(path, encoding="ascii") as file:
            results = list(replay(file))
    except (OSError, UnicodeError, BadRecordingError) as problem:
        print(f"pimpyd: {path}: {problem}", file=sys.stderr)
        return EXIT_FAILED
    for result in results:
        name = f"{result.family} table {result.table}" if result.table else result.family
        end = "" if result.complete else ", cut off before its end"
        same = "the same effects and state" if not result.differences else "DIFFERENT"
        print(f"{name}: {result.events} events, {result.drains} drains{end}: {same}")
        for line in result.differences[:10]:
            print(f"{name}: line {line} of the recording has another check sum")
        for row in result.router.rows("neighbors") if not result.complete else ():
            print(f"{name}: {row}")
    return EXIT_FAILED if any(result.differences for result in results) else 0
