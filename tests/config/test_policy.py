"""Filters and limits of the native grammar: what the words mean, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from pimpy.config.model import Config
from pimpy.config.native import parse
from pimpy.wire.family import parse_prefix

LIMITED = "neighbors, sg, groups, members, member-sources, member-hosts"


def model(text: str) -> Config:
    """The model of a text that needs no remark."""
    result = parse(text)
    assert result.diagnostics == ()
    assert result.model is not None
    return result.model


def ranges(config: Config, name: str) -> list[str]:
    return [str(prefix) for prefix in getattr(config, name)]


LISTS = [
    ("neighbor-filter", "neighbor_filter"),
    ("join-filter", "join_filter"),
    ("register-accept", "register_accept"),
    ("register-accept-from", "register_accept_from"),
]


@pytest.mark.parametrize(("word", "field"), LISTS)
def test_a_list_takes_ranges_and_addresses_and_lines_add_up(word: str, field: str) -> None:
    config = model(f"{word} 10.0.0.0/8 192.0.2.1\n{word.upper()} 2001:db8::/32 10.0.0.0/8")
    assert ranges(config, field) == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]


@pytest.mark.parametrize(("word", "field"), LISTS)
def test_a_list_needs_ranges(word: str, field: str) -> None:
    for text, complaint in (
        (word, "needs ranges like 10.0.0.0/8 or 2001:db8::/32"),
        (f"{word} eth0", "needs ranges like 10.0.0.0/8 or 2001:db8::/32"),
        (f"{word} 10.0.0.1/8", ": '10.0.0.1/8' is no range; write 10.0.0.0/8 or 2001:db8::/32"),
        (f"{word} 10.0.0.0/33", ": '10.0.0.0/33' is no range; write 10.0.0.0/8 or 2001:db8::/32"),
        (f"{word} 10.0.0.0/8 eth0", ": 'eth0' is too much"),
    ):
        (error,) = parse(text).errors
        assert error.text.startswith(word) and error.text.endswith(complaint), error.text


@pytest.mark.parametrize("word", ["neighbor-filter", "register-accept", "register-accept-from"])
def test_hosts_and_routers_are_no_groups(word: str) -> None:
    (error,) = parse(f"{word} 239.0.0.0/8").errors
    assert error.text == f"{word}: '239.0.0.0/8' is a range of groups; it takes those of hosts or routers"
    assert ranges(model("join-filter 239.0.0.0/8 ff0e::/16"), "join_filter") == ["239.0.0.0/8", "ff0e::/16"]


def test_an_interface_has_filters_of_its_own_or_those_of_all() -> None:
    config = model(
        "neighbor-filter 10.0.0.0/8\njoin-filter 239.0.0.0/8\n"
        "phyint eth0 neighbor-filter 10.1.0.0/16 fe80::/10 dr-priority 5 join-filter 239.1.0.0/16\n"
        "phyint eth0 neighbor-filter 10.2.0.0/16 neighbor-filter 10.3.0.0/16\n"
        "phyint eth1 passive\n"
    )
    eth0, eth1 = config.phyint("eth0"), config.phyint("eth1")
    assert list(map(str, eth0.neighbor_filter)) == ["10.1.0.0/16", "fe80::/10", "10.2.0.0/16", "10.3.0.0/16"]
    assert eth0.join_filter == (parse_prefix("239.1.0.0/16"),) and eth0.dr_priority == 5
    assert eth1.neighbor_filter == (parse_prefix("10.0.0.0/8"),) == config.phyint("other").neighbor_filter
    assert eth1.join_filter == (parse_prefix("239.0.0.0/8"),)


def test_filters_of_an_interface_need_ranges_too() -> None:
    (error,) = parse("phyint eth0 neighbor-filter dr-priority 5").errors
    assert error.text == "phyint: neighbor-filter needs ranges like 10.0.0.0/8 or 2001:db8::/32"
    (error,) = parse("phyint eth0 join-filter").errors
    assert error.text == "phyint: join-filter needs ranges like 10.0.0.0/8 or 2001:db8::/32"


def test_register_source_is_an_interface_or_an_address() -> None:
    config = model("register-source lo\nregister-source 192.0.2.1\nregister-source 2001:DB8::1\nregister-source lo")
    assert config.register_sources == ("lo", "192.0.2.1", "2001:db8::1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("register-source", "register-source needs an interface, or an address of ours"),
        ("register-source 224.0.0.1", "register-source: '224.0.0.1' cannot be reached from other links"),
        ("register-source fe80::1", "register-source: 'fe80::1' cannot be reached from other links"),
        (
            "register-source 10.0.0.0/8",
            "register-source: '10.0.0.0/8' is neither an address nor a name that an interface can have",
        ),
        ("register-source lo eth0", "register-source: 'eth0' is too much"),
        ("register-guard on", "register-guard: 'on' is too much"),
        ("register-limit", "register-limit needs a number from 0 to 10000000"),
        ("register-limit 5 6", "register-limit: '6' is too much"),
        ("state-limit", f"state-limit needs a kind and a number; the kinds are {LIMITED}"),
        ("state-limit sgs 5", f"state-limit: 'sgs' is none of {LIMITED}; did you mean 'sg'?"),
        ("state-limit sg 0", "state-limit sg 0 is out of range: 1 to 10000000"),
        ("state-limit sg 5 6", "state-limit: '6' is too much"),
        ("message-limit hello", "message-limit hello needs a number from 0 to 10000000"),
        (
            "message-limit graft 5",
            "message-limit: 'graft' is none of hello, register, register-stop, join-prune, bootstrap, assert, "
            "candidate-rp-advertisement",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    result = parse(text)
    assert result.model is None and [error.text for error in result.errors] == [message]


def test_limits() -> None:
    config = model(
        "register-guard\nregister-limit 7\nstate-limit SG 10\nstate-limit neighbors 3\nstate-limit sg 20\n"
        "message-limit Join-Prune 100\nmessage-limit hello 0\n"
    )
    assert config.register_guard and config.register_limit == 7
    assert dict(config.state_limits) == {"sg": 20, "neighbors": 3}
    assert dict(config.message_limits) == {"join-prune": 100, "hello": 0}
