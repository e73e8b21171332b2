"""What the control socket and the metrics ask of the daemon: a protocol, so that either runs on a fake one too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pimpy.core.engine.counters import CounterKey as CounterKey

if TYPE_CHECKING:
    from pimpy.core.explain import ExplainRow
    from pimpy.core.rows import MrouteRow, Row
    from pimpy.daemon.entries import Totals
    from pimpy.daemon.monitor import Monitor
    from pimpy.daemon.rows import StatusRow
    from pimpy.wire.family import Address

KINDS = (
    "neighbors",
    "mroute",
    "interfaces",
    "igmp_interfaces",
    "igmp_groups",
    "mld_interfaces",
    "mld_groups",
    "static",
    "proxy",
    "rp",
    "rp_set",
    "bsr",
    "watches",
)
"""The kinds of rows that `Backend.rows` knows."""


class Backend(Protocol):
    """The daemon as its control socket and its metrics see it. No method waits for anything."""

    monitor: Monitor
    """Where events are told."""

    def rows(self, kind: str) -> list[Row]:
        """All rows of one of KINDS, of both address families, in any order.

        `mroute` holds MrouteRow and OutgoingRow, with the kernel's counters filled in; `igmp_groups` and
        `mld_groups` hold GmpGroupRow and GmpSourceRow.
        """

    def entries(self) -> Iterator[list[MrouteRow]]:
        """The entries alone, with the kernel's counters, in slices of some milliseconds of work.

        Between two of them anything may happen; an entry that goes meanwhile is left out.
        """

    def totals(self) -> list[Totals]:
        """The entries of each address family, counted; their traffic by interface. Their number hardly matters."""

    def explain(self, source: str | None, group: str, ttl: int | None) -> list[ExplainRow]:
        """Why (source, group) flows or does not; `ttl` is what its packets were seen to come in with.

        Raises `commands.RefusedError` where the kernel has not that family.
        """

    def look_up(self, what: str, address: Address) -> list[Row]:
        """`rp`: RpChoiceRow, the RP of a group and who else stood for choice; `rpf`: RpfRow, how an address is reached.

        Nothing if its family does not run.
        """

    def status(self) -> StatusRow:
        """How the daemon fares."""

    def counters(self) -> Mapping[str, Mapping[CounterKey, int]]:
        """The core's counters of messages for each address family (`ipv4`, `ipv6`); they never fall."""

    def command(self, name: str, args: Sequence[str]) -> str:
        """Do `audit`, `reload`, `restart [PROGRAM]`, `kill`, `log LEVEL` or `clear igmp|mld GROUP`.

        Says in a line what was done, or nothing.

        `log` without an argument tells the level. `kill` only asks the daemon to end: the answer is still
        sent. Raises `commands.RefusedError` with the cause and the remedy.
        """
