"""Bootstrap messages beside FRR 10.3 (both families) and pimd 2.3.2 (IPv4): as BSR, as candidate RP, as listener.

    r1 - p - r2      p is the foreign router, and has a host h

Where they do not follow RFC 7761 4.7.2: FRR hashes the range of groups, not the group, so that of several RPs of one
priority it takes one for the whole range. pimd 2.3.2 hashes each RP with the address of the one before it in its list,
and masks the group with the hash mask's bytes turned round (`pimd_choice`); it compares priorities before the lengths
of ranges. So the tests with several RPs give them different priorities, but for the one that shows pimd's hash.
"""

from __future__ import annotations

import ipaddress
import re
import sys
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


HASH_BYTES = 0xFFFFFFFC.to_bytes(4, "big")
"""The default hash mask, 30 bits, as a BSM's mask length is unpacked into memory."""


def hashed(group: int, mask: int, rp: int) -> int:
    """Value(G,M,C) of RFC 7761 4.7.2, written here once more: nothing of this is pimpy's."""
    return (1103515245 * ((1103515245 * (group & mask) + 12345) ^ rp) + 12345) % 2**31


def by_hash(group: str, rps: Iterable[str]) -> str:
    """The RFC's choice among RPs of one priority."""
    number = int(ipaddress.ip_address(group))
    mask = int.from_bytes(HASH_BYTES, "big")
    return max(rps, key=lambda rp: (hashed(number, mask, int(ipaddress.ip_address(rp))), ipaddress.ip_address(rp)))


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
        told = [chosen(daemon, random_groups(family)) for daemon in daemons]
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
    # Of equal priority: FRR hashes the range's first address, so that all its groups have one RP.
    daemons[1].config.write_text(second.replace("priority 9", "priority 5"))
    daemons[1].pimctl("reload")
    widest, equals = RANGES[4][0], [one[4], other[4]]
    theirs_of_range = by_hash(widest.partition("/")[0], equals)
    groups = [
        group for group in random_groups(4) if group.startswith("239.") and not 64 <= int(group.split(".")[1]) < 128
    ]
    wanted = {group: by_hash(group, equals) for group in groups}
    wait_until(lambda: chosen(daemons[0], groups) == wanted, LONG, "ours spread the groups over both")
    wait_until(lambda: frr_mappings(frr, 4).get(widest) == theirs_of_range, LONG, "FRR takes one, as foretold")
    agreed = sum(rp == theirs_of_range for rp in wanted.values())
    print(f"FRR 10.3 agrees with RFC 7761 4.7.2 on {agreed} of {len(groups)} groups of a range with two equals")
    assert 0 < agreed < len(groups)
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
    told = [chosen(daemon, random_groups(4)) for daemon in daemons]
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


def pimd_choice(group: str, rps: Iterable[str]) -> str:
    """pimd 2.3.2's: highest address first, each hashed with the address of the one before, the first with 0.

    Its mask is in network byte order where the group is in the host's: on a little-endian host 0xfcffffff.
    """
    number, best, before = int(ipaddress.ip_address(group)), ("", -1), 0
    mask = int.from_bytes(HASH_BYTES, sys.byteorder)
    for rp in sorted(rps, key=ipaddress.ip_address, reverse=True):
        value = hashed(number, mask, before)
        before = int(ipaddress.ip_address(rp))
        if value > best[1]:
            best = rp, value
    return best[0]


@pytest.mark.usefixtures("pimd")
def test_pimd_makes_another_choice_of_equals_foretold_for_a_thousand_groups(lab: Lab) -> None:
    """Both RPs have one priority and range. pimd has no route to them, or it would die of its own Join (see above)."""
    h, (r1, p, r2) = network(lab)
    names = {r1: "10.77.0.1", r2: "10.88.0.2"}
    for router, address in names.items():
        router.ip("addr", "add", f"{address}/32", "dev", "lo")
    first = lines(f"bsr-candidate {r1.port('p').ipv4} priority 10", f"rp-candidate {names[r1]} priority 9 interval 3")
    second = lines(f"rp-candidate {names[r2]} priority 9 interval 3")
    daemons = [Pimpyd(r1, first).launch(), Pimpyd(r2, second).launch()]
    pimd = Pimd(p)
    pimd.start()
    for daemon in daemons:
        daemon.wait_ready()
    groups, rps = random_groups(4, 1000), list(names.values())
    wanted = {group: by_hash(group, rps) for group in groups}
    wait_until(lambda: chosen(daemons[1], groups[:100]) == {g: wanted[g] for g in groups[:100]}, LONG, "ours know both")
    assert all(chosen(daemon, groups) == wanted for daemon in daemons), "ours follow the RFC"
    h.sysctl(ipv4__igmp_max_memberships=2000)
    Receiver(h.port("p"), [(None, group) for group in groups])
    wait_until(lambda: pimd_rps(pimd).keys() >= set(groups), 60, "pimd has the groups")
    told = pimd_rps(pimd)
    assert told == {group: pimd_choice(group, rps) for group in groups}
    agreed = sum(told[group] == wanted[group] for group in groups)
    print(f"pimd 2.3.2 agrees with RFC 7761 4.7.2 on {agreed} of {len(groups)} groups")
    assert agreed < len(groups)
