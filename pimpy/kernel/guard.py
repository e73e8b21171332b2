"""An nftables table that keeps unwelcome Registers from the kernel, which takes apart any that is addressed to it.

User space cannot refuse a packet out of a Register for a stream that is registered already: the kernel forwards it
before anybody is asked. The table drops Registers with data, in the input hook, that `register-accept` and
`register-accept-from` do not let in. Null-Registers pass, as they carry no data, and are judged by the core.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

from pimpy.wire.family import FAMILIES, IPV4, Address, Family, Prefix, format_address, parse_prefix

Prefixes = tuple[Prefix, ...]
NFT = "nft"
TIMEOUT = 3.0
"""Seconds that nft may take."""
PIM_HEADER = 8
"""Bytes of a Register before the packet in it (RFC 7761 4.9.3)."""
SOURCE_AT = {4: 12, 16: 8}
"""Where the source stands in an IP header, in bytes."""


def table_name(table: int) -> str:
    """The nftables table of the daemon that serves a multicast routing table of the kernel."""
    return f"pimpyd_{table}" if table else "pimpyd"


def ruleset(sources: Prefixes, routers: Prefixes, table: int) -> str:
    """Commands for `nft -f` that make the table anew, whether it was there or not.

    `sources` may be registered, by `routers`; a family of which one of them names nothing is not judged by it.
    """
    name = table_name(table)
    lines = [f"table inet {name} {{", "}", f"delete table inet {name}", f"table inet {name} {{"]
    judged = [family for family in FAMILIES if _of(family, sources) or _of(family, routers)]
    for family in judged:
        lines += _set(family, _of(family, routers))
    lines += [
        "\tchain input {",
        "\t\ttype filter hook input priority filter; policy accept;",
        "\t\tmeta l4proto 103 @th,0,8 0x21 jump registers",
        "\t}",
        "\tchain registers {",
        "\t\t@th,32,8 & 0x40 == 0x40 accept",
        *(f"\t\tmeta nfproto {family.name} goto registers_{family.name}" for family in judged),
        "\t}",
    ]
    for family in judged:
        rules = _rules(family, _of(family, sources), _of(family, routers))
        lines += [f"\tchain registers_{family.name} {{", *rules, "\t}"]
    return "\n".join([*lines, "}", ""])


def _of(family: Family, prefixes: Prefixes) -> list[Prefix]:
    """Those of a family; none if one of them is everything."""
    own = [prefix for prefix in prefixes if len(prefix.network) == family.size]
    return own if all(prefix.length for prefix in own) else []


def _set(family: Family, routers: list[Prefix]) -> Iterator[str]:
    """The routers that may register."""
    if routers:
        kind = "ipv4_addr" if family is IPV4 else "ipv6_addr"
        yield f"\tset routers_{family.name} {{"
        yield f"\t\ttype {kind}; flags interval; auto-merge"
        yield f"\t\telements = {{ {', '.join(map(str, routers))} }}"
        yield "\t}"


def _rules(family: Family, sources: list[Prefix], routers: list[Prefix]) -> Iterator[str]:
    if routers:
        yield f"\t\t{'ip' if family is IPV4 else 'ip6'} saddr != @routers_{family.name} counter drop"
    if sources:
        at = 8 * (PIM_HEADER + SOURCE_AT[family.size])
        for prefix in sources:
            mask = (1 << family.bits) - (1 << (family.bits - prefix.length))
            yield (
                f"\t\t@th,{at},{family.bits} & {_number(mask.to_bytes(family.size, 'big'))}"
                f' == {_number(prefix.network)} accept comment "{format_address(prefix.network)}/{prefix.length}"'
            )
        yield "\t\tcounter drop"


def _number(address: Address) -> str:
    return f"0x{address.hex()}"


def read(text: str) -> tuple[Prefixes, Prefixes]:
    """(sources, routers) of `SOURCES|ROUTERS`, ranges with blanks between; ValueError for anything else."""
    sources, bar, routers = text.partition("|")
    if not bar:
        raise ValueError("not of the form SOURCES|ROUTERS")
    return tuple(map(parse_prefix, sources.split())), tuple(map(parse_prefix, routers.split()))


def keep(sources: Prefixes, routers: Prefixes, table: int) -> None:
    """Have the table, made of these ranges; OSError with cause and remedy if that cannot be."""
    _nft(ruleset(sources, routers, table))


def remove(table: int) -> None:
    """Take the table back; OSError if that cannot be."""
    name = table_name(table)
    _nft(f"table inet {name} {{\n}}\ndelete table inet {name}\n")


def _nft(commands: str) -> None:
    try:
        done = subprocess.run(
            [NFT, "-f", "-"],
            input=commands,
            text=True,
            capture_output=True,
            timeout=TIMEOUT,
            user=os.geteuid(),  # nft will not run where the real user is another one, as the keeper's is
            group=os.getegid(),
        )
    except FileNotFoundError:
        raise OSError("there is no nft; install nftables, or put `pimpyd --print-guard` into your firewall") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"nft did not end within {TIMEOUT:.0f} s") from None
    if done.returncode:
        raise OSError(f"nft: {done.stderr.strip().partition(chr(10))[0] or done.returncode}")
