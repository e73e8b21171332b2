"""Reload under a stream: what did not change loses no packet, and what did loses only what it says."""

from __future__ import annotations

from functools import partial

import pytest

from .helpers import in_a_row, interface_row
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import LabError, wait_until
from .topology import Lab
from .traffic import Receiver, Sender, ssm_group

pytestmark = pytest.mark.usefixtures("pimpyd")

CHANGES = (
    "hello-interval 7\ntriggered-hello-delay 0\n",
    "phyint r1 dr-priority 50\n",
    "phyint h ttl-threshold 2\n",
    "join-prune-interval 10\n",
    "igmp-query-interval 20\n",
    "igmp-robustness 3\n",
    "phyint h igmpv3 hello-interval 9\n",
    "rp-address 10.0.1.2 239.0.0.0/8\n",
    "rp-address 10.0.2.3 239.0.0.0/8 priority 3\n",
    "spt-threshold infinity\n",
    "ssm-range 232.0.0.0/8 239.232.0.0/16\n",
    "phyint spare disable\n",
    "phyint spare enable dr-priority 3\n",
    "metrics 127.0.0.1:9353\n",
    "default-route-distance 90\n",
    "",
)
"""What stands in the file in turn, behind QUICK, while a stream flows by interfaces that are not touched otherwise."""


def test_one_directive_after_another_loses_nothing(lab: Lab) -> None:
    src, r1, r2, h = in_a_row(lab, "src", "r1", "r2", "h")
    r2.run("ip", "link", "add", "spare", "type", "veth", "peer", "name", "spare2")
    r2.run("sh", "-ec", "ip address add 10.77.0.1/24 dev spare; ip link set spare up; ip link set spare2 up")
    daemons = [Pimpyd(r1).start(), Pimpyd(r2).start()]
    wait_neighbors(daemons)
    streams = []
    for family in (4, 6):
        source, group = src.port(r1).address(family), ssm_group(family)
        receiver = Receiver(h.port(r2), [(source, group)])
        streams.append((receiver, Sender(src.port(r1), [group], rate=300)))
    for receiver, _ in streams:
        receiver.wait_for(100)
        receiver.reset()
    started = [row["up_time"] for row in daemons[1].show("neighbors")]
    for text in CHANGES:
        before = [receiver.received() for receiver, _ in streams]
        follow(daemons[1], text)
        follow(daemons[0], text.replace("phyint r1", "phyint src").replace("phyint h", "phyint r2"))
        for (receiver, _), count in zip(streams, before, strict=True):
            wait_until(partial(_more_than, receiver, count + 20), 20, f"it flows after {text!r}")
        lost = [receiver.stream().lost for receiver, _ in streams]
        assert lost == [0, 0], f"{text!r} lost packets"
    now = [row["up_time"] for row in daemons[1].show("neighbors")]
    assert all(new > old for new, old in zip(now, started, strict=True)), "no neighbour was forgotten"
    for receiver, sender in streams:
        stream = receiver.stream()
        assert (stream.lost, stream.duplicates, stream.reordered) == (0, 0, 0), stream
        sender.stop()


def _more_than(receiver: Receiver, count: int) -> bool:
    return receiver.received() > count


def follow(daemon: Pimpyd, text: str) -> None:
    """The file says this now, and is read again."""
    daemon.config.write_text(QUICK + text)
    daemon.ask("reload")


def test_an_interface_off_and_on_loses_what_is_behind_it_only(lab: Lab) -> None:
    src, r1, h, other = lab.host("src"), lab.router("r1"), lab.host("h"), lab.host("other")
    for host in (src, h, other):
        lab.link(host, r1)
    lab.start()
    daemon = Pimpyd(r1).start()
    source, group = src.port(r1).ipv4, ssm_group(4)
    near, far = Receiver(h.port(r1), [(source, group)]), Receiver(other.port(r1), [(source, group)])
    Sender(src.port(r1), [group], rate=300)
    near.wait_for(50)
    far.wait_for(50)
    near.reset()
    follow(daemon, "phyint other disable\n")
    far.wait_silent(0.3)
    assert interface_row(daemon, 4, "other")["oper_status"] == "off"
    follow(daemon, "")
    far.wait_for(20)
    near.wait_for(50)
    assert near.stream().lost == 0
    daemon.config.write_text(QUICK + "no-such-word 1\nphyint other disable\n")
    with pytest.raises(LabError, match="exit 1"):
        daemon.pimctl("reload")
    far.wait_for(50)
    assert interface_row(daemon, 4, "other")["oper_status"] == "up", "a file with an error changes nothing"
    assert near.stream().lost == 0
