"""Which table of the kernel a proxy is served in."""

from __future__ import annotations

import pytest

from pimpy.config import mcproxy, native
from pimpy.config.model import Config, Phyint
from pimpy.config.tables import MAX_TABLES, assigned, further, of_table, without


def config(text: str) -> Config:
    model = native.parse(text).model
    assert model is not None
    return model


def tables(found: Config) -> list[int | None]:
    return [proxy.table for proxy in found.proxies]


def test_where_asked() -> None:
    text = ONE + "\nproxy b upstream u2 downstream d2 ipv6\nproxy c upstream x downstream y table 7 ipv4"
    found, remarks = assigned(config(text), 0)
    assert tables(found) == [5, None, 7] and remarks == []
    assert further(found) == [("ipv4", 5), ("ipv4", 7), ("ipv6", 5)]
    found, _ = assigned(config(text), 7)
    assert tables(found) == [5, None, None], "the main table has this number (-t)"
    assert tables(without(found, {("ipv6", 5)})) == [None, None, None], "what the kernel cannot give"


ONE = "proxy a upstream u downstream d table 5"
TAP = "proxy a upstream u downstream tap+ table 5"


@pytest.mark.parametrize(
    ("one", "other", "expected", "why"),
    [
        (ONE, "proxy b upstream u downstream e", [None, None], "b names u too"),
        (ONE, "proxy b upstream d downstream e table 6", [None, None], "b names d too"),
        (ONE, "proxy b upstream v downstream e table 5", [5, 5], None),
        (TAP, "proxy b upstream v downstream tap0", [None, None], "b names tap+ too"),
        (TAP, "proxy b upstream v downstream t+", [None, None], "b names tap+ too"),
        (TAP, "proxy b upstream v downstream eth+", [5, None], None),
        (ONE, "mroute from x group 225.1.1.1 to d", [None], "a static route names d"),
        (ONE + " ipv4", "proxy b upstream u downstream d ipv6", [5, None], None),
    ],
)
def test_an_interface_is_in_one_table(one: str, other: str, expected: list[int | None], why: str | None) -> None:
    found, remarks = assigned(config(f"{one}\n{other}"), 0)
    assert tables(found) == expected
    if why is None:
        assert remarks == []
    else:
        assert remarks[0] == ("a", f"table 5 is not used: {why}, which is in one table only")


def test_there_are_so_many_at_most() -> None:
    lines = [f"proxy p{n} upstream u{n} downstream d{n} table {n} ipv4" for n in range(1, 30)]
    found, remarks = assigned(config("\n".join(lines)), 0)
    assert len(further(found)) == MAX_TABLES and len(remarks) == 29 - MAX_TABLES


def test_what_a_further_table_follows() -> None:
    text = "phyint d enable igmpv2\nmroute from x group 225.1.1.1 to y\nrp-address 10.0.0.1\n"
    whole = config(text + "proxy a upstream u downstream d table 5\nproxy b upstream v downstream e")
    found = of_table(whole, 5)
    assert [proxy.name for proxy in found.proxies] == ["a"] and tables(found) == [None]
    assert not found.phyints_enabled and found.phyints == (Phyint("d", igmp_version=2),)
    assert found.static.routes == () and found.rp_addresses == ()


def test_mcproxys_numbers() -> None:
    model = mcproxy.parse("pinstance a(1): u ==> d; pinstance b(2): v ==> e; pinstance c: w ==> f;").model
    assert model is not None
    assert further(assigned(model, 0)[0]) == [("ipv4", 1), ("ipv4", 2)]
