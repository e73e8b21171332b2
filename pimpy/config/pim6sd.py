"""pim6sd.conf's grammar: statements that end with `;`.

A statement whose values are wrong is left out with a note, as pim6sd does it; a syntax error and a `phyint` without a
name end it. Numbers may have fractions. A threshold is a number of bytes in an interval: a tenth of its rate in bits a
second, times the seconds.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from pimpy.config.builder import Expand, Read
from pimpy.config.diagnostics import quote, shown, suggest
from pimpy.config.model import BsrCandidate, Config, Phyint, RpCandidate, RpfRoute, StaticRp
from pimpy.config.native import Result
from pimpy.config.route_words import is_name
from pimpy.config.token_files import load_text
from pimpy.config.tokens import END, StopReading, Token, Tokens
from pimpy.wire.family import IPV6, Prefix, parse_address
from pimpy.wire.record import define, evolve, field

_TOKEN = re.compile(r";|[^\s;]+")
_NUMBER = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")

_INTERVALS = {
    "hello_period": ("hello_interval", 1, 18724),
    "join_prune_period": ("join_prune_interval", 1, 18724),
}
_WITHOUT_EFFECT = {
    "log": "use `pimctl log` and -d",
    "reverselookup": "names are never looked up",
    "granularity": "timers are exact here",
    "register_suppression_timeout": "the RFC's 60 s hold",
    "probe_time": "the RFC's 5 s hold",
    "assert_timeout": "the RFC's 180 s hold",
    "source_outgoing_interface": "run pimpyd in the VRF instead",
}
"""Statements that are read and have no effect, and why."""
_NUMBERS = {
    "default_source_preference": ("route_distance", 1, 255),
    "default_source_metric": ("route_metric", 1, 2**32 - 1),
    "data_timeout": ("keepalive_timer", 60, 65535),
}
_MANY = ("phyint", "static_rp", "static", "group_prefix")
"""Statements that may stand several times."""
_ONCE = ("cand_rp", "cand_bootstrap_router", "switch_data_threshold", "switch_register_threshold")
_KNOWN = (*_INTERVALS, *_WITHOUT_EFFECT, *_NUMBERS, *_MANY, *_ONCE, "default_phyint_status")
_ATTRIBUTES = {
    "preference": (1, 255),
    "metric": (1, 1024),
    "priority": (0, 2**32 - 1),
    "robustness": (1, 7),
    "query_interval": (1, 31744),
    "query_rsp_interval": (1, 3174400),
    "llqi": (1, 3174400),
}
_FIELDS = {
    "preference": "distance",
    "priority": "dr_priority",
    "query_rsp_interval": "query_response_interval",
    "llqi": "last_member_interval",
}
"""The model's fields that have another name than the attributes."""


