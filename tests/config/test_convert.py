"""`pimctl config convert` of any right file: the result, parsed, is the same model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.cli.convert import convert
from pimpy.config import native
from pimpy.config.dialects import LOADERS

NAMES = st.sampled_from(["eth0", "eth1", "br-lan.7", "ppp0", "vlan2", "upstream", "lo1"])
FOUR = st.integers(1, 2**24).map(lambda number: f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
SIX = st.integers(1, 2**16 - 1).map(lambda number: f"2001:db8:{number:x}::{number * 7 & 0xFFFF:x}")
GROUP4 = st.integers(0, 2**24).map(lambda number: f"2{number % 7 + 25}.{number >> 16 & 255}.{number >> 8 & 255}.1")
GROUP6 = st.integers(1, 2**16 - 1).map(lambda number: f"ff{number % 4}e:{number:x}::{number & 255:x}")


def lines(*kinds: st.SearchStrategy[str], most: int = 8) -> st.SearchStrategy[str]:
    return st.lists(st.one_of(*kinds), max_size=most).map("\n".join)


def words(template: str, *parts: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda found: template.format(*found))


def some(*words: str) -> st.SearchStrategy[str]:
    """Some of these words, in any order."""
    return st.lists(st.sampled_from(words), unique=True).map(" ".join)


def of(prefix: str, value: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    """The word and a value, or nothing."""
    return st.just("") | value.map(lambda found: f"{prefix} {found}")


def within(address: st.SearchStrategy[str], low: int, high: int) -> st.SearchStrategy[str]:
    return words("{}/{}", address, st.integers(low, high)) | address


def listed(*, least: int = 0) -> st.SearchStrategy[str]:
    return st.lists(NAMES, min_size=least, max_size=3, unique=True).map(" ".join)


SOURCE4 = of("source", within(FOUR, 8, 32))
SMCROUTE = lines(
    words("phyint {} {} {}", NAMES, some("enable", "mrdisc"), of("ttl-threshold", st.integers(1, 255))),
    words("mgroup from {} {} group {}", NAMES, of("source", FOUR), within(GROUP4, 20, 32)),
    words("mgroup from {} {} group {}", NAMES, of("source", SIX), within(GROUP6, 120, 128)),
    words(
        "mroute from {} {} group {} to {}", NAMES, of("source", within(FOUR, 8, 32)), within(GROUP4, 4, 32), listed()
    ),
    words("mroute from {}+ {} group {} to {}", NAMES, of("source", SIX), within(GROUP6, 16, 128), listed()),
)

CLAUSE = words(
    "phyint {} {} {} {} {} {}",
    NAMES,
    st.sampled_from(["upstream", "downstream", "disabled", ""]),
    of("threshold", st.integers(1, 255)),
    of("altnet", within(FOUR, 8, 32)),
    of("whitelist", within(GROUP4, 4, 32)),
    of("blacklist", within(GROUP4, 4, 32)),
)
IGMPPROXY = words(
    "{}\nphyint wan0 upstream ratelimit 0\n{}", some("quickleave", "defaultdown", "rescanvif"), lines(CLAUSE)
)


@st.composite
def mcproxies(draw: st.DrawFn) -> str:
    protocol, group, source = draw(
        st.sampled_from([("IGMPv2", GROUP4, FOUR), ("IGMPv3", GROUP4, FOUR), ("MLDv2", GROUP6, SIX)])
    )
    end = st.just("*") | within(group, 8, 32)
    rule = words("{}({} | {});", st.just("") | NAMES.map(_quoted), end, st.just("*") | within(source, 8, 32))
    said = [f"protocol {protocol};"]
    tables = draw(st.integers(0, 2))
    for number in range(tables):
        said.append(f"table t{number} {{ {draw(lines(rule, most=3))} }};")
    for number in range(draw(st.integers(0, 3))):
        table = draw(st.just("") | st.integers(0, 300).map(lambda found: f"({found})"))
        ups, downs = draw(listed()), draw(listed(least=1))
        said.append(f"pinstance p{number} {table}: {_quoted(ups)} ==> {_quoted(downs)};")
        for side, names in (("upstream", ups.split()), ("downstream", downs.split())):
            for name in names if tables else ():
                way, kind = draw(st.sampled_from(["in", "out"])), draw(st.sampled_from(["whitelist", "blacklist"]))
                said.append(
                    f'pinstance p{number} {side} "{name}" {way} {kind} table t{draw(st.integers(0, tables - 1))};'
                )
        matching = draw(st.sampled_from(["in rulematching first", "in rulematching mutex 700", "out rulematching all"]))
        said.append(f"pinstance p{number} upstream * {matching};")
    return "\n".join(said)


def _quoted(names: str) -> str:
    return " ".join(f'"{name}"' for name in names.split())


MLD_VERSION = of("mld_version", st.sampled_from([1, 2, "any"]))
RP_PRIORITY = of("priority", st.integers(0, 255))
PIM6SD = lines(
    words("phyint {} {} {};", NAMES, some("enable", "nolistener"), of("priority", st.integers(0, 2**32 - 1))),
    words(
        "phyint {} {} {};",
        NAMES,
        of("preference", st.integers(1, 255)),
        of("mld_version", st.sampled_from([1, 2, "any"])),
    ),
    words("hello_period {};", st.integers(1, 18724)),
    words("join_prune_period {} 3.5;", st.integers(1, 18724)),
    words("static_rp {} {} {};", within(GROUP6, 16, 128), SIX, RP_PRIORITY),
    words("static {} fe80::{:x}%{};", within(SIX, 8, 128), st.integers(1, 65535), NAMES),
    words(
        "cand_rp {} {} {};", st.just("") | NAMES, of("time", st.integers(1, 60)), of("priority", st.integers(0, 255))
    ),
    words("cand_bootstrap_router {} {};", st.just("") | NAMES, of("masklen", st.integers(0, 128))),
    words("group_prefix {};", within(GROUP6, 8, 128)),
    words("switch_data_threshold {} {};", of("rate", st.integers(0, 10**9)), of("interval", st.integers(0, 86400))),
    words("default_phyint_status {};", st.sampled_from(["enable", "disable"])),
    words("default_source_{} {};", st.sampled_from(["preference", "metric"]), st.integers(1, 255)),
)

THRESHOLD = st.sampled_from(["packets", "rate"])
RANGE4 = st.sampled_from(["224.0.0.0/4", "239.0.0.0/8", "239.1.0.0/16", "225.1.2.3", "232.1.0.0/24"])
PIMD = lines(
    words("phyint {} {} {}", NAMES, some("igmpv2", "passive", "enable"), of("dr-priority", st.integers(0, 2**32 - 1))),
    words("rp-address {} {}", FOUR, RANGE4),
    words("bsr-candidate {} priority {}", NAMES, st.integers(0, 255)),
    words("rp-candidate {} time {} priority {}", NAMES, st.integers(10, 16383), st.integers(0, 255)),
    words("group-prefix {}", RANGE4),
    words(
        "spt-threshold {} {} interval {}",
        st.sampled_from(["packets", "rate"]),
        st.integers(0, 9999),
        st.integers(5, 999),
    ),
    words("hello-interval {}", st.integers(1, 18724)),
)

FILES = {"smcroute": SMCROUTE, "igmpproxy": IGMPPROXY, "mcproxy": mcproxies(), "pim6sd": PIM6SD, "pimd": PIMD}


def files(text: str):  # type: ignore[no-untyped-def]
    def expand(pattern: str) -> Sequence[str]:
        return []

    return lambda path: text, expand


@pytest.mark.parametrize("dialect", sorted(FILES))
@settings(max_examples=80)
@given(data=st.data())
def test_the_result_is_the_same_model(dialect: str, data: st.DataObject) -> None:
    text = data.draw(FILES[dialect])
    converted, result = convert("f", *files(text), dialect)
    assert result.model is not None and not result.errors, (text, result.diagnostics)
    assert result.model == LOADERS[dialect]("f", *files(text)).model
    again = native.parse(converted)
    assert again.model == result.model, (text, converted, again.diagnostics)
    told = [line for line in converted.splitlines() if line.startswith("# line ")]
    assert told == [f"# line {remark.line}: {remark.text}" for remark in result.diagnostics]
