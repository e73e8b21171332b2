"""What benches that compare contestants have in common: who and what runs, and what becomes of a run that fails."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from lab.shell import LabError

Case = TypeVar("Case", bound=tuple[object, ...])
Result = TypeVar("Result")


def arguments(prog: str, description: str, families: Sequence[int] = (4, 6)) -> argparse.ArgumentParser:
    """A command line that says which kinds of daemon run, and in which families."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--kinds", nargs="+", choices=["pimpy", "frr"], default=["pimpy", "frr"])
    parser.add_argument("--families", nargs="+", type=int, choices=[4, 6], default=list(families))
    return parser


def compete(
    cases: Iterable[Case],
    what: Callable[[Case], str],
    measure: Callable[[Case], Result],
    table: Callable[[list[Result]], str],
) -> int:
    """Measures each case and prints the table; one that fails is told of, and left out. The exit code: 1 if any did."""
    runs, failed = [], False
    for case in cases:
        print(what(case), flush=True)
        try:
            runs.append(measure(case))
        except LabError as error:
            print(f"FAILED: {error}", flush=True)
            failed = True
    print("\n" + table(runs))
    return int(failed)