@define
class _Reader:
    tokens: Tokens
    phyints: dict[str, Phyint] = field(factory=dict)
    values: dict[str, Any] = field(factory=dict)
    rps: list[StaticRp] = field(factory=list)
    routes: dict[Prefix, RpfRoute] = field(factory=dict)
    offered: list[Prefix] = field(factory=list)
    enabled: bool = True
    told: set[str] = field(factory=set)

    def run(self) -> None:
        tokens = self.tokens
        while not tokens.done:
            token = tokens.take()
            if token.text == ";":
                continue
            if token.text not in _KNOWN:
                raise tokens.fail(token, f"syntax error: {quote(token.text)} is unknown{suggest(token.text, _KNOWN)}")
            self.statement(token, self.words(token))

    def words(self, statement: Token) -> list[Token]:
        """Up to the `;`."""
        found: list[Token] = []
        while (token := self.tokens.take()) is not END:
            if token.text == ";":
                return found
            found.append(token)
        raise self.tokens.fail(statement, f"syntax error: the statement {statement.text} does not end with `;`")

    def statement(self, token: Token, words: list[Token]) -> None:
        name = token.text
        if name in _MANY:
            getattr(self, name)(token, words)
        elif name in self.told and name != "log":
            self.tokens.note(token, f"{name} was said above: this one is left out")
        elif name in _ONCE:
            getattr(self, name)(token, words)
        elif name in _INTERVALS:
            self.interval(token, words)
        elif name in _NUMBERS:
            key, least, most = _NUMBERS[name]
            value = self.number(words[0], name, least, most) if words else None
            if value is not None:
                self.values[key] = value
        elif name == "default_phyint_status":
            if len(words) != 1 or words[0].text not in ("enable", "disable"):
                raise self.tokens.fail(token, "syntax error: default_phyint_status enable or disable?")
            self.enabled = words[0].text == "enable"
        else:
            self.tokens.note(token, f"{name} has no effect: {_WITHOUT_EFFECT[name]}")
        self.told.add(name)

    def number(self, word: Token, what: str, low: float, high: float) -> int | None:
        """A number, its fraction cut off; None after a note, if it is out of range."""
        if not _NUMBER.fullmatch(word.text):
            raise self.tokens.fail(word, f"syntax error: {what} takes a number, not {quote(word.text)}")
        value = int(float(word.text))
        if not low <= value <= high:
            self.tokens.note(word, f"invalid {what}({shown(word.text)}): {low} to {high}; it is left out")
            return None
        return value

    def interval(self, token: Token, words: list[Token]) -> None:
        """`hello_period S [coefficient]`: hold times are 3.5 times as long, whatever the coefficient."""
        if not 1 <= len(words) <= 2:
            raise self.tokens.fail(token, f"syntax error: {token.text} takes seconds and a coefficient")
        key, low, high = _INTERVALS[token.text]
        value = self.number(words[0], token.text, low, high)
        if value is not None:
            self.values[key] = value
        if len(words) == 2 and self.number(words[1], "coefficient", 0, 10**9) is not None and words[1].text != "3.5":
            self.tokens.note(words[1], "hold times are 3.5 intervals: the coefficient has no effect")

    def phyint(self, token: Token, words: list[Token]) -> None:
        if not words or not is_name(words[0].text) or "#" in words[0].text:
            raise self.tokens.fail(token, "syntax error: phyint needs the name of an interface")
        name = words.pop(0).text
        phyint = self.phyints.get(name, Phyint(name))
        while words:
            word = words.pop(0)
            if word.text in ("enable", "disable"):
                phyint = evolve(phyint, enabled=word.text == "enable")
            elif word.text == "nolistener":
                phyint = evolve(phyint, nolistener=True)
            elif word.text == "mld_version":
                value = words.pop(0) if words else END
                if value.text not in ("1", "2", "any"):
                    raise self.tokens.fail(value, "syntax error: mld_version takes 1, 2 or any")
                phyint = evolve(phyint, mld_version=1 if value.text == "1" else 2)
            elif word.text in _ATTRIBUTES:
                phyint = self.attribute(phyint, word, words)
            else:
                raise self.tokens.fail(word, f"syntax error: unknown attribute {quote(word.text)}")
        self.phyints[name] = phyint

    def attribute(self, phyint: Phyint, word: Token, words: list[Token]) -> Phyint:
        if not words:
            raise self.tokens.fail(word, f"syntax error: {word.text} needs a number")
        value = self.number(words.pop(0), word.text, *_ATTRIBUTES[word.text])
        change: dict[str, Any] = {} if value is None else {_FIELDS.get(word.text, word.text): value}
        return evolve(phyint, **change)

    def options(self, token: Token, words: list[Token], known: dict[str, int]) -> tuple[str | None, dict[str, int]]:
        """`[IF] [WORD N]...`: the interface, and the numbers that are in range."""
        interface = None
        said: dict[str, int] = {}
        rest = list(words)
        if rest and rest[0].text not in known:
            if not is_name(rest[0].text):
                raise self.tokens.fail(rest[0], f"syntax error: no interface can have the name {quote(rest[0].text)}")
            interface = rest.pop(0).text
        while rest:
            word = rest.pop(0)
            if word.text not in known or not rest:
                raise self.tokens.fail(
                    word, f"syntax error: {token.text}: {quote(word.text)} is unknown or ends too early"
                )
            value = self.number(rest.pop(0), word.text, 0, known[word.text])
            if value is not None:
                said[word.text] = value
        return interface, said

    def cand_rp(self, token: Token, words: list[Token]) -> None:
        """`cand_rp [IF] [time S] [priority N]`"""
        interface, said = self.options(token, words, {"time": 26214, "priority": 255})
        interval = max(1, said.get("time", 60))
        candidate = RpCandidate(interface=interface, priority=said.get("priority", 0), interval=interval)
        self.values["rp_candidates"] = (candidate,)

    def cand_bootstrap_router(self, token: Token, words: list[Token]) -> None:
        """`cand_bootstrap_router [IF] [time S] [priority N] [masklen N]`"""
        interface, said = self.options(token, words, {"time": 26214, "priority": 255, "masklen": 128})
        candidate = BsrCandidate(interface=interface, priority=said.get("priority", 0), hash_mask=said.get("masklen"))
        self.values["bsr_candidates"] = (candidate,)
        self.values["bsr_interval"] = max(1, said.get("time", 60))

    def group_prefix(self, token: Token, words: list[Token]) -> None:
        """`group_prefix P/LEN`: what our candidate RP offers."""
        if len(words) != 1:
            raise self.tokens.fail(token, "syntax error: group_prefix takes GROUP/LEN")
        prefix = self.prefix(words[0])
        if prefix is not None and IPV6.is_multicast(prefix.network) and prefix.length >= 8:
            self.offered.append(prefix)
        elif prefix is not None:
            self.tokens.note(words[0], f"group prefix ({prefix}) is not inside ff00::/8 (ignored)")

    def switch_data_threshold(self, token: Token, words: list[Token]) -> None:
        """`switch_data_threshold [rate BPS] [interval S]`"""
        _, said = self.options(token, words, {"rate": 10**9, "interval": 86400})
        self.threshold("spt_threshold", **said)

    def switch_register_threshold(self, token: Token, words: list[Token]) -> None:
        """`switch_register_threshold [rate BPS] [interval S]`: the same at the RP."""
        _, said = self.options(token, words, {"rate": 10**9, "interval": 86400})
        self.threshold("rp_spt_threshold", **said)

    def threshold(self, name: str, rate: int = 50000, interval: int = 20) -> None:
        """From so many bytes in an interval on; pim6sd looks every 5 s at the most often."""
        count = min(rate * interval // 10, 2**32 - 1)
        self.values[name] = "bytes" if count else "immediate"
        self.values[f"{name}_number"] = count
        self.values[f"{name}_interval"] = max(5, interval) if count else 100

    def thresholds(self) -> None:
        """Each has its default if it is not said; that of the RP goes unsaid where both are one."""
        said = []
        for name in ("spt_threshold", "rp_spt_threshold"):
            if name not in self.values:
                self.threshold(name)
            said.append([self.values[name + what] for what in ("", "_number", "_interval")])
        if said[0] == said[1]:
            for what in ("", "_number", "_interval"):
                del self.values["rp_spt_threshold" + what]

    def static_rp(self, token: Token, words: list[Token]) -> None:
        """`static_rp GRP/LEN RP [priority N]`"""
        if len(words) not in (2, 4) or (len(words) == 4 and words[2].text != "priority"):
            raise self.tokens.fail(token, "syntax error: static_rp takes GROUP/LEN RP [priority N]")
        prefix = self.prefix(words[0])
        try:
            rp = parse_address(words[1].text)
        except ValueError:
            self.tokens.note(words[1], f"invalid IPv6 address: {quote(words[1].text)}; the statement is left out")
            return
        priority = self.number(words[3], "priority", 0, 255) if len(words) == 4 else 0
        if prefix is None or priority is None:
            return
        if not IPV6.is_multicast(prefix.network) or prefix.length < 8:
            self.tokens.note(words[0], f"group prefix ({prefix}) is not inside ff00::/8 (ignored)")
        elif prefix.length >= 16 and prefix.network[1] & 15 <= 2:
            self.tokens.note(words[0], f"group prefix ({prefix}) has a narrow scope (ignored)")
        elif len(rp) != 16 or not IPV6.is_unicast(rp) or IPV6.is_link_local(rp):
            self.tokens.note(
                words[1], f"invalid IPv6 address of an RP: {shown(words[1].text)}; the statement is left out"
            )
        elif (static := StaticRp(rp, prefix, priority)) not in self.rps:
            self.rps.append(static)

    def static(self, token: Token, words: list[Token]) -> None:
        """`static PREFIX/LEN GATEWAY%IF`"""
        if len(words) != 2:
            raise self.tokens.fail(token, "syntax error: static takes PREFIX/LEN GATEWAY%IF")
        gateway, _, interface = words[1].text.partition("%")
        try:
            if not IPV6.is_link_local(parse_address(gateway)) or not is_name(interface) or interface.endswith("+"):
                raise ValueError
        except ValueError:
            text = f"gateway address ({quote(words[1].text)}) must be a link-local address; the statement is left out"
            self.tokens.note(words[1], text)
            return
        prefix = self.prefix(words[0])
        if prefix is not None and IPV6.is_multicast(prefix.network):
            self.tokens.note(words[0], f"static: {prefix} is a range of groups, not of sources; it is left out")
        elif prefix is not None:
            self.routes[prefix] = RpfRoute(prefix, interface, parse_address(gateway))

    def prefix(self, word: Token) -> Prefix | None:
        """A range of IPv6 addresses; host bits do not count. None after a note."""
        text, slash, length = word.text.partition("/")
        try:
            address = parse_address(text)
            if len(address) != 16:
                raise ValueError
        except ValueError:
            self.tokens.note(word, f"invalid IPv6 address: {quote(text)}; the statement is left out")
            return None
        if not (slash and length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= 128):
            self.tokens.note(word, f"invalid prefix length: {shown(length)} (ignored)")
            return None
        mask = (1 << 128) - (1 << 128 - int(length))
        return Prefix((int.from_bytes(address, "big") & mask).to_bytes(16, "big"), int(length))

    def model(self) -> Config:
        self.thresholds()
        return Config(
            phyints=tuple(self.phyints.values()),
            phyints_enabled=self.enabled,
            rp_addresses=tuple(self.rps),
            rpf_routes=tuple(self.routes.values()),
            group_prefixes=tuple(dict.fromkeys(self.offered)),
            families=(IPV6.name,),
            **self.values,
        )


def parse(text: str, path: str = "pim6sd.conf") -> Result:
    """The configuration that `text` is."""
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        found += [Token(match, number) for match in _TOKEN.findall(line.partition("#")[0])]
    reader = _Reader(Tokens(path, found))
    with suppress(StopReading):
        reader.run()
    return Result(None if reader.tokens.has_errors else reader.model(), tuple(reader.tokens.diagnostics))


def load(path: str, read: Read, expand: Expand | None = None) -> Result:
    """The configuration in the file `path`."""
    return load_text(path, read, parse)
