"""The native grammar: every directive, every error text, and any text at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.config.diagnostics import Diagnostic
from pimpy.config.dialects import LOADERS
from pimpy.config.model import Altnet, Config, Phyint, StaticRp
from pimpy.config.native import KNOWN_WORDS, Result, load, parse
from pimpy.wire.family import IPV4, IPV6, parse_address, parse_prefix


def model(text: str) -> Config:
    """The model of a text that has to be without a remark."""
    result = parse(text)
    assert result.diagnostics == (), [str(remark) for remark in result.diagnostics]
    assert result.model is not None
    return result.model


def only(result: Result) -> Diagnostic:
    """The one remark of a result."""
    assert len(result.diagnostics) == 1, [str(remark) for remark in result.diagnostics]
    return result.diagnostics[0]


def test_an_empty_file_is_the_defaults() -> None:
    assert model("") == Config()
    assert model("\n  \t\n# a comment\n   # another\n") == Config()


PHYINTS = [
    ("phyint eth0", Phyint("eth0")),
    ("phyint eth0 enable", Phyint("eth0", enabled=True)),
    ("phyint eth0 disable", Phyint("eth0", enabled=False)),
    ("phyint eth0 passive", Phyint("eth0", passive=True)),
    ("phyint eth0 igmpv1", Phyint("eth0", igmp_version=1)),
    ("phyint eth0 igmpv2", Phyint("eth0", igmp_version=2)),
    ("phyint eth0 igmpv3", Phyint("eth0", igmp_version=3)),
    ("phyint eth0 mldv1", Phyint("eth0", mld_version=1)),
    ("phyint eth0 mldv2", Phyint("eth0", mld_version=2)),
    ("phyint eth0 dr-priority 0", Phyint("eth0", dr_priority=0)),
    ("phyint eth0 dr-priority 4294967295", Phyint("eth0", dr_priority=2**32 - 1)),
    ("phyint eth0 ttl-threshold 1", Phyint("eth0", ttl_threshold=1)),
    ("phyint eth0 threshold 255", Phyint("eth0", ttl_threshold=255)),
    ("phyint eth0 hello-interval 18724", Phyint("eth0", hello_interval=18724)),
    ("phyint 10.0.0.1 enable", Phyint("10.0.0.1", enabled=True)),
    ("phyint 2001:DB8:0::1 enable", Phyint("2001:db8::1", enabled=True)),
    ("PHYINT Eth0 ENABLE DR-Priority 3", Phyint("Eth0", enabled=True, dr_priority=3)),
    ("phyint eth0.100 enable # the studio", Phyint("eth0.100", enabled=True)),
    (
        "phyint br-lan enable igmpv2 mldv1 dr-priority 7 ttl-threshold 16 hello-interval 5",
        Phyint("br-lan", True, False, 2, 1, 7, 16, 5),
    ),
]


@pytest.mark.parametrize(("text", "phyint"), PHYINTS)
def test_phyint(text: str, phyint: Phyint) -> None:
    assert model(text).phyints == (phyint,)


def test_phyint_lines_keep_their_order_and_later_ones_win() -> None:
    config = model("phyint eth0 dr-priority 1 enable\nphyint eth1\nphyint eth0 dr-priority 2\n")
    assert [phyint.name for phyint in config.phyints] == ["eth0", "eth1", "eth0"]
    assert config.phyint("eth0") == Phyint("eth0", enabled=True, dr_priority=2)


@pytest.mark.parametrize("text", ["no phyint", "disable-vifs", "No Phyint", "phyint eth0 enable\nno phyint"])
def test_no_phyint(text: str) -> None:
    assert model(text).phyints_enabled is False


NUMBERS = [
    ("hello-interval", "hello_interval", 1, 18724),
    ("hello_period", "hello_interval", 1, 18724),
    ("join-prune-interval", "join_prune_interval", 1, 18724),
    ("keepalive-timer", "keepalive_timer", 60, 65535),
    ("igmp-query-interval", "igmp_query_interval", 1, 31744),
    ("default_igmp_query_interval", "igmp_query_interval", 1, 31744),
    ("igmp-robustness", "igmp_robustness", 1, 7),
]


@pytest.mark.parametrize(("word", "name", "low", "high"), NUMBERS)
def test_numbers_and_their_ranges(word: str, name: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(model(f"{word} {value}"), name) == value
    for value in (low - 1, high + 1, 10**11):
        remark = only(parse(f"\n{word} {value}\n"))
        expected = "-1" if value < 0 else str(value)
        assert (remark.is_error, remark.line, remark.word) == (True, 2, expected)
        assert remark.text == f"{word} {value} is out of range: {low} to {high}"
    for bad in ("abc", "1.5", "-1", "0x10", "\uff11\uff12", "9" * 13):
        assert only(parse(f"{word} {bad}")).text == f"{word} takes a number from {low} to {high}, not {bad!r}"
    assert only(parse(word)).text == f"{word} needs a number from {low} to {high}"
    assert only(parse(f"{word} {low} 30")).text == f"{word}: '30' is too much"


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("5", 5.0), ("0.25", 0.25), ("60", 60.0)])
def test_triggered_hello_delay(text: str, value: float) -> None:
    assert model(f"triggered-hello-delay {text}").triggered_hello_delay == value


@pytest.mark.parametrize("text", ["61", "-1", "nan", "inf", "x", "1e400", "1_0"])
def test_triggered_hello_delay_out_of_range(text: str) -> None:
    assert only(parse(f"triggered-hello-delay {text}")).text == (
        f"triggered-hello-delay takes seconds from 0 to 60, not {text!r}"
    )
    assert only(parse("triggered-hello-delay")).text == "triggered-hello-delay needs seconds from 0 to 60 (0: at once)"


def test_ssm_ranges_replace_those_of_their_family() -> None:
    config = model("ssm-range 232.0.0.0/8 239.232.0.0/16")
    assert config.ssm_ranges(IPV4) == (parse_prefix("232.0.0.0/8"), parse_prefix("239.232.0.0/16"))
    assert config.ssm_ranges(IPV6) == IPV6.ssm_ranges
    config = model("ssm-range ff3e::/32\nssm-range 232.1.0.0/16\nssm-range ff35::/32\n")
    assert config.ssm_ranges(IPV6) == (parse_prefix("ff3e::/32"), parse_prefix("ff35::/32"))
    assert config.ssm_ranges(IPV4) == (parse_prefix("232.1.0.0/16"),)


def test_no_ssm_ranges() -> None:
    config = model("ssm-range none")
    assert (config.ssm_ranges4, config.ssm_ranges6) == ((), ())
    config = model("ssm-range ff3e::/32\nssm-range none")
    assert (config.ssm_ranges4, config.ssm_ranges6) == ((), (parse_prefix("ff3e::/32"),))


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:9353", ("127.0.0.1", 9353)),
        ("9353", ("127.0.0.1", 9353)),
        (":9353", ("127.0.0.1", 9353)),
        ("localhost:1", ("127.0.0.1", 1)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ("[::]:9353", ("::", 9353)),
        ("[2001:DB8::1]:9353", ("2001:db8::1", 9353)),
    ],
)
def test_metrics(text: str, listen: tuple[str, int]) -> None:
    assert model(f"metrics {text}").metrics == listen


ERRORS = [
    ("phyin eth0", "phyin", "unknown word 'phyin'; did you mean 'phyint'?"),
    ("Helo-Interval 30", "Helo-Interval", "unknown word 'Helo-Interval'; did you mean 'hello-interval'?"),
    ("xyzzy", "xyzzy", "unknown word 'xyzzy'"),
    ("\x1b[2J", "\x1b[2J", r"unknown word '\x1b[2J'"),
    ("a" * 50, "a" * 50, f"unknown word '{'a' * 40}...'"),
    ("phyint", None, "phyint needs an interface: its name or an address of it"),
    ("phyint eth0 dr-prio 5", "dr-prio", "phyint: unknown word 'dr-prio'; did you mean 'dr-priority'?"),
    ("phyint eth0 bogus", "bogus", "phyint: unknown word 'bogus'"),
    ("phyint eth0 dr-priority", None, "phyint dr-priority needs a number from 0 to 4294967295"),
    ("phyint eth0 dr-priority x", "x", "phyint dr-priority takes a number from 0 to 4294967295, not 'x'"),
    ("phyint e dr-priority 4294967296", "4294967296", "phyint dr-priority 4294967296 is out of range: 0 to 4294967295"),
    ("phyint eth0 ttl-threshold 0", "0", "phyint ttl-threshold 0 is out of range: 1 to 255"),
    ("phyint eth0 threshold 256", "256", "phyint threshold 256 is out of range: 1 to 255"),
    ("phyint eth0 hello-interval 0", "0", "phyint hello-interval 0 is out of range: 1 to 18724"),
    (
        "phyint 10.0.0.300",
        "10.0.0.300",
        "phyint '10.0.0.300': it is neither an address nor a name that an interface can have",
    ),
    ("phyint eth0:1", "eth0:1", "phyint 'eth0:1': it is neither an address nor a name that an interface can have"),
    ("phyint a/b", "a/b", "phyint 'a/b': it is neither an address nor a name that an interface can have"),
    (
        "phyint sixteen-letters1",
        "sixteen-letters1",
        "phyint 'sixteen-letters1': the name of an interface has at most 15 bytes",
    ),
    ("phyint 224.0.0.5", "224.0.0.5", "phyint 224.0.0.5: no interface can have this address"),
    ("phyint eth0 altnet", None, "phyint: altnet needs a subnet like 10.9.0.0/24, or an interface"),
    ("no", None, "no what? Known are: no phyint, no ipv4, no ipv6"),
    ("no vifs", "vifs", "no 'vifs' is unknown; known are: no phyint, no ipv4, no ipv6"),
    ("no phyint eth0", "eth0", "no: 'eth0' is too much"),
    ("disable-vifs now", "now", "disable-vifs: 'now' is too much"),
    ("ssm-range", None, "ssm-range needs a range of groups like 232.0.0.0/8 or ff3e::/32, or none"),
    (
        "ssm-range 10.0.0.0/8",
        "10.0.0.0/8",
        "ssm-range: '10.0.0.0/8' is not inside 224.0.0.0/4, the multicast addresses",
    ),
    (
        "ssm-range 224.0.0.0/3",
        "224.0.0.0/3",
        "ssm-range: '224.0.0.0/3' is not inside 224.0.0.0/4, the multicast addresses",
    ),
    ("ssm-range 232.0.0.0", "232.0.0.0", "ssm-range: '232.0.0.0' is not of the form ADDRESS/LENGTH"),
    ("ssm-range abc/8", "abc/8", "ssm-range: 'abc' does not appear to be an IPv4 or IPv6 address"),
    ("ssm-range " + "a" * 99 + "/8", "a" * 99 + "/8", f"ssm-range: '{'a' * 40}...' is no range of groups"),
    ("ssm-range 232.0.0.0/33", "232.0.0.0/33", "ssm-range: '232.0.0.0/33': the length is at most 32"),
    ("metrics", None, "metrics needs an address and a port like 127.0.0.1:9353"),
    ("metrics 0", "0", "metrics: '0' is not of the form ADDR:PORT with a port from 1 to 65535"),
    ("metrics 127.0.0.1", "127.0.0.1", "metrics: '127.0.0.1' is not of the form ADDR:PORT with a port from 1 to 65535"),
    (
        "metrics [::]:65536",
        "[::]:65536",
        "metrics: '[::]:65536' is not of the form ADDR:PORT with a port from 1 to 65535",
    ),
    ("metrics router:9353", "router:9353", "metrics: 'router' is no address; write 127.0.0.1:9353 or [::1]:9353"),
    (
        "metrics ::1:9353",
        "::1:9353",
        "metrics: '::1:9353': an IPv6 address, and only such a one, stands in brackets: [::1]:9353",
    ),
    ("metrics 9353 9354", "9354", "metrics: '9354' is too much"),
    ("include", "include", "include takes one word: a file, or a pattern with * ? ["),
    ("include a b", "include", "include takes one word: a file, or a pattern with * ? ["),
]


@pytest.mark.parametrize(("text", "word", "message"), ERRORS)
def test_errors_name_line_word_and_remedy(text: str, word: str | None, message: str) -> None:
    result = parse(f"# first\n\n{text}\n", "/etc/pimpyd.conf")
    remark = only(result)
    assert result.model is None
    assert (remark.path, remark.line, remark.word, remark.text) == ("/etc/pimpyd.conf", 3, word, message)
    assert str(remark) == f"/etc/pimpyd.conf:3: error: {message}"


def test_all_errors_are_told_at_once() -> None:
    result = parse("phyin eth0\nhello-interval 0\nigmp-robustness 9\n")
    assert [remark.line for remark in result.errors] == [1, 2, 3]


def test_rubbish_ends_after_a_hundred_errors() -> None:
    result = parse("\n".join(f"bogus{number}" for number in range(5000)))
    assert len(result.errors) == 101
    assert result.errors[-1].text.startswith("more than 100 errors, the rest is not read")


NOTES = [
    (
        "switch_data_threshold rate 50000 interval 20",
        "switch_data_threshold is an old name: spt-threshold bytes 100000 interval 20 says the same",
    ),
    (
        "igmp-querier-timeout 100",
        "igmp-querier-timeout 100 is not longer than the query interval, 125: the default holds",
    ),
    ("spt-threshold packets 5 interval 4", "spt-threshold interval 4: 5 is the least, and is used"),
    ("phyint eth0 altnet 10.9.0.5/24", "phyint: altnet: 10.9.0.5/24 has host bits set, and is taken as 10.9.0.0/24"),
    ("phyint eth0 scoped 239.1.1.1/8", "phyint scoped: 239.1.1.1/8 has host bits set, and is taken as 239.0.0.0/8"),
    ("rp-address 10.0.0.1 239.1.1.1/8", "rp-address: 239.1.1.1/8 has host bits set, and is taken as 239.0.0.0/8"),
    ("group-prefix 239.1.1.1/8", "group-prefix: 239.1.1.1/8 has host bits set, and is taken as 239.0.0.0/8"),
    ("phyint eth0 igmpv2 igmpv3", "phyint: igmpv3 replaces what stands before it on this line"),
    ("phyint disable", "phyint: 'disable' is taken as the name of an interface"),
    ("hello-interval 10\nhello_period 20", "hello_period replaces what pimpyd.conf:1 says"),
    ("ssm-range 232.0.0.0/8 232.0.0.0/8", "ssm-range 232.0.0.0/8 is said twice"),
]


@pytest.mark.parametrize(("text", "message"), NOTES)
def test_notes_leave_a_model(text: str, message: str) -> None:
    result = parse(text)
    remark = only(result)
    assert result.model is not None
    assert (remark.is_error, remark.text) == (False, message)


def test_altnet_and_the_words_behind_it() -> None:
    words = "altnet 10.9.0.0 masklen 16 dr-priority 4 altnet 10.8.0.0/24 scoped 239.0.0.0/8 altnet 2001:db8::/64"
    result = parse(f"phyint eth0 {words} threshold 2")
    assert result.model is not None
    nets = tuple(map(parse_prefix, ("10.9.0.0/16", "10.8.0.0/24", "2001:db8::/64")))
    scoped = (parse_prefix("239.0.0.0/8"),)
    assert result.model.phyints == (Phyint("eth0", dr_priority=4, ttl_threshold=2, scoped=scoped, altnets=nets),)


def test_an_altnet_may_be_that_of_an_interface_or_as_long_as_the_links_own() -> None:
    """pimd 2.3.2 takes `altnet e2`, `altnet e2 masklen 24`, `altnet e2/16` and `altnet 10.9.0.0` alike [ran]."""
    result = parse("phyint eth0 altnet e2 altnet e3 masklen 24 altnet e4/16 altnet 10.9.0.0 threshold 2")
    assert result.model is not None and not result.diagnostics
    nets = Altnet("e2"), Altnet("e3", 24), Altnet("e4", 16), Altnet("10.9.0.0")
    assert result.model.phyints == (Phyint("eth0", ttl_threshold=2, altnets=nets),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("altnet eth1/x", "phyint: altnet: 'eth1/x' is no subnet like 10.9.0.0/24, and no interface"),
        ("altnet 10.9.0", "phyint: altnet: '10.9.0' is no subnet like 10.9.0.0/24, and no interface"),
        ("altnet threshold 3", "phyint: altnet: 'threshold' is no subnet like 10.9.0.0/24, and no interface"),
        ("altnet eth1/129", "phyint altnet length 129 is out of range: 0 to 128"),
        ("altnet 10.9.0.0 masklen 33", "phyint: altnet: '10.9.0.0/33': the length is at most 32"),
        ("altnet 239.0.0.0/8", "phyint: altnet: '239.0.0.0/8' holds no hosts"),
    ],
)
def test_altnets_that_make_no_sense(text: str, message: str) -> None:
    assert [remark.text for remark in parse(f"phyint eth0 {text}").errors] == [message]


SAMPLE_3 = """
bsr-candidate priority 5 interval 30
rp-candidate priority 20 interval 30
spt-threshold packets 0 interval 100
"""
SAMPLE_2 = """
cand_rp time 30 priority 20
cand_bootstrap_router priority 5
group_prefix 224.0.0.0 masklen 4
switch_data_threshold\t\trate 50000 interval 20\t# 50kbps (approx.)
switch_register_threshold\trate 50000 interval 20\t# 50kbps (approx.)
"""
EVERY_WORD = """
default-route-distance 101
default-route-metric 1024
default_source_preference 101
default_source_metric 1024
default_igmp_query_interval 12
default_igmp_querier_timeout 41
igmp-querier-timeout 380
rp_address 10.0.0.1 224.0.0.0/4
spt_threshold rate 100 interval 10
phyint eth0 enable igmpv2 dr-priority 9 ttl-threshold 3 distance 5 metric 9 altnet 10.0.0.0/8 scoped 239.0.0.0/8
phyint eth1 disable threshold 1 preference 7
"""


@pytest.mark.parametrize("text", [SAMPLE_3, SAMPLE_2, EVERY_WORD])
def test_lines_of_pimd_load_with_notes_only(text: str) -> None:
    result = parse(text, "pimd.conf")
    assert result.model is not None
    known = (" is an old name: spt-threshold bytes 100000 interval 20 says the same", " replaces what ")
    assert all(any(text in remark.text for text in known) for remark in result.notes)


def test_the_querier_timeout_and_2_3_2s_thresholds() -> None:
    config = parse("igmp-querier-timeout 300\nswitch_register_threshold rate 80000 interval 10").model
    assert config is not None
    assert (config.igmp_querier_timeout, config.querier_timeout()) == (300, 300)
    shape = (config.spt_threshold, config.spt_threshold_number, config.spt_threshold_interval)
    assert shape == ("bytes", 80_000, 10)
    assert model("default_igmp_query_interval 12\ndefault_igmp_querier_timeout 41").querier_timeout() == 41
    assert model("igmp-query-interval 12").querier_timeout() == 2 * 12 + 5
    at_once = parse("switch_data_threshold rate 0").model
    assert at_once is not None and at_once.spt_threshold == "immediate"
    assert only(parse("switch_data_threshold packets 3")).is_error


WAYS = [
    ("phyin eth0", "unknown word 'phyin'; did you mean 'phyint'? (pimd would end here, with exit code 255)"),
    ("phyint eth0 bogus", "phyint: unknown word 'bogus' (pimd would leave that word out)"),
    ("phyint eth0 threshold 256", "phyint threshold 256 is out of range: 1 to 255 (pimd would leave that word out)"),
    ("hello-interval abc", "hello-interval takes a number from 1 to 18724, not 'abc' (pimd would take 30)"),
    ("hello-interval 20 30", "hello-interval: '30' is too much (pimd would leave that word out)"),
    ("hello_period x", "hello_period takes a number from 1 to 18724, not 'x' (pimd would take 30)"),
    ("rp-address 10.0.0.1 10.0.0.0/8", "'10.0.0.0/8' is not inside 224.0.0.0/4, the multicast addresses"),
    ("igmp-robustness 9", "igmp-robustness 9 is out of range: 1 to 7"),
]


@pytest.mark.parametrize(("text", "message"), WAYS)
def test_an_error_in_pimds_file_says_what_pimd_would_do(text: str, message: str) -> None:
    """Of pimd's own directives; in a file of ours nobody asks."""
    expected = message if " (pimd" in message or "robust" in message else f"{message} (pimd would leave the line out)"
    for load_it, path in ((load, "/etc/pimd.conf"), (LOADERS["pimd2"], "/etc/x")):
        remark = only(load_it(path, lambda _: text, None))
        assert remark.text.removeprefix("rp-address: ") == expected
    assert only(parse(text)).text.removeprefix("rp-address: ") == message.partition(" (pimd")[0]


