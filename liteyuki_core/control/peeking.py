"""What goes on inside the bot, for those who look: messages of a channel, changes of the store.

Nothing of it is rebuilt but plain values of the store, see `plain.py`. The hub and the store only
add to a bounded `Unread`, under their lock, and wake nobody: there one must not write to the loop
that would be woken. So whoever looks does it ten times a second, as long as there is a client.

Ownership. A `Peeking` owns its `Unread`, and its timer from `listen` to `unlisten`. It runs on the
server's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from time import time
from typing import Any, Generic, NamedTuple, TypeVar

from ..comm.hub.hub import Hub
from ..comm.hub.peeks import MOST_BYTES, MOST_MESSAGES, Passed
from ..comm.store import question
from ..comm.store.truth import Fields, Truth
from ..comm.store.value import Value
from ..ring import Entry
from ..unread import Unread
from . import models, plain

T = TypeVar("T")

_PAUSE = 0.1
_MOST_CHANGES = 2_000
_CHANGE_BYTES = 100
"""About what a change takes beside its value."""


class Peeking(Generic[T]):
    """Looks into `unread` for a `Stream`, under `lock`.

    `begin` has it filled, and `end` filled no more. They are called by `listen` and `unlisten`.
    """

    def __init__(
        self,
        unread: Unread[T],
        lock: AbstractContextManager[Any],
        begin: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        self._unread = unread
        self._lock = lock
        self._begin = begin
        self._end = end
        self._timer: asyncio.TimerHandle | None = None

    def listen(self, call: Callable[[], object]) -> None:
        """Have `call` called now and then, until `unlisten`."""
        self._begin()
        loop = asyncio.get_running_loop()

        def look() -> None:
            call()
            self._timer = loop.call_later(_PAUSE, look)

        self._timer = loop.call_later(_PAUSE, look)

    def unlisten(self, call: Callable[[], object]) -> None:
        """Call it no more."""
        assert self._timer is not None
        self._timer.cancel()
        self._end()

    def after(self, number: int, most: int) -> tuple[list[Entry[T]], int]:
        """Return what has come meanwhile, and how much of it was forgotten."""
        with self._lock:
            items, lost = self._unread.take(most)
        return [Entry(number, 0.0, item) for item in items], lost


# ------------------------------------------------------------- messages of a channel


def at_channel(hub: Hub, name: str) -> Peeking[Passed]:
    """Return what shows the messages of a channel that are given to a process."""
    unread: Unread[Passed] = Unread(MOST_MESSAGES, MOST_BYTES)
    return Peeking(
        unread,
        hub.lock,
        lambda: hub.peek(name, unread),
        lambda: hub.unpeek(name, unread),
    )


def messages(asked: models.Tail, entries: Iterable[Entry[Passed]]) -> Iterator[models.Message]:
    """Return messages as they are shown."""
    for entry in entries:
        passed = entry.item
        when = datetime.fromtimestamp(passed.time, timezone.utc)
        sender = None if passed.put_back else passed.sender or "main"
        for number, size, form, text in passed.messages():
            yield models.Message(
                time=when,
                channel=asked.name,
                number=number,
                direction=passed.direction,  # type: ignore[arg-type]  # It is one of those.
                kind="request" if passed.request else "message",
                sender=sender,
                receiver=passed.receiver or "main",
                size=size,
                form=form,  # type: ignore[arg-type]
                redelivered=passed.redelivered,
                body=plain.clean(text) if asked.bodies and text is not None else None,
            )


# ------------------------------------------------------------- changes of the store


class Changed(NamedTuple):
    """A key of the store that has changed. `value` is None if it is gone, or too long to show."""

    time: float
    """In seconds since 1970."""
    key: str
    value: Value | None
    size: int
    deleted: bool
    expired: bool


class _Watcher:
    """Asks the store to be told of changes. The store calls it, under the lock."""

    def __init__(self, unread: Unread[Changed]) -> None:
        self._unread = unread

    def answer(self, request: int, fields: Any, values: list[Value]) -> None:
        pass  # The only answer is that it is told from now on.

    def tell(self, fields: Fields, values: list[Value]) -> None:
        there = fields["new"]
        size = len(values[-1].data) if there else 0
        value = values[-1] if there and size <= plain.LIMIT else None
        changed = Changed(time(), fields["key"], value, size, not there, fields["expired"])
        self._unread.add(changed, 1, _CHANGE_BYTES + (0 if value is None else size))


def at_store(store: Truth, lock: AbstractContextManager[Any], prefix: str) -> Peeking[Changed]:
    """Return what shows the changes of the keys that begin with `prefix`."""
    unread: Unread[Changed] = Unread(_MOST_CHANGES, MOST_BYTES)
    watcher = _Watcher(unread)

    def begin() -> None:
        with lock:
            store.ask(watcher, 0, question.Watch(f"{prefix}*"))

    def end() -> None:
        with lock:
            store.drop(watcher)

    return Peeking(unread, lock, begin, end)


def changes(entries: Iterable[Entry[Changed]]) -> Iterator[models.Change]:
    """Return changes as they are shown."""
    for entry in entries:
        changed = entry.item
        shown, is_plain = None, False
        if changed.value is not None:
            try:
                shown, is_plain = plain.of_value(changed.value), True
            except plain.NotPlain:
                pass
        yield models.Change(
            time=datetime.fromtimestamp(changed.time, timezone.utc),
            key=plain.clean(changed.key),
            deleted=changed.deleted,
            expired=changed.expired,
            size=changed.size,
            plain=is_plain,
            value=shown,
        )
