"""Queues between nodes: one node has the queue, and gives others what they ask for.

A process of another node has a stand-in. What it sends goes to the node that has the queue as on a
channel, by the stream. What it is to receive is asked of its node like a request, see
`requests.py`: so a node that is gone gives up what it was given, and others get it. The answer says
that the message was handled, or that nobody wants it any more.

What a node is asked about a queue is a chain: it takes each only after the one before it, so the
order holds though a word may be lost. It says how many messages of the chain it may be given in
all: what it was given and what its processes ask for. The node that has the queue knows how many of
these it has given, so nothing has to be added up on the way. A chain begins anew when the other
node has a new life, or was given up.

`Giving` is for the queues of this node, `Taking` for those of other nodes. All is called on the
cluster's loop, except for what says that it is called under the hub's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .. import log
from ..comm.hub.side import Entry
from ..errors import ChannelClosed
from ..language import say
from . import message
from .far import Arrival, Far
from .message import Answer, Answers, Ask, Gone
from .place import Place

_OWING_SECONDS = 0.05
"""So long the processes of this node have to give back what they do not want."""


class _Given:
    """What another node was given of one queue."""

    __slots__ = ("begun", "count", "epoch", "last", "number")

    def __init__(self, number: int, epoch: str) -> None:
        self.number = number
        """The chain's."""
        self.epoch = epoch
        """The life of the node that the chain is for."""
        self.last = 0
        """The number of what it was asked last."""
        self.count = 0
        """How many messages it was given. Under the lock."""
        self.begun = False
        """Whether the node is known to have the chain."""


class Giving:
    """What this node gives of its queues. `ask` asks a node something, in a chain."""

    def __init__(
        self,
        node: Place,
        epoch_of: Callable[[str], str],
        has_left: Callable[[str], bool],
        ask: Callable[[Far, int, int, bytes, int, int], int],
        forget: Callable[[Far], int],
    ) -> None:
        """`has_left` says whether a node has stopped in good order. `forget` forgets what is under
        way about a queue, and returns how many messages of it.
        """
        self._node = node
        self._hub = node.hub
        self._across = node.across
        self._epoch_of = epoch_of
        self._has_left = has_left
        self._ask = ask
        self._forget = forget
        self._chains: dict[Far, _Given] = {}
        self._last = 0

    # ------------------------------------------------------------- under the hub's lock

    def count(self, far: Far, count: int) -> int:
        """Count messages that the hub gives; return the chain that they are for."""
        chain = self._chain(far)
        chain.count += count
        return chain.number

    def _chain(self, far: Far) -> _Given:
        chain = self._chains.get(far)
        if chain is None:
            self._last += 1
            chain = self._chains[far] = _Given(self._last, self._epoch_of(far.peer.node))
        return chain

    # ------------------------------------------------------------- from the hub

    def has(self, far: Far, chain: int) -> bool:
        """Return whether that is still the chain. Else what was for it was taken back."""
        now = self._chains.get(far)
        return now is not None and now.number == chain

    def give(self, far: Far, number: int, entry: message.Entry) -> None:
        """Give a message."""
        self._say(far, number, message.MESSAGE, message.encode([entry]))

    def skip(self, far: Far, numbers: list[int]) -> None:
        """Give no messages that can't cross."""
        with self._hub.lock:
            self._chain(far).count -= len(numbers)
        far.leave_out(numbers)

    def end(self, far: Far, gone: Gone) -> None:
        """Say that the queue is closed."""
        self._say(far, 0, message.END, message.encode(gone))

    def call_back(self, far: Far, period: int) -> None:
        """Have what nobody there wants given back."""
        self._say(far, period, message.CALL_BACK, b"")

    def _say(self, far: Far, at: int, kind: int, body: bytes) -> None:
        if far.number in far.peer.ends:
            chain = self._chain(far)
            chain.last = self._ask(far, at, kind, body, chain.number, chain.last)

    # ------------------------------------------------------------- from the other node

    def ended(self, far: Far, at: int, ask: Ask, answer: Answer, body: bytes) -> None:
        """Learn what has come of something that a node was asked."""
        hub, peer, number = self._hub, far.peer, far.number
        chain = self._chains.get(far)
        if chain is None or chain.number != ask.chain:
            return
        chain.begun = True
        refusal = answer.refusal
        if ask.kind == message.MESSAGE and refusal not in ("", *_NOT_TAKEN):
            far.leave_out([at])
            return
        if ask.kind == message.END and refusal:
            far.leave()  # It has left before, and what it had sent came after that.
            return
        with hub.lock:
            if ask.kind == message.CALL_BACK:
                hub.give_back(peer, number, at, [])
            elif ask.kind == message.MESSAGE and not refusal:
                hub.acknowledge(peer, number, [(at, 1)])
            elif ask.kind == message.MESSAGE:
                crashed = message.read_names(body) if refusal == message.GIVEN_BACK else []
                if refusal != message.GIVEN_BACK:
                    self._across.rests(peer, number)
                self._across.put_back(peer, number, at, tuple(crashed))
        hub.pump()

    def allowed(self, word: Answers) -> None:
        """Learn how many messages a node may be given."""
        for name, (number, count) in word.allowed.items():
            far = self._node.far_for(word.node, name, is_home=True)
            if far is None or not far.is_queue:
                continue
            chain = self._chains.get(far)
            if chain is not None and chain.begun and not number:
                self.lose([far])  # It has given up this node, and its part of the chain.
                chain = None
            same = chain is not None and chain.number == number
            with self._hub.lock:
                room = count - chain.count if chain is not None and same else count
                self._across.allow(far.peer, far.number, room if same else 0, ready=room > 0)
            self._hub.pump()

    def new_life(self, node: str, epoch: str) -> None:
        """Learn that a node has come, and which life it has."""
        self.lose(
            [
                far
                for far, chain in self._chains.items()
                if far.peer.node == node and chain.epoch != epoch
            ]
        )

    def lose(self, fars: list[Far]) -> None:
        """Take back what a node was given: it is gone. Others get it."""
        for far in fars:
            crash = not self._has_left(far.peer.node)
            with self._hub.lock:
                if self._chains.pop(far, None) is None:
                    continue
                self._across.take_from(far.peer, far.number, crash)
            self._hub.pump()
            count = self._forget(far)
            if count and crash:
                log.logger.warning(
                    say(
                        "queue {name}: node {node} is gone with {count} messages, which others "
                        "get now; it may have handled them",
                        name=far.name,
                        node=far.peer.node,
                        count=count,
                    )
                )

    def forget(self, far: Far) -> None:
        """Learn that the queue is no more, or that the node does not have it any more."""
        self._chains.pop(far, None)


