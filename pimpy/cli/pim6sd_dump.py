"""The state as pim6sd writes it on SIGUSR1: its sections and columns, from the rows of the control socket."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pimpy.cli.client import Client, FailedError

Row = Mapping[str, Any]
FAMILY = "ipv6"


def _clock(seconds: float | None) -> str:
    whole = int(seconds or 0)
    return f"{whole // 60}:{whole % 60:02}"


def _name(interface: str) -> str:
    return f"{interface[:6]:>6}"


def interfaces(rows: Sequence[Row], mld: Sequence[Row]) -> str:
    """The first section."""
    queriers = {row["interface"]: row for row in mld}
    text = "\nMulticast Interface Table\n"
    text += " Mif   PhyIF Local-Address/Prefixlen                     Scope GenID    Flags         \n"
    for number, row in enumerate(rows):
        up = row["oper_status"] == "up"
        asks = queriers.get(row["interface"], {}).get("is_querier", False)
        flags = " ".join(
            word
            for word, said in (
                ("DISABLED", row["oper_status"] == "off"),
                ("DOWN", row["oper_status"] == "down"),
                ("PIM", up and row["mode"] == "pim"),
                ("QRY", asks),
                ("NO-NBR", up and not row["neighbor_count"]),
                ("DR", up and row["is_dr"]),
            )
            if said
        )
        index = number if row["vif"] is None else row["vif"]
        identity = f"{row['gen_id'] or 0:x}"
        text += f" {index:>2}  {_name(row['interface']):>7} {row['address'] or '-':<40} {2:<4} {identity:<8} {flags}\n"
        hello = _clock(row["hello_expiration"])
        query = _clock(queriers.get(row["interface"], {}).get("query_expiration"))
        text += f"             Timers: PIM hello = {hello}, MLD query = {query}\n"
        text += "             possible MLD version = 1 2 \n"
    return text


def neighbors(rows: Sequence[Row], vifs: Mapping[str, int]) -> str:
    """Who else speaks PIM."""
    text = "\nPIM Neighbor List\n Mif  PhyIF Address                                  Timer Prio GenID    Flags\n"
    for row in rows:
        left = "never" if row["expiration"] is None else str(int(row["expiration"]))
        priority = "-" if row["dr_priority"] is None else str(row["dr_priority"])
        identity = "-" if row["gen_id"] is None else f"{row['gen_id']:x}"
        text += f" {vifs.get(row['interface'], 0):<3} {_name(row['interface'])} {row['address']:<40} {left:<5} "
        text += f"{priority:<4} {identity:<8} {'D' if row['is_dr'] else ''}\n"
        for address in row["secondary_addresses"].split():
            text += f"                {address}\n"
    return text


def queriers(rows: Sequence[Row], vifs: Mapping[str, int]) -> str:
    """Who asks on each link."""
    text = "\nMLD Querier List\n Mif  PhyIF Address                                  Timer            Last\n"
    for row in rows:
        left = "-" if row["querier_expiration"] is None else str(int(row["querier_expiration"]))
        querier = row["querier"] or "-"
        text += f" {vifs.get(row['interface'], 0):<3} {_name(row['interface'])} {querier:<40} {left:>5}\n"
    return text


def groups(rows: Sequence[Row], vifs: Mapping[str, int]) -> str:
    """What members want."""
    text = "\nReported MLD Group\n Mif  PhyIF Group(Group-Timer,MLD-ver(Filter-Mode,Compat-Timer))/Source(TimerID)\n"
    for row in rows:
        if row["row"] == "group":
            mode = "EX" if row["filter_mode"] == "exclude" else "IN"
            left = int(row["expire"] or 0)
            index, name = vifs.get(row["interface"], 0), _name(row["interface"])
            text += f" {index:<3} {name} {row['group_address']} ({left} (v{row['version']} {mode}))\n"
            if mode == "EX" and not row["sources_count"]:
                text += "              (any source) (-)\n"
        elif row["row"] == "source":
            text += f"              {row['source_address']} ({int(row['expire'] or 0)})\n"
    return text


def routes(rows: Sequence[Row]) -> str:
    """The trees."""
    text = "\nMulticast Routing Table\n Source          Group           RP-addr         Flags\n"
    entries = [row for row in rows if row["row"] == "entry" and row["mode"] != "negative"]
    for title, shared in (("(*,G)", True), ("(S,G)", False)):
        text += f"---------------------------{title}----------------------------\n"
        for row in entries:
            if row["is_rpt"] != shared:
                continue
            source = "IN6ADDR_ANY" if shared else row["source_address"]
            flags = "WC RP" if shared else "SPT SG" if row["is_spt"] else "SG"
            text += f" {source:<15} {row['group']:<15} {row['rp_address'] or 'NULL':<15} {flags}\n"
            out = [
                other["outgoing_interface"]
                for other in rows
                if other["row"] == "outgoing" and other["forwarding"]
                and (other["source_address"], other["group"]) == (row["source_address"], row["group"])
            ]  # fmt: skip
            text += f"Incoming     : {row['incoming_interface'] or '-'}\nOutgoing oifs: {' '.join(out) or '-'}\n"
            text += f"Upstream nbr: {row['rpf_neighbor'] or 'NONE'}\n\n"
            text += f"TIMERS: Entry={int(row['keepalive_expiration'] or 0)} JP={int(row['join_expiration'] or 0)}\n"
    text += "--------------------------(*,*,RP)--------------------------\n"
    text += f"Number of Groups: {len({row['group'] for row in entries})}\n"
    return text + f"Number of Cache MIRRORs: {sum(row['packets'] is not None for row in entries)}\n"


def rp_set(rows: Sequence[Row]) -> str:
    """The RPs in use."""
    text = "\n---------------------------RP-Set----------------------------\n"
    text += "RP-address(Upstream)/Group prefix             Prio Hold Age\n"
    used = sorted({(row["rp_address"], row["group"]) for row in rows if row["row"] == "entry" and row["rp_address"]})
    return text + "".join(f"{rp}\n     {group}\n" for rp, group in used) + "\n"


def dump(path: str) -> str:
    """All sections; FailedError if the daemon does not answer."""
    client = Client(path)

    def show(what: str) -> list[Row]:
        return [row for row in client.ask(f"show {what}")["rows"] if row.get("address_family") == FAMILY]

    links, mld = show("interfaces"), show("mld interfaces")
    vifs = {row["interface"]: row["vif"] or 0 for row in links}
    trees = show("mroute")
    sections = interfaces(links, mld), neighbors(show("neighbors"), vifs), queriers(mld, vifs)
    return "".join((*sections, groups(show("mld groups"), vifs), routes(trees), rp_set(trees)))


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
