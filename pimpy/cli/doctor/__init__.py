"""`pimctl doctor`: the traps of multicast routing on Linux, found by looking, each with evidence and remedy.

It runs beside the daemon, in the same network namespace: it asks the daemon for its tables, looks at the host's
settings and, for a second, at the packets that come in. It changes nothing.
"""

from __future__ import annotations

from typing import Any

from pimpy.cli.client import Client, FailedError
from pimpy.cli.doctor import firewall_checks, host_checks, stream_checks
from pimpy.cli.doctor.case import Case, Finding

LOOK = 1.0
"""Seconds that the wire is looked at."""

CHECKS = (*host_checks.CHECKS, *firewall_checks.CHECKS, *stream_checks.CHECKS)
"""All checks, in the order in which their findings are told."""

TABLES = ("status", "interfaces", "neighbors", "mroute", "igmp", "mld", "static", "counters")


def findings(case: Case) -> list[Finding]:
    """What all checks find."""
    return [finding for check in CHECKS for finding in check(case)]


def gather(client: Client, links: str | None = None, seconds: float = LOOK) -> Case:
    """The facts: the daemon's tables, the host's settings, the wire. `links` is a file in place of the link table."""
    from pimpy.kernel import firewall, host

    rows: dict[str, list[dict[str, Any]]] | None = {}
    missing = ""
    try:
        rows = {name: client.ask(f"show {name}")["rows"] for name in TABLES}
    except FailedError as error:
        rows, missing = None, error.text
    facts = host.gather(None if links is None else _read_links(links))
    dropped = facts.rp_filter_drops
    heard, blind = _look(rows, facts, seconds)
    after = host.rp_filter_drops()
    drops = None if dropped is None or after is None else after - dropped
    return Case(rows, missing, facts, firewall.ruleset(), tuple(heard), blind, drops, seconds)


def _look(rows: dict[str, list[dict[str, Any]]] | None, facts: Any, seconds: float) -> tuple[list[Any], str]:
    """What was heard, and why nothing could be."""
    from pimpy.kernel import sample

    routing = {row["interface"] for row in (rows or {}).get("interfaces", ()) if row["oper_status"] == "up"}
    names = [link.name for link in facts.links if link.up and (link.name in routing or rows is None)]
    try:
        return sample.look(names, seconds), ""
    except OSError as error:
        return [], f"packets cannot be looked at: {error.strerror or error}; run as root"


def _read_links(path: str) -> list[Any]:
    """A link table from a file of JSON: fields of LinkFacts, those that are left out as of an ordinary interface."""
    import json

    from pimpy.kernel.host import BridgeFacts, LinkFacts

    with open(path, encoding="utf-8") as file:
        said = json.load(file)
    usual = {
        "up": True,
        "running": True,
        "multicast": True,
        "loopback": False,
        "kind": "",
        "mtu": 1500,
        "wireless": False,
        "master": None,
        "bridge": None,
        "addresses": (),
    }
    found = []
    for number, link in enumerate(said, 1):
        values = {"ifindex": number, **usual, **link}
        values["bridge"] = BridgeFacts(**values["bridge"]) if values["bridge"] else None
        found.append(LinkFacts(**{**values, "addresses": tuple(values["addresses"])}))
    return found
