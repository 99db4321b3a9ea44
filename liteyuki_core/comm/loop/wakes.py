"""Wake-ups of threads and tasks that wait for what a link brings.

A thread that is woken runs at once, and competes with the thread that woke it for the interpreter
lock and the site's lock. So the reader of a link gathers wake-ups under the site's lock, and fires
them when all its other work is done. All other threads wake at once.

A `Site` owns the `Wakes` of its process.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, CancelledError, _get_running_loop
from collections.abc import Callable, Generator
from contextvars import Context
from functools import partial
from typing import Any

Wake = tuple[AbstractEventLoop | None, Callable[[], object]]
"""The loop and the call to make on it. A loop of None means any thread."""


class Wakes:
    """The wake-ups of one process. All methods are called under its site's lock."""

    def __init__(self) -> None:
        self._gathered: list[Wake] | None = None

    def gather(self) -> list[Wake]:
        """Return the list to which wake-ups are added until `release`. It is for `fire`."""
        gathered: list[Wake] = []
        self._gathered = gathered
        return gathered

    def release(self) -> None:
        """Wake at once from now on."""
        self._gathered = None

    def wake(self, loop: AbstractEventLoop | None, call: Callable[[], object]) -> None:
        """Have `call` called on `loop` soon. Without a loop, it is called now or by `fire`."""
        if self._gathered is not None:
            self._gathered.append((loop, call))
        elif loop is None:
            call()
        else:
            _call_soon(loop, call)


class Resumption:
    """An object that one task awaits until it is resumed: a future that costs no turn of the loop.

    A task of asyncio can await any object that has asyncio's future protocol
    (`_asyncio_future_blocking`, `get_loop`, `add_done_callback`, `result`, `cancel`). A future
    schedules its task for the next turn. `resume` runs the task at once, so it is called from a
    callback of the loop. All methods are called on the loop's thread.
    """

    __slots__ = ("_asyncio_future_blocking", "_call", "_cancelled", "_done", "_loop", "_value")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._done = False
        self._value = False
        self._cancelled: tuple[Any, ...] | None = None
        self._call: tuple[Callable[[Any], object], Context] | None = None

    def __await__(self) -> Generator[Any, None, bool]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def resume(self, value: bool = True) -> None:
        """Let the task go on with `value`. Runs it at once. Idempotent."""
        if self._done:
            return
        self._done, self._value = True, value
        call, self._call = self._call, None
        if call is not None:
            callback, context = call
            context.run(callback, self)

    def renew(self) -> None:
        """Have it awaited once more, after it was resumed."""
        self._asyncio_future_blocking = self._done = False

    def get_loop(self) -> AbstractEventLoop:
        """Return the loop of the task."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        """Note how the task goes on. Called by the task."""
        if self._done:
            self._loop.call_soon(callback, self, context=context)
        else:
            self._call = callback, context

    def result(self) -> bool:
        """Return the value that the task goes on with. Raises `CancelledError`."""
        if self._cancelled is not None:
            raise CancelledError(*self._cancelled)
        return self._value

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the wait. Called by the task."""
        if self._done:
            return False
        self._done, self._cancelled = True, () if msg is None else (msg,)
        call, self._call = self._call, None
        if call is not None:
            callback, context = call
            self._loop.call_soon(callback, self, context=context)
        return True


def fire(wakes: list[Wake], here: AbstractEventLoop | None) -> AbstractEventLoop | None:
    """Make the calls that were gathered. Not under the lock.

    `here` is the running loop of this thread, or None. Calls for `here` and for any thread are made
    at once. Returns the loop if all wake-ups were for one loop, else None.
    """
    if len(wakes) == 1:
        loop, call = wakes[0]
        if loop is None or loop is here:
            call()
        else:
            _call_soon(loop, call)
        return loop
    loops: dict[AbstractEventLoop | None, list[Callable[[], object]]] = {}
    for loop, call in wakes:
        calls = loops.get(loop)
        if calls is None:
            loops[loop] = [call]
        else:
            calls.append(call)
    for loop, calls in loops.items():
        if loop is None or loop is here:
            _call_all(calls)
        elif len(calls) == 1:
            _call_soon(loop, calls[0])
        else:
            _call_soon(loop, partial(_call_all, calls))
    return loop if len(loops) == 1 else None


def _call_all(calls: list[Callable[[], object]]) -> None:
    for call in calls:
        call()


def _call_soon(loop: AbstractEventLoop, call: Callable[[], object]) -> None:
    if _get_running_loop() is loop:
        loop.call_soon(call)
        return
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # The loop is closed, so no task waits there any more.
