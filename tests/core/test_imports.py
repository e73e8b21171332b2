"""The floors and rooms of the house (ARCHITECTURE.md): who may import whom, and what nobody below may import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pimpy"
MODULES = sorted(PACKAGE.rglob("*.py"))
PURE = ("pimpy.wire", "pimpy.config", "pimpy.core")
"""The floors that do no input and output, read no clock and draw no lots."""
# fmt: off
WORLD = frozenset((
    "_mroute", "_socket", "_thread", "asyncio", "concurrent", "ctypes", "datetime", "fcntl", "http", "io",
    "logging", "mmap", "multiprocessing", "os", "pathlib", "prometheus_client", "pyroute2", "queue", "random",
    "secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "sys",
    "syslog", "tempfile", "threading", "time", "urllib", "uuid",
))
# fmt: on
ORDER = (
    ("pimpy.wire",),
    ("pimpy.config",),
    ("pimpy.core.engine",),
    ("pimpy.core.rpf", "pimpy.core.interface", "pimpy.core.ssm", "pimpy.core.forwarding", "pimpy.core.prefixes"),
    ("pimpy.core.static", "pimpy.core.static_joins"),
    ("pimpy.core.pim",),
    ("pimpy.core.rows",),
    ("pimpy.core.gmp",),
    ("pimpy.core.proxy",),
    ("pimpy.core.views",),
    (
        "pimpy.core.router",
        "pimpy.core.lifecycle",
        "pimpy.core.members",
        "pimpy.core.gmp_interfaces",
        "pimpy.core.upcalls",
    ),
    ("pimpy.kernel",),
    ("pimpy.daemon",),
    ("pimpy.cli",),
)
"""From the bottom to the top; a module imports what stands before it, or beside it."""
SEAM = ("pimpy.core.engine.events", "pimpy.core.engine.effects", "pimpy.wire", "pimpy.kernel")
"""What the kernel floor may know: the seam, and addresses."""


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    """A module as Python reads it."""
    return ast.parse(path.read_text())


@cache
def imports(path: Path, *, typing: bool) -> list[str]:
    """What a module imports, anywhere in it; with `typing` also what only the type checker sees."""
    return list(found(path, typing=typing))


def found(path: Path, *, typing: bool) -> Iterator[str]:
    tree = parsed(path)
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and last_word(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in hidden and not typing:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def last_word(node: ast.expr) -> str:
    """`c` of `a.b.c`, the name itself of a name, nothing of anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def below(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def rank(name: str) -> int | None:
    """How high a module of ours stands."""
    return next((place for place, rooms in enumerate(ORDER) if below(name, rooms)), None)


def test_imports_go_down_only() -> None:
    for path in MODULES:
        mine = rank(name_of(path))
        for imported in imports(path, typing=False):
            theirs = rank(imported)
            if mine is not None and theirs is not None:
                assert theirs <= mine, f"{name_of(path)} imports {imported}, which stands above it"


def test_the_lower_floors_know_no_world() -> None:
    for path in MODULES:
        if below(name_of(path), PURE):
            roots = {imported.split(".")[0] for imported in imports(path, typing=False)}
            assert not roots & WORLD, f"{name_of(path)} imports {roots & WORLD}"
            assert roots <= {"pimpy"} | sys.stdlib_module_names, f"{name_of(path)} imports {roots}"


def test_what_is_imported_is_installed_with_it() -> None:
    """What only the tests have would be missing elsewhere."""
    lines = (ROOT / "pyproject.toml").read_text().partition("\ndependencies = [\n")[2].partition("]")[0].split()
    needed = {re.split("[>=]", line.strip('",'))[0].replace("-", "_") for line in lines}
    roots = {imported.split(".")[0] for path in MODULES for imported in imports(path, typing=True)}
    assert roots - {"pimpy"} - sys.stdlib_module_names == needed


def test_pim_and_gmp_know_nothing_of_each_other() -> None:
    for one, other in (("pim", "gmp"), ("gmp", "pim")):
        for path in sorted((PACKAGE / "core" / one).rglob("*.py")):
            found = [i for i in imports(path, typing=True) if below(i, (f"pimpy.core.{other}",))]
            assert not found, f"{name_of(path)} imports {found}"


def test_the_engine_knows_no_protocol() -> None:
    for path in sorted((PACKAGE / "core" / "engine").rglob("*.py")):
        known = [i for i in imports(path, typing=True) if below(i, ("pimpy",))]
        values = ("pimpy.wire.family", "pimpy.wire.record", "pimpy.wire.value")
        assert all(below(i, ("pimpy.core.engine", "pimpy.config.model", *values)) for i in known), known


def test_floors_1_and_2_meet_in_events_and_effects_alone() -> None:
    for path in sorted((PACKAGE / "kernel").rglob("*.py")):
        for imported in imports(path, typing=False):
            assert not below(imported, ("pimpy",)) or below(imported, SEAM), f"{name_of(path)} imports {imported}"
    for path in MODULES:
        if below(name_of(path), PURE):
            assert not [
                i for i in imports(path, typing=True) if below(i, ("pimpy.kernel", "pimpy.daemon", "pimpy.cli"))
            ]


def test_forwarding_alone_makes_entries_of_the_kernels_table() -> None:
    makers = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and last_word(node.func) in ("SetMfc", "DelMfc")
    }
    assert makers & {name for name in makers if below(name, ("pimpy.core",))} == {"pimpy.core.forwarding"}


def test_no_module_has_more_than_500_lines() -> None:
    assert {name_of(path) for path in MODULES if len(path.read_text().splitlines()) > 500} == set()


def test_the_oracle_imports_nothing_of_pimpy() -> None:
    """Nor of what imports it: from the oracle, no way leads to the code that it judges."""
    folder = Path(__file__).parent
    seen: set[Path] = set()
    todo = [folder / "oracle.py", folder / "fake_routing.py"]
    while todo:
        path = todo.pop()
        seen.add(path)
        for imported in imports(path, typing=True):
            root = imported.split(".")[0]
            local = folder / f"{root}.py"
            if local.exists() and local not in seen:
                todo.append(local)
            else:
                assert root in sys.stdlib_module_names, f"{path.name} imports {imported}"
    assert {path.name for path in seen} == {"oracle.py", "fake_routing.py"}


def test_the_walk_of_imports_sees_them() -> None:
    assert "pimpy.core.engine.timers.TimerHeap" in set(imports(PACKAGE / "core" / "router.py", typing=False))
    assert len(MODULES) > 40 and rank("pimpy.core.router") == 10 and rank("pimpy.wire.pim") == 0
