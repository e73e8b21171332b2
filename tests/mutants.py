"""Do the tests bite? Change one thing in the core at a time, and see whether a test fails (`make mutants`).

The changes are Cosmic Ray's, of the kinds in OPERATORS: a comparison moved by one or turned round, `and` for `or`, a
number more or less, a condition negated, a bit operation swapped, a loop left out. Annotations are not changed, as
nobody runs them. All changes to all modules are too many to try, so a sample is drawn: the same for the same seed. Each
is tried in a copy of the tree, first with the tests that speak of the module, then with tests that go through much
of the core; a change that all of them pass has survived, and is printed.

    python -m mutants [--sample 150] [--seed 1] [--jobs 2] [--minutes 30] [pimpy/core/pim]
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("pimpy/core", "pimpy/wire")
OPERATORS = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitOr", "Add_Sub")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Sub_Add", "Mul_Div", "Div_Mul", "LShift_RShift", "RShift_LShift")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")),
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_Invert",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "ZeroIterationForLoop",
)
RELATED = {
    "asserts": "test_asserts test_assert_figures test_assert_ways_out test_threats_asm",
    "metric": "test_asserts test_assert_oracle test_assert_figures",
    "data": "test_asm_forwarding test_registers test_spt_threshold",
    "spt_threshold": "test_spt_threshold",
    "downstream": "test_downstream test_asm_downstream",
    "downstream_rpt": "test_asm_downstream",
    "upstream": "test_upstream test_asm_upstream",
    "upstream_rpt": "test_asm_upstream",
    "filters": "test_filters",
    "limits": "test_limits",
    "joinprune": "test_downstream test_packing test_threats_join_prune test_asm_downstream",
    "macros": "test_asm_forwarding test_asm_upstream test_asserts test_ssm",
    "neighbor": "test_neighbors test_hello test_dr",
    "instance": "test_neighbors test_registers test_asm_forwarding",
    "receipt": "test_threats test_limits test_crash_inputs",
    "register": "test_registers test_filters test_limits",
    "rp_set": "test_rp_set",
    **dict.fromkeys(("bootstrap", "bsm", "bsr", "scope"), "test_bsm test_bsr test_bsr_zones"),
    **dict.fromkeys(("candidates", "candidate_rp", "crp_set"), "test_crp test_bsr"),
    "anycast": "test_anycast",
    "embedded": "test_embedded",
    "static": "test_static",
    "static_joins": "test_static",
    "adoption": "test_adoption",
    "drift": "test_drift",
    "traffic": "test_traffic",
    "mroute": "test_show_mroute",
    "rpt": "test_show_mroute",
    "ssm": "test_ssm",
    "gmp_interfaces": "test_gmp_options test_gmp_ssm",
    "trees": "test_asm_forwarding test_ssm test_rp_set test_limits",
    "forwarding": "test_forwarding test_filters test_limits test_static test_proxy",
    "held": "test_adoption",
    "rpf": "test_upstream test_asm_upstream",
    "upcalls": "test_asm_forwarding test_registers test_filters",
    "members": "test_ssm test_gmp_ssm test_asm_forwarding test_limits",
    "lifecycle": "test_lifecycle test_neighbors",
    "policies": "test_filters test_limits test_spt_threshold",
    "router": "test_lifecycle test_threats test_forwarding",
}
"""Tests that speak of a module of the core, by its name; those of wire/ are all of tests/wire."""
ROOM_TESTS = {"explain": ["test_explain"], "proxy": ["test_proxy"]}
BROAD = (
    "test_asm_forwarding test_registers test_asserts test_asm_upstream test_asm_downstream test_upstream "
    "test_downstream test_neighbors test_forwarding test_ssm test_rp_set test_limits test_filters test_threats "
    "test_lifecycle test_placements test_gmp_pim test_scenes"
)
"""Tests that go through much of the core; where they all pass, the change has survived."""
NARROW = 6
"""Files at most of which all tests are run, for both families."""
TIMEOUT = 600.0
"""Seconds that a round may take; a change that makes the core run for ever is seen by that, and killed."""


@dataclass(frozen=True)
class Mutant:
    """One change: the `occurrence`th place in a module where an operator can do something."""

    module: str
    operator: str
    occurrence: int
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.operator}"


def all_mutants(rooms: Iterable[str]) -> Iterator[Mutant]:
    """Every change that may be tried in some folders or files."""
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")) or [ROOT / room]:
            silent = annotation_lines(path.read_text())
            nodes = list(ast_nodes(get_ast(path.read_text())))
            for name in OPERATORS:
                operator = get_operator(f"core/{name}")()
                places = [place for node in nodes for place in operator.mutation_positions(node)]
                for occurrence, (start, end) in enumerate(places):
                    if not any(a <= start and end <= b for a, b in silent):
                        yield Mutant(str(path.relative_to(ROOT)), name, occurrence, start[0])


def annotation_lines(text: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations stand, and what is only there for the type checker: (first place, last place)."""
    found: list[Any] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = node.args
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
            found += [a.annotation for a in every if a is not None and a.annotation is not None]
            found += [node.returns] if node.returns is not None else []
        elif isinstance(node, ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found.append(node)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in found]


