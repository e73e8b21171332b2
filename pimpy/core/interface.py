"""Interfaces as the kernel and the configuration tell of them, and the virtual interfaces (vifs) they get."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pimpy.config.model import Altnet, Config, Phyint
from pimpy.core.engine.events import LinkChanged
from pimpy.wire.family import Address, Family, Prefix, format_address, parse_address, subnet_of
from pimpy.wire.record import define, field

MAXVIFS = 32
"""Vifs of one kernel table."""
SMALLEST_MTU = 128
"""What the shortest messages need; no link that carries IP has less in earnest."""
USABLE_VIFS = MAXVIFS - 1
"""One is kept for the register tunnel (RFC 7761 4.4)."""
REGISTER_VIF = MAXVIFS - 1
REGISTER_MASK = 1 << REGISTER_VIF


@define
class Interface:
    """One interface of the host in one family: the kernel's facts, the file's wishes and what follows from both."""

    family: Family
    link: LinkChanged
    phyint: Phyint
    addresses: tuple[tuple[Address, int], ...] = field(init=False, default=())
    vif: int | None = None
    refusal: str | None = None
    """Why the kernel or the table would not have it, in words."""
    altnets: tuple[Prefix, ...] = field(init=False, default=())
    """The further subnets of `altnet`."""
    proxy: str | None = None
    """The proxy that it belongs to: PIM does not run on it (conformance X6)."""
    mask: int = field(init=False, default=0)
    """1 << vif, or 0 without a vif."""
    routable: Address | None = field(init=False, default=None)
    """The first of its addresses that routers elsewhere can answer to."""
    own: frozenset[Address] = field(init=False, default=frozenset())
    """The same without their prefixes."""
    _primary: Address | None = field(init=False, default=None)
    _subnets: tuple[Prefix, ...] = field(init=False, default=())

    @property
    def name(self) -> str:
        """The name it has now."""
        return self.link.name

    @property
    def ifindex(self) -> int:
        """The kernel's index, its identity."""
        return self.link.ifindex

    def take_addresses(self, addresses: tuple[tuple[Address, int], ...]) -> None:
        """These are its addresses now. The primary one stays as long as it is among them: IPv6 puts new ones first."""
        usable = [a for a, _ in addresses if self.family.size == 4 or self.family.is_link_local(a)]
        self.addresses = addresses
        self.own = frozenset(address for address, _ in addresses)
        self.routable = next((a for a, _ in addresses if not self.family.is_link_local(a)), None)
        self._subnets = tuple(Prefix(own, length) for own, length in addresses)
        if self._primary not in usable:
            self._primary = usable[0] if usable else None

    def holds(self, address: Address) -> bool:
        """Whether `address` lies in a subnet of the link, one of `altnet` included."""
        for subnet in self._subnets:
            if subnet.covers(address):
                return True
        return any(subnet.covers(address) for subnet in self.altnets)

    def find_altnets(self, others: Iterable[Interface]) -> None:
        """The further subnets that the file says are on the link, as the addresses of all interfaces are now."""
        named = {other.name: other for other in others}
        found = [each if isinstance(each, Prefix) else self._altnet(each, named) for each in self.phyint.altnets]
        self.altnets = tuple(each for each in found if each is not None)

    def _altnet(self, said: Altnet, named: Mapping[str, Interface]) -> Prefix | None:
        """The subnet that is meant; None in another family, and as long as the addresses that it follows from lack."""
        own, other = self._subnet(), named.get(said.of)
        if other is not None:
            where = other._subnet()
        else:
            try:
                address = parse_address(said.of)
            except ValueError:
                return None  # an interface that is not there
            where = (address, 0) if len(address) == self.family.size else None
        length = said.length if said.length is not None or own is None else own[1]
        if where is None or length is None or length > self.family.bits:
            return None
        return subnet_of(where[0], length)

    def _subnet(self) -> tuple[Address, int] | None:
        """The first address that is not of the link alone, and the length of its prefix."""
        return next((each for each in self.addresses if not self.family.is_link_local(each[0])), None)

    def address(self) -> Address | None:
        """The address that our messages carry, in IPv6 a link-local one (RFC 7761 4.3.1)."""
        return self._primary

    def texts(self) -> tuple[str, ...]:
        """All addresses as text."""
        return tuple(format_address(address) for address, _ in self.addresses)

    def secondary(self) -> tuple[Address, ...]:
        """All others, sorted: the Address List of our Hellos (RFC 7761 4.3.4)."""
        primary = self.address()
        return tuple(sorted({address for address, _ in self.addresses} - {primary}))

    def why_never(self, config: Config) -> str | None:
        """Why this interface takes no part whatever its addresses, in words; None if it may."""
        if self.link.loopback:
            return "a loopback interface"
        if self.family.name not in config.families:
            return f"{self.family.name} is turned off by the configuration"
        enabled = config.phyints_enabled if self.phyint.enabled is None else self.phyint.enabled
        if not enabled:
            return "disabled by the configuration"
        if not self.link.multicast:
            return "the interface has no multicast flag (ip link set dev IF multicast on)"
        if self.proxy is not None:
            return f"it belongs to the proxy {self.proxy}"
        return self.refusal

    def why_not(self, config: Config) -> str | None:
        """Why this interface takes no part now, in words; None if it may, its link being up."""
        if (why := self.why_never(config)) is not None:
            return why
        if self.address() is None:
            return "no address" if self.family.size == 4 else "no usable link-local address"
        return None

    @property
    def messages(self) -> int:
        """The longest PIM message, in bytes, that fits into a packet here."""
        return max(self.link.mtu, SMALLEST_MTU) - self.family.ip_header


