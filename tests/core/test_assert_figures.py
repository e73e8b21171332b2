"""Figures 8 and 9, each cell from the outside: the Assert machines of one router (RFC 7761 4.6.1, 4.6.2).

`test_assert_oracle.py` goes through all combinations of facts of a received Assert; here are the other events, and
that what the verdicts say is done: state, timer, AssertWinner and its metric, what is sent, what is forwarded.
"""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from speakers import Channel
from tables import ASSERT, ASSERT_STAR, Cell

from pimpy.config.model import Config
from pimpy.core.pim import metric
from pimpy.core.pim.asserts import AssertState
from pimpy.wire.family import Family
from pimpy.wire.record import evolve

STATES = {"NI": "no_info", "W": "winner", "L": "loser"}
WINNER_TIME, LOSER_TIME = 177.0, 180.0
INFERIOR, OURS, ANOTHERS, WINNERS, PREFERRED = (200, 9), (101, 0), (60, 60), (50, 50), (10, 1)
"""(preference, metric) from worse to better: ours, and that of the winner where we lost."""
WORSE_OF_WINNER = (70, 0)
CANCEL = (True, 0x7FFFFFFF, 0xFFFFFFFF)
HELD = 50.0
"""Seconds between the state and the event."""


class Case:
    """A router that forwards S onto a LAN with 2, 3 and 4, from S's own tree or from the shared one, in a state.

    3 says Hello once, and wins where we lose.
    """

    def __init__(self, family: Family, star: bool, before: str, upstream: bool) -> None:
        self.star, self.before = star, before
        self.link = "up" if upstream else "down"
        config = Config(spt_threshold="infinity")
        if upstream:
            self.stand = AsmStand(family, rp="up", up=(9, 8), down=(2,), config=config)
        else:
            self.stand = AsmStand(family, down=(2, 4), config=config)
        self.source: Channel = self.stand.far(by=8 if upstream else 9)
        self.stand.hello(self.link, self.winner, holdtime=60)
        self.stand.say("Join(*,G)", *([] if star else ["Join(S,G)"]), holdtime=0xFFFF)
        if upstream:
            self.stand.say("Join(*,G)", "Join(S,G)", by=8, link="up", holdtime=0xFFFF)
        else:
            self.stand.data(self.source, "rpt" if star else "up")
        self._bring_into(before)
        self.stand.run(HELD)
        self.stand.mark()

    def _bring_into(self, before: str) -> None:
        if before == "W":
            self.stand.data(self.source, "down")
        if before == "L":
            self.hear((self.star, *WINNERS), self.winner)
        assert self.state == STATES[before]

    @property
    def winner(self) -> int:
        """The neighbour that wins where we lose."""
        return 9 if self.link == "up" else 3

    @property
    def which(self) -> Channel | None:
        return None if self.star else self.source

    @property
    def state(self) -> str:
        return self.stand.assert_state(self.which, self.link)

    def machine(self) -> AssertState:
        found: AssertState = self.stand._assert(self.which, self.link)
        return found

    def hear(self, metric: tuple[bool, int, int], by: int, *, rpt_of_source: bool = False) -> None:
        named = self.stand.family.any if self.star and not rpt_of_source else self.source[0]
        self.stand.hear_assert(named, metric, by=by, link=self.link)

    def happen(self, event: str) -> None:
        """Let an event of the figures happen."""
        stand, kind = self.stand, self.star
        heard = {
            "Inferior, RPTbit clear": ((False, *INFERIOR), 2),
            "Inferior, RPTbit set": ((True, *INFERIOR), 2),
            "RPTbit set": ((True, *ANOTHERS), 2),
            "RPTbit clear": ((False, *PREFERRED), 2),
            "Acceptable, RPTbit clear": ((False, *ANOTHERS), 2),
            "Acceptable, RPTbit set": ((True, *ANOTHERS), 2),
            "Preferred": ((kind, *PREFERRED), 2),
            "Acceptable from Current Winner": ((kind, *WORSE_OF_WINNER), 3),
            "Inferior from Current Winner": ((kind, *INFERIOR), 3),
            "Cancel from Current Winner": (CANCEL, 3),
        }
        if event in heard:
            self.hear(*heard[event], rpt_of_source=event == "RPTbit clear")
        elif event == "Data arrives":
            stand.data(self.source, self.link)
        elif event == "Assert Timer Expires":
            stand.hello(self.link, self.winner, holdtime=0xFFFF)
            stand.run(stand.assert_timer(self.which, self.link) or 0.0)
        elif event in ("CouldAssert -> FALSE", "AssTrDes -> FALSE"):
            stand.say("Prune(*,G)", "Prune(S,G)")
            stand.run(3)
        elif event == "Winner's GenID changes":
            stand.hello(self.link, self.winner, generation_id=0x77)
        elif event == "Winner's NLT expires":
            stand.run(60 - HELD)
        elif event == "my_metric better":
            target = stand.rp if self.star else self.source[0]
            stand.r1.handle(evolve(stand.r1.route(target), protocol=4, metric=1))
            stand.run(0)
        elif event == "RPF_interface stops being I":
            stand.r1.static_route(stand.rp if self.star else self.source[0], "rpt", stand.seven)
            stand.run(0)
        else:
            stand.say("Join(*,G)" if self.star else "Join(S,G)", by=4)

    def sent(self) -> list[tuple[bool, int, int]]:
        return [(m.rpt, m.preference, m.metric) for _, m in self.stand.asserts(self.link)]


