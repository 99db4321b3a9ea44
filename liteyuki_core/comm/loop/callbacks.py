"""The callbacks of one channel end: which callbacks a message goes to, and how each is called.

A runner owns the `Callbacks`, takes the messages, and decides when. Here callbacks are registered,
chosen and called, and what they raise is reported.

Threads. Any thread may call `add`, `hold` and `release`, under the source's lock. The loop's thread
calls everything else.

Invariants. Before the next message is looked at, the filters of the one before have answered, and
the callbacks that they chose have started. What a callback raises is reported here. It is raised
further only if the process must end by it, or if the callback was broken off.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from time import monotonic
from typing import Any, Protocol

from ... import log
from ...errors import ChannelError
from ...language import Phrase, say
from .source import Source
from .worker import Threads

SYNC_CALLBACKS = 32
"""How many callbacks of one channel run in worker threads at the same time, if no concurrency is
given."""

EXITS = (SystemExit, KeyboardInterrupt)
"""Errors that end the process if a callback raises them."""


_UNDECIDED_SECONDS = 0.05
"""A function that alone was given to `on_receive` becomes a filter if the result decorates another
function within so many seconds."""

FREE = nullcontext()
"""Takes the place of a lock where none is needed."""


class Unbegun(BaseException):
    """A callback was not called for its message, because the process is about to stop."""


class Acknowledging(Protocol):
    """A runner that has put off acknowledgements. Its methods are called on the loop."""

    def pass_on(self) -> bool:
        """Acknowledge what was put off. Return whether to call `pump`."""

    def pump(self) -> None:
        """Have what this and all other runners have acknowledged written."""


class CallbackLoop(Protocol):
    """The loop that callbacks run on, as they and their runner see it."""

    threads: Threads
    """The threads for sync callbacks."""
    may_be_wrong: bool
    """Whether NoneBot may run in this process with a loop of its own. Callbacks belong there."""
    ending: bool
    """Whether the loop is about to end: what has come is handled, no pump waits for more."""
    pausing: bool
    """Whether no message is begun any more. Those that were begun are handled to their end."""
    stopping: bool
    """Whether callbacks are broken off."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""

    def acknowledge_soon(self, runner: Acknowledging) -> None:
        """Have a runner pass on its acknowledgements within `AFTER` seconds. On the loop."""

    def check_loop(self, source: Source) -> None:
        """Warn if this is the wrong loop for the callbacks of `source`."""

    def exit(self, who: Phrase, error: BaseException) -> None:
        """End the process. `who` names the callback that raised SystemExit or KeyboardInterrupt."""


class Registration:
    """One callback with its filter."""

    def __init__(
        self,
        callback: Callable[[Any], Any],
        filter_func: Callable[[Any], Any] | None,
        ordered: bool,
        concurrency: int | None = None,
        on_end: Callable[[Any], Any] | None = None,
    ) -> None:
        self.callback = callback
        self.on_end = on_end
        """Is called when no message will come any more, with the error that says so."""
        self.told = -1
        """For which end of the other side `on_end` was called last, see `Source.ended`."""
        self.filter_func = filter_func
        self.ordered = ordered
        self.concurrency = concurrency
        self.is_async = is_async(callback)
        self.lock = asyncio.Lock()
        self.order = _StartOrder()
        self.place = 0
        """Its position among the callbacks of its end."""


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a call of it returns a coroutine. Looks through wrappers and partials."""
    function = inspect.unwrap(function)
    while hasattr(function, "func"):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def is_clean(error: BaseException) -> bool:
    """Return whether the error ends a process with exit code 0."""
    if not isinstance(error, SystemExit):
        return False
    return error.code is None or (isinstance(error.code, int) and not error.code)


class _StartOrder:
    """Lets calls start in the order of their numbers, whatever thread runs each."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._given = 0
        self._serving = 0

    def number(self) -> int:
        self._given += 1
        return self._given - 1

    def start(self, number: int) -> None:
        with self._condition:
            while self._serving != number:
                self._condition.wait()
            self._serving += 1
            self._condition.notify_all()


