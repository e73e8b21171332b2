"""A proxy's interfaces: upstream we are a host, downstream a router (RFC 4605 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.gmp.host import Host
from pimpy.core.gmp.interface import Membership
from pimpy.core.interface import Interface
from pimpy.wire.family import Address
from pimpy.wire.membership import Record
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.proxy.instance import Instance


@define
class Speaker(Host):
    """The host side, which puts the records of one batch of events into as few reports as the MTU allows."""

    records: list[Record] = field(init=False, factory=list)

    def report(self, records: list[Record]) -> None:
        """See Host; sent by `flush`, at the end of the batch of events."""
        self.records += records

    def flush(self) -> None:
        """Send what has come together."""
        if self.records:
            records, self.records = self.records, []
            super().report(records)


@define
class Port:
    """An interface that takes part, by what it is to the proxies: upstream, downstream, or both."""

    interface: Interface
    address: Address
    """What our messages come from."""
    host: Speaker | None = None
    """What we say upstream; None if it is nobody's upstream."""
    membership: Membership | None = None
    """What the members downstream want; None if it is nobody's downstream."""
    users: list[Instance] = field(factory=list)
    was_querier: bool = False
    placed_as: str = ""
    """The name under which its proxies were looked up."""

    @property
    def name(self) -> str:
        """The interface's."""
        return self.interface.name

    @property
    def vif(self) -> int:
        """It has one as long as it takes part."""
        vif = self.interface.vif
        assert vif is not None, "a port has a vif"
        return vif

    def on_link(self, address: Address) -> bool:
        """Whether an address lies in one of the link's subnets, those of `altnet` included."""
        return self.interface.holds(address)

    def wants(self, group: Address, source: Address) -> bool:
        """Whether some member here wants a stream."""
        membership = self.membership
        if membership is None:
            return False
        if membership.wants(group, source):
            return True
        return membership.wants_any(group) and not membership.excludes(group, source)
