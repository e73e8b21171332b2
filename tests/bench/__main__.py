"""`python -m bench [NAME [OPTION]...]`: one bench with its options (`NAME -h` tells of them), or all in turn.

Each measures pimpy beside a peer, or beside the bare limit, in one run, and prints a table.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from . import asm, crash, joins, many_moves, members, move, outage, registers, start, steady, upcalls, wave

BENCHES: dict[str, Callable[[Sequence[str]], int]] = {
    "joins": joins.main,
    "members": members.main,
    "wave": wave.main,
    "move": move.main,
    "many_moves": many_moves.main,
    "outage": outage.main,
    "steady": steady.main,
    "asm": asm.main,
    "registers": registers.main,
    "upcalls": upcalls.main,
    "start": start.main,
    "crash": crash.main,
}


def main() -> int:
    """The exit code: 0, or that of a bench that failed; 2 if there is none of that name."""
    name, *options = sys.argv[1:] or [""]
    if name and name not in BENCHES:
        print(__doc__, f"\nNAME: {', '.join(BENCHES)}", file=sys.stderr)
        return 0 if name in ("-h", "--help") else 2
    codes = []
    for each in [name] if name else BENCHES:
        print(f"\n{time.strftime('%H:%M:%S')} {each}", flush=True)
        codes.append(BENCHES[each](options))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
