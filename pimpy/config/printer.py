"""A model as text that reads back as the same model: `parse(print_config(model)).model == model`."""

from __future__ import annotations

from pimpy.config.model import FLAGS, BsrCandidate, Config, Phyint, RpCandidate
from pimpy.config.route_printer import print_proxy, print_rpf_route, print_static
from pimpy.config.watch_lines import print_watched
from pimpy.wire.family import Prefix, format_address

_NUMBERS = (
    "dr_priority",
    "ttl_threshold",
    "hello_interval",
    "distance",
    "metric",
    "oldest_igmp",
    "oldest_mld",
    "max_groups",
    "max_sources",
    "query_interval",
    "robustness",
    "query_response_interval",
    "last_member_interval",
)

_PLAIN = (
    "hello_interval",
    "triggered_hello_delay",
    "join_prune_interval",
    "keepalive_timer",
    "igmp_query_interval",
    "igmp_robustness",
    "igmp_querier_timeout",
    "mld_query_interval",
    "mld_robustness",
    "mrdisc_interval",
    "bsr_interval",
)

_RP_FILTERS = ("bsr_filter", "rp_candidate_filter")


def print_config(config: Config) -> str:
    """The configuration in native lines; only what differs from the defaults."""
    defaults = Config()
    lines = [] if config.phyints_enabled else ["no phyint"]
    lines += map(_phyint, config.phyints)
    for name in _PLAIN:
        value = getattr(config, name)
        if value != getattr(defaults, name):
            lines.append(f"{_word(name)} {_number(value)}")
    lines += _ranges(config, defaults)
    for member in config.static_members:
        source = "" if member.source is None else f" source {format_address(member.source)}"
        lines.append(f"static-group {member.interface}{source} group {format_address(member.group)}")
    lines += [f"ssm-map {mapping.prefix} {format_address(mapping.source)}" for mapping in config.ssm_map]
    for static in config.rp_addresses:
        override = " override" if static.override else ""
        lines.append(f"rp-address {format_address(static.rp)} {static.prefix} priority {static.priority}{override}")
    lines += _rps(config, defaults)
    lines += _threshold(config, "spt_threshold", defaults) + _threshold(config, "rp_spt_threshold", defaults)
    lines += _policy(config, defaults)
    for word, value in (("distance", config.route_distance), ("metric", config.route_metric)):
        if value is not None:
            lines.append(f"default-route-{word} {value}")
    lines += [f"no {family}" for family in ("ipv4", "ipv6") if family not in config.families]
    lines += map(print_rpf_route, config.rpf_routes)
    lines += print_watched(config)
    lines += print_static(config.static)
    for proxy in config.proxies:
        lines += print_proxy(proxy)
    if config.metrics is not None:
        host, port = config.metrics
        lines.append(f"metrics [{host}]:{port}" if ":" in host else f"metrics {host}:{port}")
    return "".join(f"{line}\n" for line in lines)


def _rps(config: Config, defaults: Config) -> list[str]:
    """How RPs are found, static ones apart."""
    lines = []
    for bsr in config.bsr_candidates:
        words = ["bsr-candidate", *_place(bsr), f"priority {bsr.priority}"]
        words += [] if bsr.hash_mask is None else [f"hash-mask {bsr.hash_mask}"]
        words += [] if bsr.scope is None else [f"scope {bsr.scope}"]
        lines.append(" ".join(words))
    for rp in config.rp_candidates:
        lines.append(" ".join(["rp-candidate", *_place(rp), f"priority {rp.priority} interval {rp.interval}"]))
    lines += [f"group-prefix {prefix}" for prefix in config.group_prefixes]
    for anycast in config.anycast_rps:
        members = " ".join(map(format_address, anycast.members))
        lines.append(f"anycast-rp {format_address(anycast.address)} member {members}")
    for name in ("embedded_rp", "unicast_bsm"):
        if (value := getattr(config, name)) != getattr(defaults, name):
            lines.append(f"{_word(name)} {'on' if value else 'off'}")
    return lines


def _place(candidate: BsrCandidate | RpCandidate) -> list[str]:
    if candidate.address is not None:
        return [format_address(candidate.address)]
    return [] if candidate.interface is None else [candidate.interface]


def _threshold(config: Config, name: str, defaults: Config) -> list[str]:
    """When a source's own tree is taken, by the last hop or the RP."""
    kind, number, interval = (getattr(config, name + what) for what in ("", "_number", "_interval"))
    if kind == getattr(defaults, name):
        return []
    if kind == "immediate":
        return [f"{_word(name)} packets 0"]
    return [f"{_word(name)} {kind}" if kind == "infinity" else f"{_word(name)} {kind} {number} interval {interval}"]


def _policy(config: Config, defaults: Config) -> list[str]:
    """Filters and limits."""
    lines = []
    for name in ("neighbor_filter", "join_filter", "register_accept", "register_accept_from", *_RP_FILTERS):
        if prefixes := getattr(config, name):
            lines.append(" ".join((_word(name), *map(str, prefixes))))
    lines += [f"register-source {source}" for source in config.register_sources]
    if config.register_guard:
        lines.append("register-guard")
    if config.register_limit != defaults.register_limit:
        lines.append(f"register-limit {config.register_limit}")
    lines += [f"state-limit {kind} {number}" for kind, number in config.state_limits]
    return lines + [f"message-limit {kind} {number}" for kind, number in config.message_limits]


def _ranges(config: Config, defaults: Config) -> list[str]:
    """The SSM ranges: a family without any needs `none`, after which the other one has to be named in full."""
    lines = []
    told: list[Prefix] = []
    nothing = not config.ssm_ranges4 or not config.ssm_ranges6
    if nothing:
        lines.append("ssm-range none")
    if nothing or config.ssm_ranges4 != defaults.ssm_ranges4:
        told += config.ssm_ranges4
    if nothing or config.ssm_ranges6 != defaults.ssm_ranges6:
        told += config.ssm_ranges6
    return [*lines, *(f"ssm-range {prefix}" for prefix in told)]


def _phyint(phyint: Phyint) -> str:
    words = ["phyint", phyint.name]
    if phyint.enabled is not None:
        words.append("enable" if phyint.enabled else "disable")
    words += [_word(name) for name in FLAGS if getattr(phyint, name)]
    if phyint.immediate_leave is not None:
        words.append("immediate-leave" if phyint.immediate_leave == "tracked" else "immediate-leave-forced")
    if phyint.igmp_version is not None:
        words.append(f"igmpv{phyint.igmp_version}")
    if phyint.mld_version is not None:
        words.append(f"mldv{phyint.mld_version}")
    for name in _NUMBERS:
        if (value := getattr(phyint, name)) is not None:
            words += [_word(name), str(value)]
    for prefix in phyint.scoped:
        words += ["scoped", str(prefix)]
    for altnet in phyint.altnets:
        words += ["altnet", str(altnet)]
    if phyint.groups:
        words += ["groups", *map(str, phyint.groups)]
    for address in phyint.querier_addresses:
        words += ["querier-address", format_address(address)]
    for name in ("neighbor_filter", "join_filter"):
        if prefixes := getattr(phyint, name):
            words += [_word(name), *map(str, prefixes)]
    return " ".join(words)


def _word(name: str) -> str:
    return name.replace("_", "-")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
