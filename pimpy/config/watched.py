"""What the operator wants to be told of: streams that must flow, neighbours that must be there."""

from __future__ import annotations

from pimpy.wire.family import Address
from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class Watch(Value):
    """A stream that must flow: at least `min_packets` in each `interval`."""

    name: str
    group: Address
    source: Address | None = None
    """None: from any source, all of them together."""
    min_packets: int = 1
    """1 to 4294967295."""
    interval: int = 10
    """Seconds, 1 to 86400."""


@frozen
class ExpectedNeighbor(Value):
    """A PIM neighbour that must be there, by any of its addresses, on an interface (its name, or an address of it)."""

    address: Address
    interface: str
