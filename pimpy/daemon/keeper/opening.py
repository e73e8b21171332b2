"""What a keeper opens before a worker can work: the control socket, both families' tables, the recording."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from pimpy.daemon.keeper import channel, privileges
from pimpy.daemon.keeper.listener import SocketHeldError, is_at, listen
from pimpy.kernel.icmp import open_errors
from pimpy.kernel.sockets import (
    EXIT_FAILED,
    EXIT_HELD,
    KernelRefusal,
    Sockets,
    kept_sockets,
    open_notices,
    open_sockets,
    place,
)
from pimpy.wire.family import FAMILIES, Family

if TYPE_CHECKING:
    from pimpy.daemon.keeper.keeper import Keeper
    from pimpy.daemon.keeper.workers import Worker

WAIT = 10.0
"""Seconds between two tries to take a table that another daemon holds (`--wait`)."""
CONTROL = "control"
"""The name of the kept control socket."""


class Opening:
    """Opens things once; every worker gets them."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.opened = False
        self._listening = False
        self.families: list[str] = []
        self.tables: list[tuple[str, int]] = []
        """The further tables that are open."""
        self._workers = 0

    def serve(self, worker: Worker, further: list[tuple[str, int]]) -> None:
        """Give a worker all it needs, of these further tables what there is; Ended, with a message, if the main
        tables cannot be had."""
        from pimpy.daemon.keeper.keeper import Ended

        if not self.opened:
            try:
                self._pause(float(self.keeper.asked["startup_delay"]) if not self.keeper.adopted else 0.0)
                self._listen()
                self._open_tables(further)
                privileges.give_up_capabilities()
            except SocketHeldError as held:
                raise Ended(_fail(str(held), EXIT_HELD)) from None
            except KernelRefusal as refusal:
                raise Ended(_fail(f"{refusal.cause}; {refusal.remedy}", refusal.exit_code)) from None
            self.opened = True
        self._open_further(further)
        self._hand_out(worker)

    def _pause(self, seconds: float) -> None:
        """Wait so long, or until somebody ends the daemon."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.keeper.pause(left)

    def _listen(self) -> None:
        from pimpy.daemon.keeper.keeper import Ended

        path, kept = self.keeper.asked["socket_path"], self.keeper.kept
        if CONTROL in kept:
            if is_at(kept[CONTROL], path):
                self._listening = True
                return
            os.close(kept.pop(CONTROL))
            self.keeper.manager.forget(CONTROL)
        try:
            self.keeper.keep(CONTROL, listen(path).detach())
            self._listening = True
        except OSError as problem:
            raise Ended(_fail(f"the control socket cannot be made: {problem}", EXIT_FAILED)) from None

    def _open_tables(self, further: list[tuple[str, int]]) -> None:
        """Take the kernel's tables; a family that the kernel does not have is left out, with a message."""
        refusals: list[KernelRefusal] = []
        self._close_other_tables(further)
        asked = self.keeper.asked.get("families")
        for family in FAMILIES:
            if asked is not None and family.name not in asked:
                continue
            try:
                self._obtain(family)
            except KernelRefusal as refusal:
                if refusal.exit_code != EXIT_FAILED:
                    raise
                refusals.append(refusal)
        if not self.families:
            raise refusals[0]
        for missing in refusals:
            self.keeper.remarks.append(("error", "family_off", f"{missing.cause}; {missing.remedy}"))

    def _open_further(self, further: list[tuple[str, int]]) -> None:
        """Take these tables too; one that cannot be had is told of, and left out."""
        keeper = self.keeper
        self._close_other_tables(further)
        self.tables = []
        for family in FAMILIES:
            for table in (number for name, number in further if name == family.name and name in self.families):
                try:
                    if kept_sockets(family, table, keeper.kept) is None:
                        for name, descriptor in open_sockets(family, table).names().items():
                            keeper.keep(name, descriptor)
                    self.tables.append((family.name, table))
                except KernelRefusal as refusal:
                    keeper.remarks.append(("error", "table_refused", f"{refusal.cause}; {refusal.remedy}"))
            self._remove_stale_rules(family)

    def _remove_stale_rules(self, family: Family) -> None:
        """Rules that lead to a table which nobody holds (a proxy had it before, or one that crashed) let nothing by."""
        from pimpy.kernel import rules

        own = {table for name, table in self.tables if name == family.name}
        for table in rules.tables(family.name) - own:
            with contextlib.suppress(KernelRefusal, OSError):
                open_sockets(family, table).close()  # refused where another daemon holds it
                rules.set_rules(family.name, table, set())

    def _close_other_tables(self, further: list[tuple[str, int]]) -> None:
        """What was kept for another table (`-t`, or a proxy's) is of no use."""
        keeper = self.keeper
        own = tuple(place(family.name, keeper.asked["table"]) for family in FAMILIES)
        own += tuple(place(name, table) for name, table in further)
        for name in list(keeper.kept):
            if name != CONTROL and not name.partition(".")[0].endswith(own):
                keeper.drop(name)

    def _obtain(self, family: Family) -> None:
        table = self.keeper.asked["table"]
        if kept_sockets(family, table, self.keeper.kept) is None:
            for name, descriptor in self._open(family, table).names().items():
                self.keeper.keep(name, descriptor)
        self.families.append(family.name)

    def _open(self, family: Family, table: int) -> Sockets:
        while True:
            try:
                return open_sockets(family, table)
            except KernelRefusal as refusal:
                if refusal.exit_code != EXIT_HELD or not self.keeper.asked["wait"]:
                    raise
                print(f"pimpyd: {refusal.cause}; trying again in {WAIT:.0f} s", file=sys.stderr, flush=True)
                self._pause(WAIT)

    def _hand_out(self, worker: Worker) -> None:
        """All descriptors, then the facts."""
        keeper = self.keeper
        names = list(keeper.kept)
        for start in range(0, len(names), channel.MAX_DESCRIPTORS // 2):
            part = names[start : start + channel.MAX_DESCRIPTORS // 2]
            channel.send(worker.line, "kept", " ".join(part), [keeper.kept[name] for name in part])
        mains = [(family.name, keeper.asked["table"]) for family in FAMILIES]
        for name, table in (*mains, *self.tables):
            with open_notices() as notices:
                channel.send(worker.line, "kept", f"notices{place(name, table)}", [notices.fileno()])
        for family in (each for each in FAMILIES if each.name in self.families):
            with open_errors(family) as errors:
                name = f"errors{place(family.name, keeper.asked['table'])}"
                channel.send(worker.line, "kept", name, [errors.fileno()])
        record = self._record()
        if record is not None:
            channel.send(worker.line, "kept", "record", [record])
            os.close(record)
        adopts = keeper.adopted or self._workers > 0
        self._workers += 1
        facts = {
            "families": self.families,
            "tables": self.tables,
            "adopts": adopts,
            "restarts": keeper.restarts,
            "remarks": keeper.remarks,
            "first": not keeper.was_ready,
        }
        keeper.remarks = []
        channel.send(worker.line, "go", repr(facts))

    def _record(self) -> int | None:
        """The file of the recording; a later worker's has a number behind its name."""
        from pimpy.daemon.keeper.keeper import Ended

        path = self.keeper.asked["record"]
        if path is None:
            return None
        restarts = self.keeper.restarts
        name = f"{path}.{restarts}" if restarts else path
        try:
            return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            if self.opened and self._workers:
                return None
            raise Ended(_fail(str(problem), EXIT_FAILED)) from None

    def remove_files(self) -> None:
        """The daemon ends: nobody finds its control socket any more."""
        if self._listening:
            with contextlib.suppress(OSError):
                os.unlink(self.keeper.asked["socket_path"])


def _fail(text: str, code: int) -> int:
    print(f"pimpyd: {text}", file=sys.stderr)
    return code
