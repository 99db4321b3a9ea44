"""One process's way to the store: what it has asked, its copies, who listens in it.

The main process's answers come before `ask` returns, a child's over its link. Each answer is
waited for by one thread or task at most.

Invariants, under the context's lock: a number is in `_asked` from before it is asked until its
answer is whole, it is given up, or the main process is gone; a listener that is told of something
is woken, if it is idle.
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Protocol

from ...errors import NotConnected, StoreError, StoreTimeout
from ..loop.site import Site
from ..loop.steps import Steps, W, async_wait, async_waiter, wait
from ..loop.waiter import SyncWaiter, Waiter
from .copies import Copies, Originals
from .listener import Change, Listener
from .value import Value

Fields = dict[str, Any]

ANSWER_SECONDS = 10.0
"""How long a main process that does not answer is waited for, unless a call says otherwise."""


class StorePort(Protocol):
    """A process's way to the store."""

    def ask(self, number: int, fields: Fields, values: list[Value]) -> None:
        """Ask the store; with `number` 0 it does not answer. Under the lock."""

    def loop_waits(self) -> None:
        """Learn that this thread will wait, though it runs a loop that may be reading."""

    def pump(self) -> None:
        """Get moving what was asked. Never waits. Not under the lock."""


class Answer:
    """What was asked and, once it is there, the answer."""

    def __init__(self, access: Access, number: int, about: str | None) -> None:
        self.number = number
        self.fields: Fields = {}
        self.values: list[Value] = []
        self.keys: list[str] = []
        self.whole = False
        self._about = about
        self._access = access
        self._error: Exception | None = None
        self._waiter: Waiter | None = None

    def add(self, fields: Fields, values: list[Value]) -> bool:
        """Take in a part of the answer; return whether it was the last. Under the lock."""
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
        """Learn that no answer will come. Under the lock."""
        self._error = error
        self._end()

    def _end(self) -> None:
        self.whole = True
        if self._waiter is not None:
            self._waiter.wake(self._access.site.wakes)

    def wait(self, timeout: float | None) -> Answer:
        """Return this once it is whole, blocking the thread up to `timeout` seconds.

        Raises `StoreError`, `StoreTimeout` or `NotConnected`.
        """
        if not self.whole:
            if _get_running_loop() is not None:
                self._access.port.loop_waits()
            wait(self._until_whole(SyncWaiter, timeout))
        return self._result(timeout)

    async def async_wait(self, timeout: float | None) -> Answer:
        """Do the same without blocking the loop."""
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
            about = "the store" if self._about is None else f"key {self._about!r}"
            raise StoreTimeout(
                f"{about}: the main process did not answer within {timeout:g} s", self._about
            )
        return self


class Access:
    """What this process has of the store. Any thread may call its methods."""

    def __init__(self, site: Site, port: StorePort, copies: Copies | Originals) -> None:
        self.site = site
        self.port = port
        self.copies = copies
        self._asked: dict[int, Answer] = {}
        self._last = 0
        self._listeners: list[Listener] = []
        self._lost: str | None = None

    def ask(self, op: str, about: str | None, args: Fields, values: Sequence[Value] = ()) -> Answer:
        """Ask the store; never waits. Raises `NotConnected`."""
        with self.site.lock:
            self._last += 1
            answer = Answer(self, self._last, about)
            self._check()
            self._asked[answer.number] = answer
            self.port.ask(answer.number, {"op": op, "args": args}, list(values))
        self.port.pump()
        return answer

    def say(self, op: str, **args: Any) -> None:
        """Ask what is not answered; never waits. Does nothing when the main process is gone."""
        with self.site.lock:
            if self._lost is None:
                self.port.ask(0, {"op": op, "args": args}, [])
        self.port.pump()

    def give_up(self, answer: Answer) -> None:
        """Wait no more for an answer."""
        with self.site.lock:
            self._asked.pop(answer.number, None)

    def listen(self, listener: Listener) -> Answer:
        """Have `listener` told of all that happens after the answer. Raises `NotConnected`."""
        with self.site.lock:
            self._check()
            self.site.start_attending()
            self._listeners.append(listener)
        return self.ask(listener.op, None, listener.args)

    def leave(self, listener: Listener) -> None:
        """Tell it no more. Idempotent."""
        with self.site.lock:
            if listener not in self._listeners:
                return
            self._listeners.remove(listener)
            if self._lost is None:
                self.port.ask(0, {"op": f"un{listener.op}", "args": listener.args}, [])
        self.port.pump()

    # ------------------------------------------------------------- from the store, under the lock

    def answered(self, number: int, fields: Fields, values: list[Value]) -> None:
        """Take in an answer, or a part of one."""
        answer = self._asked.get(number)
        if answer is not None and answer.add(fields, values):
            del self._asked[number]

    def told(self, fields: Fields, values: list[Value]) -> None:
        """Pass on that something happened."""
        for listener in self._listeners:
            listener.tell(fields, values)

    def stop_listening(self) -> None:
        """End every wait for what happens."""
        for listener in self._listeners:
            listener.end()

    def lost(self, why: str) -> None:
        """Learn that the way to the store is gone."""
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
    """The changes from its making on. `close` ends it, as does letting go of it."""

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
        """Bring no more changes than are there. From any thread, idempotent."""
        with self._access.site.lock:
            self._listener.end()
        self._access.leave(self._listener)

    def __del__(self) -> None:
        access = getattr(self, "_access", None)
        if access is not None:
            listener = self._listener
            access.site.soon(lambda: access.leave(listener))


def left(deadline: float | None) -> float | None:
    """Return how many seconds there are until `deadline`."""
    return None if deadline is None else max(0.0, deadline - monotonic())
