"""A daemon that answers from the state of a real router with many entries, for tests of what that costs."""

from __future__ import annotations

from bench.membership_cost import Bench
from fake_daemon import FakeDaemon

from pimpy.core.rows import Row
from pimpy.core.traffic import Meter
from pimpy.daemon.entries import Totals, totals
from pimpy.daemon.rows import StatusRow
from pimpy.wire.family import IPV4
from pimpy.wire.membership import Record, RecordType
from pimpy.wire.record import evolve


class Routing(FakeDaemon):
    """A daemon whose entries are those of a router with many members; the kernel has them all, and counts."""

    def __init__(self, entries: int) -> None:
        super().__init__()
        bench = Bench(IPV4)
        records = [Record(RecordType.ALLOW_NEW_SOURCES, bench.group(n), (bench.source(1),)) for n in range(entries)]
        bench.take([bench.report(1, records[at : at + 100]) for at in range(0, entries, 100)])
        self.router = bench.router
        self.packets = 0
        self.meter = Meter()

    def rows(self, kind: str) -> list[Row]:
        protocol, _, rest = kind.partition("_")
        if protocol in ("igmp", "mld"):
            return list(self.router.rows(f"gmp_{rest}")) if protocol == "igmp" else []
        return list(self.router.rows(kind))

    def status(self) -> StatusRow:
        return evolve(super().status(), mroute_count=len(self.router.pim.tib.sg))

    def totals(self) -> list[Totals]:
        """As many packets of each stream as `packets` says."""
        counters = {(sg.source, sg.group): (self.packets, 0, 0, 0) for sg in self.router.pim.tib.sg.values()}
        return [totals(self.router, counters, self.meter)]
