"""Tables typed from RFC 7761, and how to read them.

A table is text: the first line holds the events, separated by `|`, the others a state and its cells. A cell is
`-`, or `-> STATE; action; action`, or `x` where the event cannot be. The words are the RFC's, cut short where its own
figures cut them.
"""

from __future__ import annotations

from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class Cell(Value):
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
            if text != "x":
                cells[state, event] = _cell(state, text)
    return cells


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

# Figure 6: Upstream (S,G) state machine (4.5.5), and its two tables for the Joined state.
UPSTREAM = read("""
   | JoinDesired ->True                | JoinDesired ->False                     | Timer Expires                    | See Join to RPF'                       | See Prune to RPF'                | See Prune(S,G,rpt) to RPF'       | See Prune(*,G) to RPF'           | RPF' changes not due to an Assert                            | RPF' GenID changes | RPF' changes due to an Assert
NJ | -> J; Send Join; JT = t_periodic  | -                                       | -                                | -                                      | -                                | -                                | -                                | -                                                            | - | -
J  | -                                 | -> NJ; Send Prune; cancel JT            | Send Join; JT = t_periodic       | increase JT to t_joinsuppress          | decrease JT to t_override        | decrease JT to t_override        | decrease JT to t_override        | Send Join to new; Send Prune to old; JT = t_periodic         | decrease JT to t_override | decrease JT to t_override
""")  # noqa: E501

# Figure 1: Per-(S,G) register state machine at a DR (4.4.1). "set RST to rand": Register_Suppression_Time, spread as
# 4.11 says; "set RST to probe": to Register_Probe_Time.
REGISTER = read("""
   | Register-Stop Timer expires                  | Could Register ->True  | Could Register ->False | Register-Stop received                | RP changed
NI | -                                            | -> J; add tunnel       | -                      | -                                     | -
J  | -                                            | -                      | -> NI; remove tunnel   | -> P; remove tunnel; set RST to rand  | -> J; update tunnel
JP | -> J; add tunnel                             | -                      | -> NI                  | -> P; set RST to rand                 | -> J; add tunnel; cancel RST
P  | -> JP; set RST to probe; send Null-Register  | -                      | -> NI                  | -                                     | -> J; add tunnel; cancel RST
""")  # noqa: E501

# Figure 2: Downstream per-interface (*,G) state machine (4.5.1); the words as for figure 3.
DOWNSTREAM_STAR = read("""
   | Receive Join(*,G)         | Receive Prune(*,G)   | Prune-Pending Timer Expires | Expiry Timer Expires
NI | -> J; start ET            | -> NI                | -                           | -
J  | -> J; max ET              | -> PP; start PPT     | -                           | -> NI
PP | -> J; max ET; cancel PPT  | -> PP                | -> NI; Send Prune-Echo      | -> NI
""")

# Figure 4: Downstream per-interface (S,G,rpt) state machine (4.5.3). No time passes in P' and PP'.
DOWNSTREAM_RPT = read("""
    | Receive Join(*,G) | Receive Join(S,G,rpt) | Receive Prune(S,G,rpt)        | End of Message | Prune-Pending Timer Expires | Expiry Timer Expires
NI  | -                 | -                     | -> PP; start PPT; start ET    | -              | -                           | -
P   | -> P'             | -> NI                 | -> P; max ET                  | -              | -                           | -> NI
PP  | -> PP'            | -> NI                 | -                             | -              | -> P                        | -> NI
P'  | -                 | -                     | -> P; max ET                  | -> NI          | -                           | -
PP' | -                 | -                     | -> PP; max ET                 | -> NI          | -                           | -
""")  # noqa: E501

# Figure 5: Upstream (*,G) state machine (4.5.4), and its table for the Joined state.
UPSTREAM_STAR = read("""
   | JoinDesired ->True                | JoinDesired ->False          | Timer Expires              | See Join to RPF'           | See Prune to RPF'         | RPF' changes due to an Assert | RPF' changes not due to an Assert                    | RPF' GenID changes
NJ | -> J; Send Join; JT = t_periodic  | -                            | -                          | -                          | -                         | -                             | -                                                    | -
J  | -                                 | -> NJ; Send Prune; cancel JT | Send Join; JT = t_periodic | increase JT to t_suppressed| decrease JT to t_override | decrease JT to t_override     | Send Join to new; Send Prune to old; JT = t_periodic | decrease JT to t_override
""")  # noqa: E501

