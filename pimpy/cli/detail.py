"""`show ... detail`: one block of lines for each row, with timers and reasons in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Cells = Mapping[str, Any]

SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def scaled(value: float, unit: str) -> str:
    """A number in at most four digits: `4.00 Mbit/s`, `512 bit/s`."""
    for size, letter in SCALES:
        if value >= size:
            return f"{value / size:.3g} {letter}{unit}"
    return f"{value:.3g} {unit}"


def ago(seconds: float) -> str:
    """How long ago, to a hundredth of a second below ten."""
    return f"{seconds:.2f} s ago" if seconds < 10 else f"{duration(seconds)} ago"


def duration(seconds: float | None) -> str:
    """A time in at most seven characters: `34s`, `1m40s`, `3h07m`, `12d4h`; `-` for none."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole // 60 % 60:02}m"
    return f"{whole // 86400}d{whole // 3600 % 24}h"


RPF = {
    "connected": "the source is on the link",
    "local": "the address is this router's own",
    "no_route": "there is no route",
    "no_neighbor": "the next hop is no PIM neighbour",
    "no_interface": "the route's interface takes no part in multicast routing",
    "border": "the route's interface is a border of the group's scope, which nothing crosses",
    "pending": "the kernel has not told of a route yet",
}
REGISTER = {
    "join": "data goes to the RP in Registers",
    "join_pending": "asking the RP whether it wants Registers again",
    "prune": "stopped: the RP has said that it needs none",
}


def detail(name: str, rows: Sequence[Cells]) -> str:
    """The blocks of `show NAME detail`."""
    if name == "mroute":
        blocks = _mroutes(rows)
    else:
        blocks = ["".join(f"{key:<24}: {_plain(key, value)}\n" for key, value in row.items()) for row in rows]
    return "\n".join(blocks)


_TIMES = ("up_time", "expire", "expiration", "interval", "_time")


