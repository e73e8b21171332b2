"""The directives that say how the RP of a group is found: `rp-address`, `bsr-candidate` and their kind."""

from __future__ import annotations

import re
from collections.abc import Callable

from pimpy.config.builder import Builder, Line
from pimpy.config.cursor import Words
from pimpy.config.diagnostics import quote, range_problem, suggest
from pimpy.config.model import AnycastRp, BsrCandidate, Phyint, RpCandidate, StaticRp
from pimpy.config.ranges import loose, prefixes, scope
from pimpy.wire.family import FAMILIES, Address, Family, Prefix, family_of, format_address, parse_address
from pimpy.wire.record import define

MAX_INTERVAL = 26214
"""pimd's: 2.5 times as long is below 65536, the longest hold time."""
MAX_MEMBERS = 16
"""Of an anycast set: a Register is copied to each other one (RFC 4610 3.2), by a table of so many."""
MAX_PREFIXES = 255
"""Ranges that one Candidate-RP-Advertisement has room for."""
PRIORITY = {"bsr-candidate": 64, "rp-candidate": 192}
"""What RFC 5059 has for a line without priority; pimd takes 0."""


def _router(words: Words, word: str) -> Address | None:
    """A router's address that can be reached from other links; None after an error."""
    try:
        address = parse_address(word)
    except ValueError:
        words.error(word, f"{quote(word)} is no address")
        return None
    return address if _routable(words, word, address) else None


def _routable(words: Words, word: str, address: Address) -> bool:
    family = family_of(address)
    if family.is_unicast(address) and not family.is_link_local(address):
        return True
    words.error(word, f"{quote(word)} cannot be reached from other links")
    return False


def _next(words: Words) -> str | None:
    """The next word in small letters."""
    return words.rest[0].lower() if words.rest else None


def _rp_address(builder: Builder, line: Line) -> None:
    """`rp-address ADDR [GROUP[/LEN] | GROUP masklen LEN] [priority N] [override]`.

    A group without length means /16, none at all every group. `override` puts it before what Bootstrap messages say.
    """
    words = Words(builder, line)
    word = words.take()
    if word is None:
        words.error(None, " needs the address of an RP")
        return
    rp = _router(words, word)
    if rp is None:
        return
    family = family_of(rp)
    prefix: Prefix | None = family.multicast
    if _next(words) not in (None, "priority", "override"):
        prefix = _groups(words, family)
    priority: int | None = 1
    if prefix is not None and words.take_if("priority"):
        priority = words.integer(f"{line.name} priority", 0, 255)
    if prefix is None or priority is None:
        return
    static = StaticRp(rp, prefix, priority, words.take_if("override"))
    if words.ended() and static not in builder.rp_addresses:
        builder.rp_addresses.append(static)


def _groups(words: Words, family: Family) -> Prefix | None:
    """`GROUP/LEN`, pimd's `GROUP masklen LEN`, or `GROUP`: pimd's /16, in IPv6 the group alone. None after an error."""
    word = words.take()
    assert word is not None
    length: int | None = 16 if family.size == 4 else family.bits
    if words.take_if("masklen"):
        length = words.integer(f"{words.line.name} masklen", 0, family.bits)
    elif "/" in word:
        return _multicast(words, word, word, family)
    if length is None:
        return None
    length = max(length, family.multicast.length)
    try:
        network = int.from_bytes(parse_address(word), "big") >> (family.bits - length) << (family.bits - length)
        text = f"{format_address(network.to_bytes(family.size, 'big'))}/{length}"
    except (ValueError, OverflowError):
        words.error(word, f"{quote(word)} is no range of groups")
        return None
    return _multicast(words, word, text, family)


def _multicast(words: Words, word: str, text: str, family: Family) -> Prefix | None:
    """The range that `text` is, `word` being what the file says; None after an error."""
    try:
        prefix = loose(words.builder, words.line, words.line.name, text)
    except ValueError as error:
        words.error(word, range_problem(word, error))
        return None
    if not family.multicast.covers(prefix.network) or prefix.length < family.multicast.length:
        words.error(word, f"{quote(word)} is not inside {family.multicast}, the multicast addresses")
        return None
    return prefix


