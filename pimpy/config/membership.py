"""What the file says of IGMP and MLD: allowed groups, the querier's address, static members, SSM mapping."""

from __future__ import annotations

from pimpy.config.builder import Builder, Line
from pimpy.config.diagnostics import quote, range_problem
from pimpy.config.model import SsmMapping, StaticMember
from pimpy.config.ranges import is_address
from pimpy.wire.family import Address, Prefix, family_of, format_address, parse_address, parse_prefix

NAME_BYTES = 15
"""Bytes of an interface's name on Linux."""

_STATIC_GROUP = "static-group is written: static-group IF [source ADDR] group GROUP"


def allowed_groups(builder: Builder, line: Line, words: list[str]) -> tuple[str, tuple[Prefix, ...]] | None:
    """`groups PREFIX...`: those that hosts may ask for; takes all words that are ranges."""
    found: list[Prefix] = []
    while words and ("/" in words[0] or is_address(words[0])):
        word = words.pop(0)
        prefix = _range_of_groups(builder, line, word)
        if prefix is None:
            return None
        found.append(prefix)
    if not found:
        builder.error(line, words[0] if words else None, "phyint: groups needs ranges of groups like 239.0.0.0/8")
        return None
    return "groups", tuple(found)


def querier_address(builder: Builder, line: Line, words: list[str]) -> tuple[str, tuple[Address, ...]] | None:
    """`querier-address ADDR`: what queries carry; hosts believe a link-local one, or one of the link's subnets."""
    word = words.pop(0) if words else None
    if word is None or not is_address(word):
        builder.error(line, word, "phyint: querier-address needs an address")
        return None
    address = parse_address(word)
    family = family_of(address)
    if not family.is_unicast(address):
        why = "a query from it would never win, and hosts would not answer it"
    elif family.size == 16 and not family.is_link_local(address):
        why = "hosts drop MLD queries that are not from a link-local address (RFC 9777 5.1.14)"
    else:
        return "querier_addresses", (address,)
    builder.error(line, word, f"phyint: querier-address {word}: {why}")
    return None


def _range_of_groups(builder: Builder, line: Line, word: str) -> Prefix | None:
    """A range of groups, or one group; None after an error."""
    try:
        address = word if "/" in word else f"{word}/{family_of(parse_address(word)).bits}"
        prefix = parse_prefix(address)
    except ValueError as error:
        builder.error(line, word, f"{line.name}: {range_problem(word, error)}")
        return None
    multicast = family_of(prefix.network).multicast
    if multicast.covers(prefix.network) and prefix.length >= multicast.length:
        return prefix
    builder.error(line, word, f"{line.name}: {quote(word)} is not inside {multicast}, the multicast addresses")
    return None


def static_group(builder: Builder, line: Line) -> None:
    """`static-group IF [source S] group G`: wanted on IF as if a host were there."""
    words = list(line.words[1:])
    interface = words.pop(0) if words else None
    said: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word.lower() not in ("source", "group") or word.lower() in said or not words:
            builder.error(line, word, _STATIC_GROUP)
            return
        said[word.lower()] = words.pop(0)
    if interface is None or "group" not in said:
        builder.error(line, None, _STATIC_GROUP)
        return
    group = group_of(builder, line, said["group"])
    if group is None:
        return
    source = None
    if said.get("source") not in (None, "0.0.0.0", "::"):
        source = source_of(builder, line, said["source"], len(group))
        if source is None:
            return
    interface = interface_of(builder, line, interface)
    if interface is None:
        return
    member = StaticMember(interface, group, source)
    if member not in builder.static_members:
        builder.static_members.append(member)


def ssm_map(builder: Builder, line: Line) -> None:
    """`ssm-map GROUP[/LEN] SOURCE...`: what hosts that cannot name sources mean (RFC 4604)."""
    if len(line.words) < 3:
        builder.error(line, None, "ssm-map is written: ssm-map GROUP[/LEN] SOURCE...")
        return
    prefix = _range_of_groups(builder, line, line.words[1])
    if prefix is None:
        return
    for word in line.words[2:]:
        source = source_of(builder, line, word, len(prefix.network))
        if source is None:
            return
        mapping = SsmMapping(prefix, source)
        if mapping not in builder.ssm_map:
            builder.ssm_map.append(mapping)


def interface_of(builder: Builder, line: Line, word: str) -> str | None:
    """The name of an interface, or an address of it in its usual form; None after an error."""
    if is_address(word):
        return format_address(parse_address(word))
    if len(word.encode(errors="replace")) > NAME_BYTES:
        builder.error(line, word, f"{line.name}: the name of an interface has at most {NAME_BYTES} bytes")
        return None
    return word


def group_of(builder: Builder, line: Line, word: str) -> Address | None:
    """A group that may be routed; None after an error."""
    try:
        group = parse_address(word)
        if family_of(group).is_routable_group(group):
            return group
    except ValueError:
        pass
    builder.error(line, word, f"{line.name}: {quote(word)} is no group that crosses a router")
    return None


def source_of(builder: Builder, line: Line, word: str, size: int) -> Address | None:
    """A source of the family whose addresses have `size` bytes; None after an error."""
    try:
        source = parse_address(word)
        if len(source) == size and family_of(source).is_unicast(source):
            return source
    except ValueError:
        pass
    builder.error(line, word, f"{line.name}: {quote(word)} is no source of this group")
    return None
