"""mcproxy.conf's grammar: statements that end with `;`, tables of rules, instances and what binds both.

    protocol IGMPv3;
    table wanted { (239.0.0.0/8 | *); eth1(232.1.1.1 - 232.1.1.9 | 10.0.0.1); };
    pinstance tv: eth0 ==> eth1 eth2;
    pinstance tv upstream eth0 in whitelist table wanted;
    pinstance tv upstream * in rulematching mutex 5000;

Keywords may be in any case. A table is permitted where any of its rules matches.
"""

from __future__ import annotations

import re
from typing import Any

from pimpy.config.builder import Expand, Read
from pimpy.config.diagnostics import quote, shown
from pimpy.config.model import AddressRange, Config, Filter, FilterRule, Phyint, Proxy, ProxyInterface
from pimpy.config.native import Result
from pimpy.config.route_words import is_name
from pimpy.config.token_files import load_text, read_tokens
from pimpy.config.tokens import END, Token, Tokens
from pimpy.wire.family import IPV4, IPV6, Family, Prefix, parse_address
from pimpy.wire.record import define, evolve, field

_ADDRESS6 = r"(?=[0-9A-Fa-f]*:[0-9A-Fa-f.]*:)[0-9A-Fa-f:.]+"
_TOKEN = re.compile(rf'"(?P<quoted>[^"\n]*)"|(?P<word>{_ADDRESS6}|[A-Za-z0-9_.]+)|(?P<arrow>==>)|(?P<sign>[^\s])')
_PROTOCOLS = {
    "igmpv1": (IPV4, 1),
    "igmpv2": (IPV4, 2),
    "igmpv3": (IPV4, 3),
    "mldv1": (IPV6, 1),
    "mldv2": (IPV6, 2),
}
MAX_RULES = 10_000
MAX_NESTING = 16
MAX_MUTEX = 3_600_000

Rules = tuple[FilterRule, ...]


