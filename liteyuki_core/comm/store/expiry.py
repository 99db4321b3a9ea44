"""Calls a function when a deadline is there: the store's when a key expires, the hub's reminder's.

An `Expiry` owns its thread, and `close` ends it. The thread starts with the first deadline. It
sleeps until the earliest deadline or, if there is none, until there is one. Any thread may call the
methods.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from threading import TIMEOUT_MAX
from time import monotonic


class Expiry:
    """Calls `expire` on its own thread when the earliest deadline is there.

    `expire` handles everything that is due. It returns the next deadline, by `time.monotonic`, or
    None.
    """

    def __init__(self, expire: Callable[[], float | None]) -> None:
        self._expire = expire
        self._condition = threading.Condition()
        self._earliest: float | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def at(self, deadline: float) -> None:
        """Call `expire` at `deadline` too. From any thread, also under a lock."""
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
                    remaining = None if earliest is None else earliest - monotonic()
                    if remaining is not None and remaining <= 0:
                        break
                    self._condition.wait(None if remaining is None else min(remaining, TIMEOUT_MAX))
                if self._closed:
                    return
                self._earliest = None
            following = self._expire()
            if following is not None:
                self.at(following)
