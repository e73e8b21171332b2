"""pimd's multicast routing table, entry by entry: `show mrt [detail]` and `show compat` of 3.0, the dump of 2.3.2.

An entry is drawn as strings of one character a vif, the register tunnel being one of them: first in 3.0, last in
2.3.2. What pimd's timers count and ours do not have is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_interface

from pimpy.core.rows import GmpSourceRow, InterfaceRow, MrouteRow, NeighborRow, OutgoingRow
from pimpy.daemon.backend import Backend
from pimpy.daemon.rows import sort_key
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

WIDTH = 20
"""Of the strings of vifs."""
RULE = "-" * 78


@frozen
class Tables(Value):
    """What there is to draw, of some address families."""

    interfaces: tuple[InterfaceRow, ...]
    """Those with a vif, by its number."""
    neighbors: Mapping[str, tuple[str, ...]]
    """Addresses by interface."""
    entries: tuple[MrouteRow, ...]
    outgoing: Mapping[tuple[str, str], Mapping[str, OutgoingRow]]
    """By (source, group) and interface."""
    sources: tuple[GmpSourceRow, ...]
    """What hosts ask for by name."""


def tables(backend: Backend, families: Sequence[str]) -> Tables:
    """Ask the daemon."""
    neighbors: dict[str, list[str]] = {}
    for row in backend.rows("neighbors"):
        if isinstance(row, NeighborRow) and row.address_family in families:
            neighbors.setdefault(row.interface, []).append(row.address)
    entries, outgoing = [], dict[tuple[str, str], dict[str, OutgoingRow]]()
    for row in sorted(backend.rows("mroute"), key=sort_key):
        if isinstance(row, MrouteRow) and row.address_family in families and row.mode in ("pim_ssm", "pim_asm"):
            entries.append(row)
        elif isinstance(row, OutgoingRow):
            outgoing.setdefault((row.source_address, row.group), {})[row.outgoing_interface] = row
    known = [r for r in backend.rows("interfaces") if isinstance(r, InterfaceRow) and r.address_family in families]
    sources = []
    for family in families:
        rows = backend.rows({"ipv4": "igmp", "ipv6": "mld"}[family] + "_groups")
        sources += [row for row in rows if isinstance(row, GmpSourceRow) and row.forwarding]
    return Tables(
        tuple(sorted((row for row in known if row.vif is not None), key=lambda row: row.vif or 0)),
        {name: tuple(sorted(found)) for name, found in neighbors.items()},
        tuple(sorted(entries, key=lambda row: (sort_key(row)[1], not row.is_rpt, sort_key(row)))),
        outgoing,
        tuple(sorted(sources, key=sort_key)),
    )


def flags(row: MrouteRow, outgoing: Mapping[str, OutgoingRow]) -> str:
    """The flags of an entry, in pimd's order."""
    if row.is_rpt:
        return "WC RP CACHE" if any(found.forwarding for found in outgoing.values()) else "WC RP"
    asserted = any(found.assert_state is not None for found in outgoing.values())
    told = (
        ("SPT", row.is_spt and row.mode == "pim_asm"),
        ("REG", row.register_state == "join"),
        ("NULL_OIF", not row.outgoing_count),
        ("CACHE", row.packets is not None),
        ("ASSERTED", asserted),
        ("REG_SUPP", row.register_state in ("prune", "join_pending")),
        ("SG", True),
    )
    return " ".join(word for word, holds in told if holds)


def rp(row: MrouteRow) -> str:
    """What stands in the column of the RP."""
    return "SSM" if row.mode == "pim_ssm" else row.rp_address or "NULL"


def heading(row: MrouteRow, shared: str, known: Tables) -> str:
    """The line of an entry; `shared` is the source's word for (*,G)."""
    said = flags(row, known.outgoing.get((row.source_address, row.group), {}))
    source = shared if row.is_rpt else row.source_address
    return f"{source:<15}   {row.group:<15}  {rp(row):<15}  {said}"