class _Taken:
    """What this node was given of one queue."""

    __slots__ = ("count", "last", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        """The chain's."""
        self.last = 0
        """The number of what it was asked last."""
        self.count = 0
        """How many messages came."""


class _Back(NamedTuple):
    """What is to be given back is still with processes of this node."""

    node: str
    number: int


class Taking:
    """What this node takes of other nodes' queues.

    `answer` answers a node, `allow` tells it how much it may give.
    """

    def __init__(
        self,
        node: Place,
        answer: Callable[[str, Answer], None],
        allow: Callable[[str, str, int, int], None],
    ) -> None:
        self._node = node
        self._hub = node.hub
        self._across = node.across
        self._answer = answer
        self._allow = allow
        self._chains: dict[tuple[str, str], _Taken] = {}
        """By the node, and the name of its queue."""
        self._fars: dict[Far, None] = {}
        """The stand-ins that processes here have asked for messages of."""
        self._owing: dict[Far, list[_Back]] = {}
        self._in_hand: dict[tuple[str, int], Arrival] = {}
        """By the node that has given it, and its number: a message that is not handled."""

    # ------------------------------------------------------------- from the other nodes

    def is_next(self, node: str, ask: Ask) -> bool:
        """Return whether something comes after what came before."""
        chain = self._chains.get((node, ask.name))
        if chain is None or ask.chain > chain.number:
            if ask.after:
                return False
            self._chains[node, ask.name] = _Taken(ask.chain)
            return True
        return ask.chain == chain.number and ask.after == chain.last

    def take(self, node: str, ask: Ask, body: bytes) -> None:
        """Take what a node asks. Raises what reading it raises."""
        chain, number = self._chains[node, ask.name], ask.number
        chain.last = number
        far = self._node.far_for(node, ask.name, is_home=False)
        if far is None or far.wanted is None or far.number not in far.peer.ends:
            self._answer(node, Answer(number, b"", refusal=ChannelClosed.__name__))
        elif ask.kind == message.MESSAGE:
            batch = message.only_batch_of(body)
            chain.count += 1
            arrival = Arrival(far.peer, far, number, lambda _: self._handled(node, number))
            arrival.count = 1
            self._in_hand[node, number] = arrival
            with self._hub.lock:
                self._hub.data(arrival, far.number, batch)
            self._hub.pump()
        elif ask.kind == message.END:
            far.ends_there(message.read_gone(body))
            refusal = "" if far.opened else ChannelClosed.__name__  # Nobody here has it any more.
            self._answer(node, Answer(number, b"", refusal=refusal))
        else:
            self._fars[far] = None
            self._owing.setdefault(far, []).append(_Back(node, number))
            with self._hub.lock:
                far.wanted.call_back()
            self._hub.pump()
            self._node.later(_OWING_SECONDS, lambda: self._give_back(far, at_once=True))
            self._give_back(far)

    def _handled(self, node: str, number: int) -> None:
        """Note that a message is handled. Under the lock."""
        if self._in_hand.pop((node, number), None) is not None:
            self._node.requests.handled(node, number)

    def cancel(self, node: str, number: int) -> None:
        """Learn that others get a message that this node was given."""
        arrival = self._in_hand.get((node, number))
        if arrival is not None:
            with self._hub.lock:
                del self._in_hand[node, number]
                if arrival.far.wanted is not None:
                    arrival.far.wanted.discard(arrival)

    # ------------------------------------------------------------- from the hub

    def wants(self, far: Far) -> None:
        """Say what is wanted of a queue now, and give back what was called back."""
        self._fars[far] = None
        with self._hub.lock:
            self._across.send_on(far.peer, far.number)
        self._hub.pump()
        self._give_back(far)
        self._say(far)

    def _say(self, far: Far) -> None:
        if far.wanted is None or far.number not in far.peer.ends:
            return
        node = far.peer.node
        with self._hub.lock:
            count = far.wanted.wanted
        chain = self._chains.get((node, far.name))
        if chain is None:
            self._allow(node, far.name, 0, count)
        else:
            self._allow(node, far.name, chain.number, chain.count + count)

    def _give_back(self, far: Far, *, at_once: bool = False) -> None:
        if far not in self._owing or far.wanted is None:
            return
        back = []
        with self._hub.lock:
            if far.wanted.is_held and not at_once:
                return
            for entry in far.wanted.take_waiting(self._is_not_given):
                assert isinstance(entry.source, Arrival)
                node, number = entry.source.node, entry.source.number
                del self._in_hand[node, number]
                back.append((node, number, entry.crashed))
        for node, number, crashed in back:
            body = message.encode([name[:1024] for name in crashed])
            self._answer(node, Answer(number, body, refusal=message.GIVEN_BACK))
        for owed in self._owing.pop(far):
            self._answer(owed.node, Answer(owed.number, b""))
        self._say(far)

    def _is_not_given(self, entry: Entry) -> bool:
        source = entry.source
        return not isinstance(source, Arrival) or (source.node, source.number) not in self._in_hand

    # ------------------------------------------------------------- nodes and channels

    def look(self) -> None:
        """Say again what is wanted: what was said may be lost."""
        for far in self._fars:
            if far.wanted is not None and far.wanted.wanted:
                self._say(far)

    def came_back(self, node: str) -> None:
        """Learn that a node may not know what is wanted."""
        for far in self._fars:
            if far.peer.node == node:
                self._say(far)

    def let_go(self, node: str) -> None:
        """Learn that a life of a node is over. What it has given is handled here."""
        for key in [key for key in self._chains if key[0] == node]:
            del self._chains[key]
        with self._hub.lock:
            for each in [each for each in self._in_hand if each[0] == node]:
                del self._in_hand[each]
        for far in [far for far in self._owing if far.peer.node == node]:
            del self._owing[far]

    def forget(self, far: Far) -> None:
        """Learn that a queue is no more."""
        self._fars.pop(far, None)
        self._owing.pop(far, None)


_NOT_TAKEN = (message.GIVEN_BACK, ChannelClosed.__name__)
