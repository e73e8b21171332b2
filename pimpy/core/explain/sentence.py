"""What an explanation is made of: sentences with a stable reason word, and the facts that the core cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pimpy.wire.family import Address, format_address
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.core.pim.tib import SG, Group, StarG
    from pimpy.core.router import Router

OK = "ok"
INFO = "info"
WAITING = "waiting"
PROBLEM = "problem"


@frozen(kw_only=True)
class ExplainRow(Value):
    """One sentence of `pimctl explain`."""

    address_family: str
    group: str
    source_address: str | None
    """None if any source is meant."""
    topic: str
    """`group`, `members`, `rp`, `upstream`, `register`, `interface`, `kernel` or `verdict`, in this order."""
    reason: str
    """A stable word."""
    state: str
    """`ok`, `info`, `waiting` (for somebody's answer), or `problem`: it stands in the stream's way."""
    interface: str | None
    text: str
    remedy: str | None
    """What to do about it."""


@frozen
class Facts(Value):
    """What the host knows and the core does not; what is left out was not looked at."""

    ttl: int | None = None
    """The TTL or hop limit with which the stream's packets come in."""
    rp_filter: Mapping[str, int] = field(factory=dict)
    """The effective net.ipv4.conf.IF.rp_filter of interfaces."""
    kernel_read: bool = False
    """Whether the kernel's entry was looked for."""
    kernel: tuple[str | None, frozenset[str]] | None = None
    """The names of the incoming and the outgoing interfaces of the kernel's entry; `register` is the tunnel. None if
    it has none; the incoming name is None while the entry is unresolved."""


@define
class Case:
    """The stream in question, and what was said of it so far."""

    router: Router
    source: Address | None
    group: Address
    facts: Facts
    rows: list[ExplainRow] = field(factory=list)

    @property
    def sg(self) -> SG | None:
        """The (S,G) entry."""
        return None if self.source is None else self.router.pim.tib.sg.get(self.source + self.group)

    @property
    def tree(self) -> Group | None:
        """The group's shared tree."""
        return self.router.pim.tib.groups.get(self.group)

    @property
    def star(self) -> StarG | None:
        """The (*,G) entry."""
        return self.tree.star if self.tree is not None else None

    @property
    def ssm(self) -> bool:
        """Whether the group lies in the SSM range."""
        return self.router.ssm.holds(self.group)

    @property
    def name(self) -> str:
        """The stream in the notation of the RFC."""
        return f"({'*' if self.source is None else format_address(self.source)},{format_address(self.group)})"

    def say(
        self,
        topic: str,
        reason: str,
        text: str,
        state: str = INFO,
        interface: str | None = None,
        remedy: str | None = None,
    ) -> None:
        """One more sentence."""
        row = ExplainRow(
            address_family=self.router.family.name,
            group=format_address(self.group),
            source_address=None if self.source is None else format_address(self.source),
            topic=topic,
            reason=reason,
            state=state,
            interface=interface,
            text=text,
            remedy=remedy,
        )
        self.rows.append(row)


def seconds(value: float | None) -> str:
    """A time in words: `1.5 s`, `40 s`, `2 min`."""
    if value is None:
        return "never"
    if value >= 120:
        return f"{value / 60:.0f} min"
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def past_border(name: str) -> str:
    """The remedy where the interface `name` is a border of the group's scope."""
    return f"send to a group of a wider scope, or take `scoped` off the line phyint {name}"
