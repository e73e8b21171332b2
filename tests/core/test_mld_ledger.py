"""The ledger of the MLDv2 router conformance suite and the tests agree: every number has a test, or a reason."""

from __future__ import annotations

import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import test_mld_frames
import test_mld_queries
import test_mld_states

HERE = Path(__file__).parent
GROUPS = {"1": 34, "2": 84, "3": 47, "4": 177, "5": 27, "6": 14}
"""How many cases each group of the suite has."""
MOST_EXCEPTIONS = 30


def ledger() -> dict[str, list[str]]:
    """number -> tests, or `-` and the words of a reason."""
    found: dict[str, list[str]] = {}
    for line in (HERE / "mld_ledger.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            number, *rest = line.split()
            assert number not in found, f"{number} is there twice"
            assert rest, f"{number} says nothing"
            found[number] = rest
    return found


def test_every_number_is_there() -> None:
    numbers = ledger()
    assert Counter(number.partition(".")[0] for number in numbers) == GROUPS
    assert len(numbers) == 383


def test_few_numbers_do_not_apply_and_say_why() -> None:
    reasons = {number: words for number, words in ledger().items() if words[0] == "-"}
    assert len(reasons) <= MOST_EXCEPTIONS
    assert all(len(words) > 3 for words in reasons.values())


def test_every_test_that_is_named_is_there() -> None:
    for number, tests in ledger().items():
        for test in tests if tests[0] != "-" else []:
            path, _, name = test.partition("::")
            assert (HERE / path).exists(), test
            name, _, parameter = name.rstrip("]").partition("[")
            if path.startswith("test_mld_"):
                module = import_module(path.removesuffix(".py"))
                assert callable(getattr(module, name, None)), f"{number}: there is no {test}"
                known = getattr(module, "CASES", None) or _parameters(module, name)
                assert not parameter or parameter in known, f"{number}: there is no {test}"
                assert not parameter or parameter == number
            else:
                assert f"def {name}(" in (HERE / path).read_text()
                assert f'"{parameter}"' in (HERE / path).read_text()


def _parameters(module: object, name: str) -> set[str]:
    """The numbers that a test is parametrized with."""
    marks = getattr(module, name).pytestmark
    values = [value for mark in marks if mark.name == "parametrize" for value in mark.args[1]]
    return {str(value[0] if isinstance(value, tuple) else value) for value in values}


def test_every_case_is_in_the_ledger() -> None:
    told = {test for tests in ledger().values() for test in tests}
    for module in (test_mld_states, test_mld_frames):
        file = Path(str(module.__file__)).name
        for number in module.CASES:
            assert f"{file}::test_case[{number}]" in told, f"{file} knows {number}, the ledger does not"
    for name in vars(test_mld_queries):
        if re.match(r"test_\d", name):
            assert any(test.startswith(f"test_mld_queries.py::{name}") for test in told), name
