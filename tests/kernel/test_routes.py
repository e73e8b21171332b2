"""How addresses are reached: the kernel's answers, and that every change that matters is noticed."""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from random import Random

import pytest
from kernel_frames import attribute
from kernel_namespaces import Namespace, Trio, connect, families, host
from kernel_watch import Watch

from pimpy.core.engine.events import RouteResolved
from pimpy.kernel import netlink, routes
from pimpy.kernel.routes import Leg, Lookup, Tracked, choose, read_answer, unreachable
from pimpy.wire.family import IPV4, IPV6, Address, Family, Prefix, format_address, parse_address, parse_prefix


@pytest.fixture(params=[IPV4, IPV6], ids=lambda family: family.name)
def watch(trio: Trio, request: pytest.FixtureRequest) -> Iterator[Watch]:
    made = Watch(trio.router, request.param)
    yield made
    made.close()


class Names:
    """Addresses and prefixes of a family as text for ip(8), and packed."""

    def __init__(self, family: Family) -> None:
        self.four = family is IPV4

    def prefix(self, number: int, length: int | None = None) -> str:
        text = f"10.0.{number}.0" if self.four else f"2001:db8:{number}::"
        return f"{text}/{length or (24 if self.four else 64)}"

    def wide(self) -> str:
        """A prefix that covers all the others."""
        return "10.0.0.0/16" if self.four else "2001:db8::/32"

    def host(self, network: int, number: int) -> str:
        return f"10.0.{network}.{number}" if self.four else f"2001:db8:{network}::{number}"

    def address(self, network: int, number: int) -> str:
        return f"{self.host(network, number)}/{24 if self.four else 64}{'' if self.four else ' nodad'}"


@pytest.fixture
def names(watch: Watch) -> Names:
    return Names(watch.family)


def told(watch: Watch, address: Address, **expected: object) -> RouteResolved:
    """The answer about an address once it is as expected."""
    watch.until(lambda: all(getattr(watch.routes[address], key) == value for key, value in expected.items()), 20)
    return watch.routes[address]


def test_connected_local_and_unknown(watch: Watch, trio: Trio, names: Names) -> None:
    family = watch.family
    connected, local, unknown = host(family, 1, 9), host(family, 2, 1), host(family, 99)
    found = watch.resolve(connected, local, unknown, connected)
    kernel = 2  # RTPROT_KERNEL
    metric = 0 if family is IPV4 else 256
    first = RouteResolved(connected, trio.l, None, False, parse_prefix(names.prefix(1)), kernel, metric)
    assert found == [
        first,
        RouteResolved(local, trio.r, None, True, family.host(local), kernel, 0),
        RouteResolved(unknown, None, None),
        first,
    ]
    assert watch.netlink.resolve([unknown]) == found[2:3]


def test_a_gateway_with_its_protocol_metric_and_prefix(watch: Watch, trio: Trio, names: Names) -> None:
    address = host(watch.family, 50)
    watch.resolve(address)
    watch.namespace.ip(f"route add {names.prefix(50)} via {names.host(2, 2)} proto 188 metric 77")
    told(watch, address, ifindex=trio.r)
    assert watch.routes[address] == RouteResolved(
        address, trio.r, host(watch.family, 2), False, parse_prefix(names.prefix(50)), 188, 77
    )
    watch.namespace.ip(f"route replace {names.prefix(50)} via {names.host(2, 3)} proto 188 metric 77")
    told(watch, address, next_hop=host(watch.family, 2, 3))
    watch.namespace.ip(f"route del {names.prefix(50)} proto 188")
    told(watch, address, ifindex=None, prefix=None, protocol=0, metric=0)
    assert watch.state == watch.fresh()


def test_the_longest_prefix_wins_and_gives_way(watch: Watch, trio: Trio, names: Names) -> None:
    address, other = host(watch.family, 50), host(watch.family, 51)
    watch.resolve(address, other)
    watch.namespace.ip(f"route add default via {names.host(1, 2)}")
    told(watch, address, ifindex=trio.l, prefix=Prefix(watch.family.any, 0))
    told(watch, other, ifindex=trio.l)
    watch.namespace.ip(f"route add {names.prefix(50)} via {names.host(2, 2)}")
    told(watch, address, ifindex=trio.r)
    watch.settle()
    assert watch.routes[other].ifindex == trio.l
    single = f"{names.host(50, 2)}/{watch.family.bits}"
    watch.namespace.ip(f"route add {single} via {names.host(1, 3)}")
    told(watch, address, ifindex=trio.l, prefix=watch.family.host(address))
    watch.namespace.ip(f"route del {single}")
    told(watch, address, ifindex=trio.r)
    watch.namespace.ip(f"route del {names.prefix(50)}")
    told(watch, address, ifindex=trio.l, next_hop=host(watch.family, 1))
    default = "default" if names.four else f"::/0 via {names.host(1, 2)}"
    watch.namespace.ip(f"route del {default}")
    told(watch, address, ifindex=None)
    told(watch, other, ifindex=None)


