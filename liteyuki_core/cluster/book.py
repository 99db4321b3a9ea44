"""The book of a cluster: which nodes there are, and which node has which channel.

It is a bucket on the server with an entry for each node and each channel, and one with what each
node tells of itself, see `presence.py`. Every node has a copy, see `following.py`. A node writes
its own entry again and again, so that others see that it lives. An entry is changed only as it was
read, so a name is had by one node at a time. When the bucket was made anew, each node writes again
what it has.

Ownership. A `Book` owns the task that writes the node's entry. All is called on the cluster's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any

import msgspec
import nats.errors
from nats.aio.msg import Msg

from .. import log
from ..errors import ClusterError
from ..language import say
from . import message
from .connection import Refused
from .following import Following
from .message import AboutEntry, ChannelEntry, NodeEntry
from .place import Place

WRONG_SEQUENCE = 10071
_BEAT_SECONDS = 2.0
_LATE_SECONDS = 4.0
GONE_SECONDS = 7.5
"""A node that has not written its entry for so long, and does not answer, is gone. One that is late
is asked."""
_AGAIN_SECONDS = 0.2
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_OPERATION = "KV-Operation"


class Known:
    """A node, as its entry has it."""

    def __init__(self, epoch: str, left: bool, written: datetime) -> None:
        self.epoch = epoch
        self.left = left
        """Whether it has stopped in good order."""
        self.written = written
        """When its entry was written, by the server's clock."""
        self.alive = not left
        self.seen = monotonic()


