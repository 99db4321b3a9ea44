"""The bucket of the store on the server: reading and changing its entries, for as long as it takes.

A change that is asked for is made once, though its acknowledgement may be lost. It has a name of
its own, its Nats-Msg-Id, by which the server knows it again. A change that names the version before
it is refused, when it is sent again, as if it had never been made. So the server is asked: another
message with the same name, on a subject that nobody else uses, is taken only if the change was not
made, and then it never will be.

All is called on the cluster's loop. What is asked while the server is away waits for it.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import nats.errors

from .. import log
from ..errors import ClusterError, StoreError
from . import kept
from .connection import Refused
from .following import NO_STREAM
from .kept import Stored
from .place import Place
from .streams import DUPLICATE_SECONDS

T = TypeVar("T")

_AGAIN_SECONDS = 0.1
_NO_MESSAGE = 10037
_WRONG_SEQUENCE = frozenset((10071, 10164))
_NOT_READY = frozenset((10005, 10008, 10074))
_FULL = frozenset((10047, 10077, 10023, 10002))
_SHORT = 16 * 1024
"""A longer value is on the server only once: eight times would be too much."""
_ROOM = 8 * 1024
"""What an entry takes beside its value: key, headers, the answer around it."""
_LOCK_SECONDS = 10
"""So long a lock lasts that its node does not renew."""
_DELETED_SECONDS = 60
"""So long the server keeps what says that a key was deleted."""
_DELETED = {"KV-Operation": "DEL", "Nats-Rollup": "sub", "Nats-TTL": f"{_DELETED_SECONDS}s"}


class Conflict(Exception):
    """Somebody else has changed the key, so nothing was done."""


class Full(StoreError):
    """The server has no room for a change, so nothing was done."""


class Bucket:
    """What this node reads and changes. `on_missing` is awaited when the bucket is not there."""

    def __init__(self, node: Place, on_missing: Callable[[], Awaitable[None]]) -> None:
        self._node = node
        self._on_missing = on_missing
        self._stream = node.subjects.store

    async def get(self, key: str) -> Stored | None:
        """Return the entry of a key as the server has it now; None if it has none."""
        subject = self._node.subjects.of_key(key)
        found = await self._message({"last_by_subj": subject})
        if found is None:
            return None
        body = b64decode(found.get("data", ""))
        headers = _headers(b64decode(found.get("hdrs", "")))
        return kept.read(self._node.subjects, subject, int(found["seq"]), body, headers)

    async def last(self) -> int:
        """Return the number of the last change on the server."""
        info = await self._answer(lambda: self._ask(f"STREAM.INFO.{self._stream}", {}))
        return int(info["state"]["last_seq"])

    async def put(
        self,
        key: str,
        given: tuple[str, bytes],
        *,
        expected: int | None = None,
        expires_at: float | None = None,
        ttl: int | None = None,
    ) -> int:
        """Set a key; return its version. Raises `Conflict` if it has not the `expected` version.

        `ttl` is in seconds. Raises `StoreError` if the server does not take it.
        """
        body = kept.write(key, given, expires_at)
        most = self._most
        if len(given[1]) > most:
            raise StoreError(
                f"key {key!r}: a value of {len(given[1])} bytes is over the limit of {most}, which "
                "the NATS server's max_payload leaves in a cluster; split it, or raise max_payload"
            )
        headers = {} if ttl is None else {"Nats-TTL": f"{ttl}s"}
        if ttl is not None or len(body) > _SHORT:
            headers["Nats-Rollup"] = "sub"
        return await self._change_key(key, body, headers, expected)

    async def delete(self, key: str, expected: int, *, expired: bool = False) -> int:
        """Delete a key; return the version of what says so. Raises `Conflict`."""
        gone = kept.write_gone(key, expired)
        try:
            return await self._change_key(key, gone, _DELETED, expected)
        except Full:  # What says that it is deleted needs room, too.
            await self._purge(key, expected)
        while True:
            with suppress(Full):
                return await self._change_key(key, gone, _DELETED, 0)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def lock(self, key: str) -> tuple[int, bool]:
        """Return the version of a lock, and whether it is free."""
        found = await self._message({"last_by_subj": self._node.subjects.of_lock(key)})
        if found is None:
            return 0, True
        headers = _headers(b64decode(found.get("hdrs", "")))
        return int(found["seq"]), kept.is_gone(b64decode(found.get("data", "")), headers)

    async def take(self, key: str, expected: int) -> int:
        """Take a lock for some seconds, or have it for some more; return its version.

        Raises `Conflict` if it has not the `expected` version.
        """
        headers = {"Nats-Rollup": "sub", "Nats-TTL": f"{_LOCK_SECONDS}s"}
        subject, body = self._node.subjects.of_lock(key), self._node.name.encode()
        return await self._change(f"lock {key}", subject, body, headers, expected)

    async def free(self, key: str, expected: int) -> int:
        """Give a lock back; return the version of what says so. Raises `Conflict`."""
        subject = self._node.subjects.of_lock(key)
        return await self._change(f"lock {key}", subject, b"", _DELETED, expected)

    # ------------------------------------------------------------- inside

    @property
    def _most(self) -> int:
        # The server answers a question for an entry in base64.
        return min(self._node.hub_limit, (self._node.connection.max_payload - _ROOM) * 3 // 4)

    async def _change_key(
        self, key: str, body: bytes, headers: Mapping[str, str], expected: int | None
    ) -> int:
        subject = self._node.subjects.of_key(key)
        return await self._change(f"key {key!r}", subject, body, headers, expected)

    async def _change(
        self,
        what: str,
        subject: str,
        body: bytes,
        headers: Mapping[str, str],
        expected: int | None,
    ) -> int:
        name = f"{self._node.name}-{self._node.epoch}-{self._node.next_serial()}"
        headers = {**headers, "Nats-Msg-Id": name}
        if expected is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected)
        in_doubt = False
        while True:
            await self._node.connection.there()
            try:
                return await self._node.connection.publish(subject, body, headers)
            except Refused as error:
                if error.code in _WRONG_SEQUENCE:
                    done = await self._settle(name) if in_doubt else None
                    if done is None:
                        raise Conflict from None
                    return done
                if error.code in _FULL:
                    raise Full(
                        f"{what}: the NATS server has no room for it: {error}; delete keys, or "
                        "give its JetStream more"
                    ) from error
                if error.code not in _NOT_READY:
                    raise StoreError(
                        f"{what}: the NATS server does not keep it: {error}"
                    ) from error
            except nats.errors.NoRespondersError:
                await self._missing()
            except (nats.errors.Error, asyncio.TimeoutError, OSError) as error:
                in_doubt = True
                log.logger.debug(f"NATS: a change of {what} is asked for again: {error!r}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _purge(self, key: str, version: int) -> None:
        """Remove what the server has of a key up to a version. Nobody is told of it."""
        which = {"filter": self._node.subjects.of_key(key), "seq": version + 1}
        await self._answer(lambda: self._ask(f"STREAM.PURGE.{self._stream}", which))

    async def _settle(self, name: str) -> int | None:
        """Return the version that a change of ours has made; None: it was not and won't be."""
        subject = self._node.subjects.of_doubt(name)
        headers = {"Nats-Msg-Id": name, "Nats-TTL": f"{DUPLICATE_SECONDS + 60}s"}

        async def ask() -> tuple[int, bool]:
            return await self._node.connection.put(subject, b"", headers)

        number, is_known = await self._answer(ask)
        if not is_known:
            return None
        found = await self._message({"seq": number})
        if found is not None and found.get("subject") == subject:
            return None  # It was the question itself, whose first answer was lost.
        return number

    async def _message(self, which: dict[str, Any]) -> dict[str, Any] | None:
        try:
            found = await self._answer(lambda: self._ask(f"STREAM.MSG.GET.{self._stream}", which))
        except Refused as error:
            if error.code == _NO_MESSAGE:
                return None
            raise StoreError(f"the NATS server does not read the store: {error}") from error
        message: dict[str, Any] = found["message"]
        return message

    async def _ask(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._node.connection.ask(subject, body)

    async def _answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer. Raises `Refused`."""
        while True:
            await self._node.connection.there()
            try:
                return await ask()
            except Refused as error:
                if error.code == NO_STREAM:
                    await self._missing()
                elif error.code not in _NOT_READY:
                    raise
            except nats.errors.NoRespondersError:
                await self._missing()
            except (nats.errors.Error, asyncio.TimeoutError, OSError) as error:
                log.logger.debug(f"NATS: the store is asked again: {error!r}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _missing(self) -> None:
        """Have the bucket made anew: somebody has deleted it, or the server is not ready."""
        try:
            await self._on_missing()
        except (Refused, ClusterError, nats.errors.Error, asyncio.TimeoutError, OSError) as error:
            log.logger.debug(f"NATS: there is no bucket for the store yet: {error!r}")


def _headers(raw: bytes) -> dict[str, str]:
    found = {}
    for line in raw.decode("utf-8", "replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found
