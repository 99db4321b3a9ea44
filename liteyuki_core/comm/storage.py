"""The store as users have it: `shared_memory`, its sync and async doors.

Each operation is written once, in `store/operations.py`: its questions, and what it makes of the
answers. Its two doors differ only in how they wait for an answer. Any thread may call them, under
no lock. They own nothing: the copies belong to the `Access` of the context.

A `get` of a key that has not changed finds the key in `_copies`. That takes a tenth of a
microsecond, so nothing may be added to this path. If the key has changed, `get` looks into the
memory that the main process shares. Only then does it ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, TypeVar

from . import current
from .channel import check_timeout
from .loop.callbacks import Registration
from .store import value
from .store.access import ANSWER_SECONDS, Access, Changes, remaining
from .store.copies import ABSENT, ASK, Copy, Lookup
from .store.listener import Change, Listener
from .store.lock import StoreLock
from .store.operations import RAISE, Operations, Steps

__all__ = ["Change", "SharedMemory", "shared_memory"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[[Any], Any])

KEY_BYTES = value.KEY_BYTES
"""Longest key in bytes, with its namespace."""


class SharedMemory(Operations):
    """Keys and values that all processes of a LiteyukiBot share.

    It can be used from any thread: in the main process as soon as a LiteyukiBot exists, in its
    children also while they import. Operations on one key happen one after another, from whatever
    process they come. No operation returns before its result can be seen everywhere. A value is a
    value: it is serialised when it is set, and changing what you got changes nothing in the store.

    If a child has read a key and the key has not changed since, the child reads it from its own
    memory. On Linux and Windows on x86-64, a key that has just changed is read from shared memory,
    if its value has at most 1 kB. Otherwise a child asks the main process. It waits for the answer,
    at most `timeout` seconds, and then raises `StoreTimeout`; a change that was asked for may still
    be made. On an event loop's thread the methods that begin with `async_` wait without blocking
    the loop.

    Keys and topics are strings of 1 to 1024 bytes in UTF-8. Otherwise the methods raise `TypeError`
    or `ValueError`. All methods raise `NotConnected` outside a LiteyukiBot and its children, and
    after its end.
    """

    def __init__(self, prefix: str = "", *, persist: bool | None = None) -> None:
        super().__init__(prefix, persist)
        self._access: Access | None = None
        self._copies: Lookup = {}

    @classmethod
    def _of(cls, access: Access, prefix: str = "", persist: bool | None = None) -> SharedMemory:
        """Return the store of one context, even if another context is current."""
        store = cls(prefix, persist=persist)
        store._access = access
        store._copies = store._mine(access)
        return store

    def namespace(self, name: str, *, persist: bool | None = None) -> SharedMemory:
        """Return the part of the store whose keys, locks and topics begin with `name` and a colon.

        With `persist`, every key that is set in it outlives the main process, see `set`. Raises
        `StoreError` for that if LITEYUKI_STORE_PATH is not set.
        """
        prefix = f"{self._key(name)}:"
        persist = self._persist if persist is None else persist
        if persist:
            self._check_keeps(prefix)
        if self._access is not None:
            return SharedMemory._of(self._access, prefix, persist)
        return SharedMemory(prefix, persist=persist)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._prefix or 'all'!r}>"

    # ------------------------------------------------------------- reading

    def get(
        self,
        key: str,
        default: Any = None,
        timeout: float | None = ANSWER_SECONDS,
        stale_ok: bool = False,
    ) -> Any:
        """Return the value of `key`, or `default`.

        Asks nobody if the key was read before and has not changed, or is in shared memory. Raises
        `StoreError` if the value can't be rebuilt in this process.

        In a cluster it asks the server. With `stale_ok` the copy of this node answers instead: what
        other nodes have changed just now may be missing in it, and while the server is away it
        answers all the same. Without a cluster `stale_ok` changes nothing.
        """
        try:
            cells, at, cell, found, load = self._copies[key]
            if cells[at] == cell:
                if load is None:
                    return found
                return default if load is ABSENT else load(found)
        except Exception:
            pass  # The store must be asked, or the value can't be rebuilt: below, that raises.
        if self._prefix:
            key = self._key(key)
        found = self._read(key, default)
        if found is ASK:
            return self._wait(self._get(key, default, stale_ok), timeout)
        return found

    async def async_get(
        self,
        key: str,
        default: Any = None,
        *,
        timeout: float | None = ANSWER_SECONDS,
        stale_ok: bool = False,
    ) -> Any:
        """Do what `get` does."""
        key = self._key(key)
        found = self._read(key, default)
        if found is ASK:
            return await self._async_wait(self._get(key, default, stale_ok), timeout)
        await asyncio.sleep(0)  # A loop that asks again and again goes on, as if it had to ask.
        return found

    def get_all(self, *, timeout: float | None = ANSWER_SECONDS) -> dict[str, Any]:
        """Return all keys with their values, as they were at one moment.

        A value that can't be rebuilt in this process is left out, and a line in the log names it.
        """
        return dict(self._wait(self._items(""), timeout))

    async def async_get_all(self, *, timeout: float | None = ANSWER_SECONDS) -> dict[str, Any]:
        """Do what `get_all` does."""
        return dict(await self._async_wait(self._items(""), timeout))

    def keys(self, prefix: str = "", *, timeout: float | None = ANSWER_SECONDS) -> list[str]:
        """Return the keys that begin with `prefix`, sorted."""
        return self._wait(self._keys(prefix), timeout)

    async def async_keys(
        self, prefix: str = "", *, timeout: float | None = ANSWER_SECONDS
    ) -> list[str]:
        """Do what `keys` does."""
        return await self._async_wait(self._keys(prefix), timeout)

    def items(
        self, prefix: str = "", *, timeout: float | None = ANSWER_SECONDS
    ) -> list[tuple[str, Any]]:
        """Return the keys that begin with `prefix`, sorted, with their values at one moment.

        A value that can't be rebuilt in this process is left out, and a line in the log names it.
        """
        return self._wait(self._items(prefix), timeout)

    async def async_items(
        self, prefix: str = "", *, timeout: float | None = ANSWER_SECONDS
    ) -> list[tuple[str, Any]]:
        """Do what `items` does."""
        return await self._async_wait(self._items(prefix), timeout)

    def __getitem__(self, key: str) -> Any:
        found = self.get(key, RAISE)
        if found is RAISE:
            raise KeyError(key)
        return found

    def __setitem__(self, key: str, data: Any) -> None:
        self.set(key, data)

    def __delitem__(self, key: str) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key, RAISE) is not RAISE

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return self._wait(self._count(), ANSWER_SECONDS)

    def __bool__(self) -> bool:
        return True

    # ------------------------------------------------------------- changing

    def set(
        self,
        key: str,
        data: Any,
        *,
        ttl: float | None = None,
        persist: bool | None = None,
        timeout: float | None = ANSWER_SECONDS,
    ) -> None:
        """Set `key` to `data`, a value that pickle can carry.

        After `ttl` seconds the key is gone. Without `ttl` it stays until it is deleted, even if it
        had a `ttl` before. With `persist` the key outlives the main process: this change and every
        later change of the key return when they are in the file LITEYUKI_STORE_PATH.
        `persist=False` ends that.

        In a cluster every key outlives all main processes, and `ttl` is rounded up to whole
        seconds. The data must be plain there: text, bytes, numbers, bools, None, and lists and
        dicts of them.

        Raises `StoreError` for data that can't be serialised or is too long, and for `persist` if
        there is no such file. If the file can't be written, it raises `StoreError` too: then the
        key is changed, and is written as soon as that is possible. Raises `ValueError` for a `ttl`
        that is not above 0.
        """
        self._wait(self._set(key, data, ttl, persist), timeout)

    async def async_set(
        self,
        key: str,
        data: Any,
        *,
        ttl: float | None = None,
        persist: bool | None = None,
        timeout: float | None = ANSWER_SECONDS,
    ) -> None:
        """Do what `set` does."""
        await self._async_wait(self._set(key, data, ttl, persist), timeout)

    def delete(self, key: str, *, timeout: float | None = ANSWER_SECONDS) -> bool:
        """Delete `key`; return whether it existed."""
        return self._wait(self._delete(key), timeout)

    async def async_delete(self, key: str, *, timeout: float | None = ANSWER_SECONDS) -> bool:
        """Do what `delete` does."""
        return await self._async_wait(self._delete(key), timeout)

    def pop(self, key: str, default: Any = RAISE, *, timeout: float | None = ANSWER_SECONDS) -> Any:
        """Delete `key` and return its value, or `default` if there is no such key.

        Raises `KeyError` if there is no such key and no default.
        """
        return self._wait(self._pop(key, default), timeout)

    async def async_pop(
        self, key: str, default: Any = RAISE, *, timeout: float | None = ANSWER_SECONDS
    ) -> Any:
        """Do what `pop` does."""
        return await self._async_wait(self._pop(key, default), timeout)

    def clear(self, prefix: str = "", *, timeout: float | None = ANSWER_SECONDS) -> int:
        """Delete the keys that begin with `prefix`, at one moment; return how many there were."""
        return self._wait(self._clear(prefix), timeout)

    async def async_clear(self, prefix: str = "", *, timeout: float | None = ANSWER_SECONDS) -> int:
        """Do what `clear` does."""
        return await self._async_wait(self._clear(prefix), timeout)

    def incr(self, key: str, by: float = 1, *, timeout: float | None = ANSWER_SECONDS) -> Any:
        """Add `by` to the number at `key`, or to 0 if there is no such key; return the sum.

        The key's time to live stays. Raises `StoreError` if the value is no int or float, and for
        ints of over 16,000 bits: use `update` for these.
        """
        return self._wait(self._incr(key, by), timeout)

    async def async_incr(
        self, key: str, by: float = 1, *, timeout: float | None = ANSWER_SECONDS
    ) -> Any:
        """Do what `incr` does."""
        return await self._async_wait(self._incr(key, by), timeout)

    def compare_and_set(
        self, key: str, expected: Any, new: Any, *, timeout: float | None = ANSWER_SECONDS
    ) -> bool:
        """Set `key` to `new` if its value equals `expected`; return whether it did.

        A key that does not exist counts as None. The key's time to live stays.
        """
        return self._wait(self._compare_and_set(key, expected, new), timeout)

    async def async_compare_and_set(
        self, key: str, expected: Any, new: Any, *, timeout: float | None = ANSWER_SECONDS
    ) -> bool:
        """Do what `compare_and_set` does."""
        return await self._async_wait(self._compare_and_set(key, expected, new), timeout)

    def update(
        self,
        key: str,
        fn: Callable[[Any], Any],
        default: Any = None,
        *,
        timeout: float | None = ANSWER_SECONDS,
    ) -> Any:
        """Set `key` to the result of `fn` for its value, or for `default`; return the new value.

        `fn` is called here. If somebody else changes the key first, `fn` is called again with the
        newer value. If `fn` raises, this call raises the same and changes nothing. The key's time
        to live stays.
        """
        return self._wait(self._update(key, fn, default), timeout)

    async def async_update(
        self,
        key: str,
        fn: Callable[[Any], Any],
        default: Any = None,
        *,
        timeout: float | None = ANSWER_SECONDS,
    ) -> Any:
        """Do what `update` does."""
        return await self._async_wait(self._update(key, fn, default), timeout)

    def setdefault(self, key: str, default: Any, *, timeout: float | None = ANSWER_SECONDS) -> Any:
        """Return the value of `key`. If there is no such key, set it to `default` first."""
        return self._wait(self._setdefault(key, default), timeout)

    async def async_setdefault(
        self, key: str, default: Any, *, timeout: float | None = ANSWER_SECONDS
    ) -> Any:
        """Do what `setdefault` does."""
        return await self._async_wait(self._setdefault(key, default), timeout)

    # ------------------------------------------------------------- locks, watches, topics

    def lock(self, key: str, timeout: float | None = None) -> StoreLock:
        """Return a lock for `with` and `async with`. In all processes it has one holder at a time.

        Those that wait get it in the order in which they asked. After `timeout` seconds (None: for
        ever) waiting raises `StoreTimeout`. One holder can't take it twice. When the holder's
        process dies, the lock is free. On an event loop's thread `with` does not wait: it raises
        `WouldBlockLoop`, which names the way. The lock guards what its users agree on. The key of
        the same name is not locked.
        """
        return StoreLock(self._found, self._key(key), check_timeout(timeout))

    def watch(self, pattern: str) -> Watch:
        """Return a `Watch`: use it to decorate a callback, or iterate over it with `async for`.

        `pattern` is a key or, with a trailing `*`, the beginning of keys. Every change made after
        the decorator returned, or after the iteration began, is seen in order, as a `Change` with
        `key`, `old`, `new`, `deleted` and `expired`. An async callback runs on the process's loop,
        a sync one in a worker thread, one call at a time. An exception of a callback is logged.
        Nobody waits for a slow callback.

        As with `get`, a value is rebuilt in the process that watches. So a watch in the main
        process loads pickles that a child has set, and these can run code there.
        """
        return Watch(self, self._key(pattern))

    def publish(self, topic: str, data: Any, *, timeout: float | None = ANSWER_SECONDS) -> None:
        """Give `data` to all present subscribers of `topic`, in every process."""
        self._wait(self._publish(topic, data), timeout)

    async def async_publish(
        self, topic: str, data: Any, *, timeout: float | None = ANSWER_SECONDS
    ) -> None:
        """Do what `publish` does."""
        await self._async_wait(self._publish(topic, data), timeout)

    def on_subscriber_receive(self, topic: str) -> Callable[[F], F]:
        """Decorate a callback for data that is published on `topic`.

        With a trailing `*`, `topic` is the beginning of topics. The callback is called with the
        data, in the same way as a callback of `watch`. The data is rebuilt in this process.
        """
        full = self._key(topic)

        def decorator(callback: F) -> F:
            self._register("subscribe", full, callback)
            return callback

        return decorator

    def _register(self, op: str, pattern: str, callback: Callable[[Any], Any]) -> None:
        if not callable(callback):
            raise TypeError(f"a callback must be callable, not {type(callback).__name__}")
        access = self._found()
        listener = Listener(access.site, op, pattern, len(self._prefix))
        registration = Registration(callback, None, True)
        listener.run(lambda runner: runner.add(registration))
        access.listen(listener).wait(ANSWER_SECONDS)

    # ------------------------------------------------------------- waiting for answers

    def _wait(self, steps: Steps[T], timeout: float | None) -> T:
        timeout = check_timeout(timeout)
        deadline = None if timeout is None else monotonic() + timeout
        try:
            answer = next(steps)
            while True:
                answer = steps.send(answer.wait(remaining(deadline)))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _async_wait(self, steps: Steps[T], timeout: float | None) -> T:
        timeout = check_timeout(timeout)
        deadline = None if timeout is None else monotonic() + timeout
        try:
            answer = next(steps)
            while True:
                answer = steps.send(await answer.async_wait(remaining(deadline)))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _found(self) -> Access:
        """Return the way of this process to the store. Raises `NotConnected`."""
        access = self._access
        if access is not None:
            return access
        access = current.current().access
        self._copies = self._mine(access)
        return access

    def _mine(self, access: Access) -> Lookup:
        found = access.copies.found
        return _Prefixed(self._prefix, found) if self._prefix else found


class _Prefixed:
    """The copies for a namespace: they are found by keys without its prefix."""

    __slots__ = ("_found", "_prefix")

    def __init__(self, prefix: str, found: Lookup) -> None:
        self._prefix = prefix
        self._found = found

    def __getitem__(self, key: str, /) -> Copy:
        if not key:
            raise KeyError(key)  # An empty key is no key, even if the prefix alone is one.
        return self._found[self._prefix + key]


class Watch:
    """The changes to come, for a callback or an `async for`."""

    def __init__(self, store: SharedMemory, pattern: str) -> None:
        self._store = store
        self._pattern = pattern

    def __call__(self, callback: F) -> F:
        self._store._register("watch", self._pattern, callback)
        return callback

    def __aiter__(self) -> Changes:
        return Changes(self._store._found(), self._pattern, len(self._store._prefix))


shared_memory = SharedMemory()
"""The store of this process's LiteyukiBot."""
