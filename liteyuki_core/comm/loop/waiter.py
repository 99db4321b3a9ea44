"""Waiters: each stands for a thread or task that waits for something that a link brings.

A waiter is in the queues of what it waits for, and one wait makes and owns it. The thread that
brings what is waited for takes the waiter from its queue under the lock, and calls `wake` once. The
thread or task that waits calls `wait`, without the lock.

A stop may interrupt the main thread while it executes code of this file itself, see
`process/child/leaving.py`. So this file waits, and has others do what must not be broken off.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Protocol

from .wakes import Resumption, Wakes

_HOLD = 0.005
"""Seconds that a thread waits for bytes at most before it leaves the reading to others. Then a wait
that lasts is an ordinary one, which anybody can end."""


_SPIN = 0.00006
"""Seconds that a thread looks for bytes before it sleeps: to be woken takes about as long."""

_let_others_run: Callable[[], None] = getattr(os, "sched_yield", lambda: None)

_MOST_REST = 64
"""Most waits that follow one another without a look, because looks were in vain."""


class Arrivals:
    """Waits until bytes have come on a connection. One thread waits at a time.

    The thread looks again and again for a moment before it sleeps, and lets others have its
    processor meanwhile. If that is in vain, it sleeps at once in the next waits, each time in more
    of them. So who gets no answers soon looks for nothing.
    """

    def __init__(self, poll: Callable[[float | None], object]) -> None:
        self._poll = poll
        self._rest = 0 if more_than_one_processor() else sys.maxsize
        self._next_rest = 1

    def wait(self, seconds: float | None) -> bool:
        """Return whether bytes or the end have come within so many seconds; None: for ever."""
        poll = self._poll
        if self._rest:
            self._rest -= 1
        else:
            until = monotonic() + _SPIN
            while True:
                if poll(0):
                    self._next_rest = 1
                    return True
                _let_others_run()
                if monotonic() > until:
                    break
            self._rest = self._next_rest
            self._next_rest = min(2 * self._next_rest, _MOST_REST)
        return bool(poll(None if seconds is None else 1000 * seconds))


def arrivals_of(connection: socket.socket) -> Arrivals | None:
    """Return what waits for bytes on a connection; None where the system has nothing for it."""
    if sys.platform == "win32":
        return None
    arrivals = select.poll()
    arrivals.register(connection.fileno(), select.POLLIN)
    return Arrivals(arrivals.poll)


def more_than_one_processor() -> bool:
    """Return whether another process can run while a thread of this one looks for bytes."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) > 1
    return (os.cpu_count() or 1) > 1


class Reading(Protocol):
    """What a thread may read itself while it waits."""

    arrivals: Arrivals
    """On the connection that the thread may read."""

    def start_waiting(self) -> bool:
        """Begin to wait; return whether the thread may read."""

    def read(self) -> bool:
        """Read what has come and hand it over; return whether the thread may go on reading."""

    def stop_waiting(self, *, keeps: bool) -> None:
        """End waiting; say whether the thread keeps the reading for its next wait."""


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


class ReadingWaiter(SyncWaiter):
    """A thread that reads what it waits for itself. So it need not be woken by another thread."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading

    def wait(self, seconds: float | None) -> bool:
        reading = self._reading
        deadline = inf if seconds is None else monotonic() + seconds
        if reading.start_waiting():
            keeps = False
            arrivals = reading.arrivals
            try:
                hold = min(_HOLD, deadline - monotonic())
                while hold > 0 and arrivals.wait(hold) and reading.read():
                    if self._gate.acquire(blocking=False):
                        keeps = True
                        return True
                    hold = min(_HOLD, deadline - monotonic())
            finally:
                reading.stop_waiting(keeps=keeps)
        return super().wait(None if seconds is None else deadline - monotonic())


Waiter = SyncWaiter | AsyncWaiter
Waiters = deque[Waiter]
