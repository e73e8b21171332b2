"""The commands of the control socket: words to an answer. The JSON protocol and pimctl share the tables here.

Imports nothing heavy, so that pimctl may read the tables: no event loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pimpy.daemon.backend import Backend
    from pimpy.daemon.rows import AnyRow

SHOW: dict[str, tuple[str, ...]] = {
    "neighbors": ("neighbors",),
    "mroute": ("mroute",),
    "interfaces": ("interfaces",),
    "igmp": ("igmp_interfaces", "igmp_groups"),
    "igmp groups": ("igmp_groups",),
    "igmp groups detail": ("igmp_hosts",),
    "igmp interfaces": ("igmp_interfaces",),
    "igmp interfaces detail": ("igmp_interfaces",),
    "igmp sources": ("igmp_sources",),
    "igmp detail": ("igmp_interfaces", "igmp_hosts"),
    "mld": ("mld_interfaces", "mld_groups"),
    "mld groups": ("mld_groups",),
    "mld groups detail": ("mld_hosts",),
    "mld interfaces": ("mld_interfaces",),
    "mld interfaces detail": ("mld_interfaces",),
    "mld sources": ("mld_sources",),
    "mld detail": ("mld_interfaces", "mld_hosts"),
    "static": ("static",),
    "proxy": ("proxy",),
    "rp": ("rp",),
    "rp-set": ("rp_set",),
    "bsr": ("bsr",),
    "rpf": (),
    "watches": ("watches",),
    "status": ("status",),
    "counters": ("counters",),
}
"""What `show` knows: the words behind it, and the kinds of rows that they bring."""

ALIASES = {"neighbor": "neighbors", "mrt": "mroute", "interface": "interfaces"}
"""pimd's words for the same."""
SHORT = dict.fromkeys(("st", "sta", "stat"), "status")
"""Beginnings of several words of which one is meant, as with pimd, which knows no other."""

COMMANDS = ("audit", "clear", "debug", "explain", "kill", "log", "monitor", "reload", "restart", "show", "version")

MATCHED = {
    "neighbors": ("interface", "address"),
    "mroute": ("group", "source_address"),
    "interfaces": ("interface", "address"),
    "igmp": ("interface", "group_address", "source_address", "reporter_address"),
    "mld": ("interface", "group_address", "source_address", "reporter_address"),
    "proxy": ("proxy", "interface", "role", "group_address"),
    "static": ("kind", "interface", "group_prefix", "source_prefix"),
    "counters": ("interface", "protocol", "direction", "type", "reason"),
    "rp": ("rp_address",),
    "rp-set": ("zone", "group_prefix", "rp_address", "info_source"),
    "bsr": ("zone", "row", "rp_address", "bsr_address"),
    "watches": ("watch", "group", "source_address", "interface", "address", "state"),
    "status": (),
}
"""The fields in which the further words of `show COMMAND WORD...` are looked for; each word must stand in one.

A prefix stands for the addresses in it; an interface leaves the whole entries of `show mroute` that it is in.
"""

BEFORE_ROWS, BETWEEN_ROWS, BEHIND_ROWS = b'{"rows":[', ",\t", b"]}\n"
"""What stands about the rows of an answer. In JSON no text holds a tab, so pimctl can give each row a line unread."""

REFUSED = 1
USAGE = 2


class RefusedError(Exception):
    """A command that cannot be done. `code` is what pimctl exits with: 1 refused, 2 wrong words."""

    def __init__(self, text: str, code: int = REFUSED) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def complete(word: str, known: Sequence[str], aliases: Mapping[str, str], what: str) -> str:
    """The known word that `word` is, or is the beginning of; RefusedError if there is none, or more than one."""
    low = word.lower()
    if low in known:
        return low
    if low in aliases:
        return aliases[low]
    found = {name for name in known if name.startswith(low)}
    found |= {name for alias, name in aliases.items() if alias.startswith(low)}
    if len(found) == 1:
        return found.pop()
    if found:
        raise RefusedError(f"{what} {word!r} is ambiguous: {', '.join(sorted(found))}", USAGE)
    raise RefusedError(f"no such {what}: {word!r}; known are {', '.join(sorted(known))}", USAGE)


