"""Wakes the store when something in it expires.

Its thread starts with the first deadline and sleeps until the earliest; where there is none it
sleeps until there is one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from threading import TIMEOUT_MAX
from time import monotonic


class Expiry:
    """Calls `expire` when the earliest deadline is there. Owns its thread.

    `expire` lets go of what is due and returns the next deadline, of `time.monotonic`, or None.
    """

    def __init__(self, expire: Callable[[], float | None]) -> None:
        self._expire = expire
        self._condition = threading.Condition()
        self._earliest: float | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def at(self, deadline: float) -> None:
        """Have it called at `deadline` too. From any thread, also under a lock."""
        with self._condition:
            if self._closed or (self._earliest is not None and self._earliest <= deadline):
                return
            self._earliest = deadline
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="liteyuki-expiry", daemon=True
                )
                self._thread.start()
            self._condition.notify_all()

    def close(self) -> None:
        """End the thread. Idempotent."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._closed:
                    earliest = self._earliest
                    left = None if earliest is None else earliest - monotonic()
                    if left is not None and left <= 0:
                        break
                    self._condition.wait(None if left is None else min(left, TIMEOUT_MAX))
                if self._closed:
                    return
                self._earliest = None
            following = self._expire()
            if following is not None:
                self.at(following)
