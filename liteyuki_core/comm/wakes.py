"""Waking whoever waits for what a link brings, after the work that found out about it.

A wake-up makes its receiver run at once, and fight for the interpreter lock and the context's
lock with whoever wakes it. So a reader gathers wake-ups under the context's lock and fires
them as its last act. Everybody else wakes at once.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, _get_running_loop
from collections.abc import Callable
from functools import partial

Wake = tuple[AbstractEventLoop | None, Callable[[], object]]
"""What to call, and on which loop; where that is None, on any thread."""


class Wakes:
    """The wake-ups of one context. All methods are called under its lock."""

    def __init__(self) -> None:
        self._gathered: list[Wake] | None = None

    def gather(self) -> list[Wake]:
        """Return the list to which wake-ups are added until `release`, for `fire`."""
        gathered: list[Wake] = []
        self._gathered = gathered
        return gathered

    def release(self) -> None:
        """Wake at once from now on."""
        self._gathered = None

    def wake(self, loop: AbstractEventLoop | None, call: Callable[[], object]) -> None:
        """Have `call` called soon on `loop`, or now or later on any thread."""
        if self._gathered is not None:
            self._gathered.append((loop, call))
        elif loop is None:
            call()
        else:
            _call_soon(loop, call)


def fire(wakes: list[Wake], here: AbstractEventLoop | None) -> AbstractEventLoop | None:
    """Call what was gathered; on the thread of the running loop `here`, what is for that at once.

    Returns the loop that all of them were for, if it was one.
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
        loops.setdefault(loop, []).append(call)
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
        pass  # It is closed, so nobody waits there any more.
