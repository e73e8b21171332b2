"""What nftables (and iptables through it) would do to multicast: its rules, followed as far as they can be told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from pimpy.wire.record import frozen
from pimpy.wire.value import Value

TIMEOUT = 5.0
DEPTH = 8
"""Chains that jump into each other."""

Rule = Mapping[str, Any]
Bodies = Mapping[tuple[str, str, str], list[Rule]]
"""The rules by (family, table, chain)."""
HOOKS = {"input": ("prerouting", "input"), "forward": ("prerouting", "forward"), "output": ("output",)}
"""Where a packet passes on its way."""


@frozen
class Probe(Value):
    """A packet to be followed."""

    name: str
    """In words: `IGMP from hosts`."""
    hook: str
    """`input`, `forward` or `output`."""
    family: str
    """`ip` or `ip6`."""
    protocol: str
    """`igmp`, `pim`, `ipv6-icmp` or `udp`."""
    number: int
    """The same as a number."""
    destination: str
    interface: str
    """Where it comes in, or of `output` goes out."""


@frozen
class Verdict(Value):
    """Where a packet ends."""

    probe: Probe
    where: str
    """The chain: `inet filter input`."""
    why: str
    """`policy` or `rule`."""
    text: str
    """The rule, in JSON."""


def ruleset() -> list[dict[str, Any]] | None:
    """The rules as nft tells them; None if it is not there, or may not."""
    try:
        done = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, timeout=TIMEOUT, check=False)
        found = json.loads(done.stdout)["nftables"]
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return None
    return found if isinstance(found, list) else None


def drops(rules: Sequence[Mapping[str, Any]], probes: Iterable[Probe]) -> list[Verdict]:
    """The probes that are surely dropped; where a rule cannot be told, it is taken to let them pass."""
    chains = [entry["chain"] for entry in rules if "chain" in entry]
    bodies: dict[tuple[str, str, str], list[Rule]] = {}
    for entry in rules:
        if "rule" in entry:
            rule = entry["rule"]
            bodies.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule)
    found = []
    for probe in probes:
        for chain in sorted(chains, key=_priority):
            if chain.get("hook") in HOOKS[probe.hook] and chain["family"] in (probe.family, "inet"):
                verdict = _follow(bodies, chain, probe)
                if verdict is not None:
                    found.append(verdict)
                    break
    return found


def _priority(chain: Mapping[str, Any]) -> int:
    priority = chain.get("prio", 0)
    return priority if isinstance(priority, int) else 0


def _follow(bodies: Bodies, chain: Mapping[str, Any], probe: Probe) -> Verdict | None:
    key = chain["family"], chain["table"], chain["name"]
    decided = _walk(bodies, key, probe, DEPTH)
    where = " ".join(key)
    if decided is not None:
        kind, rule = decided
        return Verdict(probe, where, "rule", json.dumps(rule.get("expr", []))) if kind == "drop" else None
    if chain.get("policy") == "drop":
        return Verdict(probe, where, "policy", "policy drop")
    return None


def _walk(bodies: Bodies, key: tuple[str, str, str], probe: Probe, depth: int) -> tuple[str, Rule] | None:
    """(`accept` or `drop`, the rule) that decides; None if the chain ends without."""
    for rule in bodies.get(key, ()):
        matched, verdict = _apply(rule, probe)
        if matched is False or verdict is None:
            continue
        kind, target = verdict
        if kind in ("jump", "goto") and depth:
            below = _walk(bodies, (key[0], key[1], target), probe, depth - 1)
            if below is not None and matched:
                return below
            if below is not None and below[0] == "accept":
                return below
        elif kind == "return" and matched:
            return None
        elif kind == "accept":
            return "accept", rule  # though it may not match: what cannot be told lets pass
        elif kind in ("drop", "reject") and matched:
            return "drop", rule
    return None


def _apply(rule: Rule, probe: Probe) -> tuple[bool | None, tuple[str, str] | None]:
    """Whether a rule matches (None: cannot be told), and its verdict."""
    matched: bool | None = True
    verdict: tuple[str, str] | None = None
    for part in rule.get("expr", ()):
        if "match" in part:
            answer = _matches(part["match"], probe)
            if answer is False:
                return False, None
            if answer is None:
                matched = None
        elif any(word in part for word in ("limit", "xt", "vmap", "meter", "lookup")):
            matched = None
        for word in ("accept", "drop", "return", "reject"):
            if word in part:
                verdict = word, ""
        for word in ("jump", "goto"):
            if word in part:
                verdict = word, str(part[word].get("target", ""))
    return matched, verdict


def _matches(match: Mapping[str, Any], probe: Probe) -> bool | None:
    left, right = match.get("left"), match.get("right")
    if not isinstance(left, dict):
        return None
    known: bool | None = None
    if "payload" in left:
        known = _payload(left["payload"], right, probe)
    elif "meta" in left:
        known = _meta(left["meta"].get("key"), right, probe)
    elif "ct" in left and left["ct"].get("key") == "state":
        known = bool({"new", "untracked"} & set(map(str, _values(right))))  # nobody answers multicast: each is new
    if known is None:
        return None
    return not known if match.get("op") == "!=" else known


def _payload(payload: Mapping[str, Any], right: Any, probe: Probe) -> bool | None:
    protocol, name = payload.get("protocol"), payload.get("field")
    if protocol in ("ip", "ip6") and protocol != probe.family:
        return False
    if name in ("protocol", "nexthdr"):
        return _is_protocol(right, probe)
    if name == "daddr":
        return _covers(right, probe.destination)
    if protocol in ("tcp", "sctp", "icmp"):
        return False
    if protocol in ("udp", "th", "igmp", "icmpv6"):
        return None if protocol in ("th", probe.protocol) or probe.protocol.endswith(str(protocol)) else False
    return None


def _meta(key: Any, right: Any, probe: Probe) -> bool | None:
    if key in ("iifname", "iif") and probe.hook != "output":
        return _is_name(right, probe.interface)
    if key in ("oifname", "oif") and probe.hook == "output":
        return _is_name(right, probe.interface)
    if key == "l4proto":
        return _is_protocol(right, probe)
    if key == "nfproto":
        return bool(right == {"ip": "ipv4", "ip6": "ipv6"}[probe.family])
    if key == "pkttype":
        return bool(right == "multicast") if probe.hook != "output" else None
    return None


def _values(right: Any) -> list[Any]:
    if isinstance(right, dict) and "set" in right:
        return list(right["set"])
    return right if isinstance(right, list) else [right]


def _is_protocol(right: Any, probe: Probe) -> bool:
    return any(str(value).lower() in (probe.protocol, str(probe.number)) for value in _values(right))


def _is_name(right: Any, name: str) -> bool:
    texts = [str(value) for value in _values(right)]
    return any(name.startswith(text[:-1]) if text.endswith("*") else text == name for text in texts)


def _covers(right: Any, destination: str) -> bool | None:
    address = ip_address(destination)
    for value in _values(right):
        if isinstance(value, dict) and "prefix" in value:
            value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
        elif isinstance(value, dict) and "range" in value:
            low, high = (ip_address(text) for text in value["range"])
            if low.version == address.version and int(low) <= int(address) <= int(high):
                return True
            continue
        try:
            if address in ip_network(str(value), strict=False):
                return True
        except ValueError:
            return None  # a named set
    return False
