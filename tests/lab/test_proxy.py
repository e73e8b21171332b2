"""Proxying seen working: igmpproxy and ours from one file, chains, LANs, hosts of every version, links that fail."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from .helpers import eventually, in_a_row
from .kernel import mfc
from .needs import missing
from .paths import PIMPYD
from .pimpyd import Pimpyd
from .proxies import Program
from .shell import LabError, wait_until
from .topology import Lab, Node, Port
from .traffic import Receiver, Sender, Watcher, reports

pytestmark = pytest.mark.usefixtures("pimpyd")

QUICK = "no phyint\n"


def group(family: int, number: int = 1) -> str:
    return f"239.1.1.{number}" if family == 4 else f"ff0e::1:{number:x}"


def star(lab: Lab, *names: str) -> list[Node]:
    """A router and hosts around it."""
    r = lab.router("r")
    hosts = [lab.host(name) for name in names]
    for host in hosts:
        lab.link(host, r)
    lab.start()
    return [r, *hosts]


def arrived(receiver: Watcher) -> list[str]:
    return sorted({found for _, found in receiver.streams()})


def flows(receiver: Receiver, *groups: str) -> bool:
    """Whether something of each of the groups, and of no other, arrives within a quarter of a second."""
    receiver.reset()
    time.sleep(0.25)
    return arrived(receiver) == list(groups)


# igmpproxy


FILE = """
quickleave
phyint src upstream ratelimit 0 threshold 1
    altnet 10.77.0.0/16
phyint a downstream ratelimit 0 threshold 1
    whitelist 239.1.1.0/24
