"""Whom and what the operator lets in, on the wire: neighbor-filter, join-filter, register-source (Y1, Y9), scoped.

src - r1 - r2 - r3 - h      r2 is the RP and has the filters, r1 registers from its loopback
"""

from __future__ import annotations

from itertools import pairwise

from .capture import assert_clean
from .helpers import reconfigure
from .kernel import forwards
from .pimpyd import QUICK, Pimpyd
from .shell import wait_until
from .topology import Lab
from .traffic import Receiver, Sender

GROUPS = {4: ("239.1.1.1", "239.2.2.2", "239.192.3.3"), 6: ("ff1e::1:1", "ff1e::2:2", "ff15::3:3")}
"""One that may be joined, one that may not, and one of a scope whose border is between r2 and r3."""
SCOPES = "scoped 239.192.0.0/14 scoped ff05::/16"
LOOPBACK = {4: "10.111.0.1", 6: "fd00:111::1"}
RATE, ENOUGH = 300, 50


def refused(daemon: Pimpyd, family: int, reason: str) -> int:
    """How often something was refused for a reason."""
    return sum(int(row["count"]) for row in daemon.show("counters", family) if row["reason"] == reason)


def test_filters_hold_what_they_name_and_let_go_with_a_reload(lab: Lab) -> None:
    src, h, routers = lab.host("src"), lab.host("h"), [lab.router(name) for name in ("r1", "r2", "r3")]
    r1, r2, r3 = routers
    for left, right in pairwise((src, *routers, h)):
        lab.link(left, right)
    lab.start()
    lab.capture_all()
    for family, bits in ((4, 32), (6, 128)):
        r1.ip("addr", "add", f"{LOOPBACK[family]}/{bits}", "dev", "lo")
        r2.route(family, f"{LOOPBACK[family]}/{bits}", r1.port("r2"))
    capture = r1.port("r2").link.capture()
    text = f"{QUICK}join-prune-interval 5\n" + "".join(
        f"rp-address {r2.port('r1').address(family)}\n" for family in (4, 6)
    )
    strangers = "neighbor-filter 10.200.0.0/16 fe80:1::/64"
    allowed = "join-filter " + " ".join(group for family in (4, 6) for group in GROUPS[family][::2])
    Pimpyd(r1, f"{text}register-source lo\n").start()
    d2 = Pimpyd(r2, f"{text}phyint r1 {strangers}\nphyint r3 {SCOPES} {allowed}\n").start()
    d3 = Pimpyd(r3, text).start()
    receivers, senders = {}, {}
    for family in (4, 6):
        d3.wait_for(lambda d, f=family: r2.port("r3").pim_address(f) in d.neighbors(f))  # type: ignore[misc]
        wait_until(lambda f=family: refused(d2, f, "nbr_filtered"), 20, "r1's Hellos are refused")  # type: ignore[misc]
        receivers[family] = Receiver(h.port("r3"), [(None, group) for group in GROUPS[family]])
        for reason in ("jp_filtered", "jp_scope"):
            wait_until(lambda f=family, r=reason: refused(d2, f, r), 20, f"a Join is refused: {reason}")  # type: ignore[misc]
        senders[family] = Sender(src.port("r1"), list(GROUPS[family]), rate=RATE)
    for family, (good, *bad) in GROUPS.items():
        source = src.port("r1").address(family)
        # Registers are unicast, so the allowed group arrives; its own tree needs r1 to be a neighbour.
        wait_until(lambda f=family, g=good, s=source: receivers[f].stream(s, g).received > ENOUGH, 20, "it arrives")  # type: ignore[misc]
        for group in bad:
            assert receivers[family].stream(source, group).received == 0
            assert "r3" not in forwards(r2, source, group)
        assert r1.port("r2").pim_address(family) not in d2.neighbors(family)
        entry = d2.entry(source, good)
        assert entry is not None and entry["rpf_state"] == "no_neighbor" and not entry["is_spt"], entry
    reconfigure(d2, text)
    for family, groups in GROUPS.items():
        source = src.port("r1").address(family)
        wait_until(lambda f=family: r1.port("r2").pim_address(f) in d2.neighbors(f), 20, "r1 is a neighbour")  # type: ignore[misc]
        for group in groups:
            wait_until(lambda g=group, s=source: (d2.entry(s, g) or {}).get("is_spt"), 80, "its own tree stands")  # type: ignore[misc]
            receivers[family].reset()
            wait_until(lambda f=family, g=group, s=source: receivers[f].stream(s, g).received > ENOUGH, 20, "arrived")  # type: ignore[misc]
        senders[family].stop()
        column, register = ("ip.src", "ip") if family == 4 else ("ipv6.src", "ipv6")
        froms = {row[0].split(",")[0] for row in capture.fields(f"pim.type == 1 && {register}", column)}
        assert froms == {LOOPBACK[family]}, froms
    assert_clean(lab, *routers)