def name_of(function: Any) -> str:
    """Return how the log names a callback or filter."""
    return getattr(function, "__qualname__", None) or repr(function)


class Callbacks:
    """The callbacks of one source.

    `begin_deciding` is called before the filters of a message are asked, and before its callbacks
    start if there are several. `decided` is called after that. Between the two calls no other
    message is taken.
    """

    acknowledges = True
    """Whether the source is told which messages were handled. Answers say so by themselves."""

    def __init__(
        self,
        source: Source,
        loop: CallbackLoop,
        begin_deciding: Callable[[], None],
        decided: Callable[[], None],
    ) -> None:
        self._source = source
        self._loop = loop
        self._begin_deciding = begin_deciding
        self._decided = decided
        self._registered: tuple[Registration, ...] = ()
        self.call: Callable[[Any], Any] = self._handle
        """Is awaited for each message. An only callback, if it is async and has no filter, is
        awaited directly."""
        self.limit = 1
        """How many messages may be handled at the same time."""
        self._places: asyncio.Semaphore | None = None
        """Bounds the callbacks that run, if there are several and a concurrency is given."""
        self._threads = asyncio.Semaphore(1)
        self._place = 0
        self.tells_end = False
        """Whether any callback has an `on_end`."""
        self.undecided: dict[Registration, tuple[float, Callable[[], object]]] = {}
        """Functions that may be a callback or a filter, with the time when that is decided and the
        call that decides it. Until then no message is taken. Written under the source's lock."""

    def add(self, registration: Registration) -> None:
        """Add a callback. From any thread, under the source's lock."""
        registration.place = registration.place or self._next_place()
        registered = (*self._registered, registration)
        registered = self._registered = tuple(sorted(registered, key=lambda r: r.place))
        self.tells_end = any(r.on_end is not None for r in registered)
        asked = [r.concurrency for r in registered if r.concurrency is not None]
        limit = min(asked, default=self._source.capacity)
        self._places = asyncio.Semaphore(limit) if asked and len(registered) > 1 else None
        self._threads = asyncio.Semaphore(limit if asked else min(limit, SYNC_CALLBACKS))
        self.limit = 1 if all(r.ordered for r in registered) else limit
        one = registered[0]
        plain = len(registered) == 1 and one.is_async and one.filter_func is None
        self.call = one.callback if plain else self._handle

    def hold(self, registration: Registration, decide: Callable[[], object]) -> None:
        """Keep the position of a callback that is still undecided. `decide` decides. As `add`."""
        registration.place = self._next_place()
        self.undecided[registration] = monotonic() + _UNDECIDED_SECONDS, decide

    def release(self, registration: Registration) -> bool:
        """Note that a callback is decided. Return whether it was undecided. As `add`."""
        return self.undecided.pop(registration, None) is not None

    def decide(self) -> float:
        """Decide the callbacks that are due. Return the seconds until the next is due, or 0."""
        for until, decide in list(self.undecided.values()):
            remaining = until - monotonic()
            if remaining > 0:
                return remaining
            decide()
        return 0.0

    def _next_place(self) -> int:
        self._place += 1
        return self._place

    def to_tell(self, which: int) -> list[Registration]:
        """Return the callbacks whose `on_end` was not called yet for this end. They are noted."""
        found = [r for r in self._registered if r.on_end is not None and r.told != which]
        for registration in found:
            registration.told = which
        return found

    async def tell_end(self, registrations: list[Registration], error: ChannelError) -> None:
        """Call the `on_end` of each with the error, one after another."""
        for registration in registrations:
            function = registration.on_end
            assert function is not None
            what = Phrase("on_end {name}", name=name_of(function))
            try:
                if is_async(function):
                    await function(error)
                else:
                    result = await self._loop.threads.run(partial(function, error))
                    if inspect.isawaitable(result):
                        await result
            except EXITS as raised:
                self._exit(what, raised)
            except Exception as raised:
                if not (isinstance(raised, ChannelError) and self._loop.stopping):
                    self._report(what, raised)

    async def _handle(self, data: Any) -> None:
        registrations = self._registered
        if len(registrations) > 1 or registrations[0].filter_func is not None:
            chosen = await self._choose(registrations, data)
        else:
            chosen = list(registrations)
        if len(chosen) == 1:
            await self._call(chosen[0], data)
        elif chosen:
            await self._call_all(chosen, data)

    async def _choose(
        self, registrations: tuple[Registration, ...], data: Any
    ) -> list[Registration]:
        chosen = []
        self._begin_deciding()
        try:
            for registration in registrations:
                if await self._wants(registration, data):
                    chosen.append(registration)
        finally:
            self._decided()
        return chosen

    async def _wants(self, registration: Registration, data: Any) -> bool:
        """Return whether the filter of a callback lets the data through."""
        function = registration.filter_func
        try:
            wanted = function is None or function(data)
            return bool(await wanted if inspect.isawaitable(wanted) else wanted)
        except EXITS as error:
            self._exit(Phrase("filter {name}", name=name_of(function)), error)
        except Exception as error:
            self._report(Phrase("filter {name}", name=name_of(function)), error)
        return False

    async def _call_all(self, registrations: list[Registration], data: Any) -> None:
        tasks = [self._loop.loop.create_task(self._call(r, data)) for r in registrations]
        try:
            self._begin_deciding()
            await asyncio.sleep(0)  # After this turn of the loop all tasks have started.
            self._decided()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _call(self, registration: Registration, data: Any) -> None:
        try:
            waits = registration.ordered and self.limit > 1
            async with registration.lock if waits else FREE, self._places or FREE:
                if self._loop.pausing and (waits or self._places is not None):
                    raise Unbegun
                await self._start(registration, data)
        except Unbegun:
            raise
        except BaseException as error:
            self._raised(registration, error)

    def raised(self, error: BaseException) -> None:
        """Report what `call` has raised. It is told as an error of the first callback."""
        self._raised(self._registered[0], error)

    def _raised(self, registration: Registration, error: BaseException) -> None:
        if isinstance(error, ChannelError) and self._loop.stopping:
            return  # The stop has ended what the callback waited for.
        callback = Phrase("callback {name}", name=name_of(registration.callback))
        if isinstance(error, Exception):
            self._report(callback, error)
        elif isinstance(error, EXITS):
            self._exit(callback, error)
        elif isinstance(error, asyncio.CancelledError) and not self._loop.stopping:
            log.logger.warning(
                say("{who}: {what} was cancelled", who=self._source.title, what=callback)
            )
        else:
            raise error

    def _exit(self, what: Phrase, error: BaseException) -> None:
        """End the process. Returns if the message counts as handled, else raises."""
        clean = is_clean(error)
        if not clean:
            self._source.failed()
        self._loop.exit(Phrase("{what}: {why}", what=self._source.title, why=what), error)
        if self._loop.pausing and not clean:
            raise asyncio.CancelledError

    async def _start(self, registration: Registration, data: Any) -> Any:
        """Call a callback; return what it returns."""
        if registration.is_async:
            return await registration.callback(data)
        async with self._threads:
            if self._loop.pausing:
                raise Unbegun
            number = registration.order.number()

            def call() -> Any:
                registration.order.start(number)
                return registration.callback(data)

            result = await self._loop.threads.run(call)
        return await result if inspect.isawaitable(result) else result

    def _report(self, what: Phrase, error: Exception) -> None:
        self._source.failed()
        log.logger.opt(exception=error).error(
            say("{who}: {what} raised {error!r}", who=self._source.title, what=what, error=error)
        )
