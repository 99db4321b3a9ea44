"""Calls of functions in worker processes, as users have them: `workers`.

`LiteyukiBot.add_workers` adds the processes. A call is a request to their queue, `NAME-calls`. A
worker answers it with what the function returns, or with a `Failure`. If the worker ends instead,
the main process answers with a text that says how. Any thread may call everything here.

Between nodes of a cluster a call is plain data, and so are its answers: what the function has
raised is answered as for any request, as a text. Processes of one node get just what was given.

Ownership. A process's context has one `_Pool` for each name that was called here, with its end of
the queue and its counters. `Workers` is a light handle on one.
"""

from __future__ import annotations

import pickle
import sys
from asyncio import _get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

from ..errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelError,
    ChannelExists,
    ChannelNotFound,
    ChannelTimeout,
    MessageTooLarge,
    ProcessNotFound,
    ProcessStartError,
    ProcessTimeout,
    RemoteError,
    SendError,
    WorkerDied,
    WouldBlockLoop,
)
from .channel import check_name, check_timeout
from .context import Context
from .current import current
from .ends import remote
from .ends.end import End
from .ends.remote import Died
from .ends.sending import Asked
from .loop.steps import Steps, W, async_wait, async_waiter, wait
from .loop.waiter import SyncWaiter

AHEAD = 32
"""How many calls `map` and `async_map` have under way at a time, at most."""

_MAIN = ("__main__", "__mp_main__")
"""The names of the file that was started, in the main process and in processes it has spawned."""

_ASYNC_MAP = "async for ... in workers(...).async_map(...)"

_LINES_SHOWN = 3
"""How many of a worker's last lines the text of `WorkerDied` shows."""


class Failure(NamedTuple):
    """A worker's answer if the function has raised: the error, pickled if it can be, and as text.

    `error` is None if it can't be pickled. `text` is what `remote.to_text` returns.
    """

    error: bytes | None
    text: str


def queue_of(name: str) -> str:
    """Return the name of the queue with the calls of the workers `name`."""
    return f"{name}-calls"


def workers(
    name: str, timeout: float | None = None, retries: int = 0, kill: bool = False
) -> Workers:
    """Return a handle that calls functions in the workers `name`, from any process and thread.

    Never waits, and asks nobody: the workers must be there when it is used. `timeout` is how many
    seconds each call may take, its time in the queue included; None is for ever. If the worker
    that runs a call ends, the call is tried again up to `retries` times, by whichever worker is
    free. With `kill`, a worker that still runs a call when its caller gives up, because of the
    timeout or a cancellation, is ended and replaced.

    Raises `ValueError` for `kill` without a `timeout`, and `ValueError` or `TypeError` for a value
    that is not allowed.
    """
    return Workers(name, timeout, retries, kill)


