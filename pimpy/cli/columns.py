"""The columns that people see of each `show` command, and how a field reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pimpy.cli.detail import duration, scaled
from pimpy.cli.render import Column

Cells = Mapping[str, Any]


def _say(name: str) -> Callable[[Cells], str]:
    """A field as it is; `-` for none."""

    def text(row: Cells) -> str:
        value = row[name]
        return "-" if value is None else str(value)

    return text


def _time(name: str) -> Callable[[Cells], str]:
    return lambda row: duration(row[name])


def _yes(name: str) -> Callable[[Cells], str]:
    return lambda row: "yes" if row[name] else "no"


def _rpf(row: Cells) -> str:
    """The upstream side in words: what the tree hangs on, or what is missing."""
    words = {
        "connected": "connected",
        "no_route": "no route",
        "no_neighbor": "no neighbour",
        "no_interface": "no interface",
        "border": "scope border",
        "local": "local",
        "pending": "asking",
    }
    return str(row["rpf_neighbor"] or words.get(row["rpf_state"], row["rpf_state"]))


OTHERS = ("static", "proxy")
"""Owners of entries that are not PIM's."""


RPT_STATES = {"pruned": "pruned", "not_pruned": "not pruned", "rpt_not_joined": "not joined"}
"""Of an (S,G,rpt) entry: what is asked for upstream (RFC 7761 4.5.7)."""


def _state(row: Cells) -> str:
    if row["mode"] == "negative":
        return "unwanted"
    if row["mode"] == "rpt":
        return RPT_STATES[row["upstream_state"]]
    if row["mode"] in OTHERS:
        return f"{row['mode']}, table {row['table']}" if row.get("table") else str(row["mode"])
    flags = ["SPT"] if row["is_spt"] and row["mode"] == "pim_asm" else []
    if row["register_state"] is not None:
        flags.append({"join": "registering", "prune": "register stopped"}.get(row["register_state"], "probing"))
    return ", ".join(["joined" if row["upstream_state"] == "joined" else "not joined", *flags])


def _outgoing(row: Cells) -> str:
    return ", ".join(row["outgoing"]) or "-"


def why(row: Cells) -> str:
    """An outgoing interface with the reason that it is one: `eth1 (join)`; in square brackets while nothing flows."""
    reasons = ["member"] if row["member"] else []
    if row["jp_state"] != "no_info":
        reasons.append("join" if row["jp_state"] == "join" else "pruning")
    if row["inherited"]:
        reasons.append("tree")
    if row["rpt_pruned"]:
        reasons.append("pruned")
    if row["assert_state"] is not None:
        reasons.append("assert won" if row["assert_state"] == "winner" else "assert lost")
    elif row["rpt_assert_state"] == "loser":
        reasons.append("assert lost")
    text = f"{row['outgoing_interface']} ({'+'.join(reasons) or 'none'})"
    return text if row["forwarding"] else f"[{text}]"


def why_not(row: Cells) -> str:
    """An interface of an (S,G,rpt) entry, with the reason that the source is not wanted there from the shared tree."""
    reasons = {"prune": ["pruned"], "prune_pending": ["pruning"]}.get(row["prune_state"], [])
    if row["excluded"]:
        reasons = [*reasons, "excluded"]
    text = f"{row['outgoing_interface']} ({'+'.join(reasons)})"
    return text if row["inherited"] else f"[{text}]"


def _bridge(row: Cells) -> str:
    """The snooping bridge below, and what is wrong with it."""
    if row["bridge"] is None:
        return "-"
    router = ", router port" if row["bridge_router_port"] else ""
    return str(row["bridge_warning"] or f"{row['bridge']}, querier {row['bridge_querier']}{router}")


def _rate(row: Cells) -> str:
    return "-" if row["bit_rate"] is None else scaled(row["bit_rate"], "bit/s")


def _last(row: Cells) -> str:
    """When the last packet came."""
    seconds = row["last_packet"]
    return "-" if seconds is None else f"{seconds:.1f}s" if seconds < 10 else duration(seconds)


NEIGHBORS = (
    Column("Interface", _say("interface")),
    Column("Address", _say("address")),
    Column("DR priority", _say("dr_priority"), right=True, spare=2),
    Column("DR", _yes("is_dr"), spare=1),
    Column("Up", _time("up_time"), right=True, spare=1),
    Column("Expires", _time("expiration"), right=True),
    Column("GenID", lambda row: "-" if row["gen_id"] is None else f"{row['gen_id']:08x}", spare=3),
    Column("Further addresses", lambda row: row["secondary_addresses"] or "-", spare=4, wrap=True),
)

