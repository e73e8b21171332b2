"""One change judged by a Python of its own, for what runs when a module is imported: `python -m mutants.alone`.

Standard input has the module's path, its changed source, and the tests, in order. The last line of standard output is
the test that failed, or empty.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import signal
import sys
from types import CodeType

import pytest

from mutants.judge import failure, quiet
from mutants.options import OPTIONS, ordered

IMPORT = "the import"


class Judge:
    """A plugin of pytest: runs what it is told to, in that order."""

    def __init__(self, names: list[str], told: int) -> None:
        self.names = names
        self.told = told

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        killer = IMPORT if session.testsfailed else failure(ordered(session.items, self.names), self.told)
        os.write(self.told, b"\n" + killer.encode())
        os._exit(0)


def import_changed(path: str, source: str) -> None:
    """Let a module have another source from now on."""
    normal = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader: importlib.machinery.SourceFileLoader, name: str) -> CodeType | None:
        if loader.path == path:
            changed: CodeType = compile(source, path, "exec")
            return changed
        return normal(loader, name)

    setattr(importlib.machinery.SourceFileLoader, "get_code", get_code)  # noqa: B010  mypy takes it for a mistake


def main() -> None:
    """Say what fails."""
    said = json.loads(sys.stdin.read())
    told = os.dup(1)
    os.set_inheritable(told, False)
    quiet()
    signal.setitimer(signal.ITIMER_PROF, 60)
    import_changed(said["path"], said["source"])
    files = dict.fromkeys(name.partition("::")[0].removeprefix("tests/core/") for name in said["names"])
    os.write(told, b"\n" + IMPORT.encode())
    pytest.main([*OPTIONS, *(file.replace("tests/", "../") for file in files)], plugins=[Judge(said["names"], told)])
    os._exit(1)


if __name__ == "__main__":
    main()
