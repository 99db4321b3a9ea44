"""The signals that end the main process: a handler notes them, the loop decides.

Ownership. `Signals` owns the handlers of its signals from `catch` to `release`, which puts back
the handlers that were there before. A handler runs on the main thread between any two of its
instructions, so it takes no lock. It must also work when the loop hangs, so it does itself what
can't wait for the loop: it starts the watchdog at the first signal and kills the children at the
second.

Invariants: signals within `_ECHO_SECONDS` count as one. The first signal asks for a stop. Each
later one ends everything at once.

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
from .language import say
from .stop import Stop

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_ECHO_SECONDS = 0.1
"""Some launchers pass on a signal that the terminal has sent to this process too."""


class Signals:
    """The signal handlers of a LiteyukiBot. Its loop calls `catch` and `release`.

    The handler calls `on_signal` at each signal, and `kill_all` at each but the first.
    """

    def __init__(
        self, stop: Stop, on_signal: Callable[[], None], kill_all: Callable[[], None]
    ) -> None:
        self._stop = stop
        self._on_signal = on_signal
        self._kill_all = kill_all
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: dict[int, Any] = {}
        """The handlers that were there before, by signal."""
        self._count = 0
        self._at = float("-inf")

    def catch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle the signals from now on. Does nothing on another thread than the main one."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = loop
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                continue
            self._before[number] = signal.getsignal(number)
            try:
                # So that a signal wakes the loop. `_handle` must also run when the loop hangs.
                loop.add_signal_handler(number, lambda: None)
            except NotImplementedError:
                pass  # On Windows.
            signal.signal(number, self._handle)

        sigchld = getattr(signal, "SIGCHLD", None)
        if sigchld is not None and signal.getsignal(sigchld) is signal.SIG_IGN:
            # Inherited, for example from a shell. The system would throw exit codes away.
            self._before[sigchld] = signal.signal(sigchld, signal.SIG_DFL)

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
        loop.call_soon_threadsafe(self._again, name)

    def _again(self, name: str) -> None:
        log.logger.warning(say("{name} again: everything is ended at once", name=name))

    def _first(self, name: str) -> None:
        if self._stop.asked.is_set():
            log.logger.info(
                say(
                    "{name}: LiteyukiBot is stopping already; one more signal ends everything at "
                    "once",
                    name=name,
                )
            )
        else:
            self._stop.ask(name)
