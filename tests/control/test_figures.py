"""Figures of the last hour and day: bounded, with gaps where nothing is known."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import pytest

from liteyuki_core.control import Client
from liteyuki_core.control.figures import MAIN, STEP, Figures, Sample
from tests.conftest import wait_until
from tests.program import Program

_SLOTS = 360


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 240_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def figures(clock: Clock) -> Figures:
    """Figures that are taken by hand."""
    return Figures(clock)


def sample(number: int, **more: Any) -> Sample:
    """Return what is known of a process that does the same in each step."""
    return Sample(**{"memory": 1000, "seconds": number, "messages": number * 20, "pid": 1, **more})


def test_rates_are_of_totals(clock: Clock, figures: Figures) -> None:
    """Percent of a processor and messages a second, from one sample to the next."""
    for number in range(4):
        figures.add({MAIN: sample(number), "a": sample(number * 2, lag=0.5, queue=7)})
        clock.now += STEP
    found = figures.show("hour")
    assert found.step == STEP
    assert found.main.cpu == [10.0] * 3
    assert found.main.messages == [2.0] * 3
    assert found.main.memory == [1000] * 3
    assert found.main.lag == [None] * 3
    assert found.processes["a"].cpu == [20.0] * 3
    assert found.processes["a"].lag == [0.5] * 3
    assert found.processes["a"].queue == [7.0] * 3
    assert list(found.processes) == ["a"]


def test_what_is_not_known_is_none(clock: Clock, figures: Figures) -> None:
    """Of a process that came later, was away, or was started anew; and of time that was slept."""
    for number in range(3):
        figures.add({MAIN: sample(number)})
        clock.now += STEP
    figures.add({MAIN: sample(3), "late": sample(0)})
    clock.now += 3 * STEP
    figures.add({MAIN: sample(6), "late": sample(1, pid=2, memory=None)})
    found = figures.show("hour")
    assert found.main.cpu == [10.0, 10.0, 10.0, None, None, 10.0]
    assert found.processes["late"].memory == [None, None, 1000, None, None, None]
    assert found.processes["late"].cpu == [None] * 6
    lengths = {len(series) for each in (found.main, found.processes["late"]) for _, series in each}
    assert lengths == {6}


def test_a_day_has_means(clock: Clock, figures: Figures) -> None:
    """Of four minutes each, but the longest lag and backlog."""
    for number in range(24 * 3 + 1):
        lag = 1.0 if number % 24 == 5 else 0.0
        figures.add({MAIN: sample(number, memory=number % 24, lag=lag, queue=number % 24)})
        clock.now += STEP
    found = figures.show("day")
    assert found.step == 240
    assert found.main.cpu == [10.0] * 3
    assert found.main.lag == [1.0] * 3
    assert found.main.queue == [23.0] * 3


def test_only_so_much_is_kept(clock: Clock, figures: Figures) -> None:
    """An hour, 64 processes, 2 MB: whatever comes and goes, for however long."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(500):
            names = [f"process {number // 3 + each}" for each in range(80)]
            figures.add({MAIN: sample(number), **{name: sample(number) for name in names}})
            clock.now += STEP
        assert tracemalloc.get_traced_memory()[0] - before < 2.1e6
    finally:
        tracemalloc.stop()
    found = figures.show("hour")
    assert len(found.main.cpu) == _SLOTS
    assert len(found.processes) == 63
    gap = found.end.timestamp()
    clock.now += 3 * 86400
    figures.add({MAIN: sample(1000)})
    clock.now += STEP
    figures.add({MAIN: sample(1001)})
    later = figures.show("hour")
    assert later.main.cpu[-1] is not None
    assert set(later.main.cpu[:-2]) == {None}
    assert later.end.timestamp() == pytest.approx(gap, abs=30)


def test_nothing_before_the_first(figures: Figures) -> None:
    """There are lists, which are empty."""
    for span in ("hour", "day"):
        found = figures.show(span)  # type: ignore[arg-type]
        assert (found.main.cpu, found.processes) == ([], {})


def test_of_a_bot(bot: Program) -> None:
    """None until the page is opened; then of main and all its processes."""
    client = Client()
    nothing = client.ask("GET", "/figures")
    assert (nothing["main"]["cpu"], nothing["processes"]) == ([], {})
    client.ask("POST", "/web")
    found = wait_until(
        lambda: found if (found := client.ask("GET", "/figures"))["main"]["cpu"] else None,
        "the first step",
        timeout=40,
    )
    assert set(found["processes"]) == {"echo", "waits", "fragile", "works", "mortal"}
    assert found["main"]["messages"][-1] is not None
    if sys.platform == "linux":
        assert found["main"]["memory"][-1] > 1e6
        assert found["processes"]["echo"]["memory"][-1] > 1e6
    assert client.ask("GET", "/figures", query={"span": "day"})["step"] == 240
