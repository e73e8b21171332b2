"""Random networks with any-source groups and channels: after all mishaps every member gets every packet of every source
once, and nobody else does.

PIMPY_ASM_NETWORKS=N plays N networks of each family. The invariants of `invariants.py` hold after every event of every
router. A failure names its seed: play it again with PIMPY_SEED.
"""

from __future__ import annotations

import os

import pytest
from network import Link
from scenario import Scenario
from speakers import Channel, Host

from pimpy.config.model import Config, StaticRp
from pimpy.wire.family import Address, Family, parse_address
from pimpy.wire.record import define, evolve, field

NETWORKS = int(os.environ.get("PIMPY_ASM_NETWORKS", "40"))
CHUNKS = 10
SETTLING = 420.0
"""Seconds of quiet: membership, joins and lost Asserts that nobody needs have ended by then."""


@define
class AsmScenario(Scenario):
    """A network with an RP for each any-source group, and now and then a group of the SSM range; hosts want groups from
    anybody, from all but some, or single sources."""

    rps: dict[Address, Address] = field(factory=dict)

    def _groups(self) -> list[Address]:
        texts = ("239.1.1.1", "239.2.1.1") if self.family.size == 4 else ("ff1e::1", "ff1e:2::1")
        groups = [parse_address(text) for text in texts[: self.random.randint(1, 2)]]
        return groups + (super()._groups()[:1] if self.random.random() < 0.3 else [])

    def _is_ssm(self, group: Address) -> bool:
        return any(prefix.covers(group) for prefix in self.family.ssm_ranges)

    def _build(self) -> None:
        super()._build()
        groups = dict.fromkeys(group for _, group in self.channels if not self._is_ssm(group))
        self.rps = {group: self._rp() for group in groups}
        threshold = self.random.choice(("immediate", "immediate", "infinity"))
        self.story.append(f"spt-threshold {threshold}")
        for node in self.net.nodes.values():
            node.config = evolve(node.config, rp_addresses=self._mappings(), spt_threshold=threshold)

    def _mappings(self) -> tuple[StaticRp, ...]:
        return tuple(StaticRp(rp, self.family.host(group)) for group, rp in self.rps.items())

    def _reconfigure(self) -> str:
        """Another RP for a group, at all routers one after the other; or what happens to every network."""
        if self.random.random() < 0.5:
            return super()._reconfigure()
        self._move_rp(self.random.choice(sorted(self.rps)))
        return "another RP"

    def _move_rp(self, group: Address) -> None:
        self.rps[group] = self._rp()
        for node in self.net.nodes.values():
            node.configure(rp_addresses=self._mappings())
            self.net.run(self.random.choice((0.0, 0.0, 1.0)))

    def _config(self) -> Config:
        return Config(triggered_hello_delay=self.random.choice((0.0, 5.0)))

    def _rp(self) -> Address:
        node = self.random.choice(list(self.net.nodes.values()))
        port = self.random.choice(list(node.ports.values()))
        self.story.append(f"RP at {node.name} on {port.link.name}")
        return port.addresses[-1][0]

    def _join(self) -> str:
        host = self.random.choice(self.hosts or [self._some_host()])
        source, group = self.random.choice(self.channels)
        kind = "one" if self._is_ssm(group) else self.random.choice(("any", "any", "all but one", "one"))
        if kind == "one":
            host.join(group, source)
        else:
            host.want_any(group, *([source] if kind == "all but one" else []))
        return f"join of {kind} at {host.link.name}"

    def _leave(self) -> str:
        for host in self.random.sample(self.hosts, len(self.hosts)):
            if host.anything:
                host.want_no_more(self.random.choice(sorted(host.anything)))
                return f"leave at {host.link.name}"
        return super()._leave()

    def _data(self) -> str:
        for _ in range(self.random.randint(1, 5)):
            source, group = self.random.choice(self.channels)
            self.net.packet(source, group)
            self.net.run(self.random.choice((0.0, 0.05, 1.0)))
        return "data"

    def heal(self) -> None:
        """Everything works again, and nothing is lost; sources send all the while."""
        for node in self.net.nodes.values():
            for port in node.ports.values():
                port.up = True
            if node.router is None:
                node.start()
        for link in self.net.links.values():
            self.net.set_link(link.name, True)
        for group, rp in sorted(self.rps.items()):
            if not any(node.owns(rp) for node in self.net.nodes.values()):
                self._move_rp(group)  # its router was renumbered
        for _ in range(int(SETTLING / 3)):
            for source, group in self.channels:
                self.net.packet(source, group)
            self.net.run(3.0)

    def wanted(self, link: str, channel: Channel) -> bool:
        """Whether a host on a link wants a channel."""
        return any(wants(host, channel) for host in self.hosts if host.link.name == link)


def wants(host: Host, channel: Channel) -> bool:
    """Whether a host wants a channel."""
    source, group = channel
    by_name = source in host.wants.get(group, ())
    return by_name or (group in host.anything and source not in host.anything[group])


def play(family: Family, seed: int) -> None:
    """One network from beginning to end."""
    scenario = AsmScenario(family, seed)
    try:
        scenario.play()
        scenario.heal()
        judge(scenario)
    except Exception as problem:
        story = "\n  ".join(scenario.story)
        raise AssertionError(f"{family.name}, PIMPY_SEED={seed}: {problem}\n  {story}") from problem


def judge(scenario: AsmScenario) -> None:
    """Each packet is on each link with a member exactly once, elsewhere at most once, never where nobody asks."""
    net = scenario.net
    for channel in scenario.channels:
        start = net.sources[channel[0]]
        for number in net.stream(*channel, 3.0, 0.5):
            for name, link in net.links.items():
                copies = net.copies(name, number)
                where = f"{copies} copies of {channel[0].hex()}, {channel[1].hex()} on {name}"
                if mute(link):
                    continue
                assert copies <= 1, where
                if scenario.wanted(name, channel) and link.ports:
                    assert copies == 1, where
                elif len(link.ports) == 1 and name != start:
                    assert copies == 0, f"{where}, where nobody wants it"


def mute(link: Link) -> bool:
    """Whether a router on a link with others says nothing there: then nobody can settle who forwards."""
    routers = [(port, port.node.router) for port in link.ports.values() if port.node.router is not None]
    interfaces = [router.pim.interfaces.get(port.ifindex) for port, router in routers]
    return len(routers) > 1 and any(interface is not None and interface.passive for interface in interfaces)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_networks_bring_every_packet_once(family: Family, chunk: int) -> None:
    alone = os.environ.get("PIMPY_SEED")
    seeds = [int(alone)] if alone else range(chunk, NETWORKS, CHUNKS)
    for seed in seeds:
        play(family, seed)
