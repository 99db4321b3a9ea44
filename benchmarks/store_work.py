"""What children do with a store and how it is checked: alike on every side.

Orders go to a child and reports come back beside the store, over what the side has for that. A
child's clock runs only while it uses the store.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, repeat
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from workloads import SIZES, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Pool = list[Any]

_COUNTER = "counter"
_ROUND = 64
"""Operations between two looks at the clock, at least."""


class Store(Protocol):
    """What every side has, in the main process and in its children."""

    def get(self, key: str, /) -> Any:
        """Return the value of a key."""

    def set(self, key: str, value: Any, /) -> object:
        """Give a key a value."""

    def incr(self, key: str, /) -> int:
        """Add 1 to the value of a key that no other process can change meanwhile; return it."""


@dataclass(frozen=True)
class Lane:
    """The main process's way to one child."""

    order: Callable[[Any], object]
    report: Callable[[], Any]
    """Waits for the child's report on the oldest order that it has not reported on."""


@dataclass(frozen=True)
class Report:
    """What a child has done for one order."""

    done: int
    took: float
    right: bool


@dataclass(frozen=True)
class StoreWork:
    """One kind of use."""

    name: str
    make_pool: Callable[[], Pool]
    """The values at first, a key each."""
    drive: Callable[[Store, list[Lane], Pool, float], float]
    """The main process's part: returns how many operations a second its children do together."""
    do: Callable[[Store, Pool, Any], Report]
    """A child's part for one order."""
    children: int = 1


def drive(store: Store, lanes: list[Lane], work: StoreWork, seconds: float) -> float:
    """Return how many operations a second the children do together.

    Waits for the children. AssertionError where a value was not what it had to be.
    """
    pool = work.make_pool()
    for key, value in zip(_keys(pool), pool, strict=True):
        store.set(key, value)
    return work.drive(store, lanes, pool, seconds)


def serve(
    store: Store, orders: Iterable[Any], report: Callable[[Report], object], work: StoreWork
) -> None:
    """Be a child: do what is ordered until there are no more orders."""
    pool = work.make_pool()
    for order in orders:
        report(work.do(store, pool, order))


def _keys(pool: Pool) -> list[str]:
    return [f"key{number}" for number in range(len(pool))]


def _turned(pool: Pool, turns: int) -> Pool:
    """Return the values of the same keys after so many changes of all of them."""
    start = turns % len(pool)
    return pool[start:] + pool[:start]


def _ask(lanes: list[Lane], order: Any) -> list[Report]:
    for lane in lanes:
        lane.order(order)
    reports = [lane.report() for lane in lanes]
    for report in reports:
        if not report.right:
            raise AssertionError(f"a child got a wrong value: {report}")
    return reports


def _warm_and_measured(lanes: list[Lane], seconds: float) -> tuple[list[Report], list[Report]]:
    return _ask(lanes, seconds / 10), _ask(lanes, seconds)


def _rate(reports: list[Report]) -> float:
    return sum(report.done for report in reports) / max(report.took for report in reports)


def _equal(found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(f"the store has {str(found)[:200]}, expected {str(expected)[:200]}")


def _drive_get(store: Store, lanes: list[Lane], pool: Pool, seconds: float) -> float:
    _, measured = _warm_and_measured(lanes, seconds)
    return _rate(measured)


def _get(store: Store, pool: Pool, seconds: float) -> Report:
    keys = _keys(pool)
    a_round = keys * -(-_ROUND // len(keys))
    get = store.get
    done = 0
    now = begun = perf_counter()
    while now < begun + seconds:
        for key in a_round:
            value = get(key)
        done += len(a_round)
        now = perf_counter()
    right = value == pool[-1] and [get(key) for key in keys] == pool
    return Report(done, now - begun, right)


def _drive_changed(store: Store, lanes: list[Lane], pool: Pool, seconds: float) -> float:
    keys = _keys(pool)
    _ask(lanes, 0)
    reports = []
    begun = perf_counter()
    while perf_counter() < begun + seconds:
        turns = len(reports) + 1
        for key, value in zip(keys, _turned(pool, turns), strict=True):
            store.set(key, value)
        reports += _ask(lanes, turns)
    return sum(report.done for report in reports) / sum(report.took for report in reports)


def _get_once(store: Store, pool: Pool, turns: int) -> Report:
    keys = _keys(pool)
    get = store.get
    begun = perf_counter()
    values = [get(key) for key in keys]
    took = perf_counter() - begun
    return Report(len(keys), took, values == _turned(pool, turns))


def _drive_set(store: Store, lanes: list[Lane], pool: Pool, seconds: float) -> float:
    _, measured = _warm_and_measured(lanes, seconds)
    (report,) = measured
    _equal([store.get(key) for key in _keys(pool)], _turned(pool, report.done // len(pool)))
    return _rate(measured)


def _set(store: Store, pool: Pool, seconds: float) -> Report:
    keys = _keys(pool)
    set_ = store.set
    turns = 0
    now = begun = perf_counter()
    # Not with the values at first: then a store that keeps those would be right.
    while now < begun + seconds or not turns % len(pool):
        turns += 1
        for key, value in zip(keys, _turned(pool, turns), strict=True):
            set_(key, value)
        now = perf_counter()
    return Report(turns * len(keys), now - begun, True)


def _async_set(store: Store, pool: Pool, seconds: float) -> Report:
    return asyncio.run(_set_in_a_task(store, pool, seconds))


async def _set_in_a_task(store: Any, pool: Pool, seconds: float) -> Report:
    keys = _keys(pool)
    turns = 0
    async with store.in_tasks() if hasattr(store, "in_tasks") else nullcontext(store) as opened:
        set_ = opened.async_set
        now = begun = perf_counter()
        while now < begun + seconds or not turns % len(pool):
            turns += 1
            for key, value in zip(keys, _turned(pool, turns), strict=True):
                await set_(key, value)
            now = perf_counter()
    return Report(turns * len(keys), now - begun, True)


def _drive_incr(store: Store, lanes: list[Lane], pool: Pool, seconds: float) -> float:
    warm, measured = _warm_and_measured(lanes, seconds)
    _equal(store.incr(_COUNTER), sum(report.done for report in chain(warm, measured)) + 1)
    return _rate(measured)


def _incr(store: Store, pool: Pool, seconds: float) -> Report:
    incr = store.incr
    done = before = latest = 0
    right = True
    now = begun = perf_counter()
    while now < begun + seconds:
        for key in repeat(_COUNTER, _ROUND):
            latest = incr(key)
        done += _ROUND
        right = right and latest >= before + _ROUND
        before = latest
        now = perf_counter()
    return Report(done, now - begun, right)


def _tables() -> Pool:
    rng = random.Random(4)
    return [
        {f"user-{rng.randrange(10**9)}": rng.randrange(10**6) for _ in range(100)}
        for _ in range(_ROUND)
    ]


_texts = WORKLOADS["text"].make_pool
_blocks = SIZES[1_000_000].make_pool

STORE_WORK = {
    work.name: work
    for work in (
        StoreWork("get", _texts, _drive_get, _get),
        StoreWork("changed", _texts, _drive_changed, _get_once),
        StoreWork("block", _blocks, _drive_get, _get),
        StoreWork("table", _tables, _drive_get, _get),
        StoreWork("set", _texts, _drive_set, _set),
        StoreWork("async set", _texts, _drive_set, _async_set),
        StoreWork("incr", list, _drive_incr, _incr),
        StoreWork("incr by 4", list, _drive_incr, _incr, children=4),
    )
}
