"""What a configuration says, whatever grammar it was written in: frozen values that compare by content."""

from __future__ import annotations

from typing import Any

from pimpy.config.proxies import AddressRange as AddressRange
from pimpy.config.proxies import Filter as Filter
from pimpy.config.proxies import FilterRule as FilterRule
from pimpy.config.proxies import Proxy as Proxy
from pimpy.config.proxies import ProxyInterface as ProxyInterface
from pimpy.config.routes import Static as Static
from pimpy.config.routes import StaticJoin as StaticJoin
from pimpy.config.routes import StaticRoute as StaticRoute
from pimpy.config.watched import ExpectedNeighbor as ExpectedNeighbor
from pimpy.config.watched import Watch as Watch
from pimpy.wire.family import IPV4, IPV6, Address, Family, Prefix
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

NO_STATIC = Static()


@frozen
class Altnet(Value):
    """A further subnet of a link of which the file leaves something to the interfaces, as pimd does.

    `of` is an interface, whose address lies in the subnet, or an address in text; `length` None is that of the subnet
    that the phyint has an address in.
    """

    of: str
    length: int | None = None

    def __str__(self) -> str:
        return self.of if self.length is None else f"{self.of}/{self.length}"


@frozen
class Phyint(Value):
    """What the file says of one interface; None where it says nothing.

    `name` is an interface's name or, in text, one of its addresses. `enabled` None leaves it to
    `Config.phyints_enabled`. `passive`: no PIM message is sent or taken, membership is served (Y6).
    `dr_priority` 0 to 4294967295; `ttl_threshold` 1 to 255; `hello_interval` in seconds, 1 to 18724.
    `max_groups` and `max_sources` (of a group) 1 to 1000000. `immediate_leave` `tracked` or `forced`. `groups`: those
    that hosts may ask for, all if none. `oldest_igmp`, `oldest_mld`: reports of older versions are ignored.
    `querier_addresses`: what our queries carry, at most one of a family counts. `query_interval` in seconds,
    1 to 31744, `robustness` 1 to 7, both of IGMP and MLD, before what `Config` says of all interfaces;
    `query_response_interval` and `last_member_interval` in milliseconds, 1 to 3174400, else 10000 and 1000.
    """

    name: str
    enabled: bool | None = None
    passive: bool = False
    igmp_version: int | None = None
    mld_version: int | None = None
    dr_priority: int | None = None
    ttl_threshold: int | None = None
    hello_interval: int | None = None
    distance: int | None = None
    """The preference of our Asserts for what is reached over this interface, 0 to 2147483646 (RFC 7761 4.6.3)."""
    metric: int | None = None
    """Their metric, 0 to 4294967295."""
    oldest_igmp: int | None = None
    oldest_mld: int | None = None
    max_groups: int | None = None
    max_sources: int | None = None
    query_interval: int | None = None
    robustness: int | None = None
    query_response_interval: int | None = None
    last_member_interval: int | None = None
    immediate_leave: str | None = None
    nolistener: bool = False
    """Hosts are neither asked nor heard: no IGMP and no MLD."""
    explicit_tracking: bool = False
    on_link_reports_only: bool = False
    require_router_alert: bool = False
    mrdisc: bool = False
    groups: tuple[Prefix, ...] = ()
    querier_addresses: tuple[Address, ...] = ()
    neighbor_filter: tuple[Prefix, ...] = ()
    """Whom PIM messages are taken from; a family without any range: everybody."""
    join_filter: tuple[Prefix, ...] = ()
    """Which groups, and sources, PIM neighbours may join; a family without any range: all."""
    bsr_border: bool = False
    """No Bootstrap message is sent or taken there (RFC 5059 6.3)."""
    hello_optional: bool = False
    """On a point-to-point link a router that never says Hello is a neighbour by its other messages (RFC 7761 4.3.1)."""
    require_ttl_1: bool = False
    """PIM messages to the group whose TTL is not 1 are dropped; who sends them is no neighbour on the link."""
    scoped: tuple[Prefix, ...] = ()
    """The interface is a border of these scopes: ranges of groups, in IPv6 of 16 bits at least."""
    altnets: tuple[Prefix | Altnet, ...] = ()
    """Further subnets that are on the link."""


