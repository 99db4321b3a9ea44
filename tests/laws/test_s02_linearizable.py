"""Law S2 of the store: linearizable per key across processes.

`tests/linear.py` judges histories; here it is tested: it accepts what is right and sees what is
wrong. `tests/process/test_consistency.py` gives it the histories of real processes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations, permutations
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.linear import Operation, Value, check

KINDS = ("get", "set", "delete", "incr", "compare_and_set", "pop", "setdefault")

PROFILE = settings(max_examples=80, derandomize=True, deadline=None, database=None)


def history(*calls: tuple[Any, ...]) -> list[Operation]:
    """Return operations on "k", each given as: process, start, end, what, *arguments, result."""
    return [
        Operation(process, start, end, "k", what, tuple(arguments), result)
        for process, start, end, what, *arguments, result in calls
    ]


RIGHT = {
    "nothing": history(),
    "one after another": history(
        ("a", 0, 1, "get", None),
        ("a", 2, 3, "set", 1, None),
        ("b", 4, 5, "get", 1),
        ("b", 6, 7, "incr", 2, 3),
        ("a", 8, 9, "compare_and_set", 3, 5, True),
        ("b", 10, 11, "compare_and_set", 3, 6, False),
        ("a", 12, 13, "setdefault", 7, 5),
        ("a", 14, 15, "delete", True),
        ("a", 16, 17, "delete", False),
        ("b", 18, 19, "setdefault", 8, 8),
        ("b", 20, 21, "pop", 8),
        ("b", 22, 23, "pop", None),
        ("b", 24, 25, "compare_and_set", None, 9, True),
    ),
    "a read beside a write sees it": history(
        ("a", 0, 9, "set", 1, None), ("b", 1, 2, "get", None), ("b", 3, 4, "get", 1)
    ),
    "two increments at once": history(("a", 0, 9, "incr", 1, 2), ("b", 0, 9, "incr", 1, 1)),
    "the one that ends last comes first": history(
        ("a", 0, 9, "set", 1, None), ("b", 1, 2, "set", 2, None), ("c", 3, 4, "get", 2)
    ),
    "a lost write happened, much later": history(
        ("a", 0, inf, "set", 1, None), ("b", 5, 6, "get", None), ("b", 7, 8, "get", 1)
    ),
    "a lost write did not happen": history(
        ("a", 0, inf, "set", 1, None), ("b", 5, 6, "get", None), ("b", 7, 8, "delete", False)
    ),
    "two lost ones happened, in an order of their own": history(
        ("a", 0, inf, "incr", 2, None),
        ("b", 1, inf, "compare_and_set", None, 5, None),
        ("c", 2, 3, "get", 7),
    ),
    "ends and starts at the same tick": history(
        ("a", 0, 1, "set", 1, None), ("b", 1, 1, "get", None), ("b", 1, 2, "get", 1)
    ),
}

WRONG = {
    "a stale read": (
        history(
            ("a", 0, 1, "set", 1, None),
            ("b", 2, 3, "get", 1),
            ("a", 4, 5, "set", 2, None),
            ("b", 6, 7, "get", 1),
            ("b", 8, 9, "get", 2),
        ),
        [2, 3],
    ),
    "a lost update": (
        history(
            ("a", 0, 1, "set", 4, None),
            ("a", 2, 5, "incr", 1, 5),
            ("b", 3, 6, "incr", 1, 5),
            ("c", 7, 8, "get", 5),
        ),
        [1, 2],
    ),
    "a read that goes back in time": (
        history(("a", 0, 20, "set", 1, None), ("b", 1, 2, "get", 1), ("c", 3, 4, "get", None)),
        [0, 1, 2],
    ),
    "a value that nobody wrote": (
        history(("a", 0, 1, "set", 1, None), ("b", 2, 3, "get", 7), ("b", 4, 5, "get", 1)),
        [1],
    ),
    "a value that was not yet written": (
        history(("a", 0, 1, "get", 1), ("a", 2, 3, "set", 1, None)),
        [0],
    ),
    "a half-applied compare_and_set": (
        history(
            ("a", 0, 1, "set", 1, None),
            ("a", 2, 3, "compare_and_set", 9, 2, False),
            ("b", 4, 5, "get", 2),
        ),
        [0, 2],
    ),
    "a compare_and_set that says yes and does nothing": (
        history(
            ("a", 0, 1, "set", 1, None),
            ("a", 2, 3, "compare_and_set", 1, 2, True),
            ("b", 4, 5, "get", 1),
        ),
        [1, 2],
    ),
    "two compare_and_set from the same value": (
        history(
            ("a", 0, 9, "compare_and_set", None, 1, True),
            ("b", 0, 9, "compare_and_set", None, 2, True),
        ),
        [0, 1],
    ),
    "two that popped the same": (
        history(("a", 0, 1, "set", 1, None), ("b", 2, 9, "pop", 1), ("c", 3, 8, "pop", 1)),
        [1, 2],
    ),
    "a lost write that happened twice": (
        history(
            ("a", 0, inf, "set", 1, None),
            ("b", 1, 2, "get", 1),
            ("b", 3, 4, "set", 2, None),
            ("b", 5, 6, "get", 1),
        ),
        [0, 1, 2, 3],
    ),
    "a write that was forgotten": (
        history(("a", 0, 1, "set", 1, None), ("b", 2, 3, "delete", False)),
        [0, 1],
    ),
}


@pytest.mark.parametrize("operations", RIGHT.values(), ids=RIGHT)
def test_accepts_what_is_right(operations: list[Operation]) -> None:
    """Some order explains it."""
    check(operations)


@pytest.mark.parametrize(("operations", "piece"), WRONG.values(), ids=WRONG)
def test_shows_what_is_wrong(operations: list[Operation], piece: list[int]) -> None:
    """No order explains it; the message has what one needs to see that, and no more."""
    with pytest.raises(AssertionError) as caught:
        check(operations)
    lines = str(caught.value).splitlines()[1:]
    wanted = [
        f"  {call.process}: {call.what}({', '.join(map(str, call.arguments))})"
        for call in (operations[i] for i in piece)
    ]
    assert len(lines) == len(wanted), caught.value
    for line, call in zip(lines, wanted, strict=True):
        assert call in line, caught.value


def test_a_key_at_a_time() -> None:
    """What is wrong with one key is found among others, and they don't excuse it."""
    operations = history(("a", 0, 1, "set", 1, None), ("b", 2, 3, "get", 1))
    other = [call._replace(key="other") for call in operations]
    check(operations + other)
    with pytest.raises(AssertionError, match="no order explains this of 'other'"):
        check([*operations, other[1]._replace(start=4, end=5), other[0]._replace(start=6, end=7)])