@define
class _Reader:
    tokens: Tokens
    family: Family = IPV4
    version: int = 3
    said_protocol: bool = False
    disabled: bool = False
    tables: dict[str, Rules] = field(factory=dict)
    instances: dict[str, Proxy] = field(factory=dict)

    def run(self) -> None:
        tokens = self.tokens
        while not tokens.done:
            token = tokens.take()
            word = token.text.lower() if not token.quoted else ""
            if word == "protocol":
                self.protocol(token)
            elif word == "disable":
                self.disabled = True
            elif word == "table":
                self.table()
            elif word == "pinstance":
                self.pinstance()
            elif token.text != ";":
                raise tokens.fail(token, f"unknown token {quote(token.text)}: not protocol, table or pinstance")
            if word and not tokens.done:
                self.expect(";")

    def expect(self, text: str) -> Token:
        token = self.tokens.take()
        if token.text != text or token.quoted:
            found = "the end of the file" if token is END else quote(token.text)
            raise self.tokens.fail(token, f"{quote(text)} is expected here, not {found}")
        return token

    def name(self, what: str) -> Token:
        token = self.tokens.take()
        if token is END or not (token.quoted or re.fullmatch(r"[A-Za-z0-9_.]+", token.text)):
            raise self.tokens.fail(token, f"a name is expected here: {what}")
        return token

    def interface(self) -> str:
        token = self.name("an interface")
        if not is_name(token.text) or token.text.endswith("+") or re.search(r"[\s#]", token.text):
            raise self.tokens.fail(token, f"no interface can have the name {quote(token.text)}")
        return token.text

    def number(self, what: str, most: int) -> int:
        token = self.tokens.take()
        if not (token.text.isascii() and token.text.isdigit() and len(token.text) <= 10 and int(token.text) <= most):
            raise self.tokens.fail(token, f"{what}: a number from 0 to {most} is expected")
        return int(token.text)

    def protocol(self, token: Token) -> None:
        word = self.tokens.take()
        if word.text.lower() not in _PROTOCOLS:
            raise self.tokens.fail(word, f"protocol {quote(word.text)} is none of IGMPv1 to IGMPv3, MLDv1 and MLDv2")
        if self.said_protocol or self.tables or self.instances:
            raise self.tokens.fail(token, "protocol stands once, before all tables and instances")
        self.family, self.version = _PROTOCOLS[word.text.lower()]
        self.said_protocol = True

    # Tables.

    def table(self) -> None:
        token = self.name("of the table")
        if token.text in self.tables:
            raise self.tokens.fail(token, f"table {quote(token.text)} already exists")
        self.tables[token.text] = self.rules(0)

    def rules(self, depth: int) -> Rules:
        """`{ rule... }`"""
        start = self.expect("{")
        if depth > MAX_NESTING:
            raise self.tokens.fail(start, f"tables stand in one another more than {MAX_NESTING} deep")
        found: list[FilterRule] = []
        while self.tokens.accept("}") is None:
            if self.tokens.accept(";") is None:
                found += self.rule(depth)
            if len(found) > MAX_RULES:
                raise self.tokens.fail(self.tokens.next, f"a table has more than {MAX_RULES} rules")
        if not found:
            self.tokens.note(start, "an empty table matches nothing")
        return tuple(found)

    def rule(self, depth: int) -> Rules:
        """`[IF] ( ADDR | ADDR )` or `[IF] ( table ... )`"""
        interface = None if self.tokens.next.text == "(" else self.interface()
        self.expect("(")
        if self.tokens.accept("table") is not None:
            inner = self.table_reference(depth)
            self.expect(")")
            return tuple(evolve(rule, interface=interface or rule.interface) for rule in inner)
        group = self.addresses()
        self.expect("|")
        source = self.addresses()
        self.expect(")")
        return (FilterRule(True, interface, group, source),)

    def table_reference(self, depth: int) -> Rules:
        """NAME, or the table itself."""
        if self.tokens.next.text == "{" and not self.tokens.next.quoted:
            return self.rules(depth + 1)
        token = self.name("of a table")
        if token.text not in self.tables:
            raise self.tokens.fail(token, f"table {quote(token.text)} not found")
        return self.tables[token.text]

    def addresses(self) -> AddressRange | None:
        """`*`, A, A/PREFIX, A-B, A-* or *-B; None for all of them."""
        first = None if self.tokens.accept("*") else self.address()
        if first is not None and self.tokens.accept("/"):
            length = self.number("a prefix length", 128)
            if length > self.family.bits:
                token = self.tokens.tokens[self.tokens.place - 1]
                raise self.tokens.fail(token, f"a prefix of {self.family.name} has at most {self.family.bits} bits")
            mask = (1 << self.family.bits) - (1 << self.family.bits - length)
            network = (int.from_bytes(first, "big") & mask).to_bytes(self.family.size, "big")
            return AddressRange.of(Prefix(network, length))
        if self.tokens.accept("-") is None:
            return None if first is None else AddressRange(first, first)
        dash = self.tokens.tokens[self.tokens.place - 1]
        last = None if self.tokens.accept("*") else self.address()
        if first is None and last is None:
            return None
        low = first if first is not None else self.family.any
        high = last if last is not None else b"\xff" * self.family.size
        if low > high:
            raise self.tokens.fail(dash, "the last address of a range is before the first: it matches nothing")
        return AddressRange(low, high)

    def address(self) -> bytes:
        token = self.tokens.take()
        try:
            found = parse_address(token.text)
        except ValueError:
            raise self.tokens.fail(token, f"ip address: {quote(token.text)} is invalid") from None
        if len(found) != self.family.size:
            raise self.tokens.fail(token, f"ip address: {shown(token.text)} has a wrong IP version")
        return found

    # Instances.

    def pinstance(self) -> None:
        name = self.name("of the instance")
        if re.search(r"[\s#]", name.text) or not name.text:
            raise self.tokens.fail(name, f"an instance cannot have the name {quote(name.text)}")
        if self.tokens.next.text in ("(", ":"):
            self.instance(name)
        elif self.tokens.next.text.lower() in ("upstream", "downstream"):
            self.binding(name)
        else:
            raise self.tokens.fail(self.tokens.take(), "`:`, `(`, upstream or downstream is expected here")

    def instance(self, name: Token) -> None:
        """`pinstance NAME ["(" TABLE ")"] ":" {UP} "==>" DOWN {DOWN}`"""
        if name.text in self.instances:
            raise self.tokens.fail(name, f"instance {quote(name.text)} already exists")
        table = None
        if self.tokens.accept("("):
            table = self.number("a table", 999_999_999)
            self.expect(")")
        self.expect(":")
        ups, downs = [], []
        while self.tokens.accept("==>") is None:
            ups.append(self.interface())
        while not self.tokens.done and self.tokens.next.text != ";":
            downs.append(self.interface())
        if not downs:
            raise self.tokens.fail(name, f"instance {quote(name.text)} has no downstream interface")
        for both in set(ups) & set(downs):
            self.tokens.note(name, f"{both} is both upstream and downstream: its streams go both ways")
        self.instances[name.text] = Proxy(
            name.text,
            tuple(map(ProxyInterface, dict.fromkeys(ups))),
            tuple(map(ProxyInterface, dict.fromkeys(downs))),
            families=(self.family.name,),
            table=table,
        )

    def binding(self, name: Token) -> None:
        """`pinstance NAME upstream|downstream IF|* in|out whitelist|blacklist|rulematching ...`"""
        if name.text not in self.instances:
            raise self.tokens.fail(name, f"instance {quote(name.text)} not found")
        side = self.tokens.take().text.lower()
        star = self.tokens.accept("*")
        where = star if star is not None else self.tokens.next
        interface = "*" if star is not None else self.interface()
        way = self.tokens.take()
        if way.text.lower() not in ("in", "out"):
            raise self.tokens.fail(way, f"in or out is expected here, not {quote(way.text)}")
        verb = self.tokens.take()
        kind = verb.text.lower()
        if kind == "rulematching":
            self.matching(name, side, way, where)
        elif kind in ("whitelist", "blacklist"):
            self.expect_table()
            found = self.table_reference(0)
            rules = tuple(evolve(rule, permit=kind == "whitelist") for rule in found)
            self.bind(name, side, interface, way, where, Filter(rules, kind == "blacklist"))
        else:
            raise self.tokens.fail(verb, f"{quote(verb.text)} is none of whitelist, blacklist and rulematching")

    def expect_table(self) -> None:
        if self.tokens.accept("table") is None:
            raise self.tokens.fail(self.tokens.take(), "the word table is expected here")

    def matching(self, name: Token, side: str, way: Token, where: Token) -> None:
        proxy, word = self.instances[name.text], self.tokens.take()
        kind = word.text.lower()
        if side != "upstream" or where.text != "*":
            raise self.tokens.fail(where, "rulematching belongs to `upstream *`")
        change: dict[str, Any]
        if way.text.lower() == "out" and kind in ("first", "all"):
            change = {"send_first": kind == "first"}
        elif way.text.lower() == "in" and kind in ("first", "mutex", "all"):
            change = {"matching": kind, "mutex_time": self.number("mutex", MAX_MUTEX) if kind == "mutex" else 0}
        else:
            raise self.tokens.fail(word, f"unknown rule matching type {quote(word.text)} in this context")
        self.instances[name.text] = evolve(proxy, **change)

    def bind(self, name: Token, side: str, interface: str, way: Token, where: Token, found: Filter) -> None:
        proxy = self.instances[name.text]
        if interface == "*":
            raise self.tokens.fail(where, "`*` goes with rulematching only: name an interface")
        key = "inward" if way.text.lower() == "in" else "outward"
        said: tuple[ProxyInterface, ...] = getattr(proxy, f"{side}s")
        if all(known.name != interface for known in said):
            raise self.tokens.fail(where, f"interface {quote(interface)} is not {side} of {quote(name.text)}")
        if any(known.name == interface and getattr(known, key) is not None for known in said):
            self.tokens.note(where, f"this replaces the {way.text} filter of {interface} above")
        filters: dict[str, Any] = {key: found}
        change: dict[str, Any] = {
            f"{side}s": tuple(evolve(known, **filters) if known.name == interface else known for known in said)
        }
        self.instances[name.text] = evolve(proxy, **change)

    def model(self) -> Config:
        proxies = tuple(self.instances.values())
        if self.disabled:
            proxies = ()
            self.tokens.note(END, "mcproxy is disabled")
        newest = 3 if self.family is IPV4 else 2
        names = dict.fromkeys(down.name for proxy in proxies for down in proxy.downstreams)
        field_name = "igmp_version" if self.family is IPV4 else "mld_version"
        version: dict[str, Any] = {field_name: self.version}
        phyints = tuple(Phyint(name, **version) for name in names) if self.version != newest else ()
        return Config(phyints=phyints, phyints_enabled=False, proxies=proxies, families=(self.family.name,))


def _tokens(path: str, text: str) -> Tokens:
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        for match in _TOKEN.finditer(_without_comment(line)):
            quoted = match.group("quoted")
            found.append(Token(match.group() if quoted is None else quoted, number, quoted is not None))
    return Tokens(path, found)


def _without_comment(line: str) -> str:
    """A `#` outside of quotes begins a comment."""
    inside = False
    for place, letter in enumerate(line):
        inside ^= letter == '"'
        if letter == "#" and not inside:
            return line[:place]
    return line


def parse(text: str, path: str = "mcproxy.conf") -> Result:
    """The configuration that `text` is."""
    return read_tokens(_Reader(_tokens(path, text)))


def load(path: str, read: Read, expand: Expand | None = None) -> Result:
    """The configuration in the file `path`."""
    return load_text(path, read, parse)
