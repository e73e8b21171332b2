"""The rows of `show proxy`; `rows` says what all rows have in common."""

from __future__ import annotations

from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class ProxyRow(Value):
    """A proxy of IGMP or MLD, `show proxy`."""

    row: str
    """Always `proxy`."""
    address_family: str
    proxy: str
    """Its name."""
    matching: str
    """`first`, `mutex` or `all`: which of several upstream interfaces are asked for a stream."""
    mutex_time: float | None
    """Seconds of silence after which `mutex` takes a stream from another one; None with the others."""
    send_first: bool
    """Whether downstream sources are sent to the first upstream interface alone."""
    check_sources: bool
    """Whether upstream only sources of the link and its altnets count."""
    quick_leave: bool
    always_forward: bool
    """Whether it forwards to links that another router queries."""
    upstream_count: int
    """Of interfaces that are there."""
    downstream_count: int
    stream_count: int
    """Streams that have an entry by it."""
    table: int = 0
    """The kernel's table, if it has a further one; else 0."""


@frozen
class ProxyInterfaceRow(Value):
    """An interface of a proxy: the second kind of row of `show proxy`."""

    row: str
    """Always `interface`."""
    address_family: str
    proxy: str
    interface: str
    role: str
    """`upstream` or `downstream`; one that is both has two rows."""
    oper_status: str
    """`up`, or `down` while it is not there."""
    address: str | None
    """What our messages come from."""
    version: int | None
    """Of the protocol: the one spoken upstream, as the querier there has it, or the one of our queries downstream."""
    querier: str | None
    """Who queries a downstream link; None upstream, and while nobody is known."""
    is_querier: bool | None
    """Whether that is this router, which forwards there only then, or with `always_forward`; None upstream."""
    groups_count: int
    """Groups that are wanted on a downstream link, or asked for on an upstream one."""
    filtered: bool
    """Whether a filter of the configuration stands there."""


@frozen
class ProxyGroupRow(Value):
    """What a proxy asks for upstream, merged from its downstream links: the third kind of row of `show proxy`."""

    row: str
    """Always `group`."""
    address_family: str
    proxy: str
    interface: str
    """The upstream interface."""
    group_address: str
    filter_mode: str
    """`include` or `exclude`."""
    sources: str
    """Those that are included or excluded, blank-separated; empty: any source is wanted."""
