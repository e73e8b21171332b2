"""`watch` and `expect-neighbor`: what they make of the model, and what is refused."""

from __future__ import annotations

import pytest

from pimpy.config.model import ExpectedNeighbor, Watch
from pimpy.config.native import parse
from pimpy.wire.family import parse_address

WATCH = "watch is written: watch NAME [source ADDR] group GROUP [min-packets N] [interval SEC]"
EXPECT = "expect-neighbor is written: expect-neighbor ADDR IF"


def test_the_lines() -> None:
    result = parse(
        "watch cam group 239.1.1.1\n"
        "watch cam2 source 10.0.0.1 group 232.1.1.1 min-packets 100 interval 30\n"
        "watch six interval 5 group ff3e::8000:1 source 2001:db8::1\n"
        "expect-neighbor 10.0.0.2 eth0\n"
        "expect-neighbor fe80::2 10.0.0.1\n"
    )
    assert result.model is not None and result.diagnostics == ()
    assert result.model.watches == (
        Watch("cam", parse_address("239.1.1.1")),
        Watch("cam2", parse_address("232.1.1.1"), parse_address("10.0.0.1"), 100, 30),
        Watch("six", parse_address("ff3e::8000:1"), parse_address("2001:db8::1"), 1, 5),
    )
    assert result.model.expected_neighbors == (
        ExpectedNeighbor(parse_address("10.0.0.2"), "eth0"),
        ExpectedNeighbor(parse_address("fe80::2"), "10.0.0.1"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("watch", WATCH),
        ("watch cam", WATCH),
        ("watch cam group", WATCH),
        ("watch cam grp 239.1.1.1", WATCH),
        ("watch cam group 239.1.1.1 group 239.1.1.2", WATCH),
        ("watch cam group 224.0.0.5", "watch: '224.0.0.5' is no group that crosses a router"),
        ("watch cam group 239.1.1.1 source ff1e::1", "watch: 'ff1e::1' is no source of this group"),
        ("watch cam group 239.1.1.1 interval 0", "watch interval 0 is out of range: 1 to 86400"),
        ("watch cam group 239.1.1.1 min-packets x", "watch min-packets takes a number from 1 to 4294967295, not 'x'"),
        (f"watch {'x' * 65} group 239.1.1.1", "watch: a name has at most 64 letters that can be printed"),
        ("watch a group 239.1.1.1\nwatch a group 239.1.1.2", "watch 'a' is there already"),
        ("expect-neighbor 10.0.0.2", EXPECT),
        ("expect-neighbor 224.0.0.1 eth0", "expect-neighbor: '224.0.0.1' is no address of a router"),
        ("expect-neighbor eth0 10.0.0.2", "expect-neighbor: 'eth0' is no address of a router"),
        (
            "expect-neighbor 10.0.0.2 sixteen-letter-1",
            "expect-neighbor: the name of an interface has at most 15 bytes",
        ),
    ],
)
def test_errors(text: str, message: str) -> None:
    assert [remark.text for remark in parse(text).errors] == [message]


def test_there_is_a_limit() -> None:
    lines = "".join(f"watch w{n} group 239.1.{n >> 8}.{n & 255}\n" for n in range(257))
    assert [remark.text for remark in parse(lines).errors] == ["watch: there are 256 already"]
