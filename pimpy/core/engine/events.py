"""What the core is told: one ordered stream, the recorder's too. Floors 1 and 2 meet here and in `effects.py`.

Every event is a frozen value of plain fields (bytes, numbers, text, tuples), so that a stream can be
written down and played again.
"""

from __future__ import annotations

from pimpy.config.model import Config, Static
from pimpy.wire.family import Address, Prefix
from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class Configured(Value):
    """The configuration to follow from now on; the first event of every stream."""

    config: Config


@frozen
class StaticEdited(Value):
    """Static routes and joins of `change` come, or go if not `add`, until the configuration is read again.

    A route that comes stands in place of one with the same key; one that goes is named by its key.
    """

    change: Static
    add: bool


@frozen
class FlushIdle(Value):
    """Entries of static routes whose streams were silent since this was last asked for may go."""


@frozen
class LinkChanged(Value):
    """An interface exists, with these properties; sent at start for each one and after every change.

    `running` is administratively up and with carrier. `mtu` is in bytes. A rename is a LinkChanged with
    another `name`; an interface that was recreated has another `ifindex`.
    """

    ifindex: int
    name: str
    running: bool
    multicast: bool
    loopback: bool
    point_to_point: bool
    mtu: int


@frozen
class LinkGone(Value):
    """The interface `ifindex` is no more."""

    ifindex: int


@frozen
class AddressesChanged(Value):
    """All addresses of this family on `ifindex`, as (address, prefix length) in the kernel's order.

    The whole list each time, empty included. IPv6 addresses that are tentative or failed detection of
    duplicates are not in it; the subnet of a point-to-point address is that of its peer.
    """

    ifindex: int
    addresses: tuple[tuple[Address, int], ...]


@frozen
class PacketReceived(Value):
    """A PIM, IGMP or MLD message from the wire: `protocol` is `pim`, `igmp` or `mld`.

    `data` begins at the message's own header (behind the IP header and its options). `ttl` is the TTL or
    hop limit it arrived with. `router_alert` tells whether the IP header carried that option.
    """

    protocol: str
    ifindex: int
    source: Address
    destination: Address
    ttl: int
    router_alert: bool
    data: bytes


@frozen
class NoCache(Value):
    """The kernel holds a packet of (source, group) that came in by `vif` and has no entry for it."""

    vif: int
    source: Address
    group: Address


@frozen
class WrongVif(Value):
    """A packet of (source, group) came in by `vif`, which is not the entry's incoming interface."""

    vif: int
    source: Address
    group: Address


@frozen
class WholePacket(Value):
    """The kernel hands up a whole packet: for the register tunnel, or (`wrong_vif`) one from a wrong interface."""

    vif: int
    source: Address
    group: Address
    wrong_vif: bool
    packet: bytes


@frozen
class RegisterUnreachable(Value):
    """ICMP says that a PIM message to `destination` did not arrive: `why` is `host` or `protocol`.

    `quoted` is what came back of it, from the PIM header on, as long as the sender of the ICMP message made it.
    """

    destination: Address
    why: str
    quoted: bytes


@frozen
class RouteResolved(Value):
    """The answer to ResolveRpf, and again whenever it changes: how unicast packets reach `address`.

    `ifindex` is None where there is no route. `next_hop` is the gateway, or None where the destination is
    on the link itself. `local` tells that the address is one of this host's own. `protocol` is the
    kernel's number (RTPROT_*), `metric` its priority.
    """

    address: Address
    ifindex: int | None
    next_hop: Address | None
    local: bool = False
    prefix: Prefix | None = None
    protocol: int = 0
    metric: int = 0


@frozen
class EffectFailed(Value):
    """The kernel refused an effect: which kind (the effect's class name), for what, and the errno's name."""

    effect: str
    error: str
    vif: int | None = None
    ifindex: int | None = None
    source: Address | None = None
    group: Address | None = None


@frozen
class CountersRead(Value):
    """The answer to ReadCounters: (source, group, packets, bytes), those from a wrong interface not among them.

    The kernel counts the bytes of all packets together; those of the others are taken out in proportion.
    """

    entries: tuple[tuple[Address, Address, int, int], ...]


@frozen
class RegistersRepeated(Value):
    """Registers came in that a QuietRegister spoke of: `count` of them by the interface `ifindex`, to `destination`."""

    ifindex: int
    destination: Address
    count: int


@frozen
class VifGone(Value):
    """The kernel removed `vif` by itself, because its device went away."""

    vif: int


@frozen
class TableFound(Value):
    """What an earlier run of this daemon left in the kernel's table; comes before the first interface.

    `vifs` are (vif, ifindex); `register_vif` tells whether the register tunnel is there. `entries` are
    (source, group, incoming vif, mask of outgoing vifs), the incoming one None where its interface is gone.
    """

    vifs: tuple[tuple[int, int], ...]
    register_vif: bool
    entries: tuple[tuple[Address, Address, int | None, int], ...]


@frozen
class TableRead(Value):
    """The answer to ReadTable: the mask of the vifs that are there, and the entries as in TableFound."""

    vifs: int
    entries: tuple[tuple[Address, Address, int | None, int], ...]


@frozen
class EntryGone(Value):
    """An entry was removed from the kernel's table, by us or by another program; None: it is not known which."""

    source: Address | None
    group: Address | None


@frozen
class BridgeChanged(Value):
    """The snooping bridge that `ifindex` is or leads to: `name` "" for none (any more).

    `itself`: the interface is the bridge. `querier` is who asks there, of this family, as the bridge heard; `asks`
    whether it would ask itself. `router_port` is a port's multicast_router setting, None where not told.
    `is_router_port`: whether the bridge takes us for a router just now; None: it does not tell.
    """

    ifindex: int
    name: str
    itself: bool = False
    querier: Address | None = None
    asks: bool = False
    router_port: int | None = None
    is_router_port: bool | None = None


@frozen
class ClearMembership(Value):
    """An operator wants the records of `group` forgotten on all interfaces, and its members asked."""

    group: Address


@frozen
class Shutdown(Value):
    """Say good-bye on every interface and take back what stands in the kernel."""


Event = (
    Configured
    | StaticEdited
    | FlushIdle
    | LinkChanged
    | LinkGone
    | AddressesChanged
    | PacketReceived
    | NoCache
    | WrongVif
    | WholePacket
    | RegisterUnreachable
    | RouteResolved
    | EffectFailed
    | CountersRead
    | RegistersRepeated
    | VifGone
    | TableFound
    | TableRead
    | EntryGone
    | BridgeChanged
    | ClearMembership
    | Shutdown
)
