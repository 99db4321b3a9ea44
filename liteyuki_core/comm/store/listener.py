"""Who in this process wants to know what happens in the store.

A listener with a callback feeds it through a `Runner`, one message at a time, in order, on the
process's loop; one without is iterated over.

Invariants, under the context's lock: what a listener is told of stands in `_inbox`, in order, until
it is taken; nothing is rebuilt before that. A waiter is in `_waiters` only while its task waits and
there is nothing: all of them are woken by what comes, so none that is given up takes it along.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ... import log
from ..loop.site import Site
from ..loop.waiter import AsyncWaiter
from . import value
from .value import Value

_MANY = 10_000
"""So many that wait are worth a line in the log."""

_MOST_BYTES = 64 << 20
"""So much may wait: whoever makes changes is not to fill the memory of all who watch them."""

_COST = 512
"""What one takes besides its values, about."""


class Change(NamedTuple):
    """A change of a key: the values before and after it, None where there was or is none."""

    key: str
    old: Any
    new: Any
    deleted: bool = False
    """Whether there is no such key now: `new` None may also be a value."""
    expired: bool = False
    """Whether that is because its time to live was over."""


class Happened(NamedTuple):
    """What a listener was told, not yet rebuilt."""

    name: str
    fields: dict[str, Any]
    values: list[Value]


class Listener:
    """Wants to know of the keys, or topics, that `pattern` matches. `skip` characters of a name
    are the namespace's."""

    capacity = 1 << 30

    def __init__(self, site: Site, op: str, pattern: str, skip: int) -> None:
        self._site = site
        self.op = op
        self._pattern = pattern
        self._skip = skip
        self.title = f"shared_memory: {'watch' if op == 'watch' else 'topic'} {pattern[skip:]!r}"
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
    def args(self) -> dict[str, str]:
        """What the store is to know."""
        return {"pattern" if self.op == "watch" else "topic": self._pattern}

    def run(self, start: Callable[[Any], None]) -> None:
        """Have a runner take what comes: `start` is given it first."""
        with self._site.lock:
            self._runner = self._site.dispatcher.attach(self)
            start(self._runner)

    # ------------------------------------------------------------- from the store, under the lock

    def tell(self, fields: dict[str, Any], values: list[Value]) -> None:
        """Learn what happened, if it is what this one wants to know."""
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
        """Bring nothing more; who iterates gets what is there."""
        self._ended = self._runner is None
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            self._waiters.popleft().wake(self._site.wakes)

    def _warn(self) -> None:
        log.logger.warning(
            f"{self.title}: over {_MANY} messages wait for a callback that is slower than they come"
        )

    def _say_dropped(self) -> None:
        log.logger.error(
            f"{self.title}: what came is dropped while {_MOST_BYTES >> 20} MB wait for a callback "
            "that is slower than they come"
        )

    # ------------------------------------------------------------- for an iteration

    async def next(self) -> Any:
        """Return the next; raise `StopAsyncIteration` when there is none and none will come."""
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
                    self._leave(waiter)
        return self.load(happened)

    def _leave(self, waiter: AsyncWaiter) -> None:
        with self._site.lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    # ------------------------------------------------------------- for a runner

    def take(self) -> tuple[int, deque[Any], bool] | None:
        """Return what is there."""
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
        """Return whether `take` would give some."""
        return bool(self._inbox)

    def loads(self, payload: bytes, /) -> Any:
        """Not called: what is told is never bytes."""
        raise NotImplementedError

    def load(self, payload: Happened) -> Any:
        """Rebuild it. May raise anything."""
        name, fields, values = payload
        if self.op != "watch":
            return value.rebuild(values[0], name)
        old = value.rebuild(values[0], name) if fields["old"] else None
        new = value.rebuild(values[-1], name) if fields["new"] else None
        return Change(name, old, new, not fields["new"], fields["expired"])

    def not_rebuilt(self, error: Exception) -> None:
        """Log what can't be rebuilt."""
        log.logger.opt(exception=error).error(
            f"{self.title}: a message can't be rebuilt here and is skipped: {error!r}"
        )

    def begin(self, number: int) -> None:
        """Nobody asks."""

    def return_unbegun(self, first: int, count: int) -> None:
        """Nobody asks."""

    def acknowledge(self, ranges: list[tuple[int, int]]) -> None:
        """Nobody asks."""

    def failed(self) -> None:
        """Nobody counts."""


def _cost(values: list[Value]) -> int:
    return _COST + sum([len(value.data) for value in values])


def matches(pattern: str, name: str) -> bool:
    """Return whether `name` is what `pattern` says: itself, or with a trailing * its start."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