def _plain(key: str, value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and key.endswith(_TIMES) and key != "config_time":
        return duration(value) if value >= 10 else f"{value:g}s"
    return str(value)


def _mroutes(rows: Iterable[Cells]) -> list[str]:
    outgoing: dict[tuple[str, str, int, bool], list[Cells]] = {}
    entries = []
    for row in rows:
        if row["row"] in ("entry", "rpt"):
            entries.append(row)
        else:
            key = row["group"], row["source_address"], row.get("table", 0), row["row"] == "rpt_outgoing"
            outgoing.setdefault(key, []).append(row)
    blocks = []
    for row in entries:
        of_rpt = row["row"] == "rpt"
        found = outgoing.get((row["group"], row["source_address"], row.get("table", 0), of_rpt), [])
        blocks.append(_rpt(row, found) if of_rpt else _mroute(row, found))
    return blocks


def _rpt(row: Cells, outgoing: Sequence[Cells]) -> str:
    """An (S,G,rpt) entry: what is said of a source on the shared tree."""
    states = {
        "pruned": "pruned off the shared tree upstream",
        "not_pruned": "wanted from the shared tree",
        "rpt_not_joined": "the shared tree is not joined",
    }
    lines = [f"({row['source_address']}, {row['group']}, rpt)", f"  State     : {states[row['upstream_state']]}"]
    lines.append(f"  RP        : {row['rp_address'] or 'none known'}")
    lines.append(f"  Incoming  : {row['incoming_interface'] or 'none'}, RPF neighbour {row['rpf_neighbor'] or 'none'}")
    if row["override_expiration"] is not None:
        lines.append(f"  Timers    : overrides a Prune in {row['override_expiration']:g}s")
    texts = [_rpt_outgoing(one) for one in outgoing] or ["none"]
    lines += [f"  {'  ' if number else 'Outgoing  : ':<12}{text}" for number, text in enumerate(texts)]
    return "".join(f"{line}\n" for line in lines)


def _rpt_outgoing(row: Cells) -> str:
    ends = "never" if row["expiration"] is None else f"in {duration(row['expiration'])}"
    said = []
    if row["prune_state"] == "prune":
        said.append(f"pruned by a router {duration(row['up_time'])} ago, ends {ends}")
    elif row["prune_state"] == "prune_pending":
        said.append(f"pruned by a router, in force in {row['prune_expiration']:g}s, ends {ends}")
    if row["excluded"]:
        said.append("excluded by all members")
    state = "from the shared tree" if row["inherited"] else "NOT from the shared tree"
    return f"{row['outgoing_interface']} {state}: {'; '.join(said)}"


def _mroute(row: Cells, outgoing: Sequence[Cells]) -> str:
    lines = [f"({row['source_address']}, {row['group']})"]
    for name, text in _FIELDS:
        if said := text(row):
            lines.append(f"  {name:<10}: {said}")
    texts = [_outgoing(one) for one in outgoing] or ["none"]
    lines += [f"  {'  ' if number else 'Outgoing  : ':<12}{text}" for number, text in enumerate(texts)]
    return "".join(f"{line}\n" for line in lines)


def _kind(row: Cells) -> str:
    if row["mode"] == "negative":
        return "unwanted: nobody asks for this stream, and the kernel drops it"
    kind = "source-specific" if row["mode"] == "pim_ssm" else "any-source, the shared tree"
    if row["mode"] == "pim_asm" and not row["is_rpt"]:
        kind = f"any-source, {'the source tree' if row['is_spt'] else 'still on the shared tree'}"
    joined = "joined upstream" if row["upstream_state"] == "joined" else "not joined upstream"
    return f"{kind}, {joined}, up {duration(row['up_time'])}"


def _upstream(row: Cells) -> str:
    if row["mode"] == "negative":
        return str(row["incoming_interface"] or "-")
    how = f"RPF neighbour {row['rpf_neighbor']}" if row["rpf_neighbor"] else RPF.get(row["rpf_state"], "")
    return f"{row['incoming_interface'] or 'none'}, {how}"


def _timers(row: Cells) -> str:
    said = []
    if row["join_expiration"] is not None:
        said.append(f"next Join in {duration(row['join_expiration'])}")
    if row["keepalive_expiration"] is not None:
        said.append(f"counts as silent in {duration(row['keepalive_expiration'])}")
    return ", ".join(said)


def _traffic(row: Cells) -> str:
    if row["packets"] is None:
        return "" if row["is_rpt"] else "the kernel has no entry"
    said = [f"{row['packets']} packets, {scaled(row['bytes'], 'B')}"]
    if row["packet_rate"] is not None:
        said.append(f"{row['packet_rate']:.4g} packets/s, {scaled(row['bit_rate'], 'bit/s')}")
    if row["last_packet"] is not None:
        said.append(f"last {ago(row['last_packet'])}")
    said.append(f"{row['wrong_if']} from a wrong interface")
    return ", ".join(said)


_FIELDS: tuple[tuple[str, Callable[[Cells], str]], ...] = (
    ("State", _kind),
    ("RP", lambda row: row["rp_address"] or ("none known" if row["mode"] == "pim_asm" else "")),
    ("Incoming", _upstream),
    ("Timers", _timers),
    ("Register", lambda row: REGISTER.get(row["register_state"], "")),
    ("Traffic", _traffic),
)


def _outgoing(row: Cells) -> str:
    said = []
    if row["member"]:
        said.append("members on the link")
    if row["jp_state"] != "no_info":
        ends = "never" if row["expiration"] is None else f"in {duration(row['expiration'])}"
        what = "joined by a router" if row["jp_state"] == "join" else "pruned by a router, not in force yet"
        said.append(f"{what} {duration(row['up_time'])} ago, ends {ends}")
    if row["inherited"]:
        said.append("of the shared tree")
    if row["rpt_pruned"]:
        said.append("pruned off the shared tree")
    if row["assert_state"] is not None:
        said.append("we forward" if row["assert_state"] == "winner" else "another router forwards")
        said[-1] += ", by Assert"
    elif row["rpt_assert_state"] == "loser":
        said.append("another router forwards, by Assert on the shared tree")
    state = "forwarding" if row["forwarding"] else "NOT forwarding"
    return f"{row['outgoing_interface']} {state}: {'; '.join(said) or 'no reason'}"
