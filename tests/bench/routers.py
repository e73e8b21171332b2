"""pimpyd and FRR behind one face, for the benches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from lab.frr import Frr
from lab.pimpyd import QUICK, Pimpyd
from lab.service import spare
from lab.shell import wait_until
from lab.topology import Node

from .measure import Use, entries, use

EACH_SECOND = "hello-interval 1\ntriggered-hello-delay 0\nigmp-query-interval 2\n"
EACH_SECOND_FRR = {
    family: [f"{ip} pim hello 1 4", f"{ip} {gmp} query-max-response-time 10", f"{ip} {gmp} query-interval 2"]
    for family, ip, gmp in ((4, "ip", "igmp"), (6, "ipv6", "mld"))
}


def is_settled(daemon: Pimpyd) -> bool:
    """Whether the spare worker has imported what it needs: it takes no processor time any more."""
    process = spare(daemon)
    if process is None:
        return False
    before = use([process]).cpu
    time.sleep(0.5)
    return use([process]).cpu == before


def rp_of_frr(rp: str | None) -> dict[int, list[str]]:
    """FRR's settings for a static RP of all groups, None for none."""
    if rp is None:
        return {}
    if ":" in rp:
        return {6: ["router pim6", f" rp {rp} ff00::/8", "exit"]}
    return {4: [f"ip pim rp {rp} 224.0.0.0/4"]}


class Contestant:
    """A multicast router at one node, of the kind `pimpy` or `frr`.

    `each_second`: it says Hello every second, and queries every two, to be answered within one.
    """

    def __init__(
        self, kind: str, node: Node, members: Iterable[str] = (), *, each_second: bool = False, rp: str | None = None
    ) -> None:
        self.kind = kind
        self.node = node
        text = EACH_SECOND if each_second else QUICK
        text += f"rp-address {rp}\n" if rp is not None else ""
        lines, settings = EACH_SECOND_FRR if each_second else None, rp_of_frr(rp)
        self._pimpyd = Pimpyd(node, text) if kind == "pimpy" else None
        self._frr = Frr(node, members, lines=lines, settings=settings) if kind == "frr" else None

    def start(self) -> None:
        if self._pimpyd is not None:
            self._pimpyd.start()
        if self._frr is not None:
            self._frr.start()

    def settle(self) -> None:
        """Wait until it does what it does most of the time: pimpyd until its spare worker waits, too."""
        if self._pimpyd is not None:
            self._pimpyd.wait_for(is_settled, 90)

    def neighbors(self, family: int) -> set[str]:
        daemon = self._pimpyd or self._frr
        assert daemon is not None
        return daemon.neighbors(family)

    def pids(self, family: int) -> list[int]:
        """The processes that serve this family: FRR has a daemon for each, and zebra, which knows the routes."""
        if self._pimpyd is not None:
            return self._pimpyd.pids()
        assert self._frr is not None
        return [self._frr.daemons[name].pid for name in ("zebra", "pimd" if family == 4 else "pim6d")]

    def use(self, family: int) -> Use:
        return use(self.pids(family))

    def entries(self, family: int) -> int:
        return entries(self.pids(family)[-1], family)


def start_all(routers: Sequence[Contestant], family: int) -> None:
    """Starts them and waits until each knows the others on its links, and has done what belongs to its start."""
    for router in routers:
        router.start()
    nodes = {router.node for router in routers}
    for router in routers:
        expected = {
            far.pim_address(family)
            for port in router.node.ports.values()
            for other, far in port.link.ports.items()
            if other in nodes and other is not router.node
        }
        wait_until(lambda router=router, expected=expected: router.neighbors(family) >= expected, 60, "neighbours")  # type: ignore[misc]
    for router in routers:
        router.settle()
