"""The directives one by one: words of a line to values of the model, with the ranges that they may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pimpy.config import membership
from pimpy.config.builder import Builder, Line
from pimpy.config.diagnostics import quote, range_problem, suggest
from pimpy.config.model import Altnet, Phyint
from pimpy.config.ranges import is_address, loose, prefixes, scope
from pimpy.config.route_words import is_name
from pimpy.wire.family import family_of, format_address, parse_address, parse_prefix

Directive = Callable[[Builder, Line], None]

MAX_HELLO = 18724
"""The holdtime, 3.5 times as long, has to stay below 65535 (RFC 7761 4.9.2)."""
MAX_QUERY = 31744
"""The longest interval that a query can tell (RFC 9776 4.1.7)."""
MAX_RESPONSE = 3174400
"""Milliseconds, the longest time to answer in that an IGMPv3 query can tell (RFC 9776 4.1.1)."""
MAX_QUERIER_TIMEOUT = 255_000
"""Seconds; about what the longest query interval and the highest robustness give."""
MAX_METRIC = 2**32 - 1
MAX_DISTANCE = 2**31 - 2
"""One below the preference that stands for no route at all (RFC 7761 4.6.3)."""
NAME_BYTES = 15
"""Bytes of an interface's name on Linux."""
MAX_RECORDS = 1_000_000


def parse_listen(text: str) -> tuple[str, int]:
    """`ADDR:PORT`, `[ADDR6]:PORT`, or a port alone, which means loopback; ValueError with the reason otherwise."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"{quote(text)} is not of the form ADDR:PORT with a port from 1 to 65535")
    if host in ("", "localhost"):
        return "127.0.0.1", int(port)
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = parse_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(f"{quote(host)} is no address; write 127.0.0.1:9353 or [::1]:9353") from None
    if bracketed != (len(address) == 16):
        raise ValueError(f"{quote(text)}: an IPv6 address, and only such a one, stands in brackets: [::1]:9353")
    return format_address(address), int(port)


def integer(builder: Builder, line: Line, word: str | None, name: str, low: int, high: int) -> int | None:
    """The whole number that `word` is; None after an error. `word` is None where the line ends too early."""
    if word is None:
        builder.error(line, None, f"{name} needs a number from {low} to {high}")
    elif not (word.isascii() and word.isdigit() and len(word) <= 12):
        builder.error(line, word, f"{name} takes a number from {low} to {high}, not {quote(word)}")
    elif not low <= int(word) <= high:
        builder.error(line, word, f"{name} {word} is out of range: {low} to {high}")
    else:
        return int(word)
    return None


def _number(name: str, low: int, high: int) -> Directive:
    """A directive with one whole number, `name` being the model's field."""

    def directive(builder: Builder, line: Line) -> None:
        value = integer(builder, line, _argument(line), line.name, low, high)
        if value is not None and _ends(builder, line, 2):
            builder.set(line, name, value)

    return directive


def _argument(line: Line) -> str | None:
    return line.words[1] if len(line.words) > 1 else None


def _ends(builder: Builder, line: Line, after: int) -> bool:
    """Whether the line has no word behind the first `after`; an error otherwise."""
    if len(line.words) <= after:
        return True
    builder.error(line, line.words[after], f"{line.name}: {quote(line.words[after])} is too much")
    return False


def _triggered_hello_delay(builder: Builder, line: Line) -> None:
    word = _argument(line)
    if word is None:
        builder.error(line, None, "triggered-hello-delay needs seconds from 0 to 60 (0: at once)")
    elif not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,20})?(e-?[0-9]{1,3})?", word) or not 0 <= float(word) <= 60:
        builder.error(line, word, f"triggered-hello-delay takes seconds from 0 to 60, not {quote(word)}")
    elif _ends(builder, line, 2):
        builder.set(line, "triggered_hello_delay", float(word))


