"""This node's copy of the store: the server keeps it current, and tells it each change in order.

All is called on the cluster's loop, except for what says otherwise. It changes under the hub's
lock, so other threads read it under that lock.

Invariants.
- The copy of a key is never older than it was: what comes late is left out by its version.
- When the server says that nothing more is to come after a change, the copy is what the bucket was
  at that moment. Before that, it may lack a change that a newer one of the same key has replaced.
- After `has`, the copy of a key is that version or a newer one. When all keys are told anew, see
  `following.py`, those that are not, are gone.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic, time
from typing import Any, TypeVar

from nats.aio.msg import Msg

from ..comm.store.truth import Entry
from ..comm.store.value import Value
from . import kept
from .following import Following
from .place import Place

T = TypeVar("T")

_LATE_SECONDS = 3.0
"""What has not come for so long is asked for anew."""
_MOST_GONE = 10_000
"""So many versions of deleted keys are remembered."""


class Copy(Entry):
    """A key as the copy has it."""

    __slots__ = ("expires_at",)

    def __init__(self, value: Value, version: int, expires_at: float | None) -> None:
        super().__init__(value, version, deadline_of(expires_at), True)
        self.expires_at = expires_at
        """In seconds since 1970; None: never."""


class Near:
    """The copy. `on_change` is called under the lock with a key, its value before and after, and
    whether it has expired.
    """

    def __init__(
        self,
        node: Place,
        on_change: Callable[[str, Value | None, Value | None, bool], None],
    ) -> None:
        self._node = node
        self._on_change = on_change
        self.entries: dict[str, Copy] = {}
        self._keys: dict[str, str] = {}
        """By the subject of an entry: its key."""
        self._held: dict[str, int] = {}
        """By the subject of a lock that some node has: its version."""
        self._gone: OrderedDict[str, int] = OrderedDict()
        """By the subject of an entry that was deleted: its last version."""
        self._whole_at = -1
        """The last change after which nothing more was to come."""
        self._seen: set[str] | None = None
        """While all keys are told anew: the subjects of those that were told."""
        self._until = 0
        """The number of the last change when that began."""
        self._waits: dict[str, list[tuple[int, asyncio.Future[None]]]] = {}
        """By the subject of an entry or a lock: who waits for which version."""
        self._whole_waits: list[tuple[int, Callable[[], Any], asyncio.Future[Any]]] = []
        subjects = node.subjects
        self._following = Following(
            *(node, subjects.store, subjects.stored, "store"),
            *(self._begins, self._take, self._is_whole),
        )

    async def open(self) -> None:
        """Have all keys. Raises what `follow` raises, and `asyncio.TimeoutError`."""
        await self._following.open()

    async def follow(self) -> None:
        """Have all keys told anew. Raises `ClusterError` and what `ask` raises."""
        await self._following.follow()

    def look(self) -> None:
        """See whether the server is still heard of."""
        self._following.look()

    async def has(self, key: str, version: int) -> None:
        """Wait until the copy of a key is this version or a newer one."""
        await self._reaches(self._node.subjects.of_key(key), version)

    async def has_lock(self, key: str, version: int) -> None:
        """Wait until this version of a lock was told, or a newer one."""
        await self._reaches(self._node.subjects.of_lock(key), version)

    def lock(self, key: str) -> tuple[int, bool]:
        """Return the version of a lock, and whether it is free, as far as was told."""
        subject = self._node.subjects.of_lock(key)
        return self._version(subject), subject not in self._held

    async def lock_changes(self, key: str, version: int) -> None:
        """Wait until there is a newer version of a lock."""
        await self._reaches(self._node.subjects.of_lock(key), version + 1, quietly=True)

    async def _reaches(self, subject: str, version: int, *, quietly: bool = False) -> None:
        """Wait for a version of an entry. It is late after some time, except if `quietly`."""
        while self._version(subject) < version:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            wait = (version, future)
            self._waits.setdefault(subject, []).append(wait)
            try:
                await asyncio.wait_for(future, None if quietly else _LATE_SECONDS)
                return
            except asyncio.TimeoutError:
                self._following.follow_again()
            finally:
                waits = self._waits.get(subject)
                if waits is not None and wait in waits:
                    waits.remove(wait)
                    if not waits:
                        del self._waits[subject]

    async def whole(self, since: int, look: Callable[[], T]) -> T:
        """Return what `look` finds at a moment when the copy is what the bucket is, or was.

        That is after the change of this number. `look` is called under the lock.
        """
        while True:
            if self._whole_at == self._following.position >= since:
                with self._node.hub.lock:
                    return look()
            future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            wait = (since, look, future)
            self._whole_waits.append(wait)
            try:
                return await asyncio.wait_for(future, _LATE_SECONDS)
            except asyncio.TimeoutError:
                self._following.follow_again()
            finally:
                if wait in self._whole_waits:
                    self._whole_waits.remove(wait)

    def live(self, key: str) -> Entry | None:
        """Return the entry of a key; None if there is none or it has expired. Under the lock."""
        entry = self.entries.get(key)
        if entry is None or entry.deadline is None or entry.deadline > monotonic():
            return entry
        return None

    # ------------------------------------------------------------- inside

    def _begins(self, last: int, is_other: bool) -> None:
        """Learn that all keys are told anew, up to this change; or those of another bucket."""
        if is_other:
            self._forget_versions()
        self._seen, self._until = set(), last

    def _forget_versions(self) -> None:
        """Learn that this is another bucket: its versions have nothing to do with those before."""
        self._gone.clear()
        for subject in self._held:
            self._held[subject] = 0
        self._whole_at = -1
        with self._node.hub.lock:
            for entry in self.entries.values():
                entry.version = 0

    def _version(self, subject: str) -> int:
        key = self._keys.get(subject)
        if key is not None:
            return self.entries[key].version
        return self._held.get(subject) or self._gone.get(subject, 0)

    def _take(self, msg: Msg) -> None:
        headers = dict(msg.headers or {})
        version, subject = msg.metadata.sequence.stream, msg.subject
        if self._node.subjects.is_of_key(subject):
            if self._seen is not None:
                self._seen.add(subject)
            if version > self._version(subject):
                self._learn(
                    subject, kept.read(self._node.subjects, subject, version, msg.data, headers)
                )
        elif self._node.subjects.is_of_lock(subject):
            if self._seen is not None:
                self._seen.add(subject)
            if version > self._version(subject):
                self._learn_lock(subject, version, is_free=kept.is_gone(msg.data, headers))

    def _learn(self, subject: str, stored: kept.Stored) -> None:
        key = self._keys.get(subject)
        with self._node.hub.lock:
            old = None if key is None else self.entries.pop(key, None)
            if stored.key is not None and stored.value is not None:
                copy = Copy(stored.value, stored.version, stored.expires_at)
                self.entries[stored.key] = copy
                self._keys[subject] = stored.key
                self._gone.pop(subject, None)
            else:
                self._keys.pop(subject, None)
                self._is_gone(subject, stored.version)
            name = stored.key or key
            new = stored.value if stored.key is not None else None
            if name is not None and (old is not None or new is not None):
                self._on_change(name, None if old is None else old.value, new, stored.expired)
        self._node.hub.pump()
        self._has_come(subject, stored.version)

    def _learn_lock(self, subject: str, version: int, *, is_free: bool) -> None:
        if is_free:
            self._held.pop(subject, None)
            self._is_gone(subject, version)
        else:
            self._held[subject] = version
        self._has_come(subject, version)

    def _is_gone(self, subject: str, version: int) -> None:
        self._gone[subject] = version
        self._gone.move_to_end(subject)
        if len(self._gone) > _MOST_GONE:
            self._gone.popitem(last=False)

    def _has_come(self, subject: str, version: int) -> None:
        for least, future in self._waits.get(subject, []):
            if version >= least and not future.done():
                future.set_result(None)

    def _is_told(self) -> None:
        """Learn that all keys were told that there were: others are gone."""
        seen, self._seen = self._seen, None
        if seen is None:
            return
        for subject in [each for each in self._keys if each not in seen]:
            entry = self.entries[self._keys[subject]]
            expired = entry.deadline is not None and entry.deadline <= monotonic()
            self._learn(subject, kept.Stored(self._until, None, expired=expired))
        for subject in [each for each in self._held if each not in seen]:
            self._learn_lock(subject, self._until, is_free=True)
        for waits in self._waits.values():
            for version, future in waits:
                if version <= self._until and not future.done():
                    future.set_result(None)

    def _is_whole(self) -> None:
        """Learn that nothing more is to come for now."""
        self._is_told()
        self._whole_at = self._following.position
        for since, look, future in self._whole_waits:
            if since <= self._whole_at and not future.done():
                with self._node.hub.lock:
                    future.set_result(look())


def deadline_of(expires_at: float | None) -> float | None:
    """Return a time in seconds since 1970 by `time.monotonic`."""
    return None if expires_at is None else monotonic() + expires_at - time()