class Workshop:
    """A copy of the tree in which changes are tried."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        ignore = shutil.ignore_patterns("__pycache__", ".hypothesis", ".pytest_cache")
        for name in ("pimpy", "tests/core", "tests/wire"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def killer(self, mutant: Mutant, end: float) -> str | None:
        """The test that fails with the change in place, "" if none does; None if the time is over before."""
        operator = get_operator(f"core/{mutant.operator}")()
        path = self.root / mutant.module
        with use_mutation(path, operator, mutant.occurrence) as (_, changed):
            assert changed is not None, f"{mutant} is none"
            first, rest = rounds(mutant)
            for tests in (first, rest):
                if time.monotonic() > end:
                    return None
                if tests and (failed := self.failing(*tests)):
                    return failed
        return ""

    def failing(self, folder: str, tests: list[str]) -> str:
        """Run tests until one fails: its name, or "". Of many, those for both families run for IPv4."""
        where = self.root / "tests" / folder
        command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        if len(tests) > NARROW:
            command += ["-k", "not ipv6"]
        environment = {**os.environ, "PYTHONPATH": f"{self.root}:{self.root / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"}
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(
            command, cwd=where, env=environment, stdout=pipe, stderr=null, text=True, start_new_session=True
        ) as running:
            try:
                output, _ = running.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                return "the clock"
        if running.returncode == 0:
            return ""
        found = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
        return found[0] if found else f"exit {running.returncode}"


Round = tuple[str, list[str]]


def rounds(mutant: Mutant) -> tuple[Round | None, Round | None]:
    """The tests for a change: first those of its module, then the others."""
    if "/wire/" in mutant.module:
        wire = sorted(path.name for path in (ROOT / "tests/wire").glob("test_*.py") if "tshark" not in path.name)
        return ("wire", wire), ("core", ["test_crash_inputs.py", "test_packing.py"])
    stem = Path(mutant.module).stem
    gmp = sorted(path.stem for path in (ROOT / "tests/core").glob("test_gmp*.py"))
    room = Path(mutant.module).parent.name
    related = gmp if room == "gmp" else ROOM_TESTS.get(room) or RELATED.get(stem, "").split()
    rest = [name for name in BROAD.split() if name not in related]
    first = ("core", [f"{name}.py" for name in related]) if related else None
    return first, ("core", [f"{name}.py" for name in rest])


def unchanged(shop: Workshop) -> str:
    """The test that fails without any change, "" if none does: then nothing could be concluded."""
    wire = [path.name for path in (shop.root / "tests/wire").glob("test_*.py") if "tshark" not in path.name]
    return shop.failing("wire", wire) or shop.failing("core", [f"{name}.py" for name in BROAD.split()])


def main() -> int:
    """The command line: 0 if at least nine in ten were killed."""
    grammar = argparse.ArgumentParser(description="Change one thing in the core at a time: does a test fail?")
    grammar.add_argument("--sample", type=int, default=150)
    grammar.add_argument("--seed", type=int, default=1)
    grammar.add_argument("--jobs", type=int, default=2)
    grammar.add_argument("--minutes", type=float, default=60)
    grammar.add_argument("rooms", nargs="*", default=ROOMS, help="folders or files, pimpy/core/pim for example")
    said = grammar.parse_args()
    mutants = list(all_mutants(said.rooms))
    sample = random.Random(said.seed).sample(mutants, min(said.sample, len(mutants)))
    print(f"mutants: {len(mutants)} changes can be made, {len(sample)} are tried (seed {said.seed})", flush=True)
    end = time.monotonic() + 60 * said.minutes
    with tempfile.TemporaryDirectory(prefix="pimpy-mutants-") as scratch:
        shops: Queue[Workshop] = Queue()
        for number in range(said.jobs):
            shops.put(Workshop(Path(scratch, str(number))))
        if failed := unchanged(shops.queue[0]):
            print(f"mutants: without any change {failed} fails", file=sys.stderr)
            return 2

        def judge(mutant: Mutant) -> str | None:
            shop = shops.get()
            try:
                killer = shop.killer(mutant, end)
            finally:
                shops.put(shop)
            if killer is not None:
                print(f"killed   {mutant}, by {killer}" if killer else f"SURVIVED {mutant}", flush=True)
            return killer

        with ThreadPoolExecutor(said.jobs) as pool:
            verdicts = list(pool.map(judge, sample))
    judged = [verdict for verdict in verdicts if verdict is not None]
    killed = len(judged) - judged.count("")
    late = f"; no time for {len(verdicts) - len(judged)}" if len(judged) < len(verdicts) else ""
    print(f"mutants: {killed} of {len(judged)} killed, {100 * killed / max(1, len(judged)):.1f} %{late}")
    return 0 if killed >= 0.9 * len(judged) else 1


if __name__ == "__main__":
    sys.exit(main())
