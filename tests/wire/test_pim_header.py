"""The common header, checksums and destinations of PIM messages; every message truncated, and random bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pim_samples import NETS, any_message, decode, encode, ends, messages, reason_of, sealed, word_sum

from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Family, parse_address
from pimpy.wire.join_prune import JoinPrune
from pimpy.wire.reader import Malformed, Reader

SHAPES = list(messages(IPV4))
SPOKEN = (0, 1, 2, 3, 4, 5, 8)


def by_hand(family: Family, message: pim.Message, data: bytes, covered: int) -> int:
    """The checksum over the first `covered` bytes of `data`, summed word by word."""
    source, destination = ends(family, message)
    pseudo = source + destination + covered.to_bytes(4, "big") + bytes((0, 0, 0, 103))
    return word_sum((pseudo if family is IPV6 else b"") + data[:2] + b"\0\0" + data[4:covered])


def with_checksum(data: bytes, value: int) -> bytes:
    return data[:2] + value.to_bytes(2, "big") + data[4:]


@pytest.mark.parametrize("shape", SHAPES)
def test_V1_checksum_covers_the_message_and_for_ipv6_the_pseudo_header(family: Family, shape: str) -> None:
    message = messages(family)[shape]
    data = encode(family, message)
    covered = 8 if isinstance(message, pim.Register) else len(data)
    assert int.from_bytes(data[2:4], "big") == by_hand(family, message, data, covered)


@pytest.mark.parametrize("shape", SHAPES)
def test_V1_wrong_checksum_is_dropped(family: Family, shape: str) -> None:
    message = messages(family)[shape]
    data = encode(family, message)
    assert decode(family, data) == message
    good = int.from_bytes(data[2:4], "big")
    for wrong in (good ^ 1, good ^ 0x8000, 0):
        assert reason_of(decode, family, with_checksum(data, wrong)) == "bad_checksum"


@pytest.mark.parametrize("shape", SHAPES)
def test_V1_one_changed_byte_anywhere_is_noticed(family: Family, shape: str) -> None:
    message = messages(family)[shape]
    data = encode(family, message)
    covered = 8 if isinstance(message, pim.Register) else len(data)
    for position in range(1, covered):
        changed = data[:position] + bytes((data[position] ^ 0x10,)) + data[position + 1 :]
        assert reason_of(decode, family, changed) == "bad_checksum"


def test_V1_addresses_count_for_ipv6_only(family: Family) -> None:
    message = messages(family)["hello"]
    data = encode(family, message)
    net = NETS[family]
    elsewhere = (net.neighbor, family.all_pim_routers), (net.me, net.neighbor)
    for source, destination in elsewhere:
        if family is IPV4:
            assert pim.decode(family, source, destination, data) == message
        else:
            assert reason_of(pim.decode, family, source, destination, data) == "bad_checksum"


def test_V1_odd_length_is_padded_with_zero(family: Family) -> None:
    register = pim.Register(False, False, b"odd")
    data = encode(family, register)
    whole = with_checksum(data, by_hand(family, register, data, len(data)))
    assert len(whole) % 2 == 1
    assert decode(family, whole) == register


@pytest.mark.parametrize(
    ("shape", "checksum4", "checksum6"), [("register", 0xDEFF, 0x831B), ("null_register", 0x9EFF, 0x431B)]
)
def test_R16_register_checksum_covers_8_bytes(family: Family, shape: str, checksum4: int, checksum6: int) -> None:
    message = messages(family)[shape]
    ends6 = parse_address("2001:db8::1"), parse_address("2001:db8::2")
    source, destination = ends6 if family is IPV6 else ends(family, message)
    data = pim.encode(family, source, destination, message)
    assert int.from_bytes(data[2:4], "big") == (checksum4 if family is IPV4 else checksum6)
    assert pim.decode(family, source, destination, data) == message


@pytest.mark.parametrize("shape", ["register", "register border"])
def test_R16_register_checksum_over_the_whole_packet_is_accepted_and_no_other(family: Family, shape: str) -> None:
    message = messages(family)[shape]
    data = encode(family, message)
    short = int.from_bytes(data[2:4], "big")
    whole = by_hand(family, message, data, len(data))
    assert whole != short
    assert decode(family, with_checksum(data, whole)) == message
    for other in {by_hand(family, message, data, size) for size in (9, 20, len(data) - 1)} - {short, whole}:
        assert reason_of(decode, family, with_checksum(data, other)) == "bad_checksum"


def test_R16_damage_inside_the_packet_is_not_the_register_checksums_business(family: Family) -> None:
    data = encode(family, messages(family)["register"])
    changed = data[:-1] + bytes((data[-1] ^ 0xFF,))
    register = decode(family, changed)
    assert isinstance(register, pim.Register)
    assert register.packet == changed[8:]


@pytest.mark.parametrize("version", [0, 1, 3, 15])
def test_V2_version_other_than_2_is_dropped(family: Family, version: int) -> None:
    data = encode(family, messages(family)["hello"])
    assert reason_of(decode, family, bytes((version << 4,)) + data[1:]) == "bad_version"


@pytest.mark.parametrize("number", [number for number in range(16) if number not in SPOKEN])
def test_V2_types_that_are_not_spoken_are_dropped(family: Family, number: int) -> None:
    data = encode(family, messages(family)["hello"])
    assert reason_of(decode, family, bytes((0x20 | number,)) + data[1:]) == "unsupported_type"
    assert number not in pim.ROWS


def test_V2_all_other_types_are_spoken() -> None:
    assert tuple(sorted(pim.ROWS)) == SPOKEN


def test_V3_rows_tell_where_a_type_may_be_addressed() -> None:
    all_routers = {number for number, row in pim.ROWS.items() if row.to_all_routers}
    one_router = {number for number, row in pim.ROWS.items() if row.to_one_router}
    assert all_routers == {0, 3, 4, 5}
    assert one_router == {1, 2, 4, 8}


SHORT = {0: "hello_bad_option", 3: "jp_malformed"}


@pytest.mark.parametrize("shape", SHAPES)
def test_V5_truncated_at_every_offset(family: Family, shape: str) -> None:
    """A right checksum each time, so that the length itself is what is checked."""
    message = messages(family)[shape]
    data = encode(family, message)
    number = data[0] & 0x0F
    cuts_that_stay_whole = 0
    for size in range(len(data)):
        cut = sealed(family, data[:size])
        try:
            shorter = decode(family, cut)
        except Malformed as problem:
            assert problem.reason == ("truncated" if size < 4 else SHORT.get(number, "truncated"))
        else:
            assert type(shorter) is type(message) and shorter != message
            cuts_that_stay_whole += 1
    assert cuts_that_stay_whole == expected_whole(family, message)


def expected_whole(family: Family, message: pim.Message) -> int:
    """How many shorter messages are valid by themselves: between options, ranges and bytes of a packet inside."""
    if isinstance(message, pim.Hello):
        options = (message.holdtime, message.lan_prune_delay, message.dr_priority, message.generation_id)
        return sum(each is not None for each in (*options, message.addresses))
    if isinstance(message, Bootstrap):
        return len(message.ranges)
    if isinstance(message, pim.Register):
        return len(message.packet)
    return 0


@pytest.mark.parametrize("shape", SHAPES)
def test_V5_truncated_without_a_right_checksum(family: Family, shape: str) -> None:
    data = encode(family, messages(family)[shape])
    whole = 0
    for size in range(len(data)):
        try:
            decode(family, data[:size])
        except Malformed:
            continue
        whole += 1
    # A Register's checksum does not cover the packet inside, so such cuts cannot be noticed here.
    assert whole == (len(data) - 8 if data[0] == 0x21 else 0)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "register" not in shape and "hello" not in shape])
def test_trailing_bytes_are_ignored_but_not_by_a_bootstrap_message(family: Family, shape: str) -> None:
    message = messages(family)[shape]
    data = sealed(family, encode(family, message) + b"\0")
    if isinstance(message, Bootstrap):
        assert reason_of(decode, family, data) == "truncated"
    else:
        assert decode(family, data) == message


@pytest.mark.parametrize("shape", SHAPES)
def test_V15_reserved_flag_bits_are_sent_0_and_ignored(family: Family, shape: str) -> None:
    message = messages(family)[shape]
    data = encode(family, message)
    meant = 0x80 if isinstance(message, Bootstrap) else 0x00
    assert data[1] == (0x80 if isinstance(message, Bootstrap) and message.no_forward else 0)
    assert decode(family, sealed(family, bytes((data[0], data[1] | 0xFF & ~meant)) + data[2:])) == message


def test_V15_bit_7_of_a_bootstrap_message_alone_is_no_forward(family: Family) -> None:
    data = encode(family, messages(family)["bootstrap"])
    for bit in range(8):
        message = decode(family, sealed(family, bytes((data[0], 1 << bit)) + data[2:]))
        assert isinstance(message, Bootstrap)
        assert message.no_forward is (bit == 7)


@pytest.mark.parametrize("shape", SHAPES)
def test_names_of_messages(family: Family, shape: str) -> None:
    message = messages(family)[shape]
    label = shape.split()[0]
    assert pim.message_name(message) == label
    assert pim.MESSAGE_NAMES[type(message)] == label.removeprefix("null_")


def test_seal_gives_a_passed_on_message_a_new_checksum_and_changes_nothing_else(family: Family) -> None:
    net = NETS[family]
    message = messages(family)["bootstrap"]
    received = bytearray(pim.encode(family, net.neighbor, family.all_pim_routers, message))
    received[1] |= 0x11
    passed_on = pim.seal(family, net.me, family.all_pim_routers, bytes(received))
    assert pim.decode(family, net.me, family.all_pim_routers, passed_on) == message
    assert passed_on[:2] + passed_on[4:] == received[:2] + received[4:]


@settings(max_examples=200)
@given(st.data())
def test_any_message_and_back(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(FAMILIES))
    message = data.draw(any_message(family))
    encoded = encode(family, message)
    decoded = decode(family, encoded)
    assert decoded == message
    assert encode(family, decoded) == encoded
    assert encoded[0] == 0x20 | next(number for number, row in pim.ROWS.items() if row.message is type(message))
    assert len(encoded) >= pim.ROWS[encoded[0] & 0x0F].minimum(family)


def is_message_or_malformed(family: Family, data: bytes) -> bool:
    """Whether decoding `data` does what it may: give a message, which can be written again, or raise Malformed."""
    try:
        message = decode(family, data)
    except Malformed as problem:
        return problem.reason.replace("_", "").isalnum()
    again = decode(family, encode(family, message))
    return again == message


@settings(max_examples=300)
@given(st.sampled_from(FAMILIES), st.binary(max_size=120))
def test_random_bytes(family: Family, data: bytes) -> None:
    assert is_message_or_malformed(family, data)


@settings(max_examples=800)
@given(st.sampled_from(FAMILIES), st.sampled_from(SPOKEN), st.integers(0, 255), st.binary(max_size=120))
def test_random_bodies_with_a_right_checksum(family: Family, number: int, flags: int, body: bytes) -> None:
    assert is_message_or_malformed(family, sealed(family, bytes((0x20 | number, flags, 0, 0)) + body))


WHOLE = [(family, encode(family, message)) for family in FAMILIES for message in messages(family).values()]
EDGES = (0, 1, 2, 4, 7, 32, 33, 128, 129, 254, 255)
damages = st.lists(st.tuples(st.integers(1, 200), st.sampled_from(EDGES)), min_size=1, max_size=4)


@settings(max_examples=1000)
@given(st.sampled_from(WHOLE), damages, st.integers(0, 10))
def test_damaged_messages_with_a_right_checksum(
    whole: tuple[Family, bytes], changes: list[tuple[int, int]], cut: int
) -> None:
    """Almost right messages get further into the readers than random bytes do."""
    family, encoded = whole
    damaged = bytearray(encoded)
    for position, value in changes:
        damaged[1 + position % (len(damaged) - 1)] = value
    assert is_message_or_malformed(family, sealed(family, bytes(damaged[: len(damaged) - cut])))


def test_a_message_of_64_kilobytes_is_read(family: Family) -> None:
    net = NETS[family]
    entry = bytes((family.pim_number, 0, 4, family.bits)) + net.source
    count = (65535 - 100) // len(entry)
    head = bytes((family.pim_number, 0)) + net.neighbor + b"\0\x01\0\xd2"
    group = bytes((family.pim_number, 0, 0, family.bits)) + net.group + count.to_bytes(2, "big") + b"\0\0"
    message = decode(family, sealed(family, b"\x23\0\0\0" + head + group + entry * count))
    assert isinstance(message, JoinPrune)
    assert len(message.groups[0].joins) == count


def test_readers_stay_inside_their_reader(family: Family) -> None:
    """Each reader obeys the end of its Reader, not that of the bytes behind it."""
    for shape, message in messages(family).items():
        data = encode(family, message)
        row = pim.ROWS[data[0] & 0x0F]
        assert row.read(family, Reader(data + bytes(64), 4, len(data))) == message, shape
        try:
            shorter = row.read(family, Reader(data, 4, len(data) - 1))
        except Malformed:
            continue
        assert isinstance(shorter, pim.Register), shape
