"""The ledger of what crashed other programs with IGMP and MLD: `gmp_crash_inputs.txt` and its tests agree."""

from __future__ import annotations

from pathlib import Path

from ledger import all_tests, rows_named

LEDGER = Path(__file__).parent / "gmp_crash_inputs.txt"
CASES = 30
"""The rows of reliability.md 1.3."""
EXCEPTIONS = {"igmp-cmd-inj", "mtrace-*"}


def entries() -> dict[str, list[str]]:
    """Slug -> its tests, or a dash and the words of a reason."""
    found: dict[str, list[str]] = {}
    for line in LEDGER.read_text().splitlines():
        words = line.partition("#")[0].split()
        if words:
            assert words[0] not in found, f"{words[0]} stands there twice"
            found[words[0]] = words[1:]
    return found


def test_every_case_has_tests_that_exist_or_a_reason() -> None:
    known, found = all_tests(), entries()
    assert len(found) == CASES
    assert {slug for slug, words in found.items() if words[0] == "-"} == EXCEPTIONS
    for slug, words in found.items():
        missing = [test for test in words if test not in known] if slug not in EXCEPTIONS else []
        assert not missing, f"{slug}: there is no test {', '.join(missing)}"


def test_every_threat_to_membership_has_a_test_of_its_name() -> None:
    assert {f"TH{number}" for number in range(5, 15)} <= rows_named(("core",))
