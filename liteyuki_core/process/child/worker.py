"""What runs in a worker: it answers calls, one after another.

`serve` is the target of each worker. A call comes on the loop that callbacks run on. An async
function runs there. A sync function, and the import of any, runs on the main thread, for which that
loop waits without being blocked.

Ownership. The main thread owns what it runs. The loop's thread does everything else.

Invariant: a call is answered after its function has ended, even if nobody waits for the answer any
more. So a worker never has more calls in hand than it may run at a time.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from ...comm import current
from ...comm.ends import remote
from ...comm.loop.callbacks import Unbegun, is_async
from ...comm.queue import get_queue
from ...comm.wire import words
from ...comm.workers import Failure, queue_of
from ..spec import load_target
from .request import calls_ready, ready, request_restart

_POLL_SECONDS = 0.5 if sys.platform == "win32" else None
"""On Windows a stop can't interrupt a thread that waits, only one that runs."""

Call = tuple[str, tuple[Any, ...], dict[str, Any]]


@calls_ready
def serve(
    pool: str,
    initializer: Callable[[], Any] | str | None,
    concurrency: int,
    max_calls: int | None,
) -> None:
    """Be a worker of `pool` until this process is to end. On the main thread."""
    context = current.current()
    if initializer is not None:
        try:
            load_target(initializer)()
        except Exception as error:
            why = f"the initializer of workers {pool} raised {error!r}"
            context.port.word(words.Failed(why))
            raise
    worker = _Worker(max_calls)
    get_queue(queue_of(pool)).on_request(concurrency=concurrency)(worker.answer)
    ready()
    worker.run()


class _Worker:
    def __init__(self, max_calls: int | None) -> None:
        self._context = current.current()
        self._dispatcher = self._context.dispatcher
        self._max_calls = max_calls
        self._begun = 0
        self._running = 0
        self._functions: dict[str, tuple[Callable[..., Any], bool]] = {}
        """By path: the functions that were called, and whether they are async."""
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        """What the main thread is to run."""

    def run(self) -> None:
        """Run jobs until a stop interrupts this, the main thread."""
        while True:
            try:
                job = self._jobs.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
            job.run()
            del job  # It has the arguments and the result.

    # ------------------------------------------------------------- on the loop

    async def answer(self, call: Call) -> Any:
        """Run a call; return its answer."""
        self._begun += 1
        self._running += 1
        if self._begun == self._max_calls:
            self._dispatcher.stop_taking()
        try:
            return await self._call(*call)
        except SystemExit as error:
            # The caller is told how this process has ended, and nothing else.
            self._dispatcher.exit(f"the function {call[0]}", error)
            raise Unbegun from None
        except Exception as error:
            return _failure(error)
        finally:
            self._running -= 1
            if self._max_calls and self._begun >= self._max_calls and not self._running:
                self._dispatcher.loop.call_soon(request_restart)

    async def _call(self, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = self._functions.get(path)
        if found is None:
            function, error = await self._on_main_thread(self._load, (path,), {})
            if error is not None:
                raise error
            found = self._functions[path] = function, is_async(function)
        function, is_coroutine_function = found
        if is_coroutine_function:
            return await function(*args, **kwargs)
        result, error = await self._on_main_thread(function, args, kwargs)
        if isinstance(error, SystemExit):
            raise error
        if error is not None:
            return _failure(error)  # Not raised: a coroutine can't raise StopIteration.
        return await result if asyncio.iscoroutine(result) else result

    def _load(self, path: str) -> Callable[..., Any]:
        try:
            return load_target(path)
        except Exception as error:
            raise ImportError(
                f"process {self._context.process} can't import {path}: {error!r}; it must be in a "
                "module that workers can import"
            ) from error

    async def _on_main_thread(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, Any]:
        """Call a function on the main thread; return its result and what it has raised."""
        job = _Job(self._dispatcher.loop, function, args, kwargs)
        self._jobs.put(job)
        given_up: asyncio.CancelledError | None = None
        while job.outcome is None:
            try:
                await job.ended
            except asyncio.CancelledError as error:
                if self._dispatcher.stopping:
                    raise
                given_up = error  # The main thread runs on, so this waits on.
                job.ended = job.loop.create_future()
        if given_up is not None:
            raise given_up
        return job.outcome


class _Job:
    """A function that the main thread is to call. Only the loop's thread uses `ended`."""

    __slots__ = ("args", "ended", "function", "kwargs", "loop", "outcome")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.loop = loop
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.ended: asyncio.Future[None] = loop.create_future()
        self.outcome: tuple[Any, BaseException | None] | None = None

    def run(self) -> None:
        """Call the function. On the main thread."""
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = self.function(*self.args, **self.kwargs), None
        except (Exception, SystemExit) as error:
            outcome = None, error
        try:
            self.loop.call_soon_threadsafe(self._end, outcome)
        except RuntimeError:
            pass  # The loop is closed, so the call was broken off.

    def _end(self, outcome: tuple[Any, BaseException | None]) -> None:
        self.outcome = outcome
        if not self.ended.done():
            self.ended.set_result(None)


def _failure(error: BaseException) -> Failure:
    text = remote.to_text(error)
    try:
        return Failure(pickle.dumps(error), text)
    except Exception:
        return Failure(None, text)
