"""The store that the nodes of a cluster share: one for all, on the server.

It is to its askers what `comm/store/table.py` is in a main process that is alone. The truth is the
bucket, see `bucket.py`. This node has a copy of it, see `near.py`, which watchers and `stale_ok`
read. A `get` asks the server, and a change is made there.

Ownership. `Main` owns the store. The node brings the connection by `join`, and what was asked
before that waits for it. The tasks that carry out questions are the node's.

Threads. `ask` and `drop` are called under the hub's lock, and only note. The cluster's loop does
the rest, and takes the lock to answer.

Invariants.
- Changes of one key that this node asks for are made one after another, in the order in which they
  were asked for, however long the server is away.
- An answer comes when this node's copy has what it tells: so whoever then reads with `stale_ok`
  finds nothing older, and watchers were told of it before.
- What was changed is answered after the server has it in its file.

Values are never rebuilt here, and no pickle leaves the node: what is no plain data is refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil
from time import time
from typing import Any, NamedTuple

from .. import log
from ..comm.store import question
from ..comm.store import value as values_
from ..comm.store.cells import Cells
from ..comm.store.packed import Found
from ..comm.store.patterns import Patterns, wanting
from ..comm.store.question import Question
from ..comm.store.queues import Entry as Lined
from ..comm.store.queues import Queues
from ..comm.store.truth import Asker, Entry, Fields, paged
from ..comm.store.value import Value
from ..errors import FrameError, StoreError
from ..language import say
from . import kept
from .bucket import Bucket, Conflict
from .connection import Refused
from .kept import Stored
from .locks import Locks
from .near import Near, deadline_of
from .place import Place
from .topics import Topics

_MOST_QUESTIONS = 100_000
_MOST_BYTES = 64 << 20
"""So much of one process may wait for the server."""
_AT_A_TIME = 64
"""So many keys are deleted at a time."""
_LONGEST_SECONDS = 10**9
"""The server counts no further."""
_CONTENT = 256
"""About how many bytes a question takes in addition to its value."""

Parts = list[tuple[Fields | Found, list[Value]]]

_LEFT: tuple[Fields | Found, list[Value]] = ({"error": "this node has left the cluster"}, [])


class _Asked(NamedTuple):
    asker: Asker
    request: int
    question: Question
    size: int


class SharedStore:
    """The store of the cluster, as this node's processes have it."""

    cells: Cells | None = None
    """None: a copy in a child would not be told of the changes of other nodes."""
    keeps = True

    def __init__(self, lock: Any, pump: Callable[[], None]) -> None:
        self._lock = lock
        self._pump = pump
        self.entries: dict[str, Entry] = {}
        self._node: Place | None = None
        self._bucket: Bucket
        self._locks: Locks
        self._published: Topics
        self._near: Near
        # Under the lock.
        self._noted: list[_Asked] = []
        self._woken = False
        self._waiting: dict[Asker, Counter[str]] = {}
        """What each asker waits for: how many answers, how many bytes."""
        self._patterns: dict[Asker, Patterns] = {}
        self._topics: dict[Asker, Patterns] = {}
        self._queues = Queues()
        self._impatient: set[Lined] = set()
        """Those that do not wait if another node has their lock."""
        self._ended: str | None = None
        # On the loop.
        self._turns: dict[str, deque[tuple[_Asked, Callable[[], Awaitable[Parts]]]]] = {}
        self._busy = 0

    # ------------------------------------------------------------- from the node

    def join(self, node: Place) -> None:
        """Learn which node this is."""
        self._near = Near(node, self._changed)
        self._bucket = Bucket(node, self._near.follow)
        self._locks = Locks(
            node, self._bucket, self._near, self._queues, self._impatient, self._give
        )
        self._published = Topics(node, self._on_published)
        self._node = node

    async def open(self) -> None:
        """Have the copy, and carry out what was asked so far. On the cluster's loop."""
        await self._near.open()
        with self._lock:
            self._woken = True
        self._work()

    def look_around(self) -> None:
        """See whether the server still tells the changes. On the cluster's loop."""
        self._near.look()

    async def catch_up(self) -> None:
        """Have what was missed while the connection was lost. Raises what `follow` raises."""
        await self._near.follow()

    def leave(self) -> None:
        """Give back all locks: this node is about to leave the cluster. On the cluster's loop."""
        self._locks.leave()

    @property
    def is_busy(self) -> bool:
        """Whether something that was asked for is still to be done."""
        return bool(self._busy or self._noted or self._locks.is_busy)

    def end(self, why: str) -> None:
        """Answer with an error from now on."""
        with self._lock:
            self._ended = why

    # ------------------------------------------------------------- under the lock

    def ask(self, asker: Asker, request: int, asked: Question) -> None:
        """Note a question. Raises `FrameError` if it can't be asked."""
        try:
            size = _CONTENT
            value = getattr(asked, "value", None)
            if value is not None:
                size += len(value.data)
            if type(asked) is question.Incr:
                values_.total(asked.key, None, asked.value)
            waiting = self._waiting.setdefault(asker, Counter())
            if self._ended is not None:
                raise StoreError(self._ended)
            match asked:
                case question.Get(key, True):
                    entry = self._near.live(key) if self._node is not None else None
                    asker.answer(request, _found(entry), [])
                    return
                case question.Watch(pattern):
                    self._patterns.setdefault(asker, Patterns()).add(pattern)
                    asker.answer(request, {}, [])
                    return
                case question.Unwatch(pattern):
                    self._unwatch(asker, pattern)
                    return
                case question.Lock(key, wait):
                    self._lock_key(key, (asker, request), wait)
                    return
                case question.Unlock(key, held):
                    self._impatient.discard((asker, held))
                    if self._queues.leave(key, (asker, held)):
                        self._look_at_lock(key)
                    return
            if waiting["count"] >= _MOST_QUESTIONS or waiting["bytes"] + size > _MOST_BYTES:
                raise StoreError(
                    f"{waiting['count']} questions of this process wait for the NATS server, with "
                    f"{waiting['bytes'] >> 20} MB; more can't wait at the same time"
                )
        except StoreError as error:
            asker.answer(request, {"error": error.args[0]}, [])
            return
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            name = type(asked).__name__.lower()
            raise FrameError(f"the store can't be asked to {name}: {error!r:.300}") from error
        waiting.update({"count": 1, "bytes": size})
        self._noted.append(_Asked(asker, request, asked, size))
        if self._node is not None and not self._woken:
            self._woken = True
            self._node.soon(self._work)

    def drop(self, asker: Asker) -> None:
        """Remove an asker that is gone. What it has asked for is done all the same."""
        self._waiting.pop(asker, None)
        self._patterns.pop(asker, None)
        self._topics.pop(asker, None)
        for entry in [each for each in self._impatient if each[0] is asker]:
            self._impatient.discard(entry)
        for key in self._queues.drop(asker):
            self._look_at_lock(key)

    def _lock_key(self, key: str, entry: Lined, wait: bool) -> None:
        if self._queues.join(key, entry, wait):
            if not wait:
                self._impatient.add(entry)
            self._look_at_lock(key)
        elif not wait:
            self._give(entry, False)

    def _look_at_lock(self, key: str) -> None:
        if self._node is not None:
            self._node.soon(self._locks.look, key)

    def _give(self, entry: Lined, got: bool | str) -> None:
        """Tell an asker whether it has the lock that it has asked for, or why not."""
        asker, request = entry
        asker.answer(request, {"error": got} if isinstance(got, str) else {"got": got}, [])

    def look(self, prefix: str) -> list[tuple[str, Entry]]:
        """Return the keys that begin with `prefix`, sorted, with their entries: as the copy has
        them. From any thread.
        """
        if self._node is None:
            return []
        with self._lock:
            entries = self._near.entries
            return [(key, entries[key]) for key in self._keys(prefix) if self._near.live(key)]

    def close(self, timeout: float) -> None:
        """Answer nothing any more. The node closes what is open."""
        self.end("the store is closed")

    def abandon(self) -> None:
        """Do nothing: there are no files."""

    def _keys(self, prefix: str) -> list[str]:
        near = self._near
        return sorted(key for key in near.entries if key.startswith(prefix))

    def _unwatch(self, asker: Asker, pattern: str) -> None:
        patterns = self._patterns.get(asker)
        if patterns is not None and pattern in patterns.counts:
            patterns.remove(pattern)
            if not patterns.counts:
                del self._patterns[asker]

    def _changed(self, key: str, old: Value | None, new: Value | None, expired: bool) -> None:
        fields = {"key": key, "old": old is not None, "new": new is not None, "expired": expired}
        values = [value for value in (old, new) if value is not None]
        for asker in wanting(self._patterns, key):
            asker.tell(fields, values)

    def _on_published(self, topic: str, value: Value) -> None:
        with self._lock:
            for asker in wanting(self._topics, topic):
                asker.tell({"topic": topic}, [value])
        self._pump()

    # ------------------------------------------------------------- on the loop

    def _work(self) -> None:
        with self._lock:
            noted, self._noted = self._noted, []
            self._woken = False
        for each in noted:
            self._begin(each)

    def _begin(self, each: _Asked) -> None:
        assert self._node is not None
        match each.question:
            case question.Get(key):
                self._node.task(self._run(each, lambda: self._get(key)))
            case question.Set() as to_set:
                self._in_turn(each, f"key {to_set.key}", lambda: self._set(to_set))
            case question.Incr() as to_add:
                self._in_turn(each, f"key {to_add.key}", lambda: self._incr(to_add))
            case question.Delete(key):
                self._in_turn(each, f"key {key}", lambda: self._delete(key))
            case question.Scan(prefix, content):
                self._node.task(self._run(each, lambda: self._scan(prefix, content)))
            case question.Count(prefix):
                self._node.task(self._run(each, lambda: self._count(prefix)))
            case question.Clear(prefix):
                self._node.task(self._run(each, lambda: self._clear(prefix)))
            case question.Publish(value, topic):
                self._in_turn(each, f"topic {topic}", lambda: self._publish(topic, value))
            case question.Subscribe(topic):
                self._in_turn(each, "subscribe", lambda: self._subscribe(each.asker, topic))

    def _in_turn(self, each: _Asked, key: str, do: Callable[[], Awaitable[Parts]]) -> None:
        """Carry out a change of a key, or a publication, after those before it."""
        turns = self._turns.get(key)
        if turns is None:
            turns = self._turns[key] = deque()
            assert self._node is not None
            self._node.task(self._take_turns(key, turns))
        turns.append((each, do))

    async def _take_turns(
        self, key: str, turns: deque[tuple[_Asked, Callable[[], Awaitable[Parts]]]]
    ) -> None:
        try:
            while turns:
                await self._run(*turns.popleft())
        finally:
            del self._turns[key]
            for each, _ in turns:  # The node has left the cluster.
                self._answer(each, [_LEFT])

    async def _run(self, each: _Asked, do: Callable[[], Awaitable[Parts]]) -> None:
        self._busy += 1
        parts = [_LEFT]
        try:
            parts = await do()
        except StoreError as error:
            parts = [({"error": error.args[0]}, [])]
        except Refused as error:
            parts = [({"error": f"the NATS server does not do what the store needs: {error}"}, [])]
        except Exception as error:
            parts = [({"error": f"the store of the cluster has failed: {error!r}"}, [])]
            log.logger.opt(exception=error).error(say("the store of the cluster has failed"))
        finally:
            self._busy -= 1
            self._answer(each, parts)

    def _answer(self, each: _Asked, parts: Parts) -> None:
        with self._lock:
            waiting = self._waiting.get(each.asker)
            if waiting is not None:
                waiting.subtract({"count": 1, "bytes": each.size})
                for fields, values in parts:
                    each.asker.answer(each.request, fields, values)
        self._pump()

    async def _current(self, key: str) -> Stored:
        """Return a key as it is now, as soon as the copy has that too."""
        stored = await self._bucket.get(key)
        if stored is None:
            return Stored(0, None)
        await self._near.has(key, stored.version)
        return stored

    def _known(self, key: str) -> Stored | None:
        """Return a key as the copy has it, which may be old; None if it has none."""
        entry = self._near.entries.get(key)
        if entry is None:
            return None
        return Stored(entry.version, key, entry.value, entry.expires_at)

    async def _get(self, key: str) -> Parts:
        return _answer(await self._current(key))

    async def _set(self, asked: question.Set) -> Parts:
        """Set a key. A change with a `version` does not change the key's time to live."""
        key, version = asked.key, asked.version
        given = _plain(key, asked.value)
        expires_at, ttl = None, None
        if version is None:
            if asked.ttl is not None:
                ttl = min(ceil(asked.ttl), _LONGEST_SECONDS)
                expires_at = time() + ttl
        else:
            there = self._known(key)
            if there is None or there.version != version:
                there = await self._current(key)
                if there.version != version:
                    return _answer(there, done=False)
            expires_at, ttl = there.expires_at, _remaining(there.expires_at)
        try:
            new = await self._bucket.put(
                key, given, expected=version, expires_at=expires_at, ttl=ttl
            )
        except Conflict:
            return _answer(await self._current(key), done=False)
        await self._near.has(key, new)
        return [(Found(True, None, new, None, deadline_of(expires_at)), [])]

    async def _delete(self, key: str) -> Parts:
        there = self._known(key) or await self._current(key)
        while there.value is not None:
            with suppress(Conflict):
                gone = await self._bucket.delete(key, there.version)
                await self._near.has(key, gone)
                return [(Found(True, there.value, 0, None, None), [])]
            there = await self._current(key)
        return [(Found(False, None, 0, None, None), [])]

    async def _incr(self, asked: question.Incr) -> Parts:
        by, key, _ = asked
        there = self._known(key)
        is_current = there is None
        there = there or await self._current(key)
        while True:
            with suppress(Conflict):
                if _is_over(there.expires_at):
                    # Its time is over, and the server is about to see that.
                    version = await self._bucket.delete(key, there.version, expired=True)
                    there = Stored(version, None)
                try:
                    number = values_.total(key, there.value, by)
                except StoreError:
                    if is_current:
                        raise
                    raise Conflict from None
                new = await self._bucket.put(
                    key,
                    _plain(key, number),
                    expected=there.version,
                    expires_at=there.expires_at,
                    ttl=_remaining(there.expires_at),
                )
                await self._near.has(key, new)
                return [(Found(True, number, new, None, deadline_of(there.expires_at)), [])]
            there, is_current = await self._current(key), True

    async def _scan(self, prefix: str, content: bool) -> Parts:
        def look() -> Parts:
            return list(paged(self._keys(prefix), self._near.entries, content))

        return await self._near.whole(await self._bucket.last(), look)

    async def _count(self, prefix: str) -> Parts:
        last = await self._bucket.last()
        count = await self._near.whole(last, lambda: len(self._keys(prefix)))
        return [({"count": count}, [])]

    async def _publish(self, topic: str, value: Value) -> Parts:
        await self._published.publish(topic, _plain(topic, value))
        return [({}, [])]

    async def _subscribe(self, asker: Asker, topic: str) -> Parts:
        await self._published.subscribe()
        with self._lock:
            if asker in self._waiting:
                self._topics.setdefault(asker, Patterns()).add(topic)
        return [({}, [])]

    async def _clear(self, prefix: str) -> Parts:
        keys = await self._near.whole(await self._bucket.last(), lambda: self._keys(prefix))
        gate = asyncio.Semaphore(_AT_A_TIME)

        async def delete(key: str) -> bool:
            async with gate:
                ((found, _),) = await self._delete(key)
                return isinstance(found, Found) and found.done

        deleted = await asyncio.gather(*(delete(key) for key in keys))
        return [({"count": sum(deleted)}, [])]


def _plain(key: str, value: Value) -> tuple[str, bytes]:
    """Return what of a value goes to the server. Raises `StoreError`."""
    given = kept.plain(value)
    if given is None:
        raise StoreError(f"key {key!r}: a pickle can't be stored where nodes share the store")
    return given


def _answer(stored: Stored, *, done: bool = True) -> Parts:
    found = Found(done, stored.value, stored.version, None, deadline_of(stored.expires_at))
    return [(found, [])]


def _found(entry: Entry | None) -> Found:
    if entry is None:
        return Found(True, None, 0, None, None)
    return Found(True, entry.value, entry.version, None, entry.deadline)


def _remaining(expires_at: float | None) -> int | None:
    """Return in how many seconds a key expires, as the server counts them."""
    return None if expires_at is None else max(1, ceil(expires_at - time()))


def _is_over(expires_at: float | None) -> bool:
    return expires_at is not None and expires_at <= time()
