"""The directives of policy: what is wanted, from whom, and how much of it."""

from __future__ import annotations

from collections.abc import Callable

from pimpy.config.builder import Builder, Line
from pimpy.config.diagnostics import quote
from pimpy.config.words import MAX_DISTANCE, MAX_METRIC, Words

SPT_INTERVAL = 100
"""Seconds between two looks at how much data there is, unless the line says otherwise; pimd's default too."""
MIN_SPT_INTERVAL = 5
MAX_SPT_INTERVAL = 86400


def _spt_threshold(builder: Builder, line: Line) -> None:
    """`spt-threshold infinity | packets N [interval S] | rate KBPS [interval S]`; 0 means with the first packet."""
    words = Words(builder, line)
    word = words.take()
    if word is None:
        words.error(None, " needs infinity, packets N or rate KBPS")
        return
    kind, number, interval = word.lower(), 0, SPT_INTERVAL
    if kind in ("packets", "rate"):
        found = words.integer(f"{line.name} {kind}", 0, MAX_METRIC)
        if found is None:
            return
        number = found
    elif kind != "infinity":
        words.error(word, f"{quote(word)} is none of infinity, packets and rate")
        return
    if words.take_if("interval"):
        seconds = words.integer(f"{line.name} interval", 0, MAX_SPT_INTERVAL)
        if seconds is None:
            return
        if seconds < MIN_SPT_INTERVAL:
            text = f"{line.name} interval {seconds}: {MIN_SPT_INTERVAL} is the least, and is used"
            builder.note(line, str(seconds), text)
        interval = max(seconds, MIN_SPT_INTERVAL)
    if words.ended():
        immediate = kind != "infinity" and number == 0
        builder.set(line, "spt_threshold", "immediate" if immediate else kind)
        builder.values["spt_threshold_number"] = number
        builder.values["spt_threshold_interval"] = interval if number else SPT_INTERVAL


def _number(name: str, low: int, high: int) -> Callable[[Builder, Line], None]:
    """A directive with one whole number, `name` being the model's field."""

    def directive(builder: Builder, line: Line) -> None:
        words = Words(builder, line)
        value = words.integer(line.name, low, high)
        if value is not None and words.ended():
            builder.set(line, name, value)

    return directive


_distance = _number("route_distance", 0, MAX_DISTANCE)
_metric = _number("route_metric", 0, MAX_METRIC)

POLICY: dict[str, Callable[[Builder, Line], None]] = {
    "spt-threshold": _spt_threshold,
    "spt_threshold": _spt_threshold,
    "default-route-distance": _distance,
    "default-source-preference": _distance,
    "default_source_preference": _distance,
    "default-route-metric": _metric,
    "default-source-metric": _metric,
    "default_source_metric": _metric,
}
"""Directives by name."""
