"""Who may use this machine: tests side by side, or one that was disturbed and is tried again, alone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

FOLDER = Path(__file__).parent
GATE, MACHINE = FOLDER / "turns.py", FOLDER / "conftest.py"
"""Two files that are there anyway: the workers of one run lock them, nobody writes them."""

TAKEN = "PIMPY_TURN_TAKEN"
"""In the environment of what a test starts: a run of tests within a test has its turn already."""


class Turn:
    """A share of the machine, or with `alone` the whole of it, among the workers of one run of the tests.

    Who wants it alone holds the gate while others finish, so that it is not passed by those who share.
    """

    def __init__(self, alone: bool) -> None:
        self.alone = alone
        self.taken = TAKEN in os.environ
        self.gate, self.machine = os.open(GATE, os.O_RDONLY), os.open(MACHINE, os.O_RDONLY)

    def __enter__(self) -> Turn:
        if self.taken:
            return self
        os.environ[TAKEN] = "1"
        fcntl.flock(self.gate, fcntl.LOCK_EX)
        fcntl.flock(self.machine, fcntl.LOCK_EX if self.alone else fcntl.LOCK_SH)
        fcntl.flock(self.gate, fcntl.LOCK_UN)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not self.taken:
            del os.environ[TAKEN]
        for file in (self.machine, self.gate):
            fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough where a test has forked
            os.close(file)
