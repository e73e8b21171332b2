"""The command line.

python -m mutants [--sample 150] [--seed 1] [--seconds 60] [--minutes 60] [--jobs 2] [--map FILE] [pimpy/core/pim]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mutants.judge import Court
from mutants.options import OPTIONS, everything, where
from mutants.places import Mutant, all_mutants
from mutants.reach import ROOMS, Map, Recorder

GOAL = 0.9


class Trial:
    """A plugin of pytest: in place of running the tests, looks what they reach and judges changes."""

    def __init__(self, said: argparse.Namespace) -> None:
        self.said = said
        self.recorder = Recorder()
        self.share = 0.0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        imported = self.recorder.stop()
        known = Map(self.said.map)
        known.update(session.items, self.said.jobs)
        court = Court(known, imported, session.items, self.said.seconds)
        mutants = list(all_mutants(self.said.rooms))
        sample = random.Random(self.said.seed).sample(mutants, min(self.said.sample, len(mutants)))
        tell(f"{len(mutants)} changes can be made, {len(sample)} are tried (seed {self.said.seed})")
        judged, killed = self.judged(court, sample)
        late = f"; no time for {len(sample) - judged}" if judged < len(sample) else ""
        self.share = killed / max(1, judged)
        tell(f"{killed} of {judged} killed, {100 * self.share:.1f} %{late}")
        return True

    def judged(self, court: Court, sample: list[Mutant]) -> tuple[int, int]:
        """Judge changes in some processes at a time: how many were judged, and killed."""
        pipes = []
        for job in range(self.said.jobs):
            reader, writer = os.pipe()
            if os.fork() == 0:
                counts = self.part(court, sample[job :: self.said.jobs])
                os.write(writer, json.dumps(counts).encode())
                os._exit(0)
            os.close(writer)
            pipes.append(reader)
        found = []
        for reader in pipes:
            with os.fdopen(reader) as pipe:
                found.append(json.loads(pipe.read()))
            os.wait()
        return sum(judged for judged, _ in found), sum(killed for _, killed in found)

    def part(self, court: Court, sample: list[Mutant]) -> tuple[int, int]:
        """What one process does."""
        end = time.monotonic() + 60 * self.said.minutes
        judged = killed = 0
        for mutant in sample:
            if time.monotonic() > end:
                break
            verdict = court.judge(mutant)
            judged += 1
            killed += bool(verdict.killer)
            few = f"{verdict.asked} of {verdict.reaching} tests that reach it"
            tell(f"killed   {mutant}, by {verdict.killer}" if verdict.killer else f"SURVIVED {mutant}, {few}")
        return judged, killed


def tell(text: str) -> None:
    os.write(TERMINAL, f"mutants: {text}\n".encode())


TERMINAL = os.dup(1)


def main() -> int:
    """0 if at least nine in ten were killed."""
    grammar = argparse.ArgumentParser(description="Change one thing in the core at a time: does a test fail?")
    grammar.add_argument("--sample", type=int, default=150)
    grammar.add_argument("--seed", type=int, default=1)
    grammar.add_argument("--seconds", type=float, default=60, help="for one change, as its tests take without it")
    grammar.add_argument("--minutes", type=float, default=60, help="for all changes")
    grammar.add_argument("--jobs", type=int, default=2, help="processes at a time")
    grammar.add_argument("--map", type=Path, default=Path(tempfile.gettempdir(), "pimpy-mutants.json"))
    grammar.add_argument("rooms", nargs="*", default=ROOMS, help="folders or files, pimpy/core/pim for example")
    trial = Trial(grammar.parse_args())
    os.chdir(where())
    pytest.main([*OPTIONS, *everything()], plugins=[trial])
    return 0 if trial.share >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
