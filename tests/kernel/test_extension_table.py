"""The extension and the kernel's table: taking it, virtual interfaces, entries, the dump."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from socket import AF_INET, AF_NETLINK, IPPROTO_ICMPV6, IPPROTO_IGMP, SOCK_RAW, socket

import pytest
from kernel_namespaces import Namespace, Trio, as_nobody, families, group, host

from pimpy.kernel import _mroute
from pimpy.wire.family import IPV4, IPV6, Address, Family

TTLS = b"\x01" * 32
TABLES = {IPV4: 253, IPV6: 254}


def raw(family: Family) -> socket:
    return socket(family.number, SOCK_RAW, IPPROTO_IGMP if family is IPV4 else IPPROTO_ICMPV6)


@pytest.fixture(params=[IPV4, IPV6], ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture
def mroute(trio: Trio, family: Family) -> Iterator[socket]:
    """A socket that owns the default table, with the router's two interfaces as 0 and 1."""
    with trio.router, raw(family) as opened:
        _mroute.init(opened.fileno(), family.number, 0)
        _mroute.add_vif(opened.fileno(), family.number, 0, trio.l, 1, False)
        _mroute.add_vif(opened.fileno(), family.number, 1, trio.r, 1, False)
        yield opened


@pytest.fixture
def netlink(mroute: socket) -> Iterator[socket]:
    with socket(AF_NETLINK, SOCK_RAW, 0) as opened:
        yield opened


