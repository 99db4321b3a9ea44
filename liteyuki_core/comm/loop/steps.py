"""Steps that wait for something, written once for threads and for tasks.

The steps are a generator. It yields a waiter and how many seconds to wait, and is sent whether the
waiter was woken. Its return value is the result. It makes its waiters with a function that is given
to it: `SyncWaiter` for a thread, `async_waiter()` for a task. If the wait is broken off, as by a
cancellation, the generator is closed at its `yield`.

`wait` and `async_wait` run the steps in the thread or task that calls them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from typing import TypeVar

from .waiter import AsyncWaiter, SyncWaiter

T = TypeVar("T")
W = TypeVar("W", SyncWaiter, AsyncWaiter)

Steps = Generator[tuple[W, float | None], bool, T]


def wait(steps: Steps[SyncWaiter, T]) -> T:
    """Run steps and return their result. Blocks this thread while they wait."""
    try:
        waiter, seconds = next(steps)
        while True:
            waiter, seconds = steps.send(waiter.wait(seconds))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()


async def async_wait(steps: Steps[AsyncWaiter, T]) -> T:
    """Run steps and return their result. The loop goes on while they wait."""
    try:
        waiter, seconds = next(steps)
        while True:
            waiter, seconds = steps.send(await waiter.wait(seconds))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()


def async_waiter() -> Callable[[], AsyncWaiter]:
    """Return a function that makes waiters for tasks of the running loop."""
    return partial(AsyncWaiter, asyncio.get_running_loop())
