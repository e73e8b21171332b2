"""The tables that people see of each `show` command: what its rows are put together to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pimpy.cli.columns import (
    BSRS,
    CANDIDATE_RPS,
    COUNTERS,
    EXPECTED_NEIGHBORS,
    GMP_BRIDGES,
    GMP_GROUPS,
    GMP_INTERFACES,
    GMP_MESSAGES,
    GMP_REPORTERS,
    GMP_SOURCES,
    INTERFACES,
    MROUTE,
    NEIGHBORS,
    OFFERS,
    OTHERS,
    PROXIES,
    PROXY_GROUPS,
    PROXY_INTERFACES,
    RP_CHOICE,
    RP_SET,
    RPF,
    RPS,
    STATIC,
    WATCHES,
    Cells,
    why,
    why_not,
)
from pimpy.cli.detail import duration
from pimpy.cli.render import Column, Style, table

_PLAIN = {
    "neighbors": NEIGHBORS,
    "interfaces": INTERFACES,
    "static": STATIC,
    "counters": COUNTERS,
    "rp-set": RP_SET,
    "rpf": RPF,
}


def render(name: str, rows: Sequence[Cells], style: Style) -> str:
    """The text of `show NAME` for these rows (`name` as in `daemon.commands.SHOW`)."""
    if name == "mroute":
        return table(MROUTE, _entries(rows), style)
    if name == "status":
        return "".join(_status(row) for row in rows)
    if name == "rp":
        return table(RP_CHOICE if any("hash_value" in row for row in rows) else RPS, rows, style)
    if name == "bsr":
        return _parts(_BSR, rows, style)
    if name == "proxy":
        return _parts(_PROXY, rows, style)
    if name == "watches":
        return _parts(_WATCHES, rows, style)
    if (columns := _PLAIN.get(name)) is not None:
        return table(columns, rows, style)
    return _gmp(name, rows, style)


Part = tuple[str, Sequence[Column], str]
"""A kind of row, its columns, and the title of its table; the first table, which has none, is always there."""

_BSR: tuple[Part, ...] = (
    ("zone", BSRS, ""),
    ("candidate_rp", CANDIDATE_RPS, "Candidate RPs"),
    ("offer", OFFERS, "Offered by us"),
)
_PROXY: tuple[Part, ...] = (
    ("proxy", PROXIES, ""),
    ("interface", PROXY_INTERFACES, "Interfaces"),
    ("group", PROXY_GROUPS, "Asked for upstream"),
)
_WATCHES: tuple[Part, ...] = (("watch", WATCHES, ""), ("neighbor", EXPECTED_NEIGHBORS, "Expected neighbors"))


def _parts(parts: Sequence[Part], rows: Sequence[Cells], style: Style) -> str:
    """A table for each kind of row that there is."""
    found = [(columns, [row for row in rows if row["row"] == kind], title) for kind, columns, title in parts]
    return "\n".join(table(columns, own, style, title) for columns, own, title in found if own or not title)


def _gmp(name: str, rows: Sequence[Cells], style: Style) -> str:
    """`igmp` or `mld` with what is asked of it: the tables, with titles if there are several."""
    protocol, *words = name.split()
    detail = "detail" in words
    part = next((word for word in words if word != "detail"), "")
    title = "" if part and not detail else f"{protocol.upper()} "
    texts = []
    if part in ("", "interfaces"):
        interfaces = [row for row in rows if row["row"] == "interface"]
        columns = GMP_BRIDGES if any(row["bridge"] is not None for row in interfaces) else GMP_INTERFACES
        texts.append(table(columns, interfaces, style, title and f"{title}interfaces"))
        if detail:
            texts.append(table(GMP_MESSAGES, interfaces, style, f"{title}messages"))
    if part != "interfaces":
        groups = [row for row in rows if row["row"] in ("group", "source")]
        shown = GMP_SOURCES if part == "sources" else GMP_GROUPS
        texts.append(table(shown, _members(groups), style, title and f"{title}groups"))
        if detail:
            hosts = [row for row in rows if row["row"] == "reporter"]
            texts.append(table(GMP_REPORTERS, hosts, style, f"{title}hosts"))
    return "\n".join(texts)


def _entries(rows: Iterable[Cells]) -> list[dict[str, Any]]:
    """The entries, each with the texts of its outgoing interfaces, which follow it in order."""
    entries: dict[tuple[str, str, int, bool], dict[str, Any]] = {}
    rest = []
    for row in rows:
        key = row["group"], row["source_address"], row.get("table", 0)
        if row["row"] == "entry":
            entries[*key, False] = {**row, "outgoing": []}
        elif row["row"] == "rpt":
            entries[*key, True] = {**_NO_STREAM, **row, "source_address": f"{key[1]} rpt", "outgoing": []}
        else:
            rest.append(row)
    for row in rest:
        of_rpt = row["row"] == "rpt_outgoing"
        if entry := entries.get((row["group"], row["source_address"], row.get("table", 0), of_rpt)):
            mode = entry["mode"]
            text = why_not(row) if of_rpt else why(row)
            entry["outgoing"].append(f"{row['outgoing_interface']} ({mode})" if mode in OTHERS else text)
    return list(entries.values())


_NO_STREAM: Cells = dict.fromkeys(("packets", "bytes", "wrong_if", "last_packet", "packet_rate", "bit_rate")) | {
    "mode": "rpt",
    "rpf_state": "no_neighbor",
}
"""What an (S,G,rpt) entry has not: the kernel knows none."""


def _members(rows: Iterable[Cells]) -> list[dict[str, Any]]:
    """A line for each group that excludes (with source `*`), and one for each source."""
    groups: dict[tuple[str, str], Cells] = {}
    lines = []
    for row in rows:
        if row["row"] == "group":
            groups[row["interface"], row["group_address"]] = row
            if row["filter_mode"] == "exclude" or not row["sources_count"]:
                lines.append({**row, "source": "*"})
            continue
        group = groups.get((row["interface"], row["group_address"]))
        lines.append(
            {
                **row,
                "source": row["source_address"],
                "filter_mode": "include" if row["forwarding"] else "exclude",
                "version": group["version"] if group else None,
                "last_reporter": group["last_reporter"] if group else None,
            }
        )
    return lines


def _status(row: Cells) -> str:
    from time import localtime, strftime

    loaded = strftime("%Y-%m-%d %H:%M:%S", localtime(row["config_time"])) if row["config_time"] else "never"
    config = f"{row['config_file'] or 'none, defaults'} (read {loaded})"
    if not row["config_ok"]:
        config += "; the last reload FAILED, see the log"
    fields = [
        ("Version", row["version"]),
        ("Ident", row["ident"]),
        ("Process", row["pid"]),
        ("Up", duration(row["up_time"])),
        ("Restarts", f"{row['restarts']}; {row['adopted']} entries adopted, {row['swept']} outgoing interfaces swept"),
        ("Drift", f"{row['drift']} changes of the kernel's table by others put right"),
        ("Configuration", config),
        ("Families", row["address_families"]),
        ("Kernel table", row["table"] or "main"),
        ("Log level", row["log_level"]),
        ("Interfaces up", row["interface_count"]),
        ("Neighbours", row["neighbor_count"]),
        ("(S,G) entries", row["mroute_count"]),
        ("Groups joined", row["group_count"]),
        ("Hello interval", f"{row['hello_interval']:g} s"),
        ("Join/Prune interval", f"{row['join_prune_interval']:g} s"),
        ("Query interval", f"{row['igmp_query_interval']:g} s, robustness {row['igmp_robustness']}"),
    ]
    return "".join(f"{name:<20}: {value}\n" for name, value in fields)
