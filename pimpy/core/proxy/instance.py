"""One proxy: which upstream is asked for what, and where the streams go (RFC 4605 4.1, 4.2).

With several upstreams `first` asks the first one whose filter lets a stream through; `all` and `mutex` ask all such,
and take the packets of whichever brings them first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.config.proxies import Proxy, ProxyInterface
from pimpy.core.gmp.host import NOTHING, Reception
from pimpy.core.proxy.filters import ALL, NONE, of_group, permits
from pimpy.core.proxy.merge import Merge, reception
from pimpy.wire.family import Address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.core.proxy.ports import Port


@define
class Instance:
    """A proxy with those of its interfaces that are there."""

    said: Proxy
    upstreams: list[tuple[Port, ProxyInterface]] = field(factory=list)
    """In the order of preference."""
    downstreams: list[tuple[Port, ProxyInterface]] = field(factory=list)

    # What is wanted upstream.

    def wish(self, port: Port, group: Address) -> Reception:
        """What this proxy wants of a group on one of its upstream interfaces."""
        merge = Merge()
        for down, said in self.downstreams:
            if down is port or down.membership is None:
                continue
            record = down.membership.link.groups.get(group)
            if record is not None:
                state = self._let_through(port, said, down, group, reception(record))
                if state != NOTHING:
                    merge.add(state)
        return merge.result()

    def _let_through(self, port: Port, said: ProxyInterface, down: Port, group: Address, state: Reception) -> Reception:
        """Of what a downstream link wants, that which is to be asked for on an upstream one."""
        delivered = of_group(said.outward, group, port.name)
        if delivered == NONE:
            return NOTHING
        if not state.excludes:
            sources = frozenset(
                source
                for source in state.sources
                if permits(said.outward, group, source, port.name) and self._asks(port, group, source, down)
            )
            return Reception(False, sources)
        return state if self._asks_any(port, group, down) else NOTHING

    def _asks(self, port: Port, group: Address, source: Address, down: Port) -> bool:
        """Whether this upstream is one to be asked for a source of a group."""
        for other, said in self.upstreams:
            if permits(said.inward, group, source, down.name):
                if other is port:
                    return True
                if self.said.matching == "first":
                    return False
        return False

    def _asks_any(self, port: Port, group: Address, down: Port) -> bool:
        """Whether this upstream is one to be asked for any source: it may bring some that those before it may not."""
        for other, said in self.upstreams:
            share = of_group(said.inward, group, down.name)
            if other is port:
                return share != NONE
            if share == ALL and self.said.matching == "first":
                return False
        return False

    # Where streams go.

    def forwards(self, source: Address, group: Address, port: Port) -> int | None:
        """The mask of vifs to which a stream goes that came in by `port`; None if it may not come in there."""
        upstream = next((said for other, said in self.upstreams if other is port), None)
        downstream = next((said for other, said in self.downstreams if other is port), None)
        mask = None
        if upstream is not None and self._may_come_down(source, group, port, upstream):
            mask = self._down(source, group, port)
        if downstream is not None and self._may_come_up(source, group, port, downstream):
            mask = (mask or 0) | self._down(source, group, port) | self._up(source, group, port)
        return mask

    def _may_come_down(self, source: Address, group: Address, port: Port, said: ProxyInterface) -> bool:
        """Whether an upstream link is where a stream is taken from."""
        if self.said.check_sources and not self._is_behind(source, port, said):
            return False
        if not any(permits(said.inward, group, source, down.name) for down, _ in self.downstreams):
            return False
        if self.said.matching != "first":
            return True
        return any(self._asks(port, group, source, down) for down, _ in self.downstreams)

    def _is_behind(self, source: Address, port: Port, said: ProxyInterface) -> bool:
        """Whether a source lies on an upstream link, or in one of its altnets."""
        return port.on_link(source) or any(altnet.covers(source) for altnet in said.altnets)

    def _may_come_up(self, source: Address, group: Address, port: Port, said: ProxyInterface) -> bool:
        """Whether a source behind a downstream link is taken: by the querier there alone."""
        return self._is_ours(port) and permits(said.inward, group, source, port.name)

    def _is_ours(self, port: Port) -> bool:
        """Whether we forward for a downstream link: we are the querier, or told not to mind (RFC 4605 3)."""
        membership = port.membership
        return membership is not None and (self.said.always_forward or membership.link.is_querier)

    def _down(self, source: Address, group: Address, port: Port) -> int:
        """The downstream links that want a stream, but the one it came from."""
        upstream = next((said for other, said in self.upstreams if other is port), None)
        mask = 0
        for down, said in self.downstreams:
            if down is port or not self._is_ours(down) or not down.wants(group, source):
                continue
            if not permits(said.outward, group, source, port.name):
                continue
            if upstream is None or permits(upstream.inward, group, source, down.name):
                mask |= 1 << down.vif
        return mask

    def _up(self, source: Address, group: Address, port: Port) -> int:
        """The upstream links to which a downstream source is sent."""
        mask = 0
        for up, said in self.upstreams:
            if up is not port and permits(said.outward, group, source, port.name):
                mask |= 1 << up.vif
                if self.said.send_first:
                    break
        return mask

    def ports(self) -> Iterator[Port]:
        """All of them, one that is both twice."""
        for port, _ in (*self.upstreams, *self.downstreams):
            yield port
