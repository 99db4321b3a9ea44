"""What a child answers when it is asked how it is: for loops that sleep, run and are blocked.

Tests process/child/pulse.py.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from liteyuki_core.comm.wire import words
from liteyuki_core.process.child.pulse import Pulse
from tests.conftest import wait_until
from tests.loops import LOOPS, LoopThread, Sleeps


class Asked:
    """A pulse whose answers are kept, for a loop that runs in a thread."""

    def __init__(self, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.answers: list[words.Pulse] = []
        self.running = LoopThread(new_loop)
        self.loop = self.running.loop
        bound: Any = SimpleNamespace(bound=(self.loop, self.running.thread.ident))
        self._pulse = Pulse(bound, self.answers.append, None)

    def ask(self, at: float) -> words.Pulse:
        """Ask and return the answer."""
        self._pulse.answer(at, True, False)
        return self.answers[-1]


@pytest.fixture
def ask() -> Iterator[Callable[[Callable[[], asyncio.AbstractEventLoop]], Asked]]:
    """Makes them; their loops are ended with the test."""
    made: list[Asked] = []

    def make(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Asked:
        made.append(Asked(new_loop))
        return made[-1]

    yield make
    for asked in made:
        asked.running.stop()
        asked.loop.close()


def test_a_loop_that_sleeps_is_left_asleep(ask: Any) -> None:
    """Nothing is asked of it, and it does not lag."""
    selector = Sleeps()
    asked = ask(lambda: asyncio.SelectorEventLoop(selector))
    wait_until(lambda: selector.sleeps)
    woken = len(selector.looks)
    for at in (1.0, 2.0, 3.0):
        answer = asked.ask(at)
        assert (answer.at, answer.lag, answer.waits) == (at, 0.0, None)
    assert selector.sleeps
    assert len(selector.looks) == woken


def in_a_lock(entered: threading.Event, release: threading.Event) -> None:
    entered.set()
    release.wait(20)


def in_a_select(entered: threading.Event, release: threading.Event) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, selectors.DefaultSelector() as own:
        own.register(ours, selectors.EVENT_READ)
        threading.Thread(target=lambda: release.wait(20) and theirs.send(b"x")).start()
        entered.set()
        own.select(20)


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("block", [in_a_lock, in_a_select])
def test_a_loop_that_is_blocked(
    ask: Any, new_loop: Callable[[], asyncio.AbstractEventLoop], block: Callable[..., None]
) -> None:
    """The next answer says since which question and where, also where that is a select."""
    asked = ask(new_loop)
    entered, release = threading.Event(), threading.Event()
    asked.loop.call_soon_threadsafe(block, entered, release)
    assert entered.wait(10)
    try:
        assert asked.ask(1.0).waits is None
        answer = asked.ask(2.0)
        assert answer.waits == 1.0
        assert answer.lag > 0
        assert block.__name__ in answer.stack
        assert asked.ask(3.0).lag > answer.lag
    finally:
        release.set()
    wait_until(lambda: asked.ask(4.0).waits is None)
    assert asked.answers[-1].lag >= answer.lag, "for how long it was, once that is over"


def test_a_loop_that_runs(ask: Any) -> None:
    """One that always has something to do takes the mark on its way."""
    asked = ask(asyncio.SelectorEventLoop)
    stop = threading.Event()

    def again() -> None:
        if not stop.is_set():
            asked.loop.call_soon(again)

    asked.loop.call_soon_threadsafe(again)
    try:
        for at in range(1, 20):
            answer = asked.ask(float(at))
            assert answer.waits in (None, at - 1)
        wait_until(lambda: asked.ask(50.0).waits is None)
    finally:
        stop.set()


@pytest.mark.skipif("uvloop" not in LOOPS, reason="where uvloop is not installed")
def test_a_loop_that_cannot_be_looked_into(ask: Any) -> None:
    """It gets a mark, asleep or not, and runs it."""
    asked = ask(LOOPS["uvloop"])
    asked.ask(1.0)
    wait_until(lambda: asked.ask(2.0).lag is not None)
    wait_until(lambda: asked.ask(3.0).waits is None)
