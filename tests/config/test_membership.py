"""The words of IGMP and MLD: what they make of the model, and what is refused."""

from __future__ import annotations

import pytest

from pimpy.config.model import Config, Phyint, SsmMapping, StaticMember
from pimpy.config.native import parse
from pimpy.wire.family import parse_address, parse_prefix

STATIC_GROUP = "static-group is written: static-group IF [source ADDR] group GROUP"


def model(text: str) -> Config:
    result = parse(text)
    assert result.model is not None, result.diagnostics
    return result.model


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("immediate-leave", {"immediate_leave": "tracked"}),
        ("immediate-leave-forced", {"immediate_leave": "forced"}),
        ("explicit-tracking", {"explicit_tracking": True}),
        ("max-groups 20 max-sources 7", {"max_groups": 20, "max_sources": 7}),
        ("query-interval 60 robustness 3", {"query_interval": 60, "robustness": 3}),
        (
            "query-response-interval 2500 last-member-interval 400",
            {"query_response_interval": 2500, "last_member_interval": 400},
        ),
        ("on-link-reports-only require-router-alert", {"on_link_reports_only": True, "require_router_alert": True}),
        ("oldest-igmp 2 oldest-mld 2", {"oldest_igmp": 2, "oldest_mld": 2}),
        ("mrdisc", {"mrdisc": True}),
        ("hello-optional require-ttl-1", {"hello_optional": True, "require_ttl_1": True}),
        (
            "groups 239.0.0.0/8 ff3e::/32 232.1.1.1 mrdisc",
            {
                "groups": tuple(map(parse_prefix, ("239.0.0.0/8", "ff3e::/32", "232.1.1.1/32"))),
                "mrdisc": True,
            },
        ),
        (
            "querier-address 10.0.0.1 querier-address fe80::1",
            {"querier_addresses": (parse_address("10.0.0.1"), parse_address("fe80::1"))},
        ),
    ],
)
def test_words_of_a_phyint_line(words: str, fields: dict[str, object]) -> None:
    config = model(f"phyint eth0 {words}")
    assert config.phyints == (Phyint("eth0", **fields),)  # type: ignore[arg-type]
    assert config.phyint("eth0") == config.phyints[0]


def test_lines_of_one_interface_add_up() -> None:
    config = model("phyint eth0 groups 239.0.0.0/8 max-groups 5\nphyint eth0 groups 232.0.0.0/8 mrdisc max-groups 6\n")
    phyint = config.phyint("eth0")
    assert (len(phyint.groups), phyint.max_groups, phyint.mrdisc) == (2, 6, True)


def test_the_forced_option_says_what_it_risks() -> None:
    (remark,) = parse("phyint eth0 immediate-leave-forced").diagnostics
    assert "cuts a group off" in remark.text
    assert "only for links with one host" in remark.text
    assert parse("phyint eth0 immediate-leave").diagnostics == ()


def test_static_group_and_ssm_map() -> None:
    config = model(
        "static-group eth0 group 239.1.1.1\n"
        "static-group 10.0.0.1 source 10.9.0.1 group 232.1.1.1\n"
        "static-group eth0 source :: group ff1e::1\n"
        "ssm-map 232.1.0.0/16 10.9.0.1 10.9.0.2\n"
        "ssm-map ff3e::1 2001:db8::1\n"
    )
    group, source, channel = parse_address("239.1.1.1"), parse_address("10.9.0.1"), parse_address("232.1.1.1")
    assert config.static_members == (
        StaticMember("eth0", group),
        StaticMember("10.0.0.1", channel, source),
        StaticMember("eth0", parse_address("ff1e::1")),
    )
    assert config.ssm_map == (
        SsmMapping(parse_prefix("232.1.0.0/16"), source),
        SsmMapping(parse_prefix("232.1.0.0/16"), parse_address("10.9.0.2")),
        SsmMapping(parse_prefix("ff3e::1/128"), parse_address("2001:db8::1")),
    )


def test_mld_may_differ_from_igmp() -> None:
    config = model("igmp-query-interval 60\nmld-query-interval 30\nmld-robustness 3")
    assert (config.igmp_query_interval, config.mld_query_interval, config.mld_robustness) == (60, 30, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("phyint eth0 max-groups 0", "phyint max-groups 0 is out of range: 1 to 1000000"),
        ("phyint eth0 groups", "phyint: groups needs ranges of groups like 239.0.0.0/8"),
        ("phyint eth0 groups 10.0.0.0/8", "phyint: '10.0.0.0/8' is not inside 224.0.0.0/4, the multicast addresses"),
        ("phyint eth0 querier-address", "phyint: querier-address needs an address"),
        (
            "phyint eth0 querier-address 2001:db8::1",
            "phyint: querier-address 2001:db8::1: hosts drop MLD queries that are not from a link-local address "
            "(RFC 9777 5.1.14)",
        ),
        (
            "phyint eth0 querier-address 0.0.0.0",
            "phyint: querier-address 0.0.0.0: a query from it would never win, and hosts would not answer it",
        ),
        ("static-group eth0", STATIC_GROUP),
        ("static-group from eth0 group 239.1.1.1", STATIC_GROUP),
        ("static-group eth0 group 224.0.0.5", "static-group: '224.0.0.5' is no group that crosses a router"),
        ("static-group eth0 source fe80::1 group 239.1.1.1", "static-group: 'fe80::1' is no source of this group"),
        (
            "static-group sixteen-letter-1 group 239.1.1.1",
            "static-group: the name of an interface has at most 15 bytes",
        ),
        ("mgroup from eth0", "mgroup: missing multicast group"),
        ("mgroup from eth0 group 239.0.0.0/8", "mgroup: 16777216 memberships, at most 65536 a line"),
        ("ssm-map 232.1.1.1", "ssm-map is written: ssm-map GROUP[/LEN] SOURCE..."),
        ("ssm-map 232.1.1.1 ff1e::1", "ssm-map: 'ff1e::1' is no source of this group"),
    ],
)
def test_errors(text: str, message: str) -> None:
    assert [remark.text for remark in parse(text).errors] == [message]
