"""In pimd's place: six networks run with Debian's pimd 2.3.2, then with ours from the same files.

The same stream arrives at the same members, the dump has the same tables and columns and the same entries, and the
text socket has pimd 3.0's tables.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest

from .pimd import Pimd
from .pimpyd import Pimpyd
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender

pytestmark = pytest.mark.usefixtures("pimd", "pimpyd")

GROUP = "239.1.1.1"
CONFIG = """# as an operator has it
default-route-distance 101
default-route-metric 1024
hello-interval 10
igmp-query-interval 12
rp-address {rp} 224.0.0.0/4
spt-threshold packets 0 interval 10
"""


TABLES_OF_3_0 = {
    "show interface": [
        "PIM Interface Table_",
        "Interface         State     Address            Priority  Hello  Nbr  DR Address      DR Priority =",
    ],
    "show neighbor": [
        "PIM Neighbor Table_",
        "Interface         Address            Priority  Mode  Uptime/Expires               =",
    ],
    "show igmp": [
        "IGMP Interface Table_",
        "Interface         State     Querier          Timeout Version  Groups=",
        "IGMP Group Membership Table_",
        "Interface         Group            Source           Last Reported    Timeout=",
    ],
    "show crp": [
        "PIM Candidate Rendez-Vous Point Table_",
        "Group Address     RP Address       Prio  Holdtime  Expires =",
    ],
    "show rp": [
        "PIM Rendez-Vous Point Set Table_",
        "Group Address     RP Address       Prio  Holdtime  Type=",
    ],
    "show status": ["PIM Daemon Status="],
}
"""Titles and headings as pimd 3.0 sends them."""


@dataclass
class Network:
    """Who is where; `last` is the router whose tables are compared."""

    source: Node
    members: list[Node]
    routers: list[Node]
    last: Node
    rp: str


def single(lab: Lab) -> Network:
    src, r1, h = lab.host("src"), lab.router("r1"), lab.host("h")
    lab.link(src, r1)
    lab.link(r1, h)
    return Network(src, [h], [r1], r1, "10.0.1.2")


def line(count: int) -> Callable[[Lab], Network]:
    def made(lab: Lab) -> Network:
        src = lab.host("src")
        routers = [lab.router(f"r{number}") for number in range(1, count + 1)]
        h = lab.host("h")
        nodes = [src, *routers, h]
        for left, right in pairwise(nodes):
            lab.link(left, right)
        return Network(src, [h], routers, routers[-1], f"10.0.2.{routers[1].number}")

    return made


def shared_lan(lab: Lab) -> Network:
    src, r1, r2, h1, h2 = lab.host("src"), lab.router("r1"), lab.router("r2"), lab.host("h1"), lab.host("h2")
    lab.link(src, r1)
    lab.lan("lan", r1, r2, h1)
    lab.link(r2, h2)
    return Network(src, [h1, h2], [r1, r2], r2, "10.0.2.2")


def rp_on_a_stick(lab: Lab) -> Network:
    src, r1, rp, h = lab.host("src"), lab.router("r1"), lab.router("rp"), lab.host("h")
    lab.link(src, r1)
    lab.link(r1, rp)
    lab.link(r1, h)
    return Network(src, [h], [r1, rp], r1, "10.0.2.3")


def redundant_pair(lab: Lab) -> Network:
    src, r1, r2, h = lab.host("src"), lab.router("r1"), lab.router("r2"), lab.host("h")
    lab.lan("left", src, r1, r2)
    lab.lan("right", r1, r2, h)
    return Network(src, [h], [r1, r2], r2, "10.0.2.3")


NETWORKS: dict[str, Callable[[Lab], Network]] = {
    "single": single,
    "two": line(2),
    "three": line(3),
    "shared-lan": shared_lan,
    "rp-on-a-stick": rp_on_a_stick,
    "redundant-pair": redundant_pair,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_files_give_the_same_streams_and_tables(lab: Lab, name: str) -> None:
    network = NETWORKS[name](lab)
    lab.start()
    text = CONFIG.format(rp=network.rp)
    (port,) = network.source.ports.values()
    receivers = [Receiver(next(iter(host.ports.values())), [(None, GROUP)]) for host in network.members]
    Sender(port, [GROUP], rate=50)

    began = time.monotonic()
    theirs = [Pimd(router, text).start() for router in network.routers]
    their_time = _until_all_arrive(receivers, began)
    (reference,) = [one for one in theirs if one.node is network.last]
    wait_until(lambda: (port.ipv4, GROUP) in _entries(reference.dump()), 40, "pimd has the entry")
    expected = reference.dump()
    for pimd in theirs:
        pimd.stop()
    for receiver in receivers:
        receiver.wait_silent(0.5, 60)
        receiver.reset()

    began = time.monotonic()
    ours = [Pimpyd(router, text, ["--dialect", "pimd2"]).launch() for router in network.routers]
    for daemon in ours:
        daemon.wait_ready(30)
    our_time = _until_all_arrive(receivers, began)
    (daemon,) = [one for one in ours if one.node is network.last]
    wait_until(lambda: (port.ipv4, GROUP) in _entries(_said(daemon, "show dump")), 40, "ours has the entry")
    wait_until(lambda: _vifs(_said(daemon, "show dump")) == _vifs(expected), 30, f"vifs as {_vifs(expected)}")
    found = _said(daemon, "show dump")
    assert _shape(found) == _shape(expected)
    assert _entries(found) >= {entry for entry in _entries(expected) if entry == (port.ipv4, GROUP)}
    _assert_3_0(_said(daemon, "show mrt"), port.ipv4, network.rp)
    for command, lines in TABLES_OF_3_0.items():
        said = _said(daemon, command).splitlines()
        assert [line for line in said if line.endswith(("_", "="))] == lines, command
    assert len(_said(daemon, "show interface").splitlines()) == 2 + len(network.last.ports)
    print(f"{name}: pimd {their_time:.1f} s, pimpyd {our_time:.1f} s")
    assert our_time < their_time, "some 10 s against 20 to 40: pimd takes no Join in its first 20 s"


def _until_all_arrive(receivers: list[Receiver], began: float) -> float:
    """Seconds from then until every member has had ten packets."""
    for receiver in receivers:
        receiver.wait_for(10, 90)
    return time.monotonic() - began


def _said(daemon: Pimpyd, command: str) -> str:
    """What the text socket answers, as socat or pimd's own client would have it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(daemon.socket))
        client.sendall(command.encode())
        pieces = []
        while piece := client.recv(65536):
            pieces.append(piece.decode())
    return "".join(pieces)


