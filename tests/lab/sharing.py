"""A scene that the tests of a file share, as long as each of them leaves it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import pytest

from . import needs
from .topology import Lab


class Scene(Protocol):
    """What stands in a lab."""

    lab: Lab
    """Whose programs the report of a test that fails tells of."""
    intact: bool
    """Set by a test that has ended well, and left things as they were."""


S = TypeVar("S", bound=Scene)


class Shared(Generic[S]):
    """Makes a scene for the first test that wants it, and another one after a test that failed.

    `finish` is done to the scene at the end, and before another one is made.
    """

    def __init__(self, make: Callable[[Lab], S], finish: Callable[[S], None]) -> None:
        self._make, self._finish = make, finish
        self._lab: Lab | None = None
        self._scene: S | None = None

    def take(self) -> S:
        """The scene, for a test that is to set `intact` at its end."""
        if self._scene is None or not self._scene.intact:
            self._take_down()
            self._lab = Lab()
            self._scene = self._make(self._lab)
        self._scene.intact = False
        return self._scene

    def close(self) -> None:
        """At the end of the file. What a test left broken has been told of already."""
        try:
            if self._scene is not None and self._scene.intact:
                self._finish(self._scene)
        finally:
            self._take_down()

    def _take_down(self) -> None:
        if self._lab is not None:
            self._lab.close()
        self._lab = self._scene = None


def shared_by_a_file(make: Callable[[Lab], S], finish: Callable[[S], None] = lambda scene: None) -> Any:
    """A fixture: the Shared of all tests of a file."""

    @pytest.fixture(scope="module")
    def shared() -> Iterator[Shared[S]]:
        needs.need_lab()
        one = Shared(make, finish)
        yield one
        one.close()

    return shared
