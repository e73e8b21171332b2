"""Whether a test notices a change.

Tests are collected once. For each change a child is forked, in which the functions that the change is in get their new
code, and the tests that reach the statement are run until one fails. A change to what runs when its module is imported
(a constant, a table) is judged by a new Python instead, which imports the changed module.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import resource
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from mutants.places import ROOT, Mutant, statements
from mutants.reach import Map, Reach, function, later, run, test_file

MEMORY = 3 << 30
"""Bytes of address space for a judge: a change may fill memory for ever."""
PATIENCE = 8.0
"""Seconds of processor that a test has, whatever it takes without a change: a change may run for ever."""
FILES = 16
"""Files of tests at most that a new Python imports: those that are mostly about the module."""


NAMED = 200_000
"""In millionths: what a file of tests that imports a module is taken to be about it, at least."""
AGAIN = 4
"""By so much the case for IPv6 counts as slower than the one for IPv4: most code is the same."""
UNPATCHABLE = "?"
"""Functions that exist cannot take the change up."""


@dataclass(frozen=True)
class Verdict:
    """Who killed a change ("" if nobody did), of how many judges, and of how many that reach it."""

    killer: str
    asked: int
    reaching: int


class Court:
    """Judges changes, one at a time."""

    def __init__(self, known: Map, imported: dict[str, list[int]], items: list[pytest.Item], seconds: float) -> None:
        self.imported = imported
        self.limit = seconds
        self.reach: dict[str, list[Reach]] = defaultdict(list)
        """What the cases of a function of tests reach that were looked at; the others are taken to reach the same."""
        for name, found in known.tests.items():
            self.reach[function(name)].append(found)
        self.items = {i.nodeid: i for i in items if all(one.judge for one in self.reach.get(function(i.nodeid), ()))}
        self.cases: dict[str, list[str]] = defaultdict(list)
        for name in self.items:
            self.cases[function(name)].append(name)
        self.kills: dict[str, Counter[str]] = defaultdict(Counter)
        """By module: tests that killed a change of it, and so are asked first."""
        self.innocent: dict[str, bool] = {}
        """Whether a test that killed passes without the change."""
        self.by_line: dict[tuple[str, int], list[str]] = defaultdict(list)
        """Functions of tests that reach a line of a module."""
        for name in self.cases:
            for module, line in {(m, line) for r in self.reach[name] for m, lines in r.lines.items() for line in lines}:
                self.by_line[module, line].append(name)

    def seconds(self, name: str) -> float:
        """What a test takes."""
        known = self.reach[function(name)]
        return sum(one.seconds for one in known) / max(1, len(known))

    def judge(self, mutant: Mutant) -> Verdict:
        """Let the tests that reach a change's statement look at it."""
        lines = statements(mutant.module).get(mutant.line, (mutant.line,))
        early = not set(self.imported.get(mutant.module, ())).isdisjoint(lines)
        if early:  # a constant is used in other statements than its own
            names = self.nearest(mutant.module)
        else:
            names = {name for line in lines for name in self.by_line[mutant.module, line]}
        names = {case for name in names for case in self.cases[name]}
        asked = list(self.within(self.in_order(names, mutant.module)))
        killer = ""
        if asked:
            killer = self.anew(mutant, asked) if early else self.in_child(mutant, asked)
        if (name := killer.partition(" (ended")[0]) in self.items:
            if not self.passes(name):  # whatever the reason, it has nothing to say
                self.cases[function(name)].remove(name)
                del self.items[name]
                return self.judge(mutant)
            self.kills[mutant.module][name] += 1
        return Verdict(killer, len(asked), len(names))

    def in_order(self, names: set[str], module: str) -> list[str]:
        """Those that killed others in this module first; then the quick ones, and those of files about the module."""
        kills = self.kills[module]
        number = {case: place for cases in self.cases.values() for place, case in enumerate(cases, 1) if case in names}
        shares = self.shares
        about = {f: max(shares.get((module, f), 0), NAMED * names_module(f, module)) for f in self.files}
        cost = {n: self.seconds(n) * number[n] / (about[test_file(n)] + 1000) for n in names}
        return sorted(names, key=lambda n: (-kills[n], cost[n] * (AGAIN if later(n) else 1), n))

    def within(self, names: list[str]) -> Iterator[str]:
        """As many as there is time for."""
        left = self.limit
        for name in names:
            left -= self.seconds(name)
            if left < 0:
                return
            yield name

    def passes(self, name: str) -> bool:
        """Whether a test passes without any change, here and now."""
        if name not in self.innocent:
            if (child := os.fork()) == 0:
                status = 1
                try:
                    quiet()
                    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
                    status = 0 if run(self.items[name]) else 1
                finally:
                    os._exit(status)
            self.innocent[name] = os.waitpid(child, 0)[1] == 0
        return self.innocent[name]

    def in_child(self, mutant: Mutant, names: list[str]) -> str:
        """Run tests with the functions changed in place: who fails, or ""."""
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            status = 1
            try:
                quiet()
                told = first_failure(mutant, [self.items[name] for name in names], writer)
                os.write(writer, b"\n" + told.encode())
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            said = pipe.read().split("\n")
        _, status = os.waitpid(child, 0)
        if said[-1] == UNPATCHABLE:
            return self.anew(mutant, names)
        return said[-1] if status == 0 else f"{said[-1]} (ended by signal {status & 0x7F})"

    def anew(self, mutant: Mutant, names: list[str]) -> str:
        """Run tests in a new Python, which imports the changed module: who fails, or ""."""
        told = json.dumps({"path": str(ROOT / mutant.module), "source": mutant.source(), "names": names})
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        done = subprocess.run(
            [sys.executable, "-B", "-m", "mutants.alone"],
            input=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT / "tests/core",
            env=environment,
            check=False,
        )
        last = done.stdout.rpartition("\n")[2]
        return last if done.returncode == 0 else f"{last} (ended with {done.returncode})"

    def nearest(self, module: str) -> set[str]:
        """The functions of tests that may see a constant of a module: of files that import or mostly reach it."""
        share: Counter[str] = Counter({file: self.shares.get((module, file), 0) for file in self.files})
        importing = {file for file in self.files if names_module(file, module)}
        files = importing | {file for file, _ in share.most_common(FILES)}
        near = [name for name in self.cases if test_file(name) in files]
        return {n for n in near if test_file(n) in importing or any(module in reach.lines for reach in self.reach[n])}

    @cached_property
    def files(self) -> set[str]:
        """All files of tests."""
        return {test_file(name) for name in self.items}

    @cached_property
    def shares(self) -> dict[tuple[str, str], int]:
        """How much of what a file's tests reach is in a module, in millionths: by module and file."""
        here: Counter[tuple[str, str]] = Counter()
        every: Counter[str] = Counter()
        for name, found in self.reach.items():
            for reach in found:
                for module, lines in reach.lines.items():
                    here[module, test_file(name)] += len(lines)
                    every[test_file(name)] += len(lines)
        return {pair: count * 1_000_000 // max(1, every[pair[1]]) for pair, count in here.items()}


@cache
def imports(file: str) -> frozenset[str]:
    """What a file of tests imports of pimpy: modules, and names in them."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def names_module(file: str, module: str) -> bool:
    """Whether a file of tests imports a module."""
    return module.removesuffix(".py").replace("/", ".") in imports(file)


def quiet() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def first_failure(mutant: Mutant, items: list[pytest.Item], told: int) -> str:
    """Change functions in place, and run tests until one fails: its name, or ""; each is told of before it runs."""
    if not change_in_place(ROOT / mutant.module, mutant.source()):
        return UNPATCHABLE
    return failure(items, told)


def failure(items: list[pytest.Item], told: int) -> str:
    """The first of some tests that fails, or ""."""
    for item in items:
        os.write(told, b"\n" + item.nodeid.encode())
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)
        if not run(item):
            return item.nodeid
    return ""


def change_in_place(path: Path, source: str) -> bool:
    """Give every function of a module the code that it has in a changed source: whether that can be done."""
    old = codes(compile(path.read_text(), str(path), "exec"))
    new = codes(compile(source, str(path), "exec"))
    if old.keys() != new.keys() or any(old[key].co_freevars != new[key].co_freevars for key in old):
        return False
    changed = [(old[key], new[key]) for key in old if old[key] != new[key]]
    found = 0
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == str(path):
            after = next((new for old, new in changed if old == each.__code__), None)
            if after is not None:
                each.__code__ = after
                found += 1
    return found > 0


def codes(code: CodeType) -> dict[tuple[str, int, int], CodeType]:
    """Every piece of code in a module, by its name, its line, and its number among those."""
    found: dict[tuple[str, int, int], CodeType] = {}
    waiting = [code]
    while waiting:
        one = waiting.pop()
        for inner in one.co_consts:
            if isinstance(inner, CodeType):
                same = sum(1 for name, line, _ in found if (name, line) == (inner.co_qualname, inner.co_firstlineno))
                found[inner.co_qualname, inner.co_firstlineno, same] = inner
                waiting.append(inner)
    return found
