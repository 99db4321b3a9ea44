"""Reads one connection: on a thread of its own, or for some time on the loop or thread that waits.

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

Threads that wait. A thread that asks and waits for the answer, again and again, would be woken for
each answer. So if one and the same thread says several times in quick succession that it will wait,
the reader's thread lends the reading to that thread. It reads while it waits. Between its waits
nobody reads, so the reader's thread looks every `_LOOK_AT_THREAD` seconds, and reads again if the
thread has not read since and does not wait. If a loan was of little use, because the thread soon
did something else, the next one takes more waits to come. A wait of more than some milliseconds
gives the reading back. So nobody ever has to wake a thread that waits for bytes.

Ownership. The `Reader` owns its thread and that thread's handle. A `_Loan` owns the handle of its
loop. The loop closes that handle when it stops watching it. If the handle were closed elsewhere,
its number could by then belong to another connection. For the same reason a thread that waits
closes the handle of its `_ThreadLoan` itself if the loan has ended meanwhile.

Invariants.
- Only the holder of `may_read` reads. So bytes are decoded and handed over in order.
- The thread holds `may_read` except while it lends. A loop or thread takes `may_read` for one read
  at a time and never waits for it. So whatever a loop does, reading goes on after at most
  2 * `_LOOK`, and whatever a thread does, after at most `_LOST`.
- Only the thread ends the reading. Who finds the end rings for the thread.
- A thread reads only for its own loan and in one wait at a time: a signal's handler may wait too.
"""

from __future__ import annotations

import socket
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from threading import get_ident
from time import monotonic
from typing import Any

from ...errors import FrameError
from ..loop.waiter import arrivals_of, more_than_one_processor
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

_LOOK_AT_THREAD = 0.001
"""Seconds between two looks of the thread at whether the thread reads that has the reading."""

_SOON = 0.001
"""Seconds: waits that begin one after another within this time are in quick succession."""

_LOST = 0.02
"""Seconds after which a thread that waits and does not read is taken for stuck: more than a wait
for bytes lasts."""

_GOOD = 100
"""A loan in which a thread reads so often was of use."""

_MOST_WAITS = 4096
"""Most waits in quick succession that must come before the reading is lent to a thread."""

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
        self._loan: _Loan | _ThreadLoan | None = None
        self._last: AbstractEventLoop | None = None
        self._last_read = 0.0
        self._streak = 0
        self._waiting = 0
        """The thread that has said last that it will wait."""
        self._waits = 0
        """How often it has said so in quick succession."""
        self._waits_since = 0.0
        self._needed = _STREAK
        """How many waits in quick succession must come before the reading is lent to a thread."""
        self.thread = threading.Thread(
            target=self._run, name=f"liteyuki-reader-{name}", daemon=True
        )

    def will_wait(self) -> _ThreadLoan | None:
        """Learn that this thread, which runs no loop, will wait; return the loan it has, if any."""
        me = get_ident()
        loan = self._loan
        if type(loan) is _ThreadLoan and loan.thread == me:
            return loan
        now = monotonic()
        self._waits = self._waits + 1 if me == self._waiting and now < self._waits_since else 0
        self._waiting, self._waits_since = me, now + _SOON
        return None

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
            self._loan = None

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
                    if self._waits >= self._needed and not heavy:
                        self._lend_to_thread(wakes)
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
            loan = _Loan(self, loop)
        except OSError:
            return  # No more handles can be opened.
        self._wait_for(loan)

    def _lend_to_thread(self, wakes: list[Wake]) -> None:
        self._waits = 0
        self._last = None
        try:
            loan = _ThreadLoan(self, self._waiting)
        except OSError:
            self._needed = sys.maxsize  # Nothing waits for bytes here, or no handles are left.
            fire(wakes, None)
            return
        try:
            self._wait_for(loan, wakes)
        finally:
            good = loan.reads >= _GOOD
            self._needed = _STREAK if good else min(4 * self._needed, _MOST_WAITS)
            self._waits = 0

    def _wait_for(self, loan: _Loan | _ThreadLoan, wakes: list[Wake] | None = None) -> None:
        """Wait while the reading is lent. Raises what was raised where it was read.

        `wakes` are fired when the loan holds: the thread that has it is woken by one of them.
        """
        self._loan = loan
        self.may_read.release()
        try:
            if wakes:
                fire(wakes, None)
            if not loan.last(self._bell):
                self._last = None
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
        self._lingers = more_than_one_processor()
        self._awake = False
        self._awake_until = 0.0
        self._more = 0
        """How many reads came while the loop lingered."""
        self._rest = 0
        """How many reads must still come before the loop lingers again."""

    def last(self, bell: threading.Lock) -> bool:
        """Wait while the loop reads; return False if it is closed."""
        if not self._call_soon(self._watch):
            return False
        seen = -1
        while self.error is None and self.reads != seen and not self.recalled:
            seen = self.reads
            bell.acquire(timeout=_LOOK)
        return True

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


class _ThreadLoan:
    """The reading of one thread. The reader's thread calls `last` and `end`, as with a `_Loan`.

    The thread that waits calls the rest, which is a `Reading`.
    """

    def __init__(self, reader: Reader, thread: int) -> None:
        self.thread = thread
        self.reads = 0
        self.recalled = False
        self.error: Exception | None = None
        self._reader = reader
        self._handle = reader.open_handle(False)
        self._ended = False
        self._waits = False
        arrivals = arrivals_of(self._handle)
        if arrivals is None:
            self._handle.close()
            raise OSError("this system can't wait for bytes alone")
        self.arrivals = arrivals

    def last(self, bell: threading.Lock) -> bool:
        """Wait while the thread reads."""
        seen, since = -1, monotonic()
        while self.error is None and not self.recalled:
            now = monotonic()
            if self.reads != seen:
                seen, since = self.reads, now
            elif not self._waits or now - since > _LOST:
                break
            bell.acquire(timeout=_LOOK_AT_THREAD)
        return True

    def end(self) -> None:
        """Let the thread read no more. While `may_read` is held."""
        self._ended = True
        if not self._waits:  # Else the thread sees that the loan has ended, and closes the handle.
            self._handle.close()

    def close(self) -> None:
        self._handle.close()

    def start_waiting(self) -> bool:
        if self._waits:
            self._give_back()
            return False
        self._waits = True
        if self._ended:
            self.stop_waiting(keeps=False)
            return False
        return True

    def read(self) -> bool:
        reader = self._reader
        if self._ended or not reader.may_read.acquire(blocking=False):
            return False
        heavy = False
        wakes: list[Wake] = []
        try:
            if self._ended:
                return False
            heavy, wakes = reader.read(self._handle, False)
            self.reads += 1
        except BlockingIOError:
            pass
        except Exception as error:
            self.error = error
            reader.ring()
            return False
        except BaseException:
            # What has come may be half decoded.
            self.error = FrameError("the thread that read was interrupted")
            reader.ring()
            raise
        finally:
            reader.may_read.release()
        if wakes:
            fire(wakes, None)
        return not heavy

    def stop_waiting(self, *, keeps: bool) -> None:
        self._waits = False
        if self._ended:
            self._handle.close()
        elif not keeps:
            self._give_back()

    def _give_back(self) -> None:
        self.recalled = True
        self._reader.ring()


def _is_over(*_: object) -> Any:
    raise EOFError("the connection has ended")
