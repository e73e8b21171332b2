"""The rows of the one read model: tables, JSON, metrics and the demo only format them.

Field names are the YANG leaves of RFC 9128 and RFC 8652 in snake case. Times are seconds (numbers) from
now, `up_time` since then; addresses are text; enums lower case; what does not apply is None, never absent.
Rows are flat; what belongs to an entry and an outgoing interface is a row of its own.
"""

from __future__ import annotations

from pimpy.core.proxy_rows import ProxyGroupRow as ProxyGroupRow
from pimpy.core.proxy_rows import ProxyInterfaceRow as ProxyInterfaceRow
from pimpy.core.proxy_rows import ProxyRow as ProxyRow
from pimpy.core.watch_rows import ExpectedNeighborRow as ExpectedNeighborRow
from pimpy.core.watch_rows import WatchRow as WatchRow
from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class NeighborRow(Value):
    """A PIM neighbour (RFC 7761 4.3.2), `show neighbors`."""

    address_family: str
    interface: str
    address: str
    up_time: float
    expiration: float | None
    """Seconds until it is given up; None if never (holdtime 0xffff)."""
    dr_priority: int | None
    """None if its Hello did not tell."""
    gen_id: int | None
    lan_prune_delay: bool
    """Whether its Hello carried the option of the next three."""
    propagation_delay: float | None
    override_interval: float | None
    t_bit: bool | None
    is_dr: bool
    secondary_addresses: str
    """Blank-separated, sorted; empty if none."""


@frozen
class InterfaceRow(Value):
    """An interface as PIM sees it, `show interfaces`."""

    address_family: str
    interface: str
    ifindex: int
    oper_status: str
    """`up`, `down` (no carrier or no usable address) or `off` (not enabled, or refused: see `reason`)."""
    reason: str | None
    """Why it is not up, in words; None if it is."""
    mode: str
    """`pim`, `passive`, `proxy` or `none`."""
    vif: int | None
    address: str | None
    """The address that our Hellos carry."""
    dr_priority: int
    dr_address: str | None
    is_dr: bool
    neighbor_count: int
    hello_interval: float
    hello_expiration: float | None
    """Seconds until our next Hello."""
    gen_id: int | None
    propagation_delay: float
    """The effective one, seconds."""
    override_interval: float
    """The effective one, seconds."""
    suppression: bool
    """Whether join suppression is on."""
    mtu: int
    subnet: str | None = None
    """`address` with the length of its prefix."""
    ttl_threshold: int = 1
    """IPv4 packets leave with a larger TTL only."""
    addresses: str = ""
    """All that it has, with the lengths of their prefixes, blank-separated."""


@frozen
class MrouteRow(Value):
    """A (*,G) or (S,G) entry, `show mroute`."""

    row: str
    """Always `entry`."""
    address_family: str
    group: str
    source_address: str
    """`*` for (*,G)."""
    is_rpt: bool
    """Whether the entry is of the shared tree, (*,G)."""
    mode: str
    """Who owns it: `pim_ssm`, `pim_asm` outside the SSM range, `static`, `proxy`, or `negative`: nobody wants it."""
    rp_address: str | None
    """RP(G); None in the SSM range, and while no RP is known."""
    upstream_state: str
    """`joined` or `not_joined`."""
    is_spt: bool
    incoming_interface: str | None
    rpf_neighbor: str | None
    """None if the source is on the link, or there is no route, or its next hop is no neighbour: see `rpf_state`."""
    rpf_state: str
    """`neighbor`, `connected`, `local`, `no_route`, `no_neighbor`, `no_interface`, `border` (of the group's scope)
    or `pending`."""
    join_expiration: float | None
    """Seconds until the next Join."""
    keepalive_expiration: float | None
    """Seconds until the source counts as silent (RFC 7761 4.1.3); None if no data keeps the entry."""
    register_state: str | None
    """`join`, `join_pending` or `prune` (RFC 7761 4.4.1); None where this router registers nothing."""
    registered_packets: int | None
    """Packets that left in Registers since then; None where this router registers nothing."""
    registered_bytes: int | None
    """Their bytes, without what a Register adds."""
    up_time: float
    outgoing_count: int
    packets: int | None
    """From the kernel: packets that matched the entry, those from a wrong interface too. None if it has none."""
    bytes: int | None
    wrong_if: int | None
    """Packets that came in by another interface than `incoming_interface`."""
    last_packet: float | None
    """Seconds since the kernel saw the last packet, whatever became of it; None before the first."""
    packet_rate: float | None
    """Packets per second over the last interval, those of a wrong interface left out; None before the second look."""
    bit_rate: float | None
    """Bits per second over the last interval."""
    table: int = 0
    """The kernel's table, if it is a further one, which a proxy asked for; else 0."""


