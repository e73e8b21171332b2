"""How datagrams are read: one that comes alone at once, those of a rush together, and none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import pytest

from pimpy.core.engine.events import Event, LinkGone, RegistersRepeated
from pimpy.daemon.reading import GATHER, Reading

PLENTY = 256


@dataclass(eq=False)
class Table:
    """Two sockets on which numbers come, and what was read of them."""

    seconds: float = 0.0
    """What it takes to deal with each batch."""
    limit: int = PLENTY
    make: Callable[[list[int]], list[Event]] = lambda numbers: [LinkGone(number) for number in numbers]
    batches: list[list[Event]] = field(default_factory=list)
    clock: float = 0.0
    """The time in seconds, which the loop takes for its own: it goes on while a batch is dealt with and in `rest`."""

    def __post_init__(self) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        self.ours, self.theirs = zip(*pairs, strict=True)
        for opened in self.ours:
            opened.setblocking(False)
        fds = [opened.fileno() for opened in self.ours]
        self.reading = Reading(fds, self.receive, lambda: self.limit, self.feed, self.now)

    def now(self) -> float:
        return self.clock

    async def rest(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(10):
            self.clock += seconds / 10
            await turn()

    def receive(self, fd: int, limit: int) -> list[Event]:
        opened = next(each for each in self.ours if each.fileno() == fd)
        numbers: list[int] = []
        with contextlib.suppress(BlockingIOError):
            while len(numbers) < limit:
                numbers.append(int(opened.recv(16)))
        return self.make(numbers)

    def feed(self, events: list[Event]) -> None:
        self.batches.append(events)
        self.clock += self.seconds

    def come(self, *numbers: int, by: int = 0) -> None:
        for number in numbers:
            self.theirs[by].send(b"%d" % number)

    @property
    def read(self) -> list[int]:
        return [event.ifindex for batch in self.batches for event in batch if isinstance(event, LinkGone)]


def told(table: Table, story: Coroutine[None, None, None]) -> None:
    """Run the story by the table's clock."""

    async def by_its_clock() -> None:
        asyncio.get_running_loop().time = table.now  # type: ignore[method-assign]
        await story

    asyncio.run(by_its_clock())


async def turn(times: int = 3) -> None:
    """The loop goes round, and no time passes."""
    for _ in range(times):
        await asyncio.sleep(0)


async def read_all(table: Table, numbers: list[int]) -> None:
    for _ in range(1000):
        if sorted(table.read) == numbers:
            return
        await table.rest(GATHER / 10)
    raise AssertionError(f"left behind: {set(numbers) - set(table.read)}")


def test_what_comes_alone_is_read_at_once() -> None:
    table = Table()

    async def story() -> None:
        table.reading.start()
        for number in range(20):
            table.come(number, by=number % 2)
            await turn()
            assert table.read == list(range(number + 1))
            table.clock += 2 * GATHER

    told(table, story())


def test_in_a_rush_they_gather_and_both_descriptors_are_read_together() -> None:
    table = Table(seconds=GATHER)  # so long that they gather for as long as they may

    async def story() -> None:
        table.reading.start()
        table.come(0)
        await turn()
        table.come(1)
        await turn()
        assert table.read == [0, 1], "that they come fast is known now"
        for number in range(2, 42):
            table.come(number, by=number % 2)
            await turn()
        assert table.read == [0, 1], "the others gather"
        await read_all(table, list(range(42)))
        assert len(table.batches) < 10

    told(table, story())


def test_after_a_rush_what_comes_alone_is_read_at_once_again() -> None:
    table = Table(seconds=GATHER)

    async def story() -> None:
        table.reading.start()
        for number in range(5):
            table.come(number)
            await turn()
        await read_all(table, list(range(5)))
        await table.rest(5 * GATHER)
        table.come(5)
        await turn()
        assert table.read == list(range(6))

    told(table, story())


def test_as_long_as_more_waits_nothing_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that is behind reads on: a hundred full portions, and then the rest."""
    rests: list[int] = []
    gather = Reading._gather

    def noted(reading: Reading) -> None:
        rests.append(len(table.read))
        gather(reading)

    monkeypatch.setattr(Reading, "_gather", noted)
    table = Table(seconds=GATHER, limit=2)

    async def story() -> None:
        table.reading.start()
        table.come(*range(200))
        await read_all(table, list(range(200)))

    told(table, story())
    assert all(read == 200 for read in rests), "nobody rested while there was more"


def test_registers_that_were_only_counted_fill_a_portion_too() -> None:
    table = Table(seconds=GATHER, limit=10)

    async def story() -> None:
        table.make = lambda numbers: [RegistersRepeated(1, b"", len(numbers))] if numbers else []
        table.reading.start()
        table.come(*range(10))
        await turn()
        table.come(10)
        await turn()
        assert len(table.batches) == 2
        table.come(11)
        await turn()
        assert len(table.batches) == 3, "the full one was followed by no rest, so nobody was in a rush"

    told(table, story())


@pytest.mark.parametrize("in_a_rush", [False, True])
def test_nothing_is_read_after_the_end(in_a_rush: bool) -> None:
    table = Table(seconds=GATHER)

    async def story() -> None:
        table.reading.start()
        table.come(0)
        await turn()
        if in_a_rush:
            table.come(1)
            await turn()
        before = list(table.read)
        table.reading.stop()
        table.come(7, by=0)
        table.come(8, by=1)
        await table.rest(3 * GATHER)
        assert table.read == before

    told(table, story())


def test_who_ends_it_while_it_reads_has_ended_it() -> None:
    table = Table(seconds=GATHER)

    async def story() -> None:
        table.reading.start()
        table.come(0)
        await turn()
        feed = table.reading.feed
        table.reading.feed = lambda events: (feed(events), table.reading.stop())[0]
        table.come(1)
        await turn()
        table.come(2)
        await table.rest(3 * GATHER)
        assert table.read == [0, 1]

    told(table, story())


@pytest.mark.parametrize("in_a_rush", [False, True])
def test_another_descriptor_takes_the_place_of_one(in_a_rush: bool) -> None:
    """Whether the loop watches, or what there is gathers: the one is read no more, the other is."""
    table = Table(seconds=GATHER if in_a_rush else 0.0)

    async def story() -> None:
        before, after = (opened.fileno() for opened in table.ours)
        table.reading.datagrams = [before]
        table.reading.start()
        table.come(1)
        await read_all(table, [1])
        table.reading.instead(before, after)
        table.come(2)
        table.come(3, by=1)
        await read_all(table, [1, 3])
        await table.rest(5 * GATHER)
        assert table.read == [1, 3]
        table.reading.stop()
        table.come(4, by=1)
        await turn()
        assert table.read == [1, 3]

    told(table, story())
