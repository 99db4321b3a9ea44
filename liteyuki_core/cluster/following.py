"""What is in a bucket, for this node's copy: the server tells all entries, and then each change.

Ownership. A `Following` owns its consumer on the server, which lives in the memory of one server.
When that is lost, or something on its way, all entries are told anew. All is called on the
cluster's loop.

Invariant. From one `on_begin` to the next, entries come in the order of their numbers, and none is
left out but those that a newer one of the same subject has replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from ..errors import ClusterError
from .connection import Refused
from .place import Place

NO_STREAM = 10059
_HEARTBEAT_SECONDS = 2
_SILENT_SECONDS = 5.0
"""A server of which nothing was heard for so long has forgotten the consumer."""
_AGAIN_SECONDS = 0.2
_FILL_SECONDS = 20.0


class Following:
    """Has the entries of a stream told. `part` names it among those of this node.

    `on_begin` is called when all entries are about to be told, with the number of the last change,
    and whether the stream is another one than before. `on_entry` is called with each entry, and
    `on_whole` when nothing more is to come for now.
    """

    def __init__(
        self,
        node: Place,
        stream: str,
        entries: str,
        part: str,
        on_begin: Callable[[int, bool], object],
        on_entry: Callable[[Msg], object],
        on_whole: Callable[[], object] = lambda: None,
    ) -> None:
        self._node = node
        self._stream = stream
        self._entries = entries
        self._part = part
        self._on_begin = on_begin
        self._on_entry = on_entry
        self._on_whole = on_whole
        self.position = 0
        """The number of the last change that was told."""
        self._created: str | None = None
        """When the stream was made."""
        self._until = 0
        """The number of the last change when the entries were told anew."""
        self._whole = asyncio.Event()
        self._unsubscribe: Callable[[], Awaitable[None]] | None = None
        self._heard = monotonic()
        """When the server was heard of last."""
        self._again = False
        self._consumer = ""
        self._tries = 0
        self._following = asyncio.Lock()
        self._next = 1
        """The number of the next message of the consumer."""

    async def open(self) -> None:
        """Have all entries. Raises what `follow` raises."""
        await self.follow()
        await asyncio.wait_for(self._whole.wait(), _FILL_SECONDS)

    async def follow(self) -> None:
        """Have the server tell all entries, and each change from now on.

        Makes the stream if there is none. Raises `ClusterError` and what `ask` raises.
        """
        async with self._following:
            connection, stream = self._node.connection, self._stream
            info = await self._look_at_stream()
            self._tries += 1
            consumer = f"{self._node.name}-{self._node.epoch}-{self._part}-{self._tries}"
            inbox = f"{self._node.delivered}.{self._part}.{self._tries}"
            if self._unsubscribe is not None:  # The server forgets the older consumer by itself.
                await self._unsubscribe()
            self._unsubscribe = await connection.subscribe(inbox, partial(self._take, consumer))
            config = {
                "name": consumer,
                "deliver_subject": inbox,
                "deliver_policy": "last_per_subject",
                "ack_policy": "none",
                "filter_subject": self._entries,
                "idle_heartbeat": _HEARTBEAT_SECONDS * 10**9,
                "inactive_threshold": 60 * 10**9,
                "mem_storage": True,
            }
            is_other = self._created not in (None, info["created"])
            self._created = info["created"]
            if is_other:
                self.position = 0
            self._whole.clear()
            self._consumer, self._next = consumer, 1
            self._until = int(info["state"]["last_seq"])
            self._heard = monotonic()
            self._on_begin(self._until, is_other)
            made = await connection.ask(
                f"CONSUMER.CREATE.{stream}.{consumer}",
                {"stream_name": stream, "config": config, "action": "create"},
            )
            delivered = made.get("delivered", {}).get("consumer_seq", 0)
            if not made.get("num_pending", 0) and not delivered and self._next == 1:
                self._is_whole()

    def look(self, since: int = 0) -> None:
        """See whether the server still tells changes: this one is from some time ago."""
        silent = monotonic() - self._heard > _SILENT_SECONDS
        if self._node.connection.is_there and (silent or self.position < since):
            self.follow_again()

    def follow_again(self) -> None:
        """Have all entries told anew, as soon as the server does."""
        if not self._again:
            self._again = True
            self._node.task(self._until_followed())

    # ------------------------------------------------------------- inside

    async def _look_at_stream(self) -> dict[str, Any]:
        ask = partial(self._node.connection.ask, f"STREAM.INFO.{self._stream}", {})
        try:
            return await ask()
        except Refused as error:
            if error.code != NO_STREAM:
                raise
        await self._node.make_streams()
        return await ask()

    async def _until_followed(self) -> None:
        failures = (Refused, ClusterError, nats.errors.Error, asyncio.TimeoutError, OSError)
        try:
            while not self._node.closed:
                await self._node.connection.there()
                with suppress(*failures):
                    await self.follow()
                    return
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            self._again = False

    async def _take(self, consumer: str, msg: Msg) -> None:
        if consumer != self._consumer:
            return
        self._heard = monotonic()
        if not msg.reply:
            last = (msg.headers or {}).get("Nats-Last-Consumer", "")
            if last.isdecimal() and int(last) >= self._next:
                self.follow_again()
            return
        try:
            meta = msg.metadata
        except nats.errors.Error:
            return
        if meta.sequence.consumer != self._next:
            self._consumer = ""  # Something was lost on its way.
            self.follow_again()
            return
        self._next += 1
        self._on_entry(msg)
        self.position = max(self.position, meta.sequence.stream)
        if not meta.num_pending:
            self._is_whole()

    def _is_whole(self) -> None:
        # The last change may be one of which the server has nothing any more.
        self.position = max(self.position, self._until)
        self._whole.set()
        self._on_whole()
