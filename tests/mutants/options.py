"""How pytest is run, to explore and to judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants.places import ROOT

NOT_ASKED = (
    *("test_imports", "test_no_cycles", "test_ledger_gmp", "test_ledger_rows", "test_ledger_xorp", "test_mld_ledger"),
    *("test_fuzz", "test_any_order", "test_networks", "test_asm_networks", "test_bsr_networks", "test_day"),
)
"""Of what the code looks like; and those that try much at random, which take long."""
PLUGINS = ("cacheprovider", "xdist", "rerunfailures", "timeout", "faulthandler")
OPTIONS = ("-q", "-k", "not tshark", *(part for name in PLUGINS for part in ("-p", f"no:{name}")))


def everything() -> list[str]:
    """All files of tests that may judge, below tests/core and tests/wire."""
    files = [*(ROOT / "tests/core").glob("test_*.py"), *(ROOT / "tests/wire").glob("test_*.py")]
    return sorted(str(file) for file in files if file.stem not in NOT_ASKED)


def ordered(items: list[pytest.Item], names: list[str]) -> list[pytest.Item]:
    """The tests of some names, in their order."""
    known = {item.nodeid: item for item in items}
    return [known[name] for name in names if name in known]


def where() -> Path:
    return ROOT / "tests/core"
