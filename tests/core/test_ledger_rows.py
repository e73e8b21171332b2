"""The ledger of the conformance rows: each row of these groups has a test that carries its id in its name.

F forwarding, N neighbours, R Registers, J and U Join/Prune machines, A Asserts, S the SSM range, V messages, T timers,
P the RP of a group, B the bootstrap router. Rows are tested in virtual time or on bytes; what a lab shows beside that
is not counted.
"""

from __future__ import annotations

import pytest
from ledger import rows_named

ROWS = {"F": 21, "N": 21, "R": 23, "J": 21, "U": 27, "A": 26, "S": 9, "V": 15, "T": 16, "P": 14, "B": 23}
"""The letter of a group, and how many rows it has."""

REASONS = {"R23": "packed Null-Registers (RFC 9465) are an option that we do not have"}
"""Rows that may be without a test, and why."""


def rows() -> list[str]:
    return [f"{letter}{number}" for letter, count in ROWS.items() for number in range(1, count + 1)]


@pytest.mark.parametrize("letter", list(ROWS))
def test_every_row_has_a_test_of_its_name(letter: str) -> None:
    named = rows_named(("core", "wire", "kernel"))
    missing = [row for row in rows() if row.startswith(letter) and row not in named and row not in REASONS]
    assert not missing, f"no test is named after {', '.join(missing)}"


def test_reasons_are_given_for_rows_without_a_test() -> None:
    assert set(REASONS) <= set(rows()) - rows_named(("core", "wire", "kernel"))


def test_the_ledger_sees_the_names() -> None:
    """A ledger that sees no test, or sees one in any word, would never fail."""
    named = rows_named(("core",))
    assert {"J1", "A23", "T8", "TH15"} <= named and "A99" not in named and not {"RP", "LAN", "ET"} & named
