"""The address family as a value: everything that differs between IPv4 and IPv6 is a field here, never an `if`.

Addresses inside pimpy are packed bytes in network order (4 or 16): hashing is cheap, and the byte order is
the numeric order that DR election and Assert compare. Text appears only in configuration, views and logs.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from pimpy.wire.record import field, frozen
from pimpy.wire.value import Value

Address = bytes
"""A packed IPv4 (4 bytes) or IPv6 (16 bytes) address."""


@frozen
class Prefix(Value):
    """An address range. `network` has no bit set beyond `length` (bits, 0 to 32 or 128)."""

    network: Address
    length: int

    def covers(self, address: Address) -> bool:
        """Whether `address` lies in this range; an address of another family never does."""
        network = self.network
        whole, bits = self.length >> 3, self.length & 7
        if address[:whole] != network[:whole] or len(address) != len(network):
            return False
        return not bits or (address[whole] ^ network[whole]) >> (8 - bits) == 0

    def __str__(self) -> str:
        return f"{format_address(self.network)}/{self.length}"


@frozen
class Family:
    """One address family. There are two values, `IPV4` and `IPV6`; they compare by identity."""

    name: str
    """`ipv4` or `ipv6`: the label `af` of metrics and the value of `address_family` in JSON."""
    number: int
    """The kernel's address family number, AF_INET or AF_INET6 on Linux."""
    pim_number: int
    """IANA's address family number, as in encoded addresses (RFC 7761 4.9.1)."""
    size: int
    """Bytes of an address."""
    all_pim_routers: Address
    """ALL-PIM-ROUTERS (RFC 7761 4.3.1): 224.0.0.13 or ff02::d."""
    all_hosts: Address
    """Where General Queries go: 224.0.0.1 or ff02::1."""
    all_routers: Address
    """Where IGMPv2 leaves and MLDv1 dones go: 224.0.0.2 or ff02::2."""
    all_reports: Address
    """Where IGMPv3 and MLDv2 reports go: 224.0.0.22 or ff02::16."""
    gmp: str
    """The name of the membership protocol: `igmp` or `mld`."""
    ip_header: int
    """Bytes of an IP header without options; a PIM message has MTU less this (RFC 7761 4.9.5.2)."""
    multicast: Prefix
    ssm_ranges: tuple[Prefix, ...]
    """The SSM range that holds if the configuration names none (RFC 4607 1; conformance S1)."""
    any: Address = field(init=False)
    """The unspecified address, all zero."""
    _first_mask: int = field(init=False, repr=False)
    """The bits of an address's first byte that tell whether it is multicast: all that `multicast` says."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "any", bytes(self.size))
        object.__setattr__(self, "_first_mask", 0xFF00 >> self.multicast.length & 0xFF)

    @property
    def bits(self) -> int:
        """Bits of an address: 32 or 128."""
        return 8 * self.size

    def is_multicast(self, address: Address) -> bool:
        """Whether `address` is a multicast address of this family."""
        return len(address) == self.size and address[0] & self._first_mask == self.multicast.network[0]

    def is_unicast(self, address: Address) -> bool:
        """Whether `address` can name one host: of this family, not multicast, not unspecified, not broadcast.

        Loopback addresses (127/8, ::1), and for IPv4 0/8 and 240/4, cannot name a host on a link either.
        """
        if len(address) != self.size or self.is_multicast(address) or address == self.any:
            return False
        if self.size == 4:
            return address[0] not in (0, 127) and address[0] < 240
        return address != _LOOPBACK6

    def is_link_local(self, address: Address) -> bool:
        """Whether a unicast `address` is link-local: fe80::/10, 169.254/16."""
        prefix = _LINK_LOCAL.get(len(address))
        return prefix is not None and prefix.covers(address)

    def is_routable_group(self, group: Address) -> bool:
        """Whether packets to `group` may cross a router (conformance F20, M9).

        False for 224.0.0.0/24 and for IPv6 scopes 0, 1 and 2, whatever the flags; false if not multicast.
        """
        if not self.is_multicast(group):
            return False
        if self.size == 4:
            return group[:3] != _LINK_LOCAL_GROUPS4
        return group[1] & 0x0F > 2

    def host(self, address: Address) -> Prefix:
        """The range that holds `address` alone."""
        return Prefix(address, self.bits)


def parse_address(text: str) -> Address:
    """Packed bytes of an address in text; ValueError if it is none (zone ids are refused)."""
    if "%" in text:
        raise ValueError(f"{text!r}: an address with a zone is not taken")
    return ip_address(text).packed


def parse_prefix(text: str) -> Prefix:
    """A range as `address/length`; ValueError if it is none, or has bits set beyond its length."""
    address, slash, length = text.partition("/")
    network = parse_address(address)
    if not slash or not length.isascii() or not length.isdigit():
        raise ValueError(f"{text!r} is not of the form ADDRESS/LENGTH")
    bits = int(length)
    if bits > 8 * len(network):
        raise ValueError(f"{text!r}: the length is at most {8 * len(network)}")
    if int.from_bytes(network, "big") & ((1 << (8 * len(network) - bits)) - 1):
        raise ValueError(f"{text!r} has host bits set")
    return Prefix(network, bits)


def subnet_of(address: Address, length: int) -> Prefix:
    """The range of that length that an address lies in."""
    spare = 8 * len(address) - length
    network = int.from_bytes(address, "big") >> spare << spare
    return Prefix(network.to_bytes(len(address), "big"), length)


@lru_cache(1024)
def format_address(address: Address) -> str:
    """Text of a packed address (IPv6 as RFC 5952 has it); ValueError if it is neither 4 nor 16 bytes.

    The last ones are remembered: what is told of an entry and its interfaces names its addresses again and again.
    """
    if len(address) == 4:
        return f"{address[0]}.{address[1]}.{address[2]}.{address[3]}"
    if len(address) == 16:
        return str(IPv6Address(address))
    raise ValueError(f"an address has 4 or 16 bytes, not {len(address)}")


def _packed(text: str) -> Address:
    return ip_address(text).packed


_LINK_LOCAL_GROUPS4 = bytes((224, 0, 0))
_LOOPBACK6 = IPv6Address(1).packed
_LINK_LOCAL = {4: Prefix(IPv4Address("169.254.0.0").packed, 16), 16: Prefix(IPv6Address("fe80::").packed, 10)}
"""By the bytes of an address."""

IPV4 = Family(
    name="ipv4",
    number=2,
    pim_number=1,
    size=4,
    all_pim_routers=_packed("224.0.0.13"),
    all_hosts=_packed("224.0.0.1"),
    all_routers=_packed("224.0.0.2"),
    all_reports=_packed("224.0.0.22"),
    gmp="igmp",
    ip_header=20,
    multicast=parse_prefix("224.0.0.0/4"),
    ssm_ranges=(parse_prefix("232.0.0.0/8"),),
)

IPV6 = Family(
    name="ipv6",
    number=10,
    pim_number=2,
    size=16,
    all_pim_routers=_packed("ff02::d"),
    all_hosts=_packed("ff02::1"),
    all_routers=_packed("ff02::2"),
    all_reports=_packed("ff02::16"),
    gmp="mld",
    ip_header=40,
    multicast=parse_prefix("ff00::/8"),
    ssm_ranges=tuple(parse_prefix(f"ff3{scope:x}::/32") for scope in range(16)),
)

FAMILIES = (IPV4, IPV6)


def family_of(address: Address) -> Family:
    """The family of a packed address; ValueError if it is neither 4 nor 16 bytes."""
    if len(address) == 4:
        return IPV4
    if len(address) == 16:
        return IPV6
    raise ValueError(f"an address has 4 or 16 bytes, not {len(address)}")
