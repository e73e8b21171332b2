"""Tables typed from RFC 7761, and how to read them.

A table is text: the first line holds the events, separated by `|`, the others a state and its cells. A cell is
`-`, or `-> STATE; action; action`. The words are the RFC's, cut short where its own figures cut them.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Cell:
    """What an event does in a state."""

    state: str
    """The state afterwards."""
    actions: frozenset[str]


def read(table: str) -> dict[tuple[str, str], Cell]:
    """(state, event) -> cell."""
    head, *lines = [line for line in table.strip().splitlines() if line.strip()]
    events = _fields(head)[1:]
    cells: dict[tuple[str, str], Cell] = {}
    for line in lines:
        state, *columns = _fields(line)
        assert len(columns) == len(events), line
        for event, text in zip(events, columns, strict=True):
            cells[state, event] = _cell(state, text)
    return cells


def turned(table: str) -> dict[tuple[str, str], Cell]:
    """The same of a table with an event a line, and a state a column."""
    head, *lines = [line for line in table.strip("\n").splitlines() if line.strip()]
    states = _fields(head)[1:]
    rows = [_fields(line) for line in lines]
    return {(state, row[0]): _cell(state, row[1 + place]) for row in rows for place, state in enumerate(states)}


def _fields(line: str) -> list[str]:
    return [field.strip() for field in line.split("|")]


def _cell(state: str, text: str) -> Cell:
    parts = [part.strip() for part in text.split(";")]
    if parts == ["-"]:
        return Cell(state, frozenset())
    if parts[0].startswith("->"):
        state = parts.pop(0)[2:].strip()
    return Cell(state, frozenset(parts))


# Figure 3: Downstream per-interface (S,G) state machine (4.5.2). "start ET": set to the HoldTime of the message;
# "max ET": set to the maximum of its current value and that HoldTime; "start PPT": set to
# J/P_Override_Interval(I) if there is more than one neighbour on I, otherwise to zero. "Send Prune-Echo": only
# if there is more than one neighbour ("need not be sent on an interface that contains only a single PIM neighbor").
DOWNSTREAM = read("""
   | Receive Join(S,G)         | Receive Prune(S,G)   | Prune-Pending Timer Expires | Expiry Timer Expires
NI | -> J; start ET            | -> NI                | -                           | -
J  | -> J; max ET              | -> PP; start PPT     | -                           | -> NI
PP | -> J; max ET; cancel PPT  | -> PP                | -> NI; Send Prune-Echo      | -> NI
""")

# Figure 6: Upstream (S,G) state machine (4.5.5), and its two tables for the Joined state: an event a line here.
UPSTREAM = turned("""
                            | NJ                               | J
JoinDesired ->True          | -> J; Send Join; JT = t_periodic | -
JoinDesired ->False         | -                                | -> NJ; Send Prune; cancel JT
Timer Expires               | -                                | Send Join; JT = t_periodic
See Join to RPF'            | -                                | increase JT to t_joinsuppress
See Prune to RPF'           | -                                | decrease JT to t_override
See Prune(S,G,rpt) to RPF'  | -                                | decrease JT to t_override
See Prune(*,G) to RPF'      | -                                | decrease JT to t_override
RPF' changes, not by Assert | -                                | Send Join to new; Send Prune to old; JT = t_periodic
RPF' GenID changes          | -                                | decrease JT to t_override
RPF' changes by Assert      | -                                | decrease JT to t_override
""")
