"""Lists of address ranges, as filters have them."""

from __future__ import annotations

import contextlib

from pimpy.config.builder import Builder, Line
from pimpy.config.diagnostics import quote
from pimpy.wire.family import Prefix, family_of, parse_address, parse_prefix, subnet_of


def prefixes(
    builder: Builder, line: Line, name: str, words: list[str], *, of_hosts: bool = False
) -> tuple[Prefix, ...] | None:
    """Take all words off the front that are addresses or ranges, of both families; `of_hosts`: none of groups.

    None after an error, which the want of any is.
    """
    found: list[Prefix] = []
    while words and ("/" in words[0] or is_address(words[0])):
        word = words.pop(0)
        prefix = _prefix(word)
        if prefix is None:
            builder.error(line, word, f"{name}: {quote(word)} is no range; write 10.0.0.0/8 or 2001:db8::/32")
            return None
        if of_hosts and family_of(prefix.network).multicast.covers(prefix.network):
            builder.error(line, word, f"{name}: {quote(word)} is a range of groups; it takes those of hosts or routers")
            return None
        found.append(prefix)
    if not found:
        builder.error(line, words[0] if words else None, f"{name} needs ranges like 10.0.0.0/8 or 2001:db8::/32")
        return None
    return tuple(dict.fromkeys(found))


def loose(builder: Builder, line: Line, name: str, word: str) -> Prefix:
    """A range whose host bits do not count, which pimd notes too; ValueError if it is none."""
    text, _, length = word.partition("/")
    address = parse_address(text)
    if not (length.isascii() and length.isdigit() and int(length) <= 8 * len(address)):
        return parse_prefix(word)  # which says what is wrong with it
    found = subnet_of(address, int(length))
    if found.network != address:
        builder.note(line, word, f"{name}: {word} has host bits set, and is taken as {found}")
    return found


def scope(builder: Builder, line: Line, name: str, word: str | None) -> Prefix | None:
    """The admin-scope range that `word` is: any range of IPv4 groups, in IPv6 one of 16 bits at least, which show the
    scope. None after an error, which the want of it is."""
    prefix = None
    with contextlib.suppress(ValueError):
        prefix = loose(builder, line, name, word or "")
    if prefix is not None:
        family = family_of(prefix.network)
        shortest = family.multicast.length if family.size == 4 else 16
        if family.multicast.covers(prefix.network) and prefix.length >= shortest:
            return prefix
    what = "scope needs a range" if word is None else f"{quote(word)} is no scope"
    builder.error(line, word, f"{name}: {what} of groups like 239.192.0.0/14 or ff05::/16")
    return None


def is_address(word: str) -> bool:
    """Whether a word is an address, of whichever family."""
    try:
        parse_address(word)
    except ValueError:
        return False
    return True


def _prefix(word: str) -> Prefix | None:
    """A range, or the one address that stands for itself."""
    try:
        return parse_prefix(word) if "/" in word else family_of(parse_address(word)).host(parse_address(word))
    except ValueError:
        return None
