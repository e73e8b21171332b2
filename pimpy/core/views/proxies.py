"""`show proxy`: each proxy, its interfaces, and what it asks for upstream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.config.proxies import ProxyInterface
from pimpy.core.gmp.host import NOTHING
from pimpy.core.proxy.instance import Instance
from pimpy.core.proxy.ports import Port
from pimpy.core.rows import ProxyGroupRow, ProxyInterfaceRow, ProxyRow
from pimpy.wire.family import format_address

if TYPE_CHECKING:
    from pimpy.core.router import Router


def proxies(router: Router) -> Iterator[ProxyRow | ProxyInterfaceRow | ProxyGroupRow]:
    """In the order of the configuration."""
    streams = router.proxies.streams.by_key.values()
    for instance in router.proxies.instances:
        yield _proxy(router, instance, sum(stream.instance is instance for stream in streams))
        yield from _interfaces(router, instance)
        for port, _ in instance.upstreams:
            yield from _groups(router, instance, port)


def _proxy(router: Router, instance: Instance, streams: int) -> ProxyRow:
    said = instance.said
    return ProxyRow(
        row="proxy",
        address_family=router.family.name,
        proxy=said.name,
        matching=said.matching,
        mutex_time=said.mutex_time / 1000 if said.matching == "mutex" else None,
        send_first=said.send_first,
        check_sources=said.check_sources,
        quick_leave=said.quick_leave,
        always_forward=said.always_forward,
        upstream_count=len(instance.upstreams),
        downstream_count=len(instance.downstreams),
        stream_count=streams,
    )


def _interfaces(router: Router, instance: Instance) -> Iterator[ProxyInterfaceRow]:
    """Those that are there, and then those that the configuration names and that are not."""
    found: set[tuple[str, str]] = set()
    for role, ports in (("upstream", instance.upstreams), ("downstream", instance.downstreams)):
        for port, said in ports:
            found.add((role, port.name))
            yield _interface(router, instance, role, said, port)
    for role, wanted in (("upstream", instance.said.upstreams), ("downstream", instance.said.downstreams)):
        for said in wanted:
            if not said.name.endswith("+") and (role, said.name) not in found:
                yield _interface(router, instance, role, said, None)


def _interface(
    router: Router, instance: Instance, role: str, said: ProxyInterface, port: Port | None
) -> ProxyInterfaceRow:
    """A port, or without one what the configuration names."""
    membership = port.membership if port is not None and role == "downstream" else None
    host = port.host if port is not None and role == "upstream" else None
    querier = None
    if membership is not None:
        found = membership.querier
        querier = found.address if membership.link.is_querier else found.other
    version = membership.link.version if membership is not None else host.version() if host is not None else None
    groups = membership.link.groups if membership is not None else host.groups if host is not None else ()
    return ProxyInterfaceRow(
        row="interface",
        address_family=router.family.name,
        proxy=instance.said.name,
        interface=said.name if port is None else port.name,
        role=role,
        oper_status="down" if port is None else "up",
        address=None if port is None else format_address(port.address),
        version=version,
        querier=None if querier is None else format_address(querier),
        is_querier=None if membership is None else membership.link.is_querier,
        groups_count=len(groups),
        filtered=said.inward is not None or said.outward is not None,
    )


def _groups(router: Router, instance: Instance, port: Port) -> Iterator[ProxyGroupRow]:
    """What the proxy wants of each group on an upstream interface: the merge of its downstream links."""
    for group in sorted(port.host.groups) if port.host is not None else ():
        state = instance.wish(port, group)
        if state != NOTHING:
            yield ProxyGroupRow(
                row="group",
                address_family=router.family.name,
                proxy=instance.said.name,
                interface=port.name,
                group_address=format_address(group),
                filter_mode="exclude" if state.excludes else "include",
                sources=" ".join(format_address(source) for source in sorted(state.sources)),
            )
