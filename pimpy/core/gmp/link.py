"""What the parts of one interface's machine share: the settings, the protocol's own traits, and the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pimpy.core.engine.timers import TimerHeap
from pimpy.core.gmp.settings import GmpSettings, Totals, Variables
from pimpy.wire import igmp, mld
from pimpy.wire.family import IPV4, IPV6, Address, Family, format_address
from pimpy.wire.membership import Message, Query
from pimpy.wire.record import define, field, frozen

if TYPE_CHECKING:
    from pimpy.core.gmp.membership import GroupRecord

NOTICE_INTERVAL = 60.0
"""Seconds between two notices of one reason and interface."""
WARNINGS = {
    "ssm_bad_record": "is in the SSM range, where a wish for any source does not count (RFC 9776 6.4)",
    "group_limit": "is refused: the limit of groups is reached",
    "source_limit": "has sources that are refused: the limit of sources is reached",
    "host_limit": "has hosts that are not tracked: the limit is reached, so its members are asked before they are cut",
    "group_denied": "is refused: the configuration does not allow it here",
}
"""What is said of a group when a record of it does not count, or not all of it."""


class Codec(Protocol):
    """What `wire.igmp` and `wire.mld` have in common."""

    def type_name(self, data: bytes) -> str | None:
        """The label of the message that begins with `data`."""

    def sent_name(self, data: bytes) -> str:
        """The label of a message that we send."""

    def decode(self, data: bytes) -> Message | None:
        """The message in `data`; Malformed if it is none."""

    def encode(self, message: Message) -> bytes:
        """The bytes of any message."""

    def encode_query(self, query: Query) -> bytes:
        """The bytes of a query."""

    def query_capacity(self, mtu: int) -> int:
        """How many sources fit into a query."""

    def report_capacity(self, mtu: int) -> int:
        """How many sources fit into a report of one record."""

    def encode_advertisement(self, interval: int, query_interval: int, robustness: int) -> bytes:
        """The bytes of a Multicast Router Advertisement."""

    def encode_termination(self) -> bytes:
        """The bytes of a Multicast Router Termination."""


@frozen
class Traits:
    """Where IGMP and MLD differ, beyond the size of an address."""

    name: str
    """In texts: IGMP or MLD."""
    codec: Codec
    newest: int
    """The version that knows sources: IGMPv3, MLDv2."""
    leaveless: int
    """The newest version whose hosts send no leave: IGMPv1; 0 for MLD, where all do."""
    election_by_general: bool
    """Whether only General Queries count in the election (RFC 9776 6.6.2), or any query (RFC 9777 7.6.2)."""
    link_local_source: bool
    """Whether a message must come from a link-local address (RFC 9777 7.4, 7.6)."""
    router_alert: bool
    """Whether a message must carry Router Alert (RFC 9777 7.4, 7.6); else the settings say."""
    all_snoopers: Address
    """Where router advertisements go (RFC 4286 7)."""
    bad_ttl: str
    no_router_alert: str
    bad_source: str
    """The reason words of TH5 to TH8."""


TRAITS = {
    IPV4: Traits(
        name="IGMP",
        codec=igmp,
        newest=3,
        leaveless=1,
        election_by_general=True,
        link_local_source=False,
        router_alert=False,
        all_snoopers=bytes((224, 0, 0, 106)),
        bad_ttl="igmp_ttl",
        no_router_alert="igmp_no_ra",
        bad_source="igmp_src_subnet",
    ),
    IPV6: Traits(
        name="MLD",
        codec=mld,
        newest=2,
        leaveless=0,
        election_by_general=False,
        link_local_source=True,
        router_alert=True,
        all_snoopers=bytes((0xFF, 2, *(0,) * 13, 0x6A)),
        bad_ttl="mld_hl",
        no_router_alert="mld_no_ra",
        bad_source="mld_src",
    ),
}


@define
class Link:
    """What every part of one interface's machine sees."""

    family: Family
    heap: TimerHeap
    settings: GmpSettings
    send: Callable[[Address, bytes], None]
    changed: Callable[[Address, Address | None], None]
    report_notice: Callable[[str, str, str], None]
    totals: Totals
    traits: Traits = field(init=False)
    variables: Variables = field(init=False)
    groups: dict[Address, GroupRecord] = field(init=False, factory=dict)
    is_querier: bool = field(init=False, default=False)
    silenced: dict[str, list[float]] = field(init=False, factory=dict)
    """By reason: when its last notice left, and how many were held back since."""

    def __post_init__(self) -> None:
        self.traits = TRAITS[self.family]
        self.settle(self.settings)

    def settle(self, settings: GmpSettings) -> None:
        """Follow `settings`; ValueError if its version is none of this protocol."""
        if settings.version is not None and not 1 <= settings.version <= self.traits.newest:
            raise ValueError(f"there is no {self.traits.name}v{settings.version}")
        self.settings = settings
        self.variables = Variables.of(settings)

    @property
    def version(self) -> int:
        """The configured version: that of the queries we send."""
        return self.settings.version or self.traits.newest

    def notice(self, level: str, reason: str, text: str) -> None:
        """Tell the operator, at most once in NOTICE_INTERVAL for one reason."""
        now = self.heap.now
        last = self.silenced.get(reason)
        if last is not None and now < last[0] + NOTICE_INTERVAL:
            last[1] += 1
            return
        if last is not None and last[1]:
            text = f"{text} ({int(last[1])} more of these were not told)"
        self.silenced[reason] = [now, 0]
        self.report_notice(level, reason, text)

    def refuse(self, reason: str, group: Address) -> None:
        """Something about a group does not count: tell the operator now and then (S5, I22)."""
        self.notice("warning", reason, f"{format_address(group)} {WARNINGS[reason]}")

    def query(
        self, group: Address, max_response: float, suppress: bool = False, sources: tuple[Address, ...] = ()
    ) -> None:
        """Send a query of the configured version: a General Query if `group` is unspecified (RFC 9776 4.1.12)."""
        variables = self.variables
        query = Query(
            self.version, group, max_response, suppress, variables.robustness, variables.query_interval, sources
        )
        general = group == self.family.any
        self.send(self.family.all_hosts if general else group, self.traits.codec.encode_query(query))
