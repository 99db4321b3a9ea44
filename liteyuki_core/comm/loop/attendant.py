"""The thread that makes calls which were put off for some milliseconds.

A `Site` owns it and closes it. `add` and `add_late` may be called from anywhere, also from a
finaliser. Calls are made one after another, in the order in which they were added; late calls are
a row of their own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic, sleep

GATHER_SECONDS = 0.005
"""How many seconds a call may wait, so that later calls are made with it."""

_LATE_SECONDS = 0.025
"""How many seconds a late call may wait. To wake the thread for each message that comes now and
then would cost a third of what all else about such a message costs."""


def _late() -> None:
    """Stand in the queue for the late calls."""


class Attendant:
    """Makes calls that were put off. Its thread sleeps while there is none."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._late: deque[Callable[[], None]] = deque()
        self._looks = False
        """Whether the thread will look at the late calls without being woken."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it runs. Under the lock."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="liteyuki-attendant", daemon=True
            )
            self._thread.start()

    def add(self, act: Callable[[], None]) -> None:
        """Have `act` called soon."""
        self._queue.put(act)

    def add_late(self, act: Callable[[], None]) -> None:
        """Have `act` called, but not soon."""
        self._late.append(act)
        if not self._looks:
            self._queue.put(_late)

    def close(self) -> None:
        """End the thread after the calls that were added before. Waits for it, at most 1 s."""
        self._queue.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _run(self) -> None:
        due: float | None = None
        while True:
            try:
                acts = [self._queue.get(timeout=due and max(0.0, due - monotonic()))]
            except Empty:
                # Where calls come all the time, it is not woken for each.
                due = monotonic() + _LATE_SECONDS if self._make_late() else None
                if due is None:
                    self._looks = False
                    if self._late:  # It came just now.
                        self._queue.put(_late)
                continue
            if acts[0] not in (None, _late):
                sleep(GATHER_SECONDS)
            acts += [self._queue.get() for _ in range(self._queue.qsize())]
            for act in acts:
                if act is None:
                    self._make_late()
                    return
                if act is not _late:
                    act()
                elif due is None:
                    self._looks = True
                    due = monotonic() + _LATE_SECONDS

    def _make_late(self) -> bool:
        """Make the late calls. Return whether there were any."""
        count = len(self._late)
        for _ in range(count):
            self._late.popleft()()
        return count > 0
