"""The Internet checksum against RFC 1071's example, a word-by-word sum and dpkt."""

from __future__ import annotations

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pim_samples import word_sum

from pimpy.wire.checksum import internet_checksum, is_sound, ones_complement_sum, pseudo_header
from pimpy.wire.family import parse_address


def test_sum_of_the_example_in_rfc_1071_section_3() -> None:
    assert ones_complement_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", 0xFFFF),
        ("0000", 0xFFFF),
        ("ffff", 0x0000),
        ("ffffffff", 0x0000),
        ("8000", 0x7FFF),
        ("00", 0xFFFF),
        ("01", 0xFEFF),
        ("0001 80", 0x7FFE),
        ("ffff 0001", 0xFFFE),
    ],
)
def test_edges(data: str, expected: int) -> None:
    assert internet_checksum(bytes.fromhex(data)) == expected


@given(st.binary(max_size=2000))
def test_same_as_word_by_word_and_as_dpkt(data: bytes) -> None:
    assert internet_checksum(data) == word_sum(data) == dpkt.in_cksum(data)


@given(st.binary(min_size=2, max_size=200).filter(lambda data: len(data) % 2 == 0))
def test_a_message_with_its_checksum_is_sound_and_one_changed_bit_is_not(data: bytes) -> None:
    whole = data + internet_checksum(data).to_bytes(2, "big")
    assert is_sound(whole)
    for bit in range(0, 8 * len(whole), 7):
        changed = (int.from_bytes(whole, "big") ^ 1 << bit).to_bytes(len(whole), "big")
        assert not is_sound(changed)


def test_zeros_have_no_sound_checksum_of_zero() -> None:
    assert not is_sound(bytes(8))
    assert not is_sound(b"")


def test_pseudo_header_of_rfc_8200() -> None:
    source, destination = parse_address("2001:db8::1"), parse_address("ff02::d")
    expected = source + destination + bytes.fromhex("00012345 000000 67")
    assert pseudo_header(source, destination, 0x12345, 103) == expected
