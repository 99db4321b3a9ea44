"""Decides whether what some processes did with the store is linearizable.

It is when each operation can be given a moment between its start and its end so that, one after
another, they give what a plain dictionary gives. Keys don't touch each other, so each is searched
for itself (Herlihy and Wing 1990 say why that is enough), after Wing and Gong 1993: try whatever
may come next, and never a place twice where one was before.

A place is how far each process has come and the values that the key may have there. That is one
value, except at the start of a piece that is cut out of a history to show what is wrong with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from math import inf
from typing import NamedTuple

Value = int | None
"""What a key has; None stands for absent, as in the answers of the store."""
Values = frozenset[Value]

_SHOWN = 30


class Operation(NamedTuple):
    """One call of one process, and what came of it. Times are those of `time.monotonic`."""

    process: str
    """One caller of one process: its calls come one after another. A successor is another one."""
    start: float
    end: float
    """`inf` when the process was killed before it returned: then it may have happened or not."""
    key: str
    what: str
    """get, set, delete, incr, compare_and_set, pop or setdefault."""
    arguments: tuple[Value, ...] = ()
    result: Value = None


def check(history: Iterable[Operation]) -> None:
    """Raise AssertionError with a small piece of the history that no order explains."""
    keys: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        keys[operation.key].append(operation)
    for operations in keys.values():
        operations.sort(key=lambda operation: operation.start)
        if not explainable(operations, frozenset([None])):
            raise AssertionError(_explanation(operations))


def explainable(operations: Iterable[Operation], values: Values) -> bool:
    """Return whether one key's operations, sorted by start, are linearizable from these values."""
    lanes: dict[str, list[Operation]] = defaultdict(list)
    lost = []
    for call in operations:
        if call.end == inf:
            lost.append(call)
            continue
        lane = lanes[call.process]
        assert not lane or lane[-1].end <= call.start, f"{call} began too early"
        lane.append(call)
    calls = list(lanes.values())
    places = [((0,) * len(calls), values, 0)]
    seen: dict[tuple[tuple[int, ...], Values], list[int]] = defaultdict(list)
    while places:
        at, values, taken = places.pop()
        # Whoever was here having taken fewer of the lost calls could do all that is possible now.
        been = seen[at, values]
        if any(before & taken == before for before in been):
            continue
        been.append(taken)
        nexts = [(i, calls[i][n]) for i, n in enumerate(at) if n < len(calls[i])]
        if not nexts:
            return True
        # Whatever began before the first of them had ended may come next, the first one rather.
        first = min(call.end for _, call in nexts)
        nexts = [(i, call) for i, call in nexts if call.start <= first]
        nexts.sort(key=lambda pair: pair[1].end, reverse=True)
        further = []
        for i, call in enumerate(lost):
            after = _after(call, values)
            if call.start <= first and not taken >> i & 1 and after != values:
                further.append((at, after, taken | 1 << i))
        for i, call in nexts:
            after = _after(call, values)
            if not after:
                continue
            there = (*at[:i], at[i] + 1, *at[i + 1 :]), after, taken
            if after == values and _changed_nothing(call):
                # If there is an order at all, there is one in which this comes next.
                further = [there]
                break
            further.append(there)
        places += further
    return False


def _after(call: Operation, values: Values) -> Values:
    """Return what the key may have after a call, of the values it may have before."""
    outcomes = (_outcome(call, value) for value in values)
    lost = call.end == inf
    return frozenset(value for result, value in outcomes if lost or result == call.result)


def _outcome(call: Operation, value: Value) -> tuple[Value, Value]:
    """Return what a call gives where the key has `value`, and what the key has then."""
    match call.what, call.arguments:
        case "get", ():
            return value, value
        case "set", (new,):
            return None, new
        case "delete", ():
            return value is not None, None
        case "incr", (int(by),):
            return ((value or 0) + by,) * 2
        case "compare_and_set", (expected, new):
            return value == expected, new if value == expected else value
        case "pop", ():
            return value, None
        case "setdefault", (default,):
            return (default if value is None else value,) * 2
    raise ValueError(f"not an operation: {call}")


def _changed_nothing(call: Operation) -> bool:
    """Return whether the result says that the key is as it was, whatever it was."""
    if call.what == "get":
        return True
    if call.what == "pop":
        return call.result is None
    return call.what in ("delete", "compare_and_set") and call.result is False


# ------------------------------------------------------------------ what is wrong with it


def _explanation(operations: list[Operation]) -> str:
    """Show as little as possible of one key's operations that can't be explained.

    What is left out can only help: a shorter beginning, a start from any value, one reader less.
    If an order explained the whole, it would explain the piece.
    """
    ends = sorted({call.end for call in operations} - {inf})
    absent = frozenset([None])
    until = ends[
        bisect_left(
            ends, True, key=lambda end: not explainable(_window(operations, -inf, end), absent)
        )
    ]
    any_value = _possible(operations)
    starts = [-inf, *sorted({call.start for call in operations if call.start <= until})]
    n = bisect_left(
        starts, True, key=lambda start: explainable(_window(operations, start, until), any_value)
    )
    values, before = (any_value, "whatever it had before") if n else (absent, "absent at first")
    piece = _window(operations, starts[n - 1] if n else -inf, until)
    for call in reversed(piece):
        rest = [other for other in piece if other is not call]
        if call.end < inf and _changed_nothing(call) and not explainable(rest, values):
            piece = rest
    zero = piece[0].start
    lines = [_line(call, zero) for call in piece]
    if len(lines) > _SHOWN:
        lines[:-_SHOWN] = [f"  ... and {len(lines) - _SHOWN} before"]
    return "\n".join([f"no order explains this of {piece[0].key!r}, {before}:", *lines])


def _window(operations: list[Operation], since: float, until: float) -> list[Operation]:
    """Return what happened between two moments; what is not wholly inside may have happened."""
    inside = []
    for call in operations:
        if call.start > until or call.end < since:
            continue
        if call.start < since or call.end > until:
            call = call._replace(end=inf)
        if call.end < inf or call.what != "get":
            inside.append(call)
    return inside


def _possible(operations: list[Operation]) -> Values:
    """Return every value that the key may have had at any time."""
    values: set[Value] = {None}
    lost = []
    for call in operations:
        if call.what == "incr" and call.end < inf:
            values.add(call.result)
        elif call.what == "incr":
            lost.append(call)
        elif call.arguments:
            values.add(call.arguments[-1])
    for call in lost:
        values |= {_outcome(call, value)[1] for value in values}
    return frozenset(values)


def _line(call: Operation, zero: float) -> str:
    start = f"{(call.start - zero) * 1000:.3f}"
    end = f"{(call.end - zero) * 1000:.3f}" if call.end < inf else "open"
    asked = f"{call.what}({', '.join(map(str, call.arguments))})"
    told = "" if call.end == inf else f" -> {call.result}"
    return f"  {start:>10} to {end:>10} ms  {call.process}: {asked}{told}"
