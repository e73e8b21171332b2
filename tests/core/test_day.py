"""A day in the life of 20 routers (reliability.md, G11): 200 groups, 1,000 hosts, and everything fails now and then.

Hosts come and go, links and routers fail and return, daemons end and go on with what they left, all at random times
(exponentially distributed, from one seed). After each of these events the invariants hold at every router that did more
since the last one than to say and hear again what stands, and at two of the others in turn. When all is over nothing is
left: neither entries, nor objects. PIMPY_DAY_HOURS says how long it lasts; `make soak` plays 24 hours.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable
from random import Random

from network import Net
from node import Node
from speakers import Host

from pimpy.config.model import Config, StaticRp
from pimpy.wire.family import IPV4, IPV6, Address, Family, parse_address
from pimpy.wire.record import define, field

SOAK = "PIMPY_SOAK" in os.environ
HOURS = float(os.environ.get("PIMPY_DAY_HOURS") or (24 if SOAK else 2))
ROUTERS, GROUPS, HOSTS = 20, 200, 1000
QUIET = 600.0
"""Seconds after the last event by which all is forgotten."""

KINDS = 9
"""Types of PIM messages."""

MEMBER, LINK, ROUTER, WORKER = 20.0, 600.0, 1800.0, 300.0
"""Mean seconds between two events of a kind: a host joins or leaves, a link, a router or a worker fails."""


@define
class Day:
    """The network, and what is to happen in it."""

    family: Family
    seed: int
    random: Random = field(init=False)
    net: Net = field(init=False)
    hosts: list[Host] = field(factory=list)
    wishes: dict[Host, dict[tuple[Address, Address | None], None]] = field(factory=dict)
    sources: list[Address] = field(factory=list)
    happened: Counter[str] = field(factory=Counter)
    checked: Counter[bool] = field(factory=Counter)
    _looked: dict[str, object] = field(factory=dict)
    """What was seen of each router when it was checked last."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.net = Net(self.family, self.seed)
        self.net.logging = False
        self.net.checker.on = False
        self._build()

    def _build(self) -> None:
        net, random = self.net, self.random
        names = [f"r{number}" for number in range(1, ROUTERS + 1)]
        for name in names:
            net.router(name)
        for index in range(1, ROUTERS):
            net.link(f"l{index}", names[random.randrange(index)], names[index])
        for index in range(ROUTERS // 3):
            net.link(f"x{index}", *random.sample(names, 2))
        for name in names:
            net.link(f"lan-{name}", name, *random.sample([other for other in names if other != name], 1))
        self.sources = [net.source(f"lan-{names[index]}", 200 + index) for index in range(5)]
        rps = [net.nodes[names[index]].ports[f"lan-{names[index]}"].addresses[-1][0] for index in (3, 7)]
        config = Config(rp_addresses=tuple(StaticRp(rp, self.family.multicast) for rp in rps))
        for node in net.nodes.values():
            node.config = config
        for number in range(HOSTS):
            host = net.host(f"lan-{names[number % ROUTERS]}", 100 + number // ROUTERS)
            self.hosts.append(host)
            self.wishes[host] = {}

    def group(self, number: int, ssm: bool) -> Address:
        four = self.family.size == 4
        if ssm:
            return parse_address(f"232.1.1.{number + 1}" if four else f"ff3e::8000:{number + 1:x}")
        return parse_address(f"239.1.1.{number + 1}" if four else f"ff1e::{number + 1:x}")

    def play(self, seconds: float) -> None:
        """Let chance have its way."""
        kinds: dict[str, tuple[float, Callable[[], None]]] = {
            "member": (MEMBER, self.member),
            "link": (LINK, self.link),
            "router": (ROUTER, self.router),
            "worker": (WORKER, self.worker),
        }
        end = self.net.now + seconds
        due = {name: self.net.now + self.random.expovariate(1 / mean) for name, (mean, _) in kinds.items()}
        while (when := min(due.values())) < end:
            name = min(due, key=due.__getitem__)
            self.net.run_until(when)
            kinds[name][1]()
            self.net.run(0)
            self.happened[name] += 1
            self.check()
            due[name] = when + self.random.expovariate(1 / kinds[name][0])
        self.net.run_until(end)

    def check(self, everywhere: bool = False) -> None:
        """The invariants of the routers in which something changed, and of two others."""
        checker = self.net.checker
        checker.on = True
        nodes = list(self.net.nodes.values())
        turn = sum(self.happened.values()) * 2 % len(nodes)
        for node in nodes:
            seen = outline(node)
            due = everywhere or seen != self._looked.get(node.name) or node in nodes[turn : turn + 2]
            self.checked[due] += 1
            if due:
                checker.check(node)
                self._looked[node.name] = seen
        checker.on = False

    def member(self) -> None:
        """A host wants something more, or nothing of it any more."""
        host = self.random.choice(self.hosts)
        wishes = self.wishes[host]
        if wishes and self.random.random() < 0.6:
            (group, source), _ = wishes.popitem()
            host.want_no_more(group) if source is None else host.leave(group, source)
            return
        ssm = self.random.random() < 0.5
        group = self.group(self.random.randrange(GROUPS // 2), ssm)
        source = self.random.choice(self.sources) if ssm else None
        wishes[group, source] = None
        host.join(group, source) if source is not None else host.want_any(group)
        if self.random.random() < 0.5:
            self.net.packet(source or self.random.choice(self.sources), group)

    def link(self) -> None:
        """A link fails, and comes back."""
        name = self.random.choice([name for name in self.net.links if not name.startswith("lan")])
        if self.net.links[name].up:
            self.net.set_link(name, False)
            self.net.later(self.random.uniform(1, 300), self.net.set_link, name, True)

    def router(self) -> None:
        """A daemon dies and its table with it; another one starts later."""
        node = self._living()
        node.crash()
        self.net.later(self.random.uniform(1, 300), self._start, node)

    def worker(self) -> None:
        """A worker dies, and the next one takes over."""
        node = self._living()
        node.die()
        self.net.later(self.random.uniform(0.2, 2), self._resume, node)

    def _living(self) -> Node:
        return self.random.choice([node for node in self.net.nodes.values() if node.router is not None])

    def _start(self, node: Node) -> None:
        if node.router is None:
            node.start()

    def _resume(self, node: Node) -> None:
        if node.router is None:
            node.resume()

    def forget(self) -> None:
        """What the tests' own world has noted is no growth of the routers'."""
        for node in self.net.nodes.values():
            node.notices.clear()
        self.net.seen.clear()

    def fall_silent(self) -> None:
        """Everybody leaves, everything is repaired; what there was is forgotten."""
        self.net.run(310)
        for host, wishes in self.wishes.items():
            for group, source in wishes:
                host.want_no_more(group) if source is None else host.leave(group, source)
            wishes.clear()
        self.net.run(QUIET)
        self.check(everywhere=True)


def outline(node: Node) -> object:
    """How many there are of all that a router has, and what it had done: few changes leave all of that as it was."""
    router = node.router
    if router is None:
        return None
    machines = [
        tuple(map(len, (i.neighbors, i.downstream, i.downstream_rpt, i.asserts, i.members)))
        for i in router.pim.interfaces.values()
    ]
    return id(router), node.done, len(router.pim.tib.sg), len(router.pim.tib.groups), router.pim.dr, machines


def objects() -> Counter[str]:
    """How many objects of the core there are, by class."""
    gc.collect()
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        if kind.__module__.startswith("pimpy.core"):
            found[kind.__name__] += 1
    return found


def play(family: Family, hours: float) -> Day:
    day = Day(family, 7)
    day.net.start()
    day.net.run(60)
    day.play(300)
    day.fall_silent()
    day.forget()
    before = objects()
    day.play(hours * 3600)
    day.fall_silent()
    for node in day.net.nodes.values():
        router = node.router
        assert router is not None
        assert not router.pim.tib.sg and not router.pim.tib.groups and not router.forwarding.held.any()
        assert not node.kernel.mfc and router.adoption is None
    day.forget()
    after = objects()
    rates, neighbors = after.pop("Bucket"), after["Neighbor"] + after["PimInterface"]
    grown = {name: (before[name], count) for name, count in after.items() if count > before[name] * 1.1 + 20}
    print(
        f"{family.name}: {hours:g} hours: {dict(day.happened)}; {day.checked[True]} checks of a router;"
        f" {sum(before.values())} objects, {sum(after.values())}"
    )
    assert rates <= KINDS * neighbors, "one for each kind of message that a neighbour has sent, no more"
    assert not grown, grown
    return day


def test_a_day_of_ipv4() -> None:
    day = play(IPV4, HOURS)
    kinds = ("member", "link", "router", "worker") if HOURS >= 2 else ("member", "worker")
    assert all(day.happened[kind] for kind in kinds)


def test_a_day_of_ipv6() -> None:
    play(IPV6, HOURS / 4)
