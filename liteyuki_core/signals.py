"""The signals that end the main process: a handler notes them, the loop decides.

Ownership. `Signals` owns the handlers of its signals from `catch` to `release`, which puts back
those that were there before. A handler runs on the main thread between any two of its
instructions, so it takes no lock; and it must work where the loop hangs, so it does itself what
may not wait for the loop: it has the stop watched, and at the second signal kills the children.

Invariants: signals within `_ECHO_SECONDS` are one. The first asks for a stop, each later one ends
everything at once.

Tested in tests/test_bot.py and tests/process/test_endings.py.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Any

from . import log
from .stop import Stop

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_ECHO_SECONDS = 0.1
"""Signals closer than this are one: some launchers pass on what the terminal sent as well."""


class Signals:
    """What signals do to a LiteyukiBot. `catch` and `release` on its loop.

    In the handler `on_signal` is called at each of them, `kill_all` at every one but the first.
    """

    def __init__(
        self, stop: Stop, on_signal: Callable[[], None], kill_all: Callable[[], None]
    ) -> None:
        self._stop = stop
        self._on_signal = on_signal
        self._kill_all = kill_all
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: dict[int, Any] = {}
        """The handlers that were there."""
        self._count = 0
        self._at = float("-inf")

    def catch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle the signals from now on; on any other thread than the main one, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = loop
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                continue
            self._before[number] = signal.getsignal(number)
            try:
                # For its waking of the loop; the handler itself must work when the loop hangs.
                loop.add_signal_handler(number, lambda: None)
            except NotImplementedError:
                pass  # On Windows.
            signal.signal(number, self._handle)

        child = getattr(signal, "SIGCHLD", None)
        if child is not None and signal.getsignal(child) is signal.SIG_IGN:
            # Inherited from a shell, say: the system would throw exit codes away.
            self._before[child] = signal.signal(child, signal.SIG_DFL)

    def release(self) -> None:
        """Put back the handlers that were there before."""
        loop = self._loop
        if loop is None:
            return
        for number, handler in self._before.items():
            try:
                loop.remove_signal_handler(number)
            except NotImplementedError:
                pass
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._loop = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = monotonic()
        loop = self._loop
        if loop is None or now - self._at < _ECHO_SECONDS:
            return
        self._at = now
        self._on_signal()
        self._count += 1
        name = signal.Signals(number).name
        if self._count == 1:
            self._stop.expect()
            loop.call_soon_threadsafe(self._first, name)
            return
        self._kill_all()
        self._stop.at_once()
        loop.call_soon_threadsafe(log.logger.warning, f"{name} again: everything is ended at once")

    def _first(self, name: str) -> None:
        if self._stop.asked.is_set():
            log.logger.info(
                f"{name}: LiteyukiBot stops already; another one ends everything at once"
            )
        else:
            self._stop.ask(name)
