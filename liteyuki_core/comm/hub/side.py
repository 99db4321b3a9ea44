"""One side of a channel as the hub sees it: who holds it, and custody of every message for it.

A side keeps each message that is sent to it until a holder of the side has handled that message.
So the sender need not keep it, and a message that a dead process held can be given to its
successor. Nothing here knows links or names, waits, runs user code or looks into a message. The
caller of every method holds the hub's lock.

Invariants.
- An entry is in `waiting`, without a holder, or in `sent`, with its holder. Each message is in one
  entry. Entries are split and never joined.
- `waiting` is in the order of sequence numbers.
- A settled message is in neither of them. It was reported to its sender once.

Sharing. If only one holder receives, it is given every message at once. If several holders receive,
the side is shared. Then a message goes to a holder that asks at that moment, or whose callbacks
have room; among these, to the holder with the fewest unhandled messages. A holder that is read with
`receive` says how many messages more, or fewer, it asks for. Its `room` is how many messages it has
asked for and was not given. `room` is below 0 if the holder was given more than it still asks for,
because its receivers stopped asking in the meantime. When another holder asks, these surplus
messages are called back: a new period begins for the holder, and at the start of it the holder
gives back the messages that none of its receivers has taken. What the holder said in an earlier
period is ignored. Until the holder has given back, no other holder is given messages, so that each
holder gets messages in order. This lasts at most `_PATIENCE`, because the holder's process may be
stopped. A holder that only looks, as `receive_nowait` does, has a surplus called back if it has
stayed where it is for `_SURPLUS_SECONDS`.

Crashes. Nobody knows which of its messages a dead process was handling. So a first crash counts for
every message that the process held. From then on these messages are PROMPT: the process says when
it begins each of them. In the next crash the count of a message that had begun rises by one. If any
message had begun, the count of those that had not goes back to 0. At `limit` crashes a message is
set aside.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, deque
from collections.abc import Callable, Sequence, Set
from time import monotonic
from typing import Protocol

from ...errors import ChannelClosed, ChannelError
from ..wire import frames
from ..wire.batch import Batch
from ..wire.words import Ranges

MAIN = "\0main"
"""Stands for the main process where a child's name is expected. No child can have this name."""

_PATIENCE = 0.05
"""Seconds that a holder has to give back its surplus before others get newer messages."""

_SURPLUS_SECONDS = 1.0
"""Seconds that a surplus stays with its holder while others only look, as `receive_nowait` does. A
holder that itself only looks, but this often, finds its message at its next look."""

PROMPT_WINDOW = 64
"""On a shared side, a holder with a smaller window than this must acknowledge at once."""


_NONE: frozenset[int] = frozenset()


class Recipient(Protocol):
    """A peer that holds a side, as the side and its channel see it. Called under the lock."""

    process: str | None
    """The name of the child; None for the main process."""
    serves_since: float
    """When the process was ready, by `time.monotonic`; infinite before that."""

    def deliver(self, number: int, batch: Batch) -> None:
        """Pass on messages."""

    def acknowledged(self, number: int, count: int) -> None:
        """Pass on that `count` messages sent from this end were handled."""

    def dropped(self, number: int, count: int) -> None:
        """Pass on that `count` messages sent from this end will not be handled."""

    def gone(
        self,
        number: int,
        kind: type[ChannelError] | None,
        why: str,
        last: bool,
        holds: int,
        lines: tuple[str, ...] = (),
    ) -> None:
        """Pass on that the other side closed or is lost or, if `kind` is None, is back.

        `lines` are the last lines of its process, if it is lost. `last` says that no message from
        the other side will come. A maker that has sent more than `holds` messages that carry the
        channel must ignore this call: such a message may bring the channel to a new holder.
        """

    def shared(self, number: int, period: int, requests: bool) -> None:
        """Pass on that the side is shared, and that this period begins; 0: it is not shared.

        The top of this file says what a period is. `requests` have periods of their own.
        """

    def answered(self, number: int, batch: Batch) -> None:
        """Pass on answers to requests from this end. They also say that these were handled."""

    def refused(
        self, number: int, requests: Sequence[int], kind: type[ChannelError], why: str
    ) -> None:
        """Pass on that requests from this end will not be answered."""

    def cancelled(self, number: int, requests: Sequence[int]) -> None:
        """Pass on that nobody waits any more for answers to requests given to this end."""