VALUES = (
    "enabled",
    "igmp_version",
    "mld_version",
    "dr_priority",
    "ttl_threshold",
    "hello_interval",
    "distance",
    "metric",
    "oldest_igmp",
    "oldest_mld",
    "max_groups",
    "max_sources",
    "query_interval",
    "robustness",
    "query_response_interval",
    "last_member_interval",
    "immediate_leave",
)
"""Fields of Phyint of which a later line's value replaces an earlier one's."""
FLAGS = (
    "passive",
    "nolistener",
    "explicit_tracking",
    "on_link_reports_only",
    "require_router_alert",
    "mrdisc",
    "bsr_border",
    "hello_optional",
    "require_ttl_1",
)
"""Fields of Phyint that are true if any line says so."""
LISTS = ("groups", "querier_addresses", "neighbor_filter", "join_filter", "scoped", "altnets")
"""Fields of Phyint to which each line adds."""


@frozen
class StaticMember(Value):
    """A group, or one source of it, that is wanted on an interface (its name, or an address of it) without a host."""

    interface: str
    group: Address
    source: Address | None = None


@frozen
class SsmMapping(Value):
    """A source that hosts of IGMPv1, IGMPv2 and MLDv1 mean by the groups of a range."""

    prefix: Prefix
    source: Address


@frozen
class StaticRp(Value):
    """An RP that the file names for a range of groups; of several for one range the lowest priority wins, then the
    hash of RFC 7761 4.7.2."""

    rp: Address
    prefix: Prefix
    priority: int = 1
    """0 to 255."""
    override: bool = False
    """Whether it comes before what Bootstrap messages say of the same range."""


@frozen
class RpfRoute(Value):
    """For RPF, `prefix` is reached by `interface`, over the router `next_hop`; None: it is on the link itself."""

    prefix: Prefix
    interface: str
    next_hop: Address | None = None


@frozen
class BsrCandidate(Value):
    """This router stands for Bootstrap router (RFC 5059 3.1). Its address is `address`, or the one that `interface` has
    in each family; without both the highest routable one of the interfaces that take part."""

    address: Address | None = None
    interface: str | None = None
    priority: int = 64
    """0 to 255, the highest wins."""
    hash_mask: int | None = None
    """Bits; None for 30 in IPv4 and 126 in IPv6."""
    scope: Prefix | None = None
    """The admin-scope zone; None for the global one."""


@frozen
class RpCandidate(Value):
    """This router is willing to be an RP (RFC 5059 3.2); its address as with `BsrCandidate`."""

    address: Address | None = None
    interface: str | None = None
    priority: int = 192
    """0 to 255, the lowest wins."""
    interval: int = 60
    """C_RP_Adv_Period, seconds, 1 to 26214."""


@frozen
class AnycastRp(Value):
    """RPs that share an address (RFC 4610): `members` are the addresses of their own, ours among them."""

    address: Address
    members: tuple[Address, ...]


