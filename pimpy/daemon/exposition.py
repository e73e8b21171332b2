"""The metric families of pimpy, filled from the daemon's rows, and their text (Prometheus exposition format 0.0.4)."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pimpy.core.rows import (
    BsrRow,
    CandidateRpRow,
    ExpectedNeighborRow,
    GmpInterfaceRow,
    InterfaceRow,
    NeighborRow,
    Row,
    RpRow,
    RpSetRow,
    WatchRow,
)
from pimpy.daemon.backend import Backend
from pimpy.daemon.rows import StatusRow
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.daemon.entries import Totals

VIFS_LIMIT = 32
"""Virtual interfaces of a kernel table, for each family."""
MAX_NEIGHBORS = 1000
"""Neighbours that have a series of their own; `pim_neighbors` counts all."""

Labels = tuple[tuple[str, str], ...]


@define
class Family:
    """One metric: its name without the prefix, `gauge` or `counter`, its help text and its samples."""

    name: str
    kind: str
    help: str
    samples: list[tuple[Labels, float]] = field(factory=list)

    def add(self, value: float, **labels: str) -> None:
        """One sample."""
        self.samples.append((tuple(labels.items()), value))

    def text(self) -> str:
        """The family as Prometheus reads it; empty if it has no sample."""
        if not self.samples:
            return ""
        name = f"pimpy_{self.name}"
        lines = [f"# HELP {name} {self.help}", f"# TYPE {name} {self.kind}"]
        for labels, value in self.samples:
            inside = ",".join(f'{label}="{escaped(text)}"' for label, text in labels)
            lines.append(f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}")
        return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A label's value as it stands between quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def of_status(status: StatusRow) -> Iterator[Family]:
    """What the daemon is, and how its configuration fares."""
    build = Family("build_info", "gauge", "Version of pimpy, of Python and of the kernel; always 1.")
    build.add(1, version=status.version, python=platform.python_version(), kernel=os.uname().release)
    yield build
    good = Family(
        "config_last_reload_successful", "gauge", "Whether the last attempt to read the configuration succeeded."
    )
    good.add(int(status.config_ok))
    yield good
    when = Family("config_last_reload_success_timestamp_seconds", "gauge", "When the configuration in force was read.")
    when.add(status.config_time)
    yield when
    restarts = Family("worker_restarts_total", "counter", "How often the worker was started again.")
    restarts.add(status.restarts)
    yield restarts
    adopted = Family("mroute_adopted_total", "counter", "Entries that this worker took over from the one before it.")
    adopted.add(status.adopted)
    yield adopted
    swept = Family("mroute_swept_total", "counter", "Outgoing interfaces of those that nobody confirmed in time.")
    swept.add(status.swept)
    yield swept
    drift = Family(
        "mroute_kernel_drift_total", "counter", "What others changed in the kernel's table, put right since."
    )
    drift.add(status.drift)
    yield drift


def of_interfaces(rows: Iterable[Row]) -> Iterator[Family]:
    """Interfaces as PIM has them; those that are off have no series."""
    info = Family("pim_interface_info", "gauge", "Mode and designated router of an interface; always 1.")
    up = Family("pim_interface_up", "gauge", "Whether an enabled interface is up and has an address.")
    is_dr = Family("pim_interface_is_dr", "gauge", "Whether this router is the designated router on the interface.")
    neighbors = Family("pim_neighbors", "gauge", "PIM neighbours on the interface.")
    used: Counter[str] = Counter()
    for row in rows:
        if not isinstance(row, InterfaceRow) or row.oper_status == "off":
            continue
        labels = {"af": row.address_family, "interface": row.interface}
        info.add(1, **labels, mode=row.mode, dr=row.dr_address or "")
        up.add(int(row.oper_status == "up"), **labels)
        is_dr.add(int(row.is_dr), **labels)
        neighbors.add(row.neighbor_count, **labels)
        used[row.address_family] += row.vif is not None
    vifs = Family("vifs", "gauge", "Virtual interfaces in use in the kernel's table.")
    limit = Family("vifs_limit", "gauge", "Virtual interfaces that a kernel table can have.")
    for family, count in sorted(used.items()):
        vifs.add(count, af=family)
        limit.add(VIFS_LIMIT, af=family)
    yield from (info, up, is_dr, neighbors, vifs, limit)


def of_neighbors(rows: Iterable[Row]) -> Iterator[Family]:
    """A series for each neighbour that is there; one that goes takes its series along."""
    up = Family("pim_neighbor_up", "gauge", "A PIM neighbour that is up; always 1. At most 1000 are told.")
    for row in rows:
        if isinstance(row, NeighborRow) and len(up.samples) < MAX_NEIGHBORS:
            up.add(1, af=row.address_family, interface=row.interface, neighbor=row.address)
    yield up


def of_watches(rows: Iterable[Row]) -> Iterator[Family]:
    """Streams that must flow, and neighbours that must be there; none of either that is still pending is judged."""
    flows = Family("watch_up", "gauge", "Whether a watched stream had packets enough in the last interval.")
    packets = Family("watch_packets_total", "counter", "Packets of a watched stream.")
    octets = Family("watch_bytes_total", "counter", "Bytes of a watched stream.")
    last = Family("watch_last_packet_timestamp_seconds", "gauge", "When a watched stream was seen to flow last.")
    expected = Family("pim_expected_neighbor_up", "gauge", "Whether an expected neighbour is there.")
    for row in rows:
        if isinstance(row, WatchRow):
            labels = {"watch": row.watch, "af": row.address_family, "source": row.source_address, "group": row.group}
            if row.state != "pending":
                flows.add(int(row.state == "flowing"), **labels)
            packets.add(row.packets, **labels)
            octets.add(row.bytes, **labels)
            if row.last_packet is not None:
                last.add(time.time() - row.last_packet, **labels)
        elif isinstance(row, ExpectedNeighborRow) and row.state != "pending":
            labels = {"af": row.address_family, "interface": row.interface, "neighbor": row.address}
            expected.add(int(row.state == "up"), **labels)
    yield from (flows, packets, octets, last, expected)


def of_rps(backend: Backend) -> Iterator[Family]:
    """How RPs are found: Bootstrap routers, candidates, mappings, and how many groups have which."""
    info = Family("bsr_info", "gauge", "The Bootstrap router of a zone, and this router's state there; always 1.")
    elected = Family("bsr_is_elected", "gauge", "Whether this router is the Bootstrap router of the zone.")
    expires = Family("bsr_expiration_seconds", "gauge", "What is left of the zone's Bootstrap Timer.")
    candidates: Counter[tuple[str, str]] = Counter()
    for row in backend.rows("bsr"):
        if isinstance(row, BsrRow):
            labels = {"af": row.address_family, "zone": row.zone}
            info.add(1, **labels, bsr=row.bsr_address or "", state=row.state)
            elected.add(int(row.state == "elected"), **labels)
            candidates[row.address_family, row.zone] += 0
            if row.bootstrap_expiration is not None:
                expires.add(row.bootstrap_expiration, **labels)
        elif isinstance(row, CandidateRpRow):
            candidates[row.address_family, row.zone] += 1
    offers = Family("bsr_candidate_rp_mappings", "gauge", "What candidate RPs offer to this router, the BSR.")
    for (af, zone), count in sorted(candidates.items()):
        offers.add(count, af=af, zone=zone)
    yield from (info, elected, expires, offers, *_of_rp_set(backend))


def _of_rp_set(backend: Backend) -> Iterator[Family]:
    groups = Family("pim_rp_groups", "gauge", "Groups with state here, by their RP.")
    without = Family("pim_groups_without_rp", "gauge", "Groups with state here that have no RP.")
    lost: Counter[str] = Counter(dict.fromkeys(backend.status().address_families.split(), 0))
    for row in backend.rows("rp"):
        if isinstance(row, RpRow) and row.rp_address is not None:
            groups.add(row.group_count, af=row.address_family, rp=row.rp_address)
        elif isinstance(row, RpRow):
            lost[row.address_family] += row.group_count
    for af, count in sorted(lost.items()):
        without.add(count, af=af)
    mappings = Family("pim_rp_mappings", "gauge", "Mappings of a range of groups to an RP, by where they come from.")
    known: Counter[tuple[str, str]] = Counter()
    for row in backend.rows("rp_set"):
        if isinstance(row, RpSetRow):
            known[row.address_family, row.info_source] += 1
    for (af, source), count in sorted(known.items()):
        mappings.add(count, af=af, source=source)
    yield from (groups, without, mappings)


def of_counters(backend: Backend) -> Iterator[Family]:
    """Messages: taken, sent, and refused with the reason."""
    pim = Family("pim_messages_total", "counter", "PIM messages taken and sent.")
    gmp = Family("gmp_messages_total", "counter", "IGMP and MLD messages taken and sent.")
    rx_errors = Family("rx_errors_total", "counter", "Messages, or entries of them, that were not taken, by reason.")
    tx_errors = Family("tx_errors_total", "counter", "Messages that were not sent, by reason.")
    for af, counters in sorted(backend.counters().items()):
        for (interface, protocol, direction, kind, reason), count in sorted(counters.items()):
            if reason:
                errors = rx_errors if direction == "rx" else tx_errors
                errors.add(count, af=af, interface=interface, protocol=protocol, type=kind, reason=reason)
            elif protocol == "pim":
                pim.add(count, af=af, interface=interface, direction=direction, type=kind)
            else:
                gmp.add(count, interface=interface, protocol=protocol, direction=direction, type=kind)
    yield from (pim, gmp, rx_errors, tx_errors)


def of_memberships(backend: Backend) -> Iterator[Family]:
    """The querier's side: IGMP and MLD by interface, and how much they remember."""
    groups = Family("gmp_groups", "gauge", "Groups with members on the interface.")
    querier = Family("gmp_is_querier", "gauge", "Whether this router is the querier on the interface.")
    version = Family("gmp_version", "gauge", "The version of the queries that this router sends.")
    robustness = Family("gmp_robustness", "gauge", "The robustness in force, the querier's if that is another.")
    interval = Family("gmp_query_interval_seconds", "gauge", "The query interval in force.")
    broken = Family("gmp_bridge_warning", "gauge", "Whether the snooping bridge below is known to cut members off.")
    state: Counter[tuple[str, str]] = Counter()
    for protocol, af in (("igmp", "ipv4"), ("mld", "ipv6")):
        for row in backend.rows(f"{protocol}_interfaces"):
            if isinstance(row, GmpInterfaceRow):
                groups.add(row.groups_count, interface=row.interface, protocol=protocol)
                labels = {"interface": row.interface, "protocol": protocol}
                querier.add(int(row.is_querier), **labels)
                version.add(row.version, **labels)
                robustness.add(row.robustness_variable, **labels)
                interval.add(row.query_interval, **labels)
                if row.bridge is not None:
                    broken.add(int(row.bridge_warning is not None), **labels)
                state[af, "gmp_group"] += row.groups_count
                state[af, "gmp_source"] += row.sources_count
    yield from (groups, querier, version, robustness, interval, broken)
    yield entries(state)


