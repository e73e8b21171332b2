"""The state as pim6sd writes it on SIGUSR1: its sections and columns, from the rows of the control socket.

Its multicast interfaces (mifs) are all interfaces, the register tunnel last; here those with a vif come first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from pimpy.cli.client import Client, FailedError
from pimpy.daemon import pimd_mrt
from pimpy.wire.record import define

Row = Mapping[str, Any]
FAMILY = "ipv6"
REGISTER = "regist"
FOREVER = 65535
"""The holdtime of static RPs."""


@define
class State:
    """What the daemon told."""

    interfaces: Sequence[Row]
    neighbors: Sequence[Row]
    mld: Sequence[Row]
    groups: Sequence[Row]
    mroutes: Sequence[Row]
    rp_set: Sequence[Row]
    rps: Sequence[Row]
    bsr: Sequence[Row]
    up_time: float
    """Seconds since the daemon began, and asked."""

    def mifs(self) -> Iterator[tuple[int, Row]]:
        """Each interface with its number."""
        return enumerate(self.interfaces)

    def number(self, name: str) -> int:
        """That of an interface."""
        return next((number for number, row in self.mifs() if row["interface"] == name), 0)


def ask(client: Client) -> State:
    """All that the dump needs."""

    def show(what: str) -> list[Row]:
        return [row for row in client.ask(f"show {what}")["rows"] if row.get("address_family") == FAMILY]

    links = sorted(show("interfaces"), key=lambda row: (row["vif"] is None, row["vif"] or row["ifindex"]))
    return State(
        links,
        show("neighbors"),
        show("mld interfaces"),
        show("mld groups"),
        show("mroute"),
        show("rp-set"),
        show("rp"),
        show("bsr"),
        client.ask("show status")["rows"][0]["up_time"],
    )


def _clock(seconds: float | None) -> str:
    whole = int(seconds or 0)
    return f"{whole // 60}:{whole % 60:02}"


def _span(seconds: float | None) -> str:
    """`34s`, `2m05s`, `1h02m05s`."""
    whole = int(seconds or 0)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest:02}s" if hours else f"{minutes}m{rest:02}s"


def _mif(number: int, name: str) -> str:
    return f" {number:<3} {name[:6]:>6}"


_BLANK = f" {'':<3} {'':>6}"


def interfaces(state: State) -> str:
    """The first section."""
    asking = {row["interface"]: row for row in state.mld}
    text = f"\nMulticast Interface Table\n {'Mif':<4} {' PhyIF':<6} {'Local-Address/Prefixlen':<43} "
    text += f"{'Scope':>5} {'GenID':<8} {'Flags':<14}\n"
    for number, row in state.mifs():
        mld = asking.get(row["interface"])
        addresses = _addresses(row)
        text += f" {_mif(number, row['interface'])} {addresses[0]:<43} {_scope(row, addresses[0]):<5} "
        text += f"{row['gen_id'] or 0:<8x}{''.join(f' {word}' for word in _flags(row, mld))}\n"
        text += "".join(f" {_BLANK} {other:<43} {_scope(row, other):<5}\n" for other in addresses[1:])
        text += _timers(row["hello_expiration"], mld)
    local = next((_addresses(row)[0] for row in state.interfaces if row["vif"] is not None), "-")
    text += f" {_mif(len(state.interfaces), REGISTER)} {local:<43} {0:<5} {0:<8x} REGISTER\n{_timers(None, None)}"
    return text + "\n"


def _addresses(row: Row) -> list[str]:
    """Those of an interface, the link-local one first; a dash if there is none."""
    return sorted(row["addresses"].split(), key=lambda text: not text.startswith("fe80:")) or ["-"]


def _scope(row: Row, address: str) -> int:
    return int(row["ifindex"]) if address.startswith("fe80:") else 0


def _flags(row: Row, mld: Row | None) -> list[str]:
    up = row["oper_status"] == "up"
    told = (
        ("DISABLED", row["oper_status"] == "off"),
        ("DOWN", row["oper_status"] == "down"),
        ("PIM", up and row["neighbor_count"] > 0),
        ("QRY", mld is not None and mld["is_querier"]),
        ("NO-NBR", up and not row["neighbor_count"]),
        ("DR", up and row["is_dr"]),
    )
    return [word for word, holds in told if holds]


def _timers(hello: float | None, mld: Row | None) -> str:
    query = None if mld is None else mld["query_expiration"]
    versions = "1 " if mld is not None and mld["version"] == 1 else "1 2 "
    text = f" {_BLANK} Timers: PIM hello = {_clock(hello)}, MLD query = {_clock(query)}\n"
    return text + f" {_BLANK} possible MLD version = {versions}\n"


def neighbors(state: State) -> str:
    """Who else speaks PIM."""
    text = "PIM Neighbor List\n"
    text += f" {'Mif':<3} {'PhyIF':>6} {'Address':<40} {'Timer':<5} {'Prio':<4} {'GenID':<8} {'Flags':<5}\n"
    for number, interface in state.mifs():
        head = _mif(number, interface["interface"])
        for row in (one for one in state.neighbors if one["interface"] == interface["interface"]):
            left = FOREVER if row["expiration"] is None else int(row["expiration"])
            priority = "-" if row["dr_priority"] is None else str(row["dr_priority"])
            identity = "-" if row["gen_id"] is None else f"{row['gen_id']:x}"
            text += f"{head} {row['address']:<40} {left:<5} {priority:<4} {identity:<8}{' D' if row['is_dr'] else ''}\n"
            text += "".join(f"{'':16}{address}\n" for address in row["secondary_addresses"].split())
            head = _BLANK
    return text + "\n"


def queriers(state: State) -> str:
    """Who asks on each link."""
    text = f"MLD Querier List\n {'Mif':<3} {'PhyIF':>6} {'Address':<40} {'Timer':<5} {'Last':>15}\n"
    for row in sorted(state.mld, key=lambda row: state.number(row["interface"])):
        if row["querier"] is not None:
            left = row["querier_expiration"]
            if left is None:  # ours, for as long as another one would be believed
                left = row["robustness_variable"] * row["query_interval"] + row["query_max_response_time"] / 2
            head = _mif(state.number(row["interface"]), row["interface"])
            text += f"{head} {row['querier']:<40} {int(left):>5} {_span(state.up_time):>15}\n"
    return text + "\n"


def groups(state: State) -> str:
    """What members want; timers are the seconds that they have left."""
    text = f"Reported MLD Group\n {'Mif':<3} {'PhyIF':>6} "
    text += "Group(Group-Timer,MLD-ver(Filter-Mode,Compat-Timer))/Source(TimerID)\n"
    for row in state.groups:
        if row["row"] == "group":
            mode = "EX" if row["filter_mode"] == "exclude" else "IN"
            text += f"{_mif(state.number(row['interface']), row['interface'])} {row['group_address']} "
            text += f"(#{int(row['expire'] or 0)} (v{row['version']} {mode} #0))\n"
            text += "" if row["sources_count"] else f"{_BLANK}   (any source) (-)\n"
        elif row["row"] == "source":
            text += f"{_BLANK}   {row['source_address']} (#{int(row['expire'] or 0)})\n"
    return text + "\n"


def routes(state: State) -> str:
    """The trees, drawn as pimd draws them."""
    known, entries = _tables(state)
    text = "Multicast Routing Table\n Source          Group           RP-addr         Flags\n"
    for row in entries:
        outgoing = known.outgoing.get((row.source_address, row.group), {})
        source = "IN6ADDR_ANY" if row.is_rpt else row.source_address
        text += f"---------------------------{'(*,G)' if row.is_rpt else '(S,G)'}----------------------------\n"
        text += f" {source:<15} {row.group:<15} {row.rp_address or 'NULL':<15} {pimd_mrt.flags(row, outgoing)}\n"
        text += "".join(f"{line}\n" for line in pimd_mrt.strings(row, known, False))
        text += f"Upstream nbr: {row.rpf_neighbor or 'NONE'}\n\n"
        text += (
            f"TIMERS: Entry={round(row.keepalive_expiration or 0)} JP={round(row.join_expiration or 0)} RS=0 Assert=0\n"
        )
        left = [round(one.expiration or 0) if (one := outgoing.get(i.interface)) else 0 for i in known.interfaces]
        text += _by_mif([*left, 0])
    text += "--------------------------(*,*,RP)--------------------------\n"
    text += f"Number of Groups: {len({row.group for row in entries})}\n"
    return text + f"Number of Cache MIRRORs: {sum(row.packets is not None for row in entries)}\n\n"


def _tables(state: State) -> tuple[Any, list[Any]]:
    """What `pimd_mrt` draws, and the entries: of each group the shared tree's before the sources'."""
    entries = [
        SimpleNamespace(**row)
        for row in state.mroutes
        if row["row"] == "entry" and row["mode"] in ("pim_ssm", "pim_asm")
    ]
    outgoing: dict[tuple[str, str], dict[str, Any]] = {}
    for row in state.mroutes:
        if row["row"] == "outgoing":
            found = outgoing.setdefault((row["source_address"], row["group"]), {})
            found[row["outgoing_interface"]] = SimpleNamespace(**row)
    interfaces = [SimpleNamespace(**row) for row in state.interfaces]
    entries.sort(key=lambda row: (row.group, not row.is_rpt, row.source_address))
    return SimpleNamespace(interfaces=interfaces, outgoing=outgoing), entries


def _by_mif(left: Sequence[int]) -> str:
    """Ten timers a line."""
    text = "  MIF   0   1   2   3   4   5   6   7   8   9\n"
    for first in range(0, len(left), 10):
        text += f" {first // 10:>4}{''.join(f' {value:>3}' for value in left[first : first + 10])}\n"
    return text


def rp_set(state: State) -> str:
    """The Bootstrap router, and who may be RP for what."""
    zone: Row = next((row for row in state.bsr if row["row"] == "zone" and row["zone"] == "global"), {})
    text = f"{'RP-Set':-^61}\nCurrent BSR address: {zone.get('bsr_address') or '::'} "
    text += f"Prio: {zone.get('bsr_priority') or 0} Timeout: {int(zone.get('bootstrap_expiration') or 0)}\n"
    text += f"{'RP-address(Upstream)/Group prefix':<45} {'Prio':<4} {'Hold':<4} Age\n"
    ways = {row["rp_address"]: row for row in state.rps}
    for rp in dict.fromkeys(row["rp_address"] for row in state.rp_set):
        own = [row for row in state.rp_set if row["rp_address"] == rp]
        text += f"{rp}({_upstream(own[0], ways.get(rp))})\n"
        for row in own:
            hold = FOREVER if row["holdtime"] is None else int(row["holdtime"])
            age = FOREVER if row["expiration"] is None else int(row["expiration"])
            text += f"     {row['group_prefix']:<40} {row['priority']:<4} {hold:<4} {age}\n"
    return text + "\n"


def _upstream(row: Row, way: Row | None) -> str:
    if row["is_local"]:
        return "myself"
    if way is None or way["rpf_neighbor"] is None:
        return "none"
    return f"{way['rpf_neighbor']}%{way['rpf_interface']}"


def dump(path: str) -> str:
    """All sections; FailedError if the daemon does not answer."""
    state = ask(Client(path))
    sections = interfaces, neighbors, queriers, groups, routes, rp_set
    return "".join(section(state) for section in sections)


def main(socket_path: str, file: str) -> None:
    """Write the dump, in one step."""
    try:
        text = dump(socket_path)
        temporary = f"{file}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as out:
            out.write(text)
        os.replace(temporary, file)
    except (FailedError, OSError) as error:
        print(f"pim6sd: no dump: {error}", file=sys.stderr)
        sys.exit(1)
