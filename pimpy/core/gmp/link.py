"""What the parts of one interface's machine share: the settings, the protocol's own traits, and the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen

from pimpy.core.engine.timers import TimerHeap
from pimpy.wire import igmp, mld
from pimpy.wire.family import IPV4, IPV6, Address, Family
from pimpy.wire.membership import Message, Query

if TYPE_CHECKING:
    from pimpy.core.gmp.membership import GroupRecord

NOTICE_INTERVAL = 60.0
"""Seconds between two notices of one reason and interface."""


class Codec(Protocol):
    """What `wire.igmp` and `wire.mld` have in common."""

    def type_name(self, data: bytes) -> str | None:
        """The label of the message that begins with `data`."""

    def decode(self, data: bytes) -> Message | None:
        """The message in `data`; Malformed if it is none."""

    def encode(self, message: Message) -> bytes:
        """The bytes of any message."""

    def encode_query(self, query: Query) -> bytes:
        """The bytes of a query."""

    def query_capacity(self, mtu: int) -> int:
        """How many sources fit into a query."""


@frozen(eq=False)
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
        bad_ttl="mld_hl",
        no_router_alert="mld_no_ra",
        bad_source="mld_src",
    ),
}


@frozen
class GmpSettings:
    """What the configuration says of one interface. Times are in seconds.

    None stands for the RFC's default (RFC 9776 section 8). ValueError for what no interface could run with.
    """

    version: int | None = None
    """Of the queries we send: 1 to 3 for IGMP, 1 or 2 for MLD; None for the newest (RFC 9776 7.3.1)."""
    query_interval: float = 125.0
    query_response_interval: float = 10.0
    robustness: int = 2
    """1 or more; 2 or more is advised (RFC 9776 8.1)."""
    last_member_query_interval: float = 1.0
    last_member_query_count: int | None = None
    """1 or more; None for the robustness."""
    startup_query_interval: float | None = None
    """None for a quarter of the query interval."""
    startup_query_count: int | None = None
    """1 or more; None for the robustness."""
    mtu: int = 1500
    """Bytes of the longest IP packet: long queries are split to fit."""
    max_groups: int = 65536
    """Group records of the interface; beyond it new ones are refused."""
    max_sources: int = 8192
    """Source records of a group; beyond it new ones are refused."""
    on_link_only: bool = False
    """Drop IGMP reports from sources that are not on the link, 0.0.0.0 excepted (RFC 9776 9.2)."""
    require_router_alert: bool = False
    """Drop IGMP messages without Router Alert (RFC 9776 9.2); MLD requires it anyway."""
    oldest_version: int = 1
    """Reports of older versions than this are ignored, and leaves if it is the newest (RFC 9776 9.2)."""

    def __attrs_post_init__(self) -> None:
        counts = (self.robustness, self.last_member_query_count, self.startup_query_count)
        times = (self.query_interval, self.last_member_query_interval, self.startup_query_interval)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("robustness and query counts are at least 1")
        if any(time is not None and time <= 0 for time in times):
            raise ValueError("query intervals are longer than 0 s")
        if not 0 < self.query_response_interval < self.query_interval:
            raise ValueError("the query response interval is longer than 0 s and shorter than the query interval")


@frozen
class Variables:
    """The timer values in force (RFC 9776 section 8, RFC 9777 section 9), by their IGMP names; seconds.

    A non-querier computes them from the querier's robustness and query interval (RFC 9776 4.1.6, 4.1.7).
    """

    robustness: int
    query_interval: float
    group_membership_interval: float
    other_querier_present_interval: float
    older_host_present_interval: float
    last_member_query_count: int
    last_member_query_time: float

    @classmethod
    def of(cls, settings: GmpSettings, robustness: int = 0, query_interval: float = 0.0) -> Variables:
        """From our settings and what the querier told; 0: it told nothing."""
        robustness = robustness or settings.robustness
        query_interval = query_interval or settings.query_interval
        response = settings.query_response_interval
        count = settings.last_member_query_count or robustness
        return cls(
            robustness=robustness,
            query_interval=query_interval,
            group_membership_interval=robustness * query_interval + 2 * response,  # 8.4
            other_querier_present_interval=robustness * query_interval + response / 2,  # 8.5
            older_host_present_interval=robustness * query_interval + response,  # 8.13
            last_member_query_count=count,  # 8.9
            last_member_query_time=count * settings.last_member_query_interval,  # 8.10
        )


@define(eq=False)
class Link:
    """What every part of one interface's machine sees."""

    family: Family
    heap: TimerHeap
    settings: GmpSettings
    send: Callable[[Address, bytes], None]
    changed: Callable[[Address, Address | None], None]
    report_notice: Callable[[str, str, str], None]
    traits: Traits = field(init=False)
    variables: Variables = field(init=False)
    groups: dict[Address, GroupRecord] = field(init=False, factory=dict)
    is_querier: bool = field(init=False, default=False)
    silenced: dict[str, list[float]] = field(init=False, factory=dict)
    """By reason: when its last notice left, and how many were held back since."""

    def __attrs_post_init__(self) -> None:
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