def strings(row: MrouteRow, known: Tables, register_first: bool) -> list[str]:
    """The six lines of an entry."""
    outgoing = known.outgoing.get((row.source_address, row.group), {})
    tests: tuple[tuple[str, str, Callable[[OutgoingRow], bool]], ...] = (
        ("Joined   oifs: ", "j", lambda one: one.jp_state != "no_info"),
        ("Pruned   oifs: ", "p", lambda one: one.rpt_pruned or one.jp_state == "prune_pending"),
        ("Leaves   oifs: ", "l", lambda one: one.member),
        ("Asserted oifs: ", "a", lambda one: one.assert_state == "loser"),
        ("Outgoing oifs: ", "o", lambda one: one.forwarding),
    )
    lines = []
    for text, letter, test in tests:
        marks = [letter if (one := outgoing.get(i.interface)) and test(one) else "." for i in known.interfaces]
        tunnel = letter if letter in "jo" and row.register_state == "join" else "."
        lines.append(text + _padded(marks, tunnel, register_first))
    marks = ["I" if row.incoming_interface == one.interface else "." for one in known.interfaces]
    tunnel = "I" if row.incoming_interface == "register" else "."
    return [*lines, "Incoming     : " + _padded(marks, tunnel, register_first)]


def _padded(marks: list[str], tunnel: str, register_first: bool) -> str:
    return "".join([tunnel, *marks] if register_first else [*marks, tunnel]).ljust(WIDTH)


def _timers(row: MrouteRow, known: Tables, register_first: bool) -> tuple[str, str, str]:
    """(the numbers of the vifs, the four timers, those of the vifs)."""
    outgoing = known.outgoing.get((row.source_address, row.group), {})
    left = [round(one.expiration or 0) if (one := outgoing.get(i.interface)) else 0 for i in known.interfaces]
    values = [0, *left] if register_first else [*left, 0]
    numbers = "".join(f" {number:>2}" for number in range(len(values)))
    entry, join = round(row.keepalive_expiration or 0), round(row.join_expiration or 0)
    return numbers, f"{entry:>5}{join:>6}{0:>6}{0:>8}", "".join(f" {value:>2}" for value in values)


def mrt(backend: Backend, families: tuple[str, ...], detail: bool) -> str:
    """`show mrt [detail]`."""
    known = tables(backend, families)
    title = "Source            Group            RP Address       Flags ="
    lines = ["Multicast Routing Table_"]
    if not detail:
        lines += [title, *(heading(row, "ANY", known) for row in known.entries)]
    for row in known.entries if detail else ():
        numbers, timers, values = _timers(row, known, register_first=True)
        lines += ["", title, heading(row, "ANY", known), *strings(row, known, register_first=True), ""]
        lines += [f"TIMERS       :  Entry    JP    RS  Assert  VIFS:{numbers}", f"{'':16}{timers}       {values}"]
    return "\n".join([*lines, *_totals(known, ("", "        ", " "))]) + "\n"


def _totals(known: Tables, style: tuple[str, str, str]) -> list[str]:
    """The last two lines; `style` is what stands before them, and the blanks before their colons."""
    before, one, other = style
    groups = len({row.group for row in known.entries})
    cached = sum(row.packets is not None for row in known.entries)
    return [before, f"Number of Groups{one}: {groups}", f"Number of Cache MIRRORs{other}: {cached}"]


def compat(backend: Backend, families: tuple[str, ...], detail: bool) -> str:
    """`show compat [detail]`: the tables of 2.x in the marks of 3.0."""
    known = tables(backend, families)
    lines = ["", "Virtual Interface Table"] if detail else []
    lines += ["VIF  Local Address    Subnet              Thresh  Flags      Neighbors="]
    lines += _vifs(known, register_first=True)
    if known.sources:
        lines += ["", " VIF  SSM Group        Sources             =", *_wanted(known, 1)]
    lines += ["", "Multicast Routing Table"] if detail else []
    for row in known.entries:
        kind = "(*,G)" if row.is_rpt else "(S,G)"
        numbers, timers, values = _timers(row, known, register_first=True)
        lines += ["", f"Source           Group            RP Address       Flags              {kind}="]
        lines += [_old_heading(row, "*", known), *strings(row, known, register_first=True), ""]
        lines += [f"TIMERS:  Entry    JP    RS  Assert VIFS:{numbers}", f"{'':9}{timers}      {values}"]
    lines += _totals(known, ("", "", ""))[1 if known.entries else 0 :]
    lines += ["", "Rendezvous-Point Set"] if detail else []
    return "\n".join(lines) + "\n"