phyint b downstream
phyint c disabled
"""


def run_igmpproxy(daemon: Program, nodes: list[Node]) -> dict[str, object]:
    """Streams through it: what arrives where, and what it is a member of upstream."""
    r, src, a, b, c = nodes
    daemon.start("-n", "/run/igmpproxy.conf", interfaces=3)
    wanted = [(None, "239.1.1.1"), (None, "239.2.2.2")]
    receivers = [Receiver(node.port("r"), wanted) for node in (a, b, c)]
    sender = Sender(src.port("r"), ["239.1.1.1", "239.1.1.2", "239.2.2.2"], rate=150)
    receivers[0].wait_for(30)
    wait_until(lambda: len(arrived(receivers[1])) == 2, 20, "both at b")
    told: dict[str, object] = {"arrived": [arrived(receiver) for receiver in receivers]}
    receivers[1].leave()
    receivers[1].wait_silent(1.0, 40)
    receivers[0].wait_for(20)
    if daemon.ours:
        wait_until(lambda: _ways_out(r, "239.1.1.1") == [frozenset({"a"})], 20, "b has left")
    sender.stop()
    assert daemon.stop() == 0
    for receiver in receivers:
        receiver.stop()
    return told


def _ways_out(node: Node, group: str) -> list[frozenset[str]]:
    return [entry.oifs for (_, found), entry in mfc(node, 4).items() if found == group]


def test_igmpproxy_the_same_file_does_the_same(lab: Lab, igmpproxy: None) -> None:
    nodes = star(lab, "src", "a", "b", "c")
    ours = run_igmpproxy(Program(nodes[0], "igmpproxy", FILE), nodes)
    theirs = run_igmpproxy(Program(nodes[0], "igmpproxy", FILE, ours=False), nodes)
    assert ours["arrived"] == theirs["arrived"] == [["239.1.1.1"], ["239.1.1.1", "239.2.2.2"], []]


@pytest.mark.parametrize(
    ("args", "text", "code"),
    [
        ((), "", 1),
        (("-x",), "", 1),
        (("-h",), "", 0),
        (("FILE", "FILE"), "phyint a upstream", 1),
        (("-d", "/nonexistent/file"), "", 255),
        (("-n", "FILE"), "phyint a bogus", 255),
        (("-n", "FILE"), "", 255),
    ],
)
def test_igmpproxy_exit_codes(tmp_path: Path, args: tuple[str, ...], text: str, code: int) -> None:
    import subprocess

    from .paths import PIMPYD

    (tmp_path / "igmpproxy").symlink_to(PIMPYD)
    file = tmp_path / "f.conf"
    file.write_text(text)
    argv = [str(tmp_path / "igmpproxy"), *(arg.replace("FILE", str(file)) for arg in args)]
    assert subprocess.run(argv, capture_output=True, timeout=20).returncode == code


# Chains, and sources downstream.


def test_two_proxies_in_a_chain_and_a_source_downstream(lab: Lab) -> None:
    src, p1, p2, h = in_a_row(lab, "src", "p1", "p2", "h")
    Pimpyd(p1, QUICK + "proxy one upstream src downstream p2\n").start()
    Pimpyd(p2, QUICK + "proxy two upstream p1 downstream h\n").start()
    for family in (4, 6):
        play_chain(family, src, p1, p2, h)


def play_chain(family: int, src: Node, p1: Node, p2: Node, h: Node) -> None:
    far = Receiver(h.port("p2"), [(None, group(family)), (src.port("p1").address(family), group(family, 2))])
    sender = Sender(src.port("p1"), [group(family), group(family, 2)], rate=200)
    wait_until(lambda: arrived(far) == sorted([group(family), group(family, 2)]), 30, "both streams arrive")
    far.reset()
    far.wait_for(200)
    for stream in far.streams().values():
        assert (stream.lost, stream.duplicates, stream.ttls) == (0, 0, (14,)), stream
    near = Watcher(src.port("p1"), family)
    back = Sender(h.port("p2"), [group(family, 3)], rate=100)
    near.wait_for(50)
    assert near.stream(group=group(family, 3)).duplicates == 0
    back.stop()
    far.leave()
    far.wait_silent()
    watcher = Watcher(p2.port("p1"), family)
    watcher.wait_silent()
    sender.stop()


# Hosts of every version.


def test_members_of_every_version(lab: Lab) -> None:
    """EXCLUDE and INCLUDE hosts; a host of an older version can only want a group."""
    r, src, v3, v2, v1 = star(lab, "src", "v3", "v2", "v1")
    v2.sysctl(ipv4__conf__all__force_igmp_version=2, ipv6__conf__all__force_mld_version=1)
    v1.sysctl(ipv4__conf__all__force_igmp_version=1, ipv6__conf__all__force_mld_version=1)
    Pimpyd(r, QUICK + "proxy tv upstream src downstream v3 v2 v1\n").start()
    senders, receivers = [], []
    for family in (4, 6):
        source = src.port("r").address(family)
        names = [group(family, number) for number in range(1, 5)]
        senders.append(Sender(src.port("r"), names, rate=200))
        receivers.append((Receiver(v3.port("r"), [(source, names[0]), (None, names[1])]), names[:2]))
        receivers.append((Receiver(v2.port("r"), [(None, names[2])]), [names[2]]))
        receivers.append((Receiver(v1.port("r"), [(None, names[3])]), [names[3]]))
    for receiver, wanted in receivers:
        wait_until(lambda one=receiver, all_=wanted: arrived(one) == all_, 30, f"{wanted}")  # type: ignore[misc]
    for receiver, (own, other) in (receivers[0], receivers[3]):
        excluded = (src.port("r").address(4 if "." in other else 6), other)
        receiver.block(excluded)
        wait_until(partial(flows, receiver, own), 30, "what it excludes ends, and nothing else")
        receiver.block(excluded, on=False)
        wait_until(partial(flows, receiver, own, other), 30, "and comes again")
    for receiver, _ in receivers:
        receiver.leave()
    for receiver, _ in receivers[:2]:
        receiver.wait_silent(1.0, 30)
    for sender in senders:
        sender.stop()


# Links that fail, daemons that are restarted.


def test_upstream_down_and_up(lab: Lab) -> None:
    """The members stay, and the streams are back with the link."""
    src, r, h = lab.host("src"), lab.router("r"), lab.host("h")
    up = lab.lan("up", src, r)
    lab.link(r, h)
    lab.start()
    daemon = Pimpyd(r, QUICK + "proxy tv upstream up downstream h\n").start()
    receivers = {family: Receiver(h.port("r"), [(None, group(family))]) for family in (4, 6)}
    senders = [Sender(src.port(up), [group(family)], rate=200) for family in (4, 6)]
    for receiver in receivers.values():
        receiver.wait_for(50)
    r.port(up).set_carrier(False)
    for family, receiver in receivers.items():
        receiver.wait_silent(0.5)
        before = daemon.show("igmp groups" if family == 4 else "mld groups", family)
        assert group(family) in [row["group_address"] for row in before if row["row"] == "group"]
    r.port(up).set_carrier(True)
    for receiver in receivers.values():
        receiver.wait_for(50, 30)
    for sender in senders:
        sender.stop()


def test_restart_of_the_worker_loses_nothing(lab: Lab) -> None:
    r, src, h = star(lab, "src", "h")
    daemon = Pimpyd(r, QUICK + "igmp-query-interval 8\nproxy tv upstream src downstream h\n").start()
    receivers = {family: Receiver(h.port("r"), [(None, group(family))]) for family in (4, 6)}
    senders = [Sender(src.port("r"), [group(family)], rate=250) for family in (4, 6)]
    for receiver in receivers.values():
        receiver.wait_for(50)
    worker = daemon.pids()[1]
    os.kill(worker, signal.SIGKILL)
    eventually(daemon, lambda: daemon.answers() and worker not in daemon.pids(), "another worker")
    time.sleep(4)
    for family, receiver in receivers.items():
        key = src.port("r").address(family), group(family)
        eventually(daemon, lambda k=key: daemon.entry(*k) is not None, f"the entry of {key}")  # type: ignore[misc]
        receiver.wait_for(50)
    for sender in senders:
        sender.stop()
    for receiver in receivers.values():
        stream = receiver.stream()
        assert (stream.lost, stream.duplicates) == (0, 0), stream


def test_two_proxies_on_one_lan_send_nothing_twice(lab: Lab) -> None:
    src, p1, p2, h = lab.host("src"), lab.router("p1"), lab.router("p2"), lab.host("h")
    lab.lan("up", src, p1, p2)
    lab.lan("down", p1, p2, h)
    lab.start()
    daemons = [
        Pimpyd(p, QUICK + "igmp-query-interval 8\nproxy tv upstream up downstream down\n").start() for p in (p1, p2)
    ]
    for daemon in daemons:
        _await_querier(daemon, p1.port("down").ipv4)
    receivers = [Receiver(h.port("down"), [(None, group(family))]) for family in (4, 6)]
    senders = [Sender(src.port("up"), [group(family)], rate=200) for family in (4, 6)]
    for receiver in receivers:
        receiver.wait_for(50)
        receiver.reset()
        receiver.wait_for(200)
        assert (receiver.stream().duplicates, receiver.stream().lost) == (0, 0), receiver.stream()
    watcher = Watcher(src.port("up"), 4)
    back = Sender(h.port("down"), [group(4, 9)], rate=100)
    watcher.wait_for(100)
    assert watcher.stream(group=group(4, 9)).duplicates == 0
    for sender in (*senders, back):
        sender.stop()


def _await_querier(daemon: Pimpyd, address: str) -> None:
    """Until the lower address queries."""
    eventually(daemon, lambda: _querier(daemon) == address, "the lower address queries")


def _querier(daemon: Pimpyd) -> str | None:
    rows = [row for row in daemon.show("igmp interfaces", 4) if row["interface"] == "down"]
    return str(rows[0]["querier"]) if rows else None


def test_a_thousand_groups_at_once(lab: Lab, captures: None) -> None:
    """Reported upstream within seconds (mcproxy needs up to two minutes), and left again, in a few reports each."""
    r, src, h = star(lab, "src", "h")
    daemon = Pimpyd(r, QUICK + "proxy tv upstream src downstream h\n").start()
    capture = src.port("r").link.capture("igmp and src host " + r.port("src").ipv4)

    def groups() -> int:
        return sum(row["row"] == "group" for row in daemon.show("igmp groups", 4))

    began = reports(h.port("r"), src.port("r").ipv4, "232.1.0.1", 1000, times=1, pause=0.0)
    wait_until(lambda: groups() == 1000, 20, "all are members")
    left = reports(h.port("r"), src.port("r").ipv4, "232.1.0.1", 1000, join=False, times=1, pause=0.0)
    wait_until(lambda: groups() == 0, 30, "nobody is")
    time.sleep(1.5)  # until all is said once more
    rows = capture.fields("igmp.type == 0x22", "frame.time_epoch", "igmp.record_type", "igmp.maddr")
    joined, gone = _first_said(rows, "5"), _first_said(rows, "6")
    assert len(joined) == len(gone) == 1000
    print(f"joined upstream in {max(joined.values()) - began:.2f} s, left in {max(gone.values()) - left:.2f} s")
    assert max(joined.values()) - began < 10 and max(gone.values()) - left < 20
    joins, leaves = ([row for row in rows if kind in row[1].split(",")] for kind in "56")
    assert len(joins) <= 40 and len(leaves) <= 40, "nine would hold them; said twice, by parts as they came in"


def _first_said(rows: list[list[str]], kind: str) -> dict[str, float]:
    """When each group was first in a record of this type."""
    seen: dict[str, float] = {}
    for when, kinds, addresses in rows:
        for found, address in zip(kinds.split(","), addresses.split(","), strict=True):
            if found == kind:
                seen.setdefault(address, float(when))
    return seen


class Tap:
    """An end of a tunnel: a tap interface, as a VPN makes it."""

    TOOL = Path(__file__).parent / "tools" / "tap.py"

    def __init__(self, node: Node, towards: Node, number: int) -> None:
        self.node, self.name = node, "tap0"
        ours, theirs = node.port(towards).ipv4, towards.port(node).ipv4
        node.start("tap", sys.executable, "-I", str(self.TOOL), "tap0", ours, theirs)
        node.lab.wait(lambda: "tap0" in node.ip("link", check=False), 10, "a tap interface")
        node.ip("link", "set", "tap0", "up")
        for address in (f"10.99.0.{number}/24", f"fe80::{number}/64", f"fd00:99::{number}/64"):
            node.ip("address", "add", address, "dev", "tap0", *(("nodad",) if ":" in address else ()))


def test_a_tap_tunnel_as_downstream(lab: Lab) -> None:
    """It comes when the daemon runs already, goes with its process, and comes again."""
    if not Path("/dev/net/tun").exists():
        missing("/dev/net/tun")
    r, src, h = star(lab, "src", "h")
    daemon = Pimpyd(r, QUICK + "proxy tv upstream src downstream tap+\n").start()
    here, there = Tap(r, h, 1), Tap(h, r, 2)
    assert here.name == there.name
    for family in (4, 6):
        receiver = Receiver(cast(Port, there), [(None, group(family))])
        sender = Sender(src.port("r"), [group(family)], rate=100)
        receiver.wait_for(50, 30)
        assert daemon.outgoing(src.port("r").address(family), group(family)) == {"tap0"}
        sender.stop()
        receiver.stop()


# Tables of their own.


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_two_providers_that_number_alike(lab: Lab, family: int) -> None:
    """Each has a table: a stream of the same source and group comes from both, and members get their own one's."""
    east, west, a, b, r = lab.host("east"), lab.host("west"), lab.host("a"), lab.host("b"), lab.router("r")
    for host in (east, west, a, b):
        lab.link(host, r)
    lab.start()
    source = "10.77.0.1" if family == 4 else "fd00:77::1"
    for provider in (east, west):
        provider.ip(
            "address", "add", f"{source}/{32 if family == 4 else 128}", "dev", "r", *(("nodad",) if family == 6 else ())
        )
    r.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__east__rp_filter=0, ipv4__conf__west__rp_filter=0)
    text = QUICK + "proxy one upstream east downstream a table 11\nproxy two upstream west downstream b table 12\n"
    record = r.folder / "record"
    daemon = Pimpyd(r, text, args=("--record", str(record))).start()
    receivers = [Receiver(host.port("r"), [(None, group(family))]) for host in (a, b)]
    senders = [Sender(east.port("r"), [group(family)], rate=200, source=source)]
    receivers[0].wait_for(100)
    receivers[1].wait_silent(0.5)
    senders.append(Sender(west.port("r"), [group(family)], rate=200, source=source))
    receivers[1].wait_for(100)
    entries = [row for row in daemon.show("mroute", family) if row["row"] == "entry"]
    assert sorted((row["table"], row["source_address"], row["incoming_interface"]) for row in entries) == [
        (11, source, "east"),
        (12, source, "west"),
    ]
    proxies = [row for row in daemon.show("proxy", family) if row["row"] == "proxy"]
    assert {row["proxy"]: row["table"] for row in proxies} == {"one": 11, "two": 12}
    for receiver in receivers:
        receiver.reset()
    (_kill_worker if family == 4 else _take_another_table)(daemon, text)
    for receiver in receivers:
        receiver.wait_for(100)
    stream = receivers[1].stream()
    assert (stream.lost, stream.duplicates) == (0, 0), "what stays in its table does not notice"
    rules = ("-6",) if family == 6 else ()
    assert f"iif east lookup {11 if family == 4 else 13}" in r.ip(*rules, "mrule", "show")
    for sender in senders:
        sender.stop()
    assert daemon.stop() == 0
    assert "lookup 1" not in r.ip(*rules, "mrule", "show"), "all is taken back"
    said = subprocess.run([PIMPYD, "--replay", f"{record}.1"], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said
    table = f"ipv{family} table 12:"
    assert any(
        line.startswith(table) and line.endswith("the same effects and state") for line in said.stdout.splitlines()
    )


def _kill_worker(daemon: Pimpyd, text: str) -> None:
    worker = daemon.pids()[1]
    os.kill(worker, signal.SIGKILL)
    eventually(daemon, lambda: daemon.answers() and worker not in daemon.pids(), "another worker")


def _take_another_table(daemon: Pimpyd, text: str) -> None:
    """A reload by which one of the proxies has another table."""
    daemon.config.write_text(text.replace("table 11", "table 13"))
    os.kill(daemon.process.pid, signal.SIGHUP)
    eventually(daemon, lambda: _tables(daemon, 6) == {13, 12}, "the other table")


def _tables(daemon: Pimpyd, family: int) -> set[int]:
    """The tables of the proxies; none while it starts again, when an answer may be cut off."""
    with contextlib.suppress(OSError, ValueError, KeyError, LabError):
        return {row["table"] for row in daemon.show("proxy", family) if row["row"] == "proxy"}
    return set()


# Everything in one daemon.


def test_pim_a_proxy_and_a_static_route_in_one_daemon(lab: Lab) -> None:
    """A studio with PIM inside, a provider's link proxied, and a static route for a device that speaks nothing."""
    r, r2 = lab.router("r"), lab.router("r2")
    names = ("mic", "isp", "tv", "cam", "rec")
    mic, isp, tv, cam, rec = (lab.host(name) for name in names)
    studio = lab.host("studio")
    for host in (mic, isp, tv, cam, rec):
        lab.link(host, r)
    lab.link(r, r2), lab.link(r2, studio)
    lab.start()
    text = (
        "hello-interval 5\ntriggered-hello-delay 0\n"
        "proxy tv upstream isp downstream tv\n"
        "mroute from cam group 239.9.9.9 to rec\nmroute from cam group ff0e::9:9 to rec\n"
    )
    daemon = Pimpyd(r, text).start()
    Pimpyd(r2).start()
    for family in (4, 6):
        _everything(daemon, (mic, isp, tv, cam, rec, studio), family)


def _everything(daemon: Pimpyd, hosts: tuple[Node, ...], family: int) -> None:
    mic, isp, tv, cam, rec, studio = hosts
    channel = "232.1.1.1" if family == 4 else "ff3e::8000:1"
    fixed = "239.9.9.9" if family == 4 else "ff0e::9:9"
    source = mic.port("r").address(family)
    receivers = [
        Receiver(studio.port("r2"), [(source, channel)]),
        Receiver(tv.port("r"), [(None, group(family))]),
        Watcher(rec.port("r"), family),
    ]
    senders = [
        Sender(mic.port("r"), [channel], rate=200),
        Sender(isp.port("r"), [group(family)], rate=200),
        Sender(cam.port("r"), [fixed], rate=200),
    ]
    for receiver in receivers:
        receiver.wait_for(100, 60)
        receiver.reset()
        receiver.wait_for(200)
        stream = receiver.stream()
        assert (stream.lost, stream.duplicates) == (0, 0), stream
    rows = {row["group"]: row for row in daemon.show("mroute", family) if row["row"] == "entry"}
    assert (rows[channel]["mode"], rows[group(family)]["mode"], rows[fixed]["mode"]) == ("pim_ssm", "proxy", "static")
    assert {row["interface"]: row["mode"] for row in daemon.show("interfaces", family)}["isp"] == "proxy"
    for sender in senders:
        sender.stop()
    for receiver in receivers:
        receiver.stop()
