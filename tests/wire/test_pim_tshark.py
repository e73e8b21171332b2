"""What `encode` makes, read by tshark: the same fields, right checksums, and nothing to complain about."""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import singledispatch
from pathlib import Path

import dpkt
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pim_samples import encode, ends, message_strategies, messages, sealed

from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, CandidateRpAdvertisement
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Address, Family, format_address
from pimpy.wire.join_prune import JoinPrune

LINKTYPE_RAW = 101
Fields = dict[str, list[str]]
LABELS = [*pim.MESSAGE_NAMES.values(), "null_register"]


def ip_packet(family: Family, source: Address, destination: Address, data: bytes) -> bytes:
    """`data` in an IP packet, as it would leave a router."""
    hops = 1 if family.is_multicast(destination) else 64
    if family is IPV4:
        return bytes(dpkt.ip.IP(src=source, dst=destination, p=103, ttl=hops, len=20 + len(data), data=data))
    return bytes(dpkt.ip6.IP6(src=source, dst=destination, nxt=103, hlim=hops, plen=len(data), data=data))


def drawn(family: Family, label: str) -> list[pim.Message]:
    """Random messages of a type, the same ones each time."""
    found: list[pim.Message] = []

    @settings(
        max_examples=25,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(message_strategies(family)[label])
    def collect(message: pim.Message) -> None:
        found.append(message)

    collect()
    return found


def collection() -> Iterator[tuple[Family, pim.Message]]:
    """The samples, and random messages of every type (for Registers the samples suffice: the rest is not PIM)."""
    for family in FAMILIES:
        for message in messages(family).values():
            yield family, message
        for label in set(message_strategies(family)) - {"register"}:
            for message in drawn(family, label):
                yield family, message


def dissect(path: Path, packets: list[bytes]) -> list[ElementTree.Element]:
    """Each packet as tshark tells it, from one run for all of them."""
    program = shutil.which("tshark")
    if program is None:
        if os.environ.get("PIMPY_ALLOW_MISSING"):
            pytest.skip("tshark is not installed")
        pytest.fail("tshark is not installed (PIMPY_ALLOW_MISSING=1 skips what needs it)")
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file, linktype=LINKTYPE_RAW)
        for packet in packets:
            writer.writepkt(packet, ts=0)
    command = [program, "-n", "-r", str(path), "-T", "pdml"]
    output = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    return ElementTree.fromstring(output).findall("packet")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Family, pim.Message, ElementTree.Element]]:
    """Each message with what tshark makes of it."""
    sent = list(collection())
    packets = [ip_packet(family, *ends(family, message), encode(family, message)) for family, message in sent]
    told = dissect(tmp_path_factory.mktemp("tshark") / "pim.pcap", packets)
    assert len(told) == len(sent)
    return [(family, message, packet) for (family, message), packet in zip(sent, told, strict=True)]


def fields_of(packet: ElementTree.Element) -> Fields:
    """The fields of the packet's outermost PIM message, each with its values in order."""
    layer = next(proto for proto in packet.findall("proto") if proto.get("name") == "pim")
    result: Fields = {}
    for field in layer.iter("field"):
        result.setdefault(field.get("name", ""), []).append(field.get("show", ""))
    return result


def complaints(packet: ElementTree.Element) -> list[str]:
    """What tshark finds wrong in any layer of the packet."""
    names = [(each.get("name", ""), each.get("showname", "")) for each in packet.iter()]
    return [f"{name}: {text}" for name, text in names if name.startswith(("_ws.expert", "_ws.malformed", "_ws.short"))]


# What tshark should tell of a message: field -> values in order. Address fields have another name for IPv6.


@singledispatch
def expected(message: object, family: Family) -> Fields:
    raise TypeError(message)


def name(family: Family, field: str) -> str:
    return field if family is IPV4 else f"{field}_ip6"


def texts(*addresses: Address) -> list[str]:
    return [format_address(address) for address in addresses]


