"""The one true store, in the main process: keys, locks, watches and subscriptions.

An `Asker` uses it: the main process itself, or the link to a child. `ask` carries out a question at
once and answers it. There are two exceptions. If another asker has a lock, the answer comes when
the lock is free. If a changed key outlives the main process, the answer comes when the change is in
the file.

Ownership. The store owns the cells, the journal with its thread and the expiry with its thread.
`close` closes them.

Threads. The caller of every method holds the context's lock, except for `close`, `abandon` and the
methods that say otherwise. Those take the lock themselves if they need it.

Invariants.
- The cell of a key changes before the key does. So no copy that counts as current is older than the
  key. The slot is written after the key has changed: the main process reads `entries` without the
  lock, and must not find an older value there than a child has found in the slot.
- `_version` grows with every change. Each key has the version of its latest change. So an asker
  that changes a key "if it is at version N" has seen every change before.
- An asker is told of changes in the order in which they are made, and before it gets any later
  answer.
- The first entry in the queue of a lock has the lock, see `queues.py`.
- The latest change of a kept key is in the journal's file or on its way there.

Values are never rebuilt here. So this process runs no user's code for another process. Numbers to
add are read only in the form in which `value.number` writes them, and only up to a length. A child
may ask anything: a question that our code never asks is a `FrameError` and changes nothing.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ...errors import FrameError, StoreError
from . import question
from . import value as values_
from .cells import Cells
from .expiry import Expiry
from .journal import Journal, Record
from .packed import Found
from .patterns import Patterns, wanting
from .question import Question
from .queues import Queues
from .truth import PAGE, Asker, Entry, Fields, paged
from .value import Value


class Store:
    """The keys, the locks, the watches and the subscriptions.

    `pump` is called, not under the lock, after something happened that no question has caused.
    """

    def __init__(
        self, lock: Any, pump: Callable[[], None], path: str | None, cells: Cells | None
    ) -> None:
        self._lock = lock
        self._pump = pump
        self.cells = cells
        self.keeps = path is not None
        self.entries: dict[str, Entry] = {}
        self._version = 0
        self._patterns: dict[Asker, Patterns] = {}
        self._topics: dict[Asker, Patterns] = {}
        self._queues = Queues()
        self._deadlines: list[tuple[float, int, str]] = []
        self._expiry = Expiry(self._expire)
        self._unconfirmed: deque[tuple[int, Asker, int, Fields | Found, list[Value]]] = deque()
        self._journal = None if path is None else Journal(path, self._written, self._kept)
        if self._journal is not None:
            # The lock is for the journal's thread: it may ask for the kept records already.
            with lock:
                self._load(self._journal.open())

    def _load(self, records: list[Record]) -> None:
        now, clock = time.monotonic(), time.time()
        for key, kind, data, expires_at in records:
            deadline = None if expires_at is None else now + expires_at - clock
            self._version += 1
            self.entries[key] = Entry(Value(kind, data), self._version, deadline, True)
            self._expires(key, self.entries[key])

    # ------------------------------------------------------------- questions

    def ask(self, asker: Asker, request: int, asked: Question) -> None:
        """Carry out a question and answer it. Raises `FrameError` if it can't be asked."""
        try:
            match asked:
                case question.Set():
                    self._set(asker, request, asked)
                case question.Get():
                    self._get(asker, request, asked.key)
                case question.Incr():
                    self._incr(asker, request, asked)
                case question.Publish():
                    self._publish(asker, request, asked)
                case question.Delete():
                    self._delete(asker, request, asked.key)
                case question.Lock():
                    self._lock_key(asker, request, asked)
                case question.Unlock(key, held):
                    if self._queues.leave(key, (asker, held)):
                        self._give(key)
                case question.Scan(prefix, content):
                    self._scan(asker, request, prefix, content)
                case question.Count(prefix):
                    asker.answer(request, {"count": len(self._keys(prefix))}, [])
                case question.Clear(prefix):
                    self._clear(asker, request, prefix)
                case question.Watch(pattern):
                    self._patterns.setdefault(asker, Patterns()).add(pattern)
                    asker.answer(request, {}, [])
                case question.Unwatch(pattern):
                    self._unwatch(asker, pattern)
                case question.Subscribe(topic):
                    self._topics.setdefault(asker, Patterns()).add(topic)
                    asker.answer(request, {}, [])
        except StoreError as error:
            asker.answer(request, {"error": error.args[0]}, [])
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            name = type(asked).__name__.lower()
            raise FrameError(f"the store can't be asked to {name}: {error!r:.300}") from error

    def drop(self, asker: Asker) -> None:
        """Remove an asker that is gone, with its locks, watches and subscriptions."""
        self._patterns.pop(asker, None)
        self._topics.pop(asker, None)
        for key in self._queues.drop(asker):
            self._give(key)
        self._unconfirmed = deque(entry for entry in self._unconfirmed if entry[1] is not asker)

    def live(self, key: str) -> Entry | None:
        """Return the entry of a key; None if there is none or it has expired."""
        entry = self.entries.get(key)
        if entry is None or entry.deadline is None or entry.deadline > time.monotonic():
            return entry
        self._change(key, None, expired=True)
        return None

    def look(self, prefix: str) -> list[tuple[str, Entry]]:
        """Return the keys that begin with `prefix`, sorted, with their entries. From any thread."""
        now = time.monotonic()
        with self._lock:
            found = [(key, e) for key, e in self.entries.items() if key.startswith(prefix)]
        return sorted(
            ((key, e) for key, e in found if e.deadline is None or e.deadline > now),
            key=lambda pair: pair[0],
        )

    def close(self, timeout: float) -> None:
        """Write what remains for the file, within `timeout` seconds. Not under the lock."""
        self._expiry.close()
        if self._journal is not None:
            self._journal.close(timeout)
        if self.cells is not None:
            self.cells.close()

    def abandon(self) -> None:
        """Let go of the files in a forked copy of the process."""
        if self._journal is not None:
            self._journal.abandon()
        if self.cells is not None:
            self.cells.close()

    # ------------------------------------------------------------- keys

    def _get(self, asker: Asker, request: int, key: str) -> None:
        entry = self.live(key)
        asker.answer(request, self._of(key, entry, None if entry is None else entry.value), [])

    def _set(self, asker: Asker, request: int, asked: question.Set) -> None:
        """Set a key. A change with a `version` does not change the key's time to live."""
        value, key, ttl, persist, version = asked
        entry = self.live(key)
        if version not in (None, 0 if entry is None else entry.version):
            there = None if entry is None else entry.value
            asker.answer(request, self._of(key, entry, there, done=False), [])
            return
        deadline = None if ttl is None else time.monotonic() + ttl
        if version is not None and entry is not None:
            deadline = entry.deadline
        kept = self._keeps(key, entry, persist)
        ticket = self._change(key, value, deadline=deadline, kept=kept)
        self._confirm(ticket, asker, request, self._of(key, self.entries[key], None), [])

    def _delete(self, asker: Asker, request: int, key: str) -> None:
        entry = self.live(key)
        ticket = None if entry is None else self._change(key, None)
        was = None if entry is None else entry.value
        found = self._of(key, None, was, done=entry is not None)
        self._confirm(ticket, asker, request, found, [])

    def _incr(self, asker: Asker, request: int, asked: question.Incr) -> None:
        by, key, persist = asked
        entry = self.live(key)
        number = values_.total(key, None if entry is None else entry.value, by)
        deadline = None if entry is None else entry.deadline
        kept = self._keeps(key, entry, persist)
        ticket = self._change(key, number, deadline=deadline, kept=kept)
        self._confirm(ticket, asker, request, self._of(key, self.entries[key], number), [])

    def _keeps(self, key: str, entry: Entry | None, persist: bool | None) -> bool:
        kept = persist if persist is not None else entry is not None and entry.kept
        if kept and self._journal is None:
            raise StoreError(f"key {key!r} {values_.CAN_NOT_KEEP}")
        return kept

    def _scan(self, asker: Asker, request: int, prefix: str, content: bool) -> None:
        """Answer with all keys that begin with `prefix` now, and their values if `content`."""
        keys = self._keys(prefix)
        for fields, found in paged(keys, self.entries, content):
            asker.answer(request, fields, found)

    def _clear(self, asker: Asker, request: int, prefix: str) -> None:
        keys = self._keys(prefix)
        tickets = [self._change(key, None) for key in keys]
        last = next((ticket for ticket in reversed(tickets) if ticket is not None), None)
        self._confirm(last, asker, request, {"count": len(keys)}, [])

    def _keys(self, prefix: str) -> list[str]:
        return sorted(k for k in list(self.entries) if k.startswith(prefix) and self.live(k))

    def _of(
        self, key: str, entry: Entry | None, value: Value | None, *, done: bool = True
    ) -> Found:
        """Return the answer to a question about a key that is now `entry`."""
        cell = None if self.cells is None else self.cells.number(key)
        if entry is None:
            return Found(done, value, 0, cell, None)
        return Found(done, value, entry.version, cell, entry.deadline)

    def _change(
        self,
        key: str,
        value: Value | None,
        *,
        deadline: float | None = None,
        kept: bool = False,
        expired: bool = False,
    ) -> int | None:
        """Set a key, or with None delete it; return the journal's ticket, if it was noted there."""
        place = None if self.cells is None else self.cells.change(key)
        self._version += 1
        old = self.entries.pop(key, None) if value is None else self.entries.get(key)
        if value is not None:
            entry = self.entries[key] = Entry(value, self._version, deadline, kept)
            self._expires(key, entry)
        if self.cells is not None and place is not None:
            self.cells.write(place, deadline, value)
        fields = {"key": key, "old": old is not None, "new": value is not None, "expired": expired}
        found = [] if old is None else [old.value]
        for asker in wanting(self._patterns, key):
            asker.tell(fields, found if value is None else [*found, value])
        if self._journal is None or not (kept or (old is not None and old.kept)):
            return None
        return self._journal.write(key, _record(key, entry) if value is not None and kept else None)

    # ------------------------------------------------------------- files and time

    def _confirm(
        self,
        ticket: int | None,
        asker: Asker,
        request: int,
        fields: Fields | Found,
        values: list[Value],
    ) -> None:
        if ticket is None:
            asker.answer(request, fields, values)
        else:
            self._unconfirmed.append((ticket, asker, request, fields, values))

    def _kept(self) -> list[Record]:
        """Return all records that must be in the file. On the journal's thread."""
        with self._lock:
            return [_record(key, entry) for key, entry in self.entries.items() if entry.kept]

    def _written(self, ticket: int, error: StoreError | None) -> None:
        with self._lock:
            while self._unconfirmed and self._unconfirmed[0][0] <= ticket:
                _, asker, request, fields, values = self._unconfirmed.popleft()
                if error is not None:
                    fields, values = {"error": f"it is changed, but {error}"}, []
                asker.answer(request, fields, values)
        self._pump()

    def _expires(self, key: str, entry: Entry) -> None:
        if entry.deadline is None:
            return
        if len(self._deadlines) > PAGE + 2 * len(self.entries):
            # Most deadlines here belong to values that were replaced.
            ending = [(e.deadline, e.version, k) for k, e in self.entries.items()]
            self._deadlines = [(at, version, k) for at, version, k in ending if at is not None]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (entry.deadline, entry.version, key))
        self._expiry.at(self._deadlines[0][0])

    def _expire(self) -> float | None:
        """Delete the keys that are due; return the next deadline. On the expiry thread."""
        with self._lock:
            due = time.monotonic()
            while self._deadlines and self._deadlines[0][0] <= due:
                _, version, key = heapq.heappop(self._deadlines)
                entry = self.entries.get(key)
                if entry is not None and entry.version == version:
                    self._change(key, None, expired=True)
            following = self._deadlines[0][0] if self._deadlines else None
        self._pump()
        return following

    # ------------------------------------------------------------- locks

    def _lock_key(self, asker: Asker, request: int, asked: question.Lock) -> None:
        """Give the lock `key` to this request, or let the request wait for it.

        `unlock` names the lock's holder by the number of this request.
        """
        key, wait = asked
        is_first = self._queues.join(key, (asker, request), wait)
        if is_first or not wait:
            asker.answer(request, {"got": is_first}, [])

    def _give(self, key: str) -> None:
        """Give a lock to the next in its queue."""
        first = self._queues.first(key)
        if first is not None:
            asker, request = first
            asker.answer(request, {"got": True}, [])

    # ------------------------------------------------------------- watches and topics

    def _unwatch(self, asker: Asker, pattern: str) -> None:
        patterns = self._patterns.get(asker)
        if patterns is not None and pattern in patterns.counts:
            patterns.remove(pattern)
            if not patterns.counts:
                del self._patterns[asker]

    def _publish(self, asker: Asker, request: int, asked: question.Publish) -> None:
        value, topic = asked
        for other in wanting(self._topics, topic):
            other.tell({"topic": topic}, [value])
        asker.answer(request, {}, [])


def _record(key: str, entry: Entry) -> Record:
    at = None if entry.deadline is None else time.time() + entry.deadline - time.monotonic()
    return Record(key, entry.value.kind, entry.value.data, at)
