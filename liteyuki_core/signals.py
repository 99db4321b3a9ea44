"""The signals that end the main process: a thread notes them, the loop decides.

Python runs a signal's handler on the main thread between two of its instructions. So it may take
long until it runs: the loop may be in a call that runs no Python. But the system's own handler
writes each signal's number to a socket at once, and the thread reads it there.

Ownership. `Signals` owns the handlers of its signals, that socket and the thread from `catch` to
`release`, which puts back what was there before. The thread must also work when the loop hangs,
so it does itself what can't wait for the loop: it starts the watchdog at the first signal and
kills the children at the second.

Invariants: signals within `_ECHO_SECONDS` count as one. The first signal asks for a stop. Each
later one ends everything at once. Each signal is noted once: by the thread, or by the handler if
somebody else has taken the socket's place meanwhile, as an event loop does.

Tested in tests/test_bot.py and tests/process/test_endings.py.
"""

from __future__ import annotations

import asyncio
import signal
import socket
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

_JOIN_SECONDS = 1.0


class Signals:
    """The signals of a LiteyukiBot. Its loop calls `catch` and `release`.

    `on_signal` is called at each signal, and `kill_all` at each but the first. Both on any thread.
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
        reading, self._socket = socket.socketpair()
        self._socket.setblocking(False)
        self._socket_before = signal.set_wakeup_fd(self._socket.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(
            target=self._read, args=(reading,), name="liteyuki-signals", daemon=True
        )
        self._thread.start()
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                continue
            self._before[number] = signal.signal(number, self._handle)

        sigchld = getattr(signal, "SIGCHLD", None)
        if sigchld is not None and signal.getsignal(sigchld) is signal.SIG_IGN:
            # Inherited, for example from a shell. The system would throw exit codes away.
            self._before[sigchld] = signal.signal(sigchld, signal.SIG_DFL)

    def release(self) -> None:
        """Put back the handlers that were there before."""
        if self._loop is None:
            return
        self._loop = None
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._take_place(self._socket_before)
        self._socket.close()
        self._thread.join(_JOIN_SECONDS)

    def _take_place(self, instead: int) -> bool:
        """Have signals written elsewhere if they are written to our socket. Return whether so."""
        before = signal.set_wakeup_fd(instead, warn_on_full_buffer=False)
        ours = before == self._socket.fileno()
        if not ours:
            signal.set_wakeup_fd(before)
        return ours

    def _read(self, reading: socket.socket) -> None:
        with reading:
            while numbers := reading.recv(64):
                for number in numbers:
                    if number in self._before:
                        self._note(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._take_place(self._socket.fileno()):
            self._note(number)

    def _note(self, number: int) -> None:
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
