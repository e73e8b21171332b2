"""`watch` and `expect-neighbor`: what they make of the model, and as lines again."""

from __future__ import annotations

from collections.abc import Iterator

from pimpy.config.builder import Builder, Line
from pimpy.config.diagnostics import quote
from pimpy.config.directives import Directive, integer
from pimpy.config.membership import group_of, interface_of, source_of
from pimpy.config.model import Config, ExpectedNeighbor, Watch
from pimpy.config.ranges import is_address
from pimpy.wire.family import family_of, format_address, parse_address

MAX_PACKETS = 4_294_967_295
MAX_INTERVAL = 86_400
MAX_WATCHES = 256
"""Watches, and as many expected neighbours."""
_NAME = 64
"""Letters of a watch's name."""
_WATCH = "watch is written: watch NAME [source ADDR] group GROUP [min-packets N] [interval SEC]"
_EXPECT = "expect-neighbor is written: expect-neighbor ADDR IF"


def _watch(builder: Builder, line: Line) -> None:
    words = list(line.words[1:])
    name = words.pop(0) if words else None
    said: dict[str, str] = {}
    while words:
        word = words.pop(0).lower()
        if word not in ("source", "group", "min-packets", "interval") or word in said or not words:
            builder.error(line, word, _WATCH)
            return
        said[word] = words.pop(0)
    if name is None or "group" not in said:
        builder.error(line, None, _WATCH)
        return
    if len(name) > _NAME or not name.isprintable():
        builder.error(line, name, f"watch: a name has at most {_NAME} letters that can be printed")
        return
    group = group_of(builder, line, said["group"])
    packets = integer(builder, line, said.get("min-packets", "1"), "watch min-packets", 1, MAX_PACKETS)
    interval = integer(builder, line, said.get("interval", "10"), "watch interval", 1, MAX_INTERVAL)
    if group is None or packets is None or interval is None:
        return
    source = None
    if "source" in said and (source := source_of(builder, line, said["source"], len(group))) is None:
        return
    before: tuple[Watch, ...] = builder.values.get("watches", ())
    if any(watch.name == name for watch in before):
        builder.error(line, name, f"watch {quote(name)} is there already")
    elif len(before) >= MAX_WATCHES:
        builder.error(line, name, f"watch: there are {MAX_WATCHES} already")
    else:
        builder.add("watches", (Watch(name, group, source, packets, interval),))


def _expect_neighbor(builder: Builder, line: Line) -> None:
    if len(line.words) != 3:
        builder.error(line, None, _EXPECT)
        return
    _, word, place = line.words
    if not is_address(word) or not family_of(parse_address(word)).is_unicast(parse_address(word)):
        builder.error(line, word, f"expect-neighbor: {quote(word)} is no address of a router")
        return
    interface = interface_of(builder, line, place)
    if interface is None:
        return
    if len(builder.values.get("expected_neighbors", ())) >= MAX_WATCHES:
        builder.error(line, word, f"expect-neighbor: there are {MAX_WATCHES} already")
        return
    builder.add("expected_neighbors", (ExpectedNeighbor(parse_address(word), interface),))


DIRECTIVES: dict[str, Directive] = {"watch": _watch, "expect-neighbor": _expect_neighbor}


def print_watched(config: Config) -> Iterator[str]:
    """The lines that say the same."""
    for watch in config.watches:
        source = "" if watch.source is None else f" source {format_address(watch.source)}"
        words = f"watch {watch.name}{source} group {format_address(watch.group)}"
        yield f"{words} min-packets {watch.min_packets} interval {watch.interval}"
    for expected in config.expected_neighbors:
        yield f"expect-neighbor {format_address(expected.address)} {expected.interface}"