# Figure 7: Upstream (S,G,rpt) state machine for triggered messages (4.5.7), and its table for NotPruned. "Send
# Join(S,G,rpt)" at the end of OT only if RPF'(S,G,rpt) = RPF'(*,G).
UPSTREAM_RPT = read("""
   | PruneDesired(S,G,rpt) ->True          | PruneDesired(S,G,rpt) ->False | RPTJoinDesired(G) ->False | inherited_olist(S,G,rpt) ->non-NULL | Override Timer expires | See Prune(S,G,rpt) to RPF'(S,G,rpt) | See Join(S,G,rpt) to RPF'(S,G,rpt) | See Prune(S,G) to RPF'(S,G,rpt) | RPF'(S,G,rpt) -> RPF'(*,G)
RNJ| -> P                                  | -                             | -                         | -> NP                               | -                      | -                                   | -                                  | -                               | -
P  | -                                     | -> NP; Send Join(S,G,rpt)     | -> RNJ                    | -                                   | -                      | -                                   | -                                  | -                               | -
NP | -> P; Send Prune(S,G,rpt); cancel OT  | -                             | -> RNJ; cancel OT         | -                                   | Send Join(S,G,rpt)     | OT = min(OT, t_override)            | cancel OT                          | OT = min(OT, t_override)        | OT = min(OT, t_override)
""")  # noqa: E501

# Figure 8: Per-interface (S,G) Assert state machine (4.6.1), and its paragraphs. In state L whoever is not called
# the Current Winner is another router.
ASSERT = read("""
   | Inferior, RPTbit clear | RPTbit set   | Acceptable, RPTbit clear | Preferred    | Acceptable from Current Winner | Inferior from Current Winner | Cancel from Current Winner | Data arrives | Assert Timer Expires | CouldAssert -> FALSE | Winner's GenID changes | Winner's NLT expires | AssTrDes -> FALSE | my_metric better | RPF_interface stops being I | Receive Join on I
NI | -> W; A1               | -> W; A1     | -> L; A6                 | -> L; A6     | x                              | x                            | x                          | -> W; A1     | x                    | -                    | x                      | x                    | -                 | -                | x                           | -
W  | -> W; A3               | -> W; A3     | -> L; A2                 | -> L; A2     | x                              | x                            | x                          | -            | -> W; A3             | -> NI; A4            | x                      | x                    | x                 | -                | x                           | -
L  | -                      | -            | -                        | -> L; A2     | -> L; A2                       | -> NI; A5                    | -> NI; A5                  | -            | -> NI; A5            | x                    | -> NI; A5              | -> NI; A5            | -> NI; A5         | -> NI; A5        | -> NI; A5                   | -> NI; A5
""")  # noqa: E501

# Figure 9: Per-interface (*,G) Assert state machine (4.6.2). One with the RPTbit clear is none of its business.
ASSERT_STAR = read("""
   | Inferior, RPTbit set   | RPTbit clear | Acceptable, RPTbit set   | Preferred    | Acceptable from Current Winner | Inferior from Current Winner | Cancel from Current Winner | Data arrives | Assert Timer Expires | CouldAssert -> FALSE | Winner's GenID changes | Winner's NLT expires | AssTrDes -> FALSE | my_metric better | RPF_interface stops being I | Receive Join on I
NI | -> W; A1               | -            | -> L; A2                 | -> L; A2     | x                              | x                            | x                          | -> W; A1     | x                    | -                    | x                      | x                    | -                 | -                | x                           | -
W  | -> W; A3               | -            | -> L; A2                 | -> L; A2     | x                              | x                            | x                          | -            | -> W; A3             | -> NI; A4            | x                      | x                    | x                 | -                | x                           | -
L  | -                      | -            | -                        | -> L; A2     | -> L; A2                       | -> NI; A5                    | -> NI; A5                  | -            | -> NI; A5            | x                    | -> NI; A5              | -> NI; A5            | -> NI; A5         | -> NI; A5        | -> NI; A5                   | -> NI; A5
""")  # noqa: E501
