"""What tests of every folder share: a lab that is taken down whatever happens, and what a test needs of this host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby

import pytest
from lab import needs
from lab.paths import PROMTOOL
from lab.topology import Lab
from turns import Turn

# prometheus and promtool are unpacked by tests/prepare, not installed.
os.environ["PATH"] += f":{PROMTOOL.parent}"
TURN = pytest.StashKey[Turn]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of a lab or of the kernel that failed is tried again, twice at most and alone, for what shares its
    machine; the summary names it (RERUN).

    A lab mostly waits, the other tests compute: the files of both are dealt out by turns, so that those who wait and
    those who compute share the processors from the first minute to the last.
    """
    labs, others = [], []
    for item in items:
        if item.path.parent.name in ("lab", "kernel"):
            item.add_marker(pytest.mark.flaky(reruns=2))
        (labs if item.path.parent.name == "lab" else others).append(item)
    items[:] = dealt([list(file) for _, file in groupby(labs, key=lambda item: item.path)], others)


def dealt(files: list[list[pytest.Item]], others: list[pytest.Item]) -> list[pytest.Item]:
    """The labs' files, each in one piece, with as many other tests behind each test of theirs on the average."""
    order: list[pytest.Item] = []
    tests, placed, used = sum(map(len, files)), 0, 0
    for file in files:
        order += file
        placed += len(file)
        until = len(others) * placed // tests
        order += others[used:until]
        used = until
    return order + others[used:]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Waits for its turn: one that is tried again has the machine for itself."""
    item.stash[TURN] = Turn(alone=getattr(item, "execution_count", 1) > 1).__enter__()
    yield


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    item.stash[TURN].__exit__(None, None, None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds what the lab's programs wrote to the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    used = getattr(item, "funcargs", {})
    lab = used.get("lab") or used.get("standing_lab")
    if report.when == "call" and report.failed and isinstance(lab, Lab):
        report.sections.append(("what the lab's programs wrote", lab.logs()))


@pytest.fixture
def lab() -> Iterator[Lab]:
    """An empty lab, taken down afterwards."""
    needs.need_lab()
    with Lab() as one:
        yield one


@pytest.fixture(scope="module")
def standing_lab() -> Iterator[Lab]:
    """An empty lab that the tests of one file share."""
    needs.need_lab()
    with Lab() as one:
        yield one


@pytest.fixture
def captures() -> None:
    needs.need_captures()


@pytest.fixture
def frr() -> None:
    needs.need_frr()


@pytest.fixture
def pimd() -> None:
    needs.need_pimd()


@pytest.fixture
def smcroute() -> None:
    needs.need_smcroute()


@pytest.fixture
def igmpproxy() -> None:
    needs.need_igmpproxy()


@pytest.fixture
def pimpyd() -> None:
    needs.need_pimpyd()
