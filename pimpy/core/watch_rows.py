"""The rows of `show watches`."""

from __future__ import annotations

from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class WatchRow(Value):
    """A stream that must flow, `show watches`."""

    row: str
    """Always `watch`."""
    address_family: str
    watch: str
    """Its name in the configuration."""
    source_address: str
    """`*` for any."""
    group: str
    state: str
    """`flowing`, `silent`, or `pending`: the first interval is not over."""
    since: float
    """Seconds that it has been so."""
    recent_packets: int | None
    """Packets of the last interval."""
    min_packets: int
    """So many at least are wanted in an interval."""
    interval: int
    packets: int
    """Since it is watched, by the kernel's counters, those from a wrong interface not among them."""
    bytes: int
    last_packet: float | None
    """Seconds since the counters were seen to have grown; None if never."""


@frozen
class ExpectedNeighborRow(Value):
    """A PIM neighbour that must be there, `show watches`."""

    row: str
    """Always `neighbor`."""
    address_family: str
    interface: str
    """As the configuration names it."""
    address: str
    state: str
    """`up`, `missing`, or `pending`: it may still say its first Hello."""
    since: float
    """Seconds that it has been so."""
