"""Watches and subscriptions of this process: what it is told of the store.

If a listener has a callback, a `Runner` takes the messages and calls it, one at a time, in order,
on the process's loop. A listener without a callback is iterated over.

Threads. The store or the link tells listeners, under the context's lock. A runner or a task takes
the messages.

Invariants, under the context's lock.
- What a listener is told stands in `_inbox`, in order, until it is taken. It is rebuilt only then.
- A waiter is in `_waiters` only while its task waits and `_inbox` is empty. A message wakes all
  waiters. So a waiter whose task gives up takes no message away from the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ... import log
from ...language import Phrase, say
from ..loop.site import Site
from ..loop.waiter import AsyncWaiter
from . import value
from .question import Subscribe, Watch
from .value import Value

_MANY = 10_000
"""If this many messages wait, the log says so."""

_MOST_BYTES = 64 << 20
"""Most bytes that may wait: a process that makes changes must not fill the memory of watchers."""

_COST = 512
"""About how many bytes a message takes in addition to its values."""


class Change(NamedTuple):
    """A change of a key: its values before and after the change, None if there was or is none."""

    key: str
    old: Any
    new: Any
    deleted: bool = False
    """Whether the key does not exist any more. `new` alone does not say: None may be a value."""
    expired: bool = False
    """Whether the key was deleted because its time to live was over."""


class Happened(NamedTuple):
    """A message to a listener, not yet rebuilt."""

    name: str
    fields: dict[str, Any]
    values: list[Value]


class Listener:
    """One watch of keys, or one subscription to topics, that `pattern` matches.

    The first `skip` characters of a name are the namespace.
    """

    capacity = 1 << 30

    def __init__(self, site: Site, op: str, pattern: str, skip: int) -> None:
        self._site = site
        self.op = op
        self._pattern = pattern
        self._skip = skip
        shown = pattern[skip:]
        self.title = (
            Phrase("shared_memory: watch {pattern!r}", pattern=shown)
            if op == "watch"
            else Phrase("shared_memory: topic {pattern!r}", pattern=shown)
        )
        self.name = pattern
        self.idle = True
        self._inbox: deque[Happened] = deque()
        self._runner: Any = None
        self._waiters: deque[AsyncWaiter] = deque()
        self._waiting_bytes = 0
        self._ended = False
        self._warned = False
        self._dropped = False
        self._number = 0

    @property
    def question(self) -> Watch | Subscribe:
        """The question to the store that has it tell this listener."""
        return Watch(self._pattern) if self.op == "watch" else Subscribe(self._pattern)

    def run(self, start: Callable[[Any], None]) -> None:
        """Make a runner that takes the messages; `start` is called with it first."""
        with self._site.lock:
            self._runner = self._site.dispatcher.attach(self)
            start(self._runner)

    def ended(self) -> None:
        """Say that something may still happen: a store has no other side that ends."""

    # ------------------------------------------------------------- from the store, under the lock

    def tell(self, fields: dict[str, Any], values: list[Value]) -> None:
        """Learn what happened; keep it if the name matches."""
        name = fields.get("key" if self.op == "watch" else "topic")
        if name is None or self._ended or not matches(self._pattern, name):
            return
        self._waiting_bytes += _cost(values)
        if self._waiting_bytes > _MOST_BYTES:
            self._waiting_bytes -= _cost(values)
            if not self._dropped:
                self._dropped = True
                self._site.soon(self._say_dropped)
            return
        self._inbox.append(Happened(name[self._skip :], fields, values))
        if len(self._inbox) >= _MANY and not self._warned:
            self._warned = True
            self._site.soon(self._warn)
        if self._runner is not None:
            if self.idle:
                self.idle = False
                self._site.dispatcher.ready(self._runner)
        else:
            self._wake()

    def end(self) -> None:
        """Take in nothing more. An iteration still gets the messages that have come."""
        self._ended = self._runner is None
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            self._waiters.popleft().wake(self._site.wakes)

    def _warn(self) -> None:
        log.logger.warning(
            say(
                "{who}: over {count} messages wait for a callback that is too slow",
                who=self.title,
                count=_MANY,
            )
        )

    def _say_dropped(self) -> None:
        log.logger.error(
            say(
                "{who}: {size} MB wait for a callback that is too slow; what comes before it has "
                "taken some is dropped",
                who=self.title,
                size=_MOST_BYTES >> 20,
            )
        )

    # ------------------------------------------------------------- for an iteration

    async def next(self) -> Any:
        """Return the next message, rebuilt; wait for it if need be.

        Raises `StopAsyncIteration` if there is none and none will come.
        """
        while True:
            with self._site.lock:
                if self._inbox:
                    happened = self._inbox.popleft()
                    self._waiting_bytes -= _cost(happened.values)
                    self._dropped = False
                    break
                if self._ended:
                    raise StopAsyncIteration
                waiter = AsyncWaiter(asyncio.get_running_loop())
                self._waiters.append(waiter)
            woken = False
            try:
                woken = await waiter.wait(None)
            finally:
                if not woken:
                    self._forget_waiter(waiter)
        return self.load(happened)

    def _forget_waiter(self, waiter: AsyncWaiter) -> None:
        with self._site.lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    # ------------------------------------------------------------- for a runner

    def take(self) -> tuple[int, deque[Any], bool] | None:
        """Return the number of the first message and all messages; None if there are none."""
        with self._site.lock:
            if not self._inbox:
                self.idle = True
                return None
            taken, self._inbox = self._inbox, deque()
            self._waiting_bytes = 0
            self._warned = self._dropped = False
            self._number += len(taken)
            return self._number - len(taken), taken, False

    def has_messages(self) -> bool:
        """Return whether `take` would return messages."""
        return bool(self._inbox)

    def loads(self, payload: bytes, /) -> Any:
        """Is never called: a message here is never bytes."""
        raise NotImplementedError

    def load(self, payload: Happened) -> Any:
        """Rebuild a message. May raise anything."""
        name, fields, values = payload
        if self.op != "watch":
            return value.rebuild(values[0], name)
        old = value.rebuild(values[0], name) if fields["old"] else None
        new = value.rebuild(values[-1], name) if fields["new"] else None
        return Change(name, old, new, not fields["new"], fields["expired"])

    def not_rebuilt(self, error: Exception) -> None:
        """Log that a message can't be rebuilt."""
        log.logger.opt(exception=error).error(
            say(
                "{who}: a message can't be rebuilt here and is skipped: {error!r}",
                who=self.title,
                error=error,
            )
        )

    def begin(self, number: int) -> None:
        """Do nothing: messages of the store are not redelivered."""

    def return_unbegun(self, first: int, count: int) -> None:
        """Do nothing: messages of the store are not redelivered."""

    def acknowledge(self, ranges: list[tuple[int, int]]) -> bool:
        """Do nothing: messages of the store are not acknowledged."""
        return False

    def pump(self) -> None:
        """Do nothing, because nothing was said."""

    def failed(self) -> None:
        """Do nothing: callbacks that raise are not counted here."""


def _cost(values: list[Value]) -> int:
    return _COST + sum([len(value.data) for value in values])


def matches(pattern: str, name: str) -> bool:
    """Return whether `name` is `pattern` or, if that ends with *, begins with the rest of it."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
