"""What tests of every folder share: a lab that is taken down whatever happens, and what a test needs of this host."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from itertools import groupby

import pytest
from hypothesis import HealthCheck, settings
from lab import needs
from lab.paths import PROMTOOL
from lab.topology import Lab
from turns import Turn

# prometheus and promtool are unpacked by tests/prepare, not installed.
os.environ["PATH"] += f":{PROMTOOL.parent}"
# A spare worker costs as much as a whole start: where none is looked for, none is started (but see `spares`).
os.environ["PIMPYD_SPARE_AFTER"] = "inf"
TURN = pytest.StashKey[Turn]()


SECONDS = {
    "test_register": 210,
    "test_restart": 200,
    "test_dropin": 200,
    "test_asm_lan": 140,
    "test_bsr": 120,
    "test_spt_threshold": 110,
    "test_bsr_peers": 110,
    "test_assert_peers": 110,
    "test_membership": 110,
    "test_snooping": 100,
    "test_faults": 90,
    "test_rpt_peers": 80,
    "test_asm_pimd": 80,
    "test_lan": 80,
    "test_frr": 70,
    "test_asm_frr": 70,
    "test_prometheus": 70,
    "test_pimd": 65,
    "test_asm_places": 60,
    "test_anycast": 50,
    "test_interfaces": 50,
    "test_doctor": 50,
}
"""What the longest files of the lab take, about, while others run: they are begun first. The rest is taken for
A_TEST seconds a test."""
A_TEST = 4
BY_THE_CLOCK = ("lab", "kernel", "daemon")
"""Folders whose tests talk to the kernel or to another process."""
LONG = ("test_sanitizers", "test_networks", "test_day", "test_fuzz", "test_printer", "test_asm_networks")
"""The longest files of those that compute: begun first too."""

# How long an example takes says nothing here, on a machine that does other things as well. The same examples each time:
# what fails then is what was changed. `make soak` looks for others.
settings.register_profile(
    "pimpy", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("soak", max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("pimpy")

gc.disable()  # nothing of what is collected goes away


def pytest_collection_finish() -> None:
    """What is collected here is never looked through again by the garbage collector."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that runs by this machine's clock and failed is tried again, twice at most, at last alone, for what shares
    its machine; the summary names it (RERUN).

    A lab mostly waits, the other tests compute: one worker begins with those that compute, the others with labs, so
    that those who wait and those who compute share the processors from the first minute to the last.
    """
    labs, others = [], []
    for item in items:
        if item.path.parent.name in BY_THE_CLOCK:
            item.add_marker(pytest.mark.flaky(reruns=2))
        (labs if item.path.parent.name == "lab" else others).append(item)
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = dealt([list(file) for _, file in groupby(labs, key=lambda item: item.path)], others, workers)


def dealt(files: list[list[pytest.Item]], others: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The order of all tests, for workers of which each is given one piece of it, all with the same number of tests.

    All pieces but the last begin with files of the lab, each whole, the longest first; what computes fills them up. Who
    is ready takes from the end of another's piece (--dist worksteal): what computes at first, labs when nothing else
    is left, the short ones.
    """
    pieces: list[list[pytest.Item]] = [[] for _ in range(max(1, workers - 1))]
    load = [0] * len(pieces)
    for file in sorted(files, key=seconds, reverse=True):
        least = load.index(min(load))
        pieces[least] += file
        load[least] += seconds(file)
    rest = sorted(others, key=lambda item: item.path.stem not in LONG)
    left, order = len(rest) + sum(map(len, files)), []
    size = left // workers
    first, rest = rest[: left - size * (workers - 1)], rest[left - size * (workers - 1) :]
    for piece in pieces:
        room = max(0, size - len(piece)) if workers > 1 else 0
        order += piece + rest[:room]
        rest = rest[room:]
    return order + rest + first


def seconds(file: list[pytest.Item]) -> int:
    """What a file of the lab takes, about."""
    return SECONDS.get(file[0].path.stem, A_TEST * len(file))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Waits for its turn: one that is tried for the last time has the machine for itself."""
    item.stash[TURN] = Turn(alone=getattr(item, "execution_count", 1) > 2).__enter__()
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
    if report.when == "call" and report.failed and (lab := used_lab(item)) is not None:
        report.sections.append(("what the lab's programs wrote", lab.logs()))


def used_lab(item: pytest.Item) -> Lab | None:
    """The lab that a test asked for, or the one that something stands in that it asked for."""
    found = (getattr(used, "lab", used) for used in getattr(item, "funcargs", {}).values())
    return next((lab for lab in found if isinstance(lab, Lab)), None)


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


@pytest.fixture
def spares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons start spare workers when they do at other places."""
    monkeypatch.delenv("PIMPYD_SPARE_AFTER")
