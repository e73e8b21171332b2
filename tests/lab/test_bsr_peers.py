"""Bootstrap messages beside FRR 10.3 (both families) and pimd 2.3.2 (IPv4): as BSR, as candidate RP, as listener.

    r1 - p - r2      p is the foreign router, and has a host h

Where they do not follow RFC 7761 4.7.2: FRR hashes the range of groups, not the group, so that of several RPs of one
priority it takes one for the whole range. pimd 2.3.2 gives about half of the groups another one of two RPs of one
priority than the hash does, and compares priorities before the lengths of ranges. So the tests with several RPs give
them different priorities.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from itertools import pairwise

import pytest

from .capture import assert_clean
from .frr import Frr
from .pimd import Pimd
from .pimpyd import QUICK, Pimpyd
from .shell import wait_until
from .test_bsr import ANY, PERIOD, bsr, chosen, random_groups, rps
from .topology import Lab, Node
from .traffic import Receiver

LONG = 100
"""Seconds: FRR and pimd send a Bootstrap message each minute."""
RANGES = {4: ("239.0.0.0/8", "239.64.0.0/10", "225.0.0.0/9"), 6: ("ff1e::/16", "ff1e:0:0:0:0:0:8000:0/97", "ff15::/16")}


def network(lab: Lab) -> tuple[Node, list[Node]]:
    """The network above: its host, its routers."""
    h, routers = lab.host("h"), [lab.router(name) for name in ("r1", "p", "r2")]
    for left, right in (*pairwise(routers), (routers[1], h)):
        lab.link(left, right)
    lab.start()
    lab.capture_all()
    return h, routers


def lines(*texts: str) -> str:
    return "".join(f"{text}\n" for text in (f"{QUICK}bsr-interval {PERIOD}", *texts))


def known_bsr(daemons: Iterable[Pimpyd], family: int, address: str) -> bool:
    return {bsr(daemon, family) for daemon in daemons} == {address}


# FRR


@pytest.mark.usefixtures("frr")
def test_frr_is_bsr_and_candidate_rp_beside_a_candidate_of_ours(lab: Lab) -> None:
    _, (r1, p, r2) = network(lab)
    theirs = {family: p.port("r1").address(family) for family in (4, 6)}
    ours = {family: r2.port("p").address(family) for family in (4, 6)}
    settings = {
        family: [
            word,
            f" bsr candidate-bsr priority 200 source address {theirs[family]}",
            f" bsr candidate-rp group {ANY[family]}",
            f" bsr candidate-rp priority 100 interval 10 source address {theirs[family]}",
            "exit",
        ]
        for family, word in ((4, "router pim"), (6, "router pim6"))
    }
    frr = Frr(p, settings=settings)
    offer = [f"rp-candidate {address} priority 50 interval 5" for address in ours.values()]
    daemons = [Pimpyd(r1, QUICK).launch(), Pimpyd(r2, "".join(f"{x}\n" for x in (QUICK, *offer))).launch()]
    frr.start()
    for daemon in daemons:
        daemon.wait_ready()
    for family in (4, 6):
        wait_until(lambda f=family: known_bsr(daemons, f, theirs[f]), LONG, "FRR is the BSR of both of ours")  # type: ignore[misc]
    for family in (4, 6):
        both = frozenset((theirs[family], ours[family]))
        wait_until(
            lambda f=family, b=both: all(rps(daemon, f) == b for daemon in daemons),  # type: ignore[misc]
            LONG,
            "the RP-Set has FRR's candidate and ours",
        )
        told = [chosen(daemon, random_groups(family, 100)) for daemon in daemons]
        assert told[0] == told[1] and set(told[0].values()) == {ours[family]}, "the lower priority wins"
        rows = daemons[0].show("rp-set", family)
        assert {row["priority"] for row in rows} == {50, 100}
    assert_clean(lab, r1, r2)


def frr_mappings(frr: Frr, family: int) -> dict[str, str]:
    """Range -> RP as FRR would use it."""
    answer = frr.show(family, "pim rp-info")
    return {
        row.get("group", row.get("prefixList", "")): rp
        for rp, rows in answer.items()
        if isinstance(rows, list)
        for row in rows
        if row.get("source") == "BSR"
    }


def by_longest(mappings: dict[str, str], group: str) -> str | None:
    """The RP of a group's longest range."""
    address = ipaddress.ip_address(group)
    found = [
        (ipaddress.ip_network(r).prefixlen, rp) for r, rp in mappings.items() if address in ipaddress.ip_network(r)
    ]
    return max(found)[1] if found else None


