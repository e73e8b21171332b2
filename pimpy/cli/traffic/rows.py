"""What `pimctl --json` join, send and ping print: one object, or one for each source."""

from __future__ import annotations

from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class ArrivedRow(Value):
    """What arrived from one source, `pimctl join`: a line each at the end; none, and exit code 1, if nothing did."""

    source_address: str
    group: str
    packets: int
    bytes: int
    lost: int
    """Of numbered packets, those of `pimctl send`; 0 where there are no numbers, as the next two."""
    duplicates: int
    reordered: int
    delay: float | None
    """Seconds, on average, by the clocks of both hosts; None where there are no numbers."""
    ttl: int | None
    """Of the last packet; None if the kernel did not tell."""


@frozen
class SentRow(Value):
    """What went out, `pimctl send`."""

    group: str
    sent: int
    """Packets."""


@frozen
class AnsweredRow(Value):
    """How often a host was asked and answered, `pimctl ping`."""

    sent: int
    unicast: int
    """Answers that came back by unicast."""
    multicast: int
    """Answers that came back by multicast; none of them: exit code 1."""
