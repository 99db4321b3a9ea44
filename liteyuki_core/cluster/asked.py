"""The requests of this node that other nodes are to answer.

The hub has given them to a `NodePeer` and keeps them until their outcome is known. All is called on
the cluster's loop. `requests.py` says how nodes talk about requests.

Invariant: a request is in `under_way` of one node and in `_numbers`, or in neither. It gets there
when the hub gives it, and leaves when its outcome comes, when its asker gives up, when its channel
is no more, or when the node is gone; then the hub is told, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from secrets import randbits
from time import monotonic

import msgspec

from ..comm.wire.batch import Batch
from ..comm.wire.headers import Headers
from ..errors import ChannelBroken, ChannelClosed, ChannelError, FrameError, RemoteError
from . import message
from .far import PART_BYTES, Far
from .message import Answer, Answers, Ask, Asks
from .place import Place

_KINDS: dict[str, type[ChannelError]] = {
    kind.__name__: kind for kind in (ChannelBroken, ChannelClosed, RemoteError)
}

_DONE_SECONDS = 0.05
"""For so long it is gathered which outcomes have come."""

_PATIENCE = 2.0
"""A node that nobody hears for so many seconds, as the server says, is gone. It may only be
connecting again."""

_AGAIN_SECONDS = 0.2

_GATHERED_BYTES = 256 * 1024


class _Given:
    """A request that is under way. `at` is its number in the hub."""

    __slots__ = ("ask", "at", "far")

    def __init__(self, far: Far, at: int, ask: Ask) -> None:
        self.far = far
        self.at = at
        self.ask = ask


class _Node:
    """A node that is asked."""

    def __init__(self) -> None:
        self.under_way: dict[int, _Given] = {}
        self.parts: dict[int, list[bytes]] = {}
        """What has come of answers that are not whole."""
        self.asks: list[Ask] = []
        self.size = 0
        self.cancelled: list[int] = []
        self.done: list[int] = []
        self.is_due = False
        self.serial = 0
        """Counts how often it was told all that is under way."""
        self.agrees = True
        """Whether it has nothing in hand for this node, as far as is known."""
        self.silent_since: float | None = None
        self.is_looked_for = False


class Asked:
    """The requests that other nodes are to answer. `tell` sends a word to a node.

    What is gathered for nodes is told by `flush`, which is to follow each call of the others.
    """

    def __init__(
        self,
        node: Place,
        is_alive: Callable[[str], bool],
        tell: Callable[[str, Asks], None],
        ended: Callable[[Far, int, Ask, Answer, bytes], None],
        lost: Callable[[list[Far]], None],
    ) -> None:
        """`ended` hears what has come of what is no request, `lost` that a node is gone with it."""
        self._node = node
        self._hub = node.hub
        self._across = node.across
        self._is_alive = is_alive
        self._tell = tell
        self._ended = ended
        self._lost = lost
        self._nodes: dict[str, _Node] = {}
        self._numbers: dict[tuple[Far, int], int] = {}
        """By the channel, and the request's number in the hub: the number that nodes know."""
        self._due_now: dict[str, _Node] = {}
        self._last = randbits(40) << 20
        """An answer to an earlier life of this node has another number."""

    @property
    def under_way(self) -> int:
        """How many requests are under way."""
        return len(self._numbers)

    # ------------------------------------------------------------- from the hub

    def give(self, far: Far, batch: Batch) -> None:
        """Ask what the hub has given."""
        node, headers = far.peer.node, batch.headers
        assert headers is not None
        asked = self._nodes.setdefault(node, _Node())
        unsendable = []
        for at, entry in enumerate(message.entries_of(batch), batch.first):
            if entry is None:
                unsendable.append(at)
                continue
            self._last += 1
            ask = Ask(
                self._last,
                far.name,
                not far.is_home,
                message.encode([entry]),
                headers.once,
                headers.kill,
                headers.traceparent,
            )
            asked.under_way[self._last] = _Given(far, at, ask)
            self._numbers[far, at] = self._last
            self._ask(node, asked, ask)
        if unsendable:
            why = (
                f"the request can't cross to node {node}: text, bytes, numbers, None, and lists "
                "and dicts of them can"
            )
            self._refuse(far, unsendable, RemoteError, why)
        self.look_at(node)

    def chain(self, far: Far, at: int, kind: int, body: bytes, chain: int, after: int) -> int:
        """Ask a node something about a queue; return its number."""
        node = far.peer.node
        asked = self._nodes.setdefault(node, _Node())
        self._last += 1
        ask = Ask(self._last, far.name, False, body, kind=kind, chain=chain, after=after)
        asked.under_way[self._last] = _Given(far, at, ask)
        self._ask(node, asked, ask)
        return self._last

    def has_chain(self, far: Far) -> bool:
        """Return whether a node was asked something about a queue and has not answered."""
        asked = self._nodes.get(far.peer.node)
        return asked is not None and any(each.far is far for each in asked.under_way.values())

    def forget_chain(self, far: Far) -> int:
        """Forget what a node was asked about a queue; return how many messages that were."""
        asked = self._nodes.get(far.peer.node)
        if asked is None:
            return 0
        count = 0
        for number, given in list(asked.under_way.items()):
            if given.far is far and given.ask.kind != message.REQUEST:
                count += given.ask.kind == message.MESSAGE
                del asked.under_way[number]
                asked.cancelled.append(number)
                self._due(far.peer.node, asked)
        return count

    def look_at(self, node: str) -> None:
        """See whether a node that was just asked is gone."""
        if not self._is_alive(node):
            self._lose(node, self._nodes.setdefault(node, _Node()))

    def cancel(self, far: Far, numbers: Iterable[int]) -> None:
        """Take back requests whose answers nobody waits for any more."""
        numbers = list(numbers)
        for at in numbers:
            self._take_back(far, at)
        # Whether they were handled is not known here.
        self._refuse(far, numbers, ChannelClosed, "nobody waits for it")

    def forget(self, far: Far) -> None:
        """Learn that a channel is no more. The hub knows what comes of its requests."""
        for at in [at for each, at in self._numbers if each is far]:
            self._take_back(far, at)
        self.forget_chain(far)

    def _take_back(self, far: Far, at: int) -> None:
        number = self._numbers.pop((far, at), None)
        if number is not None:
            asked = self._nodes[far.peer.node]
            del asked.under_way[number]
            asked.parts.pop(number, None)
            asked.cancelled.append(number)
            self._due(far.peer.node, asked)

    # ------------------------------------------------------------- from the other nodes

    def hear(self, word: Answers) -> None:
        """Take answers."""
        asked = self._nodes.get(word.node)
        if asked is None:
            return
        asked.silent_since = None
        for answer in word.answers:
            self._end(word.node, asked, answer)
        if word.missing is not None:
            serial, missing = word.missing
            asked.agrees = serial == asked.serial and not asked.under_way
            for number in missing:
                self._again(word.node, asked, number)

    def is_silent(self, node: str) -> None:
        """Learn from the server that a node does not hear requests at this moment."""
        asked = self._nodes.get(node)
        if asked is None:
            return
        if asked.silent_since is None:
            asked.silent_since = monotonic()
        if not asked.is_looked_for:
            asked.is_looked_for = True
            self._node.later(_AGAIN_SECONDS, lambda: self._look_for(node, asked))

    def look(self) -> None:
        """See that nothing was lost, and to nodes that are gone."""
        for node, asked in self._nodes.items():
            if not self._is_alive(node):
                self._lose(node, asked)
            elif asked.under_way or not asked.agrees:
                self._say_all(node, asked)

    def came_back(self, node: str) -> None:
        """Learn that a node has a new life, or may have lost something."""
        asked = self._nodes.get(node)
        if asked is not None and (asked.under_way or not asked.agrees):
            self._say_all(node, asked)

    def connected_again(self) -> None:
        """Learn that something may have been lost."""
        for node in self._nodes:
            self.came_back(node)

    # ------------------------------------------------------------- inside

    def _end(self, node: str, asked: _Node, answer: Answer) -> None:
        number = answer.number
        given = asked.under_way.get(number)
        body = answer.body
        if given is not None and answer.parts > 1:
            parts = asked.parts.pop(number, [])
            if answer.part != len(parts):
                parts = []  # Its first parts are lost, or come again.
            if answer.part == len(parts):
                parts.append(body)
            if parts and len(parts) < answer.parts:
                if sum(map(len, parts)) <= self._node.hub_limit + PART_BYTES:
                    asked.parts[number] = parts
                    return
                parts = [b""]
            if not parts:
                return
            body = b"".join(parts)
        asked.done.append(number)
        self._due(node, asked, _DONE_SECONDS)
        if given is None:
            return  # It was taken back, or has had its outcome already.
        del asked.under_way[number]
        far, at = given.far, given.at
        if given.ask.kind != message.REQUEST:
            self._ended(far, at, given.ask, answer, body)
            return
        del self._numbers[far, at]
        if answer.refusal:
            why = body.decode("utf-8", "replace")
            self._refuse(far, [at], _KINDS.get(answer.refusal, ChannelBroken), why)
            return
        try:
            batch = message.only_batch_of(body)
        except (msgspec.MsgspecError, FrameError) as error:
            self._refuse(
                far, [at], RemoteError, f"what came from node {node} is no answer: {error}"
            )
            return
        batch.headers = Headers(answer=(at,), failed=answer.failed)
        with self._hub.lock:
            self._hub.answer(far.peer, far.number, batch)
        self._hub.pump()

    def _again(self, node: str, asked: _Node, number: int) -> None:
        given = asked.under_way.get(number)
        if given is None:
            return
        if not given.ask.once:
            self._ask(node, asked, given.ask)
            return
        del asked.under_way[number]
        del self._numbers[given.far, given.at]
        why = (
            f"node {node} has lost the request, which may have been begun and is not tried again "
            "because of once=True"
        )
        self._refuse(given.far, [given.at], ChannelBroken, why)

    def _refuse(self, far: Far, numbers: list[int], kind: type[ChannelError], why: str) -> None:
        with self._hub.lock:
            self._across.refuse(far.peer, far.number, numbers, kind, why)
        self._hub.pump()

    def _lose(self, node: str, asked: _Node) -> None:
        """Have others answer what a node that is gone was asked, or have it refused."""
        if not asked.under_way:
            return
        self._lost([*{g.far: None for g in asked.under_way.values() if g.ask.chain}])
        fars: dict[Far, list[int]] = {}
        for given in asked.under_way.values():
            fars.setdefault(given.far, []).append(given.at)
            del self._numbers[given.far, given.at]
        asked.under_way.clear()
        asked.parts.clear()
        asked.asks.clear()
        asked.silent_since = None
        asked.agrees = False
        why = f"node {node} of the cluster, which was to answer, is gone"
        for far, numbers in fars.items():
            if not far.is_home:
                self._refuse(far, numbers, ChannelBroken, why)
                continue
            far.answers = None
            with self._hub.lock:
                self._across.take_requests_from(far.peer, far.number, ChannelBroken, why)
            self._hub.pump()

    def _look_for(self, node: str, asked: _Node) -> None:
        asked.is_looked_for = False
        if asked.silent_since is None or not asked.under_way:
            asked.silent_since = None
        elif monotonic() - asked.silent_since > _PATIENCE:
            self._lose(node, asked)
        else:
            self._say_all(node, asked)
        self.flush()

    # ------------------------------------------------------------- words

    def _ask(self, node: str, asked: _Node, ask: Ask) -> None:
        asked.agrees = False
        body = ask.body
        if len(body) > PART_BYTES:
            self._flush(node, asked)
            parts = -(-len(body) // PART_BYTES)
            for part in range(parts):
                piece = body[part * PART_BYTES : (part + 1) * PART_BYTES]
                one = msgspec.structs.replace(ask, body=piece, part=part, parts=parts)
                self._tell(node, Asks(self._node.name, self._node.epoch, [one]))
            return
        if asked.size + len(body) > _GATHERED_BYTES:
            self._flush(node, asked)
        asked.asks.append(ask)
        asked.size += len(body)
        self._due(node, asked)

    def _say_all(self, node: str, asked: _Node) -> None:
        self._flush(node, asked)
        asked.serial += 1
        still = asked.serial, list(asked.under_way)
        self._tell(node, Asks(self._node.name, self._node.epoch, still=still))

    def _due(self, node: str, asked: _Node, seconds: float = 0.0) -> None:
        """Have what is gathered told, by `flush` or after some time."""
        if not seconds:
            self._due_now[node] = asked
        elif not asked.is_due:
            asked.is_due = True
            self._node.later(seconds, lambda: self._flush(node, asked))

    def flush(self) -> None:
        """Tell what is gathered."""
        due, self._due_now = self._due_now, {}
        for node, asked in due.items():
            self._flush(node, asked)

    def _flush(self, node: str, asked: _Node) -> None:
        asked.is_due = False
        if not (asked.asks or asked.cancelled or asked.done):
            return
        word = Asks(self._node.name, self._node.epoch, asked.asks, asked.cancelled, asked.done)
        asked.asks, asked.cancelled, asked.done, asked.size = [], [], [], 0
        self._tell(node, word)
