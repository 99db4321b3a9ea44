"""Callbacks onto an event loop or worker threads.

One `Dispatcher` a process says which loop callbacks run on: LiteyukiBot's in the main
process, NoneBot's in a NoneBot child, elsewhere one that it runs itself in a thread. One
`Runner` a channel end feeds that end's callbacks.

A runner takes messages in order in a *pump*, a task that calls callback after callback. As
long as callbacks end without waiting for anything, one pump serves them all. When one waits,
its pump waits with it, and the next turn of the loop starts another pump for the messages
behind it. So callbacks start in message order, each inside a task, and none waits for another,
while a task is paid for only where there is something to wait for.

Invariants. Only the loop's thread touches a runner's state. A filter is waited for before the
next message is looked at, and its callbacks have started. A pump serves at most `_TURN`
messages, then the loop gets its turn.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Protocol

from .. import log

_TURN = 64
"""Messages a pump serves in one turn of the loop; also how many acknowledgements gather."""

_ACKNOWLEDGE_AFTER = 0.005
"""Seconds an acknowledgement waits for company."""

_THREADS = 32
"""Callbacks of one channel that run in worker threads at the same time."""


class Source(Protocol):
    """What a runner needs of a channel end."""

    name: str
    capacity: int

    def take(self) -> deque[tuple[int, Any]] | None:
        """Return the next messages with their numbers, or None.

        A str is a message as it stands; `rebuild` makes all others.
        """

    def has_messages(self) -> bool:
        """Return whether `take` would give some."""

    def rebuild(self, payload: Any) -> tuple[bool, Any]:
        """Return whether the message could be rebuilt, and the data."""

    def acknowledge(self, ranges: list[tuple[int, int]]) -> None:
        """Say that the handling of these messages has ended."""

    def failed(self) -> None:
        """Count a callback that raised."""


class Registration:
    """One callback with its filter."""

    def __init__(
        self,
        callback: Callable[[Any], Any],
        filter_func: Callable[[Any], Any] | None,
        ordered: bool,
    ) -> None:
        self.callback = callback
        self.filter_func = filter_func
        self.ordered = ordered
        self.is_async = _is_async(callback)
        self.lock = asyncio.Lock()
        self.order = _StartOrder()


def _is_async(function: Callable[..., Any]) -> bool:
    function = inspect.unwrap(function)
    while hasattr(function, "func"):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


class _StartOrder:
    """Lets calls start in the order in which they took a number, whatever thread runs them."""

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


class Runner:
    """Feeds the callbacks of one channel end. Used by the loop's thread alone."""

    def __init__(self, source: Source, dispatcher: Dispatcher) -> None:
        self._source = source
        self._dispatcher = dispatcher
        self._registrations: tuple[Registration, ...] = ()
        self._messages: deque[tuple[int, Any]] = deque()
        self._done: list[int] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self._deciding = False
        self._serial = True
        self._successor = False
        """Whether a `step` is scheduled, or there is to be none because pumps go one by one."""
        self._attention = True
        """Whether a pump has to look at more than the next message."""
        self._callback: Callable[[Any], Any] | None = None
        """The only callback, if it is async and has no filter."""
        self._threads = asyncio.Semaphore(min(source.capacity, _THREADS))

    def add(self, registration: Registration) -> None:
        """Add a callback. Called under the source's lock, from any thread."""
        self._registrations = (*self._registrations, registration)
        self._serial = all(r.ordered for r in self._registrations)
        self._attention = True

    def step(self) -> None:
        """Start a pump where there are messages that no pump is about to take."""
        self._successor = self._serial
        self._attention = True
        if self._deciding or (self._serial and self._pumps) or not self._refill():
            return
        # The pump takes its first message when it runs: until then another, which comes back
        # from waiting, may take it, and they still start in order.
        task = self._dispatcher.loop.create_task(
            self._pump(), name=f"liteyuki-callbacks-{self._source.name}"
        )
        self._pumps.add(task)
        task.add_done_callback(self._ended)

    def busy(self) -> bool:
        """Return whether messages are handled here or are about to be."""
        return bool(self._pumps or self._messages or self._source.has_messages())

    def pumps(self) -> set[asyncio.Task[None]]:
        """Return the tasks that handle messages."""
        return set(self._pumps)

    def cancel(self) -> None:
        """Stop every pump; what they were handling stays unacknowledged."""
        for task in tuple(self._pumps):
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pumps.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.logger.opt(exception=error).error(f"channel {self._source.name}: a pump failed")
        if self._serial or not self._successor:
            self._continue()

    def _continue(self) -> None:
        self._successor = True
        self._dispatcher.loop.call_soon(self.step)

    def _refill(self) -> bool:
        while not self._messages:
            messages = self._source.take()
            if messages is None:
                return False
            self._messages = messages
        return True

    def _attend(self) -> bool:
        """Look at what seldom changes; return whether there is a message to take."""
        if self._deciding or not self._refill():
            return False
        self._attention = False
        if not self._successor:
            self._continue()
        one = self._registrations[0]
        plain = len(self._registrations) == 1 and one.is_async and one.filter_func is None
        self._callback = one.callback if plain else None
        return True

    async def _pump(self) -> None:
        flush_at = monotonic() + _ACKNOWLEDGE_AFTER
        done = self._done.append
        try:
            for served in range(_TURN):
                if (self._attention or not self._messages) and not self._attend():
                    return
                sequence, data = self._messages.popleft()
                if type(data) is not str:
                    rebuilt, data = self._source.rebuild(data)
                    if not rebuilt:
                        done(sequence)
                        continue
                callback = self._callback
                if callback is None:
                    await self._handle(self._registrations, data)
                else:
                    try:
                        await callback(data)
                    except BaseException as error:
                        self._raised(self._registrations[0], error)
                done(sequence)
                if not served & 3 and monotonic() >= flush_at:
                    self._flush()
                    flush_at = monotonic() + _ACKNOWLEDGE_AFTER
        finally:
            self._flush()

    def _flush(self) -> None:
        done = self._done
        if not done:
            return
        low, high = min(done), max(done)
        whole = high - low == len(done) - 1
        ranges = [(low, len(done))] if whole else _ranges(sorted(done))
        done.clear()
        self._source.acknowledge(ranges)

    async def _handle(self, registrations: tuple[Registration, ...], data: Any) -> None:
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
        self._deciding = self._attention = True
        try:
            for registration in registrations:
                function = registration.filter_func
                try:
                    wanted = function is None or function(data)
                    if inspect.isawaitable(wanted):
                        wanted = await wanted
                except Exception as error:
                    self._report("filter", registration.filter_func, error)
                    continue
                if wanted:
                    chosen.append(registration)
        finally:
            self._decided()
        return chosen

    def _decided(self) -> None:
        self._deciding = False
        if not self._successor:
            self._continue()

    async def _call_all(self, registrations: list[Registration], data: Any) -> None:
        tasks = [self._dispatcher.loop.create_task(self._call(r, data)) for r in registrations]
        try:
            self._deciding = self._attention = True
            await asyncio.sleep(0)  # They have started when this comes back.
            self._decided()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _call(self, registration: Registration, data: Any) -> None:
        try:
            if registration.ordered and not self._serial:
                async with registration.lock:
                    await self._run(registration, data)
            else:
                await self._run(registration, data)
        except BaseException as error:
            self._raised(registration, error)

    def _raised(self, registration: Registration, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._report("callback", registration.callback, error)
        elif isinstance(error, asyncio.CancelledError) and not self._dispatcher.stopping:
            name = _name(registration.callback)
            log.logger.warning(f"channel {self._source.name}: callback {name} was cancelled")
        else:
            raise error

    async def _run(self, registration: Registration, data: Any) -> None:
        if registration.is_async:
            await registration.callback(data)
            return
        async with self._threads:
            number = registration.order.number()

            def call() -> Any:
                registration.order.start(number)
                return registration.callback(data)

            result = await self._dispatcher.threads.run(call)
        if inspect.isawaitable(result):
            await result

    def _report(self, what: str, function: Callable[..., Any] | None, error: Exception) -> None:
        self._source.failed()
        log.logger.opt(exception=error).error(
            f"channel {self._source.name}: {what} {_name(function)} raised {error!r}"
        )


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    first = numbers[0]
    last = first
    for number in numbers[1:]:
        if number != last + 1:
            out.append((first, last - first + 1))
            first = number
        last = number
    out.append((first, last - first + 1))
    return out


class Threads:
    """Daemon threads for synchronous callbacks, reused; they never hold up the process's exit."""

    _IDLE_SECONDS = 10.0

    def __init__(self) -> None:
        self._idle: deque[SimpleQueue[Callable[[], None] | None]] = deque()
        self._started = 0

    def run(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run `call` in a thread, with the caller's context variables.

        From a loop's thread; the result comes in that loop.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            result, error = None, None
            try:
                result = context.run(call)
            except BaseException as raised:
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                pass  # The loop is closed: nobody waits for this any more.

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
        return future

    def close(self) -> None:
        """Let idle threads end."""
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
                    work = queue.get()  # Somebody has just taken this thread.
                else:
                    return
            if work is None:
                return
            work()
            del work
            self._idle.append(queue)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError(f"a callback raised {error!r}"))
    else:
        future.set_exception(error)


class Dispatcher:
    """Says which loop a process's callbacks run on and wakes runners there.

    `bind` and `unbind` are called on that loop's thread. Until a loop is bound, messages are
    kept where they are. `ready` may be called from any thread, under the source's lock.
    """

    def __init__(self, *, own_loop: bool) -> None:
        self._own_loop = own_loop
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[Runner, None] = {}
        self._woken = False
        self._runners: dict[Runner, None] = {}
        self._started_loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.threads = Threads()
        self.stopping = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that callbacks run on."""
        if self._loop is None:
            raise RuntimeError("no loop is bound")
        return self._loop

    def use_other_loop(self) -> None:
        """Say that a loop will be bound, so that none is started here."""
        self._own_loop = False

    def attach(self, source: Source) -> Runner:
        """Return a new runner for `source`."""
        runner = Runner(source, self)
        with self._lock:
            self._runners[runner] = None
            if self._own_loop and self._started_loop is None and not self._closed:
                self._started_loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run_loop,
                    args=(self._started_loop,),
                    name="liteyuki-callbacks",
                    daemon=True,
                )
                self._thread.start()
        return runner

    def detach(self, runner: Runner) -> None:
        """Forget a runner whose end is closed; callbacks that run go on."""
        with self._lock:
            self._runners.pop(runner, None)
            self._waiting.pop(runner, None)

    def ready(self, runner: Runner) -> None:
        """Have `runner` look for messages on the loop's thread."""
        with self._lock:
            self._waiting[runner] = None
            if self._woken or self._loop is None:
                return
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._step)
            except RuntimeError:  # The loop is closed; another may be bound.
                self._woken = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run callbacks on `loop` from now on, which is the running one."""
        if self._started_loop not in (None, loop):
            log.logger.warning(
                "callbacks were registered before this process's event loop was known, and stay on "
                "a loop of their own; register them later"
            )
            return
        with self._lock:
            self._loop = loop
            self._woken = True
            self.stopping = False
            loop.call_soon(self._step)

    async def drain(self, timeout: float) -> None:
        """Wait until no messages are handled or about to be, at most `timeout` seconds."""
        deadline = monotonic() + timeout
        while (left := deadline - monotonic()) > 0:
            busy = [runner for runner in list(self._runners) if runner.busy()]
            if not busy:
                return
            pumps = set().union(*(runner.pumps() for runner in busy))
            if pumps:
                await asyncio.wait(pumps, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.001)

    def unbind(self) -> None:
        """Run no more callbacks; those that run are cancelled and stay unacknowledged."""
        with self._lock:
            self._loop = None
            self.stopping = True
            runners = list(self._runners)
        for runner in runners:
            runner.cancel()

    def close(self, timeout: float) -> None:
        """End the loop that was started here, if any, and the worker threads. Idempotent.

        Callbacks that run there have `timeout` seconds to end.
        """
        self._closed = True
        thread, loop = self._thread, self._started_loop
        if thread is not None and loop is not None and thread.is_alive():
            draining = asyncio.run_coroutine_threadsafe(self.drain(timeout), loop)
            draining.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
            if thread is not threading.current_thread():
                thread.join(timeout + 1.0)
        self.threads.close()

    def _step(self) -> None:
        with self._lock:
            runners, self._waiting = self._waiting, {}
            self._woken = False
        for runner in runners:
            runner.step()

    def _run_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon(self.bind, loop)
        try:
            loop.run_forever()
        finally:
            self.unbind()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
