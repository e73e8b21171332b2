"""A host that says every 5 ms that it wants (source, group), until it is killed: `reporter.py IF SOURCE GROUP`.

The kernel's own host would answer the router's first query somewhen within its Max Response Time.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import time

from pimpy.wire import igmp, mld
from pimpy.wire.membership import Record, RecordType, Report

PERIOD = 0.005
ROUTER_ALERT_4 = bytes([0x94, 4, 0, 0])
ROUTER_ALERT_6 = bytes([socket.IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0])


def raw_socket(family: int, protocol: int, interface: str) -> socket.socket:
    """One that speaks on this interface only."""
    made = socket.socket(family, socket.SOCK_RAW, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    return made


def main() -> None:
    interface, source, group = sys.argv[1], *(ipaddress.ip_address(word) for word in sys.argv[2:4])
    report = Report((Record(RecordType.ALLOW_NEW_SOURCES, group.packed, (source.packed,)),))
    if group.version == 4:
        host = raw_socket(socket.AF_INET, socket.IPPROTO_IGMP, interface)
        host.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, ROUTER_ALERT_4)
        message = igmp.encode_report(report)
        host.connect(("224.0.0.22", 0))
    else:
        host = raw_socket(socket.AF_INET6, socket.IPPROTO_ICMPV6, interface)
        host.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, ROUTER_ALERT_6)
        message = mld.encode_report(report)
        host.connect(("ff02::16", 0, 0, socket.if_nametoindex(interface)))
    while True:
        host.send(message)
        time.sleep(PERIOD)


if __name__ == "__main__":
    main()