INTERFACES = (
    Column("Interface", _say("interface")),
    Column("State", _say("oper_status")),
    Column("Mode", _say("mode"), spare=2),
    Column("Address", _say("address")),
    Column("DR", lambda row: "self" if row["is_dr"] else row["dr_address"] or "-"),
    Column("Priority", _say("dr_priority"), right=True, spare=3),
    Column("Hello", _time("hello_expiration"), right=True, spare=3),
    Column("Neighbours", _say("neighbor_count"), right=True, spare=1),
    Column("VIF", _say("vif"), right=True, spare=4),
    Column("MTU", _say("mtu"), right=True, spare=4),
    Column("Why", lambda row: row["reason"] or "", wrap=True),
)

MROUTE = (
    Column("Group", _say("group")),
    Column("Source", _say("source_address")),
    Column("Incoming", _say("incoming_interface")),
    Column("RPF neighbour", _rpf, spare=1),
    Column("RP", lambda row: row["rp_address"] or "-", spare=4),
    Column("State", _state, spare=2),
    Column("Packets", _say("packets"), right=True, spare=3),
    Column("Rate", _rate, right=True, spare=5),
    Column("Last", _last, right=True, spare=6),
    Column("Outgoing", _outgoing, wrap=True),
)

GMP_INTERFACES = (
    Column("Interface", _say("interface")),
    Column("State", _say("oper_status")),
    Column("Version", _say("version"), right=True, spare=2),
    Column("Querier", lambda row: "self" if row["is_querier"] else row["querier"] or "-"),
    Column(
        "Expires",
        lambda row: "-" if row["querier_expiration"] is None else duration(row["querier_expiration"]),
        right=True,
    ),
    Column("Next query", _time("query_expiration"), right=True, spare=1),
    Column("Interval", _time("query_interval"), right=True, spare=3),
    Column("Groups", _say("groups_count"), right=True),
)

GMP_BRIDGES = (*GMP_INTERFACES, Column("Bridge", _bridge, spare=1, wrap=True))

GMP_MESSAGES = (
    Column("Interface", _say("interface")),
    Column("Robustness", _say("robustness_variable"), right=True, spare=2),
    Column("Response", lambda row: f"{row['query_max_response_time']:g}s", right=True, spare=2),
    Column("Immediate leave", _say("immediate_leave"), spare=1),
    Column("Sources", _say("sources_count"), right=True),
    Column("Most groups", _say("max_groups"), right=True, spare=3),
    Column("Queries sent", _say("queries_sent"), right=True),
    Column("heard", _say("queries_received"), right=True),
    Column("Reports v1", _say("reports_v1_received"), right=True),
    Column("v2", _say("reports_v2_received"), right=True),
    Column("v3", _say("reports_v3_received"), right=True),
    Column("Leaves", _say("leaves_received"), right=True),
    Column("Refused", _say("refused"), right=True),
)

GMP_GROUPS = (
    Column("Interface", _say("interface")),
    Column("Group", _say("group_address")),
    Column("Source", _say("source")),
    Column("Mode", _say("filter_mode"), spare=1),
    Column("Version", _say("version"), right=True, spare=3),
    Column("Up", _time("up_time"), right=True, spare=2),
    Column("Expires", _time("expire"), right=True),
    Column("Last reporter", _say("last_reporter"), spare=2),
)

GMP_SOURCES = tuple(column for column in GMP_GROUPS if column.heading not in ("Version", "Last reporter"))

STATIC = (
    Column("Kind", _say("kind")),
    Column("Incoming", _say("interface")),
    Column("Source", lambda row: row["source_prefix"] or "*"),
    Column("Group", _say("group_prefix")),
    Column("Pending", _yes("pending"), spare=1),
    Column("Entries", _say("entries"), right=True, spare=2),
    Column("Outgoing", lambda row: row["outgoing_interfaces"] or "-", wrap=True),
)

_PROXY_FLAGS = ("send-first", "check-sources", "quick-leave", "always-forward")
PROXIES = (
    Column("Proxy", _say("proxy")),
    Column("Family", _say("address_family"), spare=2),
    Column("Table", lambda row: str(row["table"] or "main"), spare=3),
    Column("Upstreams", lambda row: row["matching"] if row["mutex_time"] is None else f"mutex {row['mutex_time']:g}s"),
    Column("Up", _say("upstream_count"), right=True),
    Column("Down", _say("downstream_count"), right=True),
    Column("Streams", _say("stream_count"), right=True),
    Column("Flags", lambda row: " ".join(word for word in _PROXY_FLAGS if row[word.replace("-", "_")]) or "-"),
)

PROXY_INTERFACES = (
    Column("Proxy", _say("proxy")),
    Column("Interface", _say("interface")),
    Column("Role", _say("role")),
    Column("State", _say("oper_status")),
    Column("Address", _say("address"), spare=2),
    Column("Version", _say("version"), right=True, spare=3),
    Column("Querier", lambda row: "self" if row["is_querier"] else row["querier"] or "-"),
    Column("Groups", _say("groups_count"), right=True),
    Column("Filter", _yes("filtered"), spare=1),
)

