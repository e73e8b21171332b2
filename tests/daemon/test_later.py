"""What the worker imports to start, and what afterwards: `pimpy.daemon.later`."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pimpy.daemon import later

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = ("pimpy.daemon.keeper", "pimpy.daemon.worker", "pimpy.daemon.farewell", "pimpy.kernel.sample")
"""What runs in the keeper, in a process of its own, or before the start."""
NOT_KEPT = "pyroute2"
"""It is for `pimctl doctor`."""
IMPORTED = """
import json, sys
from pimpy.daemon import app, keeping, later, options
first = sorted(sys.modules)
later.import_all()
print(json.dumps([first, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def modules() -> tuple[set[str], set[str]]:
    """The modules of a worker that is ready, and those once the rest is there."""
    done = subprocess.run([sys.executable, "-P", "-c", IMPORTED], capture_output=True, check=True, cwd=ROOT)
    first, last = json.loads(done.stdout)
    return set(first), set(last)


def in_functions(path: Path) -> Iterator[str]:
    """The modules that functions of a file import."""
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    is_module = (ROOT / f"{inner.replace('.', '/')}.py").exists()
                    yield inner if is_module else node.module


def of_worker() -> Iterator[tuple[str, Path]]:
    for room in ("wire", "config", "core", "kernel", "daemon"):
        for path in sorted((ROOT / "pimpy" / room).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if not name.startswith(ELSEWHERE):
                yield name, path


def test_nothing_is_imported_for_the_first_time_when_it_is_asked_for(modules: tuple[set[str], set[str]]) -> None:
    _, last = modules
    missing = {
        (name, wanted)
        for name, path in of_worker()
        for wanted in in_functions(path)
        if wanted not in last and not wanted.startswith(NOT_KEPT)
    }
    assert not missing, "these belong into pimpy.daemon.later.MODULES"


def test_the_start_does_without_what_comes_later(modules: tuple[set[str], set[str]]) -> None:
    first, _ = modules
    assert not first & set(later.MODULES + later.OF_METRICS)