def twice(values: list[str]) -> list[str]:
    """tshark shows a group first as the heading of what it holds, then as a field."""
    return [value for value in values for _ in range(2)]


def numbers(*values: int | None) -> list[str]:
    return [str(int(value)) for value in values if value is not None]


@expected.register
def _(message: pim.Hello, family: Family) -> Fields:
    delay = message.lan_prune_delay
    present = (message.holdtime, delay, message.dr_priority, message.generation_id, message.addresses)
    delays = [] if delay is None else [delay]
    types = [number for number, value in zip((1, 2, 19, 20, 24), present, strict=True) if value is not None]
    return {
        "pim.type": ["0"],
        "pim.optiontype": numbers(*types),
        "pim.holdtime": numbers(message.holdtime),
        "pim.t": numbers(*(each.t_bit for each in delays)),
        "pim.propagation_delay": numbers(*(each.propagation_delay for each in delays)),
        "pim.override_interval": numbers(*(each.override_interval for each in delays)),
        "pim.dr_priority": numbers(message.dr_priority),
        "pim.generation_id": numbers(message.generation_id),
        name(family, "pim.address_list"): texts(*(message.addresses or ())),
    }


@expected.register
def _(message: pim.Register, family: Family) -> Fields:
    return {
        "pim.type": ["1"],
        "pim.register_flag.border": numbers(message.border),
        "pim.register_flag.null_register": numbers(message.null),
        "pim.ip_version": ["4" if family is IPV4 else "6"],
    }


@expected.register
def _(message: pim.RegisterStop, family: Family) -> Fields:
    return {
        "pim.type": ["2"],
        name(family, "pim.group"): twice(texts(message.group)),
        "pim.mask_len": numbers(family.bits),
        name(family, "pim.source"): texts(message.source),
    }


@expected.register
def _(message: JoinPrune, family: Family) -> Fields:
    entries = [entry for _, joins, prunes in message.groups for entry in joins + prunes]
    return {
        "pim.type": ["3"],
        name(family, "pim.upstream_neighbor"): texts(message.upstream_neighbor),
        "pim.numgroups": numbers(len(message.groups)),
        "pim.holdtime": numbers(message.holdtime),
        name(family, "pim.group"): twice(texts(*(each.group for each in message.groups))),
        "pim.numjoins": numbers(*(len(each.joins) for each in message.groups)),
        "pim.numprunes": numbers(*(len(each.prunes) for each in message.groups)),
        "pim.join_ip" if family is IPV4 else "pim.join_ip6": texts(
            *(s for each in message.groups for s, _ in each.joins)
        ),
        "pim.prune_ip" if family is IPV4 else "pim.prune_ip6": texts(
            *(source for each in message.groups for source, _ in each.prunes)
        ),
        name(family, "pim.source"): texts(*(source for source, _ in entries)),
        "pim.source_addr.flags": [f"0x{kind:02x}" for _, kind in entries],
        "pim.mask_len": numbers(*([family.bits] * (len(message.groups) + len(entries)))),
    }


@expected.register
def _(message: pim.Assert, family: Family) -> Fields:
    return {
        "pim.type": ["5"],
        name(family, "pim.group"): twice(texts(message.group)),
        name(family, "pim.source"): texts(message.source),
        "pim.rpt": numbers(message.rpt),
        "pim.metric_pref": numbers(message.preference),
        "pim.metric": numbers(message.metric),
    }