def _ssm_range(builder: Builder, line: Line) -> None:
    """`ssm-range PREFIX...` instead of the RFC's ranges of that family; `none`: no range but those that are named."""
    if len(line.words) == 1:
        builder.error(line, None, "ssm-range needs a range of groups like 232.0.0.0/8 or ff3e::/32, or none")
    for word in line.words[1:]:
        if word.lower() == "none":
            builder.no_ranges = True
            continue
        try:
            prefix = parse_prefix(word)
        except ValueError as error:
            builder.error(line, word, f"ssm-range: {range_problem(word, error)}")
            continue
        multicast = family_of(prefix.network).multicast
        if not multicast.covers(prefix.network) or prefix.length < multicast.length:
            builder.error(line, word, f"ssm-range: {quote(word)} is not inside {multicast}, the multicast addresses")
        elif prefix in builder.ranges:
            builder.note(line, word, f"ssm-range {word} is said twice")
        else:
            builder.ranges.append(prefix)


def _metrics(builder: Builder, line: Line) -> None:
    word = _argument(line)
    if word is None:
        builder.error(line, None, "metrics needs an address and a port like 127.0.0.1:9353")
        return
    try:
        listen = parse_listen(word)
    except ValueError as error:
        builder.error(line, word, f"metrics: {error}")
        return
    if _ends(builder, line, 2):
        builder.set(line, "metrics", listen)


def _disable_vifs(builder: Builder, line: Line) -> None:
    if _ends(builder, line, 1):
        builder.values["phyints_enabled"] = False


def _no(builder: Builder, line: Line) -> None:
    word = _argument(line)
    if word is None:
        builder.error(line, None, "no what? Known are: no phyint, no ipv4, no ipv6")
    elif word.lower() in ("ipv4", "ipv6"):
        if _ends(builder, line, 2):
            left = builder.values.get("families", ("ipv4", "ipv6"))
            builder.values["families"] = tuple(family for family in left if family != word.lower())
    elif word.lower() != "phyint":
        builder.error(line, word, f"no {quote(word)} is unknown; known are: no phyint, no ipv4, no ipv6")
    elif _ends(builder, line, 2):
        builder.values["phyints_enabled"] = False


SWITCHES: dict[str, tuple[str, object]] = {
    "enable": ("enabled", True),
    "disable": ("enabled", False),
    "passive": ("passive", True),
    "nolistener": ("nolistener", True),
    "bsr-border": ("bsr_border", True),
    "hello-optional": ("hello_optional", True),
    "require-ttl-1": ("require_ttl_1", True),
    "igmpv1": ("igmp_version", 1),
    "igmpv2": ("igmp_version", 2),
    "igmpv3": ("igmp_version", 3),
    "mldv1": ("mld_version", 1),
    "mldv2": ("mld_version", 2),
    "immediate-leave": ("immediate_leave", "tracked"),
    "immediate-leave-forced": ("immediate_leave", "forced"),
    "explicit-tracking": ("explicit_tracking", True),
    "on-link-reports-only": ("on_link_reports_only", True),
    "require-router-alert": ("require_router_alert", True),
    "mrdisc": ("mrdisc", True),
}
"""Words of a phyint line that stand alone."""

NUMBERS: dict[str, tuple[str, int, int]] = {
    "dr-priority": ("dr_priority", 0, MAX_METRIC),
    "ttl-threshold": ("ttl_threshold", 1, 255),
    "threshold": ("ttl_threshold", 1, 255),
    "hello-interval": ("hello_interval", 1, MAX_HELLO),
    "distance": ("distance", 0, MAX_DISTANCE),
    "preference": ("distance", 0, MAX_DISTANCE),
    "metric": ("metric", 0, MAX_METRIC),
    "oldest-igmp": ("oldest_igmp", 1, 3),
    "oldest-mld": ("oldest_mld", 1, 2),
    "max-groups": ("max_groups", 1, MAX_RECORDS),
    "max-sources": ("max_sources", 1, MAX_RECORDS),
    "query-interval": ("query_interval", 1, MAX_QUERY),
    "robustness": ("robustness", 1, 7),
    "query-response-interval": ("query_response_interval", 1, MAX_RESPONSE),
    "last-member-interval": ("last_member_interval", 1, MAX_RESPONSE),
}
"""Words of a phyint line with a number behind them: the field and its range."""


