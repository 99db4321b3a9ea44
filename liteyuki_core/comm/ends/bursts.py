"""Bursts: what threads of the main process send without a pause is gathered and leaves together.

A thread's message leaves at once, with a frame and a system call of its own. When threads have sent
`_STREAK` messages without a pause between them, a burst begins: the next messages wait for others.
They leave when there are enough of them or the channel is full, when the thread of `Bursts` looks,
which is about every `_GATHER_SECONDS`, and before a thread of this process waits for a message. So
what is sent alone never waits, and neither does a question whose answer is waited for.

Only in the main process. What a child has gathered would be lost if the child ended without a stop
(`os._exit`, a signal), although its sends have returned. If the main process ends so, its children
end too.

One `Bursts` a main process, owned by its `Turns`. It owns one thread, which alone ends bursts and
sleeps while there is none; `close` ends it. Any thread calls the methods, under the site's lock
unless one says otherwise.

Invariants, under the lock:

- an end with messages that were gathered in a burst is in `_ends`
- while an end is in `_ends`, the thread is awake: it looks soon, and again until none is left
- after `close` nothing is gathered
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Protocol

from ..loop.site import Site

_GATHER_SECONDS = 0.0002
"""Seconds between two looks. A message waits for one look. Where the system's timers are coarse, or
another thread keeps the interpreter, it waits for that."""

_PAUSE = 0.00002
"""More seconds than this between two sends are a pause. No other process answers so soon: a thread
that waits for an answer between two sends makes a pause."""

_STREAK = 4
"""So many sends without a pause before them begin a burst."""


class Bursting(Protocol):
    """An end that gathers messages of a burst. All methods are called under the lock."""

    def pass_on(self) -> None:
        """Pass on the messages that were gathered so far."""

    def look(self) -> bool:
        """Do the same; return whether the burst goes on."""


class Bursts:
    """The ends that are in a burst, and the thread that looks at them."""

    def __init__(self, site: Site, pump: Callable[[], None]) -> None:
        self._lock = site.lock
        self._pump = pump
        self._ends: dict[Bursting, None] = {}
        self._sent_at = 0.0
        """When the last send of a thread had ended, or its message was gathered."""
        self._streak = 0
        """How many sends came without a pause before them."""
        self._awake = False
        """Whether the thread will look."""
        self._closed = False
        self._bell = threading.Lock()
        self._bell.acquire()
        self._thread: threading.Thread | None = None

    def gathers(self, end: Bursting) -> bool:
        """Note that a thread sends on `end`. Return whether its message is to be gathered."""
        now = monotonic()
        self._streak = self._streak + 1 if now - self._sent_at < _PAUSE else 0
        if self._streak >= _STREAK and not self._closed and end not in self._ends:
            self._ends[end] = None
            if not self._awake:
                self._awake = True
                self._wake()
        if end not in self._ends:
            return False
        self._sent_at = now
        return True

    def sent(self) -> None:
        """Note that a thread's send has ended, or goes on after a wait. Not under the lock."""
        self._sent_at = monotonic()

    def pass_on(self) -> None:
        """Pass on all that was gathered. The caller pumps."""
        for end in self._ends:
            end.pass_on()

    def close(self) -> None:
        """Pass on what was gathered, and end the thread. Not under the lock. Idempotent."""
        with self._lock:
            self._closed = True
            self.pass_on()
            self._ends.clear()
            thread = self._thread
            if thread is not None and not self._awake:
                self._awake = True
                self._bell.release()
        self._pump()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="liteyuki-bursts", daemon=True)
            self._thread.start()
        self._bell.release()

    def _run(self) -> None:
        while True:
            self._bell.acquire()
            while self._look():
                pass
            if self._closed:
                return

    def _look(self) -> bool:
        """Pass on what was gathered, a little later. Return whether to look again."""
        sleep(_GATHER_SECONDS)
        with self._lock:
            for end in [end for end in self._ends if not end.look()]:
                del self._ends[end]
            self._awake = bool(self._ends)
            awake = self._awake
        self._pump()
        return awake
