"""What passes on a link, written down by tcpdump and read by tshark: an independent judge of every packet.

What is here:
    link.capture()                       starts; control packets (PIM, IGMP, ICMPv6) unless told otherwise
    lab.capture_all()                    the same on every link
    complaints(lab, [r1, r2])            what tshark objects to in the packets that these nodes sent
    assert_clean(lab, r1, r2)            that it objects to nothing
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .shell import Process, run, wait_until

if TYPE_CHECKING:
    from .topology import Lab, Link, Node

CONTROL = "proto 103 or igmp or (ip6 and (ip6[6] == 103 or ip6[6] == 58 or ip6[6] == 0))"
EVERYTHING = ""
CHECKS = ("ip.check_checksum:TRUE", "udp.check_checksum:TRUE")
"""Preferences of tshark that are off by default. It checks those of PIM, IGMP and ICMPv6 anyway."""


class Capture:
    """A capture that runs until `stop()`."""

    def __init__(self, process: Process, path: Path, link: Link) -> None:
        self.process = process
        self.path = path
        self.link = link
        wait_until(lambda: "listening on" in process.output(), 10, "tcpdump listens", process.check_alive)

    def stop(self) -> Path:
        """Ends it; the file."""
        if self.process.returncode is None:
            self.process.stop(signal.SIGINT)
        return self.path

    def fields(self, display_filter: str, *names: str) -> list[list[str]]:
        """Stops, and gives tshark's fields of the packets that its filter lets through."""
        return tshark_fields([self.stop()], display_filter, *names)


def capture_link(link: Link, what: str | None = None) -> Capture:
    port = next(iter(link.ports.values()))
    lab = port.node.lab
    namespace = link.namespace if link.lan else port.node.namespace
    interface = "br0" if link.lan else port.name
    name = f"{link.name}-{sum(one.link is link for one in lab.captures)}"
    path = lab.claim.folder / f"{name}.pcap"
    expression = CONTROL if what is None else what
    argv = ["tcpdump", "-Z", "root", "-n", "-p", "-U", "--immediate-mode", "-B", "8192", "-i", interface]
    inside = ["ip", "netns", "exec", str(namespace), *argv, "-w", str(path), *([expression] if expression else [])]
    process = lab.start_process(f"capture of {name}", inside, lab.claim.folder / f"{name}.tcpdump")
    capture = Capture(process, path, link)
    lab.captures.append(capture)
    return capture


def tshark_fields(files: Sequence[Path], display_filter: str, *names: str) -> list[list[str]]:
    """A row of fields for each packet of all these files, in order of time."""
    if not files:
        return []
    merged = files[0]
    if len(files) > 1:
        merged = files[0].with_name("merged.pcapng")
        run(["mergecap", "-w", str(merged), *map(str, files)])
    argv = ["tshark", "-n", "-r", str(merged), "-2", "-R", display_filter or "frame", "-T", "fields"]
    for check in CHECKS:
        argv += ["-o", check]
    for name in names:
        argv += ["-e", name]
    return [line.split("\t") for line in run(argv, timeout=300).splitlines()]


def complaints(lab: Lab, nodes: Iterable[Node]) -> list[str]:
    """What tshark holds to be wrong (warnings and errors) in the PIM, IGMP and MLD packets that `nodes` have sent."""
    return [" | ".join(row) for row in _told(lab, nodes) if _is_complaint(row)]


def assert_clean(lab: Lab, *nodes: Node) -> None:
    """That tshark has no complaint about what these nodes sent, and that they sent something."""
    told = _told(lab, nodes)
    found = [" | ".join(row) for row in told if _is_complaint(row)]
    assert not found, "tshark complains:\n" + "\n".join(found)
    sent = [row for row in told if row[PROTOCOL].startswith("PIM")]
    assert sent, f"no PIM message of {', '.join(node.name for node in nodes)} was captured"


TOLD = (
    "frame.time_relative",
    "eth.src",
    "_ws.col.Protocol",
    "_ws.col.Info",
    "_ws.expert.message",
    "_ws.expert.severity",
    "_ws.malformed",
)
PROTOCOL, SEVERITY, MALFORMED = 2, 5, 6
WARNING = 0x600000


def _told(lab: Lab, nodes: Iterable[Node]) -> list[list[str]]:
    """A row for each PIM, IGMP and MLD packet that `nodes` have sent: tshark takes half a second to begin, so once."""
    files = [capture.stop() for capture in lab.captures]
    macs = ", ".join(port.mac for node in nodes for port in node.ports.values())
    return tshark_fields(files, f"eth.src in {{{macs}}} and (pim or igmp or icmpv6)", *TOLD)


def _is_complaint(row: list[str]) -> bool:
    severities = [int(word) for word in row[SEVERITY].split(",") if word]
    return bool(row[MALFORMED]) or max(severities, default=0) >= WARNING
