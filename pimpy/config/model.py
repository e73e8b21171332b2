"""What a configuration says, whatever grammar it was written in: frozen values that compare by content."""

from __future__ import annotations

from attrs import frozen

from pimpy.config.routes import Static as Static
from pimpy.config.routes import StaticJoin as StaticJoin
from pimpy.config.routes import StaticRoute as StaticRoute
from pimpy.wire.family import IPV4, IPV6, Address, Family, Prefix

NO_STATIC = Static()


@frozen
class Phyint:
    """What the file says of one interface; None where it says nothing.

    `name` is an interface's name or, in text, one of its addresses. `enabled` None leaves it to
    `Config.phyints_enabled`. `passive`: no PIM message is sent or taken, membership is served (Y6).
    `dr_priority` 0 to 4294967295; `ttl_threshold` 1 to 255; `hello_interval` in seconds, 1 to 18724.
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


@frozen
class StaticRp:
    """An RP that the file names for a range of groups; of several for one range the lowest priority wins, then the
    hash of RFC 7761 4.7.2."""

    rp: Address
    prefix: Prefix
    priority: int = 1


_SAID = (
    "enabled",
    "igmp_version",
    "mld_version",
    "dr_priority",
    "ttl_threshold",
    "hello_interval",
    "distance",
    "metric",
)
"""What is None in a line that says nothing of it."""


@frozen
class Config:
    """One whole configuration. Times are in seconds."""

    phyints: tuple[Phyint, ...] = ()
    phyints_enabled: bool = True
    """False after `no phyint` or `disable-vifs`: only interfaces that a phyint line enables take part."""
    hello_interval: int = 30
    triggered_hello_delay: float = 5.0
    join_prune_interval: int = 60
    igmp_query_interval: int = 125
    igmp_robustness: int = 2
    ssm_ranges4: tuple[Prefix, ...] = IPV4.ssm_ranges
    ssm_ranges6: tuple[Prefix, ...] = IPV6.ssm_ranges
    rp_addresses: tuple[StaticRp, ...] = ()
    spt_threshold: str = "immediate"
    """When the last hop and the RP take a source's own tree (RFC 7761 4.2.1): `immediate`, `infinity`, or from so many
    `packets`, or such a `rate`, in an interval on."""
    spt_threshold_number: int = 0
    """Packets, or kbit/s; 1 to 4294967295 with `packets` and `rate`, else 0."""
    spt_threshold_interval: int = 100
    """Seconds, 5 to 86400."""
    route_distance: int | None = None
    """`Phyint.distance` of all interfaces; without either the kernel's routes are asked."""
    route_metric: int | None = None
    metrics: tuple[str, int] | None = None
    """Where to serve /metrics: (host, port)."""
    static: Static = NO_STATIC
    """Static multicast routes and joins; they hold before everything else."""

    def ssm_ranges(self, family: Family) -> tuple[Prefix, ...]:
        """The SSM ranges of one family."""
        return self.ssm_ranges4 if family is IPV4 else self.ssm_ranges6

    def phyint(self, name: str, addresses: tuple[Address, ...] = ()) -> Phyint:
        """All that the file says of the interface `name` (or of one of its addresses); later lines win."""
        from pimpy.wire.family import format_address

        known = {name, *(format_address(address) for address in addresses)}
        said: dict[str, object] = {}
        for line in self.phyints:
            if line.name in known:
                for key in _SAID:
                    if (value := getattr(line, key)) is not None:
                        said[key] = value
                if line.passive:
                    said["passive"] = True
        return Phyint(name=name, **said)  # type: ignore[arg-type]
