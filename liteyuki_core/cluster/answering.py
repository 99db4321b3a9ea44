"""The requests of other nodes that this one is to answer.

A request goes to the hub, with the `NodePeer` of the node that asks as its source. All is called on
the cluster's loop. `requests.py` says how nodes talk about requests.

Invariants.
- A request of a node's present life is in `in_hand` from the moment when the hub gets it until its
  outcome is known here, and then in `kept` until that node says that the outcome has come. If it
  comes again meanwhile, it is not given to the hub again.
- What a node does not wait for any more is in neither, and the hub is told, once.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ..comm.ends import remote
from ..comm.wire.batch import Batch
from ..comm.wire.headers import MOST_NUMBER, TRACEPARENT_LENGTH, Headers
from ..errors import ChannelClosed, ClusterError, FrameError, RemoteError
from . import message
from .far import PART_BYTES, Far
from .message import Answer, Answers, Ask, Asks
from .place import Place
from .queues import Taking

_MOST = 65_536
"""A node has at most so many requests here at a time. It says again what was not taken."""

_TRACEPARENT = re.compile(rf"[0-9A-Za-z-]{{0,{TRACEPARENT_LENGTH}}}")

_GATHERED_BYTES = 256 * 1024


class _Asker:
    """One life of a node that asks."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.in_hand: dict[int, tuple[Far, bool] | None] = {}
        """The channel of each request, and whether its asker may want a worker ended. None for what
        is no request."""
        self.kept: dict[int, Answer] = {}
        self.parts: dict[int, list[bytes]] = {}
        """What has come of requests that are not whole."""
        self.answers: list[Answer] = []
        self.size = 0
        self.allowed: dict[str, tuple[int, int]] = {}