def split_show(words: Sequence[str]) -> tuple[str, list[str]]:
    """The key in SHOW that the words behind `show` mean, and the words that filter its rows."""
    top = [name for name in SHOW if " " not in name]
    if not words:
        raise RefusedError(f"show what? {', '.join(top)}", USAGE)
    name = complete(words[0], top, {**ALIASES, **SHORT}, "show command")
    rest = list(words[1:])
    while rest:
        below = sorted({key[len(name) + 1 :].split()[0] for key in SHOW if key.startswith(f"{name} ")})
        if not any(word.startswith(rest[0].lower()) for word in below):
            break
        name = f"{name} {complete(rest.pop(0), below, {}, 'show command')}"
    return name, rest


def is_monitor(command: str) -> bool:
    """Whether `command` asks for the stream of events, which has no end."""
    words = command.split()
    return len(words) == 1 and "monitor".startswith(words[0].lower())


def answer(backend: Backend, command: str) -> tuple[list[AnyRow] | None, str]:
    """Do `command`: its rows, not sorted yet, or None and a text."""
    words = command.split()
    if not words:
        raise RefusedError(f"an empty command; known are {', '.join(COMMANDS)}", USAGE)
    name = complete(words[0], COMMANDS, {}, "command")
    if name == "show":
        return show(backend, words[1:]), ""
    if name == "explain":
        return list(backend.explain(*_stream(words[1:]))), ""
    if name == "clear":
        return None, backend.command(name, _cleared(words[1:]))
    most = 1 if name in ("debug", "log", "restart") else 0
    if len(words) - 1 > most:
        raise RefusedError(f"{words[1 + most]!r} is too much: {name} takes {'one word' if most else 'no words'}", USAGE)
    if name == "version":
        status = backend.status()
        return None, f"{status.ident} version {status.version}"
    return None, backend.command(name, words[1:])


def _stream(words: Sequence[str]) -> tuple[str | None, str, int | None]:
    """(source, group, TTL) of `explain [SOURCE] GROUP [ttl N]`, the addresses in any order."""
    said, ttl = list(words), None
    if len(said) > 2 and said[-2].lower() == "ttl" and said[-1].isascii() and said[-1].isdigit():
        ttl = int(said[-1])
        del said[-2:]
    try:
        addresses = [ip_address(word) for word in said if word != "*"]
    except ValueError as error:
        raise RefusedError(f"explain what? {error}", USAGE) from None
    groups = [one for one in addresses if one.is_multicast]
    sources = [one for one in addresses if not one.is_multicast]
    if len(groups) != 1 or len(sources) > 1 or any(one.version != groups[0].version for one in sources):
        raise RefusedError("explain what? explain SOURCE GROUP, of one family; or explain GROUP", USAGE)
    return (str(sources[0]) if sources else None), str(groups[0]), ttl


def _cleared(words: Sequence[str]) -> list[str]:
    """The words of `clear igmp|mld GROUP`, whole and checked."""
    if len(words) != 2:
        raise RefusedError("clear what? clear igmp GROUP, clear mld GROUP", USAGE)
    protocol = complete(words[0], ("igmp", "mld"), {}, "clear command")
    try:
        group = ip_address(words[1])
    except ValueError:
        raise RefusedError(f"{words[1]!r} is no address of a group", USAGE) from None
    if not group.is_multicast or (group.version == 4) != (protocol == "igmp"):
        raise RefusedError(f"{words[1]!r} is no group of {protocol.upper()}", USAGE)
    return [protocol, str(group)]


