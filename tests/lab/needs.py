"""What the lab needs. What is missing fails a test; a person who sets PIMPY_ALLOW_MISSING=1 gets a skip instead."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import pytest

from .paths import FRR_ROOT, IGMPPROXY, PIMD, PIMPYD, PROMETHEUS, SMCROUTED

REMEDY = "run `tests/prepare test` as root; PIMPY_ALLOW_MISSING=1 skips what is missing"


def missing(what: str) -> None:
    """Ends the running test: `what` is not here."""
    if os.environ.get("PIMPY_ALLOW_MISSING") == "1":
        pytest.skip(f"missing: {what}")
    pytest.fail(f"missing: {what} ({REMEDY})", pytrace=False)


@cache
def _lacking_kernel_features() -> tuple[str, ...]:
    features = {
        "/proc/sys/net/ipv4/ip_forward": "IPv4 forwarding",
        "/proc/net/ip_mr_vif": "IPv4 multicast routing (CONFIG_IP_MROUTE)",
        "/proc/net/ip6_mr_vif": "IPv6 multicast routing (CONFIG_IPV6_MROUTE)",
        "/proc/self/ns/net": "network namespaces (CONFIG_NET_NS)",
    }
    return tuple(name for path, name in features.items() if not Path(path).exists())


def need_root() -> None:
    if os.geteuid() != 0:
        missing("root: namespaces and raw sockets")


def need_program(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            missing(f"the program {name}")


def need_lab() -> None:
    """All that a topology and its traffic need."""
    need_root()
    need_program("ip", "ethtool", "setpriv", "nsenter")
    for name in _lacking_kernel_features():
        missing(f"in this kernel: {name}")


def need_captures() -> None:
    need_program("tcpdump", "tshark", "mergecap")


def need_frr() -> None:
    if not (FRR_ROOT / "usr/lib/frr/pim6d").exists():
        missing(f"FRR below {FRR_ROOT}")


def need_pimd() -> None:
    if not PIMD.exists():
        missing(f"pimd as {PIMD}")


def need_smcroute() -> None:
    if not SMCROUTED.exists():
        missing(f"smcroute as {SMCROUTED}")


def need_igmpproxy() -> None:
    if not IGMPPROXY.exists():
        missing(f"igmpproxy as {IGMPPROXY}")


def need_prometheus() -> None:
    if not PROMETHEUS.exists():
        missing(f"Prometheus as {PROMETHEUS}")


def need_pimpyd() -> None:
    if not PIMPYD.exists():
        missing(f"{PIMPYD}: run `make build`")
