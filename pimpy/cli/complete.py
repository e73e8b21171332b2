"""What the TAB key knows: families, groups, sources, interfaces and neighbours, asked of the daemon that runs.

The shells' scripts are in contrib/completions; they run pimctl itself with `_PIMCTL_COMPLETE` set.
"""

from __future__ import annotations

from typing import Any

from pimpy.cli.client import Client, FailedError, find

PATIENCE = 0.5
"""Seconds that a daemon has to answer."""
MOST = 200
"""Words that are offered."""

FIELDS = {
    "neighbors": ("interface", "address"),
    "mroute": ("group", "source_address", "incoming_interface", "outgoing_interface"),
    "interfaces": ("interface", "address"),
    "igmp": ("interface", "group_address", "source_address"),
    "mld": ("interface", "group_address", "source_address"),
    "static": ("kind", "interface", "group_prefix"),
    "proxy": ("proxy", "interface", "group_address"),
    "rp": ("rp_address",),
    "rp-set": ("group_prefix", "rp_address"),
    "bsr": ("zone", "rp_address", "bsr_address"),
    "watches": ("watch", "group", "source_address", "interface", "address"),
    "counters": ("interface", "protocol", "direction", "type", "reason"),
    "explain": ("source_address", "group"),
}
"""The fields whose values may stand behind `show COMMAND`."""
PARTS = {"igmp": ("groups", "interfaces", "sources"), "mld": ("groups", "interfaces", "sources")}


def words(name: str, path: str | None, ident: str | None, said: str) -> list[str]:
    """What may stand behind `show NAME` and begins as `said` does."""
    fixed = [*PARTS.get(name, ()), *(("detail", "ipv4", "ipv6") if name in FIELDS and name != "explain" else ())]
    found = [word for word in fixed if word.startswith(said)]
    known: dict[str, None] = {}
    for row in _rows("mroute" if name == "explain" else name, path, ident):
        for field in FIELDS.get(name, ()):
            value = row.get(field)
            if isinstance(value, str) and value.startswith(said) and value != "*":
                known[value] = None
    return [*found, *sorted(known)[:MOST]]


def _rows(name: str, path: str | None, ident: str | None) -> list[dict[str, Any]]:
    client = Client(find(path, ident), PATIENCE)
    try:
        rows = client.ask(f"show {name}").get("rows")
    except FailedError:
        return []
    finally:
        client.close()
    return rows if isinstance(rows, list) else []
