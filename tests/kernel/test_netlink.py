"""Links and addresses as events: what the kernel tells, in whatever way it changes, even if notices are lost."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from random import Random
from socket import AF_NETLINK, SOCK_RAW, socket

import pytest
from kernel_namespaces import Namespace, Trio, connect, eventually, families, host
from kernel_watch import Watch

from pimpy.core.engine.events import AddressesChanged, LinkChanged, LinkGone
from pimpy.kernel import rtnl
from pimpy.kernel.netlink import Netlink
from pimpy.wire.family import IPV4, IPV6, Family, parse_address

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(params=[IPV4, IPV6], ids=lambda family: family.name)
def watch(trio: Trio, request: pytest.FixtureRequest) -> Iterator[Watch]:
    made = Watch(trio.router, request.param)
    yield made
    made.close()


def ip_json(namespace: Namespace, *arguments: str) -> list[dict[str, object]]:
    done = subprocess.run(["ip", "-n", namespace.name, "-j", *arguments], capture_output=True, text=True, check=True)
    found: list[dict[str, object]] = json.loads(done.stdout or "[]")
    return found


def test_the_start_is_what_ip_shows(watch: Watch) -> None:
    shown = ip_json(watch.namespace, "-4" if watch.family is IPV4 else "-6", "addr")
    scope = {int(str(link["ifindex"])): link["addr_info"] for link in shown}
    expected = {
        ifindex: tuple((parse_address(a["local"]), a["prefixlen"]) for a in addresses)  # type: ignore[attr-defined]
        for ifindex, addresses in scope.items()
    }
    assert {ifindex: a for ifindex, a in watch.addresses.items() if a} == expected
    links = {int(str(link["ifindex"])): link for link in ip_json(watch.namespace, "link")}
    assert watch.links.keys() == links.keys() == watch.addresses.keys()
    for ifindex, link in links.items():
        told = watch.links[ifindex]
        flags = link["flags"]
        assert isinstance(flags, list)
        assert (told.name, told.mtu) == (link["ifname"], link["mtu"])
        assert (told.loopback, told.multicast) == ("LOOPBACK" in flags, "MULTICAST" in flags)
        assert told.running
    assert [type(event) for event in watch.events] == [LinkChanged] * 3 + [AddressesChanged] * 3


def test_an_interface_that_comes_and_goes(watch: Watch) -> None:
    router = watch.namespace
    for _ in range(5):
        router.ip("link add name new type veth peer name peer")
        ifindex = router.ifindex("new")
        watch.settle()
        assert watch.links[ifindex].name == "new"
        assert not watch.links[ifindex].running
        assert watch.addresses[ifindex] == ()
        router.ip(
            "link set new up", "link set peer up", "addr add 10.7.0.1/24 dev new", "addr add 2001:db8:7::1/64 dev new"
        )
        watch.settle()
        assert watch.links[ifindex].running
        assert watch.state == watch.fresh()
        router.ip("link del new")
        watch.settle()
        assert ifindex not in watch.links
        assert [event for event in watch.events if event == LinkGone(ifindex)] == [LinkGone(ifindex)]
        assert watch.state == watch.fresh()


def test_up_down_carrier_mtu_and_name(trio: Trio, watch: Watch) -> None:
    router = watch.namespace

    def told(**expected: object) -> None:
        # The kernel gathers changes of carrier for up to a second before it tells.
        watch.until(lambda: all(getattr(watch.links[trio.l], key) == value for key, value in expected.items()))
        watch.settle()
        assert watch.state == watch.fresh()

    router.ip("link set toleft down")
    told(running=False)
    router.ip("link set toleft up")
    told(running=True)
    trio.left.ip("link set eth down")
    told(running=False)
    trio.left.ip("link set eth up")
    told(running=True)
    router.ip("link set toleft mtu 1400")
    told(mtu=1400)
    router.ip("link set dev toleft name renamed")
    told(name="renamed", running=True)
    router.ip("link set dev renamed multicast off")
    told(multicast=False)
    assert not [event for event in watch.events if isinstance(event, LinkGone)]


def test_many_flaps(trio: Trio, watch: Watch) -> None:
    commands = ["link set toleft down", "link set toleft up"] * 100
    watch.namespace.ip(*commands, "link set toright down")
    watch.until(lambda: watch.links[trio.l].running and not watch.links[trio.r].running)
    watch.settle()
    assert watch.state == watch.fresh()


def test_a_bridge_port_is_no_link_that_goes(trio: Trio, watch: Watch) -> None:
    """The bridge sends messages of the same types for its ports; one that leaves the bridge is not gone."""
    router = watch.namespace
    router.ip("link add name bridge0 type bridge", "link set bridge0 up", "link set toleft master bridge0")
    watch.settle()
    router.ip("link set toleft nomaster")
    watch.settle()
    assert trio.l in watch.links
    assert not [event for event in watch.events if isinstance(event, LinkGone)]
    assert watch.state == watch.fresh()


def test_the_register_tunnel_is_no_link(trio: Trio, watch: Watch) -> None:
    from pimpy.kernel import _mroute
    from pimpy.kernel.sockets import open_sockets

    with watch.namespace:
        sockets = open_sockets(watch.family)
    _mroute.add_vif(sockets.mroute, watch.family.number, 9, 0, 1, True)
    watch.settle()
    _mroute.del_vif(sockets.mroute, watch.family.number, 9)
    watch.settle()
    assert {link.name for link in watch.links.values()} == {"lo", "toleft", "toright"}
    sockets.close()


def test_an_interface_that_moves_to_another_namespace_is_gone(trio: Trio, watch: Watch) -> None:
    watch.namespace.ip(f"link set toleft netns {trio.right.name}")
    watch.settle()
    assert trio.l not in watch.links
    assert watch.state == watch.fresh()


def test_addresses_come_and_go_in_the_kernels_order(trio: Trio, watch: Watch) -> None:
    router, four = watch.namespace, watch.family is IPV4

    def text(number: int) -> str:
        return f"10.0.1.{number}/24" if four else f"2001:db8:1::{number}/64"

    first = watch.addresses[trio.l]
    router.ip(*(f"addr add {text(n)} dev toleft{'' if four else ' nodad'}" for n in (30, 10, 20)))
    watch.settle()
    assert len(watch.addresses[trio.l]) == len(first) + 3
    assert watch.state == watch.fresh()
    router.ip(f"addr del {text(1)} dev toleft")  # IPv4's secondary addresses go with their primary one
    watch.settle()
    assert watch.state == watch.fresh()
    router.ip("addr flush dev toleft")
    watch.settle()
    assert watch.addresses[trio.l] == ()
    router.ip(f"addr add {text(5)} dev toleft{'' if four else ' nodad'}")
    watch.settle()
    assert watch.addresses[trio.l] == ((host(watch.family, 1, 5), 24 if four else 64),)


def test_addresses_of_the_other_family_are_no_event(trio: Trio, watch: Watch) -> None:
    before = len(watch.events)
    other = "2001:db8:5::1/64 dev toleft nodad" if watch.family is IPV4 else "10.5.0.1/24 dev toleft"
    watch.namespace.ip(f"addr add {other}", f"addr del {other.removesuffix(' nodad')}")
    watch.settle()
    assert len(watch.events) == before


def test_a_point_to_point_address(trio: Trio) -> None:
    trio.router.ip(
        "addr add 10.3.0.1 peer 10.3.0.2/32 dev toleft",
        "addr add 2001:db8:3::1 peer 2001:db8:3::2/128 dev toleft nodad",
    )
    for family, text, length in ((IPV4, "10.3.0.1", 32), (IPV6, "2001:db8:3::1", 128)):
        watch = Watch(trio.router, family)
        assert (parse_address(text), length) in watch.addresses[trio.l]
        watch.close()


def test_an_ipv6_address_is_left_out_until_it_is_usable(trio: Trio) -> None:
    trio.router.sysctl("ipv6/conf/toleft/accept_dad", 1)
    trio.router.sysctl("ipv6/conf/toleft/dad_transmits", 3)
    watch = Watch(trio.router, IPV6)
    wanted = (host(IPV6, 1, 55), 64)
    trio.router.ip("addr add 2001:db8:1::55/64 dev toleft")
    watch.settle(0.05)
    assert wanted not in watch.addresses[trio.l]
    watch.until(lambda: wanted in watch.addresses[trio.l])
    trio.router.ip("addr add 2001:db8:1::2/64 dev toleft")  # the host on the left has it
    shown = eventually(
        lambda: [
            a for link in ip_json(trio.router, "-6", "addr", "show", "dadfailed") for a in link.get("addr_info", [])
        ]
    )  # type: ignore[union-attr,attr-defined]
    assert shown[0]["local"] == "2001:db8:1::2"
    watch.settle()
    assert host(IPV6, 1, 2) not in dict(watch.addresses[trio.l])
    assert watch.state == watch.fresh()
    watch.close()


@families()
def test_lost_notices_are_made_good_by_a_dump(trio: Trio, family: Family) -> None:
    """A receive buffer of the least size, and far more changes than it holds before anybody reads."""
    watch = Watch(trio.router, family, buffer=1)
    watch.resolve(*(host(family, n, 9) for n in range(1, 9)))
    commands = []
    for n in range(1000):
        text = f"10.9.{n % 250}.1/24" if family is IPV4 else f"2001:db8:9:{n % 250:x}::1/64"
        verb = "add" if n // 250 % 2 == 0 else "del"
        commands.append(f"addr {verb} {text} dev toleft{' nodad' if verb == 'add' and family is IPV6 else ''}")
    trio.router.ip(*commands[:-100])
    trio.router.ip("link set toright down", "link add name later type veth peer name peer", "link set later mtu 1300")
    trio.router.ip("link del toright" if family is IPV4 else "link set dev toright name gone")
    started = time.monotonic()
    watch.settle()
    assert time.monotonic() - started < 1.12 + 0.5
    assert watch.netlink.overruns > 0
    assert watch.state == watch.fresh()
    watch.close()


@families()
def test_an_overrun_while_changes_go_on(trio: Trio, family: Family) -> None:
    watch = Watch(trio.router, family, buffer=1)
    watch.resolve(host(family, 1, 9), host(family, 7, 9))
    text = "10.0.7.1/24" if family is IPV4 else "2001:db8:7::1/64"
    flap = [f"addr add {text} dev toleft{'' if family is IPV4 else ' nodad'}", f"addr del {text} dev toleft"]
    commands = "\n".join(flap * 500 + flap[:1]) + "\n"
    child = subprocess.Popen(
        ["ip", "-n", trio.router.name, "-batch", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdin is not None
    child.stdin.write(commands)
    child.stdin.close()
    while child.poll() is None:
        watch.turn(0.01)
    watch.settle()
    assert watch.state == watch.fresh()
    assert watch.routes[host(family, 7, 9)].ifindex == trio.l
    watch.close()


def test_TH67_nobody_but_the_kernel_is_heard(trio: Trio, watch: Watch) -> None:
    notices, _ = watch.netlink.filenos()
    with socket(fileno=os.dup(notices)) as borrowed:
        port = borrowed.getsockname()[0]
    message = struct.pack("=IHHIIBxHiII", 32, rtnl.DELLINK, 0, 0, 0, 0, 1, trio.l, 0, 0xFFFFFFFF)
    with watch.namespace, socket(AF_NETLINK, SOCK_RAW, 0) as foreign:
        foreign.sendto(message, (port, 0))
    assert watch.settle() == []
    assert trio.l in watch.links


class Script:
    """Stands in for `rtnl.receive`: gives datagrams that a function makes of the request's number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Callable[[int], bytes | OSError | None]) -> None:
        self.answers = list(answers)
        self.sent = 0
        monkeypatch.setattr(rtnl, "receive", self.receive)

    def receive(self, opened: socket, how: int = 0) -> bytes | None:
        if how:
            return None
        answer = self.answers.pop(0)(self.sent)
        if isinstance(answer, OSError):
            raise answer
        return answer


