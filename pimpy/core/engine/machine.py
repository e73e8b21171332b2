"""A state machine is a total table that names its RFC section; a missing or foreign cell fails at import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Generic, TypeVar


class Word(Enum):
    """What the states and the events of a machine are made of: each hashes by its identity, at no cost."""

    __hash__ = object.__hash__


State = TypeVar("State", bound=Word)
Event = TypeVar("Event", bound=Word)
Owner = TypeVar("Owner")


class Machine(Generic[State, Event, Owner]):
    """One kind of state machine: what each event does in each state.

    A cell is the action, a function of (owner, argument) that sets the owner's next state, or None where
    the RFC's table has a dash. `section` is where the RFC prints the table.
    """

    def __init__(
        self,
        section: str,
        states: type[State],
        events: type[Event],
        table: Mapping[tuple[State, Event], Callable[[Owner, float], None] | None],
    ) -> None:
        wanted = {(state, event) for state in states for event in events}
        if missing := wanted - table.keys():
            raise TypeError(f"RFC 7761 {section}: no cell for {sorted(map(str, missing))}")
        if foreign := table.keys() - wanted:
            raise TypeError(f"RFC 7761 {section}: cells of another machine: {sorted(map(str, foreign))}")
        self.section = section
        self.states = states
        self.events = events
        self.table = table

    def step(self, state: State, event: Event, owner: Owner, argument: float = 0.0) -> None:
        """Let `event` happen to `owner`, which is in `state`; `argument` is the event's (a hold time, say)."""
        action = self.table[state, event]
        if action is not None:
            action(owner, argument)
