"""The native lines of static routes, joins and proxies: smcroute's `mroute` and `mgroup` as they are, and `proxy...`.

    mroute from IF [source S[/LEN]] group G[/LEN] to IF...
    mgroup from IF [source S[/LEN]] group G[/LEN]
    static-flush-interval SEC
    rpf-route PREFIX [via ADDRESS] dev IF
    proxy NAME upstream IF... downstream IF... [ipv4|ipv6] [first|mutex MS|all] [send-first] [quick-leave]
               [always-forward] [check-sources] [except IF...] [table N]
    proxy-filter NAME upstream|downstream IF in|out permit|deny [from IF] [group RANGE] [source RANGE]
    proxy-filter NAME upstream|downstream IF in|out otherwise permit|deny
    proxy-altnet NAME IF PREFIX...

An interface that is named like a word of the line stands in double quotes. A RANGE is an address, a prefix, or
FIRST-LAST. Of the filter's lines that match a stream the last decides.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pimpy.config import route_words
from pimpy.config.builder import Builder, Line
from pimpy.config.diagnostics import quote, suggest
from pimpy.config.directives import MAX_METRIC, Directive, integer
from pimpy.config.model import RpfRoute
from pimpy.config.proxies import MATCHINGS, AddressRange, Filter, FilterRule, Proxy, ProxyInterface
from pimpy.wire.family import family_of, parse_address, parse_prefix
from pimpy.wire.record import evolve

MAX_MUTEX = 3_600_000
MAX_TABLE = 999_999_999


def _sorted_words(builder: Builder, line: Line) -> route_words.Words | None:
    words = route_words.sort_words(line.words[1:], exact=True)
    if words.strays:
        stray = words.strays[0]
        known = ("from", "source", "group", "to")
        builder.error(line, stray, f"{line.name}: {quote(stray)} is unknown or ends too early{suggest(stray, known)}")
        return None
    return words


def _mroute(builder: Builder, line: Line) -> None:
    words = _sorted_words(builder, line)
    if words is not None and (route := route_words.route(words, partial(builder.error, line))) is not None:
        builder.routes.append(route)


def _mgroup(builder: Builder, line: Line) -> None:
    words = _sorted_words(builder, line)
    if words is None:
        return
    if words.outgoing:
        builder.error(line, "to", f"{line.name} takes no outgoing interfaces")
    elif (join := route_words.join(words, partial(builder.error, line), line.name)) is not None:
        builder.joins.append(join)


def _flush_interval(builder: Builder, line: Line) -> None:
    word = line.words[1] if len(line.words) > 1 else None
    value = integer(builder, line, word, line.name, 0, MAX_METRIC)
    if value is not None:
        builder.flush_interval = value


def _rpf_route(builder: Builder, line: Line) -> None:
    """`rpf-route PREFIX [via ADDRESS] dev IF`"""
    words = list(line.words[1:])
    said = {word.lower(): value for word, value in zip(words[1::2], words[2::2], strict=False)}
    if len(words) not in (3, 5) or "dev" not in said or set(said) - {"dev", "via"}:
        builder.error(line, None, "rpf-route needs: PREFIX [via ADDRESS] dev IF")
        return
    try:
        prefix = parse_prefix(words[0])
        if family_of(prefix.network).is_multicast(prefix.network):
            raise ValueError
    except ValueError:
        builder.error(line, words[0], f"rpf-route: {quote(words[0])} is no range of sources like 10.0.0.0/8")
        return
    via = None
    try:
        via = parse_address(said["via"]) if "via" in said else None
        if via is not None and not family_of(prefix.network).is_unicast(via):
            raise ValueError
    except ValueError:
        builder.error(line, said["via"], f"rpf-route: {quote(said['via'])} is no address of a router of that family")
        return
    if not route_words.is_name(said["dev"]) or said["dev"].endswith("+"):
        builder.error(line, said["dev"], f"rpf-route: no interface can have the name {quote(said['dev'])}")
        return
    builder.rpf_routes.append(RpfRoute(prefix, said["dev"], via))


_FLAGS = {
    "send-first": "send_first",
    "quick-leave": "quick_leave",
    "always-forward": "always_forward",
    "check-sources": "check_sources",
}
_SECTIONS = ("upstream", "downstream", "except")
PROXY_WORDS = (*_SECTIONS, *_FLAGS, *MATCHINGS, "ipv4", "ipv6", "table")


def _proxy(builder: Builder, line: Line) -> None:
    """`proxy NAME upstream IF... downstream IF... WORD...`"""
    if len(line.words) < 2:
        builder.error(line, None, "proxy needs a name, and upstream and downstream interfaces")
        return
    name, words = line.words[1], list(line.words[2:])
    if any(proxy.name == name for proxy in builder.proxies):
        builder.error(line, name, f"proxy {quote(name)} is there already")
        return
    named: dict[str, list[str]] = {section: [] for section in _SECTIONS}
    section: list[str] | None = None
    said: dict[str, object] = {}
    while words:
        word = words.pop(0)
        low = word.lower()
        if low in named:
            section = named[low]
        elif low in PROXY_WORDS:
            section = None
            if not _proxy_word(builder, line, low, words, said):
                return
        elif section is None:
            builder.error(line, word, f"proxy: unknown word {quote(word)}{suggest(word, PROXY_WORDS)}")
            return
        else:
            section.append(word[1:-1] if word[0] == word[-1] == '"' and len(word) > 2 else word)
    for missing in ("upstream", "downstream"):
        if not named[missing]:
            builder.note(line, name, f"proxy {quote(name)} has no {missing} interface: nothing is forwarded by it")
    builder.proxies.append(
        Proxy(
            name,
            tuple(map(ProxyInterface, dict.fromkeys(named["upstream"]))),
            tuple(map(ProxyInterface, dict.fromkeys(named["downstream"]))),
            tuple(dict.fromkeys(named["except"])),
            **said,  # type: ignore[arg-type]
        )
    )


def _proxy_word(builder: Builder, line: Line, low: str, words: list[str], said: dict[str, object]) -> bool:
    """A word of a proxy line that is no interface; whether it is right."""
    if low in _FLAGS:
        said[_FLAGS[low]] = True
    elif low in ("ipv4", "ipv6"):
        said["families"] = (low,)
    elif low in MATCHINGS:
        said["matching"] = low
        if low == "mutex":
            value = integer(builder, line, words.pop(0) if words else None, "proxy mutex", 0, MAX_MUTEX)
            said["mutex_time"] = value
            return value is not None
    else:
        value = integer(builder, line, words.pop(0) if words else None, "proxy table", 0, MAX_TABLE)
        said["table"] = value
        return value is not None
    return True


def _find(builder: Builder, line: Line, name: str) -> int | None:
    for index, proxy in enumerate(builder.proxies):
        if proxy.name == name:
            return index
    known = [proxy.name for proxy in builder.proxies]
    builder.error(line, name, f"{line.name}: there is no proxy {quote(name)} above this line{suggest(name, known)}")
    return None


def parse_address_range(word: str) -> AddressRange:
    """An address, a prefix, or FIRST-LAST; ValueError if it is none of them."""
    first, dash, last = word.partition("-")
    if dash:
        found = AddressRange(parse_address(first), parse_address(last))
        if len(found.first) != len(found.last):
            raise ValueError(f"{word!r}: two families")
        if found.first > found.last:
            raise ValueError(f"{word!r}: the last address is before the first")
        return found
    if "/" in word:
        return AddressRange.of(parse_prefix(word))
    address = parse_address(word)
    return AddressRange(address, address)


def _proxy_filter(builder: Builder, line: Line) -> None:
    """`proxy-filter NAME upstream|downstream IF in|out permit|deny|otherwise ...`"""
    if len(line.words) < 6:
        builder.error(line, None, "proxy-filter needs: NAME upstream|downstream IF in|out permit|deny ...")
        return
    _, name, side, interface, way, verb, *rest = line.words
    index = _find(builder, line, name)
    if index is None:
        return
    choices = ((side, ("upstream", "downstream")), (way, ("in", "out")), (verb, ("permit", "deny", "otherwise")))
    for word, known in choices:
        if word.lower() not in known:
            builder.error(line, word, f"proxy-filter: {quote(word)} is none of {', '.join(known)}")
            return
    field, key = f"{side.lower()}s", "inward" if way.lower() == "in" else "outward"
    interfaces: tuple[ProxyInterface, ...] = getattr(builder.proxies[index], field)
    place = next((i for i, known in enumerate(interfaces) if known.name == interface), None)
    if place is None:
        builder.error(line, interface, f"proxy-filter: {quote(interface)} is no {side} interface of {quote(name)}")
        return
    old: Filter = getattr(interfaces[place], key) or Filter()
    new = _with_rule(builder, line, old, verb.lower(), rest)
    if new is None:
        return
    change: dict[str, Any] = {key: new}
    changed = evolve(interfaces[place], **change)
    replaced: dict[str, Any] = {field: (*interfaces[:place], changed, *interfaces[place + 1 :])}
    builder.proxies[index] = evolve(builder.proxies[index], **replaced)


def _with_rule(builder: Builder, line: Line, old: Filter, verb: str, rest: list[str]) -> Filter | None:
    if verb == "otherwise":
        if len(rest) != 1 or rest[0].lower() not in ("permit", "deny"):
            builder.error(line, None, "proxy-filter: otherwise what? permit or deny")
            return None
        return evolve(old, otherwise=rest[0].lower() == "permit")
    said: dict[str, object] = {}
    while rest:
        word = rest.pop(0)
        low = word.lower()
        if low not in ("from", "group", "source") or not rest:
            builder.error(line, word, f"proxy-filter: {quote(word)} is unknown or ends too early")
            return None
        value = rest.pop(0)
        if low == "from":
            said["interface"] = value
            continue
        try:
            said[low] = parse_address_range(value)
        except ValueError:
            builder.error(line, value, f"proxy-filter: {quote(value)} is no address, prefix or FIRST-LAST")
            return None
    return evolve(old, rules=(*old.rules, FilterRule(verb == "permit", **said)))  # type: ignore[arg-type]


def _proxy_altnet(builder: Builder, line: Line) -> None:
    if len(line.words) < 4:
        builder.error(line, None, "proxy-altnet needs: NAME IF PREFIX...")
        return
    index = _find(builder, line, line.words[1])
    if index is None:
        return
    proxy = builder.proxies[index]
    place = next((i for i, known in enumerate(proxy.upstreams) if known.name == line.words[2]), None)
    if place is None:
        builder.error(line, line.words[2], f"proxy-altnet: {quote(line.words[2])} is no upstream interface")
        return
    prefixes = []
    for word in line.words[3:]:
        try:
            prefixes.append(parse_prefix(word))
        except ValueError:
            builder.error(line, word, f"proxy-altnet: {quote(word)} is no range like 10.0.0.0/8")
            return
        assert family_of(prefixes[-1].network)
    old = proxy.upstreams[place]
    changed = evolve(old, altnets=(*old.altnets, *prefixes))
    builder.proxies[index] = evolve(proxy, upstreams=(*proxy.upstreams[:place], changed, *proxy.upstreams[place + 1 :]))


DIRECTIVES: dict[str, Directive] = {
    "mroute": _mroute,
    "mgroup": _mgroup,
    "ssmgroup": _mgroup,
    "static-flush-interval": _flush_interval,
    "rpf-route": _rpf_route,
    "proxy": _proxy,
    "proxy-filter": _proxy_filter,
    "proxy-altnet": _proxy_altnet,
}