# ------------------------------------------------------------------ against simulated processes


def simulated(
    choose: random.Random,
    processes: int,
    calls: int,
    keys: int,
    death: float = 0.0,
    kinds: tuple[str, ...] = KINDS,
) -> list[Operation]:
    """Return what processes did with a dictionary, each call at one moment of its time.

    No value is written twice, except by `incr`. A process that dies in a call has a successor.
    """
    store: dict[str, Value] = {}
    done: list[Operation] = []
    left = dict.fromkeys(range(processes), calls)
    lives = dict.fromkeys(left, 0)
    under_way: dict[int, tuple[Operation, bool]] = {}
    now = 0
    while choices := [n for n in left if left[n] or n in under_way]:
        now += 1
        n = choose.choice(choices)
        if n not in under_way:
            what, key = choose.choice(kinds), f"k{choose.randrange(keys)}"
            new, expected = 10 * now, choose.choice([store.get(key), 1])
            arguments: tuple[Value, ...] = {
                "set": (new,),
                "setdefault": (new,),
                "incr": (choose.randint(1, 3),),
                "compare_and_set": (expected, new),
            }.get(what, ())
            under_way[n] = Operation(f"{n}.{lives[n]}", now, inf, key, what, arguments), False
            left[n] -= 1
        elif choose.random() < death:
            done.append(under_way.pop(n)[0])
            lives[n] += 1
        else:
            call, applied = under_way.pop(n)
            if applied:
                done.append(call._replace(end=now))
            else:
                result, store[call.key] = plainly(call, store.get(call.key))
                under_way[n] = call._replace(result=result), True
    # Nobody knows the result of a call that did not return.
    return [call._replace(result=None) if call.end == inf else call for call in done]


