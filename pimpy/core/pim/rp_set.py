"""Which RP a group has: RFC 7761 4.7.1 and 4.7.2."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pimpy.wire.family import Address, Family, Prefix

DEFAULT_HASH_MASK = {4: 30, 16: 126}
"""Hash mask lengths by the size of an address (RFC 5059 4.1)."""


@frozen
class Mapping:
    """One RP for one range of groups; of several priorities the lowest wins."""

    prefix: Prefix
    rp: Address
    priority: int = 0


def hash_value(group: Address, mask_length: int, candidate: Address) -> int:
    """Value(G,M,C) = (1103515245 * ((1103515245 * (G&M)+12345) XOR C) + 12345) mod 2^31 (4.7.2).

    IPv6: G&M and C are first folded to 32 bits, exclusive-or of their four words.
    """
    masked = int.from_bytes(group, "big") >> (8 * len(group) - mask_length) << (8 * len(group) - mask_length)
    seed = 1103515245 * _fold(masked) + 12345
    return (1103515245 * (seed ^ _fold(int.from_bytes(candidate, "big"))) + 12345) % (1 << 31)


def _fold(number: int) -> int:
    folded = 0
    while number:
        folded ^= number & 0xFFFFFFFF
        number >>= 32
    return folded


class RpSet:
    """All mappings of one family, by prefix length: a look-up costs as many steps as there are lengths."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.hash_mask = DEFAULT_HASH_MASK[family.size]
        self._ranges: dict[int, dict[int, list[Mapping]]] = {}
        self.mappings: tuple[Mapping, ...] = ()

    def replace(self, mappings: Iterable[Mapping]) -> None:
        """These are all mappings now."""
        self.mappings = tuple(mappings)
        self._ranges = {}
        for mapping in self.mappings:
            by_network = self._ranges.setdefault(mapping.prefix.length, {})
            by_network.setdefault(self._bits(mapping.prefix.network, mapping.prefix.length), []).append(mapping)

    def candidates(self, group: Address) -> list[Mapping]:
        """The mappings of the longest range that holds `group`."""
        for length in sorted(self._ranges, reverse=True):
            found = self._ranges[length].get(self._bits(group, length))
            if found:
                return found
        return []

    def rp(self, group: Address) -> Address | None:
        """RP(G): longest range, then lowest priority, then highest hash value, then highest address (4.7.1)."""
        candidates = self.candidates(group)
        if not candidates:
            return None
        best = min(mapping.priority for mapping in candidates)
        contenders = [mapping.rp for mapping in candidates if mapping.priority == best]
        return max(contenders, key=lambda rp: (hash_value(group, self.hash_mask, rp), rp))

    def _bits(self, address: Address, length: int) -> int:
        return int.from_bytes(address, "big") >> (8 * len(address) - length)
