"""Opening the sockets: what the kernel refuses becomes a cause, a remedy and an exit code; memberships."""

from __future__ import annotations

import errno
import os
import signal
import socket as socket_module
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, SO_RCVBUF, SOCK_DGRAM, SOL_SOCKET, socket

import pytest
from kernel_namespaces import Namespace, Trio, as_nobody, eventually, families, group
from kernel_router import joined

from pimpy.kernel import _mroute, sockets
from pimpy.kernel.sockets import KernelRefusal, Memberships, advice, open_sockets
from pimpy.wire.family import IPV4, IPV6, Family


def refusal(function: Callable[..., object], *arguments: object) -> KernelRefusal:
    with pytest.raises(KernelRefusal) as caught:
        function(*arguments)
    return caught.value


@families()
def test_the_table_is_taken_and_given_back(namespace: Namespace, family: Family) -> None:
    path = Path(f"/proc/thread-self/net/../../../sys/net/{family.name}/conf/all/mc_forwarding")
    with namespace:
        path = Path("/proc/sys/net", family.name, "conf/all/mc_forwarding")
        assert path.read_text() == "0\n"
        one = open_sockets(family)
        assert path.read_text() == "1\n"
        assert (one.family, one.table, one.kernel_table) == (family, 0, 253 if family is IPV4 else 254)
        one.close()
        assert path.read_text() == "0\n"
        two = open_sockets(family)
        two.close()


@families()
def test_several_tables(namespace: Namespace, family: Family) -> None:
    with namespace:
        opened = [open_sockets(family, table) for table in (0, 1, 99999999)]
        assert [one.kernel_table for one in opened][1:] == [1, 99999999]
        for one in opened:
            one.close()


def test_a_table_number_that_is_too_high(namespace: Namespace) -> None:
    """The kernel puts it into the name of the register tunnel, and IPv6's has a letter more."""
    with namespace:
        refused = refusal(open_sockets, IPV6, 100000000)
    assert refused.exit_code == 1
    assert "below 100000000" in refused.remedy


@families()
def test_a_held_table_names_the_holder(namespace: Namespace, family: Family) -> None:
    code = "import sys, time\nfrom pimpy.kernel.sockets import open_sockets\nfrom pimpy.wire.family import FAMILIES\n"
    code += f"open_sockets(FAMILIES[{0 if family is IPV4 else 1}], 5)\nprint('held', flush=True)\ntime.sleep(60)\n"
    with namespace:
        holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            refused = refusal(open_sockets, family, 5)
            assert refused.exit_code == 69
            assert f"{family.name} multicast routing table 5 is held by " in refused.cause
            assert f"(pid {holder.pid})" in refused.cause
            assert "another table" in refused.remedy
            assert str(refused) == f"{refused.cause}; {refused.remedy}"
            open_sockets(family).close()
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            assert holder.stdout is not None
            holder.stdout.close()


@families()
def test_without_capability(namespace: Namespace, family: Family) -> None:
    def attempt() -> object:
        try:
            open_sockets(family)
        except KernelRefusal as refused:
            return refused.exit_code, refused.cause, refused.remedy
        return None

    with namespace:
        code, cause, remedy = eval(as_nobody(attempt))
    assert code == 77
    assert family.name in cause
    assert "CAP_NET_RAW" in remedy


@families()
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (errno.ENOPROTOOPT, 1, "CONFIG_IP"),
        (errno.EOPNOTSUPP, 1, "CONFIG_IP"),
        (errno.EPERM, 77, "CAP_NET_RAW"),
        (errno.EACCES, 77, "CAP_NET_RAW"),
        (errno.EADDRINUSE, 69, "another table"),
        (errno.EBUSY, 69, "another table"),
        (errno.ENOMEM, 1, "log"),
    ],
)
def test_what_the_kernel_refuses(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, family: Family, number: int, code: int, word: str
) -> None:
    def refuse(fd: int, family: int, table: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_mroute, "init", refuse)
    with namespace:
        before = len(os.listdir("/proc/self/fd"))
        refused = refusal(open_sockets, family, 7)
        assert len(os.listdir("/proc/self/fd")) == before
    assert refused.exit_code == code
    assert word in refused.remedy
    if number == errno.ENOPROTOOPT:
        assert "MULTIPLE_TABLES" in refused.remedy