def show(backend: Backend, words: Sequence[str]) -> list[AnyRow]:
    """The rows of `show WORDS`."""
    name, filters = split_show(words)
    asked = _looked_up(name, filters)
    if asked is not None:
        return list(backend.look_up(name, asked))
    found: list[AnyRow] = []
    for kind in SHOW[name]:
        if kind == "status":
            found.append(backend.status())
        elif kind == "counters":
            found.extend(_counters(backend))
        else:
            found.extend(backend.rows(kind))
    for keep in [_test(backend, word, name.partition(" ")[0], found) for word in filters]:
        found = keep(found)
    return found


def _looked_up(name: str, words: Sequence[str]) -> bytes | None:
    """The address that `show rpf ADDRESS` and `show rp GROUP` are about; None if the command is another one."""
    if name not in ("rp", "rpf"):
        return None
    if name == "rpf" and len(words) != 1:
        raise RefusedError("show rpf takes one address: that of a source, an RP or a BSR", USAGE)
    try:
        address = ip_address(words[0]) if len(words) == 1 else None
    except ValueError:
        if name == "rp":
            return None
        raise RefusedError(f"{words[0]!r} is no address", USAGE) from None
    if address is None or (name == "rp" and not address.is_multicast):
        return None
    if name == "rpf" and address.is_multicast:
        raise RefusedError(f"{words[0]!r} is a group; its RP is shown by: show rp {words[0]}", USAGE)
    return address.packed


_NAMED = {
    "interfaces": "address",
    "neighbors": "address",
    "mroute": "group or source",
    "igmp": "group, source or host",
    "mld": "group, source or host",
}
"""Commands whose rows have no names but those of interfaces, and what else a word may be: another is a mistake."""

Keep = Callable[[list[Any]], list[Any]]
"""What one filter word leaves of the rows."""


def _test(backend: Backend, word: str, name: str, rows: Sequence[Any]) -> Keep:
    """What one filter word asks for: a family, an address, a prefix, or a name."""
    fields = MATCHED[name]
    if not fields:
        raise RefusedError(f"{word!r} is too much: show {name} takes no words", USAGE)
    if word.lower() in ("ipv4", "ipv6"):
        return _equal(("address_family",), word.lower())
    with contextlib.suppress(ValueError):
        return _equal(fields, str(ip_address(word)))
    with contextlib.suppress(ValueError):
        return _within(fields, word)
    if name in _NAMED and word not in {getattr(row, "interface", None) for row in (*backend.rows("interfaces"), *rows)}:
        raise RefusedError(f"{word!r} is no {_NAMED[name]}, and no interface has that name", USAGE)
    return (lambda rows: _by_interface(rows, word)) if name == "mroute" else _equal(fields, word)


def _equal(fields: tuple[str, ...], value: str) -> Keep:
    return lambda rows: [row for row in rows if any(getattr(row, field, None) == value for field in fields)]


def _within(fields: tuple[str, ...], prefix: str) -> Keep:
    """Rows with an address in `prefix`; ValueError if it is none."""
    network = ip_network(prefix)

    def lies_in(text: object) -> bool:
        try:
            return ip_address(str(text)) in network
        except ValueError:
            return False

    return lambda rows: [row for row in rows if any(lies_in(getattr(row, field, None)) for field in fields)]


def _by_interface(rows: list[Any], name: str) -> list[Any]:
    """The entries that have to do with an interface, whole."""

    def entry(row: Any) -> tuple[str, str, int]:
        return row.group, row.source_address, getattr(row, "table", 0)

    found = {
        entry(row)
        for row in rows
        if name in (getattr(row, "incoming_interface", None), getattr(row, "outgoing_interface", None))
    }
    return [row for row in rows if entry(row) in found]


def _counters(backend: Backend) -> list[Any]:
    from pimpy.daemon.rows import CounterRow

    return [
        CounterRow(family, interface, protocol, direction, kind, reason or None, count)
        for family, counters in backend.counters().items()
        for (interface, protocol, direction, kind, reason), count in counters.items()
    ]
