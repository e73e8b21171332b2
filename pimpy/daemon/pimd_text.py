"""pimd's text protocol: its commands, and its tables column by column (pimd 3.0, src/ipc.c).

A line that ends in `_` is a table's title, one that ends in `=` its column heading; pimd's own pimctl draws them.
pimd knows IPv4 only, so scripts around it expect one row an interface: the tables show IPv4, and IPv6 where
the word `ipv6` follows (`show neighbor ipv6`), and both after `all`. Where pimd sends an empty reply to
what it does not know, ours says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pimpy.core.rows import (
    BsrRow,
    CandidateRpRow,
    GmpGroupRow,
    GmpInterfaceRow,
    GmpSourceRow,
    InterfaceRow,
    NeighborRow,
    OfferRow,
    Row,
    RpSetRow,
)
from pimpy.daemon import levels, pimd_mrt
from pimpy.daemon.backend import Backend
from pimpy.daemon.commands import USAGE, RefusedError
from pimpy.daemon.rows import sort_key

R = TypeVar("R", bound=Row)

HELP = (
    ("debug [? | none | SYS]", "Show or set the subsystems that are debugged"),
    ("help", "This help text"),
    ("kill", "Kill the running daemon"),
    ("log [? | none | LEVEL]", "Show or set the log level"),
    ("reload", "Read the configuration again and apply what changed"),
    ("restart", "Start again; no stream is interrupted"),
    ("version", "Show the version of the daemon"),
    ("show status", "Show the status of the daemon"),
    ("show igmp", "Show IGMP interfaces and group memberships"),
    ("show interface", "Show the PIM interface table"),
    ("show mrt [detail]", "Show the multicast routing table"),
    ("show neighbor", "Show the PIM neighbor table"),
    ("show rp", "Show the set of rendezvous points"),
    ("show crp", "Show the candidate rendezvous points"),
    ("show pim [detail]", "Show the PIM tables, one after the other"),
    ("show compat [detail]", "Show the tables of pimd 2.x"),
    ("show", ""),
)
"""Every command, with pimd's argument notation; pimd's client expands abbreviations by this list."""

_UNKNOWN = "No such command, see 'help' for available commands."

LOG_WORDS = "alert, crit, debug, emerg, err, error, info, none, notice, panic, warn, warning"


def answer(backend: Backend, line: str) -> str:
    """The reply to one command of the text protocol. Words are matched by unique beginnings, whatever their case."""
    words = line.replace("\0", " ").split()
    if not words:
        raise RefusedError(_UNKNOWN, USAGE)
    name = _match(words[0], ("debug", "help", "kill", "log", "reload", "restart", "version", "show"))
    if name == "help":
        return "".join(f"{command}\t{text}\n" for command, text in HELP)
    if name == "version":
        status = backend.status()
        return f"{status.ident} version {status.version}"
    if name == "show":
        return _show(backend, words[1:])
    if name == "debug":
        return _debug(backend, words[1:])
    if name == "log":
        return LOG_WORDS if words[1:] == ["?"] else backend.command("log", words[1:2])
    return backend.command(name, [])


def _debug(backend: Backend, words: Sequence[str]) -> str:
    """`debug`, `debug ?`, `debug none` and `debug SYS,SYS`."""
    if words[:1] in (["?"], ["all"]):
        return ", ".join(levels.SUBSYSTEMS)
    return backend.command("debug", words[:1])


def _match(word: str, known: Sequence[str]) -> str:
    low = word.lower()
    found = [name for name in known if name == low] or [name for name in known if name.startswith(low)]
    if len(found) != 1:
        raise RefusedError(_UNKNOWN, USAGE)
    return found[0]


def _show(backend: Backend, words: Sequence[str]) -> str:
    tables: dict[str, Callable[[Backend, tuple[str, ...]], str]] = {
        "status": _status,
        "igmp": _igmp,
        "interface": _interface,
        "interfaces": _interface,
        "mrt": _mrt,
        "mroute": _mrt,
        "neighbor": _neighbor,
        "neighbors": _neighbor,
        "rp": _rp,
        "crp": _crp,
        "pim": _pim,
        "compat": _compat,
    }
    asked = [word.lower() for word in words]
    families: tuple[str, ...] = ("ipv4",)
    if asked and asked[-1] in ("ipv4", "ipv6", "all"):
        families = ("ipv4", "ipv6") if asked[-1] == "all" else (asked[-1],)
        asked.pop()
    if not asked:
        return _pim(backend, families)
    detail = len(asked) == 2 and "detail".startswith(asked[1])
    if len(asked) > 1 and not (detail and "mrt mroute pim compat".find(asked[0]) >= 0):
        raise RefusedError(_UNKNOWN, USAGE)
    if asked[0] == "dump":
        return pimd_mrt.dump(backend)
    exact = [name for name in tables if name == asked[0]]
    found = {tables[name] for name in exact or [name for name in tables if name.startswith(asked[0])]}
    if len(found) != 1:
        raise RefusedError(_UNKNOWN, USAGE)
    table = found.pop()
    if detail and table in _DETAILED:
        return _DETAILED[table](backend, families, True)
    return table(backend, families)


def _pim(backend: Backend, families: tuple[str, ...], detail: bool = False) -> str:
    before, after = (_interface, _neighbor), (_crp, _rp)
    parts = [table(backend, families) for table in before]
    return "".join([*parts, pimd_mrt.mrt(backend, families, detail), *(table(backend, families) for table in after)])


def _mrt(backend: Backend, families: tuple[str, ...], detail: bool = False) -> str:
    return pimd_mrt.mrt(backend, families, detail)


def _compat(backend: Backend, families: tuple[str, ...], detail: bool = False) -> str:
    """The tables of pimd 2.x; the RPs last."""
    lines = ["", "RP address       Incoming  Group Prefix        Priority  Holdtime="]
    last = ""
    for row in _rows(backend, "rp_set", RpSetRow, families):
        if row.rp_address != last:
            kind = "Static" if row.info_source == "static" else "Dynamic"
            lines.append(f"{row.rp_address:<15}  {32:<8}{'':32}{kind}")
        last = row.rp_address
        holdtime = "Forever" if row.holdtime is None else f"{row.holdtime:.0f}"
        lines.append(f"{'':27}{row.group_prefix:<18}  {row.priority:<8}  {holdtime}")
    zones = _rows(backend, "bsr", BsrRow, families)
    bsr = next((row.bsr_address for row in zones if row.zone == "global" and row.bsr_address), "0.0.0.0")
    return pimd_mrt.compat(backend, families, detail) + _text([*lines, "", f"Current BSR address: {bsr}"])


_DETAILED: dict[Callable[[Backend, tuple[str, ...]], str], Callable[[Backend, tuple[str, ...], bool], str]] = {
    _pim: _pim,
    _mrt: _mrt,
    _compat: _compat,
}


def _interface(backend: Backend, families: tuple[str, ...]) -> str:
    neighbors = _rows(backend, "neighbors", NeighborRow, families)
    priorities = {(row.interface, row.address): row.dr_priority for row in neighbors}
    lines = [
        "PIM Interface Table_",
        "Interface         State     Address            Priority  Hello  Nbr  DR Address      DR Priority =",
    ]
    for row in _rows(backend, "interfaces", InterfaceRow, families):
        if row.oper_status == "off":
            continue
        none = "0.0.0.0" if row.address_family == "ipv4" else "::"
        priority = row.dr_priority if row.is_dr else priorities.get((row.interface, row.dr_address or ""))
        shown = _priority(priority) if row.dr_address else " N/A"
        lines.append(
            f"{row.interface:<16}  {'Up' if row.oper_status == 'up' else 'Down':<8}  {row.address or none:<15}  "
            f"{row.dr_priority:>10}  {row.hello_interval:>5.0f}  {row.neighbor_count:>3}  "
            f"{row.dr_address or none:<15}  {shown}"
        )
    return _text(lines)


def _neighbor(backend: Backend, families: tuple[str, ...]) -> str:
    lines = [
        "PIM Neighbor Table_",
        "Interface         Address            Priority  Mode  Uptime/Expires               =",
    ]
    for row in _rows(backend, "neighbors", NeighborRow, families):
        priority = _priority(row.dr_priority)
        times = f"{duration(row.up_time)}/{'Never' if row.expiration is None else duration(row.expiration)}"
        mode = "DR" if row.is_dr else ""
        lines.append(f"{row.interface:<16}  {row.address:<15}  {priority}  {mode:<4}  {times:<28}")
    return _text(lines)


def _igmp(backend: Backend, families: tuple[str, ...]) -> str:
    protocols = [{"ipv4": "igmp", "ipv6": "mld"}[family] for family in families]
    lines = [
        "IGMP Interface Table_",
        "Interface         State     Querier          Timeout Version  Groups=",
    ]
    for protocol in protocols:
        for row in _rows(backend, f"{protocol}_interfaces", GmpInterfaceRow, families):
            querier = "Local" if row.is_querier else row.querier or "None"
            timeout = "None" if row.querier_expiration is None else f"{row.querier_expiration:.0f}"
            state = "Up" if row.oper_status == "up" else "Down"
            lines.append(
                f"{row.interface:<16}  {state:<8}  {querier:<15}  {timeout:>7} {row.version:>7}  {row.groups_count:>6}"
            )
    lines += [
        "IGMP Group Membership Table_",
        "Interface         Group            Source           Last Reported    Timeout=",
    ]
    for protocol in protocols:
        lines += _memberships(backend, f"{protocol}_groups", families)
    return _text(lines)


def _memberships(backend: Backend, kind: str, families: tuple[str, ...]) -> list[str]:
    """A line for every group that takes any source, and one for every source that is asked for."""
    groups = {(row.interface, row.group_address): row for row in _rows(backend, kind, GmpGroupRow, families)}
    found: dict[tuple[str, str], list[tuple[str, float | None]]] = {
        key: [("ANY", row.expire)] if row.filter_mode == "exclude" else [] for key, row in groups.items()
    }
    for row in _rows(backend, kind, GmpSourceRow, families):
        if row.forwarding:
            found.setdefault((row.interface, row.group_address), []).append((row.source_address, row.expire))
    lines = []
    for (interface, group), sources in found.items():
        record = groups.get((interface, group))
        reporter = (record and record.last_reporter) or "N/A"
        for source, expire in sources:
            timeout = "None" if expire is None else f"{expire:.0f}"
            lines.append(f"{interface:<16}  {group:<15}  {source:<15}  {reporter:<15}  {timeout:>7}")
    return lines


def _crp(backend: Backend, families: tuple[str, ...]) -> str:
    lines = ["PIM Candidate Rendez-Vous Point Table_", "Group Address     RP Address       Prio  Holdtime  Expires ="]
    for row in _rows(backend, "bsr", CandidateRpRow, families):
        left = duration(row.expiration or 0)
        head = f"{row.group_prefix:<15}   {row.rp_address:<15}"
        lines.append(f"{head}  {row.priority:>4}  {row.holdtime:>8.0f}  {left}")
    zones = _rows(backend, "bsr", BsrRow, families)
    bsr = next((row.bsr_address for row in zones if row.zone == "global" and row.bsr_address), "0.0.0.0")
    return _text([*lines, "", f"Current BSR address: {bsr}"])


def _rp(backend: Backend, families: tuple[str, ...]) -> str:
    lines = ["PIM Rendez-Vous Point Set Table_", "Group Address     RP Address       Prio  Holdtime  Type="]
    for row in _rows(backend, "rp_set", RpSetRow, families):
        holdtime = "Forever" if row.holdtime is None else f"{row.holdtime:.0f}"
        kind = "Static " if row.info_source == "static" else "Dynamic"
        lines.append(f"{row.group_prefix:<15}   {row.rp_address:<15}  {row.priority:>4}  {holdtime:>8}  {kind}")
    return _text(lines)


def _bsr_status(backend: Backend, families: tuple[str, ...]) -> list[str]:
    """The blocks of the BSR, and of what we are candidate for; pimd writes N/A for a priority of 0."""
    zones = [row for row in _rows(backend, "bsr", BsrRow, families) if row.zone == "global"]
    zone = next(iter(zones), None)
    offer = next(iter(_rows(backend, "bsr", OfferRow, families)), None)
    left = None if zone is None or zone.bsr_address is None else zone.bootstrap_expiration
    ours = None if zone is None else zone.candidate_address
    return [
        "Elected BSR",
        f"    Address          : {(zone and zone.bsr_address) or '0.0.0.0'}",
        f"    Expiry Time      : {'N/A' if left is None else duration(left)}",
        f"    Priority         : {(zone and zone.bsr_priority) or 'N/A'}",
        f"    Hash Mask Length : {(zone and zone.hash_mask_length) or 0}",
        "Candidate BSR",
        f"    State            : {'Enabled' if ours else 'Disabled'}",
        f"    Address          : {ours or '0.0.0.0'}",
        f"    Priority         : {(zone and zone.candidate_priority) or 'N/A'}",
        "Candidate RP",
        f"    State            : {'Enabled' if offer else 'Disabled'}",
        f"    Address          : {offer.rp_address if offer else '0.0.0.0'}",
        f"    Priority         : {offer.priority if offer else 0}",
        f"    Holdtime         : {offer.holdtime if offer else 0:.0f} sec",
    ]


def _status(backend: Backend, families: tuple[str, ...]) -> str:
    status = backend.status()
    return _text(
        [
            "PIM Daemon Status=",
            *_bsr_status(backend, families),
            f"Join/Prune Interval  : {status.join_prune_interval:.0f} sec",
            f"Hello Interval       : {status.hello_interval:.0f} sec",
            f"Hello Holdtime       : {int(3.5 * status.hello_interval)} sec",
            f"IGMP query interval  : {status.igmp_query_interval:.0f} sec",
            f"IGMP querier timeout : {status.igmp_querier_timeout:.0f} sec",
            "SPT Threshold        : Disabled",
        ]
    )


def duration(seconds: float) -> str:
    """A time as pimd prints it: `0h1m40s`, from a day on `1d0h0m5s`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{f'{days}d' if days else ''}{hour}h{minute}m{second}s"


def _priority(value: int | None) -> str:
    """A DR priority in ten columns; in four if none was told."""
    return "   N" if value is None else f"{value:>10}"


def _rows(backend: Backend, kind: str, cls: type[R], families: tuple[str, ...]) -> list[R]:
    """The rows of one class and of these families, in order."""
    found = (row for row in backend.rows(kind) if isinstance(row, cls))
    return sorted((row for row in found if row.address_family in families), key=sort_key)


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
