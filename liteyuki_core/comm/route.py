"""One channel as the hub sees it: two sides, and custody of every message under way between them.

What is sent to a side is kept here until somebody who holds that side has handled it, so a
sender need not keep it, and it can be given to the successor of a process that died. Nothing
here knows links or names, waits, runs user code or looks into a message. All under the hub's lock.

Invariants: an entry is either in its side's `waiting` or, with its holder, in `sent`; both are
in order of sequence numbers; what is settled is in neither and was reported to its sender once.
Messages go to the one holder that receives, or, where several do, to whoever has most room.

Crashes. Nobody knows which of the messages that a dead process held it was handling, so at first
each counts one crash. From then on they are PROMPT, and the process says when each begins: one
that had begun counts one more, one that had not begins anew. At `limit` a message is set aside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ChannelError
from . import frames

if TYPE_CHECKING:
    from .peer import Peer

_PROMPT_WINDOW = 64
"""A holder with less room than this acknowledges at once, where others wait for messages too."""


class Holder:
    """A peer that holds a side, and how many messages it was given and has not handled."""

    __slots__ = ("begun", "number", "outstanding", "peer", "ready", "window")

    def __init__(self, peer: Peer, number: int, ready: bool) -> None:
        self.peer = peer
        self.number = number
        self.ready = ready
        self.window = 1
        """How many messages it handles at a time."""
        self.outstanding = 0
        self.begun = False


class Entry:
    """A batch in custody."""

    __slots__ = ("batch", "begun", "crashes", "done", "holder", "left", "links", "number", "source")

    def __init__(
        self,
        batch: frames.Batch,
        source: Peer | None,
        number: int,
        links: tuple[Route, ...] = (),
        crashes: int = 0,
    ) -> None:
        self.batch = batch
        self.source = source
        """Who sent it, as `number`; None for one that was set aside and put back."""
        self.number = number
        self.links = links
        """The channels that travel in it."""
        self.crashes = crashes
        """How many crashes in a row each of its messages was being handled in."""
        self.left = batch.count
        self.done: set[int] | None = None
        """What is acknowledged, once that is not simply the first messages."""
        self.begun: set[int] = set()
        self.holder: Holder | None = None

    def acknowledged(self) -> set[int]:
        """Return the numbers of the messages that were acknowledged."""
        if self.done is not None:
            return self.done
        first = self.batch.first
        return set(range(first, first + self.batch.count - self.left))

    def of(self, batch: frames.Batch, crashes: int) -> Entry:
        """Return an entry for some of the same messages."""
        return Entry(batch, self.source, self.number, self.links, crashes)


class Side:
    """One side of a route and what is under way to it."""

    def __init__(self, process: str | None, unlink: Callable[[tuple[Route, ...]], None]) -> None:
        self.process = process
        """The process this side belongs to; None for one that any process may hold."""
        self.holders: dict[Peer, Holder] = {}
        self.waiting: deque[Entry] = deque()
        self.sent: dict[int, Entry] = {}
        self.lost: set[str | None] = set()
        """The processes that held it when they died."""
        self.ended: type[ChannelError] | None = None
        """Set when nobody holds this side and nobody will, to what the other side gets."""
        self.why = ""
        self.count = 0
        """How many messages came for this side; the number of the next one."""
        self.bytes = 0
        self.redelivered = 0
        self.dropped = 0
        self._unlink = unlink

    @property
    def under_way(self) -> int:
        """How many messages are in custody."""
        return sum(entry.left for entry in (*self.waiting, *self.sent.values()))

    def add(
        self,
        batch: frames.Batch,
        source: Peer | None,
        number: int,
        links: tuple[Route, ...] = (),
    ) -> None:
        """Take a batch into custody and pass it on."""
        if batch.first != self.count:
            batch = batch.having(self.count)
        self.count += batch.count
        self.bytes += batch.size
        self.waiting.append(Entry(batch, source, number, links))
        self.push()

    def push(self) -> None:
        """Pass on what waits to whoever receives."""
        if not self.waiting:
            return
        ready = [holder for holder in self.holders.values() if holder.ready]
        if len(ready) == 1:
            while self.waiting:
                self._give(self.waiting.popleft(), ready[0])
            return
        while self.waiting and ready:
            holder = max(ready, key=lambda holder: holder.window - holder.outstanding)
            room = holder.window - holder.outstanding
            if room <= 0:
                return
            entry = self.waiting.popleft()
            batch = entry.batch
            flags = frames.PROMPT if holder.window < _PROMPT_WINDOW else 0
            take = max(1, min(room, batch.count // len(ready)))
            if take < batch.count:
                self.waiting.appendleft(entry.of(batch.part(take, batch.count), entry.crashes))
                entry = entry.of(batch.part(0, take), entry.crashes)
            entry.batch = entry.batch.having(entry.batch.first, flags)
            self._give(entry, holder)
            self.holders[holder.peer] = self.holders.pop(holder.peer)  # Next time another first.

    def settle(self, ranges: list[tuple[int, int]]) -> None:
        """Let go of messages that were handled."""
        # One frame tells a sender of all its messages, however many batches they came in.
        settled: dict[tuple[Peer | None, int], int] = {}
        for first, count in ranges:
            entry = self.sent.get(first)
            if entry is not None and entry.left == entry.batch.count == count:
                self._settled(entry, count, settled)
                del self.sent[first]
            else:
                self._settle_some(first, first + count, settled)
        for (source, number), count in settled.items():
            if source is not None:
                source.acknowledged(number, count)
        if self.waiting:
            self.push()

    def begin(self, ranges: list[tuple[int, int]]) -> None:
        """Note that the handling of messages begins."""
        for first, count in ranges:
            for start, entry in self.sent.items():
                if start <= first < start + entry.batch.count and entry.holder is not None:
                    entry.begun.update(range(first, first + count))
                    entry.holder.begun = True
                    break

    def drop_holder(self, peer: Peer, crash: bool, limit: int) -> list[Entry]:
        """Take back what `peer` had and has not handled, for its successor.

        After a `crash` it is handed out as redelivered; returns, one message each, those that
        were being handled in `limit` crashes in a row.
        """
        holder = self.holders.pop(peer, None)
        if holder is None:
            return []
        back: list[Entry] = []
        aside: list[Entry] = []
        for start in [start for start, entry in self.sent.items() if entry.holder is holder]:
            entry = self.sent.pop(start)
            done = entry.acknowledged()
            crashes = [
                None if number in done else self._crashes(entry, number, crash)
                for number in range(start, start + entry.batch.count)
            ]
            for count, batch in entry.batch.runs(crashes):
                if crash and count >= limit:
                    each = [batch.part(i, i + 1) for i in range(batch.count)]
                    aside += [entry.of(one, count) for one in each]
                    continue
                if crash:
                    self.redelivered += batch.count
                    flags = frames.REDELIVERED | frames.PROMPT
                    batch = batch.having(batch.first, flags)
                back.append(entry.of(batch, count))
        if back:
            self.waiting.extend(back)
            self.waiting = deque(sorted(self.waiting, key=lambda entry: entry.batch.first))
        for entry in aside:
            self.dropped += 1
            if entry.source is not None:
                entry.source.dropped(entry.number, 1)
        return aside

    def clear(self) -> int:
        """Let go of everything; return how many messages that were."""
        count = 0
        for entry in (*self.waiting, *self.sent.values()):
            count += entry.left
            if entry.source is not None:
                entry.source.dropped(entry.number, entry.left)
            self._unlink(entry.links)
        self.waiting.clear()
        self.sent.clear()
        self.dropped += count
        return count

    def _crashes(self, entry: Entry, number: int, crash: bool) -> int:
        if not crash:
            return entry.crashes
        if not entry.batch.flags & frames.PROMPT:
            return entry.crashes + 1
        if number in entry.begun:
            return entry.crashes + 1
        began_some = entry.holder is not None and entry.holder.begun
        return 0 if began_some else entry.crashes

    def _give(self, entry: Entry, holder: Holder) -> None:
        entry.holder = holder
        entry.begun = set()
        holder.outstanding += entry.left
        self.sent[entry.batch.first] = entry
        holder.peer.deliver(holder.number, entry.batch)

    def _settle_some(
        self, first: int, stop: int, settled: dict[tuple[Peer | None, int], int]
    ) -> None:
        finished = []
        for start, entry in self.sent.items():
            end = start + entry.batch.count
            if end <= first or start >= stop:
                continue
            low, high = max(first, start), min(stop, end)
            if entry.done is None and low == end - entry.left:
                count = high - low
            else:
                done = entry.done = entry.acknowledged()
                before = len(done)
                done.update(range(low, high))
                count = len(done) - before
            self._settled(entry, count, settled)
            if not entry.left:
                finished.append(start)
        for start in finished:
            del self.sent[start]

    def _settled(
        self, entry: Entry, count: int, settled: dict[tuple[Peer | None, int], int]
    ) -> None:
        entry.left -= count
        if entry.holder is not None:
            entry.holder.outstanding -= count
        sender = entry.source, entry.number
        settled[sender] = settled.get(sender, 0) + count
        if not entry.left and entry.links:
            self._unlink(entry.links)


class Route:
    """One channel: two sides, that of whoever made it and the other."""

    def __init__(
        self,
        key: str,
        capacity: int,
        maker: str,
        other: str | None,
        unlink: Callable[[tuple[Route, ...]], None],
    ) -> None:
        self.key = key
        self.name: str | None = None
        self.called = "(unnamed)"
        """The name it has or had, for the log."""
        self.capacity = capacity
        self.sides = (Side(maker, unlink), Side(other, unlink))
        self.links = 0
        """How many messages under way carry this channel."""

    @property
    def title(self) -> str:
        """What it is called in the log."""
        return f"channel {self.called}"

    @property
    def left(self) -> bool:
        """Whether its maker is gone: its name serves only whoever has yet to drain it."""
        return self.sides[0].ended is not None and self.sides[1].process is None

    @property
    def unused(self) -> bool:
        """Whether nobody has it or can get it any more."""
        return (
            self.name is None
            and not self.links
            and not self.sides[0].holders
            and not self.sides[1].holders
        )

    def tell(self, i: int) -> None:
        """Tell the holders of side `i` how the other side is."""
        side, other = self.sides[i], self.sides[1 - i]
        for holder in side.holders.values():
            holder.peer.gone(holder.number, other.ended, other.why, not side.waiting)

    def end_side(self, i: int, kind: type[ChannelError], why: str) -> None:
        """Say that nobody holds side `i` any more and nobody will."""
        side = self.sides[i]
        side.ended, side.why = kind, why
        side.lost.clear()
        self.tell(1 - i)

    def revive_side(self, i: int) -> None:
        """Take that back."""
        side = self.sides[i]
        if side.ended is not None:
            side.ended = None
            self.tell(1 - i)

    def statistics(self) -> dict[str, int]:
        """Return what both directions together have counted."""
        sides = self.sides
        under_way = sum(side.under_way for side in sides)
        sent = sum(side.count for side in sides)
        dropped = sum(side.dropped for side in sides)
        return {
            "sent": sent,
            "acknowledged": sent - dropped - under_way,
            "redelivered": sum(side.redelivered for side in sides),
            "dropped": dropped,
            "backlog": under_way,
            "capacity": self.capacity,
            "bytes": sum(side.bytes for side in sides),
        }