@frozen
class OutgoingRow(Value):
    """An outgoing interface of an (S,G) entry: the second kind of row of `show mroute`."""

    row: str
    """Always `outgoing`."""
    address_family: str
    group: str
    source_address: str
    outgoing_interface: str
    jp_state: str
    """`no_info`, `join` or `prune_pending` (RFC 7761 4.5.2)."""
    member: bool
    """Whether a member on that link is served by us."""
    inherited: bool
    """Whether the (*,G) entry brings it in (RFC 7761 4.1.5)."""
    rpt_pruned: bool
    """Whether somebody there pruned the source off the shared tree (RFC 7761 4.5.3)."""
    assert_state: str | None
    """`winner` or `loser` (RFC 7761 4.6); None if nobody else forwards there."""
    rpt_assert_state: str | None
    """The same of the (*,G) entry, for a stream that the shared tree may bring here; None of (*,G) itself."""
    forwarding: bool
    """Whether it stands in the kernel's entry."""
    expiration: float | None
    """Seconds until the downstream join state ends; None if there is none, or it never ends."""
    up_time: float | None
    """Of the downstream join state."""
    table: int = 0
    """As in the entry."""


@frozen
class RptRow(Value):
    """An (S,G,rpt) entry: a source that is not wanted from the shared tree, here or somewhere (RFC 7761 4.1.4)."""

    row: str
    """Always `rpt`."""
    address_family: str
    group: str
    source_address: str
    rp_address: str | None
    upstream_state: str
    """`rpt_not_joined`, `pruned` or `not_pruned` (RFC 7761 4.5.7)."""
    incoming_interface: str | None
    """RPF_interface(RP(G)); `register` at the RP itself."""
    rpf_neighbor: str | None
    """RPF'(S,G,rpt): who is told of Joins and Prunes."""
    override_expiration: float | None
    """Seconds until a Join overrides somebody else's Prune; None if there is none to override."""


@frozen
class RptOutgoingRow(Value):
    """An interface on which a source is not wanted from the shared tree: one of an (S,G,rpt) entry."""

    row: str
    """Always `rpt_outgoing`."""
    address_family: str
    group: str
    source_address: str
    outgoing_interface: str
    prune_state: str
    """`no_info`, `prune_pending` or `prune` (RFC 7761 4.5.3)."""
    excluded: bool
    """Whether all members on that link exclude the source."""
    inherited: bool
    """Whether the source comes there from the shared tree all the same, for others or as long as a Prune pends."""
    prune_expiration: float | None
    """Seconds until a pending Prune is in force; None if none pends."""
    expiration: float | None
    """Seconds until the Prune ends; None if there is none, or it never ends."""
    up_time: float | None
    """Of the Prune."""


@frozen
class GmpInterfaceRow(Value):
    """An interface as IGMP or MLD sees it, `show igmp interfaces`."""

    address_family: str
    interface: str
    oper_status: str
    version: int
    querier: str | None
    is_querier: bool
    querier_expiration: float | None
    """Seconds until we take over; None if we are the querier."""
    query_expiration: float | None
    """Seconds until our next General Query; None if another one queries."""
    query_interval: float
    query_max_response_time: float
    robustness_variable: int
    groups_count: int
    sources_count: int
    max_groups: int
    """Beyond so many groups new ones are refused."""
    queries_sent: int
    queries_received: int
    reports_v1_received: int
    reports_v2_received: int
    reports_v3_received: int
    """0 in MLD, which has no version 3."""
    leaves_received: int
    """IGMPv2 leaves, MLDv1 dones."""
    refused: int
    """Messages, or records of them, that were not taken: `show counters` says why."""
    immediate_leave: str
    """`off`, `tracked` or `forced`."""
    bridge: str | None
    """The bridge that the interface is, or is a port of, if it snoops; None otherwise."""
    bridge_querier: str | None
    """The querier that the bridge knows, itself or another; None if it knows none."""
    bridge_router_port: bool | None
    """Whether the bridge takes our port for a router's now, set or heard; None if there is none or it does not tell."""
    bridge_warning: str | None
    """What will go wrong on this bridge, in words; None if nothing is known to."""


@frozen
class GmpGroupRow(Value):
    """A group record of an interface, `show igmp groups`."""

    row: str
    """Always `group`."""
    address_family: str
    interface: str
    group_address: str
    filter_mode: str
    """`include` or `exclude`."""
    version: int
    """The compatibility mode of the group: 1, 2 or 3 for IGMP, 1 or 2 for MLD."""
    up_time: float
    expire: float | None
    """Of the group timer; None in mode include, and of what is static."""
    last_reporter: str | None
    sources_count: int
    hosts_count: int | None
    """How many hosts are known to want it; None without explicit tracking."""
    static: bool
    """Whether the configuration wants any source of it."""


@frozen
class GmpSourceRow(Value):
    """A source of a group record."""

    row: str
    """Always `source`."""
    address_family: str
    interface: str
    group_address: str
    source_address: str
    forwarding: bool
    """False for a source that all members exclude."""
    up_time: float
    expire: float | None
    static: bool
    """Whether the configuration wants it."""


@frozen
class StaticRow(Value):
    """A static route or join, `show static`."""

    kind: str
    """`mroute` or `join`."""
    address_family: str
    interface: str
    """The incoming interface, as the line names it: it may end in `+`."""
    source_prefix: str | None
    """None: any source."""
    group_prefix: str
    outgoing_interfaces: str
    """As the line names them, blank-separated; empty for a join."""
    pending: bool
    """Whether it waits for its incoming interface."""
    entries: int
    """Streams that have an entry by it; for a join, the memberships that stand."""


