"""Worker threads for synchronous callbacks and hooks. The dispatcher owns and closes them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import Any

from . import receiver


class Threads:
    """Daemon threads for synchronous callbacks. They are reused, and never delay an exit."""

    _IDLE_SECONDS = 10.0

    def __init__(self) -> None:
        self._idle: deque[SimpleQueue[Callable[[], None] | None]] = deque()
        self._started = 0

    def run(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run `call` in a thread, with the caller's context variables.

        Called on a loop's thread. The result is awaited on that loop.
        """
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[Any] = loop.create_future()
        future: asyncio.Future[Any] | None = awaited
        context = contextvars.copy_context()

        def work() -> None:
            nonlocal future
            result, error = None, None
            try:
                result = context.run(call)
            except BaseException as raised:
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                pass  # The loop is closed, so no task waits for the result any more.
            finally:
                # An error refers to the frames that it went through, also to this one.
                future = result = error = None

        try:
            queue = self._idle.pop()
        except IndexError:
            queue = SimpleQueue()
            self._started += 1
            threading.Thread(
                target=self._work,
                args=(queue,),
                name=f"liteyuki-worker-{self._started}",
                daemon=True,
            ).start()
        queue.put(work)
        return awaited

    def close(self) -> None:
        """End idle threads. Threads that run a call end after it."""
        while self._idle:
            self._idle.pop().put(None)
        self._IDLE_SECONDS = 0.0

    def _work(self, queue: SimpleQueue[Callable[[], None] | None]) -> None:
        while True:
            try:
                work = queue.get(timeout=self._IDLE_SECONDS)
            except Empty:
                try:
                    self._idle.remove(queue)
                except ValueError:
                    work = queue.get()  # `run` has just taken this thread and will put a call.
                else:
                    return
            if work is None:
                return
            work()
            del work
            receiver.end_call()
            self._idle.append(queue)


def _settle(future: asyncio.Future[Any] | None, result: Any, error: BaseException | None) -> None:
    if future is None or future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError(f"a callback raised {error!r}"))
    else:
        future.set_exception(error)
