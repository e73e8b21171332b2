"""The rows of the one read model: tables, JSON, metrics and the demo only format them.

Field names are the YANG leaves of RFC 9128 and RFC 8652 in snake case. Times are seconds (numbers) from
now, `up_time` since then; addresses are text; enums lower case; what does not apply is None, never absent.
Rows are flat; what belongs to an entry and an outgoing interface is a row of its own.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class NeighborRow:
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
class InterfaceRow:
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


@frozen
class MrouteRow:
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
    """`neighbor`, `connected`, `local`, `no_route`, `no_neighbor`, `no_interface` or `pending`."""
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


@frozen
class OutgoingRow:
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
    forwarding: bool
    """Whether it stands in the kernel's entry."""
    expiration: float | None
    """Seconds until the downstream join state ends; None if there is none, or it never ends."""
    up_time: float | None
    """Of the downstream join state."""


@frozen
class GmpInterfaceRow:
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
    bridge_warning: str | None
    """What will go wrong on this bridge, in words; None if nothing is known to."""


@frozen
class GmpGroupRow:
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
class GmpSourceRow:
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
class StaticRow:
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
class GmpReporterRow:
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


GmpRow = GmpGroupRow | GmpSourceRow | GmpReporterRow
Row = NeighborRow | InterfaceRow | MrouteRow | OutgoingRow | GmpInterfaceRow | GmpRow | StaticRow
