"""What the core wants done, in order. Applying a list of effects twice must change nothing more than once did.

The adapter (`kernel/adapter.py`) applies them in batches: the last SetMfc of an (S,G) wins, packets leave
together, and what the kernel refuses comes back as an `EffectFailed` event.
"""

from __future__ import annotations

from pimpy.wire.family import Address
from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class AddVif(Value):
    """Make `ifindex` the virtual interface `vif` (0 to 31) of the kernel's table, with its TTL threshold (1 to 255)."""

    vif: int
    ifindex: int
    threshold: int


@frozen
class AddRegisterVif(Value):
    """Make the register tunnel the virtual interface `vif` of the kernel's table (RFC 7761 4.4)."""

    vif: int


@frozen
class DelVif(Value):
    """Give the virtual interface `vif` back."""

    vif: int


@frozen
class JoinGroup(Value):
    """Receive link-scope messages sent to `group` on `ifindex`."""

    ifindex: int
    group: Address


@frozen
class LeaveGroup(Value):
    """Take a JoinGroup back."""

    ifindex: int
    group: Address


@frozen
class JoinSource(Value):
    """Be a member of `group` on `ifindex` as a host, of `source` alone unless that is the unspecified address."""

    ifindex: int
    group: Address
    source: Address


@frozen
class LeaveSource(Value):
    """Take a JoinSource back."""

    ifindex: int
    group: Address
    source: Address


@frozen
class Installed(Value):
    """A stream got an entry by a static route of several streams; for a script that wants to hear of it."""

    source: Address
    group: Address


@frozen
class SendPacket(Value):
    """Send a PIM, IGMP or MLD message: `protocol` is `pim`, `igmp` or `mld`.

    `data` is complete, PIM's and IGMP's checksum included (the kernel fills in that of ICMPv6). Multicast
    leaves with TTL 1; IGMP and MLD carry the Router Alert option, IGMP with TOS 0xc0. `ttl` is that of a unicast
    message, 0 for the system's default.
    """

    protocol: str
    ifindex: int
    source: Address
    destination: Address
    data: bytes
    ttl: int = 0


@frozen
class SetMfc(Value):
    """Forward packets of (source, group) that come in by vif `iif` to the vifs in the bit mask `oifs` (0: to none).

    `anew`: in place of an entry that stands a new one is made, which tells of the next packet from a wrong interface at
    once, however short a time ago the old one told of one.

    `behind_registers`: of a packet that a SetRegister sends to its RP, copies leave by the other vifs only after the
    Register. (The kernel by itself sends those first.) For a short time: the kernel does not send them then.

    `before`: until just now packets were to come in by that vif. Those that the extension has kept go out as well.
    """

    source: Address
    group: Address
    iif: int
    oifs: int
    anew: bool = False
    behind_registers: bool = False
    before: int | None = None


@frozen
class DelMfc(Value):
    """Remove the kernel's entry for (source, group)."""

    source: Address
    group: Address


@frozen
class ForwardPacket(Value):
    """Send a whole IP packet, as it arrived, out of the vifs in the bit mask `oifs`, its TTL less by one."""

    oifs: int
    packet: bytes


@frozen
class SetRegister(Value):
    """Send what the kernel hands up of (source, group) for the register tunnel to `rp`, from `address`, in Registers.

    To `others` too, which share an address with us (RFC 4610 3): with `rp` 16 at most.

    From then on no WholePacket tells of it. While `stopped` by a Register-Stop it goes nowhere (RFC 7761 4.4.1).
    """

    source: Address
    group: Address
    address: Address
    rp: Address
    stopped: bool
    others: tuple[Address, ...] = ()


@frozen
class DelRegister(Value):
    """Take a SetRegister back."""

    source: Address
    group: Address


@frozen
class QuietRegister(Value):
    """Registers with data of (source, group) that `dr` sends to `rp` say nothing new for `seconds` from now on.

    Those whose flags are clear and that are sound as far as their lengths go are only counted (RegistersRepeated).
    """

    source: Address
    group: Address
    dr: Address
    rp: Address
    seconds: float


@frozen
class HearRegister(Value):
    """Take a QuietRegister back."""

    source: Address
    group: Address


@frozen
class ReadCounters(Value):
    """Tell the kernel's packet counters of all entries (CountersRead)."""


@frozen
class ReadTable(Value):
    """Tell what stands in the kernel's table (TableRead), after all that was to be changed in it."""


@frozen
class ResolveRpf(Value):
    """Tell, now and after each change, how `address` is reached (RouteResolved)."""

    address: Address


@frozen
class ForgetRpf(Value):
    """No longer interested in the route to `address`."""

    address: Address


@frozen
class Notice(Value):
    """Something an operator may want to know.

    `level` is `info`, `notice`, `warning` or `error`; `reason` is a stable word; `text` is for people.
    """

    level: str
    reason: str
    text: str


Effect = (
    AddVif
    | AddRegisterVif
    | DelVif
    | JoinGroup
    | LeaveGroup
    | JoinSource
    | LeaveSource
    | Installed
    | SendPacket
    | SetMfc
    | DelMfc
    | ForwardPacket
    | SetRegister
    | DelRegister
    | QuietRegister
    | HearRegister
    | ReadCounters
    | ReadTable
    | ResolveRpf
    | ForgetRpf
    | Notice
)