@define
class _Candidate:
    """What a candidate line said."""

    address: Address | None = None
    interface: str | None = None
    priority: int | None = None
    interval: int | None = None
    hash_mask: int | None = None
    scope: Prefix | None = None


def _candidate(builder: Builder, line: Line, name: str, known: tuple[str, ...]) -> _Candidate | None:
    """`[ADDR|IFNAME] [priority N] [interval|time SEC] ...`; None after an error."""
    words = Words(builder, line)
    found = _Candidate()
    if words.rest and _next(words) not in known and not _place(words, found, known):
        return None
    while (word := words.take()) is not None:
        if word.lower() not in known:
            words.error(word, f"unknown word {quote(word)}{suggest(word, known)}")
            return None
        if not _option(words, found, word.lower()):
            return None
    if found.priority is None:
        found.priority = PRIORITY[name]
        text = f"{line.name} without priority: {found.priority} as in RFC 5059 (pimd takes 0)"
        builder.note(line, line.words[0], text)
    return found


def _place(words: Words, found: _Candidate, known: tuple[str, ...]) -> bool:
    """Whose address the candidate has: an address, or an interface's name; whether it is one."""
    word = words.take()
    assert word is not None
    try:
        found.address = parse_address(word)
    except ValueError:
        if not _is_interface(word):
            words.error(word, f"{quote(word)} is neither an address nor the name of an interface{suggest(word, known)}")
            return False
        found.interface = word
        return True
    return _routable(words, word, found.address)


def _is_interface(word: str) -> bool:
    """Whether an interface can have this name, and it is no address that went wrong."""
    return re.fullmatch(r"[^/:\s]{1,15}", word) is not None and re.fullmatch(r"[0-9]+(\.[0-9]+)*", word) is None


_NUMBERS = {
    "priority": ("priority", 0, 255),
    "interval": ("interval", 1, MAX_INTERVAL),
    "time": ("interval", 1, MAX_INTERVAL),
    "hash-mask": ("hash_mask", 0, 128),
}
"""Words of a candidate line with a number behind them: the field and its range."""


def _option(words: Words, found: _Candidate, option: str) -> bool:
    """One option and its value; False after an error."""
    if option == "scope":
        word = words.take()
        found.scope = scope(words.builder, words.line, words.line.name, word)
        return found.scope is not None
    name, least, most = _NUMBERS[option]
    value = words.integer(f"{words.line.name} {option}", least, most)
    setattr(found, name, value)
    return value is not None


def _bsr_candidate(builder: Builder, line: Line) -> None:
    """`bsr-candidate [ADDR|IFNAME] [priority N] [interval SEC] [hash-mask BITS] [scope GROUP/LEN]`"""
    found = _candidate(builder, line, "bsr-candidate", (*_NUMBERS, "scope"))
    if found is None or found.priority is None:
        return
    if found.interval is not None:
        builder.set(line, "bsr_interval", found.interval)
    candidate = BsrCandidate(found.address, found.interface, found.priority, found.hash_mask, found.scope)
    builder.bsr_candidates.append(candidate)


def _rp_candidate(builder: Builder, line: Line) -> None:
    """`rp-candidate [ADDR|IFNAME] [priority N] [interval|time SEC]`"""
    found = _candidate(builder, line, "rp-candidate", ("priority", "interval", "time"))
    if found is None or found.priority is None:
        return
    interval = 60 if found.interval is None else found.interval
    builder.rp_candidates.append(RpCandidate(found.address, found.interface, found.priority, interval))


def _group_prefix(builder: Builder, line: Line) -> None:
    """`group-prefix GROUP[/LEN] | GROUP masklen LEN [priority N]`: a range that our candidate RPs offer."""
    words = Words(builder, line)
    if not words.rest:
        words.error(None, " needs a range of groups like 239.1.0.0/16")
        return
    family = next(family for family in FAMILIES if (":" in words.rest[0]) == (family.size == 16))
    prefix = _groups(words, family)
    if prefix is None:
        return
    if words.take_if("priority"):
        if words.integer(f"{line.name} priority", 0, 255) is None:
            return
        builder.note(line, "priority", f"{line.name}: priority has no effect, that of rp-candidate holds")
    if not words.ended() or prefix in builder.group_prefixes:
        return
    if len([each for each in builder.group_prefixes if len(each.network) == family.size]) >= MAX_PREFIXES:
        words.error(line.words[1], f"more than {MAX_PREFIXES} ranges")
    else:
        builder.group_prefixes.append(prefix)


