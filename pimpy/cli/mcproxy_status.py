"""mcproxy's status output (`-s`), every 2 seconds, from the rows of the control socket."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pimpy.cli.client import Client, FailedError
from pimpy.config.model import Proxy

Row = Mapping[str, Any]
PAUSE = 2.0


def follow(socket_path: str, file: str) -> None:
    """Start a process that prints the status as long as this one lives."""
    parent = os.getpid()
    if os.fork():
        return
    proxies = _proxies(file)
    started = time.monotonic()
    while os.getppid() == parent:
        time.sleep(PAUSE)
        try:
            text = status(Client(socket_path), proxies, time.monotonic() - started)
        except FailedError:
            continue  # it starts, or ends
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            break
    os._exit(0)


def _proxies(file: str) -> tuple[Proxy, ...]:
    from pimpy.config.mcproxy import load
    from pimpy.daemon.configfile import Disk
    from pimpy.daemon.options import Options

    result = load(file, Disk(Options()).read)
    return result.model.proxies if result.model is not None else ()


def status(client: Client, proxies: Sequence[Proxy], lived: float) -> str:
    """A block for each instance."""
    streams = client.ask("show mroute")["rows"]
    links = {row["interface"]: row for row in client.ask("show interfaces")["rows"]}
    members = client.ask("show igmp")["rows"] + client.ask("show mld")["rows"]
    return "".join(instance(proxy, streams, links, members, lived) for proxy in proxies)


def instance(
    proxy: Proxy, streams: Sequence[Row], links: Mapping[str, Row], members: Sequence[Row], lived: float
) -> str:
    """One instance: its rules, streams and interfaces."""
    text = f"@@##-- proxy instance {proxy.name} (table:{proxy.table or 0},lifetime:{int(lived)}sec) --##@@\n"
    matching = f"mutex {proxy.mutex_time}" if proxy.matching == "mutex" else proxy.matching
    text += f"pinstance {proxy.name} upstream * in rulematching {matching} \n"
    text += f"pinstance {proxy.name} upstream * out rulematching {'first' if proxy.send_first else 'all'} \n"
    text += "##-- simple multicast routing information base --##\n" + _streams(proxy, streams)
    text += "##-- upstream interfaces --##\n"
    ups = (f"{up.name}(index:{links[up.name]['ifindex']}) " for up in proxy.upstreams if up.name in links)
    text += "".join(ups) + "\n\n"
    for down in proxy.downstreams:
        text += _downstream(down.name, links.get(down.name), members)
    return text


def _streams(proxy: Proxy, rows: Sequence[Row]) -> str:
    rows = [row for row in rows if row.get("table", 0) in (proxy.table or 0, 0)]
    own = [row for row in rows if row["row"] == "entry" and row["mode"] == "proxy"]
    text = ""
    for group in dict.fromkeys(row["group"] for row in own if proxy.names(row["incoming_interface"] or "")):
        found = [row for row in own if row["group"] == group]
        text += f"group: {group}\n\tsources: {''.join(row['source_address'] + '; ' for row in found)}\n"
        for row in found:
            out = [
                other["outgoing_interface"]
                for other in rows
                if other["row"] == "outgoing" and other["group"] == group
                and other["source_address"] == row["source_address"]
            ]  # fmt: skip
            text += f"\t{row['source_address']} ==> {' '.join(out)}\n"
    return text


def _downstream(name: str, link: Row | None, members: Sequence[Row]) -> str:
    of_link = [row for row in members if row["interface"] == name]
    about = next((row for row in of_link if row["row"] == "interface"), None)
    if link is None or about is None:
        return f"##-- downstream interface: {name} (not there) --##\n\n"
    protocol = "IGMP" if about["address_family"] == "ipv4" else "MLD"
    groups = [row for row in of_link if row["row"] == "group"]
    text = f"##-- downstream interface: {name} (index:{link['ifindex']}) --##\n"
    text += f"querier version: {protocol}v{about['version']}\nis querier: {str(about['is_querier']).lower()}\n"
    text += f"general query timer: {int(about['query_expiration'] or 0)}sec\nstartup query count: 0\n"
    text += f"subscribed groups: {len(groups)}\n"
    for group in groups:
        sources = [row for row in of_link if row["row"] == "source" and row["group_address"] == group["group_address"]]
        text += f"-- group address: {group['group_address']}\n" + _group(protocol, group, sources) + "\n"
    return text + ("" if groups else "\n")


def _group(protocol: str, group: Row, sources: Sequence[Row]) -> str:
    wanted = [row for row in sources if row["forwarding"]]
    listed = "; ".join(f"{row['source_address']}({int(row['expire'] or 0)}sec)" for row in wanted)
    version = f"{protocol}v{group['version']}"
    if group["filter_mode"] == "include":
        return f"\t{version}, INCLUDE_MODE\n\tincluded list(#{len(wanted)}): {listed}{'; ' if listed else ''}\n"
    excluded = [row["source_address"] for row in sources if not row["forwarding"]]
    text = f"\t{version}, EXCLUDE_MODE({int(group['expire'] or 0)}sec)\n"
    text += f"\trequested list(#{len(wanted)}): {listed}\n"
    return text + f"\texclude_list(#{len(excluded)}): {'; '.join(excluded)}\n"
