"""What the configuration says of the membership protocol on one interface, and the timer values that follow."""

from __future__ import annotations

from pimpy.wire.family import Address, Prefix
from pimpy.wire.record import define, frozen
from pimpy.wire.value import Value

MAX_GROUPS = 65536
MAX_SOURCES = 8192


@frozen
class GmpSettings(Value):
    """What the configuration says of one interface. Times are in seconds.

    None stands for the RFC's default (RFC 9776 section 8). ValueError for what no interface could run with.
    """

    listener: bool = True
    """Ask what hosts want, and hear them; else only `static` counts."""
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
    querier_timeout: float | None = None
    """Of the Other Querier Present timer, where it is longer than the query interval in force; None: 8.5."""
    mtu: int = 1500
    """Bytes of the longest IP packet: long queries are split to fit."""
    max_groups: int = MAX_GROUPS
    """Group records of the interface; beyond it new ones are refused."""
    max_sources: int = MAX_SOURCES
    """Source records of a group; beyond it new ones are refused."""
    on_link_only: bool = False
    """Drop IGMP reports from sources that are not on the link, 0.0.0.0 excepted (RFC 9776 9.2)."""
    require_router_alert: bool = False
    """Drop IGMP messages without Router Alert (RFC 9776 9.2); MLD requires it anyway."""
    oldest_version: int = 1
    """Reports of older versions than this are ignored, and leaves if it is the newest (RFC 9776 9.2)."""
    tracking: bool = False
    """Remember what each host reported (RFC 9776 A.2)."""
    immediate_leave: bool = False
    """End at once what no host wants any more, as far as all hosts are known; needs `tracking`."""
    forced_leave: bool = False
    """End at once what any host leaves, whoever else may want it: for links with one host."""
    allowed: tuple[Prefix, ...] = ()
    """The groups that hosts may ask for; none named: all."""
    static: tuple[tuple[Address, Address | None], ...] = ()
    """(group, source) wanted as if a host were there; None for any source."""
    ssm_map: tuple[tuple[Prefix, Address], ...] = ()
    """The sources that hosts of older versions mean by a group of the SSM range (RFC 4604 2.2.3)."""
    querier_address: Address | None = None
    """What our queries carry instead of the interface's address."""
    mrdisc: bool = False
    """Advertise the router to snooping switches (RFC 4286)."""
    mrdisc_interval: float = 20.0
    """Seconds between two advertisements, 4 to 180."""

    def __post_init__(self) -> None:
        counts = (self.robustness, self.last_member_query_count, self.startup_query_count)
        times = (self.query_interval, self.last_member_query_interval, self.startup_query_interval)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("robustness and query counts are at least 1")
        if any(time is not None and time <= 0 for time in times):
            raise ValueError("query intervals are longer than 0 s")
        if not 0 < self.query_response_interval < self.query_interval:
            raise ValueError("the query response interval is longer than 0 s and shorter than the query interval")

    def allows(self, group: Address) -> bool:
        """Whether hosts may ask for `group` here."""
        return not self.allowed or any(prefix.covers(group) for prefix in self.allowed)

    def mapped(self, group: Address) -> tuple[Address, ...]:
        """The sources that stand for `group` when a host cannot name them: those of the longest range."""
        found = [(prefix.length, source) for prefix, source in self.ssm_map if prefix.covers(group)]
        longest = max((length for length, _ in found), default=0)
        return tuple(dict.fromkeys(source for length, source in found if length == longest))


@frozen
class Variables(Value):
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
        present = settings.querier_timeout or 0.0
        return cls(
            robustness=robustness,
            query_interval=query_interval,
            group_membership_interval=robustness * query_interval + 2 * response,  # 8.4
            other_querier_present_interval=(
                present if present > query_interval else robustness * query_interval + response / 2  # 8.5
            ),
            older_host_present_interval=robustness * query_interval + response,  # 8.13
            last_member_query_count=count,  # 8.9
            last_member_query_time=count * settings.last_member_query_interval,  # 8.10
        )


@define
class Totals:
    """What all interfaces of a router hold together, and how much they may."""

    max_groups: int = 262_144
    max_sources: int = 1_048_576
    max_hosts: int = 1_048_576
    """What explicit tracking remembers: hosts, and the sources that each of them named."""
    groups: int = 0
    sources: int = 0
    hosts: int = 0
