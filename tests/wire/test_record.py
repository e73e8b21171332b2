"""Classes made of fields (wire/record.py)."""

from __future__ import annotations

from typing import Any

import pytest

from pimpy.wire import record
from pimpy.wire.record import define, evolve, field, fields, frozen, is_record


def classes() -> tuple[Any, Any, Any, Any]:
    """A changing class and one below it, a frozen one, one whose arguments have names; new each time."""

    @define
    class Link:
        name: str
        mtu: int = 1500
        groups: list[str] = field(factory=list)
        hosts: dict[str, int] = field(init=False, factory=dict)
        state: str = field(init=False, default="down")
        owner: str = field(init=False)

        def describe(self) -> str:
            return f"{self.name} is {self.state}"

    @define
    class Tunnel(Link):
        end: str = "far"

        def describe(self) -> str:
            return f"{super().describe()} to {self.end}"

    @frozen
    class Point:
        """A place."""

        x: int
        y: int = 0
        marks: tuple[str, ...] = field(default=(), eq=False)
        sum: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "sum", self.x + self.y)

    @frozen(kw_only=True)
    class Named:
        first: int = 1
        second: int

    return Link, Tunnel, Point, Named


def test_arguments_are_the_fields_in_their_order() -> None:
    link, tunnel, point, _ = classes()
    one = link("eth0", 9000, ["a"])
    assert (one.name, one.mtu, one.groups, one.hosts, one.state) == ("eth0", 9000, ["a"], {}, "down")
    assert link(mtu=5, name="eth1").mtu == 5 and link("eth2").mtu == 1500
    assert tunnel("t", 1, [], "there").end == "there"
    assert (point(1, 2).y, point(1).y, point(1).marks) == (2, 0, ())


@pytest.mark.parametrize("first", [True, False], ids=["the first object", "a later one"])
def test_wrong_arguments_are_refused(first: bool) -> None:
    link, _, point, named = classes()
    if not first:
        link("eth0"), point(1), named(second=1)
    for call in (lambda: link(), lambda: link("a", hosts={}), lambda: point(1, 2, (), 4), lambda: named(1, 2)):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError):
        named(first=3)
    assert (named(second=2).first, named(second=2).second) == (1, 2)


def test_each_object_has_a_default_of_its_own() -> None:
    link, *_ = classes()
    one, other = link("a"), link("b")
    one.groups.append("g")
    one.hosts["h"] = 1
    assert other.groups == [] and other.hosts == {}
    given: list[str] = []
    assert link("c", groups=given).groups is given


def test_a_field_that_is_no_argument_and_has_no_default_is_not_there_until_it_is_set() -> None:
    link, *_ = classes()
    one = link("a")
    with pytest.raises(AttributeError):
        _ = one.owner
    one.owner = "me"
    assert one.owner == "me"


def test_there_are_slots_for_the_fields_and_nothing_else() -> None:
    link, tunnel, point, _ = classes()
    with pytest.raises(AttributeError):
        link("a").nonsense = 1
    with pytest.raises(AttributeError):
        tunnel("a").nonsense = 1
    assert not hasattr(tunnel("a"), "__dict__") and tunnel.__slots__ == ("end",)
    assert point.__doc__ == "A place." and point.__name__ == "Point" and point.__module__ == __name__


def test_what_is_frozen_stays_as_it_is() -> None:
    _, _, point, _ = classes()
    one = point(1, 2)
    assert one.sum == 3
    for change in (lambda: setattr(one, "x", 5), lambda: setattr(one, "z", 5), lambda: delattr(one, "x")):
        with pytest.raises(AttributeError, match="frozen"):
            change()
    assert one.x == 1


def test_super_means_the_class_above() -> None:
    _, tunnel, _, _ = classes()
    assert tunnel("t").describe() == "t is down to far"


def test_evolve_changes_some_fields_and_copies_the_others() -> None:
    link, tunnel, point, _ = classes()
    one = tunnel("t", 1, ["g"], "there")
    other = evolve(one, mtu=2)
    assert (other.name, other.mtu, other.end) == ("t", 2, "there") and other.groups is one.groups
    assert type(other) is tunnel and one.mtu == 1
    assert evolve(point(1, 2), x=5).sum == 7
    with pytest.raises(TypeError):
        evolve(link("a"), nonsense=1)


def test_fields_are_told() -> None:
    link, tunnel, point, _ = classes()
    assert [one.name for one in fields(tunnel)] == ["name", "mtu", "groups", "hosts", "state", "owner", "end"]
    assert [one.type for one in fields(point)] == ["int", "int", "tuple[str, ...]", "int"]
    assert [one.eq for one in fields(point)] == [True, True, False, True]
    assert is_record(link) and not is_record(int)
    match tunnel("t", 7):
        case link(name, mtu):
            assert (name, mtu) == ("t", 7)


def test_a_class_is_compiled_when_its_first_object_is_made_or_when_there_is_time() -> None:
    link, tunnel, point, named = classes()
    made = set(record._waiting)
    assert {link, tunnel, point, named} <= made
    tunnel("t")
    assert tunnel not in record._waiting and link in record._waiting, "one does not compile the other"
    link("a")
    record.prepare()
    assert not record._waiting
    assert point(1, 2).sum == 3 and named(second=4).first == 1
