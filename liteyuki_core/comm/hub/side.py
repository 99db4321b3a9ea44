"""One side of a channel as the hub sees it: who holds it, and custody of every message for it.

What is sent to a side is kept here until somebody who holds that side has handled it, so a
sender need not keep it, and it can be given to the successor of a process that died. Nothing
here knows links or names, waits, runs user code or looks into a message. All under the hub's lock.

Invariants: an entry is either in its side's `waiting` or, with its holder, in `sent`; `waiting` is
in order of sequence numbers; what is settled is in neither and was reported to its sender once.
A message is in one entry; entries are split and never joined.

Sharing. A holder that alone receives is given everything at once. Where several receive, the side
is shared: a message goes to one that asks at that moment, or whose callbacks have room; of those to
the one with the fewest unhandled. A holder that is read with `receive` then says how many messages
more, or fewer, it asks for. Its `room` is what it has asked for and was not given, and below 0
where it was given more, because it stopped asking meanwhile. What it so keeps in vain is called
back when another holder asks: it begins a new period, at the start of which it gives back what
nobody there has taken. What it said in a period before that counts no more. Until it has, nothing
is given to others, so that each gets messages in order; but no longer than `_PATIENCE`, for it may
be stopped.

Crashes. Nobody knows which of the messages that a dead process held it was handling, so at first
each counts one crash. From then on they are PROMPT, and the process says when each begins: one
that had begun counts one more, one that had not begins anew. At `limit` a message is set aside.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from time import monotonic
from typing import Protocol

from ...errors import ChannelClosed, ChannelError
from ..wire import frames
from ..wire.batch import Batch
from ..wire.words import Ranges

MAIN = "\0main"
"""Stands for the main process among the owners of sides; no process can have this name."""

_PATIENCE = 0.05
"""Seconds that a holder has to give back what it keeps in vain before others get what is newer."""

_PROMPT_WINDOW = 64
"""A holder with less room than this acknowledges at once, where others wait for messages too."""


class Recipient(Protocol):
    """Whoever holds a side, as the side and its channel see it. Called under the lock."""

    process: str | None
    serves_since: float
    """When it had started, of `time.monotonic`; infinite before."""

    def deliver(self, number: int, batch: Batch) -> None:
        """Pass on messages."""

    def acknowledged(self, number: int, count: int) -> None:
        """Pass on that `count` messages sent from this end were handled."""

    def dropped(self, number: int, count: int) -> None:
        """Say that `count` messages sent from this end will not be handled."""

    def gone(
        self, number: int, kind: type[ChannelError] | None, why: str, last: bool, holds: int
    ) -> None:
        """Say that the other side closed or is lost, or, with None, is back.

        `last` says that no message of it will come. A maker that has sent more than `holds`
        messages with the channel is to take no notice: somebody may have it again.
        """

    def shared(self, number: int, period: int) -> None:
        """Say that others receive messages too, from now on in this period; with 0, nobody else.

        What a period is stands at the top of this file.
        """


class Carried(Protocol):
    """A channel that travels in a message. Called under the lock."""

    def unlink(self) -> None:
        """Learn that one message less that carries it is under way."""


class Holder:
    """A peer that holds a side, and how many messages it was given and has not handled."""

    __slots__ = (
        "asks",
        "begun",
        "number",
        "outstanding",
        "owes",
        "peer",
        "period",
        "ready",
        "room",
        "told_last",
        "window",
    )

    def __init__(self, peer: Recipient, number: int, ready: bool) -> None:
        self.peer = peer
        self.number = number
        self.ready = ready
        self.window = 1
        """How many messages its callbacks handle at a time."""
        self.asks = False
        """Whether it is read with `receive`."""
        self.room = 0
        self.period = 0
        """0 while it alone receives."""
        self.owes = False
        """Whether it is to give back what nobody there has taken, and has not yet."""
        self.outstanding = 0
        self.begun = False
        self.told_last = False
        """Whether it was told that no message will come any more."""

    @property
    def free(self) -> int:
        """How many messages it takes where others receive too."""
        return self.room if self.asks else self.window - self.outstanding


class Entry:
    """A batch in custody."""

    __slots__ = ("batch", "begun", "crashed", "done", "holder", "left", "links", "number", "source")

    def __init__(
        self,
        batch: Batch,
        source: Recipient | None,
        number: int,
        links: tuple[Carried, ...] = (),
        crashed: tuple[str, ...] = (),
    ) -> None:
        self.batch = batch
        self.source = source
        """Who sent it, as `number`; None for one that was set aside and put back."""
        self.number = number
        self.links = links
        """The channels that travel in it."""
        self.crashed = crashed
        """The processes in whose crashes, one after another, each of its messages was handled."""
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

    def of(self, batch: Batch, crashed: tuple[str, ...]) -> Entry:
        """Return an entry for some of the same messages."""
        return Entry(batch, self.source, self.number, self.links, crashed)

    def unlink(self) -> None:
        """Let go of the channels that travel in it."""
        for link in self.links:
            link.unlink()


class Side:
    """One side of a route and what is under way to it."""

    def __init__(self, process: str | None) -> None:
        self.process = process
        """The process this side belongs to, or `MAIN`; None for one that any process may hold."""
        self.holders: dict[Recipient, Holder] = {}
        self.waiting: deque[Entry] = deque()
        self.sent: dict[int, Entry] = {}
        self._starts: list[int] = []
        """The keys of `sent`, sorted, among some that were there before."""
        self.shared = False
        self._periods = 0
        self.held_until = 0.0
        """How long messages are held back at most, of `time.monotonic`."""
        self.read = False
        """Whether anybody has ever received here."""
        self.lost: set[str | None] = set()
        """The processes that held it when they died."""
        self.ended: type[ChannelError] | None = None
        """Set when nobody holds this side and nobody will, to what the other side gets."""
        self.why = ""
        self.let_go = False
        """Whether it has so ended because nobody has it, though somebody may get it again."""
        self.count = 0
        """How many messages came for this side; the number of the next one."""
        self.bytes = 0
        self.redelivered = 0
        self.dropped = 0

    @property
    def under_way(self) -> int:
        """How many messages are in custody."""
        return sum(entry.left for entry in (*self.waiting, *self.sent.values()))

    @property
    def is_empty(self) -> bool:
        """Whether no message is in custody."""
        return not self.waiting and not self.sent

    @property
    def is_closed(self) -> bool:
        """Whether it was closed on purpose: what comes for it now is dropped."""
        return self.ended is ChannelClosed and not self.let_go

    @property
    def waits_for_process(self) -> bool:
        """Whether it is a process's own that has ended: what comes now waits for the next one."""
        return self.ended is not None and self.let_go and self.process is not None

    def add(
        self,
        batch: Batch,
        source: Recipient | None,
        number: int,
        links: tuple[Carried, ...] = (),
    ) -> None:
        """Take a batch into custody and pass it on."""
        if batch.first != self.count:
            batch = batch.having(self.count)
        self.count += batch.count
        self.bytes += batch.size
        self.waiting.append(Entry(batch, source, number, links))
        self.push()

    @property
    def is_held(self) -> bool:
        """Whether messages are held back for some that are on their way back."""
        return (
            self.shared
            and any(holder.owes for holder in self.holders.values())
            and monotonic() < self.held_until
        )

    def push(self) -> None:
        """Pass on what waits to whoever receives."""
        if not self.waiting:
            return
        ready = [holder for holder in self.holders.values() if holder.ready]
        if not self.shared:
            while self.waiting and ready:
                self._give(self.waiting.popleft(), ready[0])
            return
        while self.waiting:
            free = [holder for holder in ready if holder.free > 0]
            if free and self._call_back():
                continue  # Main's own end has given back by now, and that was passed on.
            if not free or self.is_held:
                return
            holder = min(free, key=lambda holder: holder.outstanding)
            share = max(1, self.waiting[0].batch.count // len(ready))
            self._give_some(holder, min(holder.free, share))
            self.holders[holder.peer] = self.holders.pop(holder.peer)  # Next time another first.

    # ------------------------------------------------------------- who receives

    def receives(self, holder: Holder, window: int, asks: bool) -> None:
        """Learn that a holder receives: with callbacks for `window` messages, or by asking."""
        holder.window, holder.asks = window, asks
        self.read = True
        if not holder.ready:
            holder.ready = True
            self._share()
        self.push()

    def ask_for(self, holder: Holder, period: int, count: int) -> None:
        """Learn that a holder asks for `count` messages more, or for fewer.

        With 0 it takes one that waits now, and does not stand in line for another.
        """
        if period != holder.period or not holder.asks:
            return
        holder.room += count
        self.push()
        if self.waiting and not count and not self.is_held:
            self._give_some(holder, 1)
        if any(each.ready and each.free > 0 for each in self.holders.values()):
            self._call_back()

    def _call_back(self) -> bool:
        """Have given back what is kept in vain; return whether there was any."""
        keeping = [holder for holder in self.holders.values() if holder.asks and holder.room < 0]
        for holder in keeping:
            self._renew(holder)
        return bool(keeping)

    def take_back(self, holder: Holder, period: int, ranges: Ranges) -> bool:
        """Take back messages that nobody at a holder has taken, at the start of a period.

        Returns whether all of them are with it, and with none handled that came later.
        """
        whole = True
        holder.owes = holder.owes and period != holder.period
        for first, count in ranges:
            for entry, low, high in self._held(holder, first, first + count):
                start = entry.batch.first
                whole = whole and high == start + entry.batch.count
                whole = whole and max(entry.acknowledged(), default=-1) < low
                if not whole:
                    return False
                count -= high - low
                rest = entry.of(entry.batch.part(low - start, high - start), entry.crashed)
                self.waiting.append(rest)
                holder.outstanding -= high - low
                entry.left -= high - low
                if low > start:
                    entry.batch = entry.batch.part(0, low - start)
                if not entry.left:
                    del self.sent[start]
            whole = whole and not count
        self._sort()
        self.push()
        return whole

    def drop_holder(self, peer: Recipient, crash: bool, limit: int) -> list[Entry]:
        """Take back what `peer` had and has not handled, for its successor or for others.

        After a `crash` it is handed out as redelivered; returns, one message each, those that
        were being handled in `limit` crashes in a row.
        """
        holder = self.holders.pop(peer, None)
        if holder is None:
            return []
        aside: list[Entry] = []
        for start in [start for start, entry in self.sent.items() if entry.holder is holder]:
            entry = self.sent.pop(start)
            done = entry.acknowledged()
            crashed = [
                None if number in done else self._crashed(entry, number, crash)
                for number in range(start, start + entry.batch.count)
            ]
            for processes, batch in entry.batch.runs(crashed):
                if crash and len(processes) >= limit:
                    each = [batch.part(i, i + 1) for i in range(batch.count)]
                    aside += [entry.of(one, processes) for one in each]
                    continue
                if crash:
                    self.redelivered += batch.count
                    flags = frames.REDELIVERED | frames.PROMPT
                    batch = batch.having(batch.first, flags)
                self.waiting.append(entry.of(batch, processes))
        self._sort()
        for entry in aside:
            self.dropped += 1
            if entry.source is not None:
                entry.source.dropped(entry.number, 1)
        self._share()
        return aside

    def _share(self) -> None:
        """Have what has changed in who receives take effect."""
        ready = [holder for holder in self.holders.values() if holder.ready]
        self.shared = len(ready) > 1
        for holder in ready:
            if self.shared and not holder.period:
                self._renew(holder)
            elif not self.shared and holder.period:
                holder.period = holder.room = 0
                holder.owes = False
                holder.peer.shared(holder.number, 0)

    def _renew(self, holder: Holder) -> None:
        self._periods += 1
        holder.period, holder.room, holder.owes = self._periods, 0, True
        self.held_until = monotonic() + _PATIENCE
        holder.peer.shared(holder.number, holder.period)

    # ------------------------------------------------------------- what becomes of messages

    def settle(self, holder: Holder, ranges: Ranges) -> bool:
        """Let go of messages that a holder has handled; return whether it had them all."""
        # One frame tells a sender of all its messages, however many batches they came in.
        settled: dict[tuple[Recipient | None, int], int] = {}
        whole = True
        for first, count in ranges:
            entry = self.sent.get(first)
            if (
                entry is not None
                and entry.holder is holder
                and entry.left == entry.batch.count == count
            ):
                self._settled(entry, count, settled)
                del self.sent[first]
            else:
                whole = self._settle_some(holder, first, first + count, settled) and whole
        for (source, number), count in settled.items():
            if source is not None:
                source.acknowledged(number, count)
        if self.waiting:
            self.push()
        return whole

    def begin(self, holder: Holder, ranges: Ranges) -> bool:
        """Note that the handling of messages begins; return whether the holder has them."""
        whole = True
        for first, count in ranges:
            for entry, low, high in self._held(holder, first, first + count):
                entry.begun.update(range(low, high))
                count -= high - low
                holder.begun = True
            whole = whole and not count
        return whole

    def clear(self) -> int:
        """Let go of everything; return how many messages that were."""
        count = 0
        for entry in (*self.waiting, *self.sent.values()):
            count += entry.left
            if entry.source is not None:
                entry.source.dropped(entry.number, entry.left)
            entry.unlink()
        self.waiting.clear()
        self.sent.clear()
        self.dropped += count
        return count

    def _crashed(self, entry: Entry, number: int, crash: bool) -> tuple[str, ...]:
        if not crash:
            return entry.crashed
        assert entry.holder is not None
        if not entry.batch.flags & frames.PROMPT or number in entry.begun:
            return (*entry.crashed, str(entry.holder.peer.process))
        return () if entry.holder.begun else entry.crashed

    def _give(self, entry: Entry, holder: Holder) -> None:
        first = entry.batch.first
        entry.holder = holder
        entry.begun = set()
        holder.outstanding += entry.left
        holder.room -= entry.left
        self.sent[first] = entry
        starts = self._starts
        if not starts or first > starts[-1]:
            starts.append(first)
            if len(starts) > 2 * len(self.sent) + 64:
                self._starts = sorted(self.sent)
        elif starts[bisect_right(starts, first) - 1] != first:
            insort(starts, first)
        holder.peer.deliver(holder.number, entry.batch)

    def _give_some(self, holder: Holder, count: int) -> None:
        entry = self.waiting.popleft()
        batch = entry.batch
        if count < batch.count:
            self.waiting.appendleft(entry.of(batch.part(count, batch.count), entry.crashed))
            entry = entry.of(batch.part(0, count), entry.crashed)
        if holder.window < _PROMPT_WINDOW:
            entry.batch = entry.batch.having(entry.batch.first, frames.PROMPT)
        self._give(entry, holder)

    def _sort(self) -> None:
        self.waiting = deque(sorted(self.waiting, key=lambda entry: entry.batch.first))

    def _held(self, holder: Holder, first: int, stop: int) -> list[tuple[Entry, int, int]]:
        """Return the entries of a holder with messages from `first` to before `stop`, and which."""
        starts = self._starts
        found = []
        at = max(0, bisect_right(starts, first) - 1)
        while at < len(starts) and starts[at] < stop:
            entry = self.sent.get(starts[at])
            if entry is not None and entry.holder is holder:
                low = max(first, starts[at])
                high = min(stop, starts[at] + entry.batch.count)
                if low < high:
                    found.append((entry, low, high))
            at += 1
        return found

    def _settle_some(
        self,
        holder: Holder,
        first: int,
        stop: int,
        settled: dict[tuple[Recipient | None, int], int],
    ) -> bool:
        missing = stop - first
        for entry, low, high in self._held(holder, first, stop):
            start = entry.batch.first
            if entry.done is None and low == start + entry.batch.count - entry.left:
                count = high - low
            else:
                done = entry.done = entry.acknowledged()
                before = len(done)
                done.update(range(low, high))
                count = len(done) - before
            missing -= count
            self._settled(entry, count, settled)
            if not entry.left:
                del self.sent[start]
        return not missing

    def _settled(
        self, entry: Entry, count: int, settled: dict[tuple[Recipient | None, int], int]
    ) -> None:
        entry.left -= count
        if entry.holder is not None:
            entry.holder.outstanding -= count
        sender = entry.source, entry.number
        settled[sender] = settled.get(sender, 0) + count
        if not entry.left and entry.links:
            entry.unlink()