def message(kind: int, sequence: int, body: bytes = b"", flags: int = 2) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def test_an_interrupted_dump_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    done = struct.pack("=i", 0)
    query = rtnl.Query()
    Script(
        monkeypatch,
        lambda _: message(16, 1, b"old!", 2 | 0x10),
        lambda _: message(3, 1, done),
        lambda _: message(16, 1, b"late") + message(16, 2, b"new!"),
        lambda _: message(3, 2, done, 2 | 0x10),
        lambda _: message(16, 3, b"good") + message(3, 3, done),
    )
    assert [m[16:] for m in query.dump(18, 0)] == [b"good"]
    query.close()


def test_a_dump_that_is_interrupted_for_ever_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    query = rtnl.Query()
    Script(monkeypatch, *(lambda _, n=n: message(3, n, bytes(4), 0x12) for n in range(1, 9)))  # type: ignore[misc]
    with pytest.raises(OSError) as caught:
        query.dump(18, 0)
    assert caught.value.errno == errno.EAGAIN
    query.close()


def test_a_dump_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    query = rtnl.Query()
    Script(monkeypatch, lambda _: message(2, 1, struct.pack("=i", -16)))
    with pytest.raises(OSError, match="dump failed"):
        query.dump(18, 0)
    Script(monkeypatch, lambda _: None)
    with pytest.raises(OSError, match="half-way"):
        query.dump(18, 0)
    query.close()