def plainly(call: Operation, value: Value) -> tuple[Value, Value]:
    """Return what a dictionary gives where it has `value`, and what it has then."""
    plain: dict[str, Any] = {} if value is None else {"k": value}
    arguments = call.arguments
    result: Value = None
    if call.what == "get":
        result = plain.get("k")
    elif call.what == "set":
        plain["k"] = arguments[0]
    elif call.what == "delete":
        result = "k" in plain
        plain.clear()
    elif call.what == "incr":
        result = plain["k"] = plain.get("k", 0) + arguments[0]
    elif call.what == "compare_and_set":
        result = plain.get("k") == arguments[0]
        if result:
            plain["k"] = arguments[1]
    elif call.what == "pop":
        result = plain.pop("k", None)
    else:
        result = plain.setdefault("k", arguments[0])
    return result, plain.get("k")


@PROFILE
@given(
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.05]),
)
def test_accepts_what_happened(
    choose: random.Random, processes: int, calls: int, keys: int, death: float
) -> None:
    """What processes did with a correct store is accepted, also when some died doing it."""
    check(simulated(choose, processes, calls, keys, death))


@PROFILE
@given(st.randoms(use_true_random=False), st.sampled_from([0.0, 0.05]))
def test_rejects_what_cannot_be(choose: random.Random, death: float) -> None:
    """One result is made what it can't be: overwritten before, or written only later."""
    kinds = ("get", "get", "set", "delete", "compare_and_set")
    operations = simulated(choose, 4, 12, 2, death, kinds)
    wrong = [
        (i, value)
        for i, read in enumerate(operations)
        if read.what == "get" and read.end < inf
        for value in impossible(read, operations)
    ]
    if wrong:
        i, value = choose.choice(wrong)
        operations[i] = operations[i]._replace(result=value)
        with pytest.raises(AssertionError, match="no order explains"):
            check(operations)


def impossible(read: Operation, operations: list[Operation]) -> Iterator[Value]:
    """Yield values that a read can't see, where each value is written once."""
    sets = [c for c in operations if c.key == read.key and c.what == "set"]
    for call in sets:
        gone = any(call.end < over.start and over.end < read.start for over in sets)
        if gone or call.start > read.end:
            yield call.arguments[0]


@PROFILE
@given(st.randoms(use_true_random=False), st.booleans())
def test_agrees_with_trying_every_order(choose: random.Random, lossy: bool) -> None:
    """Of a few calls with some result, right or wrong, it says what trying them all says."""
    operations = simulated(choose, 3, 2, 1, 0.2 if lossy else 0.0)
    i = choose.randrange(len(operations))
    others = [call.result for call in operations] + [None, 1, True, False]
    if operations[i].end < inf:
        operations[i] = operations[i]._replace(result=choose.choice(others))
    try:
        check(operations)
    except AssertionError:
        assert not some_order(operations), operations
    else:
        assert some_order(operations), operations


def some_order(operations: list[Operation]) -> bool:
    """Return whether some order explains the operations; tries all of them."""
    sure = [call for call in operations if call.end < inf]
    lost = [call for call in operations if call.end == inf]
    return any(
        explains(order)
        for count in range(len(lost) + 1)
        for happened in combinations(lost, count)
        for order in permutations([*sure, *happened])
    )


def explains(order: tuple[Operation, ...]) -> bool:
    """Return whether calls in this order, and at moments that allow it, give these results."""
    value: Value = None
    for i, call in enumerate(order):
        if any(later.end < call.start for later in order[i:]):
            return False
        result, value = plainly(call, value)
        if call.end < inf and result != call.result:
            return False
    return True


@pytest.mark.parametrize("death", [0.0, 0.005])
def test_long_histories(death: float) -> None:
    """4 processes with 500 operations each on 5 keys: accepted, and one wrong read in it found."""
    choose = random.Random(4)
    operations = simulated(choose, 4, 500, 5, death)
    check(operations)
    i = max(i for i, call in enumerate(operations) if call.what == "get" and call.end < inf)
    operations[i] = operations[i]._replace(result=next(impossible(operations[i], operations)))
    with pytest.raises(AssertionError, match=f"no order explains this of '{operations[i].key}'"):
        check(operations)