CASES = [(False, *cell) for cell in ASSERT] + [(True, *cell) for cell in ASSERT_STAR]


@pytest.mark.parametrize(("star", "before", "event"), CASES, ids=lambda word: str(word))
def test_A1_A5_A6_A9_A11_A15_every_cell_of_figures_8_and_9(family: Family, star: bool, before: str, event: str) -> None:
    case = Case(family, star, before, upstream=event == "RPF_interface stops being I")
    cell = (ASSERT_STAR if star else ASSERT)[before, event]
    timer = case.stand.assert_timer(case.which, case.link)
    case.happen(event)
    assert case.state == STATES[cell.state]
    check_sent(case, cell, event)
    if cell.state == "NI":
        return
    found = case.machine()
    left = case.stand.assert_timer(case.which, case.link)
    if {"A1", "A3"} & cell.actions:
        assert left == WINNER_TIME and found.winner == case.stand.us(case.link)
    elif {"A2", "A6"} & cell.actions:
        heard = WORSE_OF_WINNER if "Current Winner" in event else PREFERRED if event == "Preferred" else ANOTHERS
        by = 3 if "Current Winner" in event else 2
        assert left == LOSER_TIME
        assert found.winner == case.stand.peer("down", by).address
        assert (found.metric.rpt, found.metric.preference, found.metric.metric) == (star, *heard)
    else:
        assert left == timer


def check_sent(case: Case, cell: Cell, event: str) -> None:
    """A1 and A3 send our Assert, A4 a cancel, the others nothing; who lost does not forward, who did not does."""
    ours = [(case.star, *OURS)] if {"A1", "A3"} & cell.actions else []
    assert case.sent() == ours + ([CANCEL] if "A4" in cell.actions else [])
    of_the_other_machine = event == "RPTbit clear"
    if case.link == "down" and not event.endswith("-> FALSE") and not of_the_other_machine:
        assert (case.link in case.stand.forwards(case.source)) == (cell.state != "L")


def test_A1_figures_8_and_9_know_the_same_events() -> None:
    rename = {"Inferior, RPTbit set": "Inferior, RPTbit clear", "Acceptable, RPTbit set": "Acceptable, RPTbit clear"}
    star = {
        (state, rename.get(event, "RPTbit set" if event == "RPTbit clear" else event)) for state, event in ASSERT_STAR
    }
    assert star == set(ASSERT) and {state for state, _ in ASSERT} == set(STATES)


PROTOCOLS = """
    2 kernel    0
    3 boot      1
    4 static    1
    186 bgp    20
    187 isis  115
    188 ospf  110
    189 rip   120
    192 eigrp  90
    196 zstatic 1
"""
"""What rtnetlink(7) calls the protocols, and the administrative distances that routers have had for them since ever."""


def test_the_preference_of_a_route_is_its_protocols_administrative_distance() -> None:
    rows = [line.split() for line in PROTOCOLS.strip().splitlines()]
    assert {int(number): int(distance) for number, _, distance in rows} == metric.PREFERENCES
    assert metric.DEFAULT_PREFERENCE == 101