class Carried(Protocol):
    """A channel that travels in a message. Called under the lock."""

    def unlink(self) -> None:
        """Learn that one message that carried the channel is no longer under way."""


class Holder:
    """A peer that has an end of a side, and what the side knows of it.

    `outstanding` is how many messages the holder was given and has not handled.
    """

    __slots__ = (
        "asks",
        "begun",
        "given_at",
        "number",
        "opened_at",
        "outstanding",
        "owes",
        "peer",
        "period",
        "ready",
        "room",
        "singly",
        "told_last",
        "window",
    )

    def __init__(self, peer: Recipient, number: int, ready: bool) -> None:
        self.peer = peer
        self.number = number
        self.opened_at = monotonic()
        self.ready = ready
        self.window = 1
        """How many messages its callbacks handle at a time."""
        self.asks = False
        """Whether it is read with `receive`."""
        self.room = 0
        self.period = 0
        """0 while no other holder receives."""
        self.owes = False
        """Whether the holder still has to give back messages for the current period."""
        self.outstanding = 0
        self.given_at = 0.0
        """When it was given its last message, if others receive too (`time.monotonic`)."""
        self.begun = False
        """Whether the holder has said of any message that it begins."""
        self.told_last = False
        """Whether the holder was told that no message will come any more."""
        self.singly = False
        """Whether it is given each message alone, and may give back any of them."""

    @property
    def free(self) -> int:
        """How many messages the holder takes now, on a shared side."""
        return self.room if self.asks else self.window - self.outstanding


class Entry:
    """A batch in custody."""

    __slots__ = (
        "batch",
        "begun",
        "crashed",
        "done",
        "holder",
        "links",
        "number",
        "remaining",
        "source",
    )

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
        """The sender, which calls its end `number`; None for a message that was put back."""
        self.number = number
        self.links = links
        """The channels that travel in the batch."""
        self.crashed = crashed
        """The names of the children in whose crashes, in a row, each message was being handled."""
        self.remaining = batch.count
        """How many messages are not acknowledged."""
        self.done: set[int] | None = None
        """The acknowledged messages, as soon as these are not simply the first ones."""
        self.begun: Set[int] = _NONE
        """The messages that the holder has begun."""
        self.holder: Holder | None = None

    def acknowledged(self) -> set[int]:
        """Return the numbers of the messages that were acknowledged."""
        if self.done is not None:
            return self.done
        first = self.batch.first
        return set(range(first, first + self.batch.count - self.remaining))

    def of(self, batch: Batch, crashed: tuple[str, ...]) -> Entry:
        """Return an entry for some of the same messages."""
        return Entry(batch, self.source, self.number, self.links, crashed)

    def unlink(self) -> None:
        """Let go of the channels that travel in the batch."""
        for link in self.links:
            link.unlink()