@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit", "throw"])
def test_routes_that_lead_nowhere(watch: Watch, trio: Trio, names: Names, kind: str) -> None:
    address = host(watch.family, 50)
    watch.namespace.ip(f"route add {names.wide()} via {names.host(2, 2)}")
    watch.resolve(address)
    assert watch.routes[address].ifindex == trio.r
    watch.namespace.ip(f"route add {kind} {names.prefix(50)}")
    told(watch, address, ifindex=None)
    watch.namespace.ip(f"route del {kind} {names.prefix(50)}")
    told(watch, address, ifindex=trio.r)


def test_a_link_that_goes_down_takes_its_routes_along(watch: Watch, trio: Trio, names: Names) -> None:
    """IPv4 sends no route notice for that; and what it leaves behind is found: the default by the other side."""
    connected, behind = host(watch.family, 2, 9), host(watch.family, 50)
    watch.namespace.ip(f"route add {names.prefix(50)} via {names.host(2, 2)}")
    watch.namespace.ip(f"route add default via {names.host(1, 2)}")
    watch.resolve(connected, behind)
    assert watch.routes[connected].ifindex == watch.routes[behind].ifindex == trio.r
    started = time.monotonic()
    watch.namespace.ip("link set toright down")
    told(watch, connected, ifindex=trio.l)
    told(watch, behind, ifindex=trio.l)
    assert time.monotonic() - started < 1.0
    watch.namespace.ip("link set toright up")
    if watch.family is IPV6:
        watch.namespace.ip(f"addr replace {names.address(2, 1)} dev toright")
    told(watch, connected, ifindex=trio.r)
    watch.namespace.ip("link del toright")
    told(watch, connected, ifindex=trio.l)
    watch.settle()
    assert watch.state == watch.fresh()


def test_an_address_that_goes_takes_its_subnet_along(watch: Watch, trio: Trio, names: Names) -> None:
    connected = host(watch.family, 2, 9)
    watch.resolve(connected)
    watch.namespace.ip(f"addr del {names.address(2, 1).removesuffix(' nodad')} dev toright")
    told(watch, connected, ifindex=None)
    watch.namespace.ip(f"addr add {names.address(2, 1)} dev toright")
    told(watch, connected, ifindex=trio.r)


def test_a_route_that_prefers_an_address_goes_with_it(trio: Trio) -> None:
    """IPv4 again without a notice, and the address may be on quite another interface."""
    watch = Watch(trio.router, IPV4)
    address = host(IPV4, 50)
    trio.router.ip("addr add 10.99.0.1/32 dev lo", "route add 10.0.50.0/24 via 10.0.2.2 src 10.99.0.1")
    watch.resolve(address)
    assert watch.routes[address].ifindex == trio.r
    watch.settle()
    trio.router.ip("addr del 10.99.0.1/32 dev lo")
    told(watch, address, ifindex=None)
    watch.close()


def second_leg(trio: Trio, family: Family) -> tuple[Namespace, int]:
    """A third interface of the router, `third`, with network 3 and a host."""
    other, names = Namespace(), Names(family)
    connect(trio.router, "third", other, "eth")
    trio.router.ip(f"addr add {names.address(3, 1)} dev third")
    other.ip(f"addr add {names.address(3, 2)} dev eth")
    return other, trio.router.ifindex("third")


def test_of_several_legs_the_highest_next_hop_that_lives(watch: Watch, trio: Trio, names: Names) -> None:
    _, third = second_leg(trio, watch.family)
    address = host(watch.family, 50)
    legs = f"nexthop via {names.host(2, 2)} nexthop via {names.host(3, 2)} nexthop via {names.host(1, 2)}"
    watch.namespace.ip(f"route add {names.prefix(50)} {legs}")
    watch.settle()
    watch.resolve(address)
    assert (watch.routes[address].ifindex, watch.routes[address].next_hop) == (third, host(watch.family, 3))
    watch.namespace.ip("link set third down")
    told(watch, address, ifindex=trio.r, next_hop=host(watch.family, 2))
    watch.namespace.ip("link set toright down")
    told(watch, address, ifindex=trio.l, next_hop=host(watch.family, 1))
    watch.namespace.ip("link set third up")
    if watch.family is IPV4:  # IPv6 removes legs for good
        told(watch, address, ifindex=third)
    watch.namespace.ip("link set toright up")
    watch.settle()
    assert watch.state == watch.fresh()


