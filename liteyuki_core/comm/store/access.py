"""The way of one process to the store: its questions, its copies, its listeners.

In the main process an answer comes before `ask` returns. In a child it comes over the link. At most
one thread or task waits for an answer.

Ownership. An `Access` owns its copies and closes them when the way to the store is lost.

Threads. Any thread may call it. The store or the link calls the section "from the store".

Invariants, under the context's lock.
- The number of a question is in `_asked` from before it is asked until its answer is whole, the
  caller gives it up, or the main process is gone.
- A listener that is told something is woken if it is idle.
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Protocol

from ...errors import NotConnected, StoreError, StoreTimeout
from ..loop.site import Site
from ..loop.steps import Steps, W, async_wait, async_waiter, wait
from ..loop.waiter import Reading, ReadingWaiter, SyncWaiter, Waiter
from . import question, value
from .copies import Copies, Originals
from .listener import Change, Listener
from .packed import Found
from .question import Question
from .value import Value

Fields = dict[str, Any]

_NOTHING = Found(False, None, 0, None, None)

ANSWER_SECONDS = 10.0
"""Seconds to wait for an answer of the main process, if the caller gives no timeout."""


class StorePort(Protocol):
    """How the questions of a process reach the store."""

    def ask(self, number: int, asked: Question) -> None:
        """Ask the store. With `number` 0 it does not answer. Under the lock."""

    def loop_waits(self) -> None:
        """Learn that this thread will wait, though it runs an event loop that may be reading."""

    def will_wait(self) -> Reading | None:
        """Learn that this thread, which runs no loop, will wait; return what it may read itself."""

    def pump(self) -> None:
        """Send what was asked. Never waits. Not under the lock."""


class Answer:
    """One question and its answer, which comes later."""

    def __init__(self, access: Access, number: int, asked: Question) -> None:
        self.number = number
        self.found = _NOTHING
        """The answer, if the question was about one key; else it is in `fields` and `values`."""
        self.fields: Fields = {}
        self.values: list[Value] = []
        self.keys: list[str] = []
        self.whole = False
        self._asked = asked
        self._access = access
        self._error: Exception | None = None
        self._waiter: Waiter | None = None

    @property
    def _about(self) -> str | None:
        return getattr(self._asked, "key", None)

    def add(self, fields: Fields | Found, values: list[Value]) -> bool:
        """Take in a part of the answer; return whether it was the last. Under the lock."""
        if isinstance(fields, Found):
            self.found = fields
            self._end()
            return True
        self.fields = fields
        self.values += values
        self.keys += fields.get("keys", ())
        if fields.get("more"):
            return False
        if "error" in fields:
            self._error = StoreError(fields["error"], self._about)
        self._end()
        return True

    def fail(self, error: Exception) -> None:
        """Learn that the answer will not come. Under the lock."""
        self._error = error
        self._end()

    def _end(self) -> None:
        self.whole = True
        if self._waiter is not None:
            self._waiter.wake(self._access.site.wakes)

    def wait(self, timeout: float | None) -> Answer:
        """Block the thread until the answer is whole, at most `timeout` seconds; return it.

        Raises `StoreError`, `StoreTimeout` or `NotConnected`.
        """
        if not self.whole:
            port = self._access.port
            reading = None
            if _get_running_loop() is not None:
                port.loop_waits()
            else:
                reading = port.will_wait()
            new_waiter = SyncWaiter if reading is None else partial(ReadingWaiter, reading)
            wait(self._until_whole(new_waiter, timeout))
        return self._result(timeout)

    async def async_wait(self, timeout: float | None) -> Answer:
        """Do what `wait` does without blocking the event loop."""
        if not self.whole:
            await async_wait(self._until_whole(async_waiter(), timeout))
        return self._result(timeout)

    def _until_whole(self, new_waiter: Callable[[], W], timeout: float | None) -> Steps[W, None]:
        with self._access.site.lock:
            if self.whole:
                return
            waiter = self._waiter = new_waiter()
        woken = False
        try:
            woken = yield waiter, timeout
        finally:
            if not woken:
                self._access.give_up(self)

    def _result(self, timeout: float | None) -> Answer:
        if self._error is not None:
            raise self._error
        if not self.whole:
            key = self._about
            about = "the store" if key is None else f"key {key!r}"
            raise StoreTimeout(
                f"{about}: the main process did not answer within {timeout:g} s", key
            )
        return self


class Access:
    """The way of this process to the store. Any thread may call its methods."""

    def __init__(
        self,
        site: Site,
        port: StorePort,
        copies: Copies | Originals,
        *,
        keeps: bool,
        crosses: bool = False,
    ) -> None:
        self.site = site
        self.port = port
        self.copies = copies
        self.keeps = keeps
        """Whether keys may outlive the main process."""
        self.dump = value.dump
        """Serialises a value. Raises `StoreError`."""
        if crosses:
            from . import crossing

            self.dump = crossing.dump
        self._asked: dict[int, Answer] = {}
        self._last = 0
        self._listeners: list[Listener] = []
        self._lost: str | None = None

    def ask(self, asked: Question) -> Answer:
        """Ask the store; never waits. Raises `NotConnected`."""
        with self.site.lock:
            self._check()
            self._last = number = self._last + 1
            answer = self._asked[number] = Answer(self, number, asked)
            self.port.ask(number, asked)
        self.port.pump()
        return answer

    def say(self, asked: Question) -> None:
        """Ask the store something that it does not answer. Never waits.

        Does nothing if the main process is gone.
        """
        with self.site.lock:
            if self._lost is None:
                self.port.ask(0, asked)
        self.port.pump()

    def give_up(self, answer: Answer) -> None:
        """Forget a question: its caller does not wait for the answer any more."""
        with self.site.lock:
            self._asked.pop(answer.number, None)

    def listen(self, listener: Listener) -> Answer:
        """Tell `listener` all that happens after the answer that this returns.

        Raises `NotConnected`.
        """
        with self.site.lock:
            self._check()
            self.site.start_attending()
            self._listeners.append(listener)
        return self.ask(listener.question)

    def unlisten(self, listener: Listener) -> None:
        """Tell `listener`, a watch, nothing more. Idempotent."""
        with self.site.lock:
            if listener not in self._listeners:
                return
            self._listeners.remove(listener)
            if self._lost is None:
                self.port.ask(0, question.Unwatch(listener.name))
        self.port.pump()

    # ------------------------------------------------------------- from the store, under the lock

    def answered(self, number: int, fields: Fields | Found, values: list[Value]) -> None:
        """Take in an answer or a part of it."""
        answer = self._asked.get(number)
        if answer is not None and answer.add(fields, values):
            del self._asked[number]

    def told(self, fields: Fields, values: list[Value]) -> None:
        """Tell the listeners what happened in the store."""
        for listener in self._listeners:
            listener.tell(fields, values)

    def stop_listening(self) -> None:
        """End all listeners, and every wait of a task for one."""
        for listener in self._listeners:
            listener.end()

    def lost(self, why: str) -> None:
        """Learn that the connection to the store is gone."""
        self._lost = why
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer.fail(self._not_connected())
        self.stop_listening()
        self.copies.close()

    def _check(self) -> None:
        if self._lost is not None:
            raise self._not_connected()

    def _not_connected(self) -> NotConnected:
        return NotConnected(f"shared_memory can't be used any more: {self._lost}")


class Changes:
    """The changes from its making on, for `async for`. It ends by `close` or when it is dropped."""

    def __init__(self, access: Access, pattern: str, skip: int) -> None:
        self._access = access
        self._listener = Listener(access.site, "watch", pattern, skip)
        self._began: Answer | None = self._access.listen(self._listener)

    def __aiter__(self) -> Changes:
        return self

    async def __anext__(self) -> Change:
        if self._began is not None:
            began, self._began = self._began, None
            await began.async_wait(ANSWER_SECONDS)
        return await self._listener.next()  # type: ignore[no-any-return]

    def close(self) -> None:
        """End after the changes that have come so far. From any thread; idempotent."""
        with self._access.site.lock:
            self._listener.end()
        self._access.unlisten(self._listener)

    def __del__(self) -> None:
        access = getattr(self, "_access", None)
        if access is not None:
            listener = self._listener
            access.site.soon(lambda: access.unlisten(listener))


def remaining(deadline: float | None) -> float | None:
    """Return how many seconds remain until `deadline`."""
    return None if deadline is None else max(0.0, deadline - monotonic())
