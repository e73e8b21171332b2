"""The ledger of the conformance rows: each row of these groups has a test that carries its id in its name.

F forwarding, N neighbours, R Registers, J and U Join/Prune machines, A Asserts, S the SSM range, V messages, T timers,
P the RP of a group, B the bootstrap router, K the anycast RP (K7 to K12 are of MSDP and mtrace2, which are not spoken),
I and M the membership of hosts in IPv4 and IPv6, X the host's side of it. Rows are tested in virtual time or on bytes;
what a lab shows beside that is not counted.
"""

from __future__ import annotations

import pytest
from ledger import rows_named

COUNTS = {
    "F": 21,
    "N": 21,
    "R": 23,
    "J": 21,
    "U": 27,
    "A": 26,
    "S": 9,
    "V": 15,
    "T": 33,
    "P": 14,
    "B": 23,
    "K": 6,
    "I": 26,
    "M": 12,
}
"""The letter of a group, and how many rows it has."""

ROWS = {letter: range(1, count + 1) for letter, count in COUNTS.items()} | {"X": (5, 7, 8, 10, 11, 12, 13)}
"""The other rows of X are of proxies, whose tests are not named after them."""

REASONS = {
    "R23": "packed Null-Registers (RFC 9465) are an option that we do not have",
    "T32": "MSDP is a protocol that we do not speak",
}
"""Rows that may be without a test, and why."""


def rows() -> list[str]:
    return [f"{letter}{number}" for letter, numbers in ROWS.items() for number in numbers]


@pytest.mark.parametrize("letter", list(ROWS))
def test_every_row_has_a_test_of_its_name(letter: str) -> None:
    named = rows_named(("core", "wire", "kernel"))
    missing = [row for row in rows() if row[0] == letter and row not in named and row not in REASONS]
    assert not missing, f"no test is named after {', '.join(missing)}"


def test_reasons_are_given_for_rows_without_a_test() -> None:
    assert set(REASONS) <= set(rows()) - rows_named(("core", "wire", "kernel"))


def test_the_ledger_sees_the_names() -> None:
    """A ledger that sees no test, or sees one in any word, would never fail."""
    named = rows_named(("core",))
    assert {"J1", "A23", "T8", "TH15"} <= named and "A99" not in named and not {"RP", "LAN", "ET"} & named