def test_a_leg_without_carrier_is_dead(watch: Watch, trio: Trio, names: Names) -> None:
    other, third = second_leg(trio, watch.family)
    address = host(watch.family, 50)
    watch.namespace.ip(f"route add {names.prefix(50)} nexthop via {names.host(2, 2)} nexthop via {names.host(3, 2)}")
    watch.settle()
    watch.resolve(address)
    assert watch.routes[address].ifindex == third
    other.ip("link set eth down")
    told(watch, address, ifindex=trio.r)
    other.ip("link set eth up")
    told(watch, address, ifindex=third)


def test_nexthop_objects(watch: Watch, trio: Trio, names: Names) -> None:
    """Deleting one takes routes away without a notice of theirs; replacing one leads elsewhere."""
    address = host(watch.family, 50)
    watch.resolve(address)
    add = f"route add {names.prefix(50)} nhid 7"
    watch.namespace.ip(f"nexthop add id 7 via {names.host(2, 2)} dev toright", add)
    told(watch, address, ifindex=trio.r, next_hop=host(watch.family, 2))
    watch.namespace.ip(f"nexthop replace id 7 via {names.host(1, 2)} dev toleft")
    told(watch, address, ifindex=trio.l, next_hop=host(watch.family, 1))
    watch.namespace.ip("nexthop del id 7")
    told(watch, address, ifindex=None)
    watch.namespace.ip(
        f"nexthop add id 8 via {names.host(2, 2)} dev toright",
        f"nexthop add id 9 via {names.host(1, 2)} dev toleft",
        "nexthop add id 10 group 8/9",
        f"route add {names.prefix(50)} nhid 10",
    )
    told(watch, address, ifindex=trio.r)
    watch.namespace.ip("nexthop del id 8")
    told(watch, address, ifindex=trio.l)
    watch.namespace.ip("nexthop del id 9")
    told(watch, address, ifindex=None)


def test_nexthop_objects_that_are_not_spelled_out(watch: Watch, trio: Trio, names: Names) -> None:
    """With nexthop_compat_mode=0 the route only has the object's number."""
    watch.namespace.sysctl("ipv4/nexthop_compat_mode", 0)
    address = host(watch.family, 50)
    watch.resolve(address)
    watch.namespace.ip(f"nexthop add id 7 via {names.host(2, 2)} dev toright", f"route add {names.prefix(50)} nhid 7")
    told(watch, address, ifindex=trio.r, next_hop=host(watch.family, 2))
    watch.namespace.ip(f"nexthop replace id 7 via {names.host(1, 2)} dev toleft")
    told(watch, address, ifindex=trio.l, next_hop=host(watch.family, 1))
    watch.namespace.ip("nexthop del id 7")
    told(watch, address, ifindex=None)


def test_rules_and_tables(watch: Watch, trio: Trio, names: Names) -> None:
    address = host(watch.family, 50)
    watch.namespace.ip(f"route add {names.prefix(50)} via {names.host(2, 2)}")
    watch.resolve(address)
    watch.namespace.ip(f"route add {names.prefix(50)} via {names.host(1, 2)} table 100")
    watch.settle()
    assert watch.routes[address].ifindex == trio.r
    flag = "" if watch.family is IPV4 else "-6"
    add = [
        "ip",
        "-n",
        watch.namespace.name,
        *([flag] if flag else []),
        "rule",
        "add",
        "to",
        names.prefix(50),
        "lookup",
        "100",
    ]
    subprocess.run(add, check=True)
    told(watch, address, ifindex=trio.l)
    # A shorter prefix in the table that comes first decides against a longer one in the other.
    watch.namespace.ip(
        f"route del {names.prefix(50)} table 100",
        f"route add {names.wide()} via {names.host(1, 3)} table 100",
    )
    told(watch, address, ifindex=trio.l, next_hop=host(watch.family, 1, 3))
    add[add.index("add")] = "del"
    subprocess.run(add, check=True)
    told(watch, address, ifindex=trio.r)


