"""The directives of policy: what is wanted, from whom, and how much of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pimpy.config.builder import Builder, Line
from pimpy.config.cursor import Words
from pimpy.config.diagnostics import quote, suggest
from pimpy.config.directives import MAX_DISTANCE, MAX_METRIC, NAME_BYTES
from pimpy.config.ranges import prefixes
from pimpy.wire.family import family_of, format_address, parse_address

SPT_INTERVAL = 100
"""Seconds between two looks at how much data there is, unless the line says otherwise; pimd's default too."""
MIN_SPT_INTERVAL = 5
MAX_SPT_INTERVAL = 86400


def _spt_threshold(name: str, builder: Builder, line: Line) -> None:
    """`infinity | packets N | bytes N | rate KBPS [interval S]`; 0 means with the first packet."""
    words = Words(builder, line)
    word = words.take()
    if word is None:
        words.error(None, " needs infinity, packets N, bytes N or rate KBPS")
        return
    kind, number, interval = word.lower(), 0, SPT_INTERVAL
    if kind in ("packets", "bytes", "rate"):
        found = words.integer(f"{line.name} {kind}", 0, MAX_METRIC)
        if found is None:
            return
        number = found
    elif kind != "infinity":
        words.error(word, f"{quote(word)} is none of infinity, packets, bytes and rate")
        return
    if words.take_if("interval"):
        seconds = words.integer(f"{line.name} interval", 0, MAX_SPT_INTERVAL)
        if seconds is None:
            return
        if seconds < MIN_SPT_INTERVAL:
            text = f"{line.name} interval {seconds}: {MIN_SPT_INTERVAL} is the least, and is used"
            builder.note(line, str(seconds), text)
        interval = max(seconds, MIN_SPT_INTERVAL)
    if words.ended():
        immediate = kind != "infinity" and number == 0
        builder.set(line, name, "immediate" if immediate else kind)
        builder.values[f"{name}_number"] = number
        builder.values[f"{name}_interval"] = interval if number else SPT_INTERVAL


def _switch_threshold(builder: Builder, line: Line) -> None:
    """2.3.2's `switch_data_threshold [rate BPS] [interval S]`, and its like for Registers: one threshold, in bytes."""
    words = Words(builder, line)
    said = {"rate": 50_000, "interval": 20}
    while (word := words.take()) is not None:
        if word.lower() not in said:
            words.error(word, f"{quote(word)} is neither rate nor interval")
            return
        found = words.integer(f"{line.name} {word}", 0, MAX_METRIC if word.lower() == "rate" else MAX_SPT_INTERVAL)
        if found is None:
            return
        said[word.lower()] = found
    interval = max(MIN_SPT_INTERVAL, said["interval"])
    count = min(said["rate"] * interval // 10, MAX_METRIC)
    same = f"spt-threshold bytes {count} interval {interval}" if count else "spt-threshold packets 0"
    builder.note(line, line.words[0], f"{line.name} is an old name: {same} says the same")
    builder.set(line, "spt_threshold", "bytes" if count else "immediate")
    builder.values["spt_threshold_number"] = count
    builder.values["spt_threshold_interval"] = interval if count else SPT_INTERVAL


def _number(name: str, low: int, high: int) -> Callable[[Builder, Line], None]:
    """A directive with one whole number, `name` being the model's field."""

    def directive(builder: Builder, line: Line) -> None:
        words = Words(builder, line)
        value = words.integer(line.name, low, high)
        if value is not None and words.ended():
            builder.set(line, name, value)

    return directive


def _prefixes(name: str, *, of_hosts: bool = True) -> Callable[[Builder, Line], None]:
    """A directive with ranges of addresses, to which each line adds."""

    def directive(builder: Builder, line: Line) -> None:
        words = Words(builder, line)
        found = prefixes(builder, line, line.name, words.rest, of_hosts=of_hosts)
        if found is not None and words.ended():
            builder.add(name, found)

    return directive


def _register_source(builder: Builder, line: Line) -> None:
    """`register-source IF|ADDR`: a line for each family, or an interface for both."""
    words = Words(builder, line)
    word = words.take()
    if word is None:
        words.error(None, " needs an interface, or an address of ours")
        return
    try:
        address = parse_address(word)
    except ValueError:
        if len(word.encode(errors="replace")) > NAME_BYTES or "/" in word or ":" in word:
            words.error(word, f"{quote(word)} is neither an address nor a name that an interface can have")
            return
    else:
        if not family_of(address).is_unicast(address) or family_of(address).is_link_local(address):
            words.error(word, f"{quote(word)} cannot be reached from other links")
            return
        word = format_address(address)
    if words.ended():
        builder.add("register_sources", (word,))


def _register_guard(builder: Builder, line: Line) -> None:
    if Words(builder, line).ended():
        builder.set(line, "register_guard", True)


STATE_LIMITS = {
    "neighbors": 100_000,
    "sg": 10_000_000,
    "groups": 10_000_000,
    "members": 10_000_000,
    "member-sources": 10_000_000,
    "member-hosts": 10_000_000,
}
"""What `state-limit` limits, with the highest limit."""
MESSAGES = (
    "hello",
    "register",
    "register-stop",
    "join-prune",
    "bootstrap",
    "assert",
    "candidate-rp-advertisement",
)
"""What `message-limit` limits."""
MAX_RATE = 10_000_000


def _limit(name: str, kinds: dict[str, int], least: int) -> Callable[[Builder, Line], None]:
    """A directive with a kind and a number; a later line of the same kind wins."""

    def directive(builder: Builder, line: Line) -> None:
        words = Words(builder, line)
        word = words.take()
        kind = word.lower() if word is not None else None
        if word is None or kind not in kinds:
            known = ", ".join(kinds)
            text = f" needs a kind and a number; the kinds are {known}"
            hint = "" if word is None else suggest(word, kinds)
            words.error(word, text if word is None else f"{quote(word)} is none of {known}{hint}")
            return
        value = words.integer(f"{line.name} {kind}", least, kinds[kind])
        if value is not None and words.ended():
            builder.values[name] = tuple({**dict(builder.values.get(name, ())), kind: value}.items())

    return directive


_distance = _number("route_distance", 0, MAX_DISTANCE)
_metric = _number("route_metric", 0, MAX_METRIC)

POLICY: dict[str, Callable[[Builder, Line], None]] = {
    "neighbor-filter": _prefixes("neighbor_filter"),
    "join-filter": _prefixes("join_filter", of_hosts=False),
    "register-source": _register_source,
    "register-accept": _prefixes("register_accept"),
    "register-accept-from": _prefixes("register_accept_from"),
    "register-guard": _register_guard,
    "register-limit": _number("register_limit", 0, MAX_RATE),
    "state-limit": _limit("state_limits", STATE_LIMITS, 1),
    "message-limit": _limit("message_limits", dict.fromkeys(MESSAGES, MAX_RATE), 0),
    "spt-threshold": partial(_spt_threshold, "spt_threshold"),
    "spt_threshold": partial(_spt_threshold, "spt_threshold"),
    "rp-spt-threshold": partial(_spt_threshold, "rp_spt_threshold"),
    "switch_data_threshold": _switch_threshold,
    "switch_register_threshold": _switch_threshold,
    "default-route-distance": _distance,
    "default-source-preference": _distance,
    "default_source_preference": _distance,
    "default-route-metric": _metric,
    "default-source-metric": _metric,
    "default_source_metric": _metric,
}
"""Directives by name."""
