"""Proxies as a configuration says them, whatever grammar it was written in (RFC 4605, and mcproxy's rules)."""

from __future__ import annotations

from pimpy.config.routes import matches
from pimpy.wire.family import Address, Prefix, format_address
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

MATCHINGS = ("first", "mutex", "all")


@frozen
class AddressRange(Value):
    """All addresses from `first` to `last`, both included; of one family."""

    first: Address
    last: Address

    @classmethod
    def of(cls, prefix: Prefix) -> AddressRange:
        """The addresses of a prefix."""
        size = len(prefix.network)
        rest = (1 << 8 * size - prefix.length) - 1
        return cls(prefix.network, (int.from_bytes(prefix.network, "big") | rest).to_bytes(size, "big"))

    def holds(self, address: Address) -> bool:
        """Whether `address` is one of them; one of another family never is."""
        return len(address) == len(self.first) and self.first <= address <= self.last

    @property
    def everything(self) -> bool:
        """Whether it is all addresses of its family."""
        return not any(self.first) and all(byte == 255 for byte in self.last)

    def __str__(self) -> str:
        first = format_address(self.first)
        return first if self.first == self.last else f"{first}-{format_address(self.last)}"


@frozen
class FilterRule(Value):
    """Permit or deny what is of `group` and `source` (None: of any), for `interface` on the other side."""

    permit: bool
    interface: str | None = None
    group: AddressRange | None = None
    source: AddressRange | None = None


@frozen
class Filter(Value):
    """Of all rules that match the last decides; `otherwise` if none does."""

    rules: tuple[FilterRule, ...] = ()
    otherwise: bool = True


@frozen
class ProxyInterface(Value):
    """An interface of a proxy, by name or, for downstream interfaces, by the beginning of a name with a `+`.

    Upstream, `inward` says what may be asked for and received there, `outward` which downstream sources may be sent
    there. Downstream, `inward` says which sources are taken, `outward` what may be delivered. None: everything.
    `altnets` are ranges of sources beyond an upstream link, beside its own subnets.
    """

    name: str
    inward: Filter | None = None
    outward: Filter | None = None
    altnets: tuple[Prefix, ...] = ()


@frozen
class Proxy(Value):
    """One proxy: what members behind `downstreams` want is asked for on the `upstreams`, the first of them preferred.

    `matching`: of several upstreams that may bring a stream, the `first` alone is asked; or `all` are asked and
    whatever comes first is taken; or `mutex`, as `all`, but another upstream's packets are taken only when the one
    taken was silent for `mutex_time` milliseconds. `send_first`: downstream sources are sent to the first upstream
    that may have them, not to all. `check_sources`: upstream, only sources of the link's subnets and altnets count.
    `always_forward`: do not leave downstream links to another querier (RFC 4605 3, the last paragraph). `table`: the
    kernel's, if one was asked for.
    """

    name: str
    upstreams: tuple[ProxyInterface, ...] = ()
    downstreams: tuple[ProxyInterface, ...] = ()
    excluded: tuple[str, ...] = ()
    """Interfaces that a downstream pattern does not mean."""
    families: tuple[str, ...] = ("ipv4", "ipv6")
    matching: str = "first"
    mutex_time: int = 0
    send_first: bool = False
    check_sources: bool = False
    quick_leave: bool = False
    always_forward: bool = False
    table: int | None = None

    def names(self, name: str) -> bool:
        """Whether the interface `name` belongs to this proxy."""
        return self.is_upstream(name) or self.downstream(name) is not None

    def is_upstream(self, name: str) -> bool:
        """Whether `name` is one of the upstream interfaces."""
        return any(upstream.name == name for upstream in self.upstreams)

    def downstream(self, name: str) -> ProxyInterface | None:
        """What is said of the downstream interface `name`: the line that names it, else the first pattern."""
        if name in self.excluded:
            return None
        found = None
        for downstream in self.downstreams:
            if downstream.name == name:
                return downstream
            is_pattern = downstream.name.endswith("+")
            if found is None and is_pattern and matches(downstream.name, name) and not self.is_upstream(name):
                found = downstream
        return found