@frozen
class Config(Value):
    """One whole configuration. Times are in seconds."""

    phyints: tuple[Phyint, ...] = ()
    phyints_enabled: bool = True
    """False after `no phyint` or `disable-vifs`: only interfaces that a phyint line enables take part."""
    hello_interval: int = 30
    triggered_hello_delay: float = 5.0
    join_prune_interval: int = 60
    keepalive_timer: int = 210
    """Keepalive_Period (RFC 7761 4.11): how long a source that is silent is remembered, 60 to 65535."""
    igmp_query_interval: int = 125
    igmp_robustness: int = 2
    igmp_querier_timeout: int | None = None
    """Seconds after which a querier that is silent is given up, longer than the query interval; None: RFC 9776 8.5."""
    mld_query_interval: int | None = None
    mld_robustness: int | None = None
    """None: as with IGMP."""
    mrdisc_interval: int = 20
    """Seconds between two advertisements of this router to snooping switches (RFC 4286), 4 to 180."""
    ssm_ranges4: tuple[Prefix, ...] = IPV4.ssm_ranges
    ssm_ranges6: tuple[Prefix, ...] = IPV6.ssm_ranges
    static_members: tuple[StaticMember, ...] = ()
    ssm_map: tuple[SsmMapping, ...] = ()
    rp_addresses: tuple[StaticRp, ...] = ()
    bsr_candidates: tuple[BsrCandidate, ...] = ()
    rp_candidates: tuple[RpCandidate, ...] = ()
    group_prefixes: tuple[Prefix, ...] = ()
    """What our candidate RPs offer; a family without any offers all groups."""
    anycast_rps: tuple[AnycastRp, ...] = ()
    bsr_interval: int = 60
    """BS_Period (RFC 5059 5), 1 to 26214."""
    bsr_filter: tuple[Prefix, ...] = ()
    """Who may be BSR; a family without any range: anybody."""
    rp_candidate_filter: tuple[Prefix, ...] = ()
    """Who may be candidate RP where we are the BSR; a family without any range: anybody."""
    embedded_rp: bool = True
    """Whether IPv6 groups may name their RP themselves (RFC 3956)."""
    unicast_bsm: bool = False
    """Whether unicast Bootstrap messages are accepted (RFC 5059 3.5.2)."""
    spt_threshold: str = "immediate"
    """When the last hop and the RP take a source's own tree (RFC 7761 4.2.1): `immediate`, `infinity`, or from so many
    `packets` or `bytes`, or such a `rate`, in an interval on."""
    spt_threshold_number: int = 0
    """Packets, bytes, or kbit/s; 1 to 4294967295 with these, else 0."""
    spt_threshold_interval: int = 100
    """Seconds, 5 to 86400."""
    rp_spt_threshold: str | None = None
    """The same of the RP, apart from the last hop; None: as with the last hop."""
    rp_spt_threshold_number: int = 0
    rp_spt_threshold_interval: int = 100
    route_distance: int | None = None
    """`Phyint.distance` of all interfaces; without either the kernel's routes are asked."""
    route_metric: int | None = None
    neighbor_filter: tuple[Prefix, ...] = ()
    join_filter: tuple[Prefix, ...] = ()
    """As in Phyint, for interfaces that have none of their own."""
    register_sources: tuple[str, ...] = ()
    """Where our Registers come from: names of interfaces, and addresses; the first that is ours counts."""
    register_accept: tuple[Prefix, ...] = ()
    """The sources that may be registered here; a family without any range: all."""
    register_accept_from: tuple[Prefix, ...] = ()
    """The routers that may register; a family without any range: all."""
    register_guard: bool = False
    """Whether an nftables rule keeps the kernel from using other routers' and sources' Registers."""
    register_limit: int = 5000
    """How many new (S,G) a second the Registers of one router may make; 0: any number."""
    state_limits: tuple[tuple[str, int], ...] = ()
    """(`neighbors` of an interface, `sg` or `groups`, how many at most)."""
    message_limits: tuple[tuple[str, int], ...] = ()
    """(type of PIM message, how many a second from one neighbour, and from all others together); 0: any number."""
    metrics: tuple[str, int] | None = None
    """Where to serve /metrics: (host, port)."""
    rpf_routes: tuple[RpfRoute, ...] = ()
    """For RPF they hold before the kernel's routes; of several that match the longest, of one prefix the last."""
    static: Static = NO_STATIC
    """Static multicast routes and joins; they hold before everything else."""
    proxies: tuple[Proxy, ...] = ()
    """Proxies of IGMP and MLD (RFC 4605); PIM does not run on their interfaces."""
    watches: tuple[Watch, ...] = ()
    expected_neighbors: tuple[ExpectedNeighbor, ...] = ()
    families: tuple[str, ...] = ("ipv4", "ipv6")
    """The address families that are routed at all."""

    def ssm_ranges(self, family: Family) -> tuple[Prefix, ...]:
        """The SSM ranges of one family."""
        return self.ssm_ranges4 if family is IPV4 else self.ssm_ranges6

    def querier_timeout(self) -> float:
        """Seconds after which a querier that is silent is given up, if it has our timers (RFC 9776 8.5)."""
        response = 10.0 if self.igmp_query_interval > 10 else self.igmp_query_interval / 2
        return self.igmp_querier_timeout or self.igmp_robustness * self.igmp_query_interval + response / 2

    def phyint(self, name: str, addresses: tuple[Address, ...] = ()) -> Phyint:
        """All that the file says of the interface `name` (or of one of its addresses); later lines win."""
        from pimpy.wire.family import format_address

        known = {name, *(format_address(address) for address in addresses)}
        said: dict[str, Any] = {}
        for line in self.phyints:
            if line.name in known:
                for key in VALUES:
                    if (value := getattr(line, key)) is not None:
                        said[key] = value
                said |= {key: True for key in FLAGS if getattr(line, key)}
                said |= {key: (*said.get(key, ()), *getattr(line, key)) for key in LISTS}
        for key in ("neighbor_filter", "join_filter"):
            said[key] = said.get(key) or getattr(self, key)
        return Phyint(name=name, **said)
