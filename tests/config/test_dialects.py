"""The grammars of smcroute, igmpproxy, mcproxy and pim6sd: meaning, errors, and any text at all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.cli.convert import convert
from pimpy.config import igmpproxy, mcproxy, native, pim6sd, smcroute
from pimpy.config.dialects import DIALECTS, LOADERS, detect
from pimpy.config.model import (
    AddressRange,
    BsrCandidate,
    Config,
    Filter,
    FilterRule,
    Phyint,
    Proxy,
    ProxyInterface,
    RpCandidate,
    RpfRoute,
    StaticJoin,
    StaticRoute,
    StaticRp,
)
from pimpy.config.native import Result
from pimpy.config.printer import print_config
from pimpy.wire.family import Prefix, parse_address, parse_prefix

FOLDER = Path(__file__).parent / "dialects"
EXAMPLES = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.conf"))}
DIALECT = {
    **{name: name.partition(".")[0] for name in EXAMPLES},
    "mcproxy6.conf": "mcproxy",
    "native.conf": "pimpyd",
    "pimd.conf": "pimpyd",
}


def files(more: dict[str, str]):  # type: ignore[no-untyped-def]
    """(read, expand) of files in memory."""

    def read(path: str) -> str:
        if path not in more:
            raise FileNotFoundError(2, "No such file or directory", path)
        return more[path]

    return read, lambda pattern: sorted(path for path in more if path.startswith(pattern.partition("*")[0]))


def one(text: str) -> AddressRange:
    return AddressRange(parse_address(text), parse_address(text))


def prefix(text: str) -> AddressRange:
    return AddressRange.of(parse_prefix(text))


def model(result: Result) -> Config:
    assert result.model is not None, result.diagnostics
    return result.model


def said(result: Result) -> list[tuple[int, str]]:
    return [(remark.line, remark.text) for remark in result.diagnostics]


# smcroute


def test_smcroute_example() -> None:
    read, expand = files({"s": EXAMPLES["smcroute.conf"], "/etc/smcroute.d/x.conf": "mgroup from b group 225.9.9.9\n"})
    result = smcroute.load("s", read, expand)
    config = model(result)
    assert not config.phyints_enabled and config.phyints == (
        Phyint("eth0", ttl_threshold=11),
        Phyint("eth1", mrdisc=True),
    )
    assert config.static.routes == (
        StaticRoute("eth0", parse_prefix("192.168.1.42/32"), parse_prefix("225.1.2.3/32"), ("eth1", "eth2")),
        StaticRoute("eth0", None, parse_prefix("225.3.2.1/32"), ("eth+",)),
        StaticRoute("eth1", parse_prefix("10.0.0.0/8"), parse_prefix("225.0.0.0/24"), ("eth0",)),
        StaticRoute("eth+", None, parse_prefix("ff2e::/64"), ("eth1",)),
    )
    assert config.static.joins == (
        StaticJoin("eth0", None, parse_prefix("225.1.2.3/32")),
        StaticJoin("eth0", parse_prefix("192.168.1.42/32"), parse_prefix("232.43.211.234/32")),
        StaticJoin("eth1", None, parse_prefix("225.1.2.0/29")),
        StaticJoin("eth0", parse_prefix("2001:db8::1/128"), parse_prefix("ff2e::42/128")),
        StaticJoin("b", None, parse_prefix("225.9.9.9/32")),
    )
    assert [(error.line, error.text) for error in result.errors] == [
        (14, "mroute: missing inbound interface, `from IF`")
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("foo", "Unknown command foo, skipping."),
        ("MROUTE from a group 225.1.1.1 to b", "Unknown command MROUTE, skipping."),
        ("m from a", "Unknown command m, skipping."),
        ("phyint", "phyint missing interface pattern"),
        ("phyint t1 ttl-threshold 256", "phyint t1 ttl 256 out of range (1-255)"),
        ("phyint t1 ttl-threshold abc", "phyint t1 ttl abc out of range (1-255)"),
        ("mgroup from t1 group 10.0.0.1", "join: Invalid multicast group: 10.0.0.1"),
        ("mgroup from t1 group 225.1.1.1/33", "join: Invalid group prefix length (0-32): 33"),
        ("mgroup from t1 source abc group 225.1.1.1", "join: Invalid multicast source: abc"),
        ("mroute from t1 group 300.1.2.3 to t2", "mroute: Invalid multicast group: 300.1.2.3"),
        ("mroute from t1 source ::1 group 225.1.1.1 to t2", "mroute: Invalid multicast source: ::1 is no ipv4 address"),
        ("mgroup from t1 group 225.0.0.0/8", "join: 16777216 memberships, at most 65536 a line"),
    ],
)
def test_smcroute_errors_have_its_texts_and_leave_the_rest_standing(line: str, text: str) -> None:
    result = smcroute.parse(f"mgroup from x group 225.1.1.1\n{line}\nmgroup from x group 225.1.1.2\n", "F")
    assert [(e.path, e.line, e.text) for e in result.errors] == [("F", 2, text)]
    assert len(model(result).static.joins) == 2


def test_smcroute_says_what_it_passes_over() -> None:
    assert said(smcroute.parse("mroute from a bogus group 225.1.1.1 to b")) == [
        (1, "'bogus' has no meaning here and is passed over")
    ]


def test_smcroute_length_0_and_source_0() -> None:
    config = model(smcroute.parse("mroute from a source 0.0.0.0 group 225.1.1.1/0 to b"))
    assert config.static.routes == (StaticRoute("a", None, parse_prefix("225.1.1.1/32"), ("b",)),)


def test_smcroute_two_lines_of_one_route_are_one() -> None:
    config = model(smcroute.parse("mroute from a group 225.1.1.1 to b c\nmroute from a group 225.1.1.1 to c d"))
    assert config.static.routes == (StaticRoute("a", None, parse_prefix("225.1.1.1/32"), ("b", "c", "d")),)


def test_smcroute_mrdisc() -> None:
    assert model(smcroute.parse("phyint a mrdisc ttl-threshold 3\nphyint b enable mrdisc")).phyints == (
        Phyint("a", ttl_threshold=3, mrdisc=True),
        Phyint("b", mrdisc=True),
    )


def test_smcroute_includes_that_go_wrong() -> None:
    read, expand = files({"a": "include b\ninclude nowhere\n", "b": "include a\nmgroup from x group 225.1.1.1\n"})
    result = smcroute.load("a", read, expand)
    assert [(e.path, e.line) for e in result.errors] == [("b", 1), ("a", 2)]
    assert len(model(result).static.joins) == 1
    assert smcroute.load("gone", read).errors[0].text == "cannot be read: No such file or directory"


# igmpproxy


def test_igmpproxy_example() -> None:
    config = model(igmpproxy.parse(EXAMPLES["igmpproxy.conf"]))
    allow = Filter((FilterRule(True, None, prefix("239.0.0.0/8")),), False)
    deny = Filter((FilterRule(False, None, prefix("239.255.255.250/32")),), True)
    altnets = (parse_prefix("10.0.0.0/8"), parse_prefix("192.168.0.0/24"))
    assert config.proxies == (
        Proxy(
            "igmpproxy",
            (ProxyInterface("eth0", allow, None, altnets),),
            (ProxyInterface("eth1", None, deny),),
            families=("ipv4",),
            matching="all",
            check_sources=True,
            quick_leave=True,
        ),
    )
    assert config.phyints == (Phyint("eth0", ttl_threshold=1), Phyint("eth1", ttl_threshold=3))
    assert config.families == ("ipv4",) and not config.phyints_enabled


def test_igmpproxy_is_a_stream_of_words_and_defaultdown_takes_the_rest() -> None:
    config = model(igmpproxy.parse("phyint\neth0\nupstream defaultdown phyint eth3 disabled phyint eth4 threshold 5"))
    (proxy,) = config.proxies
    assert proxy.is_upstream("eth0") and proxy.downstream("eth0") is None
    assert proxy.downstream("eth3") is None
    assert proxy.downstream("eth4") is not None and proxy.downstream("wan7") is not None


def test_igmpproxy_unaligned_altnet_is_taken_as_its_network() -> None:
    result = igmpproxy.parse("phyint a upstream altnet 10.1.2.3/8")
    assert model(result).proxies[0].upstreams[0].altnets == (parse_prefix("10.0.0.0/8"),)
    assert said(result) == [(1, "10.1.2.3/8 has host bits set: taken as 10.0.0.0/8")]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "Config file was empty."),
        ("phyint a upstream\nfoo", 2, "Unknown token 'foo' in configfile"),
        ("PHYINT a upstream", 1, "Unknown token 'PHYINT' in configfile; did you mean 'phyint'?"),
        ("phyint a upstream\nthreshold 256", 2, "Threshold must be between 1 and 255."),
        ("phyint a upstream ratelimit -1", 1, "Ratelimit must be 0 or more."),
        ("phyint a upstream altnet abc", 1, "Unable to parse address token 'abc'."),
        ("phyint a downstream", 1, "There must be at least 1 Vif as upstream."),
        ("hashtablesize 5 quickleave", 1, "Config: hashtablesize is specified but quickleave not enabled."),
        ("quickleave hashtablesize 0", 1, "Config: hashtablesize must be between 1 and 536870912 bytes."),
        ("phyint", 1, "phyint needs the name of an interface"),
    ],
)
def test_igmpproxy_errors(text: str, line: int, message: str) -> None:
    result = igmpproxy.parse(text)
    assert result.model is None
    assert [(error.line, error.text) for error in result.errors] == [(line, message)]


# mcproxy


def test_mcproxy_example() -> None:
    config = model(mcproxy.parse(EXAMPLES["mcproxy.conf"]))
    allowed = (
        FilterRule(True, None, prefix("239.0.0.0/8"), None),
        FilterRule(True, "eth1", AddressRange(parse_address("232.1.1.1"), parse_address("232.1.1.9")), one("10.0.0.1")),
        FilterRule(True, None, AddressRange(bytes(4), parse_address("225.0.0.5")), prefix("10.0.0.0/24")),
    )
    nested = (*allowed, FilterRule(True, "vlan-eth0.2", prefix("224.5.0.0/16"), None))
    deny = Filter((FilterRule(False, None, one("239.255.255.250"), None),), True)
    assert config.proxies == (
        Proxy(
            "tv",
            (ProxyInterface("eth0", Filter(allowed, False), deny), ProxyInterface("ppp-0")),
            (ProxyInterface("eth1", None, Filter(nested, False)), ProxyInterface("eth2")),
            families=("ipv4",),
            matching="mutex",
            mutex_time=5000,
            send_first=True,
        ),
        Proxy("other", (), (ProxyInterface("eth3"),), families=("ipv4",), table=5),
    )


def test_mcproxy_older_protocol_is_that_of_the_downstream_interfaces() -> None:
    config = model(mcproxy.parse("PROTOCOL igmpv2; PINSTANCE x: a ==> b c;"))
    assert config.phyints == (Phyint("b", igmp_version=2), Phyint("c", igmp_version=2))
    assert model(mcproxy.parse(EXAMPLES["mcproxy6.conf"])).families == ("ipv6",)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("foo;", 1, "unknown token 'foo': not protocol, table or pinstance"),
        ("protocol IGMPv4;", 1, "protocol 'IGMPv4' is none of IGMPv1 to IGMPv3, MLDv1 and MLDv2"),
        ("table a { };\nprotocol IGMPv2;", 2, "protocol stands once, before all tables and instances"),
        ("table a { (1.2.3.4 | *) }\ntable b {};", 2, "';' is expected here, not 'table'"),
        ("table a { (1.2.3 | *) };", 1, "ip address: '1.2.3' is invalid"),
        ("table a { (ff0e::1 | *) };", 1, "ip address: ff0e::1 has a wrong IP version"),
        ("table a { (225.0.0.0/33 | *) };", 1, "a prefix of ipv4 has at most 32 bits"),
        ("table a { (225.0.0.2-225.0.0.1 | *) };", 1,
         "the last address of a range is before the first: it matches nothing"),
        ("table a { (table y) };", 1, "table 'y' not found"),
        ("table a { (* | *)", 1, "a name is expected here: an interface"),
        ("pinstance a: b ==> c;\npinstance a: d ==> e;", 2, "instance 'a' already exists"),
        ("pinstance a: b ==> ;", 1, "instance 'a' has no downstream interface"),
        ("pinstance a upstream b in whitelist table x;", 1, "instance 'a' not found"),
        ("pinstance a: b ==> c; pinstance a upstream c in whitelist table {};", 1,
         "interface 'c' is not upstream of 'a'"),
        ("pinstance a: b ==> c; pinstance a upstream * out rulematching mutex 5;", 1,
         "unknown rule matching type 'mutex' in this context"),
        ('pinstance a: "b c" ==> d;', 1, "no interface can have the name 'b c'"),
    ],
)  # fmt: skip
def test_mcproxy_errors(text: str, line: int, message: str) -> None:
    result = mcproxy.parse(text)
    assert result.model is None
    assert [(error.line, error.text) for error in result.errors] == [(line, message)]


def test_mcproxy_tables_nest_only_so_deep() -> None:
    text = "table a " + "{ (table " * 50 + "{}" + ") }" * 50 + ";"
    assert "16 deep" in mcproxy.parse(text).errors[0].text


def test_mcproxy_tables_do_not_grow_without_bounds() -> None:
    """Each table holds the one before it twice: 2 to the 30th rules."""
    lines = ["table t0 { (225.1.1.1 | *) };"]
    lines += [f"table t{n} {{ (table t{n - 1}) (table t{n - 1}) }};" for n in range(1, 31)]
    assert "more than 10000 rules" in mcproxy.parse("\n".join(lines)).errors[0].text


# pim6sd


def test_pim6sd_example() -> None:
    result = pim6sd.parse(EXAMPLES["pim6sd.conf"])
    assert model(result) == Config(
        phyints=(
            Phyint("eth0", enabled=True, mld_version=2, dr_priority=7, query_interval=60),
            Phyint("eth1", enabled=False),
            Phyint("eth2", distance=5, nolistener=True),
        ),
        phyints_enabled=False,
        keepalive_timer=200,
        hello_interval=10,
        join_prune_interval=30,
        rp_candidates=(RpCandidate(interface="eth0", priority=3, interval=30),),
        bsr_candidates=(BsrCandidate(priority=9, hash_mask=120),),
        group_prefixes=(Prefix(parse_address("ff0e::"), 16),),
        bsr_interval=50,
        spt_threshold="bytes",
        spt_threshold_number=100_000,
        spt_threshold_interval=20,
        route_distance=120,
        rp_addresses=(StaticRp(parse_address("2001:db8::1"), Prefix(parse_address("ff1e::"), 16), 3),),
        rpf_routes=(RpfRoute(Prefix(parse_address("2001:db8:5::"), 48), "eth0", parse_address("fe80::1")),),
        families=("ipv6",),
    )
    assert (10, "group prefix (ff02::/16) has a narrow scope (ignored)") in said(result)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("bogus;", 1, "syntax error: 'bogus' is unknown"),
        ("phyint;", 1, "syntax error: phyint needs the name of an interface"),
        ("\nhello_period 5", 2, "syntax error: the statement hello_period does not end with `;`"),
        ("hello_period x;", 1, "syntax error: hello_period takes a number, not 'x'"),
        ("phyint a mld_version 3;", 1, "syntax error: mld_version takes 1, 2 or any"),
        ("phyint a bogus 3;", 1, "syntax error: unknown attribute 'bogus'"),
        ("static_rp ff0e::/16;", 1, "syntax error: static_rp takes GROUP/LEN RP [priority N]"),
    ],
)
def test_pim6sd_errors(text: str, line: int, message: str) -> None:
    result = pim6sd.parse(text)
    assert result.model is None
    assert [(error.line, error.text) for error in result.errors] == [(line, message)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("bytes", 100_000, 20)),
        ("switch_data_threshold;", ("bytes", 100_000, 20)),
        ("switch_data_threshold rate 8000 interval 7;", ("bytes", 5600, 7)),
        ("switch_data_threshold interval 40;", ("bytes", 200_000, 40)),
        ("switch_data_threshold rate 0;", ("immediate", 0, 100)),
    ],
)
def test_pim6sd_thresholds_are_bytes_in_an_interval(text: str, expected: tuple[str, int, int]) -> None:
    """A tenth of the rate, times the seconds; by default 50000 bit/s and 20 s, without the statement too."""
    found = model(pim6sd.parse(text))
    assert (found.spt_threshold, found.spt_threshold_number, found.spt_threshold_interval) == expected


@pytest.mark.parametrize(
    ("text", "last_hop", "rp"),
    [
        ("switch_register_threshold;", ("bytes", 100_000, 20), (None, 0, 100)),
        ("switch_register_threshold rate 8000 interval 7;", ("bytes", 100_000, 20), ("bytes", 5600, 7)),
        ("switch_register_threshold rate 0;", ("bytes", 100_000, 20), ("immediate", 0, 100)),
        ("switch_data_threshold rate 0;", ("immediate", 0, 100), ("bytes", 100_000, 20)),
        ("switch_data_threshold rate 0; switch_register_threshold rate 0;", ("immediate", 0, 100), (None, 0, 100)),
    ],
)
def test_pim6sd_the_rp_has_a_threshold_of_its_own(
    text: str, last_hop: tuple[str, int, int], rp: tuple[str | None, int, int]
) -> None:
    found = model(pim6sd.parse(text))
    assert (found.spt_threshold, found.spt_threshold_number, found.spt_threshold_interval) == last_hop
    assert (found.rp_spt_threshold, found.rp_spt_threshold_number, found.rp_spt_threshold_interval) == rp


def test_pim6sd_timers_of_mld_are_those_of_one_interface() -> None:
    text = "phyint a query_interval 30 robustness 3; phyint b query_interval 60 query_rsp_interval 5000 llqi 500.5;"
    result = pim6sd.parse(text)
    assert model(result).phyints == (
        Phyint("a", query_interval=30, robustness=3),
        Phyint("b", query_interval=60, query_response_interval=5000, last_member_interval=500),
    )
    assert (model(result).mld_query_interval, model(result).mld_robustness) == (None, None)
    assert said(result) == []


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("phyint a preference 256;", "invalid preference(256): 1 to 255; it is left out"),
        ("phyint a robustness 8;", "invalid robustness(8): 1 to 7; it is left out"),
        ("hello_period 0;", "invalid hello_period(0): 1 to 18724; it is left out"),
        ("static_rp ff0e::/129 2001:db8::1;", "invalid prefix length: 129 (ignored)"),
        ("static_rp ff0e::/16 abc;", "invalid IPv6 address: 'abc'; the statement is left out"),
    ],
)
def test_pim6sd_leaves_out_what_is_wrong(text: str, note: str) -> None:
    result = pim6sd.parse(text)
    assert model(result).families == ("ipv6",) and said(result)[0] == (1, note)


# All of them.


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_detection(name: str) -> None:
    found = detect(EXAMPLES[name], name)
    assert found.dialect == DIALECT[name] and found.reason


def test_detection_tells_what_it_saw() -> None:
    assert (
        detect("# x\n\nphyint eth0\n  upstream\n").reason
        == "line 3 has a phyint with the role upstream, downstream or disabled"
    )
    assert detect("mroute from a group 225.1.1.1 to b\n", "x.conf").dialect == "pimpyd"
    assert detect("", "/etc/mcproxy.conf").dialect == "mcproxy"
    older = "ssmgroup from a group 232.1.1.1 source 10.1.1.1\n"
    assert detect(older, "x.conf").reason == "all lines are smcroute's, and one has its older word ssmgroup"
    assert detect(f"{older}hello-interval 10\n", "x.conf").dialect == "pimpyd"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_as_native_lines_is_the_same_model(name: str) -> None:
    read, expand = files({name: EXAMPLES[name]})
    found = model(LOADERS[DIALECT[name]](name, read, expand))
    assert model(native.parse(print_config(found))) == found


def check(dialect: str, text: str) -> None:
    """An error with a place and a reason, or a model that prints and reads back."""
    read, expand = files({"f": text})
    result = LOADERS[dialect]("f", read, expand)
    assert result.model is not None or result.errors
    for remark in result.diagnostics:
        assert remark.path and remark.line >= 0 and remark.text.isprintable() and len(remark.text) < 400
    if result.model is not None:
        assert native.parse(print_config(result.model)).model == result.model
    assert detect(text, "f").dialect in DIALECTS


RUBBISH = (
    *("", ";", "{", "}", "(", ")", "==>", "999999999999999999999", "-1", "/", "\0", "\x1b[2J", "é" * 600, '"', "#"),
    *("*", "include f", "include /etc/*", "225.1.1.1/0", "::", "a" * 5000, "phyint", "upstream", "table", "+"),
)


def mutants(text: str, seed: int) -> str:
    """The text with wrong words, cut lines, huge numbers and rubbish in it."""
    chance = random.Random(seed)
    lines = text.split("\n")
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(lines))
        words = lines[place].split(" ")
        spot = chance.randrange(len(words))
        kind = chance.randrange(6)
        if kind == 0:
            words[spot] = chance.choice(RUBBISH)
        elif kind == 1:
            words.insert(spot, chance.choice(RUBBISH))
        elif kind == 2:
            del words[spot]
        elif kind == 3:
            words[spot] = words[spot][: chance.randint(0, len(words[spot]))]
        elif kind == 4:
            words = words[:spot]
        else:
            words[spot] = "".join(chance.sample(words[spot], len(words[spot])))
        lines[place] = " ".join(words)
        if chance.random() < 0.1:
            chance.shuffle(lines)
    return "\n".join(lines)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_mutated_examples_give_an_error_or_a_model(name: str) -> None:
    for seed in range(300):
        check(DIALECT[name], mutants(EXAMPLES[name], seed))


WORDS = sorted({word for text in EXAMPLES.values() for word in text.split()} | set(RUBBISH))


@pytest.mark.parametrize("dialect", sorted(set(DIALECT.values())))
@settings(max_examples=150)
@given(data=st.data())
def test_any_text_gives_an_error_or_a_model(dialect: str, data: st.DataObject) -> None:
    words = st.lists(st.sampled_from(WORDS) | st.text(max_size=12), max_size=30)
    text = " ".join(data.draw(words)).replace(" phyint", "\nphyint").replace(" m", "\nm").replace(" proxy", "\nproxy")
    check(dialect, data.draw(st.sampled_from((text, text.replace(" ", "\n"), text.replace(" ", " ; ")))))


@pytest.mark.parametrize(
    "text",
    [
        "mroute from " + "a" * 600 + " group 225.1.1.1 to b",
        "mroute from a group 225.1.1.1 to " + " ".join(f"e{n}" for n in range(400)),
        "mgroup from a group " + "1" * 2000,
        "include " + "x" * 5000,
        "x" * 100_000,
        "mroute " * 20_000,
    ],
    ids=["name", "outgoing", "address", "include", "word", "words"],
)
def test_lines_that_overflowed_buffers_elsewhere(text: str) -> None:
    """smcroute's #222 and #225: one line that its fixed buffers could not hold."""
    check("smcroute", text)
    check("pimpyd", text)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_convert(name: str) -> None:
    """The result parsed gives the same model, and each remark on the file is a comment in it."""
    read, expand = files({name: EXAMPLES[name]})
    text, result = convert(name, read, expand)
    assert native.parse(text).model == model(result)
    assert text.startswith(f"# converted from {name} ({DIALECT[name]})\n")
    for remark in result.diagnostics:
        assert f"# line {remark.line}: {remark.text}\n" in text


def test_convert_of_what_cannot_be_read() -> None:
    read, expand = files({"f": "phyint a upstream\nbogus"})
    text, result = convert("f", read, expand)
    assert text == "" and result.errors
