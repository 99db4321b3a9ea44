"""What comes for this node on one subject of the stream, in order, each letter once.

An `Incoming` has a consumer on the server. After a lost connection, or a gap, it takes a new one
with a new name: a consumer that lives on gives what was not acknowledged out of order. What was
given before is known by its number on the stream. A new life of the node likewise takes a new
consumer and deletes the old one, so a process that was thought to be dead gets nothing any more.

A letter is acknowledged on the stream when all of its messages are handled, so a node that dies
finds them again. All methods are called on the cluster's loop, except where they say otherwise.
"""

from __future__ import annotations

import asyncio

import msgspec
import nats.errors
from nats.aio.msg import Msg

from .. import log
from ..errors import ClusterError, FrameError
from ..language import say
from . import message
from .connection import Refused
from .far import PART_BYTES, Arrival, Far
from .message import Letter
from .place import Place

_NOT_UNIQUE = {10099, 10100}
_ACK_WAIT = 24 * 3600
_INACTIVE_SECONDS = 600
_UNHANDLED = 256
"""At most so many letters are under way to this node on one subject."""
_AGAIN_SECONDS = 0.2


class Incoming:
    """One subject. `is_home` says that the channel is this node's."""

    def __init__(self, node: Place, name: str, *, is_home: bool) -> None:
        self._node = node
        self.name = name
        self.is_home = is_home
        subjects = node.subjects
        self.subject = subjects.to_home(name) if is_home else subjects.to_node(name, node.name)
        self._serial = node.next_serial()
        self._tries = 0
        self.consumer = ""
        self._count = 0
        """How many letters this consumer has given."""
        self._last = 0
        """The number of the last letter that has come."""
        self._replies: dict[int, str] = {}
        """By number: where to acknowledge the letters that are in hand."""
        self._parts: dict[str, tuple[list[int], list[bytes]]] = {}
        """By sender: the parts that have come of a letter that is not whole."""
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    def start(self) -> None:
        """Take a consumer, or a new one. Idempotent while that is under way."""
        if self._task is None and not self.closed:
            self._task = self._node.task(self._start())

    async def started(self) -> None:
        """Wait until the consumer is there."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def close(self) -> None:
        """Take nothing any more."""
        self.closed = True
        self._node.consumers.pop(self.consumer, None)

    async def delete(self) -> None:
        """Delete the consumer and what is on the subject: the channel is no more."""
        consumer = self.consumer
        self.close()
        stream = self._node.subjects.stream
        await self._node.connection.ask(f"CONSUMER.DELETE.{stream}.{consumer}", {})
        await self._node.connection.ask(f"STREAM.PURGE.{stream}", {"filter": self.subject})

    async def _start(self) -> None:
        try:
            while not self.closed:
                try:
                    async with self._node.gate:
                        await self._take_consumer()
                    return
                except (Refused, nats.errors.Error, asyncio.TimeoutError, OSError) as error:
                    log.logger.debug(f"NATS: no consumer on {self.subject} yet: {error!r}")
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            self._task = None

    async def _take_consumer(self) -> None:
        node, ask = self._node, self._node.connection.ask
        stream = node.subjects.stream
        old = self.consumer
        node.consumers.pop(old, None)
        if old:
            try:
                await ask(f"CONSUMER.DELETE.{stream}.{old}", {})
            except Refused:
                pass  # The server has forgotten it.
        self._tries += 1
        self.consumer = name = f"{node.name}-{node.epoch}-{self._serial}-{self._tries}"
        self._count = 0
        longest = node.hub_limit // PART_BYTES + 64
        config = {
            "name": name,
            "deliver_subject": node.delivered,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": _ACK_WAIT * 10**9,
            "filter_subject": self.subject,
            "max_ack_pending": max(_UNHANDLED, longest),
            "inactive_threshold": _INACTIVE_SECONDS * 10**9,
            "mem_storage": True,
        }
        node.consumers[name] = self
        create = {"stream_name": stream, "config": config, "action": "create"}
        try:
            await ask(f"CONSUMER.CREATE.{stream}.{name}", create)
        except Refused as error:
            if error.code not in _NOT_UNIQUE:
                raise
            await self._delete_others()
            await ask(f"CONSUMER.CREATE.{stream}.{name}", create)

    async def _delete_others(self) -> None:
        ask, stream = self._node.connection.ask, self._node.subjects.stream
        at = 0
        while True:
            page = await ask(f"CONSUMER.LIST.{stream}", {"offset": at})
            found = page.get("consumers") or []
            for each in found:
                if each["config"].get("filter_subject") == self.subject:
                    await ask(f"CONSUMER.DELETE.{stream}.{each['name']}", {})
            at += len(found)
            if not found or at >= page["total"]:
                return

    def reset(self) -> None:
        """Learn that the numbers on the stream begin at 1 again."""
        self._last = 0
        self._replies.clear()

    # ------------------------------------------------------------- letters

    def take(self, msg: Msg, number: int, count: int) -> None:
        """Take a letter, the `count`th of this consumer, with its number on the stream."""
        self._count += 1
        if count != self._count:
            self.start()  # Some were lost. The next consumer gives them again.
            return
        if number <= self._last:
            if number in self._replies:
                self._replies[number] = msg.reply
            else:
                self._node.acknowledge(msg.reply)  # It is handled, and that was lost.
            return
        self._last = number
        self._replies[number] = msg.reply
        self._open(number, msg)

    def _open(self, number: int, msg: Msg) -> None:
        try:
            letter = message.read_letter(msg.data)
            numbers, body = [number], letter.body
            if letter.kind == message.PART:
                whole = self._join(number, letter)
                if whole is None:
                    return
                numbers, body = whole
            far = self._node.far_for(letter.node, self.name, is_home=self.is_home)
            if far is None:
                self.done(numbers)
            elif letter.kind in (message.DATA, message.PART):
                self._deliver(far, letter, numbers, body)
            else:
                self._end(far, letter)
                self.done(numbers)
        except (msgspec.MsgspecError, FrameError, ClusterError) as error:
            log.logger.error(
                say(
                    "channel {name}: something came from the cluster that is no message of it: "
                    "{error}",
                    name=self.name,
                    error=error,
                )
            )
            self.done([number])

    def _join(self, number: int, letter: Letter) -> tuple[list[int], bytes] | None:
        numbers, pieces = self._parts.pop(letter.node, ([], []))
        if letter.part != len(pieces) or not 0 <= letter.part < letter.parts:
            self.done(numbers)  # Of a life that has died in the middle of it.
            numbers, pieces = [], []
            if letter.part:
                self.done([number])
                return None
        numbers.append(number)
        pieces.append(letter.body)
        if sum(map(len, pieces)) > self._node.hub_limit + PART_BYTES:
            self.done(numbers)
            raise FrameError("a message that is longer than LITEYUKI_MAX_MESSAGE_BYTES")
        if len(pieces) < letter.parts:
            self._parts[letter.node] = numbers, pieces
            return None
        return numbers, b"".join(pieces)

    def _deliver(self, far: Far, letter: Letter, numbers: list[int], body: bytes) -> None:
        batches = list(message.batches_of(body))
        hub, node = self._node.hub, letter.node

        def done(arrival: Arrival) -> None:
            self._node.was_handled(self, arrival, node, numbers)

        arrival = Arrival(far.peer, far, numbers[-1], done)
        arrival.count = sum(batch.count for batch in batches)
        if not batches:
            self.done(numbers)
        with hub.lock:
            for batch in batches:
                hub.data(arrival, far.number, batch)
        hub.pump()

    def _end(self, far: Far, letter: Letter) -> None:
        if letter.kind == message.BACK:
            far.comes_back()
            return
        gone = message.read_gone(letter.body)
        if far.is_queue:  # A process of that node has closed it.
            with self._node.hub.lock:
                self._node.across.close_for_all(far.peer, far.number)
            self._node.hub.pump()
            return
        far.ends_there(gone)

    def done(self, numbers: list[int]) -> None:
        """Acknowledge letters."""
        for number in numbers:
            reply = self._replies.pop(number, None)
            if reply is not None:
                self._node.acknowledge(reply)
