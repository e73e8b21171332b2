"""How an RP is found: pimd's directives in 3.0's and 2.3.2's words, and ours, for both families."""

from __future__ import annotations

import pytest

from pimpy.config.model import AnycastRp, BsrCandidate, Config, Phyint, RpCandidate, StaticRp
from pimpy.config.native import parse
from pimpy.config.printer import print_config
from pimpy.wire.family import Prefix, parse_address, parse_prefix

FOUR, SIX = parse_address("10.0.0.1"), parse_address("2001:db8::1")
ALL4 = parse_prefix("224.0.0.0/4")


def model(text: str) -> Config:
    result = parse(text)
    assert result.model is not None, result.diagnostics
    assert parse(print_config(result.model)).model == result.model, "printed and read again it is the same"
    return result.model


def prefix(text: str) -> Prefix:
    return parse_prefix(text)


@pytest.mark.parametrize(
    ("text", "candidate"),
    [
        ("bsr-candidate priority 5", BsrCandidate(priority=5)),
        ("bsr-candidate", BsrCandidate()),
        ("bsr-candidate 10.0.0.1 priority 5", BsrCandidate(FOUR, priority=5)),
        ("bsr-candidate eth0 priority 5", BsrCandidate(interface="eth0", priority=5)),
        ("bsr-candidate lo", BsrCandidate(interface="lo")),
        ("bsr-candidate 2001:db8::1 hash-mask 120", BsrCandidate(SIX, hash_mask=120)),
        ("bsr-candidate scope 239.192.0.0/14", BsrCandidate(scope=prefix("239.192.0.0/14"))),
        ("bsr-candidate scope ff05::/16 priority 255", BsrCandidate(priority=255, scope=prefix("ff05::/16"))),
        ("cand_bootstrap_router priority 5", BsrCandidate(priority=5)),
        ("Bsr-Candidate Eth0 Priority 5", BsrCandidate(interface="Eth0", priority=5)),
    ],
)
def test_bsr_candidate(text: str, candidate: BsrCandidate) -> None:
    assert model(text).bsr_candidates == (candidate,)


@pytest.mark.parametrize(
    ("text", "candidate"),
    [
        ("rp-candidate priority 20 interval 30", RpCandidate(priority=20, interval=30)),
        ("rp-candidate", RpCandidate()),
        ("rp-candidate 10.0.0.1 priority 0", RpCandidate(FOUR, priority=0)),
        ("rp-candidate 2001:db8::1 time 10", RpCandidate(SIX, interval=10)),
        ("rp-candidate eth0", RpCandidate(interface="eth0")),
        ("cand_rp time 30 priority 20", RpCandidate(priority=20, interval=30)),
    ],
)
def test_rp_candidate(text: str, candidate: RpCandidate) -> None:
    assert model(text).rp_candidates == (candidate,)


def test_T17_T22_intervals() -> None:
    assert model("").bsr_interval == 60
    assert model("bsr-candidate interval 30").bsr_interval == model("bsr-interval 30").bsr_interval == 30
    assert model("rp-candidate").rp_candidates[0].interval == 60


def test_a_candidate_without_priority_is_noted_as_pimd_takes_another() -> None:
    for word, number in (("bsr-candidate", 64), ("rp-candidate", 192)):
        (note,) = parse(word).notes
        assert note.text == f"{word} without priority: {number} as in RFC 5059 (pimd takes 0)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("group-prefix 239.1.2.3", "239.1.0.0/16"),
        ("group-prefix 239.0.0.0/8", "239.0.0.0/8"),
        ("group_prefix 224.0.0.0 masklen 4", "224.0.0.0/4"),
        ("group-prefix 239.0.0.0 masklen 8", "239.0.0.0/8"),
        ("group-prefix 224.0.0.0 masklen 2", "224.0.0.0/4"),
        ("group-prefix ff05::/16", "ff05::/16"),
        ("group-prefix ff0e::1234", "ff0e::1234/128"),
    ],
)
def test_group_prefix(text: str, found: str) -> None:
    assert model(text).group_prefixes == (prefix(found),)


@pytest.mark.parametrize(
    ("text", "static"),
    [
        ("rp-address 10.0.0.1", StaticRp(FOUR, ALL4)),
        ("rp-address 10.0.0.1 override", StaticRp(FOUR, ALL4, override=True)),
        ("rp-address 10.0.0.1 239.0.0.0/8 priority 7 override", StaticRp(FOUR, prefix("239.0.0.0/8"), 7, True)),
        ("rp-address 10.0.0.1 239.0.0.0 masklen 8", StaticRp(FOUR, prefix("239.0.0.0/8"))),
        ("rp_address 2001:db8::1 ff00::/8", StaticRp(SIX, prefix("ff00::/8"))),
    ],
)
def test_rp_address(text: str, static: StaticRp) -> None:
    assert model(text).rp_addresses == (static,)


