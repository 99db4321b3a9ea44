"""What is published in a cluster: each present subscriber gets it once, on whatever node.

It travels beside the stream, so who is not there does not get it. A publication has a name of its
own: one that may have been lost is sent again, and who has had it leaves it out.

All is called on the cluster's loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import msgspec
import nats.errors
from nats.aio.msg import Msg

from .. import log
from ..comm.store.value import Value
from ..errors import StoreError
from . import kept
from .place import Place

_ECHO_SECONDS = 2.0
_AGAIN_SECONDS = 0.1
_REMEMBERED = 10_000
"""So many publications are known again."""
_ROOM = 4096


class Published(msgspec.Struct, array_like=True, gc=False):
    """A publication as it travels."""

    name: str
    topic: bytes
    kind: str
    data: bytes


_decoder = msgspec.msgpack.Decoder(Published)


class Topics:
    """The topics. `on_published` is called with a topic and what was published on it."""

    def __init__(self, node: Place, on_published: Callable[[str, Value], None]) -> None:
        self._node = node
        self._on_published = on_published
        self._subscribed = False
        self._known: OrderedDict[str, None] = OrderedDict()
        self._echoes: dict[str, asyncio.Event] = {}
        """By the name of a publication of this node: set when it has come back."""

    async def subscribe(self) -> None:
        """Have what is published from now on, on any topic. Waits for the server."""
        while not self._subscribed:
            await self._node.connection.there()
            try:
                await self._node.connection.subscribe(self._node.subjects.all_topics, self._take)
                self._subscribed = True
            except (nats.errors.Error, asyncio.TimeoutError, OSError):
                await asyncio.sleep(_AGAIN_SECONDS)

    async def publish(self, topic: str, given: tuple[str, bytes]) -> None:
        """Publish something, for as long as it takes. Raises `StoreError`."""
        most = self._node.connection.max_payload - _ROOM
        if len(given[1]) > most:
            raise StoreError(
                f"topic {topic!r}: a value of {len(given[1])} bytes is over the limit of {most}, "
                "which the NATS server's max_payload leaves; split it, or raise max_payload"
            )
        name = f"{self._node.name}-{self._node.epoch}-{self._node.next_serial()}"
        raw = topic.encode("utf-8", "surrogatepass")
        body = msgspec.msgpack.encode(Published(name, raw, *given))
        connection, subject = self._node.connection, self._node.subjects.of_topic(topic)
        echo = self._echoes[name] = asyncio.Event()
        try:
            while True:
                await connection.there()
                try:
                    await connection.tell(subject, body)
                    if self._subscribed:
                        # What comes back has been told to this node's own subscribers.
                        await asyncio.wait_for(echo.wait(), _ECHO_SECONDS)
                    else:
                        await connection.flush()
                    return
                except (nats.errors.Error, asyncio.TimeoutError, OSError):
                    await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            del self._echoes[name]

    async def _take(self, msg: Msg) -> None:
        try:
            published = _decoder.decode(msg.data)
            topic = str(published.topic, "utf-8", "surrogatepass")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.logger.debug(f"NATS: what is published at {msg.subject} is none of ours: {error}")
            return
        if published.name not in self._known:
            self._known[published.name] = None
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            self._on_published(topic, kept.value_of(published.kind, published.data))
        echo = self._echoes.get(published.name)
        if echo is not None:
            echo.set()
