"""Values are equal, hashed and shown by what they hold (wire/value.py)."""

from __future__ import annotations

from pimpy.wire.record import field, frozen
from pimpy.wire.value import Value


@frozen
class Pair(Value):
    left: int
    right: str = "r"
    note: str = field(default="", eq=False)
    hidden: int = field(default=0, repr=False)


@frozen
class Other(Value):
    left: int
    right: str = "r"


@frozen
class Nothing(Value):
    pass


@frozen
class Longer(Pair):
    more: int = 0


def test_values_of_a_class_that_hold_the_same_are_equal() -> None:
    assert Pair(1) == Pair(1) and Pair(1) != Pair(2) and Pair(1) != Pair(1, "l")
    assert hash(Pair(1)) == hash(Pair(1)) and hash(Pair(1)) != hash(Pair(2))
    assert len({Pair(1), Pair(1), Pair(2)}) == 2
    assert Nothing() == Nothing() and hash(Nothing()) == hash(Nothing())


def test_a_field_may_be_left_out() -> None:
    assert Pair(1, note="a") == Pair(1, note="b")
    assert Pair(1, hidden=1) != Pair(1, hidden=2)


def test_values_of_different_classes_differ() -> None:
    assert Pair(1) != Other(1) and Pair(1) != Longer(1) and Longer(1) != Longer(1, more=1)
    assert Pair(1) != (1, "r", 0) and Nothing() != Pair(1)


def test_a_value_shows_its_fields() -> None:
    assert repr(Pair(1, hidden=5)) == "Pair(left=1, right='r', note='')"
    assert repr(Nothing()) == "Nothing()"
