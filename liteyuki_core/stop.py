"""The stop of a LiteyukiBot: whether it was asked for, and by when everything must have ended.

Ownership. `Stop` owns the one deadline of a whole stop, and the watchdog: a thread that ends the
process by force if its loop hangs and the stop takes longer than the deadline allows. `close` ends
the watchdog. LiteyukiBot's loop calls `ask`. The thread of the signals calls `expect` and
`at_once`, or a signal's handler, which interrupts whatever the main thread does.

Invariants: the first call of `ask` sets the deadline, and `at_once` moves it to now. Nothing else
changes it.

Tested in tests/test_bot.py and tests/process/test_endings.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import monotonic

from . import log
from .language import Phrase, say

_WATCHDOG_GRACE = 2.0
_AT_ONCE_SECONDS = 1.0


class Stop:
    """Whether LiteyukiBot is to stop, and how much time remains for that.

    A stop has `timeout` seconds. If it takes clearly longer, the watchdog calls `end_by_force` on
    its thread.
    """

    def __init__(self, timeout: float, end_by_force: Callable[[], None]) -> None:
        self.asked = asyncio.Event()
        self._timeout = timeout
        self._end_by_force = end_by_force
        self._lock = threading.RLock()  # A handler may interrupt its own thread.
        self._deadline: float | None = None
        self._watchdog: threading.Timer | None = None

    def ask(self, why: Phrase | str) -> None:
        """Ask LiteyukiBot to stop. Idempotent."""
        if self.asked.is_set():
            return
        log.logger.info(say("LiteyukiBot stops: {why}", why=why))
        with self._lock:
            if self._deadline is None:  # A second signal may have come first: `at_once`.
                self._deadline = monotonic() + self._timeout
                self._watch(self._timeout + _WATCHDOG_GRACE)
        self.asked.set()

    def expect(self) -> None:
        """Start the watchdog already now: the loop may hang and never call `ask`."""
        with self._lock:
            if not self.asked.is_set():
                self._watch(self._timeout + _WATCHDOG_GRACE)

    def at_once(self) -> None:
        """Move the deadline to now."""
        with self._lock:
            self._deadline = monotonic()
            self._watch(_AT_ONCE_SECONDS)

    def remaining(self) -> float:
        """Return how many seconds remain for the stop, 0 if it was not asked for."""
        return 0.0 if self._deadline is None else max(0.0, self._deadline - monotonic())

    def close(self) -> None:
        """End the watchdog, because the bot has stopped."""
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _watch(self, seconds: float) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = threading.Timer(seconds, self._end_by_force)
        self._watchdog.name = "liteyuki-watchdog"
        self._watchdog.daemon = True
        self._watchdog.start()
