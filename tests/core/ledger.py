"""Finds the tests by their names, for the ledgers: which test stands for which row of a list of requirements."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
FOLDERS = ("core", "wire", "config", "kernel", "daemon", "lab")


@cache
def tests_of(folder: str) -> frozenset[str]:
    """`FILE::TEST` of all test functions in a folder of `tests/`; the file without `test_` and `.py`."""
    return frozenset(
        f"{path.stem.removeprefix('test_')}::{name}"
        for path in (TESTS / folder).glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
    )


def all_tests() -> set[str]:
    """`FOLDER/FILE::TEST` of all tests."""
    return {f"{folder}/{test}" for folder in FOLDERS for test in tests_of(folder)}


def rows_named(folders: tuple[str, ...]) -> set[str]:
    """The words with a digit that the tests' names carry: `test_J1_T8_a_join` stands for J1 and T8."""
    words = {
        word for folder in folders for test in tests_of(folder) for word in test.partition("::test_")[2].split("_")
    }
    return {word for word in words if re.fullmatch("[A-Z]{1,2}[0-9]+", word)}
