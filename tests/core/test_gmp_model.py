"""Hosts and routers on one lossy link, against a model that only knows what each host truly wants.

The hosts are our own host side, some of an older version for good; routers are one or two membership machines. What
is compared is not how, but what: which sources a router would let onto the link, and which some host wants.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from gmp_bench import CODECS, NAMES
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.core.engine.timers import NEVER, TimerHeap
from pimpy.core.gmp import GmpSettings, Membership
from pimpy.core.gmp.host import Host
from pimpy.wire.family import FAMILIES, IPV4, Address, Family, parse_address
from pimpy.wire.membership import Query
from pimpy.wire.record import define, field

SOURCES = 3
QUIET = 1000.0
"""Seconds in which what was lost, and what older hosts left behind, is made good: GMI, older host present, a query."""


@define
class Lan:
    """One link in virtual time. A message is lost to each listener by itself with probability `loss`."""

    family: Family
    seed: int
    versions: list[int]
    """How much older than the newest each host is."""
    routers: int
    settings: GmpSettings
    loss: float = 0.0
    heap: TimerHeap = field(factory=TimerHeap)
    rng: random.Random = field(init=False)
    groups: list[Address] = field(init=False)
    us: Address = field(init=False)
    _source: Address = field(init=False)
    machines: list[Membership] = field(factory=list)
    hosts: list[Host] = field(factory=list)
    wishes: dict[tuple[int, int], tuple[bool, frozenset[int]]] = field(factory=dict)
    """(host, group) -> filter mode and sources: what is truly wanted."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        names = [parse_address(name) for name in NAMES[self.family]]
        self.groups, self.us = names[:2], names[3]
        self._source = names[7]
        for number, older in enumerate(self.versions):
            self._add_host(number, older)
        for number in range(self.routers):
            self._add_router(self.us[:-1] + bytes((5 + number,)))

    def source(self, number: int) -> Address:
        return (int.from_bytes(self._source, "big") + number).to_bytes(self.family.size, "big")

    def _add_host(self, number: int, older: int) -> None:
        address = self.us[:-1] + bytes((100 + number,))
        host = Host(self.family, self.heap, self.rng, self._sender(address), lambda name, reason: None)
        newest = host.traits.newest
        if older:
            setattr(host, f"version{newest - older}_until", NEVER)
        self.hosts.append(host)

    def _add_router(self, address: Address) -> None:
        machine = Membership(
            self.family,
            self.heap,
            self.rng,
            self.settings,
            self._sender(address),
            lambda group, source: None,
            lambda group: False,
            lambda level, reason, text: None,
            lambda name, reason: None,
            is_own=lambda other: other == address,
        )
        self.machines.append(machine)
        machine.start(address)

    def _sender(self, sender: Address) -> Callable[[Address, bytes], None]:
        def send(destination: Address, data: bytes) -> None:
            for listener in [*self.machines, *self.hosts]:
                if self.rng.random() >= self.loss:
                    listener.receive(sender, destination, 1, True, data)

        return send

    def run(self, seconds: float) -> None:
        end = self.heap.now + seconds
        while (deadline := self.heap.next_deadline()) is not None and deadline <= end:
            self.heap.fire(deadline)
        self.heap.fire(end)

    # What happens.

    def want(self, host: int, group: int, excludes: bool, sources: frozenset[int]) -> None:
        self.wishes[host, group] = (excludes, sources)
        addresses = tuple(self.source(number) for number in sorted(sources))
        self.hosts[host].listen(self.groups[group], excludes, addresses)

    def foreign_query(self, group: int | None, sources: frozenset[int], suppress: bool) -> None:
        """Another router, that nobody follows, asks."""
        address = self.groups[group] if group is not None else self.family.any
        listed = tuple(self.source(number) for number in sorted(sources)) if group is not None else ()
        newest = self.hosts[0].traits.newest
        query = Query(newest, address, 1.0 if group is not None else 10.0, suppress, 2, 125.0, listed)
        sender = self._sender(self.us[:-1] + b"\x50")
        sender(self.family.all_hosts if group is None else address, CODECS[self.family].encode(query))

    # What is compared.

    def wanted(self, group: int, source: int) -> bool:
        """Whether some host truly wants it; a host of an older version can only want all of a group."""
        for (host, of_group), (excludes, sources) in self.wishes.items():
            if of_group != group:
                continue
            if self.versions[host] and (excludes or sources):
                return True
            if not self.versions[host] and (source in sources) != excludes:
                return True
        return False

    def served(self, machine: Membership, group: int, source: int) -> bool:
        address, named = self.groups[group], self.source(source)
        return machine.wants(address, named) or (machine.wants_any(address) and not machine.excludes(address, named))

    def check(self, *, only_members: bool) -> None:
        """Every wish is served; and nothing else, unless `only_members`."""
        for machine in self.machines:
            for group in range(2):
                for source in range(1, SOURCES + 2):
                    wanted, served = self.wanted(group, source), self.served(machine, group, source)
                    assert served or not wanted, f"{self.heap.now}: {group}, {source} is wanted and not served"
                    assert only_members or wanted or not served, f"{group}, {source} is served to nobody"


