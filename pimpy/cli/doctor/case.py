"""What the checks of the doctor look at, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import TYPE_CHECKING, Any

from pimpy.wire.record import fields, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.kernel.host import HostFacts, LinkFacts
    from pimpy.kernel.sample import Heard

Cells = Mapping[str, Any]


@frozen
class Finding(Value):
    """One thing that is wrong, or about to be."""

    check: str
    """A stable word."""
    severity: str
    """`error`: streams are lost by it; `warning`: they may be."""
    subject: str
    """The interface, stream or setting."""
    text: str
    evidence: str
    """What was seen."""
    remedy: str
    """A command, or what to change where."""

    def as_dict(self) -> dict[str, str]:
        """The JSON object."""
        return {field.name: getattr(self, field.name) for field in fields(Finding)}


@frozen
class Case(Value):
    """One look at one host."""

    rows: Mapping[str, list[dict[str, Any]]] | None
    """The daemon's tables by name; None if it does not answer."""
    missing: str
    """Why it does not."""
    host: HostFacts
    rules: list[dict[str, Any]] | None
    """nft's rules; None if they cannot be read."""
    heard: tuple[Heard, ...]
    """What came in while we looked."""
    blind: str
    """Why nothing could be heard."""
    rp_filter_drops: int | None
    """How many packets rp_filter dropped meanwhile."""
    seconds: float
    """How long that was."""

    def table(self, name: str) -> list[dict[str, Any]]:
        """The daemon's rows; none if it does not answer."""
        return (self.rows or {}).get(name, [])

    def routing(self, family: str | None = None) -> list[dict[str, Any]]:
        """The interfaces that take part."""
        rows = self.table("interfaces")
        return [row for row in rows if row["oper_status"] == "up" and family in (None, row["address_family"])]

    def links(self) -> Iterator[LinkFacts]:
        """The links of the interfaces that take part, each once; without a daemon all but the loopback."""
        names = {row["interface"] for row in self.routing()}
        for link in self.host.links:
            if link.name in names or (self.rows is None and not link.loopback):
                yield link

    def entries(self) -> list[dict[str, Any]]:
        """The entries of `show mroute`."""
        return [row for row in self.table("mroute") if row["row"] == "entry"]

    def outgoing(self, entry: Cells) -> list[dict[str, Any]]:
        """The outgoing interfaces of an entry that forward."""
        key = entry["group"], entry["source_address"]
        return [
            row
            for row in self.table("mroute")
            if row["row"] == "outgoing" and (row["group"], row["source_address"]) == key and row["forwarding"]
        ]

    def counted(self, **wanted: str) -> int:
        """The sum of the counters whose labels are these."""
        rows = self.table("counters")
        return sum(row["count"] for row in rows if all(row[key] == value for key, value in wanted.items()))


def subnets(link: LinkFacts) -> list[IPv4Interface | IPv6Interface]:
    """The addresses of a link with their subnets, link-local ones of IPv6 left out."""
    found = [ip_interface(text) for text in link.addresses]
    return [one for one in found if not (one.version == 6 and one.ip.is_link_local)]


def is_link_scope(group: str) -> bool:
    """Whether no router may forward it."""
    address = ip_address(group)
    if address.version == 4:
        return group.startswith("224.0.0.")
    return int(address) >> 112 & 0xF <= 2
