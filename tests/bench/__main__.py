"""`python -m bench [joins|members|wave|move|upcalls ...]`: runs the benches in turn and prints their tables."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.shell import LabError

from . import joins, members, move, upcalls, wave


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Figures of pimpy beside FRR, in namespaces.")
    parser.add_argument(
        "what", nargs="*", choices=["joins", "members", "wave", "move", "upcalls", []], help="default: all"
    )
    parser.add_argument("--kinds", nargs="+", choices=["pimpy", "frr"], default=["pimpy", "frr"])
    parser.add_argument("--families", nargs="+", type=int, choices=[4, 6], default=[4, 6])
    parser.add_argument("--counts", nargs="+", type=int, default=[1000, 10000, 20000], help="(S,G)s to join")
    parser.add_argument("--groups", type=int, default=10000, help="groups that a host reports")
    parser.add_argument("--sources", type=int, default=5000, help="sources of one group that a host reports")
    parser.add_argument("--moves", type=int, default=10, help="moves of the route")
    parser.add_argument("--routes", nargs="+", type=int, default=[10, 1000, 10000], help="static routes (upcalls)")
    parser.add_argument("--json", type=Path, help="write all figures there, too")
    options = parser.parse_args()
    what = options.what or ["joins", "members", "wave", "move", "upcalls"]
    pairs = [(kind, family) for family in options.families for kind in options.kinds]
    joined: list[joins.Joined] = []
    moved: list[move.Moves] = []
    failed: list[str] = []
    for kind, family in pairs if "joins" in what else []:
        for count in options.counts:
            say(f"{kind}, IPv{family}: {count} joins through three routers")
            try:
                joined.append(joins.measure(kind, family, count))
            except LabError as error:
                failed.append(f"{kind}, IPv{family}, {count} joins: {error}")
    reported: list[members.Members] = []
    for kind, family in pairs if "members" in what else []:
        for thing, count in (("groups", options.groups), ("sources", options.sources)):
            say(f"{kind}, IPv{family}: reports of {count} {thing}")
            reported.append(members.measure(kind, family, thing, count))
    answered: list[wave.Waves] = []
    for kind, family in pairs if "wave" in what else []:
        say(f"{kind}, IPv{family}: {wave.HOSTS} hosts answer each query at once")
        answered.append(wave.measure(kind, family))
    for kind, family in pairs if "move" in what else []:
        say(f"{kind}, IPv{family}: the route moves {options.moves} times under {move.RATE} packets/s")
        moved.append(move.measure(kind, family, options.moves))
    static: list[upcalls.Upcalls] = []
    for rules in options.routes if "upcalls" in what else []:
        for kind in ("pimpy", "smcroute"):
            say(f"{kind}: streams by {rules} static routes")
            static.append(upcalls.measure(kind, rules))
    if joined:
        print("\nSSM joins (FRR: its pimd or pim6d, and zebra)\n" + joins.table(joined))
        print("\n".join(joins.growth(joined)))
    if reported:
        print("\nReports of hosts at one router (FRR: its pimd or pim6d, and zebra)\n" + members.table(reported))
    if answered:
        print("\nAll hosts answer each General Query within a second, while Hellos are due\n" + wave.table(answered))
    if moved:
        print("\nThe route to the source moves\n" + move.table(moved))
    if static:
        print("\nStreams by static routes\n" + upcalls.table(static))
    if options.json:
        runs: dict[str, list[Any]] = {
            "joins": joined,
            "members": reported,
            "waves": answered,
            "moves": moved,
            "upcalls": static,
        }
        figures = {name: [asdict(run) for run in found] for name, found in runs.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    for line in failed:
        say(f"FAILED: {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