Event = tuple[float, str, tuple[object, ...]]
"""(seconds to wait first, `want` or `query`, its arguments)."""


def story(rng: random.Random, length: int) -> list[Event]:
    """Wishes that come and go, mostly about one group, and queries of somebody else. Made by a seed, not drawn one by
    one: what matters here is that several hosts care for one group at a time, which short examples hardly have.
    """
    found: list[Event] = []
    for _ in range(length):
        wait = rng.choice((0.0, 0.4, 1.0, 2.5, 2.5, 5.0, 30.0, 130.0))
        group = rng.choice((0, 0, 0, 1))
        sources = frozenset(source for source in range(1, SOURCES + 1) if rng.random() < 0.4)
        if rng.random() < 0.85:
            found.append((wait, "want", (rng.randrange(3), group, rng.random() < 0.5, sources)))
        else:
            found.append((wait, "query", (rng.choice((None, group)), sources, rng.random() < 0.5)))
    return found


both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
OPTIONS = {"plain": GmpSettings(), "tracked": GmpSettings(tracking=True, immediate_leave=True)}
each = pytest.mark.parametrize("option", OPTIONS)


def lan(family: Family, seed: int, option: str) -> tuple[Lan, list[Event]]:
    """A link and what happens on it."""
    rng = random.Random(seed)
    oldest = 2 if family is IPV4 else 1
    versions = [rng.choice([0] * 8 + [*range(1, oldest + 1)]) for _ in range(3)]
    return Lan(family, seed, versions, rng.randint(1, 2), OPTIONS[option]), story(rng, rng.randint(5, 30))


def play(link: Lan, events: list[Event], *, check: bool) -> None:
    for wait, what, arguments in events:
        link.run(wait)
        (link.want if what == "want" else link.foreign_query)(*arguments)  # type: ignore[operator]
        if check:
            link.check(only_members=True)


SEEDS = st.integers(0, 2**32)


@both
@each
@settings(max_examples=40)
@given(seed=SEEDS)
def test_without_loss_no_member_misses_a_packet(family: Family, option: str, seed: int) -> None:
    """At every moment, leaves, queries and changes of version of others included."""
    link, events = lan(family, seed, option)
    play(link, events, check=True)
    for _ in range(40):
        link.run(0.25)
        link.check(only_members=True)


@both
@each
@settings(max_examples=40)
@given(seed=SEEDS, loss=st.sampled_from([0.1, 0.3, 0.6, 0.9]), more=st.sampled_from([0.0, 1.0, 300.0]))
def test_after_the_loss_every_wish_is_served_and_nothing_else(
    family: Family, option: str, seed: int, loss: float, more: float
) -> None:
    link, events = lan(family, seed, option)
    link.loss = loss
    play(link, events, check=False)
    link.run(more)
    link.loss = 0.0
    link.run(QUIET)
    link.check(only_members=False)


def test_the_model_sees_what_is_cut_and_what_flows_for_nobody() -> None:
    """The checks themselves: a machine that forgets, and one that keeps what nobody wants."""
    link = Lan(IPV4, 1, [0], 1, GmpSettings())
    link.want(0, 0, True, frozenset())
    link.check(only_members=False)
    link.machines[0].clear(link.groups[0])
    with pytest.raises(AssertionError, match="wanted and not served"):
        link.check(only_members=True)
    link = Lan(IPV4, 1, [0], 1, GmpSettings())
    link.want(0, 0, True, frozenset())
    link.wishes.clear()
    with pytest.raises(AssertionError, match="served to nobody"):
        link.check(only_members=False)
