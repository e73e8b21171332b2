"""igmpproxy.conf's grammar: a stream of words, lines do not matter.

A `phyint` clause ends at the first word that it does not know, which is read again as one of the file. The interfaces
are those of one proxy for IPv4; what a member asks for goes to every upstream whose lists permit it.
"""

from __future__ import annotations

from pimpy.config.builder import Expand, Read
from pimpy.config.diagnostics import quote, shown, suggest
from pimpy.config.model import AddressRange, Config, Filter, FilterRule, Phyint, Proxy, ProxyInterface
from pimpy.config.native import Result
from pimpy.config.route_words import is_name
from pimpy.config.token_files import load_text, read_tokens
from pimpy.config.tokens import END, Token, Tokens
from pimpy.wire.family import IPV4, Prefix, parse_address
from pimpy.wire.record import define, field

_GLOBALS = ("phyint", "quickleave", "hashtablesize", "defaultdown", "rescanvif", "chroot", "user")
_CLAUSE = ("upstream", "downstream", "disabled", "ratelimit", "threshold", "altnet", "whitelist", "blacklist")
MAX_HASH = 536_870_912
NAME = "igmpproxy"


@define
class _Clause:
    """A phyint clause while it is read."""

    token: Token
    name: str
    role: str | None = None
    threshold: int | None = None
    altnets: list[Prefix] = field(factory=list)
    rules: list[FilterRule] = field(factory=list)
    whitelist: bool = False

    def filter(self) -> Filter | None:
        """The last matching entry decides; without a match, a whitelist denies and blacklists alone permit."""
        return Filter(tuple(self.rules), not self.whitelist) if self.rules else None


@define
class _Reader:
    tokens: Tokens
    clauses: list[_Clause] = field(factory=list)
    quick_leave: bool = False
    default_down: bool = False
    user: str | None = None

    def run(self) -> None:
        tokens = self.tokens
        if tokens.done:
            raise tokens.fail(END, "Config file was empty.")
        while not tokens.done:
            token = tokens.take()
            if token.text == "phyint":
                self.phyint()
            elif token.text == "quickleave":
                self.quick_leave = True
            elif token.text == "defaultdown":
                self.default_down = True
            elif token.text == "rescanvif":
                tokens.note(token, "rescanvif: interfaces are always watched, this word has no effect")
            elif token.text == "hashtablesize":
                self.hash_size(token)
            elif token.text in ("chroot", "user"):
                self.privilege(token)
            else:
                text = f"Unknown token {quote(token.text)} in configfile{suggest(token.text, _GLOBALS)}"
                raise tokens.fail(token, text)

    def hash_size(self, token: Token) -> None:
        value = self.tokens.take()
        if not self.quick_leave:
            raise self.tokens.fail(token, "Config: hashtablesize is specified but quickleave not enabled.")
        size = value.text
        if not (size.isascii() and size.isdigit() and len(size) < 10 and 1 <= int(size) <= MAX_HASH):
            raise self.tokens.fail(value, f"Config: hashtablesize must be between 1 and {MAX_HASH} bytes.")

    def privilege(self, token: Token) -> None:
        value = self.tokens.take()
        if value is END:
            raise self.tokens.fail(token, f"{token.text} needs a value")
        if token.text == "user":
            self.user = value.text
        self.tokens.note(token, f"{token.text}: use the unit's sandbox instead, this word has no effect")

    def phyint(self) -> None:
        token = self.tokens.take()
        if token is END:
            raise self.tokens.fail(END, "phyint needs the name of an interface")
        if not is_name(token.text) or token.text.endswith("+"):
            raise self.tokens.fail(token, f"phyint {quote(token.text)}: no interface can have this name")
        clause = _Clause(token, token.text)
        self.clauses.append(clause)
        while not self.tokens.done and self.tokens.next.text in _CLAUSE:
            self.word(clause, self.tokens.take())

    def word(self, clause: _Clause, token: Token) -> None:
        if token.text in ("upstream", "downstream", "disabled"):
            clause.role = token.text
        elif token.text == "ratelimit":
            value = self.tokens.take()
            if value.text.startswith("-"):
                raise self.tokens.fail(value, "Ratelimit must be 0 or more.")
            if value.text != "0":
                self.tokens.note(value, "ratelimit: Linux has none, this word has no effect")
        elif token.text == "threshold":
            value = self.tokens.take()
            text = value.text
            if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 255):
                raise self.tokens.fail(value, "Threshold must be between 1 and 255.")
            clause.threshold = int(text)
        else:
            prefix = self.prefix()
            if token.text == "altnet":
                clause.altnets.append(prefix)
            else:
                clause.whitelist |= token.text == "whitelist"
                clause.rules.append(FilterRule(token.text == "whitelist", None, AddressRange.of(prefix)))

    def prefix(self) -> Prefix:
        """`A[/n]`; host bits do not count, which igmpproxy compares and so never matches."""
        token = self.tokens.take()
        text, slash, length = token.text.partition("/")
        try:
            address = parse_address(text)
            bits = int(length) if length.isascii() and length.isdigit() and len(length) <= 2 else (33 if slash else 32)
            if len(address) != 4 or bits > 32:
                raise ValueError
        except ValueError:
            raise self.tokens.fail(token, f"Unable to parse address token {quote(token.text)}.") from None
        mask = (1 << 32) - (1 << 32 - bits)
        network = (int.from_bytes(address, "big") & mask).to_bytes(4, "big")
        if network != address:
            self.tokens.note(token, f"{shown(token.text)} has host bits set: taken as {Prefix(network, bits)}")
        return Prefix(network, bits)

    def model(self) -> Config | None:
        clauses = {clause.name: clause for clause in self.clauses}
        upstreams = [c for c in clauses.values() if c.role == "upstream"]
        if not upstreams:
            self.tokens.error(END, "There must be at least 1 Vif as upstream.")
            return None
        down = "downstream" if self.default_down else "disabled"
        downstreams = [
            ProxyInterface(c.name, None, c.filter()) for c in clauses.values() if (c.role or down) == "downstream"
        ]
        if self.default_down:
            downstreams.append(ProxyInterface("+"))
        proxy = Proxy(
            NAME,
            tuple(ProxyInterface(c.name, c.filter(), None, tuple(c.altnets)) for c in upstreams),
            tuple(downstreams),
            tuple(c.name for c in clauses.values() if c.role == "disabled") if self.default_down else (),
            families=(IPV4.name,),
            matching="all",
            check_sources=True,
            quick_leave=self.quick_leave,
        )
        thresholds = tuple(
            Phyint(c.name, ttl_threshold=c.threshold) for c in clauses.values() if c.threshold is not None
        )
        return Config(phyints=thresholds, phyints_enabled=False, proxies=(proxy,), families=(IPV4.name,))


def _tokens(path: str, text: str) -> Tokens:
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        found += [Token(word, number) for word in line.partition("#")[0].split()]
    return Tokens(path, found)


def parse(text: str, path: str = "igmpproxy.conf") -> Result:
    """The configuration that `text` is."""
    return read_tokens(_Reader(_tokens(path, text)))


def load(path: str, read: Read, expand: Expand | None = None) -> Result:
    """The configuration in the file `path`."""
    return load_text(path, read, parse)
