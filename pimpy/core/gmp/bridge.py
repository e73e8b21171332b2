"""What is known of the bridge below an interface: whether its snooping will let hosts and router hear each other."""

from __future__ import annotations

from pimpy.wire.family import Address
from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class Bridge(Value):
    """A bridge that snoops. It forwards a group only to ports that it heard a report from while somebody asks."""

    name: str
    itself: bool
    """Whether our interface is the bridge; otherwise it leads to one as its port."""
    querier: Address | None
    """Who asks on it, as the bridge knows; None for nobody."""
    asks: bool
    """Whether the bridge is itself set to ask when nobody else does (mcast_querier)."""
    router_port: int | None
    """Its multicast_router, of the port or of the bridge itself: 0 never, 1 as heard, 2 always; None if not told."""
    is_router_port: bool | None
    """Whether it takes our port for a router's just now, set or heard; None if it does not tell."""

    def warning(self) -> str | None:
        """What will go wrong, in words; None if nothing is known to."""
        if self.router_port == 0:
            return (
                f"bridge {self.name} never takes this {'host' if self.itself else 'port'} for a router's "
                "(multicast_router 0): members and sources will not be heard; set multicast_router 1"
            )
        if self.is_router_port is False and (self.querier is not None or self.asks):
            return (
                f"bridge {self.name} does not take our port for a router's: it has heard no query, PIM Hello or router "
                "advertisement from us lately, so reports and unknown streams do not reach us; switch mrdisc on, or "
                "set multicast_router 2 on the port"
            )
        if self.querier is None and not self.asks:
            return (
                f"bridge {self.name} snoops and has heard no querier: what works now will stop after some minutes; "
                "let our queries reach it, or set mcast_querier 1 on the bridge"
            )
        return None
