"""A hundred thousand calls, good and bad ones, leave the process as large as it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SOCK_DGRAM, SOCK_RAW, socket, socketpair

import pytest
from kernel_frames import ALERT4, ALERT6, ip4, mfc_entry, netlink, upcall
from kernel_namespaces import Namespace, families, group, host

from pimpy.kernel import _mroute
from pimpy.kernel.rtnl import Query
from pimpy.kernel.sockets import open_sockets
from pimpy.wire.family import IPV4, IPV6, Family

TTLS = b"\x01" * 32
CLOSED = 1 << 20


def resident() -> int:
    """Bytes in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def keeps_its_size(call: Callable[[], object], count: int = 100_000) -> None:
    """The first calls fill caches; what a leak of 32 bytes a call would add is more than what is allowed."""

    def repeat(times: int) -> None:
        for _ in range(times):
            with suppress(OSError, ValueError, TypeError):
                call()

    repeat(count // 10)
    before = resident()
    repeat(count)
    assert resident() - before < 1 << 20


@pytest.mark.parametrize(
    "call",
    [
        lambda: _mroute.decode(
            AF_INET, 2, upcall(IPV4, 1, 3, host(IPV4, 1), group(IPV4)), 1, bytes(4), bytes(4), 1, b""
        ),
        lambda: _mroute.decode(AF_INET, 2, ip4(bytes(4), bytes(4), 2, b"x", 1, ALERT4), 1, bytes(4), bytes(4), 1, b""),
        lambda: _mroute.decode(AF_INET6, 58, b"\x82" * 2000, 1, bytes(16), bytes(16), 1, ALERT6),
        lambda: _mroute.decode(AF_INET, 2, b"short", 1, bytes(4), bytes(4), 1, b""),
        lambda: _mroute.decode(AF_INET, 2, b"data", 1, bytes(4), bytes(4), 1, "text"),  # type: ignore[arg-type]
        lambda: _mroute.decode_mfc(AF_INET, 0, mfc_entry(IPV4, bytes(4), bytes(4), 1, (2, 3))),
        lambda: _mroute.decode_mfc(AF_INET, 0, mfc_entry(IPV4, bytes(4), bytes(4), 1, (2, 3)) + netlink(24, b"bad")),
        lambda: _mroute.change_mfc(CLOSED, AF_INET, [(bytes(4), bytes(4), 1, 2), (bytes(4), bytes(4))], TTLS),
        lambda: _mroute.change_mfc(CLOSED, AF_INET, [(bytes(4), bytes(4)), (bytes(4), None)], TTLS),  # type: ignore[list-item]
        lambda: _mroute.send(CLOSED, AF_INET, [(1, bytes(4), bytes(4), b"data")] * 3),
        lambda: _mroute.send(CLOSED, AF_INET, [(1, bytes(4), bytes(4), b"data"), (1, b"", b"", b"")]),
        lambda: _mroute.receive(CLOSED, AF_INET, 2, 10),
        lambda: _mroute.dump_mfc(CLOSED, AF_INET, 0),
        lambda: _mroute.init(CLOSED, AF_INET, 7),
    ],
)
def test_calls_without_the_kernel(call: Callable[[], object]) -> None:
    keeps_its_size(call, 30_000)


def test_receiving() -> None:
    one, other = socketpair(AF_UNIX, SOCK_DGRAM)
    messages = [upcall(IPV4, 1, 3, host(IPV4, 1), group(IPV4)), b"malformed", bytes(66000), b"\x45" * 9]
    other.setsockopt(1, 7, 1 << 20)

    def call() -> None:
        for message in messages:
            other.send(message)
        assert _mroute.receive(one.fileno(), AF_INET, 2, 100)[1:] == (1, 2)

    with one, other:
        keeps_its_size(call, 5000)


@families()
def test_dumping(namespace: Namespace, family: Family) -> None:
    with namespace:
        sockets = open_sockets(family)
        _mroute.add_vif(sockets.mroute, family.number, 0, 1, 1, False)
        changes = [(host(family, 1), group(family, i), 0, 1) for i in range(1, 200)]
        _mroute.change_mfc(sockets.mroute, family.number, changes, TTLS)  # type: ignore[arg-type]
        with socket(AF_NETLINK, SOCK_RAW, 0) as opened:
            keeps_its_size(lambda: _mroute.dump_mfc(opened.fileno(), family.number, 0), 1000)
            keeps_its_size(lambda: _mroute.count_mfc(opened.fileno(), family.number, 0), 1000)
        sockets.close()


def test_asking_for_routes(namespace: Namespace) -> None:
    """Each answer is read: none is left in a queue."""
    from pimpy.kernel.routes import Lookup

    with namespace:
        query = Query()
        lookup = Lookup(query, IPV6)
        addresses = [host(IPV6, number) for number in range(1, 100)]
        keeps_its_size(lambda: lookup.ask(addresses), 500)
        query.close()
