"""An RP that ICMP says cannot be reached: Registers to it wait (Y7, TH46; RFC 5059 6.2)."""

from __future__ import annotations

from functools import partial

from .helpers import in_a_row
from .pimpyd import FAMILIES, QUICK, Pimpyd
from .shell import wait_until
from .topology import Lab
from .traffic import Sender

GROUPS = {4: "239.1.1.1", 6: "ff1e::1"}
RATE = 50
RPS = {4: "10.8.0.1", 6: "fd08::1"}


def counted(daemon: Pimpyd, family: int, way: str, kind: str) -> int:
    rows = daemon.show("counters", family)
    return sum(row["count"] for row in rows if (row["direction"], row["type"]) == (way, kind) and not row["reason"])


def asked_again(daemon: Pimpyd, family: int) -> bool:
    return counted(daemon, family, "rx", "icmp") > 1


def test_registers_to_an_rp_that_nobody_finds_wait(lab: Lab) -> None:
    src, r1, r2, _ = in_a_row(lab, "src", "r1", "r2", "h")
    for family, rp in RPS.items():
        r1.ip("route", "replace", rp, "via", r2.port("r1").address(family))
        r2.ip("route", "replace", "unreachable", rp)
    daemon = Pimpyd(r1, QUICK + f"rp-address {RPS[4]} 224.0.0.0/4\nrp-address {RPS[6]} ff00::/8\n").start()
    senders = {family: Sender(src.port("r1"), [GROUPS[family]], rate=RATE) for family in FAMILIES}
    for family, sender in senders.items():
        wait_until(partial(counted, daemon, family, "rx", "icmp"), 20, "ICMP says that nobody is there")
        assert "the way there ends before it" in daemon.pimctl("explain", sender.source, GROUPS[family], check=False)
    for family, sender in senders.items():
        wait_until(partial(asked_again, daemon, family), 30, "they are tried again")
        sent, registers = sender.stop().sent, counted(daemon, family, "tx", "register")
        assert 2 <= registers < sent / 4, f"{registers} Registers of {sent} packets"
    assert "rp_refuses" in daemon.log()
