"""Who reads a connection: a thread of its own, or meanwhile the event loop that waits for it.

A message that a thread reads for a loop costs two wake-ups, the thread's and the loop's, and
both threads then want the interpreter lock. So where one loop is woken again and again in
quick succession, the thread lends it the reading: the loop watches the connection and reads
on its own thread. Meanwhile the thread looks every `_LOOK` seconds whether the loop has read
anything since. If not, because it is blocked or because nothing comes, the thread reads again.
A loop that gives the reading back at once was not blocked, and soon gets it again: one that is
busy and leaves the interpreter lock to its thread late is not to wait for what that reads.
The thread also reads where more is to be done than to read and hand over: then two threads get
more done than one.

To be woken takes longer than all else about a short message. So a loop that reads lingers: for
`_LINGER` seconds after each read it looks for more, in turns of its own between which everything
else on it runs, before it sleeps. Where nothing more came it has worked in vain, so that it then
rests: it lingers in vain once in `_WORTH` reads at most, and never where there is one processor.

Invariants. Only the holder of `turn` reads, so bytes are decoded and handed over in their
order. The thread holds it but while it lends; the loop takes it for one read at a time and
never waits for it. So whatever a loop does, reading goes on after at most 2 * `_LOOK`. Only
the thread ends the reading; a loop that finds the end rings for it. A loop has a handle of
its own, and closes it where it stops watching it: a number that is closed elsewhere could be
another connection's by then.
"""

from __future__ import annotations

import os
import socket
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from time import monotonic
from typing import Any

from ..loop.wakes import Wake, fire

_LOOK = 0.008
"""Seconds between two looks at whether the loop that has been lent the reading reads."""

_QUICK = 0.004
"""Reads that come within this time after one another are in quick succession."""

_LINGER = 0.0002
"""Seconds: more than it takes to be woken, and the other side to answer, which then lingers too.
A slow machine needs more than half of it."""

_WORTH = 16
"""How many reads have to come, at once or not, before a loop lingers in vain again."""

_STREAK = 8
"""How many reads in quick succession have to wake the same loop before it is lent the reading."""

Read = Callable[[socket.socket, bool], tuple[bool, list[Wake]]]


class Reader:
    """Reads one connection until its end.

    It owns its thread and the handles it opens. `open_handle` makes one, for reads that may
    wait or for others. `read` is given one and whether it may wait; it reads once, hands over
    what came and returns whether more is to be done, which only the thread does, and whom to wake.
    It is called by one thread at a time, and raises `EOFError` or `OSError` at the connection's
    end. `on_end` is called on the thread, as its last act, with what `read` raised. `forget` is to
    be called at the end: whom these belong to has this reader, and is not to be kept by it.
    """

    def __init__(
        self,
        name: str,
        open_handle: Callable[[bool], socket.socket],
        read: Read,
        on_end: Callable[[BaseException], None],
    ) -> None:
        self.open_handle = open_handle
        self.read = read
        self.turn = threading.Lock()
        self.lendable = True
        self._bell = threading.Lock()
        self._bell.acquire()
        self._handle = open_handle(True)
        self._on_end = on_end
        self._loan: _Loan | None = None
        self._last: AbstractEventLoop | None = None
        self._last_read = 0.0
        self._streak = 0
        self.thread = threading.Thread(
            target=self._run, name=f"liteyuki-reader-{name}", daemon=True
        )

    def take_back(self) -> None:
        """Have the thread read again soon. From any thread."""
        loan = self._loan
        if loan is not None:
            loan.recalled = True
            self.ring()

    def ring(self) -> None:
        """Have the thread look now at what the loop does that has been lent the reading."""
        try:
            self._bell.release()
        except RuntimeError:
            pass  # It is on its way.

    def given_back(self) -> None:
        """Learn that a loop watches no more. On its thread: late if it was blocked."""
        if monotonic() - self._last_read < _QUICK:
            self._streak = _STREAK - 1

    def close(self) -> None:
        """Close the handles of the thread, which has ended or, in a forked copy, does not exist."""
        self._handle.close()
        if self._loan is not None:
            self._loan.close()

    def forget(self) -> None:
        """Let go of whom it has read for."""
        self.open_handle = self.read = self._on_end = _is_over

    def _run(self) -> None:
        try:
            with self.turn:
                while True:
                    try:
                        heavy, wakes = self.read(self._handle, True)
                    except BlockingIOError:
                        # uvloop makes what it watches non-blocking, for all handles.
                        self._handle.setblocking(True)
                        continue
                    loop = fire(wakes, None) if wakes else self._last
                    if loop is None:
                        self._last = None
                    elif self._is_worth_lending(loop, bool(wakes), heavy):
                        self._lend(loop)
        except BaseException as error:
            self._on_end(error)

    def _is_worth_lending(self, loop: AbstractEventLoop, woke: bool, heavy: bool) -> bool:
        now = monotonic()
        quick = now - self._last_read < _QUICK or not woke  # It was busy with what came before.
        quick = quick and loop is self._last and not heavy
        self._last_read, self._last = now, loop
        self._streak = self._streak + 1 if quick else 0
        return self._streak >= _STREAK and self.lendable

    def _lend(self, loop: AbstractEventLoop) -> None:
        self._streak = 0
        try:
            loan = self._loan = _Loan(self, loop)
        except OSError:
            return  # No more handles can be opened.
        self.turn.release()
        try:
            seen = -1
            if not loan.begin():
                self._last = None
            else:
                while loan.error is None and loan.reads != seen and not loan.recalled:
                    seen = loan.reads
                    self._bell.acquire(timeout=_LOOK)
        finally:
            self.turn.acquire()
            self._loan = None
            self._last_read = monotonic()
            loan.end()
        error, loan.error = loan.error, None
        if error is not None:
            try:
                raise error
            finally:
                error = None  # Or it would hold this frame, and be held by it.