def _shape(dump: str) -> list[str]:
    """The titles and headings of a dump, each once."""
    lines = [line.rstrip() for line in dump.splitlines()]
    heads = [line for line in lines if re.match(r"(=|-|Virtual|Multicast|Vif| Vif|Source|TIMERS|Joined|Number)", line)]
    known = dict.fromkeys(re.sub(r"(VIFS:).*|(oifs:|Groups:|MIRRORs:).*", r"\1\2", line) for line in heads)
    return [line for line in known if "(*,G)" not in line]


def _entries(dump: str) -> set[tuple[str, str]]:
    address = r"(\d+\.\d+\.\d+\.\d+)"
    return set(re.findall(rf"^{address} +{address} +\S+ +", dump.partition("Multicast Routing")[2], re.MULTILINE))


def _vifs(dump: str) -> set[tuple[str, str, str]]:
    """(address, subnet, neighbours) of each interface."""
    part = dump.partition("Multicast Routing")[0]
    found = re.findall(r"^ *\d+  (\S+) +(\S+/\d+) +\d+  (?:DR )?(?:PIM|NO-NBR) *(.*?) *$", part, re.MULTILINE)
    return {(address, subnet, neighbors) for address, subnet, neighbors in found}


def _assert_3_0(text: str, source: str, rp: str) -> None:
    lines = text.splitlines()
    assert lines[:2] == ["Multicast Routing Table_", "Source            Group            RP Address       Flags ="]
    assert any(line.startswith(f"{source:<15}   {GROUP:<15}  {rp:<15}  ") for line in lines), text
