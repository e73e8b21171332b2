"""The election's decision and its tables once more: typed from RFC 5059 3.1.1 and 3.1.2, and judged by an oracle."""

from __future__ import annotations

from itertools import product

import pytest
from tables import read

from pimpy.core.pim.bsr import MACHINE, Event, Facts, State, decide

# 3.1.1, 3.1.2. What a column of the RFC's does not have in a state cannot happen there, or does nothing: `-`.
CANDIDATE = read("""
          | Receive Preferred BSM                    | Receive Non-preferred BSM      | Receive Non-preferred BSM from Elected BSR | Bootstrap Timer Expires             | Scope-Zone Expiry Timer Expires
candidate | -> candidate; forward; store; timeout    | -                              | -> pending; forward; override              | -> pending; override                | -
pending   | -> candidate; forward; store; timeout    | -> pending; forward            | -                                          | -> elected; originate; period       | -
elected   | -> candidate; forward; store; timeout    | -> elected; originate; period  | -                                          | -> elected; originate; period       | -
""")  # noqa: E501
OTHERS = read("""
                  | Receive Preferred BSM                           | Receive Non-preferred BSM | Receive Non-preferred BSM from Elected BSR | Bootstrap Timer Expires                | Scope-Zone Expiry Timer Expires
accept_any        | -> accept_preferred; forward; store; timeout    | -                         | -                                          | -                                      | -> no_info
accept_preferred  | -> accept_preferred; forward; store; timeout    | -                         | -                                          | -> accept_any; refresh; remove bsr; szt | -
""")  # noqa: E501


class Spy:
    """Stands for a zone, and tells what was done to it."""

    def __init__(self, state: State, candidate: bool) -> None:
        self.state, self.candidate, self.done = state.value, candidate, set[str]()
        self.routing = self

    def accept(self) -> None:
        self.state = "candidate" if self.candidate else "accept_preferred"
        self.done |= {"forward", "store", "timeout"}

    def forward(self) -> None:
        self.done.add("forward")

    def refresh(self) -> None:
        """Ours: the RFC's text has it of any expiry, its table for candidates has not."""

    def become_pending(self) -> None:
        self.state = "pending"
        self.done.add("override")

    def become_elected(self) -> None:
        self.state = "elected"
        self.done |= {"originate", "period"}

    assert_election = become_elected

    def refresh_and_forget(self) -> None:
        self.state = "accept_any"
        self.done |= {"refresh", "remove bsr", "szt"}

    def remove_zone(self, zone: object) -> None:
        self.state = "no_info"


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)), ids=lambda word: word.name.lower())
def test_B4_B5_B6_B7_B8_the_tables_are_the_rfcs(state: State, event: Event) -> None:
    candidate = state.value in ("candidate", "pending", "elected")
    cell = (CANDIDATE if candidate else OTHERS)[state.value, event.value]
    spy = Spy(state, candidate)
    MACHINE.step(state, event, spy)  # type: ignore[arg-type]
    assert (spy.state, spy.done) == (cell.state, set(cell.actions))


def oracle(state: str, mine: int | None, current: int | None, received: int) -> str:
    """3.1.4 from its prose. A weight is priority * 10 + address, so that the last digit tells who it is."""
    if state == "accept_any":
        return "preferred"
    current_weight = mine if state in ("pending", "elected") else current
    assert current_weight is not None
    from_current = state in ("candidate", "accept_preferred") and received % 10 == current_weight % 10
    if received >= current_weight:
        return "preferred"
    if from_current:
        still = mine is None or received >= mine
        return "preferred" if still else "non-preferred from elected"
    return "non-preferred"


WORDS = {
    Event.PREFERRED: "preferred",
    Event.NON_PREFERRED: "non-preferred",
    Event.NON_PREFERRED_FROM_ELECTED: "non-preferred from elected",
}


@pytest.mark.parametrize("state", State, ids=lambda word: word.value)
def test_decide_agrees_with_the_oracle_on_all_small_weights(state: State) -> None:
    weights = [priority * 10 + address for priority in range(4) for address in range(1, 5)]
    candidate = state.value in ("candidate", "pending", "elected")
    compared = 0
    for mine, current, received in product(weights if candidate else [None], weights, weights):
        if mine is not None and received % 10 == mine % 10:
            continue  # our own messages do not come back (B1)
        if mine is not None and state is State.CANDIDATE and (current % 10 == mine % 10 or current < mine):
            continue  # it would not be a candidate then
        facts = Facts(state, *(None if w is None else (w // 10, bytes((w % 10,))) for w in (mine, current, received)))  # type: ignore[arg-type]
        assert WORDS[decide(facts)] == oracle(state.value, mine, current, received), (mine, current, received)
        compared += 1
    assert compared > 100


def test_the_oracle_is_no_copy_that_accepts_everything() -> None:
    assert oracle("accept_preferred", None, 21, 12) == "non-preferred"
    assert oracle("accept_preferred", None, 21, 11) == "preferred"
    assert oracle("candidate", 15, 21, 11) == "non-preferred from elected"
    assert oracle("pending", 15, 39, 21) == "preferred"