@frozen
class GmpReporterRow(Value):
    """A host that explicit tracking knows, `show igmp groups detail`."""

    row: str
    """Always `reporter`."""
    address_family: str
    interface: str
    group_address: str
    reporter_address: str
    filter_mode: str
    """`include` or `exclude`."""
    sources: str
    """What it includes or excludes; blank-separated, sorted; empty if none."""
    expire: float


@frozen
class RpRow(Value):
    """An RP that is known, `show rp`."""

    address_family: str
    rp_address: str | None
    """None: the groups that have no RP."""
    info_source: str
    """`static`, `bsr`, `embedded`, blank-separated if several; `none` for no RP."""
    is_local: bool
    """Whether it is this router."""
    group_count: int
    """Groups with state here that have it."""
    rpf_interface: str | None
    rpf_neighbor: str | None
    rpf_state: str | None
    """As in `show mroute`; None while no group needs the way there."""


@frozen
class RpChoiceRow(Value):
    """An RP that stands for choice for a group, `show rp GROUP`."""

    row: str
    """Always `choice`."""
    address_family: str
    group: str
    zone: str
    """`global` or the range of the admin-scope zone."""
    rule: str
    """What decides: `embedded`, `override`, `bsr`, `static`; no RP: `ssm`, `bidir`, `none`."""
    group_prefix: str | None
    """The range that decides."""
    hash_mask_length: int | None
    rp_address: str | None
    priority: int | None
    hash_value: int | None
    """Of the lowest priority the highest value is selected, then the highest address (RFC 7761 4.7.2)."""
    is_selected: bool
    is_local: bool


@frozen
class RpSetRow(Value):
    """A mapping of a range of groups to an RP, `show rp-set`."""

    address_family: str
    zone: str
    """`global` or the range of the admin-scope zone."""
    group_prefix: str
    rp_address: str
    info_source: str
    """`static` or `bsr`."""
    mode: str
    """`pim_sm` or `pim_bidir`."""
    priority: int
    """0 to 255, the lowest wins."""
    override: bool
    """Whether a static one comes before what Bootstrap messages say."""
    is_local: bool
    usable: bool
    """Whether it stands for choice: a static one has a route, the range is not Bidirectional PIM's."""
    hash_mask_length: int
    holdtime: float | None
    expiration: float | None
    up_time: float | None


@frozen
class BsrRow(Value):
    """A scope zone and its Bootstrap router, `show bsr`."""

    row: str
    """Always `zone`."""
    address_family: str
    zone: str
    """`global` or the range of the admin-scope zone."""
    state: str
    """`accept_any`, `accept_preferred`, `candidate`, `pending` or `elected` (RFC 5059 3.1)."""
    bsr_address: str | None
    bsr_priority: int | None
    hash_mask_length: int | None
    bootstrap_expiration: float | None
    """Seconds left of the Bootstrap Timer."""
    up_time: float
    """In this state."""
    candidate_address: str | None
    """Ours, None if we do not stand for BSR."""
    candidate_priority: int | None


@frozen
class CandidateRpRow(Value):
    """What a candidate RP offers to us, the BSR; the second kind of row of `show bsr`."""

    row: str
    """Always `candidate_rp`."""
    address_family: str
    zone: str
    group_prefix: str
    rp_address: str
    mode: str
    """`pim_sm` or `pim_bidir`."""
    priority: int
    holdtime: float
    expiration: float | None
    up_time: float


@frozen
class OfferRow(Value):
    """What we offer to a BSR as candidate RP; the third kind of row of `show bsr`."""

    row: str
    """Always `offer`."""
    address_family: str
    zone: str
    rp_address: str
    priority: int
    holdtime: float
    group_prefixes: str
    """Blank-separated."""
    advertisement_expiration: float | None


@frozen
class RpfRow(Value):
    """How an address is reached, `show rpf ADDRESS`."""

    address_family: str
    address: str
    prefix: str | None
    """That of the route."""
    rpf_interface: str | None
    next_hop: str | None
    rpf_neighbor: str | None
    rpf_state: str
    """As in `show mroute`."""
    protocol: int
    """The kernel's number of who made the route (RTPROT_*)."""
    metric: int
    users: int
    """Entries that go by it."""


WatchRows = WatchRow | ExpectedNeighborRow
GmpRow = GmpGroupRow | GmpSourceRow | GmpReporterRow
ProxyRows = ProxyRow | ProxyInterfaceRow | ProxyGroupRow
RpRows = RpRow | RpChoiceRow | RpSetRow | BsrRow | CandidateRpRow | OfferRow | RpfRow
Row = (
    NeighborRow
    | InterfaceRow
    | MrouteRow
    | OutgoingRow
    | RptRow
    | RptOutgoingRow
    | GmpInterfaceRow
    | GmpRow
    | StaticRow
    | ProxyRows
    | RpRows
    | WatchRows
)
