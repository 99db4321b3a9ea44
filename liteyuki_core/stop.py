"""The stop of a LiteyukiBot: whether it was asked for, and by when all is to have ended.

Ownership. `Stop` owns the one deadline of a whole stop, and the watchdog: a thread that ends the
process by force where its loop hangs and takes longer than that deadline allows. `ask` is called
on LiteyukiBot's loop; `expect` and `at_once` in signal handlers, so they take no lock.

Invariants: only the first who asks sets the deadline; `at_once` alone moves it, to now.

Tested in tests/test_bot.py and tests/process/test_endings.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import monotonic

from . import log

_WATCHDOG_GRACE = 2.0
_AT_ONCE_SECONDS = 1.0


class Stop:
    """Whether LiteyukiBot is to stop, and how long that may take still.

    It has `timeout` seconds; where it takes clearly longer, `end_by_force` is called on a thread.
    """

    def __init__(self, timeout: float, end_by_force: Callable[[], None]) -> None:
        self.asked = asyncio.Event()
        self._timeout = timeout
        self._end_by_force = end_by_force
        self._deadline: float | None = None
        self._watchdog: threading.Timer | None = None

    def ask(self, why: str) -> None:
        """Have LiteyukiBot stop. Idempotent."""
        if self.asked.is_set():
            return
        self._deadline = monotonic() + self._timeout
        log.logger.info(f"LiteyukiBot stops: {why}")
        self._watch(self._timeout + _WATCHDOG_GRACE)
        self.asked.set()

    def expect(self) -> None:
        """Watch from now on that the loop asks for a stop, and stops."""
        if not self.asked.is_set():
            self._watch(self._timeout + _WATCHDOG_GRACE)

    def at_once(self) -> None:
        """Leave no time for the stop any more."""
        self._deadline = monotonic()
        self._watch(_AT_ONCE_SECONDS)

    def left(self) -> float:
        """Return how many seconds the stop may take still; 0 if it was not asked for."""
        return 0.0 if self._deadline is None else max(0.0, self._deadline - monotonic())

    def close(self) -> None:
        """Watch no more: it has stopped."""
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _watch(self, seconds: float) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = threading.Timer(seconds, self._end_by_force)
        self._watchdog.name = "liteyuki-watchdog"
        self._watchdog.daemon = True
        self._watchdog.start()
