"""Namespaces as fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from kernel_namespaces import Namespace, Trio, close_all, missing


def _need_root() -> None:
    if os.geteuid() != 0:
        missing("root: namespaces and raw sockets")
    close_all()  # of a test whose fixture failed


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """An empty namespace."""
    _need_root()
    yield Namespace()
    close_all()


@pytest.fixture
def trio() -> Iterator[Trio]:
    """left --- router --- right."""
    _need_root()
    yield Trio()
    close_all()
