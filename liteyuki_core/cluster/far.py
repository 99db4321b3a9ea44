"""Other nodes as peers of the hub: what they are given leaves for the stream.

A `NodePeer` is one other node. A `Far` is one channel with it: either that node has the channel,
and this node has a route in its place, or this node has it, and that one has opened it. What the
hub gives to a `Far` goes to one subject, in order, and the hub keeps it until the other node says
that it was handled. An `Arrival` is a letter that has come from the stream: the sender of its
messages, as the hub sees it.

Threads. The hub calls the methods of `Peer`, under its lock. All else is called on the cluster's
loop. `waiting` is changed under the lock.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from math import inf
from time import monotonic
from typing import Any

from .. import log
from ..comm.hub.route import Route
from ..comm.wire.batch import Batch
from ..comm.wire.words import FAR
from ..errors import ChannelBroken, ChannelClosed, ChannelError
from ..language import say
from . import message
from .listening import Wanted
from .message import Gone, Letter
from .place import Place

PART_BYTES = 512 * 1024
"""Longer letters travel in parts."""

_LETTER_MESSAGES = 1024
_LETTER_BYTES = 256 * 1024
"""So much is gathered for one letter while the one before it is on its way."""

_AGAIN_SECONDS = 1.0

_REMEMBERED = 256
"""So many letters of the other node are remembered after they were handled."""

WINDOW = 64
"""How many messages another node is given in advance where several processes receive."""


class Sent:
    """A letter on the stream: the numbers that its messages have in the hub."""

    __slots__ = ("at", "done", "numbers")

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.done = 0
        self.at = monotonic()


class Far:
    """One channel with one other node."""

    def __init__(
        self,
        node: Place,
        peer: NodePeer,
        number: int,
        name: str,
        is_home: bool,
        *,
        is_queue: bool = False,
    ) -> None:
        self.is_queue = is_queue
        """Whether it is a queue. Then what leaves for a node that has it not leaves as requests do,
        see `queues.py`."""
        self.node = node
        self.peer = peer
        self.number = number
        self.name = name
        self.is_home = is_home
        """Whether the channel is this node's."""
        self.serial = node.next_serial()
        self.waiting: deque[Batch | Gone | None] = deque()
        """What is still to leave; None: the other side is back."""
        self.due = False
        self.opened = False
        """Whether a process of this node has the channel, where that is another node's."""
        self.receives = False
        self.answers: int | None = None
        """How many requests the processes on the side without the channel answer at a time; 0 where
        it is certain that none does, None while it is not known."""
        self.epoch = ""
        """The life in which that other node has told of the channel."""
        self.channel_serial = 0
        """Which channel of that name it is, as that node has told."""
        self.told: tuple[bool] | None = None
        """What the other node was told of the end of the other side, and whether more comes."""
        self.sent: dict[int, Sent] = {}
        self.stuck = False
        """Whether the stream has no room."""
        self.accepted = 0
        self.published = 0
        """How many things have come to leave, and have left."""
        self.wanted: Wanted | None = None
        """This node's side of another one's queue."""
        self._finished = False
        """Whether the other node was told that the channel is closed."""
        self._letters = 0
        self._early: dict[int, int] = {}
        self._last = 0
        """The number of the last letter that has left."""
        self._end: Gone | None = None
        """The end of the other side, while it is not known which letter it speaks of."""
        self.came: dict[int, int] = {}
        """How many messages of the other node's last letters are handled. Under the lock."""
        self._task: asyncio.Task[None] | None = None

    @property
    def subject(self) -> str:
        """Where its letters go."""
        subjects = self.node.subjects
        if self.is_home:
            return subjects.to_node(self.name, self.peer.node)
        return subjects.to_home(self.name)

    @property
    def gives(self) -> bool:
        """Whether messages of this node's queue are given to the other node."""
        return self.is_queue and self.is_home

    def put(self, thing: Batch | Gone | None) -> None:
        """Take something that is to leave. Under the lock."""
        self.waiting.append(thing)
        self.accepted += 1
        self.node.busy.add(self)
        self.node.due(self)

    def start(self) -> None:
        """Begin to send what waits, unless that is under way."""
        if self._task is None and self.waiting:
            self._task = self.node.task(self._send())

    def has_handled(self, number: int, count: int) -> None:
        """Note how many messages of the other node's letter are handled. Under the lock.

        The end says it once more: the word that does so at once may be lost, or come later.
        """
        self.came[number] = count
        if len(self.came) > _REMEMBERED:
            del self.came[next(iter(self.came))]

    def handled(self, number: int, count: int) -> None:
        """Learn how many messages of a letter are handled, all in all."""
        sent = self.sent.get(number)
        if sent is None:
            if self._task is not None and len(self._early) < 1024:
                self._early[number] = max(count, self._early.get(number, 0))
            return
        numbers = sent.numbers[sent.done : count]
        sent.done = max(sent.done, count)
        if sent.done >= len(sent.numbers):
            del self.sent[number]
        self._settle(numbers)
        self._let_go()

    def leave(self) -> None:
        """Give nothing of this node's channel to the other one any more."""
        self.peer.forget(self)
        with self.node.hub.lock:
            self.node.hub.leave(self.peer, self.number)
        self.node.hub.pump()

    def ends_there(self, gone: Gone) -> None:
        """Learn that the other side has ended, from the other node."""
        self._end = gone
        if self._task is not None and any(number > self._last for number, _ in gone.handled):
            # That letter is there, and the server's answer which says so is still on its way.
            self.node.later(_AGAIN_SECONDS, self._ends)
        else:
            self._ends()

    def _ends(self) -> None:
        gone, self._end = self._end, None
        if gone is None:
            return
        for number, count in gone.handled:
            self.handled(number, count)
        node, peer = self.node, self.peer
        kind = ChannelBroken if gone.broken else ChannelClosed
        with node.hub.lock:
            node.across.break_off(
                *(peer, self.number, kind, gone.why, tuple(gone.lines)),
                for_good=gone.for_good,
                more=gone.more,
            )
        node.hub.pump()
        if gone.for_good:
            peer.forget(self)
            if not self.is_home:
                node.channel_ended(self.name)

    def comes_back(self) -> None:
        """Learn that the other side is back, from the other node."""
        self._ends()
        with self.node.hub.lock:
            self.node.across.come_back(self.peer, self.number)
        self.node.hub.pump()

    def _settle(self, numbers: list[int]) -> None:
        if not numbers:
            return
        hub = self.node.hub
        with hub.lock:
            hub.acknowledge(self.peer, self.number, _ranges(numbers))
        hub.pump()

    async def _send(self) -> None:
        try:
            while self.waiting:
                first = self.waiting[0]
                if isinstance(first, Batch):
                    count = await self._send_batches()
                else:
                    await self._send_end(first)
                    count = 1
                with self.node.hub.lock:
                    self.published += count
                    if self.published == self.accepted:
                        self.node.busy.discard(self)
                self.node.has_left()
        except Exception:
            self.node.later(_AGAIN_SECONDS, self.start)
            raise
        finally:
            self._task = None
            self._early.clear()
            if self.waiting and sys.exc_info()[0] is None:
                self.start()  # It came while the task was about to end.

    async def _send_end(self, end: Gone | None) -> None:
        kind, body = (message.BACK, b"") if end is None else (message.GONE, message.encode(end))
        await self._publish(kind, body, 0, 1)
        with self.node.hub.lock:
            self.waiting.popleft()
        if end is not None and end.for_good:
            self._finished = True
            self._let_go()

    def _let_go(self) -> None:
        """Close this end once the other node was told that its other side has closed."""
        if self._finished and not self.sent and self.is_home:
            with self.node.hub.lock:
                self.node.hub.close(self.peer, self.number)
            self.node.hub.pump()
            self.peer.forget(self)

    async def _send_batches(self) -> int:
        taken: list[Batch] = []
        count = size = 0
        with self.node.hub.lock:
            for thing in self.waiting:
                if not isinstance(thing, Batch):
                    break
                count += thing.count
                size += thing.size
                if taken and (count > _LETTER_MESSAGES or size > _LETTER_BYTES):
                    break
                taken.append(thing)
        entries: list[message.Entry] = []
        numbers: list[int] = []
        left_out: list[int] = []
        for batch in taken:
            for number, each in enumerate(message.entries_of(batch), batch.first):
                if each is None:
                    left_out.append(number)
                else:
                    entries.append(each)
                    numbers.append(number)
        if left_out:
            self.leave_out(left_out)
        if entries:
            body = message.encode(entries)
            parts = max(1, -(-len(body) // PART_BYTES))
            number = 0
            for part in range(parts):
                piece = body if parts == 1 else body[part * PART_BYTES : (part + 1) * PART_BYTES]
                kind = message.DATA if parts == 1 else message.PART
                number = await self._publish(kind, piece, part, parts)
            self.sent[number] = Sent(numbers)
            self._last = number
            early = self._early.pop(number, None)
            if early is not None:
                self.handled(number, early)
            self._ends()
        with self.node.hub.lock:
            for _ in taken:
                self.waiting.popleft()
        return len(taken)

    async def _publish(self, kind: int, body: bytes, part: int, parts: int) -> int:
        self._letters += 1
        node = self.node
        letter = message.encode(Letter(kind, node.name, node.epoch, body, part, parts))
        return await node.publish(self, letter, f"{node.epoch}.{self.serial}.{self._letters}")

    def leave_out(self, numbers: list[int]) -> None:
        """Skip messages that can't cross."""
        log.logger.error(
            say(
                "channel {name}: {count} messages can't cross to node {node} and are skipped: "
                "text, bytes, numbers, None, and lists and dicts of them can",
                name=self.name,
                count=len(numbers),
                node=self.peer.node,
            )
        )
        self._settle(numbers)


class NodePeer:
    """One other node as a peer of the hub."""

    eager = True
    clean = True

    def __init__(self, node: Place, name: str, serial: int) -> None:
        self._here = node
        self.node = name
        self.process: str | None = f"{FAR}{name}"
        self.prefix = f"{FAR}{name}.{serial}."
        self.ends: dict[int, tuple[Route, int]] = {}
        self.holds: Counter[str] = Counter()
        self.serves_since = inf
        self.fars: dict[int, Far] = {}
        self.by_name: dict[tuple[str, bool], Far] = {}
        """By name, and whether the channel is this node's."""
        self._last = 0

    def add(self, name: str, is_home: bool, *, is_queue: bool = False) -> Far:
        """Return a new far end. The caller opens its number."""
        self._last += 1
        far = Far(self._here, self, self._last, name, is_home, is_queue=is_queue)
        self.fars[far.number] = self.by_name[name, is_home] = far
        return far

    def take_over(self, far: Far) -> int:
        """Have the end that another node has had; return the number that it had there.

        The caller tells the hub. Under the lock.
        """
        before = far.number
        del far.peer.fars[before], far.peer.by_name[far.name, far.is_home]
        self._last += 1
        far.peer, far.number = self, self._last
        self.fars[far.number] = self.by_name[far.name, far.is_home] = far
        return before

    def forget(self, far: Far) -> None:
        """Drop a far end. Nothing waits any more for what it has not sent."""
        far.stuck = True
        self._here.busy.discard(far)
        self._here.requests.forget(far)
        self.fars.pop(far.number, None)
        if self.by_name.get((far.name, far.is_home)) is far:
            del self.by_name[far.name, far.is_home]

    # ------------------------------------------------------------- called by the hub

    def deliver(self, number: int, batch: Batch) -> None:
        far = self.fars[number]
        if batch.headers is not None:
            self._here.requests.ask(far, batch)
        elif far.gives:
            self._here.requests.give(far, batch)
        else:
            far.put(batch)

    def gone(
        self,
        number: int,
        kind: type[ChannelError] | None,
        why: str,
        last: bool,
        holds: int,
        lines: tuple[str, ...] = (),
    ) -> None:
        far = self.fars.get(number)
        if far is None or number not in self.ends or self._here.stopping:
            return
        if kind is None:
            if far.told is not None:
                far.told = None
                far.put(None)
        elif far.told is None or (last and far.told == (True,)):
            far.told = (not last,)
            route, i = self.ends[number]
            for_good = last and not route.sides[route.other(i)].let_go
            came = list(far.came.items())
            end = Gone(kind is ChannelBroken, why, for_good, not last, list(lines), came)
            if far.gives:
                self._here.requests.end(far, end)
            else:
                far.put(end)

    def shared(self, number: int, period: int, requests: bool) -> None:
        far = self.fars.get(number)
        if far is not None and far.gives and not requests:
            self._here.requests.call_back(far, period)
        else:  # What has left for the other node is not called back.
            self._here.soon(self._give_back, number, period, requests)

    def _give_back(self, number: int, period: int, requests: bool) -> None:
        hub = self._here.hub
        with hub.lock:
            hub.give_back(self, number, period, [], requests)
        hub.pump()

    def acknowledged(self, number: int, count: int) -> None:
        pass  # What came from the node was sent by an `Arrival`.

    def dropped(self, number: int, count: int) -> None:
        pass

    def answered(self, number: int, batch: Batch) -> None:
        self._here.requests.answered(self.fars[number], batch)

    def refused(
        self, number: int, requests: Sequence[int], kind: type[ChannelError], why: str
    ) -> None:
        self._here.requests.refused(self.fars[number], requests, kind, why)

    def cancelled(self, number: int, requests: Sequence[int]) -> None:
        self._here.requests.cancel(self.fars[number], requests)

    def says_late(self, number: int) -> bool:
        return True

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        pass

    def detach(self) -> None:
        pass

    def pump(self) -> None:
        pass


class Arrival(NodePeer):
    """The messages of one letter: the hub tells it how many of them are handled."""

    def __init__(self, peer: NodePeer, far: Far, number: int, done: Any) -> None:
        self.node = peer.node
        self.process = peer.process
        self.prefix = peer.prefix
        self.ends = peer.ends
        self.holds = peer.holds
        self.serves_since = peer.serves_since
        self.far = far
        self.number = number
        """The number of the letter on the stream."""
        self.count = 0
        self.handled = 0
        self.was_late = False
        """Whether the channel was closed before it came."""
        self._done = done

    def acknowledged(self, number: int, count: int) -> None:
        self.handled += count
        self._done(self)

    def dropped(self, number: int, count: int) -> None:
        self.was_late = True
        self.acknowledged(number, count)


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][0] + found[-1][1] == number:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return found