@expected.register
def _(message: Bootstrap, family: Family) -> Fields:
    rps = [rp for each in message.ranges for rp in each.rps]
    groups = [each.group for each in message.ranges]
    return {
        "pim.type": ["4"],
        "pim.fragment_tag": [f"0x{message.fragment_tag:04x}"],
        "pim.hash_mask_len": numbers(message.hash_mask_length),
        "pim.bsr_priority": numbers(message.priority),
        name(family, "pim.bsr"): texts(message.bsr),
        name(family, "pim.group"): twice(texts(*(each.network for each in groups))),
        "pim.mask_len": numbers(*(each.length for each in groups)),
        "pim.group_addr.flags.b": numbers(*(each.bidir for each in message.ranges)),
        "pim.group_addr.flags.z": numbers(*(each.zone for each in message.ranges)),
        "pim.rp_count": numbers(*(each.rp_count for each in message.ranges)),
        "pim.frp_count": numbers(*(len(each.rps) for each in message.ranges)),
        name(family, "pim.rp"): texts(*(rp.address for rp in rps)),
        "pim.holdtime": numbers(*(rp.holdtime for rp in rps)),
        "pim.priority": numbers(*(rp.priority for rp in rps)),
    }


@expected.register
def _(message: CandidateRpAdvertisement, family: Family) -> Fields:
    return {
        "pim.type": ["8"],
        "pim.prefix_count": numbers(len(message.groups)),
        "pim.priority": numbers(message.priority),
        "pim.holdtime": numbers(message.holdtime),
        name(family, "pim.rp"): texts(message.rp),
        name(family, "pim.group"): twice(texts(*(each.group.network for each in message.groups))),
        "pim.mask_len": numbers(*(each.group.length for each in message.groups)),
        "pim.group_addr.flags.b": numbers(*(each.bidir for each in message.groups)),
        "pim.group_addr.flags.z": numbers(*(each.zone for each in message.groups)),
    }


@pytest.mark.parametrize("label", LABELS)
def test_tshark_reads_the_same_fields(
    seen: list[tuple[Family, pim.Message, ElementTree.Element]], family: Family, label: str
) -> None:
    of_label = [each for each in seen if each[0] is family and pim.message_name(each[1]) == label]
    assert len(of_label) >= (1 if label == "null_register" else 2 if label == "register" else 25)
    for _, message, packet in of_label:
        fields = fields_of(packet)
        assert fields["pim.version"] == ["2"]
        for field, values in expected(message, family).items():
            assert fields.get(field, []) == values, (field, message)
        no_forward = isinstance(message, Bootstrap) and message.no_forward
        assert fields["pim.res_bytes"][0] == ("80" if no_forward else "00")
        assert fields["pim.cksum.status"] == ["1"], message
        assert complaints(packet) == [], message


def test_tshark_reads_the_packet_inside_a_register(
    seen: list[tuple[Family, pim.Message, ElementTree.Element]], family: Family
) -> None:
    """A Null-Register's dummy header is an IP packet of S to G, with an empty PIM header for IPv6."""
    protocols = {
        pim.message_name(message): [proto.get("name") for proto in packet.findall("proto")]
        for owner, message, packet in seen
        if owner is family and isinstance(message, pim.Register)
    }
    outer, ip = ["geninfo", "frame", "raw"], "ip" if family is IPV4 else "ipv6"
    assert protocols["register"][:7] == [*outer, ip, "pim", ip, "udp"]
    assert protocols["null_register"] == [*outer, ip, "pim", ip, *(["pim"] if family is IPV6 else [])]


def test_tshark_does_complain_about_bad_messages(family: Family, tmp_path: Path) -> None:
    """The other tests would pass with a tshark that never complained."""
    message = messages(family)["hello"]
    good = encode(family, message)
    bad_checksum = good[:2] + bytes((good[2] ^ 1,)) + good[3:]
    short = sealed(family, good[:-2])
    source, destination = ends(family, message)
    packets = [ip_packet(family, source, destination, data) for data in (good, bad_checksum, short)]
    told = dissect(tmp_path / "bad.pcap", packets)
    assert [bool(complaints(packet)) for packet in told] == [False, True, True]
    assert [fields_of(packet)["pim.cksum.status"] for packet in told] == [["1"], ["0"], ["1"]]


def test_both_families_are_seen(seen: list[tuple[Family, pim.Message, ElementTree.Element]]) -> None:
    assert {family for family, _, _ in seen} == {IPV4, IPV6}