class Workers:
    """Calls functions in the worker processes of one name. Any thread may call its methods.

    A function is one at the top of a module that workers can import, or a class's static or class
    method, or the text "package.module:function", which only workers import. A sync function runs
    on a worker's main thread, an async function on the worker's loop. Arguments and results are
    values that pickle can carry. Calls go, in order, to whichever worker is free; at most 1,024
    calls of a process are under way at a time, and further ones wait.

    The workers may be those of another node of a cluster, if they were added with `nodes_may_call`.
    Then arguments and results are plain data, a tuple arrives as a list, and what a function raises
    is a `RemoteError`.
    """

    def __init__(self, name: str, timeout: float | None, retries: int, kill: bool) -> None:
        self.name = check_name(name)
        self._timeout = check_timeout(timeout)
        if isinstance(retries, bool) or not isinstance(retries, int):
            raise TypeError(f"retries must be an int, not {type(retries).__name__}")
        if retries < 0:
            raise ValueError(f"retries must be at least 0, not {retries}")
        if not isinstance(kill, bool):
            raise TypeError(f"kill must be True or False, not {kill!r}")
        if kill and timeout is None:
            raise ValueError(
                "kill=True ends a worker at the time-out, so it needs a timeout: "
                f"workers({name!r}, timeout=10, kill=True)"
            )
        self._retries = retries
        self._kill = kill

    def __repr__(self) -> str:
        return f"<Workers {self.name!r}>"

    def call(self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Any:
        """Call `function(*args, **kwargs)` in a worker; return its result.

        Waits for a worker and for the result. On a thread that runs an event loop it raises
        `WouldBlockLoop`; use `async_call` there.

        What the function raises is raised here, with a `RemoteError` as its `__cause__` that has
        the traceback in the worker. If that error can't be rebuilt here, or the result can't be
        sent, `RemoteError` is raised. Raises `WorkerDied` if the worker ends, `ProcessTimeout`,
        `ProcessStartError` if none of the workers runs or will run, or their node is gone,
        `ProcessNotFound` if none were added, `SendError` or `MessageTooLarge` for what can't be
        sent, `NotConnected`.
        """
        self._check_may_wait("call", "await workers(...).async_call(...)")
        return wait(self._new(function, args, kwargs).run(SyncWaiter))

    async def async_call(
        self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Call `function(*args, **kwargs)` in a worker; return its result. From any event loop.

        If this is cancelled, so is an async function. The result of a sync function is dropped;
        with `kill` its worker is ended instead. Raises what `call` raises, but never
        `WouldBlockLoop`.
        """
        return await async_wait(self._new(function, args, kwargs).run(async_waiter()))

    def map(
        self, function: Callable[..., Any] | str, iterable: Iterable[Any], /, *more: Iterable[Any]
    ) -> Iterator[Any]:
        """Call `function` for each item; return an iterator over the results, in order.

        With several iterables it takes one argument from each, as `map` does. It begins at the
        first `next`, and has up to 32 calls under way at a time. Each may take `timeout` seconds.
        An error is raised where its result would be and ends the iteration: the calls behind it
        are given up, as they are if the iterator is closed. Raises what `call` raises.
        """
        self._check_may_wait("map", _ASYNC_MAP)
        path_of(function)  # So that what is wrong with it is raised here.
        return self._map(function, zip(iterable, *more, strict=False))

    def _map(
        self, function: Callable[..., Any] | str, items: Iterator[tuple[Any, ...]]
    ) -> Iterator[Any]:
        calls: deque[_Call] = deque()
        try:
            for args in items:
                self._check_may_wait("map", _ASYNC_MAP)
                call = self._new(function, args, {})
                wait(call.send(SyncWaiter))
                calls.append(call)
                if len(calls) >= AHEAD:
                    yield wait(calls.popleft().result(SyncWaiter))
            while calls:
                self._check_may_wait("map", _ASYNC_MAP)
                yield wait(calls.popleft().result(SyncWaiter))
        finally:
            for call in calls:
                call.give_up()

    def async_map(
        self, function: Callable[..., Any] | str, iterable: Iterable[Any], /, *more: Iterable[Any]
    ) -> AsyncIterator[Any]:
        """Do what `map` does, for `async for` on any event loop."""
        path_of(function)
        return _AsyncResults(self, function, zip(iterable, *more, strict=False))

    def stats(self) -> dict[str, int]:
        """Return the counters of this process's calls of these workers. Never waits.

        - `calls`: calls that were sent, each once however often it was tried again
        - `returned`, `raised`: calls whose function has returned, or raised
        - `died`: calls that ended with `WorkerDied`
        - `retried`: how often a call was tried again
        - `given_up`: calls whose timeout has passed, that were cancelled or that nobody took
        - `under_way`: all other calls: they wait for a worker, or one runs them

        In the main process `bot.channels["NAME-calls"]` counts the calls of all processes.
        """
        return _pool_of(self.name).stats()

    def _check_may_wait(self, door: str, instead: str) -> None:
        if _get_running_loop() is not None:
            raise WouldBlockLoop(
                f"workers {self.name}: {door}() would stop this thread's event loop until the "
                f"result comes; use `{instead}` here"
            )

    def _new(
        self, function: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Call:
        path = path_of(function)
        pool = _pool_of(self.name)
        return _Call(pool, path, args, kwargs, self._timeout, self._retries, self._kill)


class _Pool:
    """What this process has of the workers of one name."""

    def __init__(self, name: str, context: Context, end: End) -> None:
        self.name = name
        self.context = context
        self.end = end
        self._lock = Lock()
        self._counts = dict.fromkeys(
            ("calls", "returned", "raised", "died", "retried", "given_up"), 0
        )

    def count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def stats(self) -> dict[str, int]:
        with self._lock:
            counts = dict(self._counts)
        ends = ("returned", "raised", "died", "given_up")
        counts["under_way"] = counts["calls"] - sum(counts[end] for end in ends)
        return counts


def _pool_of(name: str) -> _Pool:
    context = current()
    pool: _Pool | None = context.pools.get(name)
    if pool is not None and not pool.end.closed and pool.end.gone is None:
        return pool
    try:
        end = context.queue(queue_of(name), None)
    except (ChannelNotFound, ChannelExists):
        raise ProcessNotFound(
            f"no workers are named {name!r}; bot.add_workers({name!r}) adds them in the main "
            "process",
            name,
        ) from None
    if pool is not None and pool.end is end:
        return pool
    end.keep_types()
    pool = context.pools[name] = _Pool(name, context, end)
    return pool


class _Call:
    """One call. One thread or task uses it at a time: `send`, then `result` or `give_up`."""

    __slots__ = (
        "_asked",
        "_deadline",
        "_item",
        "_kill",
        "_left",
        "_length",
        "_path",
        "_pool",
        "_timeout",
    )

    def __init__(
        self,
        pool: _Pool,
        path: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None,
        retries: int,
        kill: bool,
    ) -> None:
        self._pool = pool
        self._path = path
        self._timeout = timeout
        self._deadline = None if timeout is None else monotonic() + timeout
        self._left = retries
        self._kill = kill
        self._asked: Asked | None = None
        try:
            self._item, self._length = pool.end.sending.serialise([path, [*args], kwargs])
        except (SendError, MessageTooLarge) as error:
            raise type(error)(
                f"workers {pool.name}: the arguments of {path} can't be sent: {error}",
                error.channel,
            ) from error

    def run(self, new_waiter: Callable[[], W]) -> Steps[W, Any]:
        """Send the call; return its result."""
        yield from self.send(new_waiter)
        return (yield from self.result(new_waiter))

    def send(self, new_waiter: Callable[[], W]) -> Steps[W, None]:
        """Send the call. Waits for room in the queue."""
        yield from self._ask(new_waiter)
        self._pool.count("calls")

    def result(self, new_waiter: Callable[[], W]) -> Steps[W, Any]:
        """Return the result of a call that was sent. Raises what `Workers.call` raises."""
        pool = self._pool
        over = False
        try:
            while True:
                asked = yield from self._until_outcome(new_waiter)
                died = remote.death_in(asked.outcome) if asked.failed else None
                if died is None:
                    answer = self._answer(asked)
                    over = True
                    if type(answer) is Failure:
                        pool.count("raised")
                        raise self._error(answer)
                    pool.count("returned")
                    return answer
                if not self._left:
                    pool.count("died")
                    over = True
                    raise self._died(died)
                self._left -= 1
                pool.count("retried")
                yield from self._ask(new_waiter)
        except RemoteError as error:
            if over:
                raise
            pool.count("raised")
            over = True
            raise self._refused(error) from None
        finally:
            if not over:
                pool.count("given_up")

    def give_up(self) -> None:
        """Take back a call that was sent and whose result nobody wants. Never waits."""
        asked, self._asked = self._asked, None
        if asked is not None:
            self._pool.end.asking.give_up(asked)
            self._pool.count("given_up")

    def _ask(self, new_waiter: Callable[[], W]) -> Steps[W, None]:
        deadline = self._deadline
        left = None if deadline is None else max(0.0, deadline - monotonic())
        asking = self._pool.end.asking
        try:
            self._asked = yield from asking.until_accepted(
                new_waiter, self._item, self._length, left, True, self._kill
            )
        except ChannelTimeout:
            raise self._late("there was no room for it in the queue") from None
        except (ChannelBroken, ChannelClosed) as error:
            raise self._nobody(error) from None

    def _until_outcome(self, new_waiter: Callable[[], W]) -> Steps[W, Asked]:
        asked, self._asked = self._asked, None
        assert asked is not None
        asking = self._pool.end.asking
        try:
            yield from asking.until_outcome(new_waiter, asked, self._timeout, self._deadline)
        except ChannelTimeout:
            raise self._late("it has not ended") from None
        return asked

    def _answer(self, asked: Asked) -> Any:
        end = self._pool.end
        try:
            return end.asking.result(asked, end.receiving.load)
        except (ChannelBroken, ChannelClosed) as error:
            raise self._nobody(error) from None

    def _nobody(self, error: ChannelError) -> Exception:
        """Return what to raise because no worker runs the call."""
        pool = self._pool
        if pool.context.ended:
            return error
        return ProcessStartError(
            f"workers {pool.name}: {self._path} can't be called: {error}", pool.name
        )

    def _late(self, what: str) -> ProcessTimeout:
        killed = "; the worker that ran it, if any, is ended" if self._kill else ""
        return ProcessTimeout(
            f"workers {self._pool.name}: {self._path}: {what} within {self._timeout:g} s{killed}",
            self._pool.name,
        )

    def _error(self, failure: Failure) -> Exception:
        """Return what the function has raised, or a `RemoteError` that tells of it."""
        cause = remote.from_text(failure.text, self._pool.end.name)
        if failure.error is not None:
            try:
                error = pickle.loads(failure.error)
            except Exception:
                return cause
            # In a coroutine or a generator these would end it, and not tell of an error.
            if isinstance(error, Exception) and not isinstance(
                error, StopIteration | StopAsyncIteration
            ):
                error.__cause__ = cause
                return error
        return cause

    def _refused(self, error: RemoteError) -> RemoteError:
        """Return the error of a call that was answered with a text, naming the function."""
        said = f"{error.type_name}: {error.message}" if error.type_name else error.message
        return RemoteError(
            f"workers {self._pool.name}: {self._path}: {said}",
            error.channel,
            error.type_name,
            error.message,
            error.traceback,
        )

    def _died(self, died: Died) -> WorkerDied:
        lines = "".join(f"\n  {line}" for line in died.lines[-_LINES_SHOWN:])
        said = f"; its last lines:{lines}" if lines else ""
        return WorkerDied(
            f"process {died.process} {died.how} while it ran {self._path}{said}",
            died.process,
            died.exitcode,
            died.lines,
        )


class _AsyncResults:
    """The results of `async_map`, in order. One task uses it at a time."""

    def __init__(
        self,
        handle: Workers,
        function: Callable[..., Any] | str,
        items: Iterator[tuple[Any, ...]],
    ) -> None:
        self._handle = handle
        self._function = function
        self._items: Iterator[tuple[Any, ...]] | None = items
        self._calls: deque[_Call] = deque()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            while self._items is not None and len(self._calls) < AHEAD:
                args = next(self._items, None)
                if args is None:
                    self._items = None
                    break
                call = self._handle._new(self._function, args, {})
                await async_wait(call.send(async_waiter()))
                self._calls.append(call)
            if not self._calls:
                raise StopAsyncIteration
            return await async_wait(self._calls.popleft().result(async_waiter()))
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        self._items = None
        while self._calls:
            self._calls.popleft().give_up()

    def __del__(self) -> None:
        self._close()


# ------------------------------------------------------------- functions

_paths: dict[Any, str] = {}
"""What `path_of` has found, by function."""


def path_of(function: Callable[..., Any] | str) -> str:
    """Return how a worker imports `function`: "package.module:name".

    Raises `SendError`, which names it, if a worker can't import it by such a path.
    """
    if isinstance(function, str):
        module, colon, name = function.partition(":")
        if not (module and colon and name):
            raise SendError(
                f"workers call functions by paths like 'package.module:function', not {function!r}"
            )
        return function
    try:
        return _paths[function]
    except (KeyError, TypeError):
        path = _find_path(function)
    _paths[function] = path
    return path


def _find_path(function: Any) -> str:
    name = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    if not callable(function) or not isinstance(name, str) or not isinstance(module, str):
        raise SendError(
            f"workers call functions, and {function!r} is none that they can import by its name; "
            "write a function at the top of a module, and give what else it needs as arguments"
        )
    if "<" in name:
        what = "a lambda" if name.endswith("<lambda>") else "made inside of another function"
        raise SendError(
            f"workers can't import {module}.{name}, because it is {what}; write it as a function "
            "at the top of a module"
        )
    if module in _MAIN:
        raise SendError(
            f"workers can't import {name} from the file that was started; move it into a module "
            "of its own and import it from there"
        )
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function and found != function:
        raise SendError(
            f"workers would import {module}.{name}, which is another object than the given one; "
            "give the function that the module has by this name"
        )
    return f"{module}:{name}"
