"""Which letters are handled: their senders and the server are told, and what they say is heard.

A letter whose messages are handled here may have made this node send something. It counts as
handled for the server only when that has left: if this node dies before, the letter comes again.

`note` and `take` are called under the hub's lock, all else on the cluster's loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

import nats.errors

from .connection import Refused
from .far import Arrival, Far, NodePeer
from .incoming import Incoming
from .message import Word
from .place import Place

_NO_MESSAGE = 10037
_LATE_SECONDS = 5.0
"""A letter that nobody has said is handled for so long is looked for on the stream."""


class Note(NamedTuple):
    """A letter of which messages are handled. `busy`: what must have left before it counts."""

    incoming: Incoming
    arrival: Arrival
    sender: str
    numbers: list[int]
    handled: int
    busy: list[tuple[Far, int]]


class Handled:
    """The letters of one node that are handled."""

    def __init__(self, node: Place, peers: Mapping[str, NodePeer]) -> None:
        self._node = node
        self._peers = peers
        self._noted: list[Note] = []
        """Under the lock."""
        self._whole: deque[Note] = deque()
        self._acks: list[str] = []
        self._acking = False

    # ------------------------------------------------------------- under the hub's lock

    def note(self, incoming: Incoming, arrival: Arrival, sender: str, numbers: list[int]) -> None:
        """Note how many messages of a letter are handled.

        Of one that was late the sender learns by the end of the channel: it has no more room there.
        """
        busy = []
        if arrival.handled >= arrival.count:
            busy = [(far, far.accepted) for far in self._node.busy]
        if not arrival.was_late:
            arrival.far.has_handled(arrival.number, arrival.handled)
        self._noted.append(Note(incoming, arrival, sender, numbers, arrival.handled, busy))

    def take(self) -> list[Note]:
        """Return what was noted, once."""
        noted, self._noted = self._noted, []
        return noted

    # ------------------------------------------------------------- on the loop

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be told."""
        return bool(self._noted or self._acks)

    def tell(self, noted: list[Note]) -> None:
        """Tell the senders how many messages are handled, and the server of whole letters."""
        words: dict[str, dict[tuple[str, bool], dict[int, int]]] = {}
        for each in noted:
            if each.handled >= each.arrival.count:
                self._whole.append(each)
            if each.arrival.was_late:
                continue
            about = words.setdefault(each.sender, {})
            incoming = each.incoming
            counts = about.setdefault((incoming.name, not incoming.is_home), {})
            counts[each.arrival.number] = max(each.handled, counts.get(each.arrival.number, 0))
        if noted:
            self.has_left()
        node = self._node
        for name, about in words.items():
            told = [(one, home, list(counts.items())) for (one, home), counts in about.items()]
            word = Word(node.name, node.epoch, handled=told)
            node.task(node.tell(node.subjects.words(name), word))

    def has_left(self) -> None:
        """Learn that a far end has sent something: letters may count as handled that waited."""
        whole = self._whole
        while whole:
            first = whole[0]
            if any(far.published < count and not far.stuck for far, count in first.busy):
                return
            whole.popleft()
            first.incoming.done(first.numbers)

    def acknowledge(self, reply: str) -> None:
        """Acknowledge a letter on the stream."""
        self._acks.append(reply)
        if not self._acking:
            self._acking = True
            self._node.task(self._acknowledge())

    async def _acknowledge(self) -> None:
        while self._acks:
            acks, self._acks = self._acks, []
            for reply in acks:
                # One that is lost is sent again when the letter comes again.
                with suppress(nats.errors.Error, OSError):
                    await self._node.connection.tell(reply, b"+ACK")
        self._acking = False

    def learn(self, word: Word) -> None:
        """Learn from another node how many messages it has handled."""
        peer = self._peers.get(word.node)
        if peer is None:
            return
        for name, home, counts in word.handled:
            far = peer.by_name.get((name, home))
            for number, count in counts:
                if far is not None:
                    far.handled(number, count)

    async def look(self, *, at_once: bool = False) -> None:
        """Look for letters on the stream that nobody has said are handled."""
        before = monotonic() - (0 if at_once else _LATE_SECONDS)
        for peer in list(self._peers.values()):
            for far in list(peer.fars.values()):
                for number, sent in list(far.sent.items()):
                    if sent.at > before or await self._is_there(number):
                        break
                    far.handled(number, len(sent.numbers))

    async def _is_there(self, number: int) -> bool:
        node = self._node
        try:
            await node.connection.ask(f"STREAM.MSG.GET.{node.subjects.stream}", {"seq": number})
        except Refused as error:
            return error.code != _NO_MESSAGE
        except (nats.errors.Error, asyncio.TimeoutError, OSError):
            pass
        return True