class _Loan:
    """One loop's reading. The thread calls `begin` and, with the turn, `end`."""

    def __init__(self, reader: Reader, loop: AbstractEventLoop) -> None:
        self.reads = 0
        self.recalled = False
        self.error: Exception | None = None
        self._reader = reader
        self._loop = loop
        self._handle = reader.open_handle(False)
        self._ended = False
        self._watches = False
        self._lingers = _may_linger()
        self._awake = False
        self._awake_until = 0.0
        self._more = 0
        """How many reads came while it lingered."""
        self._rest = 0
        """How many reads are still to come before it lingers again."""

    def begin(self) -> bool:
        return self._call_soon(self._watch)

    def end(self) -> None:
        self._ended = True
        self._call_soon(self._unwatch)

    def close(self) -> None:
        self._handle.close()

    def __del__(self) -> None:
        self._handle.close()  # The loop was closed before it did this.

    def _call_soon(self, call: Callable[[], None]) -> bool:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            self._handle.close()  # The loop is closed.
            return False
        return True

    def _watch(self) -> None:
        if self._ended:
            return
        try:
            self._loop.add_reader(self._handle.fileno(), self._on_readable)
            self._watches = True
        except NotImplementedError:
            self._reader.lendable = False  # Windows' usual loop can't watch connections.
            self._reader.ring()

    def _unwatch(self) -> None:
        if self._watches:
            self._watches = False
            self._loop.remove_reader(self._handle.fileno())
            self._reader.given_back()
        self._handle.close()

    def _on_readable(self) -> None:
        reader = self._reader
        if self._ended or not reader.turn.acquire(blocking=False):
            return
        wakes: list[Wake] = []
        try:
            if not self._ended:
                heavy, wakes = reader.read(self._handle, False)
                if heavy:
                    reader.ring()
                else:
                    self.reads += 1
        except BlockingIOError:
            pass
        except Exception as error:
            self.error = error
            self._unwatch()
            reader.ring()
        finally:
            reader.turn.release()
        if wakes:
            fire(wakes, self._loop)
        if self._lingers:
            self._linger()

    def _linger(self) -> None:
        if self._rest:
            self._rest -= 1
            return
        self._awake_until = monotonic() + _LINGER
        if self._awake:
            self._more += 1
        else:
            self._awake, self._more = True, 0
            self._loop.call_soon(self._stay_awake)

    def _stay_awake(self) -> None:
        if self._watches and monotonic() < self._awake_until:
            self._loop.call_soon(self._stay_awake)
        else:
            self._awake = False
            self._rest = max(0, _WORTH - self._more)


def _is_over(*_: object) -> Any:
    raise EOFError("the connection has ended")


def _may_linger() -> bool:
    """Return whether the other side can run while a loop of this process lingers."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) > 1
    return (os.cpu_count() or 1) > 1