def entries(state: Counter[tuple[str, str]]) -> Family:
    """How many entries of each (family, kind) are held."""
    held = Family("state_entries", "gauge", "State that is held, by kind.")
    for (af, kind), count in sorted(state.items()):
        held.add(count, af=af, kind=kind)
    return held


def of_entries(totals: Iterable[Totals]) -> Iterator[Family]:
    """The entries of the trees, and what came in for them; sums do not fall when entries go."""
    state: Counter[tuple[str, str]] = Counter()
    found = Family("mroute_entries", "gauge", "Entries, by whether the kernel has them.")
    names = {
        "packets": ("mroute_packets_total", "Packets of wanted streams that came in on the right interface."),
        "bytes": (
            "mroute_bytes_total",
            "Bytes of wanted streams, as the kernel counts them: also those of a wrong interface.",
        ),
        "wrong_if": (
            "mroute_wrong_interface_packets_total",
            "Packets that came in on another interface than their entry's.",
        ),
        "unwanted": ("mroute_unwanted_packets_total", "Packets of streams that nobody wants, stopped by the kernel."),
    }
    sums = {what: Family(name, "counter", text) for what, (name, text) in names.items()}
    for one in sorted(totals, key=lambda one: one.address_family):
        af = one.address_family
        state[af, "sg"], state[af, "starg"] = one.sg, one.starg
        found.add(one.resolved, af=af, state="resolved")
        found.add(one.unresolved, af=af, state="unresolved")
        for interface, came in sorted(one.interfaces.items()):
            for what, family in sums.items():
                family.add(getattr(came, what), af=af, interface=interface)
    yield found
    yield entries(state)
    yield from sums.values()


def merged(families: Iterable[Family]) -> list[Family]:
    """The families in order of their names, those of one name joined."""
    found: dict[str, Family] = {}
    for family in families:
        if (other := found.get(family.name)) is None:
            found[family.name] = family
        else:
            other.samples += family.samples
    return [found[name] for name in sorted(found)]