@pytest.mark.parametrize(("number", "code"), [(errno.EAFNOSUPPORT, 1), (errno.EPERM, 77), (errno.EMFILE, 1)])
def test_a_socket_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sockets, "socket", refuse)
    assert refusal(open_sockets, IPV6).exit_code == code


@families()
def test_the_receive_buffers_are_large_but_that_of_upcalls(namespace: Namespace, family: Family) -> None:
    with namespace:
        one = open_sockets(family)
    for fd, size in ((one.mroute, sockets.UPCALL_BUFFER), (one.pim, sockets.RECEIVE_BUFFER)):
        with socket(fileno=os.dup(fd)) as borrowed:
            assert borrowed.getsockopt(SOL_SOCKET, SO_RCVBUF) == 2 * size
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
    assert one.lost() == 0
    one.close()


def test_without_capability_the_buffer_is_as_large_as_the_system_allows() -> None:
    allowed = int(Path("/proc/sys/net/core/rmem_max").read_text())

    def attempt() -> object:
        with socket(AF_INET, SOCK_DGRAM) as opened:
            sockets.enlarge(opened, 1 << 30)
            return opened.getsockopt(SOL_SOCKET, SO_RCVBUF)

    assert int(as_nobody(attempt)) == 2 * allowed


@families()
def test_more_groups_than_a_socket_may_join(trio: Trio, family: Family) -> None:
    """`igmp_max_memberships` is 20."""
    before = joined(trio.router, family, "toleft")
    with trio.router:
        memberships = Memberships(family)
        groups = {group(family, i) for i in range(1, 61)}
        for address in groups:
            memberships.join(trio.l, address)
            memberships.join(trio.l, address)
    assert joined(trio.router, family, "toleft") == before | groups
    assert not joined(trio.router, family, "toright") & groups
    for address in sorted(groups)[:30]:
        memberships.leave(trio.l, address)
        memberships.leave(trio.l, address)
    assert joined(trio.router, family, "toleft") == before | set(sorted(groups)[30:])
    with trio.router:
        for address in groups:
            memberships.join(trio.l, address)
    assert joined(trio.router, family, "toleft") == before | groups
    memberships.close()
    eventually(lambda: joined(trio.router, family, "toleft") == before)


@families()
def test_a_vanished_interface_can_be_forgotten(trio: Trio, family: Family) -> None:
    with trio.router:
        memberships = Memberships(family)
        memberships.join(trio.l, family.all_pim_routers)
        memberships.join(trio.r, family.all_pim_routers)
        before = len(os.listdir("/proc/self/fd"))
        trio.router.ip("link del toleft")
        with pytest.raises(OSError):
            memberships.join(trio.l, family.all_routers)
        memberships.forget(trio.l)
        memberships.forget(trio.l)
        memberships.leave(trio.l, family.all_pim_routers)
        assert len(os.listdir("/proc/self/fd")) == before - 1
        assert family.all_pim_routers in joined(trio.router, family, "toright")
        memberships.close()


def test_advice(trio: Trio) -> None:
    trio.router.sysctl("ipv4/ip_forward", 0)
    trio.router.sysctl("ipv6/conf/all/forwarding", 0)
    with trio.router:
        assert [one.reason for one in advice(IPV4, ["toleft"])] == ["unicast_forwarding_off"]
        assert [one.reason for one in advice(IPV6, ["toleft"])] == ["unicast_forwarding_off"]
        trio.router.sysctl("ipv4/ip_forward", 1)
        trio.router.sysctl("ipv6/conf/all/forwarding", 1)
        assert advice(IPV4, ["toleft", "no-such.device"]) == []
        assert advice(IPV6, ["toleft"]) == []
        trio.router.sysctl("ipv4/conf/toleft/rp_filter", 1)
        (found,) = advice(IPV4, ["toleft", "toright"])
        assert found.reason == "rp_filter_strict"
        assert "net.ipv4.conf.toleft.rp_filter=2" in found.text
        trio.router.sysctl("ipv4/conf/all/rp_filter", 2)
        assert advice(IPV4, ["toleft"]) == []


def test_the_module_needs_no_other_socket_names() -> None:
    assert sockets.socket is socket_module.socket
