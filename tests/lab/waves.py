"""Waves of answers: all hosts of a link answer one General Query, while Hellos must go on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from .capture import Capture
from .scenes import hellos
from .topology import Node, Port
from .traffic import Tool, family_of, ssm_group

ADDRESSES = {4: "10.77.0.2", 6: "fe80::77:1"}
"""The first host's; each further one has the next."""
SUBNET = "10.77.0.1/16"
"""To be the router's beside its own, so that the hosts of IPv4 are on the link."""


@dataclass(frozen=True)
class Answered:
    """One wave, in seconds as time.time() counts: the query was seen, the last answer left."""

    asked: float
    done: float


class Hosts:
    """So many hosts on a link of a router, each a member of `each` channels of its own, of one source."""

    def __init__(self, port: Port, source: str, hosts: int = 1000, each: int = 10, within: float = 1.0) -> None:
        """All answer within `within` seconds of a query, evenly spread."""
        family = family_of(source)
        spec = {
            "family": family,
            "interface": port.name,
            "address": ADDRESSES[family],
            "source": source,
            "first": ssm_group(family),
            "hosts": hosts,
            "each": each,
            "within": within,
        }
        self._tool = Tool(port.node, "wave", spec, "wave")

    def answer(self) -> Answered:
        """Wait for the next General Query and answer it; the first time it is news, from then on a refresh."""
        return Answered(**self._tool.ask({}, 60))


def longest_silence(capture: Capture, family: int, router: Node, since: float, until: float) -> tuple[int, float]:
    """How many Hellos of a router passed on a link in that time, and the longest time without one; ends the capture."""
    times = [time for time, _, _ in hellos(capture, family, router) if since <= time <= until]
    return len(times), max(after - before for before, after in pairwise([since, *times, until]))
