"""Steps that wait for something: what a thread and a task do alike is written once.

Such steps are a generator. It yields a waiter and for how many seconds to wait, and is sent whether
the waiter was woken; what it returns is the result. It makes its waiters by a function that whoever
runs it gives it. Where it is left while it waits, as by a cancellation, it is closed there.
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
    """Return what steps return; block this thread where they wait."""
    try:
        waiter, seconds = next(steps)
        while True:
            waiter, seconds = steps.send(waiter.wait(seconds))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()


async def async_wait(steps: Steps[AsyncWaiter, T]) -> T:
    """Return what steps return; let the loop go on where they wait."""
    try:
        waiter, seconds = next(steps)
        while True:
            waiter, seconds = steps.send(await waiter.wait(seconds))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()


def async_waiter() -> Callable[[], AsyncWaiter]:
    """Return what makes waiters for tasks of the running loop."""
    return partial(AsyncWaiter, asyncio.get_running_loop())