def test_a_dump_that_cannot_be_had_now_is_had_later(trio: Trio, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events are late, not lost."""
    real, failures = rtnl.Query.dump, [errno.EAGAIN, errno.EBUSY]

    def dump(self: rtnl.Query, kind: int, family: int) -> list[bytes]:
        if failures:
            raise OSError(failures.pop(), "for the moment")
        return real(self, kind, family)

    monkeypatch.setattr(rtnl.Query, "dump", dump)
    text = "10.4.0.1/24" if watch.family is IPV4 else "2001:db8:4::1/64"
    watch.namespace.ip(f"addr add {text} dev toleft")
    watch.settle()
    assert failures == []
    assert watch.state == watch.fresh()


def test_answers_that_are_lost_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    query = rtnl.Query()
    Script(monkeypatch, lambda _: message(24, 1, b"one!"), lambda _: OSError(errno.ENOBUFS, "lost"))
    first, second = query.ask([bytes(16), bytes(16)], 26)
    assert first is not None
    assert second is None
    query.close()


def changes(family: Family, name: str, number: int, random: Random) -> list[str]:
    """What may happen to an interface, as commands of ip(8)."""
    if family is IPV4:
        text, prefix = f"10.0.{number}.1/24 dev {name}", f"10.0.{number}.0/24 dev {name}"
    else:
        text, prefix = f"2001:db8:{number:x}::1/64 dev {name} nodad", f"2001:db8:{number:x}::/64 dev {name}"
    return [
        f"link set {name} up",
        f"link set {name} up; addr replace {text}",
        f"link set {name} down",
        f"link set p{name} {random.choice(('up', 'down'))}",
        f"addr replace {text}",
        f"addr flush dev {name}",
        f"link set {name} mtu {random.choice((1300, 1400, 1500))}",
        f"link set {name} up; link set p{name} up; route replace {prefix} metric 5",
        f"link del {name}",
    ]


def test_random_changes_end_where_a_fresh_start_begins(watch: Watch, trio: Trio) -> None:
    """Whatever happens in whatever order, the events add up to what is."""
    random, router, family = Random(7), watch.namespace, watch.family
    watch.resolve(*(host(family, n, 9) for n in range(1, 12)))
    names = [f"v{n}" for n in range(6)]
    there: set[str] = set()
    for _ in range(150):
        name = random.choice(names)
        if name not in there:
            router.ip(f"link add name {name} type veth peer name p{name}", f"link set p{name} up")
            there.add(name)
            continue
        command = random.choice(changes(family, name, names.index(name) + 3, random))
        if command.startswith("link del"):
            there.discard(name)
        router.ip(*command.split("; "))
        if random.random() < 0.2:
            watch.turn()
    watch.settle(1.2)
    assert watch.state == watch.fresh()


@families()
def test_inside_an_event_loop(trio: Trio, family: Family) -> None:
    """Two descriptors for `add_reader`, nothing else."""
    watch = Watch(trio.router, family)

    async def follow() -> None:
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()

        def readable(fd: int) -> None:
            watch.take(watch.netlink.receive(fd))
            if watch.routes[host(family, 50)].ifindex is not None:
                seen.set()

        for fd in watch.netlink.filenos():
            loop.add_reader(fd, readable, fd)
        watch.resolve(host(family, 50))
        trio.router.ip(
            "route add 10.0.50.0/24 via 10.0.2.2" if family is IPV4 else "route add 2001:db8:50::/64 via 2001:db8:2::2"
        )
        await asyncio.wait_for(seen.wait(), 5)
        for fd in watch.netlink.filenos():
            loop.remove_reader(fd)

    asyncio.run(follow())
    watch.close()


def test_no_descriptor_is_left_behind(trio: Trio) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with trio.router:
        for family in (IPV4, IPV6):
            netlink = Netlink(family)
            netlink.start()
            netlink.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_connecting_namespaces_is_seen_from_both_sides(namespace: Namespace) -> None:
    other = Namespace()
    watches = [Watch(one, IPV4) for one in (namespace, other)]
    connect(namespace, "here", other, "there")
    for watch, name in zip(watches, ("here", "there"), strict=True):
        watch.until(lambda w=watch, n=name: any(link.name == n and link.running for link in w.links.values()))  # type: ignore[misc]
        watch.close()
