"""Waiters: each stands for a thread or task that waits for something that a link brings.

A waiter is in the queues of what it waits for, and one wait makes and owns it. The thread that
brings what is waited for takes the waiter from its queue under the lock, and calls `wake` once. The
thread or task that waits calls `wait`, without the lock.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from .wakes import Resumption, Wakes


class SyncWaiter:
    """A thread that waits for one end or several. To wake it twice is the same as once."""

    loop = None

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()

    def wake(self, wakes: Wakes) -> None:
        wakes.wake(None, self._open)

    def _open(self) -> None:
        try:
            self._gate.release()
        except RuntimeError:
            pass  # Another end that the thread waits for has woken it already.

    def wait(self, seconds: float | None) -> bool:
        """Return whether it was woken within so many seconds; None: for ever."""
        return self._gate.acquire(timeout=-1 if seconds is None else max(0.0, seconds))


class AsyncWaiter:
    """A task that waits for one end or several. To wake it twice is the same as once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.woken = Resumption(loop)

    def wake(self, wakes: Wakes) -> None:
        wakes.wake(self.loop, self.woken.resume)

    async def wait(self, seconds: float | None) -> bool:
        """Return whether it was woken within so many seconds; None: for ever."""
        timer = None
        if seconds is not None:
            timer = self.loop.call_later(seconds, self.woken.resume, False)
        try:
            return bool(await self.woken)
        finally:
            if timer is not None:
                timer.cancel()


Waiter = SyncWaiter | AsyncWaiter
Waiters = deque[Waiter]
