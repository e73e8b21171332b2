"""Network namespaces for tests of the kernel floor: made for a test, entered by the thread that runs it, taken away."""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from socket import if_nametoindex
from types import TracebackType
from typing import TypeVar

import pytest

from pimpy.wire.family import IPV4, IPV6, Address, Family, parse_address

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()
T = TypeVar("T")


def missing(what: str) -> None:
    """The running test cannot be run here: it fails, or is skipped for a person who allows that."""
    if os.environ.get("PIMPY_ALLOW_MISSING"):
        pytest.skip(f"missing: {what}")
    pytest.fail(f"missing: {what} (PIMPY_ALLOW_MISSING=1 skips what is missing)", pytrace=False)


def eventually(look: Callable[[], T], timeout: float = 5.0) -> T:
    """The first true value of `look`; AssertionError with its last one after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not (value := look()):
        assert time.monotonic() < end, f"still {value!r}"
        time.sleep(0.005)
    return value


class Namespace:
    """A network namespace with loopback up; `with` it, sockets are opened in it."""

    def __init__(self) -> None:
        self.name = f"pimpy-k{os.getpid()}-{next(_numbers)}"
        made = subprocess.run(["ip", "netns", "add", self.name], capture_output=True, text=True, check=False)
        if made.returncode:
            missing(f"network namespaces: {made.stderr.strip()}")
        self._fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        self._before: list[int] = []
        _all.append(self)
        for key in ("ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter", "ipv6/conf/default/accept_dad"):
            self.sysctl(key, 0)
        self.sysctl("ipv6/conf/default/router_solicitations", 0)
        self.ip("link set lo up")

    def __enter__(self) -> Namespace:
        self._before.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        _setns(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        before = self._before.pop()
        _setns(before)
        os.close(before)

    def ip(self, *commands: str) -> None:
        """Run commands of ip(8), in one process."""
        done = subprocess.run(
            ["ip", "-n", self.name, "-batch", "-"],
            input="\n".join(commands) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}: {done.stderr}"

    def sysctl(self, key: str, value: int) -> None:
        """Write /proc/sys/net/KEY."""
        with self:
            Path("/proc/sys/net", key).write_text(str(value))

    def ifindex(self, name: str) -> int:
        """The index of an interface."""
        with self:
            return if_nametoindex(name)

    def close(self) -> None:
        """Take it away; what still has sockets in it goes with them."""
        _all.remove(self)
        os.close(self._fd)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


_all: list[Namespace] = []


def close_all() -> None:
    """Take away every namespace of this process, and those that killed ones left behind."""
    for namespace in list(_all):
        namespace.close()
    for path in Path("/run/netns").glob("pimpy-k*-*"):
        if not Path("/proc", path.name.removeprefix("pimpy-k").partition("-")[0]).exists():
            subprocess.run(["ip", "netns", "del", path.name], capture_output=True, check=False)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")


def connect(one: Namespace, name: str, other: Namespace, peer: str) -> None:
    """A veth pair between two namespaces, both ends up."""
    one.ip(f"link add name {name} type veth peer name {peer} netns {other.name}", f"link set {name} up")
    other.ip(f"link set {peer} up")


class Trio:
    """left --- router --- right: the router's interfaces are `toleft` and `toright`, the hosts' `eth`; both families.

    Networks are 10.0.1.0/24 and 2001:db8:1::/64 on the left, 2 on the right; the router is .1, hosts are .2.
    """

    def __init__(self) -> None:
        self.router, self.left, self.right = Namespace(), Namespace(), Namespace()
        for number, (name, host) in enumerate((("toleft", self.left), ("toright", self.right)), 1):
            connect(self.router, name, host, "eth")
            self.router.ip(
                f"addr add 10.0.{number}.1/24 dev {name}", f"addr add 2001:db8:{number}::1/64 dev {name} nodad"
            )
            host.ip(
                f"addr add 10.0.{number}.2/24 dev eth",
                f"addr add 2001:db8:{number}::2/64 dev eth nodad",
                f"route add default via 10.0.{number}.1",
                "route add 224.0.0.0/4 dev eth",
                f"route add default via 2001:db8:{number}::1",
            )
        self.l, self.r = self.router.ifindex("toleft"), self.router.ifindex("toright")

    def link_local(self, namespace: Namespace, name: str) -> Address:
        """The IPv6 link-local address of an interface."""
        with namespace:
            for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines():
                address, *_, scope, _flags, device = line.split()
                if device == name and scope == "20":
                    return bytes.fromhex(address)
        raise AssertionError(f"{name} has no link-local address")


def as_nobody(function: Callable[[], object]) -> str:
    """The repr of what `function` returns in a child process that is nobody and has no capability."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            try:
                answer = repr(function())
            except BaseException as error:
                answer = repr(error)
            os.write(writer, answer.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer


def host(family: Family, network: int, number: int = 2) -> Address:
    """An address in one of a Trio's networks."""
    return parse_address(f"10.0.{network}.{number}" if family is IPV4 else f"2001:db8:{network}::{number}")


def group(family: Family, number: int = 1) -> Address:
    """A group that may be routed."""
    return (b"\xef\x01" if family is IPV4 else b"\xff\x0e" + bytes(12)) + number.to_bytes(2, "big")


def families() -> pytest.MarkDecorator:
    """Run the test for both families."""
    return pytest.mark.parametrize("family", [IPV4, IPV6], ids=lambda family: family.name)