PROXY_GROUPS = (
    Column("Proxy", _say("proxy")),
    Column("Upstream", _say("interface")),
    Column("Group", _say("group_address")),
    Column("Mode", _say("filter_mode")),
    Column("Sources", lambda row: row["sources"] or "-", wrap=True),
)

GMP_REPORTERS = (
    Column("Interface", _say("interface")),
    Column("Group", _say("group_address")),
    Column("Host", _say("reporter_address")),
    Column("Mode", _say("filter_mode"), spare=1),
    Column("Expires", _time("expire"), right=True),
    Column("Sources", lambda row: row["sources"] or "-", wrap=True),
)

RPS = (
    Column("RP", lambda row: row["rp_address"] or "none"),
    Column("From", _say("info_source")),
    Column("Here", _yes("is_local"), spare=2),
    Column("Groups", _say("group_count"), right=True),
    Column("Interface", _say("rpf_interface"), spare=1),
    Column("RPF neighbour", lambda row: "-" if row["rpf_state"] is None else _rpf(row), spare=1),
)

RP_CHOICE = (
    Column("Group", _say("group")),
    Column("RP", _say("rp_address")),
    Column("Rule", _say("rule")),
    Column("Range", _say("group_prefix")),
    Column("Priority", _say("priority"), right=True, spare=2),
    Column("Mask", _say("hash_mask_length"), right=True, spare=2),
    Column("Hash", _say("hash_value"), right=True, spare=1),
    Column("Zone", _say("zone"), spare=2),
    Column("Selected", _yes("is_selected")),
)

RP_SET = (
    Column("Range", _say("group_prefix")),
    Column("RP", _say("rp_address")),
    Column("From", lambda row: "override" if row["override"] else row["info_source"]),
    Column("Priority", _say("priority"), right=True),
    Column("Mask", _say("hash_mask_length"), right=True, spare=2),
    Column("Expires", _time("expiration"), right=True),
    Column("Zone", _say("zone"), spare=1),
    Column("Usable", lambda row: "yes" if row["usable"] else "bidir" if row["mode"] == "pim_bidir" else "no route"),
)

BSRS = (
    Column("Family", _say("address_family")),
    Column("Zone", _say("zone")),
    Column("State", lambda row: row["state"].replace("_", " ")),
    Column("BSR", _say("bsr_address")),
    Column("Priority", _say("bsr_priority"), right=True),
    Column("Mask", _say("hash_mask_length"), right=True, spare=2),
    Column("Expires", _time("bootstrap_expiration"), right=True),
    Column("Up", _time("up_time"), right=True, spare=2),
    Column("Our address", _say("candidate_address"), spare=1),
    Column("Our priority", _say("candidate_priority"), right=True, spare=1),
)

CANDIDATE_RPS = (
    Column("Range", _say("group_prefix")),
    Column("RP", _say("rp_address")),
    Column("Priority", _say("priority"), right=True),
    Column("Expires", _time("expiration"), right=True),
    Column("Up", _time("up_time"), right=True, spare=1),
    Column("Zone", _say("zone"), spare=1),
)

OFFERS = (
    Column("RP", _say("rp_address")),
    Column("Priority", _say("priority"), right=True),
    Column("Next", _time("advertisement_expiration"), right=True),
    Column("Zone", _say("zone")),
    Column("Ranges", _say("group_prefixes"), wrap=True),
)

RPF = (
    Column("Address", _say("address")),
    Column("Route", _say("prefix")),
    Column("Interface", _say("rpf_interface")),
    Column("Next hop", _say("next_hop")),
    Column("RPF neighbour", _rpf),
    Column("Metric", _say("metric"), right=True, spare=1),
    Column("Users", _say("users"), right=True, spare=1),
)

COUNTERS = (
    Column("Family", _say("address_family")),
    Column("Interface", _say("interface")),
    Column("Protocol", _say("protocol")),
    Column("Way", _say("direction")),
    Column("Type", _say("type")),
    Column("Reason", _say("reason")),
    Column("Count", _say("count"), right=True),
)


WATCHES = (
    Column("Watch", _say("watch")),
    Column("Source", _say("source_address")),
    Column("Group", _say("group")),
    Column("State", _say("state")),
    Column("For", _time("since"), right=True),
    Column("Packets", lambda row: "-" if row["recent_packets"] is None else str(row["recent_packets"]), right=True),
    Column("Wanted", lambda row: f"{row['min_packets']}/{row['interval']}s", right=True, spare=1),
    Column("Last", _time("last_packet"), right=True, spare=2),
)

EXPECTED_NEIGHBORS = (
    Column("Interface", _say("interface")),
    Column("Neighbor", _say("address")),
    Column("State", _say("state")),
    Column("For", _time("since"), right=True),
)
