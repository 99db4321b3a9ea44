"""What runs in a worker: it answers calls, one after another.

`serve` is the target of each worker. The main thread takes the calls. It imports functions and
calls the sync ones. An async function runs on the loop that callbacks run on, and the main thread
waits, or takes another call if several may run at a time.

Ownership. The main thread owns what it runs. A task on the loop owns the async function it runs.

Invariant: a call counts as running until its function has ended, even if nobody waits for the
answer any more.
"""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from time import sleep
from typing import Any

from ...comm import current
from ...comm.ends import remote
from ...comm.loop import receiver
from ...comm.loop.answers import Request, traceparent
from ...comm.loop.callbacks import is_async
from ...comm.loop.steps import wait
from ...comm.loop.waiter import ReadingWaiter, SyncWaiter
from ...comm.queue import get_queue
from ...comm.wire import words
from ...comm.workers import Failure, queue_of
from ...language import Phrase
from ..spec import load_target
from . import reachable
from .reachable import NotReachable
from .request import calls_ready, ready, request_restart

_BINDING_SECONDS = 0.001
"""Seconds between two looks at whether the loop for async functions runs."""

_WRITING_SECONDS = 0.0002
"""Seconds between two looks at whether long answers have left this process. What comes is begun
after that: the main process takes what is not answered for what runs, see `comm/hub/calls.py`."""


@calls_ready
def serve(
    pool: str,
    initializer: Callable[[], Any] | str | None,
    concurrency: int,
    max_calls: int | None,
    nodes_may_call: tuple[str, ...],
) -> None:
    """Be a worker of `pool` until this process is to end. On the main thread."""
    if initializer is not None:
        try:
            load_target(initializer)()
        except Exception as error:
            why = f"the initializer of workers {pool} raised {error!r}"
            current.current().port.word(words.Failed(why))
            raise
    worker = _Worker(pool, concurrency, nodes_may_call)
    ready()
    worker.run(max_calls)


class _Worker:
    def __init__(self, pool: str, concurrency: int, nodes_may_call: tuple[str, ...]) -> None:
        context = current.current()
        self._pool = pool
        self._nodes_may_call = nodes_may_call
        self._process = context.process
        self._port = context.port
        self._will_wait = context.access.port.will_wait
        self._dispatcher = context.dispatcher
        self._queue = get_queue(queue_of(pool))
        end = self._queue._open()
        end.keep_types()
        self._source = end.answering
        self._taker = self._source.take_in_thread(concurrency)
        while self._dispatcher.bound is None:
            sleep(_BINDING_SECONDS)  # Its thread has just been started.
        self._functions: dict[str, tuple[Callable[..., Any], bool]] = {}
        """By path: the functions that were called, and whether they are async."""
        self._reached: dict[str, tuple[Callable[..., Any], bool]] = {}
        """The same of those that other nodes have called."""
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, max_calls: int | None) -> None:
        """Take calls until none is to be begun any more, or so many were. On the main thread."""
        begun = 0
        try:
            while begun != max_calls:
                reading = self._will_wait()
                new_waiter = SyncWaiter if reading is None else partial(ReadingWaiter, reading)
                request = wait(self._taker.until_taken(new_waiter))
                if request is None:
                    return
                begun += 1
                while not self._port.is_written:
                    sleep(_WRITING_SECONDS)
                self._begin(request)
        finally:
            self._taker.pause()  # However this ends, main must know what has begun here.
        wait(self._taker.until_idle(SyncWaiter))
        request_restart()

    def _begin(self, request: Request) -> None:
        source = self._source
        runs_here = True
        try:
            if not source.begins(request):
                source.drop(request)
                return
            if source.load(request).wrong:
                source.refuse(request, request.wrong)
                return
            try:
                path, args, kwargs = request.data
                request.data = None
                if request.far:
                    found = self._reached.get(path) or self._reach(path)
                else:
                    found = self._functions.get(path) or self._load(path)
                function, is_coroutine_function = found
                context = copy_context()
                if request.traceparent:
                    context.run(traceparent.set, request.traceparent)
                result = context.run(function, *args, **kwargs)
            except (SystemExit, KeyboardInterrupt):
                raise  # This process ends. It is not answered: the caller is told of the end.
            except NotReachable as error:
                source.refuse(request, str(error))
                return
            except BaseException as error:
                self._raised(request, error)
                return
            if is_coroutine_function or inspect.iscoroutine(result):
                runs_here = False
                loop = self._dispatcher.loop
                loop.call_soon_threadsafe(self._start, request, result, context=context)
                return
            source.answer(request, result)
        finally:
            receiver.end_call()
            if runs_here:
                self._taker.ended()

    def _raised(self, request: Request, error: BaseException) -> None:
        """Answer with an error: another node gets it as text, as from any request."""
        if request.far:
            self._source.raised(request, error)
        else:
            self._source.answer(request, _failure(error))

    def _reach(self, path: str) -> tuple[Callable[..., Any], bool]:
        function = reachable.find(path, self._pool, self._nodes_may_call)
        found = self._reached[path] = function, is_async(function)
        return found

    def _load(self, path: str) -> tuple[Callable[..., Any], bool]:
        try:
            function = load_target(path)
        except Exception as error:
            raise ImportError(
                f"process {self._process} can't import {path}: {error!r}; it must be in a module "
                "that workers can import"
            ) from error
        found = self._functions[path] = function, is_async(function)
        return found

    # ------------------------------------------------------------- on the loop

    def _start(self, request: Request, coroutine: Coroutine[Any, Any, Any]) -> None:
        if self._source.is_cancelled(request):
            coroutine.close()
            self._source.drop(request)
            self._taker.ended()
            return
        task = self._dispatcher.loop.create_task(self._finish(request, coroutine))
        request.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, request: Request, coroutine: Coroutine[Any, Any, Any]) -> None:
        source = self._source
        try:
            result = await coroutine
        except asyncio.CancelledError as error:
            if source.is_cancelled(request):
                source.drop(request)
            elif not self._dispatcher.stopping:
                self._raised(request, error)
        except SystemExit as error:
            # Not answered: the caller is told how this process has ended.
            self._dispatcher.exit(Phrase("a function of {who}", who=source.title), error)
        except Exception as error:
            self._raised(request, error)
        else:
            source.answer(request, result)
        finally:
            request.task = None
            self._taker.ended()


def _failure(error: BaseException) -> Failure:
    text = remote.to_text(error)
    try:
        return Failure(pickle.dumps(error), text)
    except Exception:
        return Failure(None, text)