class Side:
    """One side of a route, and the messages under way to it."""

    of_requests = False
    """Whether these are requests. They are numbered for themselves."""

    def __init__(self, process: str | None) -> None:
        self.process = process
        """The name of the child this side belongs to, or `MAIN`; None: any process may hold it."""
        self.holders: dict[Recipient, Holder] = {}
        self.waiting: deque[Entry] = deque()
        self.sent: dict[int, Entry] = {}
        self._starts: list[int] = []
        """The keys of `sent`, sorted, and with them some former keys."""
        self.shared = False
        """Whether several holders receive."""
        self.always_shared = False
        """Whether it is shared as soon as one holder receives."""
        self._periods = 0
        self.held_until = 0.0
        """Messages are held back until then at most, by `time.monotonic`."""
        self.read = False
        """Whether any holder has ever received."""
        self.lost: set[str | None] = set()
        """The names of the children whose processes held this side when they ended."""
        self.ended: type[ChannelError] | None = None
        """Set when no peer holds this side or will hold it: the error that the other side gets."""
        self.why = ""
        self.lines: tuple[str, ...] = ()
        """The last lines of the process whose end has ended this side."""
        self.let_go = False
        """Whether it ended only because no peer holds it now: one may still get it again."""
        self.count = 0
        """How many messages came for this side; also the number of the next message."""
        self.bytes = 0
        self.redelivered = 0
        self.dropped = 0
        self.peek: Callable[[Entry, Holder], object] | None = None
        """Sees what is given to holders; None while nobody peeks at the channel, see `peeks.py`."""

    @property
    def under_way(self) -> int:
        """How many messages are in custody."""
        return sum(entry.remaining for entry in (*self.waiting, *self.sent.values()))

    @property
    def owner(self) -> str | None:
        """The only process that can handle what comes, or `MAIN`. None: several may, or nobody."""
        if self.process is None and len(self.holders) == 1:
            (holder,) = self.holders.values()
            return holder.peer.process or MAIN
        return self.process

    def count_by_process(self, counts: Counter[str]) -> None:
        """Add how many messages each process was given, or waits for it alone; `MAIN` is main."""
        for holder in self.holders.values():
            counts[holder.peer.process or MAIN] += holder.outstanding
        if self.owner is not None:
            counts[self.owner] += sum(entry.remaining for entry in self.waiting)

    def count_sent(self, counts: Counter[str]) -> None:
        """Add how many messages ever came for the process that is the only one to handle them."""
        if self.owner is not None:
            counts[self.owner] += self.count

    @property
    def is_empty(self) -> bool:
        """Whether no message is in custody."""
        return not self.waiting and not self.sent

    @property
    def is_closed(self) -> bool:
        """Whether it was closed on purpose. Then messages that still come are dropped."""
        return self.ended is ChannelClosed and not self.let_go

    @property
    def waits_for_successor(self) -> bool:
        """Whether it is the own side of a child that has ended: messages wait for its successor."""
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
        entry = Entry(batch, source, number, links)
        if not self.waiting and not self.shared and len(self.holders) == 1:
            # What `push` would do. Most sides have one holder, and nothing waits.
            (holder,) = self.holders.values()
            if holder.ready:
                self._give(entry, holder)
                return
        self.waiting.append(entry)
        self.push()

    @property
    def is_held(self) -> bool:
        """Whether messages are held back because older ones are on their way back."""
        return (
            self.shared
            and any(holder.owes for holder in self.holders.values())
            and monotonic() < self.held_until
        )

    def push(self) -> None:
        """Give waiting messages to the holders that receive."""
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
                continue  # The main process's own end has given back at once.
            if not free or self.is_held:
                return
            holder = min(free, key=lambda holder: holder.outstanding)
            portion = max(1, self.waiting[0].batch.count // len(ready))
            if holder.singly:
                portion = 1
            self._give_some(holder, min(holder.free, portion))
            self.holders[holder.peer] = self.holders.pop(holder.peer)  # Next time it is the last.

    # ------------------------------------------------------------- receiving holders

    def receives(self, holder: Holder, window: int, asks: bool) -> None:
        """Learn that a holder receives: with `receive` if `asks`, else with callbacks.

        The callbacks handle `window` messages at a time.
        """
        holder.window, holder.asks = window, asks
        self.read = True
        if not holder.ready:
            holder.ready = True
            self._update_sharing()
        self.push()

    def rests(self, holder: Holder) -> None:
        """Learn that a holder receives no more. It keeps what it was given."""
        if holder.ready:
            holder.ready = holder.owes = False
            holder.period = holder.room = 0
            self._update_sharing()

    def ask_for(self, holder: Holder, period: int, count: int) -> None:
        """Learn that a holder asks for `count` messages more, or for fewer.

        With a `count` of 0 it is given one message if one waits now, and asks for no later one.
        """
        if period != holder.period or not holder.asks:
            return
        holder.room += count
        self.push()
        if not count:
            if self.waiting and not self.is_held:
                self._give_some(holder, 1)
            elif not self.waiting:
                self._call_back(_SURPLUS_SECONDS)  # Its next look finds what comes back.
        if any(each.ready and each.free > 0 for each in self.holders.values()):
            self._call_back()

    def allow(self, holder: Holder, room: int) -> None:
        """Learn how many messages more a holder asks for, all in all."""
        holder.room = room
        self.push()
        if any(each.ready and each.free > 0 for each in self.holders.values()):
            self._call_back()

    def _call_back(self, kept_for: float = 0.0) -> bool:
        """Call back the surplus of holders; return whether any holder had some.

        Only of holders that were given nothing for `kept_for` seconds.
        """
        keeping = [holder for holder in self.holders.values() if holder.asks and holder.room < 0]
        if kept_for and keeping:
            before = monotonic() - kept_for
            keeping = [holder for holder in keeping if holder.given_at < before]
        for holder in keeping:
            self._renew(holder)
        return bool(keeping)

    def take_back(self, holder: Holder, period: int, ranges: Ranges) -> bool:
        """Take back, at the start of a period, messages that no receiver of a holder has taken.

        Returns whether the holder has all of them, and has handled no later message of an entry.
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
                entry.remaining -= high - low
                if low > start:
                    entry.batch = entry.batch.part(0, low - start)
                if not entry.remaining:
                    del self.sent[start]
            whole = whole and not count
        self._sort()
        self.push()
        return whole

    def put_back(
        self, holder: Holder, number: int, crashed: tuple[str, ...], limit: int
    ) -> Entry | None:
        """Take back one message of a holder that gets each alone, after these `crashed` with it.

        At `limit` crashes it is set aside: returns it then.
        """
        entry = self.sent.get(number)
        if entry is None or entry.holder is not holder:
            return None
        del self.sent[number]
        holder.outstanding -= entry.remaining
        again = entry.of(entry.batch, (*entry.crashed, *crashed))
        if len(again.crashed) >= limit:
            self.dropped += 1
            if again.source is not None:
                again.source.dropped(again.number, 1)
            return again
        if crashed:
            self.redelivered += 1
            again.batch = again.batch.having(number, frames.REDELIVERED | frames.PROMPT)
        self.waiting.append(again)
        self._sort()
        self.push()
        return None

    def take_waiting(self, kept: Callable[[Entry], bool]) -> list[Entry]:
        """Take the messages that have no holder, in order, but for those that are to be `kept`.

        They are in custody elsewhere now.
        """
        taken = [entry for entry in self.waiting if not kept(entry)]
        self.waiting = deque(entry for entry in self.waiting if kept(entry))
        return taken

    def go_on(self, before: Side) -> None:
        """Have all that another side has, which is used no more. `share_anew` follows."""
        vars(self).update(vars(before))

    def share_anew(self, *, always: bool) -> None:
        """See who receives; `always`: be shared as soon as one holder does."""
        self.always_shared = always
        self._update_sharing()
        self.push()

    def drop_holder(self, peer: Recipient, crash: bool, limit: int) -> list[Entry]:
        """Take back what `peer` had and has not handled, for its successor or for other holders.

        After a `crash` these messages are given out as REDELIVERED. The messages that were being
        handled in `limit` crashes in a row are not: returns them, one message an entry.
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
        self._update_sharing()
        return aside

    def _update_sharing(self) -> None:
        """Begin or end sharing, as the number of receiving holders says."""
        ready = [holder for holder in self.holders.values() if holder.ready]
        self.shared = len(ready) > (0 if self.always_shared else 1)
        for holder in ready:
            if self.shared and not holder.period:
                self._renew(holder)
            elif not self.shared and holder.period:
                holder.period = holder.room = 0
                holder.owes = False
                holder.peer.shared(holder.number, 0, self.of_requests)

    def _renew(self, holder: Holder) -> None:
        self._periods += 1
        holder.period, holder.room, holder.owes = self._periods, 0, True
        self.held_until = monotonic() + _PATIENCE
        holder.peer.shared(holder.number, holder.period, self.of_requests)

    # ------------------------------------------------------------- handled messages

    def settle(self, holder: Holder, ranges: Ranges) -> bool:
        """Forget messages that a holder has handled; return whether it had them all."""
        # A sender is told of all its messages in one frame, whatever batches they came in.
        settled: dict[tuple[Recipient | None, int], int] = {}
        whole = True
        for first, count in ranges:
            while count > 0:
                entry = self.sent.get(first)
                if entry is None or entry.holder is not holder:
                    break
                messages = entry.batch.count
                if entry.remaining != messages or messages > count:
                    break
                self._settled(entry, messages, settled)
                del self.sent[first]
                first += messages
                count -= messages
            if count:
                whole = self._settle_some(holder, first, first + count, settled) and whole
        self._tell_settled(settled)
        if self.waiting:
            self.push()
        return whole

    def _tell_settled(self, settled: dict[tuple[Recipient | None, int], int]) -> None:
        for (source, number), count in settled.items():
            if source is not None:
                source.acknowledged(number, count)

    def begin(self, holder: Holder, ranges: Ranges) -> bool:
        """Note that the handling of messages begins; return whether the holder has them."""
        whole = True
        for first, count in ranges:
            for entry, low, high in self._held(holder, first, first + count):
                entry.begun = entry.begun | set(range(low, high))
                count -= high - low
                holder.begun = True
            whole = whole and not count
        return whole

    def clear(self) -> int:
        """Drop all messages in custody; return how many there were."""
        count = 0
        for entry in (*self.waiting, *self.sent.values()):
            count += entry.remaining
            if entry.source is not None:
                entry.source.dropped(entry.number, entry.remaining)
            entry.unlink()
        self.waiting.clear()
        self.sent.clear()
        self.dropped += count
        return count

    def _crashed(self, entry: Entry, number: int, crash: bool) -> tuple[str, ...] | None:
        """Return in whose crashes a message was being handled; None: it is not given out again."""
        if not crash:
            return entry.crashed
        assert entry.holder is not None
        if not entry.batch.flags & frames.PROMPT or number in entry.begun:
            return (*entry.crashed, str(entry.holder.peer.process))
        return () if entry.holder.begun else entry.crashed

    def _give(self, entry: Entry, holder: Holder) -> None:
        first = entry.batch.first
        entry.holder = holder
        entry.begun = _NONE
        holder.outstanding += entry.remaining
        holder.room -= entry.remaining
        self.sent[first] = entry
        starts = self._starts
        if not starts or first > starts[-1]:
            starts.append(first)
            if len(starts) > 2 * len(self.sent) + 64:
                self._starts = sorted(self.sent)
        elif starts[bisect_right(starts, first) - 1] != first:
            insort(starts, first)
        holder.peer.deliver(holder.number, entry.batch)
        if self.peek is not None:
            self.peek(entry, holder)

    def take_off(self, count: int) -> Entry:
        """Take up to so many messages off the front of those that wait."""
        entry = self.waiting.popleft()
        batch = entry.batch
        if count < batch.count:
            self.waiting.appendleft(entry.of(batch.part(count, batch.count), entry.crashed))
            entry = entry.of(batch.part(0, count), entry.crashed)
        return entry

    def _give_some(self, holder: Holder, count: int) -> None:
        entry = self.take_off(count)
        holder.given_at = monotonic()
        if holder.window < PROMPT_WINDOW:
            entry.batch = entry.batch.having(entry.batch.first, frames.PROMPT)
        self._give(entry, holder)

    def _sort(self) -> None:
        self.waiting = deque(sorted(self.waiting, key=lambda entry: entry.batch.first))

    def _held(self, holder: Holder, first: int, stop: int) -> list[tuple[Entry, int, int]]:
        """Return the entries of a holder with messages from `first` to before `stop`.

        With each come the first of these messages and the one behind the last.
        """
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
            if entry.done is None and low == start + entry.batch.count - entry.remaining:
                count = high - low
            else:
                done = entry.done = entry.acknowledged()
                before = len(done)
                done.update(range(low, high))
                count = len(done) - before
            missing -= count
            self._settled(entry, count, settled)
            if not entry.remaining:
                del self.sent[start]
        return not missing

    def _settled(
        self, entry: Entry, count: int, settled: dict[tuple[Recipient | None, int], int]
    ) -> None:
        entry.remaining -= count
        if entry.holder is not None:
            entry.holder.outstanding -= count
        sender = entry.source, entry.number
        settled[sender] = settled.get(sender, 0) + count
        if not entry.remaining and entry.links:
            entry.unlink()
