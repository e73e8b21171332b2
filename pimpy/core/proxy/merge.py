"""The merge of many interfaces' reception state to one (RFC 4605 4.1, RFC 9776 3.2; conformance X2).

If anybody wants all sources but some (EXCLUDE), the merge is EXCLUDE of those that all such exclude and nobody
includes; else it is INCLUDE of all that are named.
"""

from __future__ import annotations

from collections.abc import Iterable

from pimpy.core.gmp.host import NOTHING, Reception
from pimpy.core.gmp.membership import EXCLUDE, GroupRecord
from pimpy.wire.family import Address
from pimpy.wire.record import define, field

LONGEST = 4096
"""Sources of a merged list; a longer INCLUDE list becomes EXCLUDE of nothing, which brings all of them."""


def reception(record: GroupRecord) -> Reception:
    """What the members of one link want; a source whose timer runs does not count as excluded."""
    if record.mode is EXCLUDE:
        return Reception(True, frozenset(a for a, source in record.sources.items() if not source.timer.running))
    return Reception(False, frozenset(a for a, source in record.sources.items() if source.timer.running))


@define
class Merge:
    """A merge while it is made."""

    excluded: frozenset[Address] | None = None
    """What all in mode EXCLUDE exclude; None: nobody is in that mode."""
    included: set[Address] = field(factory=set)

    def add(self, state: Reception) -> None:
        """One more link's, or one more proxy's."""
        if state.excludes:
            self.excluded = state.sources if self.excluded is None else self.excluded & state.sources
        else:
            self.included |= state.sources

    def result(self) -> Reception:
        """The whole."""
        if self.excluded is not None:
            return Reception(True, self.excluded - self.included)
        if len(self.included) > LONGEST:
            return Reception(True, frozenset())
        return Reception(False, frozenset(self.included)) if self.included else NOTHING


def merged(states: Iterable[Reception]) -> Reception:
    """The merge of these."""
    merge = Merge()
    for state in states:
        merge.add(state)
    return merge.result()
