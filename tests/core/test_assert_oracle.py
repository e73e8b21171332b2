"""`decide` and `decide_star` over all combinations of facts, against RFC 7761 4.6.1 and 4.6.2 written down again.

The oracle reads the figures' cells from text: for each state the messages that matter, in the order of the RFC's
paragraphs, with its own notions of preferred, acceptable and inferior (4.6.1), made of plain tuples.
"""

from __future__ import annotations

from itertools import product

import pytest

from pimpy.core.pim.asserts import Facts, State, decide, decide_star
from pimpy.core.pim.metric import INFINITE, Metric

ME, THEM, THIRD = b"\x0a\0\0\x05", b"\x0a\0\0\x03", b"\x0a\0\0\x07"
INFINITE_WORDS = (1, 0x7FFFFFFF, 0xFFFFFFFF)
SAMPLES = [(0, 0, 0), (0, 5, 5), (0, 5, 6), (1, 0, 0), (1, 5, 5), INFINITE_WORDS]


def key(words: tuple[int, int, int], address: bytes) -> tuple[int, int, int, int]:
    """Smaller is better: R bit, preference, metric, and of equal ones the higher address."""
    return (*words, -int.from_bytes(address, "big"))


class Prose:
    """What 4.6.1 calls the received Assert."""

    def __init__(
        self, received: tuple[int, int, int], sender: bytes, mine: tuple[int, int, int], stored: object
    ) -> None:
        i_could = mine != INFINITE_WORDS
        self.is_cancel = received == INFINITE_WORDS
        # "A preferred assert is one with a better metric than the current winner."
        self.preferred = stored is not None and key(received, sender) < stored  # type: ignore[operator]
        # "An acceptable assert is one that has a better metric than my_assert_metric(S,G,I). An assert is never
        # considered acceptable if its metric is infinite."
        self.acceptable = not self.is_cancel and (not i_could or key(received, sender) < key(mine, ME))
        # "An inferior assert is one with a worse metric than my_assert_metric(S,G,I). An assert is never considered
        # inferior if my_assert_metric(S,G,I) is infinite."
        self.inferior = i_could and key(received, sender) > key(mine, ME)


def sg_action(state: str, rpt: bool, could: bool, tracking: bool, said: Prose, from_winner: bool) -> str:
    """Figure 8."""
    if state == "no_info":
        # "Receive Inferior Assert with RPTbit cleared AND CouldAssert",
        # "Receive Assert with RPTbit set AND CouldAssert".
        if could and ((not rpt and said.inferior) or rpt):
            return "A1"
        # "Receive Acceptable Assert with RPTbit clear AND AssertTrackingDesired".
        if not rpt and said.acceptable and tracking:
            return "A6"
        return "-"
    if state == "winner":
        # "Receive Inferior Assert" A3; "Receive Preferred Assert" A2.
        return "A3" if said.inferior else "A2" if said.preferred else "-"
    # Loser. "Receive Preferred Assert" A2; "Receive Acceptable Assert with RPTbit clear from Current Winner" A2;
    # "Receive Inferior Assert or Assert Cancel from Current Winner" A5.
    if said.preferred:
        return "A2"
    if from_winner and (said.inferior or said.is_cancel):
        return "A5"
    if from_winner and said.acceptable and not rpt:
        return "A2"
    return "-"


def star_action(state: str, could: bool, tracking: bool, said: Prose, from_winner: bool) -> str:
    """Figure 9: the same for Asserts with the RPTbit, and without the SPTbit's A6."""
    if state == "no_info":
        if said.inferior and could:
            return "A1"
        return "A2" if said.acceptable and tracking else "-"
    if state == "winner":
        return "A3" if said.inferior else "A2" if said.preferred else "-"
    if said.preferred:
        return "A2"
    if from_winner and (said.inferior or said.is_cancel):
        return "A5"
    return "A2" if from_winner and said.acceptable else "-"


def combinations(star: bool):  # type: ignore[no-untyped-def]
    """(state, received, sender, mine, stored, winner, could, tracking) of all that can be."""
    received = [words for words in SAMPLES if words[0] or not star]
    for state, said, sender, mine, could, tracking in product(
        ("no_info", "winner", "loser"), received, (THEM, THIRD), SAMPLES, (False, True), (False, True)
    ):
        if (mine == INFINITE_WORDS and (could or state == "winner")) or (star and not mine[0]):
            continue
        if not star and could and mine[0]:
            continue  # my_assert_metric(S,G,I) is the spt's where CouldAssert(S,G,I)
        if state != "loser":
            yield state, said, sender, mine, (mine if state == "winner" else None), ME, could, tracking
            continue
        for stored, winner in product(SAMPLES[:-1], (THEM, THIRD)):
            if key(stored, winner) < key(mine, ME) or mine == INFINITE_WORDS:  # else it would not be a loser
                yield state, said, sender, mine, stored, winner, could, tracking


@pytest.mark.parametrize("star", [False, True], ids=["sg", "star"])
def test_A5_A7_A9_A10_A11_A18_A25_A26_every_combination_of_facts(star: bool) -> None:
    seen = set()
    for state, said, sender, mine, stored, winner, could, tracking in combinations(star):
        facts = Facts(
            state=State(state),
            rpt=bool(said[0]),
            could_assert=could,
            tracking_desired=tracking,
            received=Metric(bool(said[0]), said[1], said[2], sender),
            mine=INFINITE if mine == INFINITE_WORDS else Metric(bool(mine[0]), mine[1], mine[2], ME),
            stored=INFINITE if stored is None else Metric(bool(stored[0]), stored[1], stored[2], winner),
            from_winner=state == "loser" and sender == winner,
        )
        prose = Prose(said, sender, mine, None if stored is None else key(stored, winner))
        if star:
            expected = star_action(state, could, tracking, prose, facts.from_winner)
            verdict = decide_star(facts)
        else:
            expected = sg_action(state, bool(said[0]), could, tracking, prose, facts.from_winner)
            verdict = decide(facts)
        assert (verdict.name if verdict.name != "NOTHING" else "-") == expected, facts
        seen.add((state, expected))
    wanted = {("no_info", "-"), ("no_info", "A1"), ("winner", "A2"), ("winner", "A3")}
    wanted |= {("loser", "A2"), ("loser", "A5"), ("loser", "-")}
    assert wanted | {("no_info", "A2" if star else "A6")} <= seen
