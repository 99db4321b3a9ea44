"""Steps that wait: what a thread and a task do alike, through both doors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from liteyuki_core.comm.loop import steps
from liteyuki_core.comm.loop.waiter import AsyncWaiter, SyncWaiter
from liteyuki_core.comm.loop.wakes import Wakes
from tests.conftest import wait_until


class Asking:
    """Steps that wait twice for something; `waiting` has the waiters, `ended` how they ended."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.ended: list[str] = []

    def twice(self, new_waiter: Callable[[], Any], seconds: float | None) -> Any:
        """Return how often the waiter was woken."""
        woken = 0
        try:
            for _ in range(2):
                self.waiting.append(new_waiter())
                woken += yield self.waiting[-1], seconds
        except GeneratorExit:
            self.ended.append("closed")
            raise
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        return woken


def wake(waiter: Any) -> None:
    wakes = Wakes()
    waiter.wake(wakes)


def run(door: str, asking: Asking, seconds: float | None) -> Any:
    """Run the steps in a thread or as a task of a loop there."""
    if door == "sync":
        return steps.wait(asking.twice(SyncWaiter, seconds))

    async def task() -> Any:
        return await steps.async_wait(asking.twice(steps.async_waiter(), seconds))

    return asyncio.run(task())


@pytest.mark.parametrize("door", ["sync", "async"])
def test_woken(door: str) -> None:
    """Steps go on when their waiter is woken, and what they return is returned."""
    asking, results = Asking(), []
    thread = threading.Thread(target=lambda: results.append(run(door, asking, None)))
    thread.start()
    for count in (1, 2):
        wait_until(lambda count=count: len(asking.waiting) == count)
        wake(asking.waiting[-1])
    thread.join(20)
    assert results == [2]
    assert asking.ended == []


@pytest.mark.parametrize("door", ["sync", "async"])
def test_in_vain(door: str) -> None:
    """Steps learn that nobody has woken their waiter in time."""
    asking = Asking()
    assert run(door, asking, 0.001) == 0
    assert len(asking.waiting) == 2


async def test_cancelled() -> None:
    """Steps of a task that is cancelled are left where they wait, before the task ends."""
    asking = Asking()
    task = asyncio.ensure_future(
        steps.async_wait(asking.twice(steps.async_waiter(), None)),
    )
    while not asking.waiting:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asking.ended == ["closed"]
    assert isinstance(asking.waiting[0], AsyncWaiter)