def test_anycast_rp_and_more_lines_of_it_add_members() -> None:
    members = tuple(parse_address(f"10.1.0.{n}") for n in (1, 2, 3))
    one = model("anycast-rp 10.0.0.1 member 10.1.0.1 10.1.0.2 10.1.0.3")
    assert one.anycast_rps == (AnycastRp(FOUR, members),)
    many = model("anycast-rp 10.0.0.1 member 10.1.0.1\nanycast-rp 10.0.0.1 member 10.1.0.2 member 10.1.0.3\n")
    assert many.anycast_rps == one.anycast_rps


def test_borders_filters_and_switches() -> None:
    found = model("bsr-border eth0 eth1\nphyint eth2 bsr-border scoped 239.0.0.0/8 scoped ff05::/16\n")
    assert [found.phyint(f"eth{n}").bsr_border for n in range(4)] == [True, True, True, False]
    assert found.phyint("eth2").scoped == (prefix("239.0.0.0/8"), prefix("ff05::/16"))
    filtered = model(
        "bsr-filter 10.0.0.0/8 2001:db8::1\nrp-candidate-filter 10.0.0.1\nembedded-rp off\nunicast-bsm on\n"
    )
    assert filtered.bsr_filter == (prefix("10.0.0.0/8"), prefix("2001:db8::1/128"))
    assert filtered.rp_candidate_filter == (prefix("10.0.0.1/32"),)
    assert (filtered.embedded_rp, filtered.unicast_bsm) == (False, True)
    assert (Config().embedded_rp, Config().unicast_bsm, Config().bsr_filter) == (True, False, ()), "Y1: all are let in"


def test_masklen_of_a_scoped_interface() -> None:
    assert model("phyint eth0 scoped 239.0.0.0 masklen 8").phyints == (Phyint("eth0", scoped=(prefix("239.0.0.0/8"),)),)


@pytest.mark.parametrize(
    ("text", "word", "part"),
    [
        ("bsr-candidate 10.0.0.300", "10.0.0.300", "neither an address nor the name"),
        ("bsr-candidate fe80::1", "fe80::1", "cannot be reached"),
        ("bsr-candidate 224.0.0.1", "224.0.0.1", "cannot be reached"),
        ("bsr-candidate priority 256", "256", "out of range: 0 to 255"),
        ("bsr-candidate priority", None, "needs a number"),
        ("bsr-candidate interval 0", "0", "out of range"),
        ("bsr-candidate eth0 prioriti 5", "prioriti", "did you mean"),
        ("bsr-candidate scope 10.0.0.0/8", "10.0.0.0/8", "no scope of groups"),
        ("bsr-candidate scope ff00::/8", "ff00::/8", "no scope of groups"),
        ("bsr-candidate scope", None, "scope needs"),
        ("bsr-candidate hash-mask 129", "129", "out of range"),
        ("rp-candidate eth0 hash-mask 30", "hash-mask", "unknown word"),
        ("rp-candidate time x", "x", "takes a number"),
        ("group-prefix", None, "needs a range"),
        ("group-prefix 10.0.0.0/8", "10.0.0.0/8", "not inside"),
        ("group-prefix 239.0.0.0/8 more", "more", "too much"),
        ("rp-address 10.0.0.1 239.0.0.0/8 overrride", "overrride", "too much"),
        ("anycast-rp 10.0.0.1", None, "the word member"),
        ("anycast-rp 10.0.0.1 member 2001:db8::1", "2001:db8::1", "another family"),
        ("anycast-rp 10.0.0.1 member 10.0.0.1", "10.0.0.1", "needs its own"),
        ("bsr-border", None, "needs interfaces"),
        ("bsr-border 10.0.0.0/8", "10.0.0.0/8", "no name"),
        ("bsr-filter", None, "needs ranges"),
        ("bsr-filter nope", "nope", "bsr-filter"),
        ("embedded-rp maybe", "maybe", "on or off"),
        ("unicast-bsm", None, "on or off"),
        ("phyint eth0 scoped", None, "scope needs"),
        ("phyint eth0 scoped ff00::/8", "ff00::/8", "no scope"),
        ("group-prefix 239.0.0.0 masklen", None, "needs a number"),
    ],
)
def test_errors_name_the_word(text: str, word: str | None, part: str) -> None:
    result = parse(text)
    assert result.model is None
    (error,) = result.errors
    assert error.word == word and part in error.text, error


def test_an_anycast_set_has_at_most_sixteen_members() -> None:
    members = [f"10.0.1.{number}" for number in range(1, 18)]
    allowed = parse("".join(f"anycast-rp 10.0.0.1 member {member}\n" for member in members[:16]))
    assert allowed.model is not None and len(allowed.model.anycast_rps[0].members) == 16
    refused = parse("".join(f"anycast-rp 10.0.0.1 member {member}\n" for member in members))
    (error,) = refused.errors
    assert refused.model is None and error.line == 17 and "16 members" in error.text
