"""Receivers: the thread or task that a message is handed to, and that handles it.

A task stands for itself. A thread gets a number here at its first `receive`. When the thread ends,
or when a call ends that it ran for a pool of this package, the ends that it has received from are
told. Any thread may call these functions.
"""

from __future__ import annotations

import sys
import threading
from asyncio import Task, _get_running_loop, current_task
from contextvars import ContextVar
from itertools import count
from types import FrameType
from typing import Any, Protocol
from weakref import WeakValueDictionary

Receiver = Task[Any] | int

in_callback: ContextVar[bool] = ContextVar("liteyuki_in_callback", default=False)
"""Whether this code is a callback of a channel, or was called or started by one."""

_POOLS = sys.stdlib_module_names | {"anyio", __name__.partition(".")[0]}
"""Packages whose code runs in an idle thread of a pool."""

_numbers = count(1)
_local = threading.local()
_threads: WeakValueDictionary[int, _Thread] = WeakValueDictionary()


class Place(Protocol):
    """An end that a receiver has received from. It is told when the receiver has ended."""

    def task_ended(self, task: Task[Any]) -> None:
        """Note that a task which has received here has ended. On the task's loop."""

    def thread_ended(self, number: int) -> None:
        """Note that a thread which has received here has ended. Called in a finaliser."""


class _Thread:
    """A thread that has received. Only the thread refers to it, so both end together."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.ident = threading.get_ident()
        self.places: set[Place] = set()
        _threads[self.number] = self

    def __del__(self) -> None:
        # The main thread's is deleted when modules may be gone already.
        if sys is not None and not sys.is_finalizing():
            for place in list(self.places):
                place.thread_ended(self.number)


def current() -> Receiver | None:
    """Return the task or thread that calls. None in a callback of an event loop, outside a task."""
    loop = _get_running_loop()
    return _thread().number if loop is None else current_task(loop)


def of_thread() -> Receiver:
    """Return the task that calls, or the thread if no task calls."""
    loop = _get_running_loop()
    if loop is None:
        try:
            return _local.thread.number  # type: ignore[no-any-return]
        except AttributeError:
            pass
    return current() or _thread().number


def around(receiver: Receiver) -> Receiver | None:
    """Return this thread if `receiver` is a task and the thread itself has received, else None."""
    thread = getattr(_local, "thread", None)
    return None if thread is None or not isinstance(receiver, Task) else thread.number


def note(receiver: Receiver, place: Place) -> None:
    """Have `place` told when a receiver has ended. Called by that receiver."""
    if isinstance(receiver, Task):
        receiver.add_done_callback(place.task_ended)
    elif (thread := _threads.get(receiver)) is not None:
        thread.places.add(place)


def forget(receiver: Receiver, place: Place) -> None:
    """Undo `note`. From any thread."""
    if isinstance(receiver, Task):
        receiver.remove_done_callback(place.task_ended)
    elif (thread := _threads.get(receiver)) is not None:
        thread.places.discard(place)


def end_call() -> None:
    """Say that this thread of a pool has ended its call. So it counts as a receiver that ended."""
    _local.__dict__.pop("thread", None)


def is_idle(receiver: Receiver) -> bool:
    """Return whether the receiver is a pool's thread that has nothing to do.

    Such a thread does not handle any more what it has received.
    """
    thread = None if isinstance(receiver, Task) else _threads.get(receiver)
    if thread is None:
        return False
    frame: FrameType | None = sys._current_frames().get(thread.ident)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _POOLS:
            return False
        frame = frame.f_back
    return True


def _thread() -> _Thread:
    try:
        return _local.thread  # type: ignore[no-any-return]
    except AttributeError:
        thread: _Thread = _local.__dict__.setdefault("thread", _Thread())
        return thread
