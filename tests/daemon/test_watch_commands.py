"""`show watches`: the tables, and words that filter them."""

from __future__ import annotations

from test_rp_commands import told


def test_the_tables() -> None:
    lines = [line.split() for line in told("watches").splitlines()]
    assert [line[0] for line in lines[1:3]] == ["cam", "six"]
    assert lines[1] == ["cam", "*", "239.1.1.1", "silent", "1m15s", "0", "100/10s", "1m22s"]
    assert lines[2][:4] == ["six", "2001:db8::1", "ff3e::1", "pending"]
    assert lines[-1] == ["a2", "10.0.12.9", "missing", "40s"]


def test_words_that_filter() -> None:
    assert [line.split()[0] for line in told("watches silent").splitlines()[1:]] == ["cam"]
    assert "10.0.12.9" not in told("watches cam") and "cam" not in told("watches missing")
