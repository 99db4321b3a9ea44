"""The thread that does, a little later, what is better not done at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import sleep

GATHER_SECONDS = 0.005
"""How long what is added may wait, so that what comes meanwhile is done with it."""


class Attendant:
    """Calls what was put off, a little later.

    Its thread sleeps when there is nothing. `add` is safe everywhere, also in a finaliser.
    """

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
        """End the thread, after what was added before."""
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
