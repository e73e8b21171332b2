"""The Internet checksum (RFC 1071) and the IPv6 pseudo header (RFC 8200 8.1)."""

from __future__ import annotations

from pimpy.wire.family import Address


def ones_complement_sum(data: bytes) -> int:
    """The one's complement sum (0 to 0xffff) of 16-bit words in network order; an odd last byte is padded with 0.

    The sum is 0 only if every byte is 0, and 0xffff if `data` holds its own right checksum.
    """
    number = int.from_bytes(data, "big")
    if len(data) & 1:
        number <<= 8
    # 2**16 is 1 modulo 65535, so the remainder of the whole number is the folded sum of its words.
    return number % 0xFFFF or (0xFFFF if number else 0)


def internet_checksum(data: bytes) -> int:
    """The value for the checksum field of `data`, in which that field is zero now."""
    return 0xFFFF - ones_complement_sum(data)


def is_sound(data: bytes) -> bool:
    """Whether `data`, its checksum field included, has the right checksum."""
    return ones_complement_sum(data) == 0xFFFF


def pseudo_header(source: Address, destination: Address, length: int, next_header: int) -> bytes:
    """The IPv6 pseudo header, which stands in front of the message when it is summed.

    `length` is the number of bytes of the upper-layer message, `next_header` its protocol number (0 to 255).
    """
    return b"".join((source, destination, length.to_bytes(4, "big"), next_header.to_bytes(4, "big")))
