"""A thread that takes the requests of one end itself: see `process/child/worker.py`.

It stands where a runner would, for the end and for the dispatcher. The thread takes one request
after another with `take`, and says of each with `ended` when it has ended. It may have several
begun, which others handle, and is given none while it has as many as it may.

Threads. One thread calls `take`. Any thread may call the other methods. The state is guarded by the
site's lock; a method that is called under it says so.

Invariant, under the lock: a request that was taken from the source is in `_messages` until it has
begun or was given back, and counts as running from then on until `ended`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from .answers import Request, RequestSource
from .callbacks import CallbackLoop
from .steps import Steps, W
from .waiter import Waiter
from .wakes import Wakes


class Taker:
    """The requests of `source`, for one thread. At most `concurrency` of them run at a time.

    When no request is begun any more, `pause_source` is called under the lock, and then `pump`.
    """

    detached = False
    """As in a runner. The thread learns of a closed end by nothing coming any more."""

    def __init__(
        self,
        source: RequestSource,
        loop: CallbackLoop,
        lock: AbstractContextManager[Any],
        wakes: Wakes,
        concurrency: int,
        pause_source: Callable[[], None],
        pump: Callable[[], None],
    ) -> None:
        self._source = source
        self._loop = loop
        self._lock = lock
        self._wakes = wakes
        self._concurrency = concurrency
        self._pause_source = pause_source
        self._pump = pump
        self._messages: deque[Request] = deque()
        self._end = 0
        """The number after the last of `_messages`."""
        self._running = 0
        self._waiter: Waiter | None = None
        self._paused = False

    # ------------------------------------------------------------- for the thread

    def until_taken(self, new_waiter: Callable[[], W]) -> Steps[W, Request | None]:
        """Return the next request, which counts as running. None: none is begun any more."""
        while True:
            with self._lock:
                if self._paused:
                    return None
                if self._running < self._concurrency and (self._messages or self._refill()):
                    self._running += 1
                    return self._messages.popleft()
                waiter = self._waiter = new_waiter()
            yield waiter, None

    def until_idle(self, new_waiter: Callable[[], W]) -> Steps[W, None]:
        """Wait until no request runs."""
        while True:
            with self._lock:
                if not self._running:
                    return
                waiter = self._waiter = new_waiter()
            yield waiter, None

    def ended(self) -> None:
        """Note that a request has ended."""
        with self._lock:
            self._running -= 1
            self.ready()

    def _refill(self) -> bool:
        taken = self._source.take()
        if taken is None:
            return False
        first, messages, _ = taken
        self._messages = messages
        self._end = first + len(messages)
        return True

    # ------------------------------------------------------------- for the source, under the lock

    def ready(self) -> None:
        """Have the thread look for requests."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.wake(self._wakes)

    def take_off(self) -> tuple[int, int]:
        """Remove the requests that have not begun. Return the number of the first and how many."""
        count = len(self._messages)
        self._messages.clear()
        self._end -= count
        return self._end, count

    def backlog(self) -> int:
        """Return how many requests were taken from the source and have not begun."""
        return len(self._messages)

    # ------------------------------------------------------------- for the dispatcher

    def step(self) -> None:
        """Do nothing: the thread is not the loop's."""

    def busy(self) -> bool:
        """Return whether requests run."""
        return self._running > 0

    def pumps(self) -> set[asyncio.Task[None]]:
        """Return no tasks."""
        return set()

    def pause(self) -> None:
        """Begin no request any more, and give back those that have not begun."""
        with self._lock:
            if self._paused:
                return
            self._paused = True
            self._pause_source()
            self.ready()
        self._pump()

    def cancel(self) -> None:
        """Do nothing: what runs has had its time."""
