"""How datagrams are read: one that comes alone at once, those of a rush together, and none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
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
    """How long dealing with them has taken."""

    def __post_init__(self) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        self.ours, self.theirs = zip(*pairs, strict=True)
        for opened in self.ours:
            opened.setblocking(False)
        fds = [opened.fileno() for opened in self.ours]
        self.reading = Reading(fds, self.receive, lambda: self.limit, self.feed, self.now)

    def now(self) -> float:
        return time.monotonic() + self.clock

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


async def turn(times: int = 3) -> None:
    """The loop goes round, and no time passes that would matter."""
    for _ in range(times):
        await asyncio.sleep(0)


async def read_all(table: Table, numbers: list[int]) -> None:
    deadline = time.monotonic() + 5
    while sorted(table.read) != numbers:
        assert time.monotonic() < deadline, f"left behind: {set(numbers) - set(table.read)}"
        await asyncio.sleep(0.001)


def test_what_comes_alone_is_read_at_once() -> None:
    async def story() -> None:
        table = Table()
        table.reading.start()
        for number in range(20):
            table.come(number, by=number % 2)
            await turn()
            assert table.read == list(range(number + 1))
            table.clock += 2 * GATHER

    asyncio.run(story())


def test_in_a_rush_they_gather_and_both_descriptors_are_read_together() -> None:
    async def story() -> None:
        table = Table(seconds=GATHER)  # so long that they gather for as long as they may
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

    asyncio.run(story())


def test_after_a_rush_what_comes_alone_is_read_at_once_again() -> None:
    async def story() -> None:
        table = Table(seconds=GATHER)
        table.reading.start()
        for number in range(5):
            table.come(number)
            await turn()
        await read_all(table, list(range(5)))
        await asyncio.sleep(5 * GATHER)
        table.come(5)
        await turn()
        assert table.read == list(range(6))

    asyncio.run(story())


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

    asyncio.run(story())
    assert all(read == 200 for read in rests), "nobody rested while there was more"


def test_registers_that_were_only_counted_fill_a_portion_too() -> None:
    async def story() -> None:
        table = Table(seconds=GATHER, limit=10)
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

    asyncio.run(story())


def test_nothing_is_read_after_the_end() -> None:
    async def story() -> None:
        for rush in (False, True):
            table = Table(seconds=GATHER)
            table.reading.start()
            table.come(0)
            await turn()
            if rush:
                table.come(1)
                await turn()
            before = list(table.read)
            table.reading.stop()
            table.come(7, by=0)
            table.come(8, by=1)
            await asyncio.sleep(3 * GATHER)
            assert table.read == before

    asyncio.run(story())


def test_who_ends_it_while_it_reads_has_ended_it() -> None:
    async def story() -> None:
        table = Table(seconds=GATHER)
        table.reading.start()
        table.come(0)
        await turn()
        feed = table.reading.feed
        table.reading.feed = lambda events: (feed(events), table.reading.stop())[0]
        table.come(1)
        await turn()
        table.come(2)
        await asyncio.sleep(3 * GATHER)
        assert table.read == [0, 1]

    asyncio.run(story())


@pytest.mark.parametrize("in_a_rush", [False, True])
def test_another_descriptor_takes_the_place_of_one(in_a_rush: bool) -> None:
    """Whether the loop watches, or what there is gathers: the one is read no more, the other is."""

    async def story() -> None:
        table = Table(seconds=GATHER if in_a_rush else 0.0)
        before, after = (opened.fileno() for opened in table.ours)
        table.reading.datagrams = [before]
        table.reading.start()
        table.come(1)
        await read_all(table, [1])
        table.reading.instead(before, after)
        table.come(2)
        table.come(3, by=1)
        await read_all(table, [1, 3])
        await asyncio.sleep(5 * GATHER)
        assert table.read == [1, 3]
        table.reading.stop()
        table.come(4, by=1)
        await turn()
        assert table.read == [1, 3]

    asyncio.run(story())