class Answering:
    """The requests that this node is to answer. `tell` sends a word to a life of a node.

    What is gathered for nodes is told by `flush`, which is to follow each call of the others.
    """

    def __init__(
        self,
        node: Place,
        is_alive: Callable[[str], bool],
        comes_back: Callable[[str], bool],
        tell: Callable[[str, Answers, str], None],
        taking: Taking,
    ) -> None:
        """`comes_back` tells of a channel that this node had, and is about to have again.

        `taking` takes what is no request.
        """
        self._node = node
        self._hub = node.hub
        self._is_alive = is_alive
        self._comes_back = comes_back
        self._tell = tell
        self._taking = taking
        self._askers: dict[str, _Asker] = {}
        self._due: dict[str, _Asker] = {}

    @property
    def in_hand(self) -> int:
        """How many requests are in hand, or were answered and the asker has not said it knows."""
        return sum(len(each.in_hand) + len(each.kept) for each in self._askers.values())

    # ------------------------------------------------------------- from the other nodes

    def hear(self, word: Asks) -> None:
        """Take requests, and what is said of them."""
        node = word.node
        asker = self._asker(node, word.epoch)
        for ask in word.asks:
            self._take(node, asker, ask)
        for number in word.cancelled:
            self._cancel(node, asker, number)
        for number in word.done:
            asker.kept.pop(number, None)
        if word.still is not None:
            self._compare(node, asker, *word.still)

    def _asker(self, node: str, epoch: str) -> _Asker:
        """Return what is known of this life of a node. Nothing is done any more for one before."""
        asker = self._askers.get(node)
        if asker is None or asker.epoch != epoch:
            self._let_go(node)
            asker = self._askers[node] = _Asker(epoch)
        return asker

    def look(self) -> None:
        """Do nothing any more for nodes that are gone."""
        for node in [node for node in self._askers if not self._is_alive(node)]:
            self._let_go(node)

    def forget(self, far: Far) -> None:
        """Learn that a channel is no more."""
        node = far.peer.node
        asker = self._askers.get(node)
        if asker is not None:
            for number in [n for n, held in asker.in_hand.items() if held and held[0] is far]:
                self._cancel(node, asker, number)
                self._refuse(node, asker, number, ChannelClosed.__name__, "it was closed")

    def _take(self, node: str, asker: _Asker, ask: Ask) -> None:
        number = ask.number
        if number in asker.in_hand or not 0 <= number < MOST_NUMBER - 1:
            return
        if number in asker.kept:
            self._say(node, asker, asker.kept[number])
            return
        if len(asker.in_hand) + len(asker.kept) + len(asker.parts) >= _MOST:
            return
        if ask.kind != message.REQUEST and not self._taking.is_next(node, ask):
            return  # What comes before it is lost, and will be said again.
        body = ask.body if ask.parts == 1 else self._join(asker, ask)
        if body is None:
            return
        try:
            if ask.kind != message.REQUEST:
                asker.in_hand[number] = None
                self._taking.take(node, ask, body)
                return
            batch = message.only_batch_of(body)
            far = self._node.far_for(node, ask.name, is_home=ask.to_home)
            if not _TRACEPARENT.fullmatch(ask.traceparent):
                raise FrameError("a traceparent with other characters")
        except (msgspec.MsgspecError, FrameError, ClusterError) as error:
            asker.in_hand.pop(number, None)
            why = f"what has come to node {self._node.name} is no request: {error}"
            self._refuse(node, asker, number, RemoteError.__name__, why)
            return
        if far is None and ask.to_home and self._comes_back(ask.name):
            return  # It will be said again.
        if far is None or far.number not in far.peer.ends:
            why = f"node {self._node.name} does not have it any more"
            self._refuse(node, asker, number, ChannelClosed.__name__, why)
            return
        batch.headers = Headers(
            number, once=ask.once, kill=ask.kill, traceparent=ask.traceparent, far=True
        )
        asker.in_hand[number] = far, ask.kill
        with self._hub.lock:
            self._hub.data(far.peer, far.number, batch)
        self._hub.pump()

    def _join(self, asker: _Asker, ask: Ask) -> bytes | None:
        parts = asker.parts.pop(ask.number, [])
        if ask.part != len(parts):
            parts = []  # Its first parts are lost, or come again.
        if ask.part != len(parts):
            return None
        parts.append(ask.body)
        if sum(map(len, parts)) > self._node.hub_limit + PART_BYTES:
            return b""
        if len(parts) < ask.parts:
            asker.parts[ask.number] = parts
            return None
        return b"".join(parts)

    def _cancel(self, node: str, asker: _Asker, number: int) -> None:
        asker.kept.pop(number, None)
        asker.parts.pop(number, None)
        if number not in asker.in_hand:
            return
        held = asker.in_hand.pop(number)
        if held is None:
            self._taking.cancel(node, number)
        else:
            far, kill = held
            with self._hub.lock:
                self._hub.cancel(far.peer, far.number, number, kill)
            self._hub.pump()

    def _compare(self, node: str, asker: _Asker, serial: int, numbers: list[int]) -> None:
        """Learn all that a node waits for, and say what of it has not come."""
        still = set(numbers)
        for table in (asker.in_hand, asker.kept, asker.parts):
            for number in [each for each in table if each not in still]:
                self._cancel(node, asker, number)
        missing = []
        for number in numbers:
            answer = asker.kept.get(number)
            if answer is not None:
                self._say(node, asker, answer)
            elif number not in asker.in_hand:
                missing.append(number)
        self._flush(node, asker)
        word = Answers(self._node.name, self._node.epoch, missing=(serial, missing))
        self._tell(node, word, asker.epoch)

    def _let_go(self, node: str) -> None:
        """Do nothing any more for a life of a node."""
        asker = self._askers.pop(node, None)
        self._due.pop(node, None)
        self._taking.let_go(node)
        if asker is not None:
            for number in list(asker.in_hand):
                self._cancel(node, asker, number)

    # ------------------------------------------------------------- from the hub

    def answered(self, far: Far, batch: Batch) -> None:
        """Pass on answers."""
        node, headers = far.peer.node, batch.headers
        assert headers is not None
        asker = self._askers.get(node)
        if asker is None:
            return
        entries = message.entries_of(batch)
        for number, entry in zip(headers.answer, entries, strict=True):
            if number not in asker.in_hand:
                continue  # Nobody waits for it any more.
            del asker.in_hand[number]
            failed = headers.failed
            if entry is None:
                entry, failed = remote.refusal(_CAN_NOT_CROSS.format(node=node)), True
            self._keep(node, asker, Answer(number, message.encode([entry]), failed))

    def refused(self, far: Far, numbers: list[int], kind: str, why: str) -> None:
        """Pass on that requests are not answered."""
        node = far.peer.node
        asker = self._askers.get(node)
        if asker is not None:
            for number in numbers:
                if number in asker.in_hand:
                    del asker.in_hand[number]
                    self._refuse(node, asker, number, kind, why)

    # ------------------------------------------------------------- about queues

    def end(self, node: str, answer: Answer) -> None:
        """Answer what is no request."""
        asker = self._askers.get(node)
        if asker is not None and answer.number in asker.in_hand:
            del asker.in_hand[answer.number]
            self._keep(node, asker, answer)

    def allow(self, node: str, epoch: str, name: str, chain: int, count: int) -> None:
        """Tell a node how many messages of a queue it may give."""
        if not self._is_alive(node):
            return
        asker = self._asker(node, epoch)
        asker.allowed[name] = chain, count
        self._due[node] = asker

    # ------------------------------------------------------------- words

    def _refuse(self, node: str, asker: _Asker, number: int, kind: str, why: str) -> None:
        body = why.encode("utf-8", "replace")
        self._keep(node, asker, Answer(number, body, refusal=kind))

    def _keep(self, node: str, asker: _Asker, answer: Answer) -> None:
        asker.kept[answer.number] = answer
        self._say(node, asker, answer)

    def _say(self, node: str, asker: _Asker, answer: Answer) -> None:
        body = answer.body
        if len(body) > PART_BYTES:
            self._flush(node, asker)
            parts = -(-len(body) // PART_BYTES)
            for part in range(parts):
                piece = body[part * PART_BYTES : (part + 1) * PART_BYTES]
                one = Answer(answer.number, piece, answer.failed, "", part, parts)
                word = Answers(self._node.name, self._node.epoch, [one])
                self._tell(node, word, asker.epoch)
            return
        if asker.size + len(body) > _GATHERED_BYTES:
            self._flush(node, asker)
        asker.answers.append(answer)
        asker.size += len(body)
        self._due[node] = asker

    def flush(self) -> None:
        """Tell what is gathered."""
        due, self._due = self._due, {}
        for node, asker in due.items():
            self._flush(node, asker)

    def _flush(self, node: str, asker: _Asker) -> None:
        if asker.answers or asker.allowed:
            word = Answers(self._node.name, self._node.epoch, asker.answers, allowed=asker.allowed)
            asker.answers, asker.allowed, asker.size = [], {}, 0
            self._tell(node, word, asker.epoch)


_CAN_NOT_CROSS = (
    "the answer can't be sent to node {node}: text, bytes, numbers, None, and lists and dicts of "
    "them can"
)
