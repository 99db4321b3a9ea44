"""Plain data of a child's bytes is shown; nothing of it runs, and nothing of it is too much."""

from __future__ import annotations

import collections
import decimal
import pickle
from typing import Any

import pytest

from liteyuki_core.comm.store import value as values
from liteyuki_core.control.plain import LIMIT, NotPlain, clean, of_pickle, of_value


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("text", "text"),
        (17, 17),
        (-(2**70), -(2**70)),
        (1.5, 1.5),
        (None, None),
        (True, True),
        ([1, [2.5, "x"], {}], [1, [2.5, "x"], {}]),
        ((1, 2), [1, 2]),
        ((1, 2, 3, 4), [1, 2, 3, 4]),
        ({"a": {"b": [None, False]}, 1: 2}, {"a": {"b": [None, False]}, "1": 2}),
        ({1}, [1]),
        (frozenset({2}), [2]),
        (list(range(3000)), list(range(3000))),
        (["long" * 100] * 300, ["long" * 100] * 300),
        ("\ud800", "?"),
    ],
)
def test_plain_data_is_shown(data: Any, shown: Any) -> None:
    """As JSON has it, from the store and from a pickle."""
    assert of_value(values.dump(data, "key", 10**7)) == shown
    assert of_pickle(pickle.dumps(data, 5)) == shown


class Runs:
    """Runs code when it is rebuilt."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("code has run",)


class Mine:
    """A class that would have to be imported."""


@pytest.mark.parametrize(
    "data",
    [
        Runs(),
        [1, {"deep": Runs()}],
        Mine(),
        decimal.Decimal(1),
        collections.OrderedDict(a=1),
        b"bytes",
        bytearray(b"x"),
        {(1, 2): 3},
        10**5000,
        "x" * (LIMIT + 1),
    ],
    ids=range(10),
)
def test_other_data_is_not(data: Any) -> None:
    """No class is looked up and no code runs."""
    with pytest.raises(NotPlain):
        of_value(values.dump(data, "key", 10**7))


def nested(times: int) -> Any:
    """Return lists that have the same list twice, `times` deep."""
    data: Any = ["x"]
    for _ in range(times):
        data = [data, data]
    return data


def circle() -> Any:
    """Return a list that has itself."""
    data: Any = []
    data.append(data)
    return data


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(nested(60), 5),
        pickle.dumps(circle(), 5),
        pickle.dumps(["y" * 200_000] * 10_000, 5),
        b"\x80\x05]r\xff\xff\xff\xff.",
        b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7fx.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7fx.",
        b"\x80\x05cos\nsystem\n(X\x02\x00\x00\x00lstR.",
        b"\x80\x05\x82\x01.",
        b"\x80\x05P1\n.",
        b"\x80\x05h\x07.",
        b"\x80\x05].]",
        b"\x80\x05]",
        b"",
        b"]" * 1000 + b".",
    ],
    ids=range(14),
)
def test_forged_pickles_take_no_memory_and_run_nothing(data: bytes) -> None:
    """A few bytes can't make the main process wait or grow."""
    try:
        shown = of_pickle(data)
    except NotPlain:
        return
    assert shown == []


def test_forged_numbers_are_no_numbers() -> None:
    """A child may say of any bytes that they are a number."""
    for kind in (values.INT, values.FLOAT, "?"):
        with pytest.raises(NotPlain):
            of_value(values.Value(kind, b"__import__('os')"))


def test_any_text_can_be_carried() -> None:
    """Half of a pair of surrogates is no error."""
    assert clean("a\ud800b") == "a?b"
