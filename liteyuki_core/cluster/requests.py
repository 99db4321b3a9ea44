"""Requests between nodes: one node asks, another one's processes answer.

Messages of channels are letters on the stream, which outlive their sender. A request need not: it
ends with its asker, and the asker's node keeps it until then. So nodes tell each other of requests
by words that the server only passes on, which is quicker, leaves nothing behind when somebody gives
up, and has the server say when nobody hears.

A word may be lost with a connection, and only then. From one node to another they come in order.
- A node that asks says a request again until it has its outcome: after a connection was lost, when
  the other node has a new life, and every few seconds it says all that it waits for. The other one
  then says what of that it does not have. Words of a life that is not in the book are not heard.
- A node that is asked knows each request by its number, so it does not begin one twice. It keeps
  the outcome until the node that asks says that it has it.
- What a node does not wait for any more, as it says, or because it is gone or has a new life, is
  cancelled.
- A node that is gone does not answer: others that do get what it was asked, or whoever has asked
  gets `ChannelBroken`.

An answer leaves after all letters that were to leave when it was given, unless the stream has no
room for these: a node that dies between them would have answered, and lost what it has sent.

`asked.py` has the requests to other nodes, `answering.py` those of other nodes, `queues.py` what
nodes are asked about queues. What the hub calls is called under its lock and only notes it. All
else is called on the cluster's loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any

import msgspec
import nats.errors
from nats.aio.msg import Msg

from .. import log
from ..comm.wire.batch import Batch
from ..errors import ChannelError
from . import message
from .answering import Answering
from .asked import Asked
from .book import Book
from .far import Far
from .message import Answer, Answers, Ask, Asks, Gone
from .place import Place
from .queues import Giving, Taking
from .subjects import NAME

_NOBODY = "503"
_STARTING_SECONDS = 10.0
"""A node that has come back has so long to have the channels again that it had before."""

Noted = tuple[Callable[..., None], tuple[Any, ...]]


class Requests:
    """All requests between this node and others, which are in the book."""

    def __init__(self, node: Place, book: Book) -> None:
        self._node = node
        self._book = book
        self.asked = Asked(node, book.is_alive, self._tell_asked, self._ended, self._lost)
        self.giving = Giving(
            *(node, book.epoch_of, book.has_left, self.asked.chain, self.asked.forget_chain)
        )
        self.taking = Taking(node, self._answer, self._allow)
        self.answering = Answering(
            node, book.is_alive, self._comes_back, self._tell_asker, self.taking
        )
        self._opened_at = inf
        self._noted: list[Noted] = []
        """Under the lock."""
        self._answers: deque[tuple[Callable[[], None], list[tuple[Far, int]]]] = deque()
        """What gives an answer, and what must have left before it does."""
        self._wanting: set[Far] = set()
        """Under the lock."""
        self._words: deque[tuple[str, bytes, str]] = deque()
        self._is_telling = False

    async def open(self) -> None:
        """Hear other nodes from now on."""
        node = self._node
        self._opened_at = monotonic()
        await node.connection.subscribe(
            node.subjects.answers(node.name, node.epoch, "*"), self._take_answers
        )
        await node.connection.subscribe(node.subjects.requests(node.name), self._take_asks)

    # ------------------------------------------------------------- under the hub's lock

    def ask(self, far: Far, batch: Batch) -> None:
        """Note requests for another node."""
        self._note(self.asked.give, far, batch)

    def cancel(self, far: Far, numbers: Sequence[int]) -> None:
        """Note that nobody waits any more for what another node was asked."""
        self._note(self.asked.cancel, far, list(numbers))

    def answered(self, far: Far, batch: Batch) -> None:
        """Note answers for another node."""
        self._note_answer(lambda: self.answering.answered(far, batch))

    def handled(self, node: str, number: int) -> None:
        """Note that a message of another node's queue is handled."""
        self._note_answer(lambda: self._answer(node, Answer(number, b"")))

    def give(self, far: Far, batch: Batch) -> None:
        """Note messages of this node's queue for another node."""
        chain = self.giving.count(far, batch.count)
        self._note(self._give, far, batch, chain)

    def end(self, far: Far, gone: Gone) -> None:
        """Note that a queue of this node is closed."""
        self._note(self.giving.end, far, gone)

    def call_back(self, far: Far, period: int) -> None:
        """Note that another node is to give back what nobody there wants."""
        self._note(self.giving.call_back, far, period)

    def wants(self, far: Far) -> None:
        """Note that processes here want more of another node's queue, or less."""
        if far not in self._wanting:
            self._wanting.add(far)
            self._note(self._wants, far)

    def _note_answer(self, answer: Callable[[], None]) -> None:
        busy = [(each, each.accepted) for each in self._node.busy]
        self._note(self._leave, answer, busy)

    def refused(self, far: Far, numbers: Iterable[int], kind: type[ChannelError], why: str) -> None:
        """Note that requests of another node are not answered."""
        self._note(self.answering.refused, far, list(numbers), kind.__name__, why)

    def _note(self, call: Callable[..., None], *args: Any) -> None:
        self._noted.append((call, args))
        self._node.wake()

    def take(self) -> list[Noted]:
        """Return what was noted, once."""
        noted, self._noted = self._noted, []
        return noted

    # ------------------------------------------------------------- on the loop

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be told."""
        return bool(self._noted or self._answers or self._words or self._is_telling)

    def do(self, noted: list[Noted]) -> None:
        """Do what was noted."""
        for call, args in noted:
            call(*args)
        if noted:
            self._flush()

    def has_left(self) -> None:
        """Learn that a far end has sent something: answers may leave that waited for it."""
        answers = self._answers
        while answers:
            answer, busy = answers[0]
            if any(each.published < count and not each.stuck for each, count in busy):
                break
            answers.popleft()
            answer()
        self._flush()

    def look(self) -> None:
        """See that nothing was lost, and which nodes are gone."""
        self.asked.look()
        self.answering.look()
        self.taking.look()
        self._flush()

    def came_back(self, node: str) -> None:
        """Learn that a node has come, has a new life, or may have lost something."""
        self.giving.new_life(node, self._book.epoch_of(node))
        self.asked.came_back(node)
        self.taking.came_back(node)
        self._flush()

    def connected_again(self) -> None:
        """Learn that something may have been lost."""
        self.asked.connected_again()
        self._flush()

    def forget(self, far: Far) -> None:
        """Learn that a channel is no more."""
        self.asked.forget(far)
        self.giving.forget(far)
        self.answering.forget(far)
        self.taking.forget(far)
        self._flush()

    def _leave(self, answer: Callable[[], None], busy: list[tuple[Far, int]]) -> None:
        self._answers.append((answer, busy))
        self.has_left()

    def _give(self, far: Far, batch: Batch, chain: int) -> None:
        if not self.giving.has(far, chain):
            return  # Others get it.
        skipped = []
        for number, entry in enumerate(message.entries_of(batch), batch.first):
            if entry is None:
                skipped.append(number)
            else:
                self.giving.give(far, number, entry)
        if skipped:
            self.giving.skip(far, skipped)
        self.asked.look_at(far.peer.node)

    def wants_again(self, far: Far) -> None:
        """Say what is wanted of a queue that another node has now."""
        self.taking.wants(far)
        self._flush()

    def _wants(self, far: Far) -> None:
        with self._node.hub.lock:
            self._wanting.discard(far)
        self.taking.wants(far)

    def _ended(self, far: Far, at: int, ask: Ask, answer: Answer, body: bytes) -> None:
        self.giving.ended(far, at, ask, answer, body)

    def _lost(self, fars: list[Far]) -> None:
        self.giving.lose(fars)

    def _answer(self, node: str, answer: Answer) -> None:
        self.answering.end(node, answer)

    def _allow(self, node: str, name: str, chain: int, count: int) -> None:
        self.answering.allow(node, self._book.epoch_of(node), name, chain, count)

    def _flush(self) -> None:
        self.asked.flush()
        self.answering.flush()

    # ------------------------------------------------------------- words

    async def _take_asks(self, msg: Msg) -> None:
        try:
            word = message.read_asks(msg.data)
        except msgspec.MsgspecError as error:
            log.logger.debug(f"NATS: what came to {msg.subject} are no requests: {error}")
            return
        known = self._book.nodes.get(word.node)
        if self._is_other(word.node) and known is not None and known.epoch == word.epoch:
            self.answering.hear(word)
            self._flush()

    async def _take_answers(self, msg: Msg) -> None:
        node = msg.subject.rpartition(".")[2]
        if msg.headers and msg.headers.get("Status") == _NOBODY:
            self.asked.is_silent(node)
            return
        try:
            word = message.read_answers(msg.data)
        except msgspec.MsgspecError as error:
            log.logger.debug(f"NATS: what came to {msg.subject} are no answers: {error}")
            return
        if self._is_other(word.node):
            self.asked.hear(word)
            if word.epoch == self._book.epoch_of(word.node):
                self.giving.allowed(word)
            self._flush()

    def _comes_back(self, name: str) -> bool:
        entry = self._book.channels.get(name)
        if entry is None or entry.node != self._node.name or entry.epoch == self._node.epoch:
            return False
        return monotonic() < self._opened_at + _STARTING_SECONDS

    def _is_other(self, name: str) -> bool:
        return name != self._node.name and NAME.fullmatch(name) is not None

    def _tell_asked(self, name: str, word: Asks) -> None:
        node = self._node
        reply = node.subjects.answers(node.name, node.epoch, name)
        self._tell(node.subjects.requests(name), message.encode(word), reply)

    def _tell_asker(self, name: str, word: Answers, epoch: str) -> None:
        subject = self._node.subjects.answers(name, epoch, self._node.name)
        self._tell(subject, message.encode(word), "")

    def _tell(self, subject: str, word: bytes, reply: str) -> None:
        self._words.append((subject, word, reply))
        if not self._is_telling:
            self._is_telling = True
            self._node.task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._words:
                with suppress(nats.errors.Error, OSError):  # It is said again if it is missed.
                    await self._node.connection.tell(*self._words.popleft())
        finally:
            self._is_telling = False
