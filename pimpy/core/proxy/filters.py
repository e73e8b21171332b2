"""What a proxy's filters let through: of all rules that match the last decides."""

from __future__ import annotations

from pimpy.config.proxies import Filter
from pimpy.wire.family import Address

ALL = "all"
SOME = "some"
NONE = "none"


def permits(found: Filter | None, group: Address, source: Address, other: str) -> bool:
    """Whether a stream passes; `other` is the interface on the other side."""
    if found is None:
        return True
    verdict = found.otherwise
    for rule in found.rules:
        if (
            (rule.interface is None or rule.interface == other)
            and (rule.group is None or rule.group.holds(group))
            and (rule.source is None or rule.source.holds(source))
        ):
            verdict = rule.permit
    return verdict


def of_group(found: Filter | None, group: Address, other: str) -> str:
    """How much of a group passes, whatever its source: ALL, SOME (by some rule on sources) or NONE."""
    if found is None:
        return ALL
    verdict, mixed = found.otherwise, False
    for rule in found.rules:
        if rule.interface is not None and rule.interface != other:
            continue
        if rule.group is not None and not rule.group.holds(group):
            continue
        if rule.source is None or rule.source.everything:
            verdict, mixed = rule.permit, False
        elif rule.permit != verdict and len(rule.source.first) == len(group):
            mixed = True
    return SOME if mixed else ALL if verdict else NONE
