"""Answers in memory that the main process and a child share."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, isfinite, isnan, nan
from types import SimpleNamespace
from typing import Any

import pytest

from liteyuki_core.comm.wire import words
from liteyuki_core.errors import FrameError
from liteyuki_core.process.child.pulse import Pulse
from liteyuki_core.process.health import Hang, Watch
from liteyuki_core.process.report import Answer, Report, shared
from tests.loops import LoopThread

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no such memory")

ANSWERS = [Answer(2.5, None, None), Answer(5.0, 0.25, None), Answer(7.5, 3.0, 2.5)]


@pytest.fixture
def report() -> Any:
    """Fresh memory, let go of with the test."""
    made = shared()
    assert made is not None
    yield made
    made.close()


def test_what_was_written_last_is_read(report: Report) -> None:
    """At first that is no answer to any question."""
    assert isnan(report.read().at)
    for answer in ANSWERS:
        report.write(answer)
        assert report.read() == answer
        assert report.read() == answer


def write(report: Report, answers: list[Answer]) -> None:
    for answer in answers:
        report.write(answer)


def test_a_spawned_process_writes(report: Report) -> None:
    """It has the same memory."""
    child = multiprocessing.get_context("spawn").Process(target=write, args=(report, ANSWERS))
    child.start()
    child.join()
    assert report.read() == ANSWERS[-1]


def test_it_cannot_be_cut_short(report: Report) -> None:
    """Reading what is not there any more would end the process that reads."""
    with pytest.raises(PermissionError):
        os.ftruncate(report._file, 0)


def test_closing_twice_is_as_good_as_once(report: Report) -> None:
    """And leaves nothing open, as after every test."""
    report.close()
    report.close()


class Asked:
    """Main's and a child's side with a report between them; what is said over the link is kept."""

    def __init__(self, report: Report, bound: Any) -> None:
        self.said: list[words.Pulse] = []
        self._questions: list[words.AskPulse] = []
        child: Any = SimpleNamespace(name="child", pid=None, loop_lag=None)
        peer: Any = SimpleNamespace(say=self._questions.append)
        self.watch = Watch(child, peer, Hang(5, "warn"), lambda: None, report)
        self._pulse = Pulse(bound, self.said.append, report)

    def answer(self) -> None:
        """Have the child answer what it was asked."""
        while self._questions:
            self._pulse.answer(*self._questions.pop(0))


def test_a_child_that_is_well_says_nothing(report: Report) -> None:
    """Its answers wake nobody; the main process finds them when it looks."""
    asked = Asked(report, SimpleNamespace(bound=None))
    for at in (0.0, 2.5, 5.0):
        asked.watch.ask(at)
        asked.answer()
        assert asked.watch.asked == at
        assert not asked.watch.take(at + 2.5)
        assert asked.watch.asked is None
    assert not asked.said


def test_a_silence_is_over_with_the_first_answer(report: Report) -> None:
    """Also where its loop has not run yet what it was given before the silence was noticed."""
    with a_blocked_loop() as bound:
        asked = Asked(report, bound)
        watch = asked.watch
        watch.known = True
        watch.ask(0.0)
        assert "has not answered" in str(watch.take(5.0))
        asked.answer()
        assert len(asked.said) == 1
        assert watch.arrived(asked.said[0]), "nobody looks at it"
        assert not watch.take(5.1)
        assert not watch.hangs


GARBAGE = [nan, inf, -inf, -1.0, 1e308, -1e-9, 1e17]


@pytest.mark.parametrize("number", GARBAGE)
@pytest.mark.parametrize("place", ["lag", "waits"])
def test_numbers_that_can_not_be(report: Report, place: str, number: float) -> None:
    """A child that writes them has not answered; one that says them breaks the protocol."""
    asked = Asked(report, SimpleNamespace(bound=None))
    watch = asked.watch
    watch.known = True
    watch.ask(7.5)
    pulse = words.Pulse(7.5, 0.5, 5.0, "")
    wrong = pulse._replace(**{place: number})
    report._numbers[0], report._numbers[1], report._numbers[2] = wrong.lag, wrong.waits, wrong.at
    if isnan(number):
        assert not watch.take(8.0)  # That there is none.
        assert watch.asked is None
        return
    assert not watch.take(8.0)
    assert watch.asked == 7.5
    assert watch.child.loop_lag is None
    assert "has not answered for 5.5 s" in str(watch.take(13.0))
    assert all(isfinite(time) for time in watch.due(13.0))
    for found in (number, 10**400, -(10**400)):
        with pytest.raises(FrameError):
            watch.arrived(pulse._replace(**{place: found}))
    assert watch.arrived(pulse._replace(**{place: None}, stack="x" * 1_000_000))
    assert len(watch.answer.stack) < 10_000  # type: ignore[union-attr]


@pytest.mark.parametrize("number", GARBAGE)
def test_an_answer_to_what_was_not_asked(report: Report, number: float) -> None:
    """It counts as none."""
    asked = Asked(report, SimpleNamespace(bound=None))
    asked.watch.ask(7.5)
    report._numbers[2] = number
    assert not asked.watch.take(8.0)
    assert asked.watch.asked == 7.5


@contextmanager
def a_blocked_loop() -> Iterator[Any]:
    """What says that a loop is bound, which a callback keeps from turning."""
    running = LoopThread(asyncio.SelectorEventLoop)
    entered, release = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        release.wait(20)

    running.loop.call_soon_threadsafe(block)
    assert entered.wait(10)
    try:
        yield SimpleNamespace(bound=(running.loop, running.thread.ident))
    finally:
        release.set()
        running.stop()
        running.loop.close()