def _anycast_rp(builder: Builder, line: Line) -> None:
    """`anycast-rp ADDR member ADDR...`: the RPs that share an address, by their own ones (RFC 4610)."""
    words = Words(builder, line)
    word = words.take()
    if word is None or not words.take_if("member") or not words.rest:
        words.error(None, " needs the shared address, the word member, and the members' addresses")
        return
    shared = _router(words, word)
    if shared is None:
        return
    before = next((each for each in builder.anycast_rps if each.address == shared), None)
    members = [] if before is None else list(before.members)
    while (word := words.take()) is not None:
        if word.lower() == "member":
            continue
        member = _router(words, word)
        if member is None:
            return
        if len(member) != len(shared) or member == shared:
            why = "is the shared address, a member needs its own" if member == shared else "is of another family"
            words.error(word, f"{quote(word)} {why}")
            return
        members.append(member)
    if len(set(members)) > MAX_MEMBERS:
        words.error(None, f" has more than {MAX_MEMBERS} members at {format_address(shared)}")
        return
    if before is not None:
        builder.anycast_rps.remove(before)
    builder.anycast_rps.append(AnycastRp(shared, tuple(dict.fromkeys(members))))


def _bsr_border(builder: Builder, line: Line) -> None:
    """`bsr-border IF...`: no Bootstrap message is sent or taken there (RFC 5059 6.3)."""
    words = Words(builder, line)
    if not words.rest:
        words.error(None, " needs interfaces")
    while (word := words.take()) is not None:
        if _is_interface(word):
            builder.phyints.append(Phyint(name=word, bsr_border=True))
        else:
            words.error(word, f"{quote(word)} is no name that an interface can have")


def _bsr_interval(builder: Builder, line: Line) -> None:
    """`bsr-interval SEC`: BS_Period, also where we are no candidate."""
    words = Words(builder, line)
    value = words.integer(line.name, 1, MAX_INTERVAL)
    if value is not None and words.ended():
        builder.set(line, "bsr_interval", value)


def _switch(name: str) -> Callable[[Builder, Line], None]:
    """A directive that takes `on` or `off`."""

    def directive(builder: Builder, line: Line) -> None:
        words = Words(builder, line)
        word = words.take()
        if word is None or word.lower() not in ("on", "off"):
            words.error(word, " takes on or off")
        elif words.ended():
            builder.set(line, name, word.lower() == "on")

    return directive


def _filter(name: str) -> Callable[[Builder, Line], None]:
    """A directive with addresses of routers and ranges of them; a later line replaces an earlier one."""

    def directive(builder: Builder, line: Line) -> None:
        words = Words(builder, line)
        found = prefixes(builder, line, line.name, words.rest, of_hosts=True)
        if found is not None and words.ended():
            builder.set(line, name, found)

    return directive


RP_DIRECTIVES: dict[str, Callable[[Builder, Line], None]] = {
    "rp-address": _rp_address,
    "rp_address": _rp_address,
    "bsr-candidate": _bsr_candidate,
    "cand_bootstrap_router": _bsr_candidate,
    "rp-candidate": _rp_candidate,
    "cand_rp": _rp_candidate,
    "group-prefix": _group_prefix,
    "group_prefix": _group_prefix,
    "anycast-rp": _anycast_rp,
    "bsr-border": _bsr_border,
    "bsr-interval": _bsr_interval,
    "bsr-filter": _filter("bsr_filter"),
    "rp-candidate-filter": _filter("rp_candidate_filter"),
    "embedded-rp": _switch("embedded_rp"),
    "unicast-bsm": _switch("unicast_bsm"),
}
"""What has an effect."""