def test_an_ipv4_route_by_an_ipv6_next_hop(trio: Trio) -> None:
    watch = Watch(trio.router, IPV4)
    address = host(IPV4, 50)
    watch.resolve(address)
    trio.router.ip("route add 10.0.50.0/24 via inet6 2001:db8:2::2 dev toright")
    told(watch, address, ifindex=trio.r, next_hop=parse_address("2001:db8:2::2"))
    watch.close()


def test_what_is_forgotten_is_not_told(watch: Watch, names: Names) -> None:
    address = host(watch.family, 50)
    watch.resolve(address)
    watch.netlink.forget(address)
    watch.netlink.forget(address)
    watch.namespace.ip(f"route add {names.prefix(50)} via {names.host(2, 2)}")
    assert watch.settle() == []
    watch.resolve(address)
    assert watch.routes[address].ifindex is not None


class Questions:
    """Counts the questions that are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[list[Address]] = []
        real = Lookup.ask

        def ask(lookup: Lookup, addresses: Sequence[Address]) -> dict[Address, bytes]:
            if addresses:
                self.asked.append(list(addresses))
            return real(lookup, addresses)

        monkeypatch.setattr(Lookup, "ask", ask)


def test_the_first_change_is_acted_on_at_once_and_a_storm_is_gathered(
    watch: Watch, trio: Trio, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = host(watch.family, 50)
    watch.resolve(address)
    watch.settle()
    questions = Questions(monkeypatch)
    add = f"route add {names.prefix(50)} via {names.host(2, 2)}"
    delete = f"route del {names.prefix(50)}"
    watch.namespace.ip(add)
    (event,) = watch.turn(1)
    assert isinstance(event, RouteResolved)
    assert event.ifindex == trio.r
    assert len(questions.asked) == 1
    watch.settle()
    questions.asked.clear()
    started = time.monotonic()
    child = subprocess.Popen(["ip", "-n", watch.namespace.name, "-batch", "-"], stdin=subprocess.PIPE, text=True)
    assert child.stdin is not None
    child.stdin.write("\n".join([delete, add] * 2000 + [delete]) + "\n")
    child.stdin.close()
    while child.poll() is None:
        watch.turn(0.01)
    storm = time.monotonic() - started
    assert len(questions.asked) <= storm / 0.05 + 3
    watch.until(lambda: watch.routes[address].ifindex is None, 0.5)
    watch.settle()
    assert watch.state == watch.fresh()


def test_a_change_asks_only_for_what_it_can_concern(
    watch: Watch, trio: Trio, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10,000 addresses."""
    family = watch.family
    watch.namespace.ip(f"route add default via {names.host(1, 2)}")
    prefix = parse_prefix("10.64.0.0/16" if family is IPV4 else "2001:db8:64::/64").network
    many = [prefix[:-2] + number.to_bytes(2, "big") for number in range(1, 10_001)]
    started = time.process_time()
    assert len(watch.resolve(*many)) == 10_000
    first = time.process_time() - started
    watch.settle()
    questions = Questions(monkeypatch)
    here = prefix[:-2] + b"\x12\x34"
    text = format_address(here)
    watch.namespace.ip(f"route add {text}/{family.bits} via {names.host(2, 2)}")
    told(watch, here, ifindex=trio.r)
    watch.settle()
    assert {address for asked in questions.asked for address in asked} == {here}
    questions.asked.clear()
    watch.namespace.ip(f"route add {names.prefix(50)} via {names.host(2, 2)}")
    watch.settle()
    assert questions.asked == []
    # All but one hang on the default route; they are asked for in bounded portions.
    started = time.process_time()
    watch.namespace.ip(f"route replace default via {names.host(1, 3)}")
    told(watch, many[-1], next_hop=host(family, 1, 3))
    watch.settle()
    again = time.process_time() - started
    assert max(len(asked) for asked in questions.asked) <= netlink.LOOKUPS
    assert all(watch.routes[address].next_hop == host(family, 1, 3) for address in many if address != here)
    assert watch.routes[here].ifindex == trio.r
    assert first < 1.5
    assert again < 3
    before = len(watch.events)
    watch.namespace.ip(f"route replace default via {names.host(1, 3)}")
    watch.settle()
    assert len(watch.events) == before