def _neighbor_filter(builder: Builder, line: Line, words: list[str]) -> tuple[str, tuple[Any, ...]] | None:
    found = prefixes(builder, line, "phyint: neighbor-filter", words, of_hosts=True)
    return None if found is None else ("neighbor_filter", found)


def _join_filter(builder: Builder, line: Line, words: list[str]) -> tuple[str, tuple[Any, ...]] | None:
    found = prefixes(builder, line, "phyint: join-filter", words)
    return None if found is None else ("join_filter", found)


def _scoped(builder: Builder, line: Line, words: list[str]) -> tuple[str, tuple[Any, ...]] | None:
    """`scoped GROUP/LEN` or pimd's `scoped GROUP masklen LEN`: the interface is a border of that scope."""
    word = words.pop(0) if words else None
    if word is not None and words and words[0].lower() == "masklen":
        words.pop(0)
        length = integer(builder, line, words.pop(0) if words else None, "phyint scoped masklen", 0, 128)
        if length is None:
            return None
        word = f"{word}/{length}"
    found = scope(builder, line, "phyint scoped", word)
    return None if found is None else ("scoped", (found,))


def _altnet(builder: Builder, line: Line, words: list[str]) -> tuple[str, tuple[Any, ...]] | None:
    """`altnet NET[/LEN]`, or pimd's `altnet NET|IF [masklen LEN]`: another subnet that is on the link."""
    word = words.pop(0) if words else None
    if word is None:
        builder.error(line, word, "phyint: altnet needs a subnet like 10.9.0.0/24, or an interface")
        return None
    text = word
    if words and words[0].lower() == "masklen":
        words.pop(0)
        length = integer(builder, line, words.pop(0) if words else None, "phyint altnet masklen", 0, 128)
        if length is None:
            return None
        text = f"{word}/{length}"
    of, slash, said = text.partition("/")
    if not is_address(of):
        return _altnet_of(builder, line, word, of, said if slash else None)
    try:
        prefix = loose(builder, line, "phyint: altnet", text if slash else f"{of}/{128 if ':' in of else 32}")
    except ValueError as error:
        builder.error(line, word, f"phyint: altnet: {range_problem(text, error)}")
        return None
    if not family_of(prefix.network).is_unicast(prefix.network) and prefix.length:
        builder.error(line, word, f"phyint: altnet: {quote(text)} holds no hosts")
        return None
    return "altnets", (prefix if slash else Altnet(of),)


def _altnet_of(
    builder: Builder, line: Line, word: str, name: str, said: str | None
) -> tuple[str, tuple[Any, ...]] | None:
    """The subnet of the address of the interface `name`, of that length, or of as long a one as the phyint's own."""
    known = name.lower() in (*SWITCHES, *NUMBERS, *LISTED)
    number = said is None or (said.isascii() and said.isdigit())
    if known or not is_name(name) or not number or not name.strip("0123456789.:"):
        builder.error(line, word, f"phyint: altnet: {quote(word)} is no subnet like 10.9.0.0/24, and no interface")
        return None
    if said is None:
        return "altnets", (Altnet(name),)
    length = integer(builder, line, said, "phyint altnet length", 0, 128)
    return None if length is None else ("altnets", (Altnet(name, length),))


FORCED_LEAVE = (
    "immediate-leave-forced cuts a group off with the first leave, whoever else wants it, until the next query is "
    "answered: only for links with one host"
)


LISTED: dict[str, Callable[[Builder, Line, list[str]], tuple[str, tuple[Any, ...]] | None]] = {
    "neighbor-filter": _neighbor_filter,
    "join-filter": _join_filter,
    "scoped": _scoped,
    "altnet": _altnet,
    "groups": membership.allowed_groups,
    "querier-address": membership.querier_address,
}
"""Words of a phyint line that add to a list: they take their arguments off the words that follow."""


