"""A mapping of mostly one item does what a dict does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pimpy.core.gmp.few import Few

KEYS = st.integers(0, 3)
STEPS = st.lists(st.tuples(st.sampled_from(["set", "delete", "pop"]), KEYS, st.integers(0, 9)), max_size=12)


@given(STEPS)
def test_it_is_a_dict(steps: list[tuple[str, int, int]]) -> None:
    few: Few[int, int] = Few()
    model: dict[int, int] = {}
    for word, key, value in steps:
        if word == "set":
            few[key] = model[key] = value
        elif word == "pop":
            assert few.pop(key, None) == model.pop(key, None)
        elif key in model:
            del few[key], model[key]
        else:
            assert few.get(key) is None and few.get(key, 7) == 7
        assert list(few.items()) == list(model.items()) and len(few) == len(model) and bool(few) == bool(model)
        assert [few.get(key) for key in range(4)] == [model.get(key) for key in range(4)]
        assert [key in few for key in range(4)] == [key in model for key in range(4)]
