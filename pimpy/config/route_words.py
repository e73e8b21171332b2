"""The words of `mroute` and `mgroup` lines, which smcroute.conf and pimpyd.conf have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pimpy.config.diagnostics import quote, shown
from pimpy.config.model import StaticJoin, StaticRoute
from pimpy.config.routes import MAX_RANGE
from pimpy.wire.family import Family, Prefix, family_of, parse_address
from pimpy.wire.record import define, field

MAX_OUTGOING = 32
NAME_BYTES = 15
_KEYWORDS = ("from", "source", "group", "to")

Complain = Callable[[str | None, str], None]
"""Told the word, and what is wrong with it."""


@define
class Words:
    """The arguments of an `mroute` or `mgroup` line."""

    interface: str | None = None
    source: str | None = None
    group: str | None = None
    outgoing: tuple[str, ...] = ()
    strays: list[str] = field(factory=list)
    """Words that mean nothing here."""


def sort_words(words: Sequence[str], exact: bool = False) -> Words:
    """The words behind `mroute` or `mgroup`, in any order; with `exact` keywords may not have more letters."""
    found = Words()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        keyword = next((k for k in _KEYWORDS if (word.lower() == k if exact else word.startswith(k))), None)
        if keyword == "to":
            found.outgoing = tuple(map(interface_name, rest))
            break
        if keyword is None or not rest:
            found.strays.append(word)
        elif keyword == "from":
            found.interface = interface_name(rest.pop(0))
        elif keyword == "source":
            found.source = rest.pop(0)
        else:
            found.group = rest.pop(0)
    return found


def interface_name(word: str) -> str:
    """`eth0:1` is eth0."""
    return word.partition(":")[0]


def parse_range(word: str) -> Prefix:
    """`A` or `A/LEN`: no length and 0 mean the address alone, and host bits do not count.

    ValueError with the reason: `length` for a bad one, anything else for no address.
    """
    text, slash, length = word.partition("/")
    address = parse_address(text)
    bits = 8 * len(address)
    if not slash:
        return Prefix(address, bits)
    if not (length.isascii() and length.isdigit() and len(length) <= 3) or int(length) > bits:
        raise ValueError("length")
    used = int(length) or bits
    mask = (1 << bits) - (1 << bits - used)
    return Prefix((int.from_bytes(address, "big") & mask).to_bytes(len(address), "big"), used)


def route(words: Words, complain: Complain) -> StaticRoute | None:
    """The route that a line means; None after a complaint."""
    checked = _checked(words, "mroute", complain)
    if checked is None:
        return None
    interface, source, group = checked
    if len(words.outgoing) > MAX_OUTGOING:
        complain(words.outgoing[MAX_OUTGOING], f"mroute: too many outbound interfaces, at most {MAX_OUTGOING}")
        return None
    for name in words.outgoing:
        if not is_name(name):
            complain(name, f"mroute: {quote(name)} is no name of an interface")
            return None
    return StaticRoute(interface, source, group, tuple(dict.fromkeys(words.outgoing)))


def join(words: Words, complain: Complain, what: str = "join") -> StaticJoin | None:
    """The join that a line means; None after a complaint, which begins with `what`."""
    checked = _checked(words, what, complain)
    if checked is None:
        return None
    found = StaticJoin(*checked)
    if found.size > MAX_RANGE:
        complain(words.group, f"{what}: {found.size} memberships, at most {MAX_RANGE} a line")
        return None
    return found


def _checked(words: Words, what: str, complain: Complain) -> tuple[str, Prefix | None, Prefix] | None:
    if words.interface is None:
        complain(None, f"{what}: missing inbound interface, `from IF`")
        return None
    if not is_name(words.interface):
        complain(words.interface, f"{what}: {quote(words.interface)} is no name of an interface")
        return None
    if words.group is None:
        complain(None, f"{what}: missing multicast group")
        return None
    group = _range(words.group, f"{what}: Invalid multicast group", f"{what}: Invalid group prefix length", complain)
    if group is None:
        return None
    family = family_of(group.network)
    if not family.is_multicast(group.network) or group.length < family.multicast.length:
        complain(words.group, f"{what}: Invalid multicast group: {shown(words.group)}")
        return None
    source = None
    if words.source is not None:
        source = _source(words.source, what, family, complain)
        if source is None:
            return None
    return words.interface, None if source is None or source == _anybody(family) else source, group


def _anybody(family: Family) -> Prefix:
    return family.host(family.any)


def _source(word: str, what: str, family: Family, complain: Complain) -> Prefix | None:
    source = _range(word, f"{what}: Invalid multicast source", f"{what}: Invalid source prefix length", complain)
    if source is not None and len(source.network) != family.size:
        complain(word, f"{what}: Invalid multicast source: {shown(word)} is no {family.name} address")
        return None
    return source


def _range(word: str, bad: str, bad_length: str, complain: Complain) -> Prefix | None:
    try:
        return parse_range(word)
    except ValueError as error:
        if str(error) == "length":
            _, _, length = word.partition("/")
            complain(word, f"{bad_length} (0-{128 if ':' in word else 32}): {shown(length)}")
        else:
            complain(word, f"{bad}: {shown(word)}")
        return None


def is_name(word: str) -> bool:
    name = word.removesuffix("+")
    return len(name.encode(errors="replace")) <= NAME_BYTES and word.isprintable() and "/" not in word and word != ""