RPS = [
    ("rp-address 10.0.0.1", StaticRp(parse_address("10.0.0.1"), parse_prefix("224.0.0.0/4"))),
    ("rp-address 10.0.0.1 239.1.2.3", StaticRp(parse_address("10.0.0.1"), parse_prefix("239.1.0.0/16"))),
    ("rp_address 10.0.0.1 239.0.0.0/8", StaticRp(parse_address("10.0.0.1"), parse_prefix("239.0.0.0/8"))),
    ("rp-address 10.0.0.1 priority 9", StaticRp(parse_address("10.0.0.1"), parse_prefix("224.0.0.0/4"), 9)),
    ("rp-address 2001:db8::1 ff0e::/16", StaticRp(parse_address("2001:db8::1"), parse_prefix("ff0e::/16"))),
]


@pytest.mark.parametrize(("text", "static"), RPS)
def test_static_rps(text: str, static: StaticRp) -> None:
    result = parse(text)
    assert result.model is not None and not result.diagnostics
    assert result.model.rp_addresses == (static,)


WRONG_RPS = [
    ("rp-address", "rp-address needs the address of an RP"),
    ("rp-address eth0", "rp-address: 'eth0' is no address"),
    ("rp-address 224.0.0.1", "rp-address: '224.0.0.1' cannot be reached from other links"),
    ("rp-address fe80::1", "rp-address: 'fe80::1' cannot be reached from other links"),
    ("rp-address 10.0.0.1 10.0.0.0/8", "rp-address: '10.0.0.0/8' is not inside 224.0.0.0/4, the multicast addresses"),
    ("rp-address 10.0.0.1 ff0e::/16", "rp-address: 'ff0e::/16' is not inside 224.0.0.0/4, the multicast addresses"),
    ("rp-address 10.0.0.1 priority 256", "rp-address priority 256 is out of range: 0 to 255"),
    ("rp-address 10.0.0.1 239.0.0.0/8 bogus", "rp-address: 'bogus' is too much"),
    ("spt-threshold", "spt-threshold needs infinity, packets N, bytes N or rate KBPS"),
    ("spt-threshold never", "spt-threshold: 'never' is none of infinity, packets, bytes and rate"),
    ("default-route-distance 2147483647", "default-route-distance 2147483647 is out of range: 0 to 2147483646"),
    ("default-route-metric x", "default-route-metric takes a number from 0 to 4294967295, not 'x'"),
    ("default-route-metric 5 6", "default-route-metric: '6' is too much"),
    ("spt-threshold packets", "spt-threshold packets needs a number from 0 to 4294967295"),
    ("spt-threshold rate 5 interval", "spt-threshold interval needs a number from 0 to 86400"),
    ("spt-threshold rate 5 10", "spt-threshold: '10' is too much"),
    ("spt-threshold infinity 5", "spt-threshold: '5' is too much"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_RPS)
def test_what_is_wrong_with_an_rp_is_said(text: str, message: str) -> None:
    result = parse(text)
    assert result.model is None
    assert [remark.text for remark in result.errors] == [message]


@pytest.mark.parametrize("word", ["default-route-distance", "default-source-preference", "default_source_preference"])
def test_the_distance_of_all_routes_has_three_names(word: str) -> None:
    result = parse(f"{word} 7")
    assert result.model is not None and not result.diagnostics and result.model.route_distance == 7


@pytest.mark.parametrize("word", ["default-route-metric", "default-source-metric", "default_source_metric"])
def test_so_has_their_metric(word: str) -> None:
    result = parse(f"{word} 1024")
    assert result.model is not None and not result.diagnostics and result.model.route_metric == 1024


def test_an_interface_has_a_distance_and_a_metric_of_its_own() -> None:
    result = parse("phyint eth0 distance 0 metric 4294967295\nphyint eth1 preference 2147483646")
    assert result.model is not None and not result.diagnostics
    model = result.model
    assert [(model.phyint(name).distance, model.phyint(name).metric) for name in ("eth0", "eth1", "eth2")] == [
        (0, 4294967295),
        (2147483646, None),
        (None, None),
    ]


THRESHOLDS = [
    ("spt-threshold infinity", ("infinity", 0, 100)),
    ("spt-threshold packets 0", ("immediate", 0, 100)),
    ("spt-threshold rate 0 interval 60", ("immediate", 0, 100)),
    ("spt-threshold packets 20", ("packets", 20, 100)),
    ("spt-threshold bytes 100000 interval 20", ("bytes", 100000, 20)),
    ("spt_threshold RATE 64 Interval 10", ("rate", 64, 10)),
    ("spt-threshold packets 4294967295 interval 86400", ("packets", 4294967295, 86400)),
]


@pytest.mark.parametrize(("text", "expected"), THRESHOLDS)
def test_spt_threshold(text: str, expected: tuple[str, int, int]) -> None:
    result = parse(text)
    assert result.model is not None and not result.diagnostics
    model = result.model
    assert (model.spt_threshold, model.spt_threshold_number, model.spt_threshold_interval) == expected


def test_every_known_word_is_taken_or_noted() -> None:
    for word in KNOWN_WORDS:
        for remark in parse(f"{word} 1").diagnostics:
            assert "unknown word" not in remark.text


def files(**texts: str) -> tuple[Callable[[str], str], Callable[[str], list[str]]]:
    """A reader and an expander over texts instead of files; `_` in a name stands for a slash."""
    known = {name.replace("_", "/"): text for name, text in texts.items()}

    def read(path: str) -> str:
        if path not in known:
            raise FileNotFoundError(2, "No such file or directory")
        return known[path]

    def expand(pattern: str) -> list[str]:
        head = pattern.partition("*")[0]
        return sorted(name for name in known if name.startswith(head) and name != head)

    return read, expand


def test_include_reads_files_beside_the_one_that_names_them() -> None:
    read, expand = files(
        _etc_a="include b\nhello-interval 9\ninclude d/*",
        _etc_b="phyint eth0",
        _etc_d_2="phyint z",
        _etc_d_1="phyint y",
    )
    result = load("/etc/a", read, expand)
    assert result.diagnostics == ()
    assert result.model is not None
    assert [phyint.name for phyint in result.model.phyints] == ["eth0", "y", "z"]


def test_errors_of_an_included_file_name_it() -> None:
    read, expand = files(_etc_a="\ninclude /etc/b", _etc_b="\n\nbogus")
    assert str(only(load("/etc/a", read, expand))) == "/etc/b:3: error: unknown word 'bogus'"


def test_absent_files() -> None:
    read, expand = files(_etc_a="\ninclude b\n", _etc_c="include d/*")
    assert str(only(load("/etc/none", read))) == "/etc/none: error: cannot be read: No such file or directory"
    remark = only(load("/etc/a", read, expand))
    assert str(remark) == "/etc/a:2: error: cannot include /etc/b: No such file or directory"
    remark = only(load("/etc/c", read, expand))
    assert str(remark) == "/etc/c:1: note: include 'd/*' matches no file"


def test_files_that_include_one_another() -> None:
    read, expand = files(_a="include /b", _b="include /a", _c="include /c")
    assert str(only(load("/a", read, expand))) == (
        "/b:1: error: a file that includes itself: /a includes /b includes /a; remove one of these lines"
    )
    assert "/c includes /c" in only(load("/c", read, expand)).text


def test_a_file_may_be_included_twice_one_after_the_other() -> None:
    read, expand = files(_a="include /b\ninclude /b", _b="phyint eth0")
    result = load("/a", read, expand)
    assert result.model is not None
    assert len(result.model.phyints) == 2


def test_includes_are_bounded_in_depth_and_number() -> None:
    deep = only(load("/0", lambda path: f"include /{int(path[1:]) + 1}"))
    assert deep.text == "files include one another 16 deep: use fewer levels"
    wide = load("/0", lambda path: "include *" if path == "/0" else "", lambda _: [f"/{n}" for n in range(1, 2000)])
    assert wide.errors[0].text == "more than 1000 files are included"


WORDS = st.one_of(
    st.sampled_from([*KNOWN_WORDS, "phyint", "no", "eth0", "10.0.0.1", "ff3e::/32", "232.0.0.0/8", "none", "masklen"]),
    st.sampled_from(
        ["enable", "passive", "igmpv2", "altnet", "dr-priority", "neighbor-filter", "0", "1", "99999999999"]
    ),
    st.text(max_size=12),
)
LINES = st.lists(WORDS, max_size=6).map(" ".join)
TEXTS = st.one_of(st.text(), st.lists(st.one_of(LINES, st.text(max_size=40)), max_size=8).map("\n".join))


@settings(max_examples=400)
@given(TEXTS)
def test_any_text_is_a_model_or_errors(text: str) -> None:
    result = parse(text)
    assert (result.model is None) == bool(result.errors)
    for remark in result.diagnostics:
        assert 1 <= remark.line <= text.count("\n") + 1
        assert "\n" not in str(remark)
        assert str(remark).isprintable()


@settings(max_examples=100)
@given(TEXTS, st.binary(max_size=200), st.sampled_from(["/a", "b", "/c*", "*"]))
def test_any_files_are_a_model_or_errors(text: str, raw: bytes, name: str) -> None:
    def read(path: str) -> str:
        if path == "/a":
            return f"include {name}\n{text}"
        if path == "/b":
            return raw.decode("utf-8", errors="replace")
        raise PermissionError(13, "Permission denied")

    result = load("/a", read, lambda pattern: ["/a", "/b", "/c"])
    assert (result.model is None) == bool(result.errors)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("rpf-route 10.0.0.0/8", "rpf-route needs: PREFIX [via ADDRESS] dev IF"),
        ("rpf-route 10.0.0.0/8 via 10.0.0.1", "rpf-route needs: PREFIX [via ADDRESS] dev IF"),
        ("rpf-route 239.0.0.0/8 dev a", "rpf-route: '239.0.0.0/8' is no range of sources like 10.0.0.0/8"),
        ("rpf-route 10.0.0.0/8 via ::1 dev a", "rpf-route: '::1' is no address of a router of that family"),
        ("rpf-route 10.0.0.0/8 dev eth+", "rpf-route: no interface can have the name 'eth+'"),
    ],
)
def test_rpf_routes_that_are_wrong(line: str, text: str) -> None:
    result = parse(line)
    assert result.model is None and [error.text for error in result.errors] == [text]
