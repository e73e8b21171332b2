"""Who asks on a link: what 0.0.0.0 says changes nothing, and FRR and ours take over from each other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .frr import Frr
from .helpers import eventually, querier
from .pimpyd import Pimpyd, Row
from .topology import Lab
from .traffic import Receiver, Sender

QUERY = Path(__file__).parent / "tools" / "query.py"
TEXT = "triggered-hello-delay 0\nigmp-query-interval 2\n"


def _counted(daemon: Pimpyd, reason: str | None) -> int:
    rows: list[Row] = daemon.show("counters", 4)
    wanted = ("lan", "igmp", "rx", "query", reason)
    keys = ("interface", "protocol", "direction", "type", "reason")
    return sum(row["count"] for row in rows if tuple(row[key] for key in keys) == wanted)


def _advertised(daemon: Pimpyd, family: int) -> int:
    """How many router advertisements for switches it sent."""
    rows: list[Row] = daemon.show("counters", family)
    return sum(row["count"] for row in rows if (row["direction"], row["type"]) == ("tx", "mrd_advertisement"))


def test_a_query_from_0_0_0_0_elects_nobody(lab: Lab) -> None:
    h, r = lab.host("h"), lab.router("r")
    lab.lan("lan", h, r)
    lab.start()
    daemon = Pimpyd(r, TEXT).start()
    own, lower = r.port("lan").ipv4, h.port("lan").ipv4
    eventually(daemon, lambda: querier(daemon, 4, "lan") == own, "ours asks")
    h.run(sys.executable, "-I", str(QUERY), "lan", "0.0.0.0")
    eventually(daemon, lambda: _counted(daemon, "query_src_zero") == 1, "it is counted")
    assert querier(daemon, 4, "lan") == own
    h.run(sys.executable, "-I", str(QUERY), "lan", "198.51.100.1")
    eventually(daemon, lambda: _counted(daemon, "igmp_src_subnet") == 1, "so is one from elsewhere")
    assert querier(daemon, 4, "lan") == own
    h.run(sys.executable, "-I", str(QUERY), "lan", lower)
    eventually(daemon, lambda: querier(daemon, 4, "lan") == lower, "a lower address of the link wins")


@pytest.mark.usefixtures("frr", "pimpyd")
def test_frr_asks_and_ours_takes_over_when_it_ends(lab: Lab) -> None:
    """Ours, the DR, learns all members from answers to FRR's queries, and goes on with them when FRR is gone."""
    src, f, r, h = lab.host("src"), lab.router("f"), lab.router("r"), lab.host("h")
    lab.link(src, r)
    lab.lan("lan", f, r, h)
    lab.start()
    words = {4: "ip igmp", 6: "ipv6 mld"}
    lines = {family: [f"{gmp} query-max-response-time 10", f"{gmp} query-interval 2"] for family, gmp in words.items()}
    frr = Frr(f, members={"lan"}, lines=lines).start()
    daemon = Pimpyd(r, TEXT).start()
    streams: list[tuple[Sender, Receiver]] = []
    for family in (4, 6):
        theirs = f.port("lan").pim_address(family)
        what = f"{theirs}, which is FRR's and the lower address, asks"
        eventually(daemon, lambda f=family, a=theirs: querier(daemon, f, "lan") == a, what, 60)  # type: ignore[misc]
        group = "232.1.0.9" if family == 4 else "ff3e::8000:9"
        sender = Sender(src.port("r"), [group], rate=200)
        streams.append((sender, Receiver(h.port("lan"), [(sender.source, group)])))
    for _, receiver in streams:
        receiver.wait_for(100, 60)
    frr.stop()
    for family in (4, 6):
        own = r.port("lan").pim_address(family)
        eventually(daemon, lambda f=family, a=own: querier(daemon, f, "lan") == a, f"ours asks, as {own}", 60)  # type: ignore[misc]
    for _, receiver in streams:
        receiver.reset()
    for sender, receiver in streams:
        receiver.wait_for(1000, 60)
        stream = receiver.stream(sender.source)
        assert stream.lost == 0, stream


def test_queries_from_an_address_of_their_own_and_advertisements_for_switches(lab: Lab) -> None:
    """`querier-address` and `mrdisc` on the wire, both families; an address that cannot be there is not used."""
    r, other = lab.router("r"), lab.router("other")
    lan = lab.lan("lan", r, other)
    lab.start()
    words = "querier-address 10.0.1.200 querier-address fe80::c8 mrdisc"
    capture = lan.capture("igmp or ip6")
    daemon = Pimpyd(r, f"{TEXT}phyint lan {words}\n").start()
    second = Pimpyd(other, f"{TEXT}phyint lan querier-address 10.0.1.250 querier-address fe80::fa\n").start()
    for family, address in ((4, "10.0.1.200"), (6, "fe80::c8")):
        eventually(second, lambda f=family, a=address: querier(second, f, "lan") == a, f"{address} asks", 60)  # type: ignore[misc]
        assert querier(daemon, family, "lan") == address
    eventually(daemon, lambda: min(_advertised(daemon, family) for family in (4, 6)) >= 3, "initial advertisements", 60)
    daemon.config.write_text(f"{TEXT}phyint lan querier-address 198.51.100.1\n")
    daemon.pimctl("reload")
    eventually(daemon, lambda: "querier-address 198.51.100.1 is not used" in daemon.log(), "it is refused")
    assert querier(daemon, 4, "lan") == r.port("lan").ipv4
    assert daemon.stop() == 0
    mac = r.port("lan").mac
    for what, destination, field in (("igmp.type", "224.0.0.106", "ip"), ("icmpv6.type", "ff02::6a", "ipv6")):
        wanted = f"eth.src == {mac} and {field}.dst == {destination}"
        kinds = [row[0] for row in capture.fields(wanted, what)]
        first, last = ("0x30", "0x32") if field == "ip" else ("151", "153")
        assert kinds.count(first) >= 3, "initial advertisements"
        assert kinds[-1] == last, "a termination, when it was switched off"
