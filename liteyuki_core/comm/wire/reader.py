"""Reads one connection: on a thread of its own, or for some time on the event loop that waits.

Lending. A message that the thread reads for a loop costs two wake-ups: the thread's and the loop's.
Then both threads want the interpreter lock. So if the reads wake one and the same loop several
times in quick succession, the thread lends the reading to that loop. The loop watches the
connection and reads on its own thread. Every `_LOOK` seconds the reader's thread looks whether the
loop has read since. If it has not, because the loop is blocked or because nothing comes, the thread
reads again. A loop that gives the reading back at once was not blocked. It soon gets the reading
again: a busy loop, which only gives the interpreter lock to the thread late, should not have to
wait for what the thread reads. The thread also reads if more is to be done than to read and hand
over: then two threads get more done than one.

Lingering. To be woken takes longer than everything else about a short message. So a loop that reads
does not sleep at once. For `_LINGER` seconds after each read it looks for more, once in each of its
turns, and everything else on the loop runs between. If nothing more comes, that was wasted. So a
loop lingers without a result at most once in `_WORTH` reads. It never lingers if there is only one
processor.

Ownership. The `Reader` owns its thread and that thread's handle. A `_Loan` owns the handle of its
loop. The loop closes that handle when it stops watching it. If the handle were closed elsewhere,
its number could by then belong to another connection.

Invariants.
- Only the holder of `may_read` reads. So bytes are decoded and handed over in order.
- The thread holds `may_read` except while it lends. The loop takes `may_read` for one read at a
  time and never waits for it. So whatever a loop does, reading goes on after at most 2 * `_LOOK`.
- Only the thread ends the reading. A loop that finds the end rings for the thread.
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
"""Seconds between two looks of the thread at whether the loop reads."""

_QUICK = 0.004
"""Seconds: reads that follow each other within this time are in quick succession."""

_LINGER = 0.0002
"""Seconds: more than the other process takes to be woken and to answer, and it then lingers too. A
slow machine needs more than half of this time."""

_WORTH = 16
"""At least this many reads come from one lingering without a result to the next."""

_STREAK = 8
"""Reads in quick succession that must wake the same loop before the reading is lent to it."""

Read = Callable[[socket.socket, bool], tuple[bool, list[Wake]]]


class Reader:
    """Reads one connection until its end.

    `open_handle` opens a handle; its argument says whether reads from it may wait. `read` is given
    a handle and whether it may wait. It reads once and hands over what came. It returns whether
    more is to be done, which only the thread does, and the wakes to fire. It is called by one
    thread at a time, and raises `EOFError` or `OSError` at the connection's end. `on_end` is called
    on the thread, as its last act, with what `read` raised. The owner of these functions must call
    `forget` at the end: it has this reader, and the reader must not keep its owner alive.
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
        self.may_read = threading.Lock()
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
        """Have the thread look now at what the loop does to which it has lent the reading."""
        try:
            self._bell.release()
        except RuntimeError:
            pass  # The bell was rung already.

    def given_back(self) -> None:
        """Learn that the loop no longer watches. On the loop's thread: late if it was blocked."""
        if monotonic() - self._last_read < _QUICK:
            self._streak = _STREAK - 1

    def close(self) -> None:
        """Close all handles. The thread has ended or, in a forked copy, does not exist."""
        self._handle.close()
        if self._loan is not None:
            self._loan.close()

    def forget(self) -> None:
        """Let go of the functions, so that the reader does not keep their owner alive."""
        self.open_handle = self.read = self._on_end = _is_over

    def _run(self) -> None:
        try:
            with self.may_read:
                while True:
                    try:
                        heavy, wakes = self.read(self._handle, True)
                    except BlockingIOError:
                        # uvloop makes a connection that it watches non-blocking, for all handles.
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
        quick = now - self._last_read < _QUICK or not woke  # A loop not woken was still busy.
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
        self.may_read.release()
        try:
            seen = -1
            if not loan.begin():
                self._last = None
            else:
                while loan.error is None and loan.reads != seen and not loan.recalled:
                    seen = loan.reads
                    self._bell.acquire(timeout=_LOOK)
        finally:
            self.may_read.acquire()
            self._loan = None
            self._last_read = monotonic()
            loan.end()
        error, loan.error = loan.error, None
        if error is not None:
            try:
                raise error
            finally:
                error = None  # Otherwise the error and this stack frame would refer to each other.


class _Loan:
    """The reading of one loop. The thread calls `begin` and, while it holds `may_read`, `end`."""

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
        """How many reads came while the loop lingered."""
        self._rest = 0
        """How many reads must still come before the loop lingers again."""

    def begin(self) -> bool:
        return self._call_soon(self._watch)

    def end(self) -> None:
        self._ended = True
        self._call_soon(self._unwatch)

    def close(self) -> None:
        self._handle.close()

    def __del__(self) -> None:
        self._handle.close()  # The loop was closed before it closed the handle.

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
        if self._ended or not reader.may_read.acquire(blocking=False):
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
            reader.may_read.release()
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
    """Return whether the other process can run while a loop of this one lingers."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) > 1
    return (os.cpu_count() or 1) > 1