def _phyint(builder: Builder, line: Line) -> None:
    """`phyint IF|ADDR WORD...`"""
    name = _phyint_name(builder, line)
    if name is None:
        return
    said: dict[str, Any] = {}
    words = list(line.words[2:])
    while words:
        word = words.pop(0)
        low = word.lower()
        if low in SWITCHES:
            key, value = SWITCHES[low]
        elif low in NUMBERS:
            key, least, most = NUMBERS[low]
            value = integer(builder, line, words.pop(0) if words else None, f"phyint {low}", least, most)
        elif low in LISTED:
            found = LISTED[low](builder, line, words)
            if found is None:
                return
            key, value = found[0], (*said.pop(found[0], ()), *found[1])
        else:
            known = (*SWITCHES, *NUMBERS, *LISTED)
            builder.error(line, word, f"phyint: unknown word {quote(word)}{suggest(word, known)}")
            return
        if key in said and said[key] != value:
            builder.note(line, word, f"phyint: {low} replaces what stands before it on this line")
        said[key] = value
        if value == "forced":
            builder.note(line, word, f"phyint: {FORCED_LEAVE}")
    builder.phyints.append(Phyint(name=name, **said))


def _phyint_name(builder: Builder, line: Line) -> str | None:
    """The interface of a phyint line: a name, or an address in its usual form; None after an error."""
    word = _argument(line)
    if word is None:
        builder.error(line, None, "phyint needs an interface: its name or an address of it")
        return None
    try:
        address = parse_address(word)
    except ValueError:
        if len(word.encode(errors="replace")) > membership.NAME_BYTES:
            problem = f"the name of an interface has at most {membership.NAME_BYTES} bytes"
        elif re.fullmatch(r"[0-9]+(\.[0-9]+){3}", word) or "/" in word or ":" in word or word in (".", ".."):
            problem = "it is neither an address nor a name that an interface can have"
        else:
            if word.lower() in {*SWITCHES, *NUMBERS, *LISTED}:
                builder.note(line, word, f"phyint: {quote(word)} is taken as the name of an interface")
            return word
        builder.error(line, word, f"phyint {quote(word)}: {problem}")
        return None
    if not family_of(address).is_unicast(address):
        builder.error(line, word, f"phyint {word}: no interface can have this address")
        return None
    return format_address(address)


DIRECTIVES: dict[str, Directive] = {
    "phyint": _phyint,
    "no": _no,
    "disable-vifs": _disable_vifs,
    "hello-interval": _number("hello_interval", 1, MAX_HELLO),
    "hello_period": _number("hello_interval", 1, MAX_HELLO),
    "triggered-hello-delay": _triggered_hello_delay,
    "join-prune-interval": _number("join_prune_interval", 1, MAX_HELLO),
    "keepalive-timer": _number("keepalive_timer", 60, 65535),
    "igmp-query-interval": _number("igmp_query_interval", 1, MAX_QUERY),
    "default_igmp_query_interval": _number("igmp_query_interval", 1, MAX_QUERY),
    "igmp-querier-timeout": _number("igmp_querier_timeout", 1, MAX_QUERIER_TIMEOUT),
    "default_igmp_querier_timeout": _number("igmp_querier_timeout", 1, MAX_QUERIER_TIMEOUT),
    "igmp-robustness": _number("igmp_robustness", 1, 7),
    "mld-query-interval": _number("mld_query_interval", 1, MAX_QUERY),
    "mld-robustness": _number("mld_robustness", 1, 7),
    "static-group": membership.static_group,
    "mrdisc-interval": _number("mrdisc_interval", 4, 180),
    "ssm-map": membership.ssm_map,
    "ssm-range": _ssm_range,
    "metrics": _metrics,
}
"""What has an effect."""