@pytest.mark.usefixtures("frr")
def test_frr_listens_to_ours_and_agrees_on_a_thousand_groups(lab: Lab) -> None:
    _, (r1, p, r2) = network(lab)
    one, other = ({family: port.address(family) for family in (4, 6)} for port in (r1.port("p"), r2.port("p")))
    wide = [f"group-prefix {ranges[0]}" for ranges in RANGES.values()]
    more = [f"group-prefix {prefix}" for ranges in RANGES.values() for prefix in ranges]
    first = lines(
        *(f"bsr-candidate {address} priority 10" for address in one.values()),
        *(f"rp-candidate {address} priority 5 interval 3" for address in one.values()),
        *wide,
    )
    second = lines(*(f"rp-candidate {address} priority 9 interval 3" for address in other.values()), *more)
    frr = Frr(p)
    daemons = [Pimpyd(r1, first).launch(), Pimpyd(r2, second).launch()]
    frr.start()
    for daemon in daemons:
        daemon.wait_ready()
    for family in (4, 6):
        # Both offer the widest range, and ours at r1 with the better priority.
        widest, *narrow = (str(ipaddress.ip_network(prefix)) for prefix in RANGES[family])
        wanted = {widest: one[family], **dict.fromkeys(narrow, other[family])}
        wait_until(lambda f=family: frr.show(f, "pim bsr").get("bsr") == one[f], LONG, "FRR knows our BSR")  # type: ignore[misc]
        wait_until(lambda f=family, w=wanted: frr_mappings(frr, f) == w, LONG, "and the ranges of both")  # type: ignore[misc]
        groups = random_groups(family)
        told = chosen(daemons[1], groups)
        theirs = frr_mappings(frr, family)
        assert told == {group: by_longest(theirs, group) for group in groups}
        assert {one[family], other[family]} <= set(told.values())
    assert_clean(lab, r1, r2)


# pimd


@pytest.mark.usefixtures("pimd")
def test_pimd_is_bsr_and_candidate_rp_beside_a_candidate_of_ours(lab: Lab) -> None:
    _, (r1, p, r2) = network(lab)
    theirs, ours = p.port("r1").ipv4, r2.port("p").ipv4
    pimd = Pimd(
        p,
        f"bsr-candidate {theirs} priority 200\nrp-candidate {theirs} priority 20 time 10\ngroup-prefix 224.0.0.0/4\n",
    )
    daemons = [Pimpyd(r1, QUICK).launch(), Pimpyd(r2, f"{QUICK}rp-candidate {ours} priority 20 interval 5\n").launch()]
    pimd.start()
    for daemon in daemons:
        daemon.wait_ready()
    wait_until(lambda: known_bsr(daemons, 4, theirs), LONG, "pimd is the BSR of both of ours")
    both = frozenset((theirs, ours))
    wait_until(lambda: all(rps(daemon, 4) == both for daemon in daemons), LONG, "pimd's candidate and ours")
    told = [chosen(daemon, random_groups(4, 100)) for daemon in daemons]
    assert told[0] == told[1] and set(told[0].values()) == both
    assert_clean(lab, r1, r2)


def pimd_rps(pimd: Pimd) -> dict[str, str]:
    """Group -> RP of its (*,G) entries."""
    address = r"(\d+\.\d+\.\d+\.\d+)"
    return dict(re.findall(rf"^INADDR_ANY +{address} +{address} ", pimd.dump(), re.MULTILINE))


@pytest.mark.usefixtures("pimd")
def test_pimd_listens_to_ours_and_agrees_where_priorities_decide(lab: Lab) -> None:
    """A host at pimd wants groups of a range with an RP of its own, and of all others.

    No more than 60: pimd puts all its Joins to a neighbour into one packet, and dies where that is longer than the MTU.
    """
    h, (r1, p, r2) = network(lab)
    one, other = r1.port("p").ipv4, r2.port("p").ipv4
    first = lines(f"bsr-candidate {one} priority 10", f"rp-candidate {one} priority 9 interval 3")
    second = lines(f"rp-candidate {other} priority 5 interval 3", "group-prefix 239.0.0.0/8")
    daemons = [Pimpyd(r1, first).launch(), Pimpyd(r2, second).launch()]
    pimd = Pimd(p)
    pimd.start()
    for daemon in daemons:
        daemon.wait_ready()
    groups = random_groups(4, 60)
    wanted = {group: other if group.startswith("239.") else one for group in groups}
    wait_until(lambda: all(chosen(daemon, groups) == wanted for daemon in daemons), LONG, "ours agree")
    h.sysctl(ipv4__igmp_max_memberships=2000)
    Receiver(h.port("p"), [(None, group) for group in groups])
    wait_until(lambda: pimd_rps(pimd).keys() >= set(groups), 60, "pimd has the groups")
    assert pimd_rps(pimd) == wanted
    assert_clean(lab, r1, r2)