def _old_heading(row: MrouteRow, shared: str, known: Tables) -> str:
    said = flags(row, known.outgoing.get((row.source_address, row.group), {}))
    return f"{shared if row.is_rpt else row.source_address:<15}  {row.group:<15}  {rp(row):<15}  {said}"


def _vifs(known: Tables, register_first: bool) -> list[str]:
    local = known.interfaces[0].address if known.interfaces else "0.0.0.0"
    lines = [_vif(number, row, known) for number, row in enumerate(known.interfaces, int(register_first))]
    name = "pimreg" if register_first else "register_vif0"
    tunnel = f"{0 if register_first else len(lines):>3}  {local or '':<15}  {name:<18}  {1:>6} "
    return [tunnel, *lines] if register_first else [*lines, tunnel]


def _vif(number: int, row: InterfaceRow, known: Tables) -> str:
    neighbors = known.neighbors.get(row.interface, ())
    words = [] if row.oper_status == "up" else ["DOWN"]
    words += ["DR"] if row.is_dr else []
    words += ["PIM" if neighbors else "NO-NBR"]
    others = "".join(f"{address:<15}" for address in neighbors)
    told = f"{' '.join(words):<9}  {others}" if neighbors else " ".join(words)
    subnet = str(ip_interface(row.subnet).network) if row.subnet else ""
    return f"{number:>3}  {row.address or '':<15}  {subnet:<18}  {row.ttl_threshold:>6}  {told}"


def _wanted(known: Tables, first: int) -> list[str]:
    numbers = {row.interface: number for number, row in enumerate(known.interfaces, first)}
    return [
        f"{numbers.get(row.interface, 0):>4}  {row.group_address:<15} {row.source_address} " for row in known.sources
    ]


def dump(backend: Backend) -> str:
    """What pimd 2.3.2's `-r` prints."""
    known = tables(backend, ("ipv4",))
    lines = [
        f"{'Virtual Interface Table ':=<78}",
        "Vif  Local Address    Subnet              Thresh  Flags      Neighbors",
    ]
    lines += ["---  ---------------  ------------------  ------  ---------  -----------------"]
    lines += [_without_zeros(line) for line in _vifs(known, register_first=False)]
    lines += ["", " Vif  SSM Group        Sources             ", *_wanted(known, 0), ""]
    lines += [f"{'Multicast Routing Table ':=<78}"]
    for kind, entries in _kinds(known):
        for row in entries:
            numbers, timers, values = _timers(row, known, register_first=False)
            lines += [f"{f' {kind} ':-^78}", "Source           Group            RP Address       Flags"]
            lines += ["---------------  ---------------  ---------------  ---------------------------"]
            lines += [_old_heading(row, "INADDR_ANY", known), *strings(row, known, register_first=False), ""]
            lines += [f"TIMERS:  Entry    JP    RS  Assert VIFS:{numbers}", f"{'':9}{timers}      {values}"]
    lines += [f"{'':-<33} (*,*,G) {'':-<36}", *_totals(known, ("", "", ""))[1:], RULE, ""]
    return "\n".join(lines) + "\n"


def _kinds(known: Tables) -> tuple[tuple[str, list[MrouteRow]], ...]:
    shared = [row for row in known.entries if row.is_rpt]
    return ("(*,G)", shared), ("(S,G)", [row for row in known.entries if not row.is_rpt])


def _without_zeros(line: str) -> str:
    """2.3.2 drops the trailing zero octets of subnets: `10.0.12/24`."""
    words = line[22:42].rstrip()
    if "/" not in words:
        return line
    network, _, length = words.partition("/")
    while network.endswith(".0"):
        network = network[:-2]
    return f"{line[:22]}{f'{network}/{length}':<20}{line[42:]}"
