"""The thread that makes calls which were put off for a few milliseconds.

A `Site` owns it and closes it. `add` may be called from anywhere, also from a finaliser. Calls are
made one after another, in the order in which they were added.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import sleep

GATHER_SECONDS = 0.005
"""How many seconds a call may wait, so that later calls are made with it."""


class Attendant:
    """Makes calls that were put off. Its thread sleeps while there is none."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
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

    def close(self) -> None:
        """End the thread after the calls that were added before. Waits for it, at most 1 s."""
        self._queue.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _run(self) -> None:
        while (act := self._queue.get()) is not None:
            sleep(GATHER_SECONDS)
            act()
            for _ in range(self._queue.qsize()):
                act = self._queue.get()
                if act is None:
                    return
                act()
