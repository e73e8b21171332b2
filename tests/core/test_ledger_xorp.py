"""The ledger of the XORP project's PIM-SM test plan: `xorp_plan.txt` and the tests that it names agree."""

from __future__ import annotations

from pathlib import Path

from ledger import all_tests

LEDGER = Path(__file__).parent / "xorp_plan.txt"

SECTIONS = {
    "1.1": 4, "2.1": 0, "2.2": 3, "2.3": 4, "2.4": 5, "2.5": 2, "2.6": 3, "2.7": 0, "3.1": 4, "3.2": 2, "3.3": 3,
    "4.2": 7, "4.3": 6, "4.4": 4, "4.6": 7, "4.7": 9, "4.8": 3, "4.9": 10, "5.1": 17, "5.2": 19,
    "6.1": 9, "6.2": 6, "6.3": 4, "6.4": 5, "6.5": 2, "6.6": 1, "6.7": 6,
}  # fmt: skip
"""How many parts, called A, B and so on, each section has; 0: none, the section itself is one."""
EMPTY = {"5.2B"}
LETTERED = 144


def parts() -> list[str]:
    """The numbers of all parts that apply."""
    found = []
    for section, count in SECTIONS.items():
        found += [section + chr(ord("A") + n) for n in range(count)] or [section]
    return [part for part in found if part not in EMPTY]


def entries() -> dict[str, list[str]]:
    """Part -> its tests, or a dash and the words of a reason."""
    found: dict[str, list[str]] = {}
    for line in LEDGER.read_text().splitlines():
        words = line.partition("#")[0].split()
        if words:
            assert words[0] not in found, f"{words[0]} stands there twice"
            found[words[0]] = words[1:]
    return found


def test_every_part_of_the_plan_is_in_the_ledger() -> None:
    assert len([part for part in parts() if part[-1].isalpha()]) == LETTERED
    assert list(entries()) == parts()


def test_every_test_that_the_ledger_names_exists() -> None:
    known = all_tests()
    for part, words in entries().items():
        assert words, f"{part}: neither a test nor a reason"
        if words[0] == "-":
            assert len(words) > 3, f"{part}: a reason takes some words"
        else:
            missing = [test for test in words if test not in known]
            assert not missing, f"{part}: there is no test {', '.join(missing)}"