@families()
def test_a_question_that_fails_for_the_moment_is_asked_again(
    trio: Trio, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(trio.router, family)
    real, failing = Lookup.ask, [True]

    def ask(lookup: Lookup, addresses: Sequence[Address]) -> dict[Address, bytes]:
        return {} if failing[0] else real(lookup, addresses)

    monkeypatch.setattr(Lookup, "ask", ask)
    address = host(family, 1, 9)
    assert watch.resolve(address) == [RouteResolved(address, None, None)]
    assert watch.turn(0.1) == []
    assert watch.turn(0.1) == []
    failing[0] = False
    told(watch, address, ifindex=trio.l)
    watch.close()


# Without the kernel


def test_the_choice_between_legs() -> None:
    low, high = bytes(4), b"\xff" * 4
    assert choose([Leg(1, low, True), Leg(2, high, True), Leg(3, high, False)]) == Leg(2, high, True)
    assert choose([Leg(2, None, True), Leg(9, high, False)]) == Leg(2, None, True)
    assert choose([Leg(2, None, True), Leg(1, low, True)]) == Leg(1, low, True)
    assert choose([Leg(2, low, True), Leg(5, low, True)]) == Leg(5, low, True)
    assert choose([Leg(2, low, False), Leg(5, None, False)]) == Leg(2, low, False)


def test_what_is_malformed_is_no_route_and_no_exception() -> None:
    random = Random(5)
    address = host(IPV4, 1)
    hops = struct.pack("=HBBi", 16, 0, 0, 5) + attribute(5, address) + struct.pack("=HBBi", 8, 1, 0, 6)
    good = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, 3, 0, 1, 0)
    good += (
        attribute(1, bytes(4))
        + attribute(6, struct.pack("=I", 9))
        + attribute(9, hops)
        + attribute(15, struct.pack("=I", 254))
    )
    found = read_answer(address, good)
    assert found is not None
    assert found.legs == (5, 6)
    assert found.event == RouteResolved(address, 5, address, False, Prefix(bytes(4), 24), 3, 9)
    for _ in range(20_000):
        data = bytearray(good)
        for _ in range(random.randrange(1, 5)):
            data[random.randrange(len(data))] = random.choice((0, 1, 4, 8, 255, random.randrange(256)))
        del data[random.randrange(len(data) + 1) :]
        answer = read_answer(address, bytes(data))
        assert answer is None or answer.event.address == address
        routes.read_notice(bytes(16) + bytes(data), IPV4)
    assert read_answer(address, b"") == unreachable(address)


def range_of(address: Address, length: int) -> Prefix:
    """The range of that length that the address lies in."""
    shift = 8 * len(address) - length
    return Prefix((int.from_bytes(address, "big") >> shift << shift).to_bytes(len(address), "big"), length)


def random_answer(random: Random, address: Address) -> routes.Answer:
    if random.random() < 0.1:
        return unreachable(address)
    legs = tuple(random.sample(range(1, 5), 2))
    event = RouteResolved(address, legs[0], None, prefix=range_of(address, 8 * len(address) - random.randrange(20)))
    return routes.Answer(event, legs, random.choice((254, 100)), random.random() < 0.1, random.random() < 0.1)


@families()
def test_the_index_finds_what_a_walk_finds(family: Family) -> None:
    random, tracked = Random(11), Tracked()
    answers: dict[Address, routes.Answer] = {}
    for _ in range(500):
        address = host(family, 1)[:-2] + random.randbytes(2)
        if random.random() < 0.2 and answers:
            gone = random.choice(list(answers))
            tracked.remove(gone)
            tracked.remove(gone)
            del answers[gone]
        answer = random_answer(random, address)
        changed = tracked.store(address, b"", answer)
        assert changed is (address not in answers or answers[address].event != answer.event)
        answers[address] = answer
    assert tracked.addresses() == sorted(answers)
    assert len(tracked) == len(answers)
    for _ in range(500):
        prefix = range_of(random.choice(list(answers)), random.randrange(family.bits + 1))
        table = random.choice((254, 100, 255))
        expected = [a for a, answer in sorted(answers.items()) if concerns(answer, prefix, table)]
        assert tracked.covered(prefix, table) == expected
    nowhere = {a for a, answer in answers.items() if answer.event.ifindex is None}
    for ifindex in range(1, 6):
        assert set(tracked.by_interface(ifindex)) == nowhere | {a for a in answers if ifindex in answers[a].legs}
    assert set(tracked.by_object()) == nowhere | {a for a in answers if answers[a].by_object}
    assert set(tracked.by_source()) == {a for a in answers if answers[a].by_source}


def concerns(answer: routes.Answer, prefix: Prefix, table: int) -> bool:
    """Whether a change of a route can alter an answer."""
    known = answer.event.prefix
    shadowed = known is not None and answer.table == table and known.length > prefix.length
    return prefix.covers(answer.event.address) and not shadowed
