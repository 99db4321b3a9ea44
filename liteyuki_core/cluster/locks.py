"""Locks that the nodes of a cluster share: on the server, a lock has one node at a time.

That is an entry of the bucket, which only one node can make. It lasts for some seconds, and the
node renews it while one of its processes has the lock. So a node that vanishes frees it. Among the
processes of a node the lock goes from one to the next in their order, see `comm/store/queues.py`.
Between two of them the node gives it back, so that others come to their turn: whichever is first
when it is free has it.

Ownership. `Locks` has a task for each lock that a process of this node has or waits for. All is
called on the cluster's loop. The queues are those of the store, under the hub's lock.

Invariant. A process is told that it has a lock only while this node has the entry, and is then the
first in the queue. A node that has had no connection for longer than an entry lasts has lost its
locks: the log says so, as the process can't be stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .. import log
from ..comm.store.queues import Entry, Queues
from ..errors import StoreError
from ..language import say
from .bucket import Bucket, Conflict
from .connection import Refused
from .near import Near
from .place import Place

_RENEW_SECONDS = 3.0


class Locks:
    """The locks. `give` is called with an entry of a queue and whether it has its lock now, or with
    why it will not. Those that are `impatient` do not wait if another node has the lock.
    """

    def __init__(
        self,
        node: Place,
        bucket: Bucket,
        near: Near,
        queues: Queues,
        impatient: set[Entry],
        give: Callable[[Entry, bool | str], None],
    ) -> None:
        self._node = node
        self._bucket = bucket
        self._near = near
        self._queues = queues
        self._give = give
        self._impatient = impatient
        self._changed: dict[str, asyncio.Event] = {}
        """By lock that somebody here has or waits for: set when its queue has changed."""
        self._leaving = False

    @property
    def is_busy(self) -> bool:
        """Whether some lock is still to be given back."""
        return bool(self._changed)

    def look(self, key: str) -> None:
        """Learn that the queue of a lock has changed."""
        changed = self._changed.get(key)
        if changed is not None:
            changed.set()
        elif not self._leaving:
            self._changed[key] = asyncio.Event()
            self._node.task(self._serve(key))

    def leave(self) -> None:
        """Give back all locks: this node leaves the cluster."""
        self._leaving = True
        for changed in self._changed.values():
            changed.set()

    # ------------------------------------------------------------- inside

    async def _serve(self, key: str) -> None:
        """Have a lock for one after another of its queue, until there is none."""
        try:
            while not self._leaving and self._first(key) is not None:
                version = await self._take(key)
                if version is not None:
                    await self._hold(key, version)
        finally:
            del self._changed[key]

    def _first(self, key: str) -> Entry | None:
        with self._node.hub.lock:
            return self._queues.first(key)

    async def _take(self, key: str) -> int | None:
        """Take a lock from the server; return its version. None: nobody here wants it any more."""
        version, is_free = self._near.lock(key)
        while not self._leaving:
            first = self._first(key)
            if first is None:
                return None
            try:
                if is_free:
                    return await self._bucket.take(key, version)
                if first in self._impatient:
                    version, is_free = await self._bucket.lock(key)
                    if not is_free:
                        self._refuse(key, first, False)
                        continue
                    return await self._bucket.take(key, version)
                await self._wait(key, version)
                version, is_free = self._near.lock(key)
            except Conflict:
                version, is_free = await self._bucket.lock(key)
            except (StoreError, Refused) as error:
                self._refuse(key, first, f"lock {key}: {error}")
        return None

    async def _wait(self, key: str, version: int) -> None:
        """Wait until a lock or its queue has changed; now and then look whether it has."""
        changed = self._changed[key]
        free = asyncio.ensure_future(self._near.lock_changes(key, version))
        queue = asyncio.ensure_future(changed.wait())
        try:
            await asyncio.wait((free, queue), return_when=asyncio.FIRST_COMPLETED)
        finally:
            free.cancel()
            queue.cancel()
            changed.clear()

    def _refuse(self, key: str, entry: Entry, why: bool | str) -> None:
        with self._node.hub.lock:
            self._queues.leave(key, entry)
            self._impatient.discard(entry)
            self._give(entry, why)
        self._node.hub.pump()

    async def _hold(self, key: str, version: int) -> None:
        """Give a lock to the first of its queue, renew it until that one leaves, give it back."""
        with self._node.hub.lock:
            first = self._queues.first(key)
            if first is not None:
                self._impatient.discard(first)
                self._give(first, True)
        self._node.hub.pump()
        changed = self._changed[key]
        is_ours = True
        while first is not None and first == self._first(key) and not self._leaving:
            try:
                await asyncio.wait_for(changed.wait(), _RENEW_SECONDS)
                changed.clear()
                continue
            except asyncio.TimeoutError:
                pass
            if is_ours:
                try:
                    version = await self._bucket.take(key, version)
                except (Conflict, StoreError):
                    is_ours = False
                    log.logger.error(
                        say(
                            "lock {key}: this node has lost it, though a process still uses it",
                            key=key,
                        )
                    )
        if is_ours:
            try:
                gone = await self._bucket.free(key, version)
                # Others have seen by then that it is free, too.
                await self._near.has_lock(key, gone)
            except (Conflict, StoreError):
                pass  # It has expired.