class Book:
    """The copy of the bucket that this node has, and what it writes there.

    `on_channel` is called with the name and the entry of each channel whose entry changes, with
    None when it is deleted. `on_node` is called with the name of each node whose entry was written,
    and whether it is new, or has a new life.
    """

    def __init__(
        self,
        node: Place,
        on_channel: Callable[[str, ChannelEntry | None], object],
        on_node: Callable[[str, bool], object],
    ) -> None:
        self._node = node
        self._on_channel = on_channel
        self._on_node = on_node
        self.channels: dict[str, ChannelEntry] = {}
        self.nodes: dict[str, Known] = {}
        self.about: dict[str, AboutEntry] = {}
        self._sequences: dict[str, int] = {}
        """By the subject of an entry: the number of its last change."""
        self._names: dict[str, str] = {}
        """By the subject of an entry: the name of its channel."""
        self._beating: asyncio.Task[None] | None = None
        self._beat_at = 0
        """The number of this node's last heartbeat."""
        subjects = node.subjects
        self._following = Following(
            *(node, subjects.book, subjects.entries, "book", self._begins, self._take)
        )

    async def open(self, listen: Callable[[], Awaitable[None]]) -> None:
        """Read the book, and write this node's entry. Raises `ClusterError`.

        `listen` is awaited before that: whoever reads the entry looks at once whether the node is
        there.
        """
        await self._following.open()
        await asyncio.gather(*(self._look_for(name) for name in list(self.nodes)))
        await listen()
        await self._enter()
        self._beating = self._node.task(self._beat())

    async def follow(self) -> None:
        """Have all entries told anew. Raises `ClusterError` and what `ask` raises."""
        await self._following.follow()

    async def look_for_late_ones(self) -> None:
        """See whether those still run whose entries are late."""
        late = monotonic() - _LATE_SECONDS
        for name, known in list(self.nodes.items()):
            if known.alive and known.seen < late and name != self._node.name:
                await self._look_for(name)

    async def close(self) -> None:
        """Write that this node has stopped."""
        if self._beating is not None:
            self._beating.cancel()
            left = NodeEntry(self._node.name, self._node.epoch, left=True)
            try:
                await asyncio.wait_for(self._put_node(left), 1)
            except Exception as error:  # Others see it after some time.
                log.logger.debug(f"NATS: the end of this node is not told: {error!r}")

    def is_alive(self, name: str) -> bool:
        """Return whether a node runs, as far as is known. From any thread."""
        known = self.nodes.get(name)
        return known is not None and known.alive and monotonic() - known.seen < GONE_SECONDS

    def gone_for(self, name: str) -> float:
        """Return for how many seconds a node is gone, as far as this one knows; 0 if it runs."""
        known = self.nodes.get(name)
        return 0.0 if known is None or self.is_alive(name) else monotonic() - known.seen

    def epoch_of(self, name: str) -> str:
        """Return which life a node has; "" if it is not known."""
        known = self.nodes.get(name)
        return "" if known is None else known.epoch

    def has_left(self, name: str) -> bool:
        """Return whether a node has stopped in good order."""
        known = self.nodes.get(name)
        return known is not None and known.left

    def is_there(self, entry: ChannelEntry) -> bool:
        """Return whether the node that has a channel runs, and has it in this life."""
        return self.is_alive(entry.node) and entry.epoch == self.epoch_of(entry.node)

    async def claim(self, name: str, capacity: int, serial: int, *, is_queue: bool) -> bool:
        """Write that this node has a channel; return whether it has.

        If another node has a queue of that name, it is one queue. Raises what `ask` raises, also
        where another change was quicker and is on its way: look whether it still has the channel,
        and try again.
        """
        node, subject = self._node, self._node.subjects.of_channel(name)
        about = ChannelEntry(name, node.name, node.epoch, capacity, is_queue, serial)
        entry = message.entry(about)
        holder = self.channels.get(name)
        if holder is not None and holder.node == node.name:
            holder = None
        if holder is not None and is_queue and holder.queue:
            if self.is_there(holder):
                return False
        elif holder is not None and self.is_alive(holder.node):
            self.say_taken(name)
            return False
        await self._put(subject, entry)
        return True

    def say_taken(self, name: str) -> None:
        """Say that another node has what this one has of the same name."""
        holder = self.channels.get(name)
        if holder is not None:
            log.logger.error(
                say(
                    "channel {name} exists on node {node} too: here only processes of this "
                    "node have it",
                    name=name,
                    node=holder.node,
                )
            )

    async def tell(self, about: bytes) -> None:
        """Write what this node tells of itself. Raises what `ask` raises."""
        await self._put(self._node.subjects.about(self._node.name), about)

    async def release(self, name: str) -> None:
        """Delete the entry of a channel that this node has no more."""
        holder = self.channels.get(name)
        if holder is None or holder.node == self._node.name:
            await self._put(self._node.subjects.of_channel(name), b"", {_OPERATION: "DEL"})

    # ------------------------------------------------------------- inside

    async def _put(self, subject: str, entry: bytes, more: dict[str, str] | None = None) -> int:
        headers = {_EXPECTED: str(self._sequences.get(subject, 0)), **(more or {})}
        sequence = await self._node.connection.publish(subject, entry, headers)
        self._sequences[subject] = max(sequence, self._sequences.get(subject, 0))
        return sequence

    async def _put_node(self, entry: NodeEntry) -> int:
        return await self._put(self._node.subjects.of_node(entry.node), message.entry(entry))

    async def _enter(self) -> None:
        node = self._node
        other = self.nodes.get(node.name)
        if other is not None and other.alive and other.epoch != node.epoch:
            raise ClusterError(
                f"a node named {node.name!r} runs in cluster {node.cluster!r} already; each main "
                "process needs a LITEYUKI_NODE of its own"
            )
        try:
            await self._put_node(NodeEntry(node.name, node.epoch))
        except Refused as error:
            if error.code != WRONG_SEQUENCE:
                raise
            raise ClusterError(
                f"another node named {node.name!r} has come at this moment; each main process "
                "needs a LITEYUKI_NODE of its own"
            ) from None

    async def _beat(self) -> None:
        entry = NodeEntry(self._node.name, self._node.epoch)
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            self._node.look_around()
            self._following.look(self._beat_at)
            try:
                self._beat_at = await self._put_node(entry)
            except Refused as error:
                known = self.nodes.get(self._node.name)
                if error.code == WRONG_SEQUENCE and known and known.epoch != self._node.epoch:
                    self._node.replaced()
                    return
            except (nats.errors.Error, asyncio.TimeoutError, OSError) as error:
                log.logger.debug(f"NATS: a heartbeat is late: {error!r}")

    async def _look_for(self, name: str) -> None:
        """See whether a node runs whose entry is from before: whoever runs listens."""
        known = self.nodes[name]
        if not known.alive:
            return
        answers = await self._node.answers(name)
        if answers:
            known.seen = monotonic()  # The server may have no room for its entry.
        elif answers is not None:
            known.alive = False

    def _begins(self, last: int, is_other: bool) -> None:
        """Learn that all entries are told anew, or that this is another bucket."""
        if is_other:
            self._sequences.clear()
            self._beat_at = 0
            self._node.task(self._write_again())

    async def _write_again(self) -> None:
        """Write into a bucket that was made anew what this node has, besides its own entry."""
        node = self._node
        ours = [each for each in self.channels.values() if each.epoch == node.epoch]
        for entry in ours:
            await self._until_written(partial(self._claim_again, entry))
        about = self.about.get(node.name)
        if about is not None:
            await self._until_written(partial(self.tell, message.entry(about)))

    async def _claim_again(self, entry: ChannelEntry) -> None:
        about = entry.name, entry.capacity, entry.serial
        while self.channels.get(entry.name) is entry:
            try:
                await self.claim(*about, is_queue=entry.queue)
                return
            except Refused as error:
                if error.code != WRONG_SEQUENCE:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _until_written(self, write: Callable[[], Awaitable[object]]) -> None:
        while not self._node.closed:
            try:
                await write()
                return
            except Refused as error:
                if error.code == WRONG_SEQUENCE:
                    return  # Something newer is there.
            except (nats.errors.Error, asyncio.TimeoutError, OSError) as error:
                log.logger.debug(f"NATS: an entry is not written yet: {error!r}")
            await asyncio.sleep(_AGAIN_SECONDS)

    def _take(self, msg: Msg) -> None:
        try:
            self._read(msg)
        except msgspec.MsgspecError as error:
            log.logger.debug(f"NATS: an entry at {msg.subject} is none of ours: {error}")

    def _read(self, msg: Msg) -> None:
        subject = msg.subject
        sequence = msg.metadata.sequence.stream
        self._sequences[subject] = max(sequence, self._sequences.get(subject, 0))
        kind = self._node.subjects.kind_of(subject)
        if kind == "node":
            entry = message.read_node(msg.data)
            before, written = self.nodes.get(entry.node), msg.metadata.timestamp
            if before is not None and not before.alive and before.written == written:
                return  # It is told anew: the node is as gone as it was.
            new = before is None or before.epoch != entry.epoch or not self.is_alive(entry.node)
            self.nodes[entry.node] = Known(entry.epoch, entry.left, written)
            self._on_node(entry.node, new)
            return
        if kind == "about":
            about = message.read_about(msg.data)
            self.about[about.node] = about
            return
        deleted: Any = (msg.headers or {}).get(_OPERATION)
        if deleted:
            name = self._names.pop(subject, None)
            if name is not None:
                self.channels.pop(name, None)
                self._on_channel(name, None)
            return
        channel = message.read_channel(msg.data)
        self._names[subject] = channel.name
        self.channels[channel.name] = channel
        self._on_channel(channel.name, channel)
