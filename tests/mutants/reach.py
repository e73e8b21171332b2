"""Which tests reach which lines of the core, and how long each takes: found by running all of them once.

What was found is kept, and only the tests of a file that changed are looked at anew; where a module changed, what
reached the old lines is taken to reach the new ones in their place.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
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


class Map:
    """What tests reach, kept in a file with the texts that it was found with."""

    def __init__(self, file: Path) -> None:
        self.file = file
        kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        self.texts: dict[str, str] = kept.get("texts", {})
        self.tests = {name: Reach(*what) for name, what in kept.get("tests", {}).items()}

    def update(self, items: list[pytest.Item], jobs: int) -> None:
        """Run the tests of which nothing is known, or not what holds now: of each function some cases."""
        cases: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            cases[function(item.nodeid)].append(item)
        names = {item.nodeid for item in items}
        texts = dict(all_texts())
        changed = {path for path, text in self.texts.items() if texts.get(path) != text}
        self._follow(changed, texts)
        self.tests = {n: found for n, found in self.tests.items() if n in names and test_file(n) not in changed}
        wanted = [item for found in cases.values() for item in samples(found)]
        missing = [item for item in wanted if item.nodeid not in self.tests]
        for chunk in in_turn(missing, jobs, self.file):
            for name, *what in chunk:
                self.tests[name] = Reach(*what)
        self.texts = texts
        tests = {name: [one.seconds, one.lines, one.judge] for name, one in self.tests.items()}
        self.file.write_text(json.dumps({"texts": texts, "tests": tests}))

    def _follow(self, changed: set[str], texts: dict[str, str]) -> None:
        """Modules changed: what reached lines that were replaced is taken to reach those that replace them."""
        for module in changed & {module for one in self.tests.values() for module in one.lines}:
            moved = moves(self.texts[module], texts.get(module, ""))
            for one in self.tests.values():
                if module in one.lines:
                    one.lines[module] = sorted({new for old in one.lines[module] for new in moved.get(old, ())})


def moves(old: str, new: str) -> dict[int, range]:
    """By line of an old text: its lines in the new one."""
    found = {}
    for _, a, b, c, d in SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False).get_opcodes():
        for line in range(a, b):
            found[line + 1] = range(line + 1 - a + c, line + 2 - a + c) if b - a == d - c else range(c + 1, d + 1)
    return found


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


def all_texts() -> Iterator[tuple[str, str]]:
    for room in (*ROOMS, "tests/core", "tests/wire"):
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def samples(cases: list[pytest.Item]) -> list[pytest.Item]:
    """Of the cases of a function the first and the last for IPv4, and where bytes are read one for IPv6."""
    again = [item for item in cases if later(item.nodeid) and item.path.parent.name == "wire"]
    found = [item for item in cases if not later(item.nodeid)] or cases
    return list(dict.fromkeys((found[0], found[-1], *again[-1:])))


def later(nodeid: str) -> bool:
    """Whether a test says again for IPv6 what another says for IPv4."""
    return "ipv6" in nodeid.partition("[")[2]


def function(nodeid: str) -> str:
    """The function of a test, of whose cases it is one."""
    return nodeid.partition("[")[0]


def test_file(nodeid: str) -> str:
    return nodeid.partition("::")[0]