def expect(number: int, function: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(OSError) as caught:
        function(*arguments)
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[number]


def proc(family: Family, what: str) -> list[str]:
    path = Path(f"/proc/thread-self/net/ip{'' if family is IPV4 else '6'}_mr_{what}")
    return path.read_text().splitlines()[1:]


def test_a_table_has_one_owner(namespace: Namespace, family: Family) -> None:
    with namespace, raw(family) as one, raw(family) as other:
        _mroute.init(one.fileno(), family.number, 0)
        expect(errno.EADDRINUSE, _mroute.init, one.fileno(), family.number, 0)
        expect(errno.EADDRINUSE, _mroute.init, other.fileno(), family.number, 0)
        _mroute.init(other.fileno(), family.number, 77)
        _mroute.done(one.fileno(), family.number)
        with raw(family) as third:
            _mroute.init(third.fileno(), family.number, 0)


def test_pim_and_assert(namespace: Namespace, family: Family) -> None:
    with namespace, raw(family) as one:
        _mroute.init(one.fileno(), family.number, 0)
        for mode in (4, 1, 0, 4):
            _mroute.set_pim(one.fileno(), family.number, mode)


def test_who_does_not_own_the_table_cannot_change_it(namespace: Namespace, family: Family) -> None:
    """But with CAP_NET_ADMIN: that may change any table, and makes static entries."""
    number = family.number
    with namespace, raw(family) as owner, raw(family) as other:
        _mroute.init(owner.fileno(), number, 0)
        _mroute.add_vif(owner.fileno(), number, 0, 1, 1, False)
        refused = repr(PermissionError(errno.EACCES, "Permission denied"))
        for function, arguments in (
            (_mroute.done, ()),
            (_mroute.add_vif, (1, 1, 1, False)),
            (_mroute.del_vif, (0,)),
            (_mroute.set_pim, (1,)),
            (_mroute.flush, (1,)),
        ):
            assert as_nobody(lambda call=function, rest=arguments: call(other.fileno(), number, *rest)) == refused
        change = (host(family, 1), group(family), 0, 0)
        assert as_nobody(lambda: _mroute.change_mfc(other.fileno(), number, [change], TTLS)) == f"[{errno.EACCES}]"
        expect(errno.EACCES, _mroute.done, other.fileno(), number)


def test_a_socket_of_another_protocol_cannot_own_a_table(namespace: Namespace) -> None:
    with namespace, socket(AF_INET, SOCK_RAW, 103) as one:
        expect(errno.EOPNOTSUPP, _mroute.init, one.fileno(), AF_INET, 0)


def test_without_capability(namespace: Namespace, family: Family) -> None:
    """Opening the socket needs one; owning and changing the table of a socket that was handed over does not."""
    with namespace, raw(family) as one:
        number, lo = family.number, 1
        namespace.ip("link set lo up")
        _mroute.init(one.fileno(), number, 0)

        def change() -> object:
            _mroute.add_vif(one.fileno(), number, 3, lo, 1, False)
            return _mroute.change_mfc(one.fileno(), number, [(host(family, 1), group(family), 3, 0)], TTLS)

        assert as_nobody(change) == "[0]"
        assert "PermissionError(1" in as_nobody(lambda: raw(family))


def test_vifs(mroute: socket, trio: Trio, family: Family) -> None:
    fd, number = mroute.fileno(), family.number
    expect(errno.EADDRINUSE, _mroute.add_vif, fd, number, 0, trio.l, 1, False)
    expect(errno.ENFILE, _mroute.add_vif, fd, number, 32, trio.l, 1, False)
    expect(errno.ENFILE, _mroute.add_vif, fd, number, 65535, trio.l, 1, False)
    expect(errno.EADDRNOTAVAIL, _mroute.add_vif, fd, number, 2, 9999, 1, False)
    expect(errno.EADDRNOTAVAIL, _mroute.del_vif, fd, number, 9)
    expect(errno.ENFILE if family is IPV4 else errno.EADDRNOTAVAIL, _mroute.del_vif, fd, number, 65535)
    assert len(proc(family, "vif")) == 2
    _mroute.del_vif(fd, number, 0)
    assert [line.split()[0:2] for line in proc(family, "vif")] == [["1", "toright"]]
    _mroute.add_vif(fd, number, 31, trio.l, 255, False)
    assert [line.split()[0:2] for line in proc(family, "vif")] == [["1", "toright"], ["31", "toleft"]]


def test_an_ipv6_ifindex_must_fit_into_16_bits(namespace: Namespace) -> None:
    namespace.ip("link add name far index 70000 type veth peer name near")
    for family, refused in ((IPV4, False), (IPV6, True)):
        with namespace, raw(family) as one:
            _mroute.init(one.fileno(), family.number, 0)
            if refused:
                expect(errno.EOVERFLOW, _mroute.add_vif, one.fileno(), family.number, 0, 70000, 1, False)
            else:
                _mroute.add_vif(one.fileno(), family.number, 0, 70000, 1, False)


def test_the_register_tunnel_is_a_vif(mroute: socket, trio: Trio, family: Family) -> None:
    fd, number = mroute.fileno(), family.number
    _mroute.set_pim(fd, number, 4)
    _mroute.add_vif(fd, number, 5, 0, 1, True)
    names = [line.split()[1] for line in proc(family, "vif")]
    assert names[2] == ("pimreg" if family is IPV4 else "pim6reg")
    expect(errno.EADDRINUSE, _mroute.add_vif, fd, number, 6, 0, 1, True)
    _mroute.del_vif(fd, number, 5)


def test_thirty_two_vifs(namespace: Namespace, family: Family) -> None:
    namespace.ip(*(f"link add name a{i} type veth peer name b{i}" for i in range(17)))
    with namespace, raw(family) as one:
        fd, number = one.fileno(), family.number
        _mroute.init(fd, number, 0)
        indexes = [namespace.ifindex(f"{side}{i}") for i in range(17) for side in "ab"]
        for vif in range(32):
            _mroute.add_vif(fd, number, vif, indexes[vif], 1, False)
        expect(errno.ENFILE, _mroute.add_vif, fd, number, 32, indexes[32], 1, False)
        assert len(proc(family, "vif")) == 32


def test_entries_are_set_replaced_and_deleted(mroute: socket, netlink: socket, trio: Trio, family: Family) -> None:
    fd, number, source, to = mroute.fileno(), family.number, host(family, 1), group(family)

    def entries() -> list[tuple[object, ...]]:
        return [row[:4] for row in _mroute.dump_mfc(netlink.fileno(), number, TABLES[family])]

    assert _mroute.change_mfc(fd, number, [(source, to, 0, 0b10)], TTLS) == [0]
    assert entries() == [(source, to, trio.l, (trio.r,))]
    assert _mroute.change_mfc(fd, number, [(source, to, 1, 0b1)], TTLS) == [0]
    assert entries() == [(source, to, trio.r, (trio.l,))]
    assert _mroute.change_mfc(fd, number, [(source, to, 1, 0)], TTLS) == [0]
    assert entries() == [(source, to, trio.r, ())]
    # Virtual interfaces that are not there are left out by the kernel.
    assert _mroute.change_mfc(fd, number, [(source, to, 1, 0xFFFFFFFF)], TTLS) == [0]
    assert entries() == [(source, to, trio.r, (trio.l, trio.r))]
    assert _mroute.change_mfc(fd, number, [(source, to), (source, to)], TTLS) == [0, errno.ENOENT]
    assert entries() == []


def test_each_change_has_its_own_errno(mroute: socket, netlink: socket, family: Family) -> None:
    source, good, bad = host(family, 1), group(family), host(family, 2)
    changes = [(source, good, 32, 1), (source, bad, 0, 1), (source, good), (source, good, 0, 2)]
    errors = _mroute.change_mfc(mroute.fileno(), family.number, changes, TTLS)  # type: ignore[arg-type]
    assert errors == [errno.ENFILE, errno.EINVAL, errno.ENOENT, 0]
    assert len(_mroute.dump_mfc(netlink.fileno(), family.number, 0)) == 1


def test_thresholds_are_the_ttls_of_ipv4_entries(mroute: socket, netlink: socket) -> None:
    if mroute.family != AF_INET:
        return
    source, to = host(IPV4, 1), group(IPV4)
    for ttls, expected in (
        (b"\x01\x09" + TTLS[2:], ["1:9"]),
        (b"\x01\x00" + TTLS[2:], []),
        (b"\x01\xff" + TTLS[2:], []),
    ):
        _mroute.change_mfc(mroute.fileno(), AF_INET, [(source, to, 0, 0b10)], ttls)
        (line,) = proc(IPV4, "cache")
        assert line.split()[6:] == expected


def test_thousands_of_entries_in_one_call_and_one_dump(
    mroute: socket, netlink: socket, trio: Trio, family: Family
) -> None:
    fd, number, table, count = mroute.fileno(), family.number, TABLES[family], 5000
    changes: list[tuple[Address, Address, int, int]] = [
        (host(family, 1, 1 + i % 200), group(family, i + 1), i % 2, 0b10 >> i % 2) for i in range(count)
    ]
    assert _mroute.change_mfc(fd, number, changes, TTLS) == [0] * count  # type: ignore[arg-type]
    index, other = (trio.l, trio.r), (trio.r, trio.l)
    expected = {(s, g, index[iif], (other[iif],), 0, 0, 0) for s, g, iif, _ in changes}
    rows = _mroute.dump_mfc(netlink.fileno(), number, table)
    assert len(rows) == count
    assert set(rows) == expected
    counters = _mroute.count_mfc(netlink.fileno(), number, table)
    assert {key: value[:3] for key, value in counters.items()} == {(s, g): (0, 0, 0) for s, g, _, _ in changes}
    removals: list[tuple[Address, Address]] = [(s, g) for s, g, _, _ in changes]
    Random(1).shuffle(removals)
    assert _mroute.change_mfc(fd, number, removals, TTLS) == [0] * count  # type: ignore[arg-type]
    assert _mroute.dump_mfc(netlink.fileno(), number, table) == []


def test_the_dump_tells_tables_apart(mroute: socket, netlink: socket, trio: Trio, family: Family) -> None:
    number, source = family.number, host(family, 1)
    with raw(family) as second:
        _mroute.init(second.fileno(), number, 42)
        _mroute.change_mfc(mroute.fileno(), number, [(source, group(family, 1), 0, 0)], TTLS)
        _mroute.change_mfc(second.fileno(), number, [(source, group(family, 2), 0, 0)], TTLS)
        for strict in (0, 1):
            netlink.setsockopt(270, 12, strict)
            assert [row[1] for row in _mroute.dump_mfc(netlink.fileno(), number, TABLES[family])] == [group(family, 1)]
            assert [row[1] for row in _mroute.dump_mfc(netlink.fileno(), number, 42)] == [group(family, 2)]
            assert list(_mroute.count_mfc(netlink.fileno(), number, 42)) == [(source, group(family, 2))]
        netlink.setsockopt(270, 12, 0)
        assert len(_mroute.dump_mfc(netlink.fileno(), number, 0)) == 2
        assert len(_mroute.dump_mfc(netlink.fileno(), number, 4711)) == 0


def test_an_entry_outlives_its_interface_in_the_dump(
    mroute: socket, netlink: socket, trio: Trio, family: Family
) -> None:
    change = (host(family, 1), group(family), 0, 0b10)
    _mroute.change_mfc(mroute.fileno(), family.number, [change], TTLS)
    trio.router.ip("link del toleft")
    (row,) = _mroute.dump_mfc(netlink.fileno(), family.number, TABLES[family])
    assert row[2:4] == (0, (trio.r,))


def test_flush_and_done(mroute: socket, netlink: socket, family: Family) -> None:
    fd, number = mroute.fileno(), family.number
    _mroute.change_mfc(fd, number, [(host(family, 1), group(family), 0, 2)], TTLS)
    _mroute.flush(fd, number, _mroute.FLUSH_MFC)
    assert _mroute.dump_mfc(netlink.fileno(), number, 0) == []
    assert len(proc(family, "vif")) == 2
    _mroute.flush(fd, number, _mroute.FLUSH_VIFS)
    assert proc(family, "vif") == []
    _mroute.change_mfc(fd, number, [(host(family, 1), group(family), 0, 2)], TTLS)
    _mroute.done(fd, number)
    assert _mroute.dump_mfc(netlink.fileno(), number, 0) == []
    expect(errno.EACCES, _mroute.done, fd, number)


def test_the_dump_survives_what_others_left_on_the_socket(mroute: socket, netlink: socket, family: Family) -> None:
    """Half a dump of somebody else, and messages from another process, come before the answer."""
    number = family.number
    changes: list[tuple[Address, Address, int, int]] = [
        (host(family, 1), group(family, i), 0, 2) for i in range(1, 999)
    ]
    _mroute.change_mfc(mroute.fileno(), number, changes, TTLS)  # type: ignore[arg-type]
    netlink.bind((0, 0))
    request = struct.pack("=IHHIIB15x", 32, 26, 0x301, 9, 0, 128 if family is IPV4 else 129)
    netlink.send(request)
    netlink.recv(100)
    with socket(AF_NETLINK, SOCK_RAW, 0) as foreign:
        foreign.sendto(struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -5), (netlink.getsockname()[0], 0))
    assert len(_mroute.dump_mfc(netlink.fileno(), number, TABLES[family])) == 998


@families()
def test_a_dump_of_a_namespace_without_a_table_is_empty(namespace: Namespace, family: Family) -> None:
    with namespace, socket(AF_NETLINK, SOCK_RAW, 0) as opened:
        assert _mroute.dump_mfc(opened.fileno(), family.number, 0) == []
        assert _mroute.count_mfc(opened.fileno(), family.number, TABLES[family]) == {}
