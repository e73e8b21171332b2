"""Which tests reach which lines of the core, and how long each takes: found by running all of them once.

What was found is kept, and only what may have changed is looked at anew: the tests of a file that changed, and those
that reach a module that changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coverage
import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("pimpy/core", "pimpy/wire")
SLOW = 2.0
"""Seconds of processor that a test may take to be a judge; random networks take longer."""


class TooSlow(Exception):
    """A test takes too long to judge."""


@dataclass
class Reach:
    """What one test reaches."""

    seconds: float
    lines: dict[str, list[int]] = field(default_factory=dict)
    """By module, as its path below the root."""
    judge: bool = True
    """It passes, and in time."""


class Recorder:
    """Notes which lines of the core run. Started when the plugin is imported, before anything of pimpy is."""

    def __init__(self) -> None:
        rooms = [str(ROOT / room) for room in ROOMS]
        self.coverage = coverage.Coverage(data_file=None, config_file=False, source=rooms)
        self.coverage.start()

    def stop(self) -> dict[str, list[int]]:
        """The lines that ran since the start, by module."""
        self.coverage.stop()
        data = self.coverage.get_data()
        return {str(Path(name).relative_to(ROOT)): sorted(data.lines(name) or ()) for name in data.measured_files()}


def run(item: pytest.Item) -> bool:
    """Run one test, all its fixtures with it: whether it passed."""
    reports = runtestprotocol(item, log=False, nextitem=None)
    return not any(report.failed for report in reports)


def explore(items: Iterable[pytest.Item], file: Path) -> None:
    """Run some tests and write what each reaches, a line of JSON each."""

    def late(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGPROF, late)
    with file.open("w") as found:
        for item in items:
            recorder = Recorder()
            before = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SLOW)
            try:
                passed = run(item)
            except TooSlow:
                passed = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            seconds = time.process_time() - before
            lines = recorder.stop()
            found.write(json.dumps([item.nodeid, seconds, lines, passed]) + "\n")
            found.flush()


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


class Map:
    """What every test reaches, kept in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        self.prints: dict[str, str] = kept.get("prints", {})
        self.tests = {name: Reach(*what) for name, what in kept.get("tests", {}).items()}
        self.imported: dict[str, list[int]] = {}
        """Lines that run when their module is imported."""

    def update(self, items: list[pytest.Item], jobs: int) -> None:
        """Run the tests of which nothing is known, or not what holds now: of each function its first and last case."""
        cases: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            cases[function(item.nodeid)].append(item)
        items = [item for found in cases.values() for item in first_and_last(found)]
        prints = dict(all_prints())
        changed = {name for name, now in prints.items() if self.prints.get(name) != now}
        names = {item.nodeid for item in items}
        self.tests = {
            name: reach
            for name, reach in self.tests.items()
            if name in names and test_file(name) not in changed and changed.isdisjoint(reach.lines)
        }
        missing = [item for item in items if item.nodeid not in self.tests]
        for chunk in in_turn(missing, jobs, self.file):
            for name, *what in chunk:
                self.tests[name] = Reach(*what)
        self.prints = prints
        tests = {name: [one.seconds, one.lines, one.judge] for name, one in self.tests.items()}
        self.file.write_text(json.dumps({"prints": prints, "tests": tests}))


def in_turn(items: list[pytest.Item], jobs: int, file: Path) -> Iterator[list[Any]]:
    """Run tests in some processes at a time: what each process found."""
    children = []
    for job in range(jobs):
        part = file.with_suffix(f".{job}")
        if (child := os.fork()) == 0:
            try:
                explore(items[job::jobs], part)
            finally:
                os._exit(0)
        children.append((child, part))
    for child, part in children:
        os.waitpid(child, 0)
        yield [json.loads(line) for line in part.read_text().splitlines()]
        part.unlink()


def all_prints() -> Iterator[tuple[str, str]]:
    for room in (*ROOMS, "tests/core", "tests/wire"):
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), fingerprint(path)


def first_and_last(cases: list[pytest.Item]) -> list[pytest.Item]:
    """Of the cases of a function, for IPv4 if it has both families: the code is the same."""
    found = [item for item in cases if not later(item.nodeid)] or cases
    return list(dict.fromkeys((found[0], found[-1])))


def later(nodeid: str) -> bool:
    """Whether a test says again for IPv6 what another says for IPv4."""
    return "ipv6" in nodeid.partition("[")[2]


def function(nodeid: str) -> str:
    """The function of a test, of whose cases it is one."""
    return nodeid.partition("[")[0]


def test_file(nodeid: str) -> str:
    return nodeid.partition("::")[0]
