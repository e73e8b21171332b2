"""The nftables table of `register-guard`: its text, in nft's own eyes, and what is said when it cannot be."""

from __future__ import annotations

import re
import subprocess

import pytest
from kernel_namespaces import Namespace

from pimpy.config.native import parse
from pimpy.kernel import guard
from pimpy.wire.family import parse_prefix


def ruleset(text: str, table: int = 0) -> str:
    model = parse(text).model
    assert model is not None
    return guard.ruleset(model.register_accept, model.register_accept_from, table)


def chains(rules: str) -> set[str]:
    return set(re.findall(r"chain (\w+)", rules))


def test_a_family_without_ranges_is_not_judged() -> None:
    assert chains(ruleset("")) == {"input", "registers"}
    assert chains(ruleset("register-accept 10.0.0.0/8")) == {"input", "registers", "registers_ipv4"}
    assert chains(ruleset("register-accept-from fc00::/7")) == {"input", "registers", "registers_ipv6"}


def test_a_range_of_everything_is_no_filter() -> None:
    assert chains(ruleset("register-accept 10.0.0.0/8 0.0.0.0/0")) == {"input", "registers"}
    rules = ruleset("register-accept 10.0.0.0/8\nregister-accept-from 0.0.0.0/0")
    assert "routers_ipv4" not in rules and "registers_ipv4" in rules


def test_the_table_is_named_after_the_kernels_table() -> None:
    assert "table inet pimpyd {" in ruleset("") and "table inet pimpyd_7 {" in ruleset("", 7)


FULL = (
    "register-accept 10.0.0.0/8 192.0.2.1 2001:db8::/33 fc00::1\n"
    "register-accept-from 192.0.2.0/24 192.0.2.5 10.0.0.0/8 fc00::/7 2001:db8::1"
)


@pytest.mark.parametrize("text", ["", "register-accept 10.0.0.0/8", "register-accept-from fc00::/7", FULL])
def test_nft_takes_it_again_and_again(namespace: Namespace, text: str) -> None:
    model = parse(text).model
    assert model is not None
    with namespace:
        for _ in range(2):
            guard.keep(model.register_accept, model.register_accept_from, 0)
        listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        assert chains(listed) == chains(ruleset(text))
        assert listed.count("drop") == ruleset(text).count("drop")
        for _ in range(2):
            guard.remove(0)  # there or not
        listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert not chains(listed)


def test_the_keeper_reads_ranges_and_nothing_else() -> None:
    ten, db8 = parse_prefix("10.0.0.0/8"), parse_prefix("2001:db8::/32")
    assert guard.read("10.0.0.0/8 2001:db8::/32|10.0.0.0/8") == ((ten, db8), (ten,))
    assert guard.read("|") == ((), ())
    for bad in ("10.0.0.0/8", "10.0.0.0/8|drop", "|10.0.0.0/8 } flush ruleset", "10.0.0.1/8|"):
        with pytest.raises(ValueError):
            guard.read(bad)


def test_without_nft_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "NFT", "no-such-program")
    with pytest.raises(OSError, match="install nftables"):
        guard.remove(0)


def test_what_nft_refuses_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 1, "", "Error: Operation not permitted\nmore\n")

    monkeypatch.setattr(subprocess, "run", refusing)
    with pytest.raises(OSError, match=r"^nft: Error: Operation not permitted$"):
        guard.remove(0)