@define
class VifTable:
    """Which interface holds which vif.

    A freed index rests until `release` is called, which happens when no kernel entry names it any more: else
    old entries would forward out of the new interface. As long, its last holder gets no other one: the kernel
    must not have two vifs of one device.
    """

    owners: list[Interface | None] = field(factory=lambda: [None] * USABLE_VIFS)
    resting: dict[int, Interface | None] = field(factory=dict)
    """The freed indices, and who held them."""
    found: dict[int, int] = field(factory=dict)
    """ifindex -> vif of what an earlier run left and no interface has claimed yet."""

    def take(self, interface: Interface) -> int | None:
        """A free vif for `interface`, None if there is none now."""
        if interface in self.resting.values():
            return None
        reserved = set(self.found.values())
        for vif, owner in enumerate(self.owners):
            if owner is None and vif not in self.resting and vif not in reserved:
                self.owners[vif] = interface
                interface.vif, interface.mask = vif, 1 << vif
                return vif
        return None

    def find(self, vifs: dict[int, int]) -> None:
        """An earlier run left these, ifindex -> vif; of every other one entries may be left that name it."""
        self.found = vifs
        self.resting = {vif: None for vif in range(USABLE_VIFS) if vif not in vifs.values()}

    def claim(self, interface: Interface) -> bool:
        """Whether `interface` had a vif already, which it goes on with."""
        vif = self.found.pop(interface.ifindex, None)
        if vif is None:
            return False
        self.owners[vif] = interface
        interface.vif, interface.mask = vif, 1 << vif
        return True

    def disown(self) -> list[int]:
        """Let what no interface has claimed rest; which vifs those are."""
        left = list(self.found.values())
        self.found = {}
        self.resting.update(dict.fromkeys(left))
        return left

    def owner(self, vif: int) -> Interface | None:
        """Who holds `vif`, any number the kernel may say; None if nobody does (any more)."""
        return self.owners[vif] if 0 <= vif < len(self.owners) else None

    def free(self, interface: Interface) -> int | None:
        """Take the vif of `interface` away and let it rest; which one it was."""
        vif = interface.vif
        if vif is not None:
            self.owners[vif] = None
            self.resting[vif] = interface
            interface.vif, interface.mask = None, 0
        return vif

    def release(self) -> list[int]:
        """The kernel's table names no resting vif any more; which were they."""
        released = list(self.resting)
        self.resting.clear()
        return released

    def names(self, mask: int) -> list[str]:
        """The names of the interfaces in a bit mask, by vif."""
        return [owner.name for vif, owner in enumerate(self.owners) if owner is not None and mask >> vif & 1]
