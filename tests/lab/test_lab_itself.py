"""The lab is what it claims to be: addresses, routes, streams, losses, captures, cleaning up, and its peers forward."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from . import cleaning, needs
from .capture import EVERYTHING, complaints
from .frr import Frr
from .kernel import forwards, mfc, vifs
from .paths import STATE
from .pimd import Pimd
from .shell import LabError, wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender, Watcher, ssm_group

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def chain(lab: Lab, routers: int) -> list[Node]:
    """src - r1 - ... - rN - h."""
    nodes = [lab.host("src"), *(lab.router(f"r{number + 1}") for number in range(routers)), lab.host("h")]
    for left, right in itertools.pairwise(nodes):
        lab.link(left, right)
    lab.start()
    return nodes


@FAMILIES
def test_a_stream_is_counted_on_a_lan(lab: Lab, family: int) -> None:
    a, b, c = (lab.host(name) for name in "abc")
    lab.lan("lan", a, b, c)
    lab.start()
    source, group = a.port("lan").address(family), ssm_group(family)
    receiver = Receiver(b.port("lan"), [(source, group)])
    watcher = Watcher(c.port("lan"), family)
    sent = Sender(a.port("lan"), [group], rate=5000, count=5000).wait_done()
    for one in (receiver, watcher):
        stream = one.stream(source, group)
        assert (stream.received, stream.lost, stream.duplicates, stream.reordered) == (5000, 0, 0, 0)
        assert stream.outage == 0 and stream.ttls == (16,)
        assert abs(stream.last_time - sent.last_time) < 1
    receiver.leave()
    Sender(a.port("lan"), [group], count=10).wait_done()
    assert receiver.received() == 5000 and watcher.received() == 5010


@FAMILIES
def test_losses_and_outages_are_seen(lab: Lab, family: int) -> None:
    a, b = lab.host("a"), lab.host("b")
    lab.link(a, b)
    lab.start()
    receiver = Receiver(b.port(a), [(None, "239.1.1.1" if family == 4 else "ff1e::1")])
    sender = Sender(a.port(b), [receiver.memberships[0][1]], rate=1000)
    receiver.wait_for(100)
    b.lose(100, "udp dport 5000")
    time.sleep(0.3)
    b.lose(0)
    receiver.wait_for(100)
    stream = receiver.stream()
    assert 0.3 < stream.outage < 3 and stream.largest_gap > 0.3
    assert stream.lost == pytest.approx(stream.outage * 1000, rel=0.5)
    b.lose(30, "udp dport 5000")
    receiver.reset()
    receiver.wait_for(500)
    stream = receiver.stream()
    assert 0.1 < stream.lost / (stream.lost + stream.received) < 0.5
    sender.stop()


def test_routes_follow_the_shortest_path(lab: Lab) -> None:
    a, b, c, d = (lab.router(name) for name in "abcd")
    ab, bd, ac, cd = lab.link(a, b), lab.link(b, d), lab.link(a, c, cost=5), lab.link(c, d)
    lab.start()
    assert lab.shortest_paths()[a][cd] is ab.ports[b]
    route = a.ip_json("-6", "route", "show", cd.prefix(6))
    assert [(one["gateway"], one["dev"]) for one in route] == [(ab.ports[b].link_local, "b")]
    bd.set_up(False)
    lab.reroute()
    assert a.ip_json("route", "show", cd.prefix(4))[0]["dev"] == "c"
    assert a.ip_json("-6", "route", "show", cd.prefix(6))[0]["dev"] == "c"
    bd.set_up(True)
    lab.reroute()
    assert a.ip_json("route", "show", cd.prefix(4))[0]["dev"] == "b"
    assert {one["dev"] for one in d.ip_json("route", "show", ac.prefix(4))} == {"c"}


def test_many_joins_by_one_program(lab: Lab) -> None:
    a, b = lab.host("a"), lab.host("b")
    lab.link(a, b)
    lab.start()
    for family in (4, 6):
        source = a.port(b).address(family)
        groups = [ssm_group(family, number) for number in range(2000)]
        receiver = Receiver(b.port(a), [(source, group) for group in groups])
        Sender(a.port(b), groups, rate=5000, count=2000).wait_done()
        assert {stream.received for stream in receiver.streams().values()} == {1}
        assert receiver.received() == 2000


@pytest.mark.usefixtures("captures")
def test_tshark_judges_what_a_node_sent(lab: Lab) -> None:
    a, b = lab.host("a"), lab.host("b")
    link = lab.link(a, b)
    lab.start()
    capture = link.capture(EVERYTHING)
    bad_igmp = "46c000200001000001020000 0a000101 e0000016 94040000 2200ffff00000001 01000000 e8010101"
    code = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW);"
        "s.setsockopt(0, 32, socket.inet_aton('10.0.1.1'));"
        f"s.sendto(bytes.fromhex('{bad_igmp}'), ('224.0.0.22', 0))"
    )
    a.run(sys.executable, "-c", code)
    wait_until(lambda: capture.path.stat().st_size > 24, 10, "a packet was captured")
    found = complaints(lab, [a])
    assert len(found) == 1 and "checksum" in found[0].lower(), found
    assert complaints(lab, [b]) == []


def test_a_lab_leaves_nothing(lab: Lab) -> None:
    a = lab.host("a")
    lab.link(a, lab.host("b"))
    lab.start()
    process = a.start("sleeper", "sleep", "1000")
    lab.close()
    assert process.returncode is not None
    assert not list(Path("/run/netns").glob(f"*{lab.claim.token}*"))
    assert not lab.claim.folder.exists()


def test_what_a_killed_run_left_is_swept() -> None:
    needs.need_lab()
    code = (
        "import sys, os, time; sys.path.insert(0, sys.argv[1]);"
        "from lab.topology import Lab; lab = Lab(); a = lab.host('a'); lab.link(a, lab.host('b')); lab.start();"
        "p = a.start('sleeper', 'sleep', '1000'); print(lab.claim.token, p.pid, flush=True); time.sleep(1000)"
    )
    tests = str(Path(__file__).parents[1])
    owner = subprocess.Popen([sys.executable, "-c", code, tests], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    token, pid = owner.stdout.readline().split()
    assert (STATE / token).exists() and list(Path("/run/netns").glob(f"*{token}*"))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10, "its programs died with it")
    cleaning.sweep()
    assert not (STATE / token).exists() and not list(Path("/run/netns").glob(f"*{token}*"))


def test_a_program_that_ends_is_reported(lab: Lab) -> None:
    a = lab.host("a")
    lab.start()
    process = a.start("failing", "sh", "-c", "echo it broke; exit 3")
    with pytest.raises(LabError, match="ended with 3:\nit broke"):
        wait_until(lambda: False, 10, "never", process.check_alive)


@pytest.mark.usefixtures("frr")
def test_three_frr_routers_forward(lab: Lab) -> None:
    source_host, *routers, host = chain(lab, 3)
    peers = [Frr(router, members=["h"]).start() for router in routers]
    for family in (4, 6):
        wait_until(partial(peers[1].has_neighbors, family, 2), 30, "FRR's neighbours")
        source, group = source_host.port("r1").address(family), ssm_group(family)
        receiver = Receiver(host.port("r3"), [(source, group)])
        sender = Sender(source_host.port("r1"), [group], rate=200)
        receiver.wait_for(100, 60)
        assert receiver.stream().ttls == (13,)
        assert (source, group) in peers[1].joined(family)
        assert ("h", group) in peers[2].members_of(family)
        assert forwards(routers[1], source, group) == {"r3"}
        assert mfc(routers[0], family)[source, group].iif == "src"
        assert set(vifs(routers[1], family).values()) >= {"r1", "r3"}
        sender.stop()


@pytest.mark.usefixtures("pimd")
def test_two_pimd_routers_forward(lab: Lab) -> None:
    source_host, *routers, host = chain(lab, 2)
    peers = [Pimd(router).start() for router in routers]
    lab.wait(lambda: peers[0].neighbors() and peers[1].neighbors(), 60, "pimd's neighbours")
    source, group = source_host.port("r1").ipv4, ssm_group(4)
    receiver = Receiver(host.port("r2"), [(source, group)])
    Sender(source_host.port("r1"), [group], rate=200)
    receiver.wait_for(100, 90)
    assert (source, group) in peers[0].entries()
    assert "h" in forwards(routers[1], source, group)
    assert os.path.exists(f"/proc/{peers[0].process.pid}")
