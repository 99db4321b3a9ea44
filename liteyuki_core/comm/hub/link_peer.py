"""A child as a peer of the hub: the link to one process of it, and the check of what it sends.

Nothing that a child sends is believed. Each frame is checked here before the hub or the store
learns of it. A frame that breaks the protocol raises `FrameError`, which ends the link.

Ownership. A `LinkPeer` owns its link. `Main` closes the link, or it ends with its connection.

Threads. The thread or loop that reads the link calls `_on_frames` and, at the end, `_on_end`. The
hub and the store call the methods of `ChildPeer` and `Asker`, under the lock except for `pump`.

Invariants.
- A child opens numbers in rising order, so no number stands for two ends.
- Each end that the child has not closed has a `_Sent`. Its `room`, plus how many messages of that
  end the hub still has, is its capacity.
- A child has one end of a channel at a time. It may open a channel again while the close of its
  older end is still on its way, in another stream. Then the new end is in `_later`, and what comes
  for it waits there, until the older end is closed. So messages of both keep their order.
- While `_early` is there, the process waits for its turn: the hub has only told it the names.
- `_behind` counts the messages that the hub still has of ends that the child has closed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import monotonic
from typing import Any

from ...errors import ChannelBroken, ChannelError, ChannelExists, FrameError
from ..channel import check_name
from ..loop.site import Site
from ..loop.wakes import Wake, fire
from ..store import packed, question, value
from ..store.packed import Found
from ..store.truth import Fields, Truth
from ..store.value import Value
from ..wire import frames, words
from ..wire.batch import Batch, unpack
from ..wire.bundle import data_frame, handled, unbundle
from ..wire.endpoint import Endpoint
from ..wire.link import Link
from ..wire.outbox import Asked, Told
from .early import Early
from .hub import Hub
from .route import Route

MOST_ENDS = 30_000
"""Most ends that one child may have, and most channels made by one child that may exist."""

_MOST_BEHIND = 200_000
"""Most unhandled messages that one child may have sent on ends that it has closed since."""

_JUST_CLOSED = 1024
_MOST_VALUES = 1000
"""Most values of one question to the store."""

_TOLD_BYTES = 64 << 20
"""Most bytes of `Told` frames (names, changes that it watches, published messages and so on) that a
child may leave unread. That is far more than comes in minutes in which it is stopped or busy."""

_MOST_WORDS = 8
"""Most words that may come for an end which waits until an older one is closed."""

_SHARE_SECONDS = 0.02
"""Seconds that the frames of one child may hold the lock before others are let in."""


class _Sent:
    """What a child may still send from one of its ends, and was told about it."""

    __slots__ = ("capacity", "requests", "room", "said")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.room = capacity
        self.requests = 0
        """The lowest number that its next request may have."""
        self.said = False
        """Whether the log has said that messages of this end came too late."""


class _Later:
    """An end that is opened when an older one is closed, and the frames that have come for it."""

    __slots__ = ("capacity", "frames", "key", "most")

    def __init__(self, key: str, capacity: int, most: int) -> None:
        self.key = key
        self.capacity = capacity
        self.most = most
        self.frames: list[frames.Frame] = []


class LinkPeer:
    """One process of a child as a peer of the hub.

    `clean` says that the process leaves because it was asked to or because its target has ended. A
    process that ends otherwise has crashed. Both hooks are called where the link is read. `on_word`
    is called under the lock with a word about the process. `on_end` is called by the reader's
    thread, after the ends of the child are taken back, with what was wrong with the bytes that
    came, or None. A process that `waits` for its turn is attached to the hub when it begins.
    """

    eager = True

    def __init__(
        self,
        hub: Hub,
        store: Truth,
        site: Site,
        process: str,
        serial: int,
        endpoint: Endpoint,
        on_end: Callable[[str | None], None],
        on_word: Callable[[words.OfProcess], None],
        *,
        waits: bool = False,
    ) -> None:
        self._hub = hub
        self._store = store
        self._wakes = site.wakes
        self._max_message_bytes = site.max_message_bytes
        self._end_hook = on_end
        self._word_hook = on_word
        self.process: str | None = process
        self.prefix = f"{serial}."
        self.ends: dict[int, tuple[Route, int]] = {}
        self.holds: Counter[str] = Counter()
        self.detached = False
        """Whether the hub has taken back this peer's ends and has forgotten the peer."""
        self._sent: dict[int, _Sent] = {}
        self._last_opened = 0
        self._later: dict[int, _Later] = {}
        self._later_than: dict[int, deque[int]] = {}
        """By the number of an end: the ends in `_later` that are opened after it, one by one."""
        self._behind: dict[int, int] = {}
        self._all_behind = 0
        self._just_closed: deque[int] = deque(maxlen=_JUST_CLOSED)
        self._unhandled: deque[frames.Frame] = deque()
        """Frames that are still to be handled: this child has used up its share of time."""
        self._values: list[Value] = []
        """The values that have come of a store frame in parts."""
        self._values_bytes = 0
        self.clean = False
        self.serves_since = inf
        self._early = Early(on_word) if waits else None
        self.link = Link(
            endpoint,
            process,
            max_message_bytes=site.max_message_bytes,
            on_frames=self._on_early if waits else self._on_frames,
            on_end=self._on_end,
        )

    # ------------------------------------------------------------- to the child

    def say(self, word: words.ToProcess) -> None:
        """Send a word to the process. From any thread, not under the lock."""
        self.link.queue(0, Told(words.encode(word)))
        self.pump()

    def begin(self) -> None:
        """Tell a process that waits that its turn has come. From any thread, not under the lock."""
        with self._hub.lock:
            if self._early is not None:
                self._early.allow()
        self.say(words.YourTurn())

    def pump(self) -> None:
        """Send the queued frames; end the link of a child that leaves too much unread."""
        if self.link.outbox.told > _TOLD_BYTES:
            self.link.end(
                f"it has not read over {_TOLD_BYTES >> 20} MB of names, changes and publications"
            )
        self.link.pump()

    def deliver(self, number: int, batch: Batch) -> None:
        if batch.flags & frames.LINKED:
            self._hub.delivers(self, batch)
        self.link.queue_batch(number, batch)
        self._hub.queued(self)

    def acknowledged(self, number: int, count: int) -> None:
        self._settle(number, count)
        self._queue(0, Asked(frames.acknowledgement(number, [(0, count)])))

    def dropped(self, number: int, count: int) -> None:
        self._settle(number, count)
        self._queue(0, Asked(words.encode(words.Dropped(count), number)))

    def says_late(self, number: int) -> bool:
        """Return whether the log should say that messages of this end came too late: once."""
        sent = self._sent.get(number)
        if sent is None or sent.said:
            return False
        sent.said = True
        return True

    def gone(
        self,
        number: int,
        kind: type[ChannelError] | None,
        why: str,
        last: bool,
        holds: int,
        lines: tuple[str, ...] = (),
    ) -> None:
        word: words.FromMain = words.Returned()
        if kind is not None:
            # A child may have so many channels to one that has died that it could not read all.
            few = self.link.outbox.told < _TOLD_BYTES // 8
            word = words.Gone(kind is ChannelBroken, why, last, holds, list(lines if few else ()))
        self._queue(number, Told(words.encode(word, number)))

    def answer(self, request: int, fields: Fields | Found, values: list[Value]) -> None:
        if not request:
            return
        if isinstance(fields, Found):
            self._queue(frames.STORE_STREAM, Asked(packed.answer(request, fields)))
        else:
            for frame in value.store({**fields, "request": request}, values):
                self._queue(frames.STORE_STREAM, Asked(frame))

    def tell(self, fields: dict[str, Any], values: list[Value]) -> None:
        for frame in value.store(fields, values):
            self._queue(frames.STORE_STREAM, Told(frame))

    def detach(self) -> None:
        self.detached = True
        self._store.drop(self)

    def shared(self, number: int, period: int, requests: bool) -> None:
        self._queue(number, Told(words.encode(words.Shared(period, requests), number)))

    def answered(self, number: int, batch: Batch) -> None:
        self._settle(number, batch.count)
        self._queue(number, batch.frame(number))

    def refused(
        self, number: int, requests: Sequence[int], kind: type[ChannelError], why: str
    ) -> None:
        word = words.Refused(list(requests), kind.__name__, why)
        self._queue(number, Asked(words.encode(word, number)))

    def cancelled(self, number: int, requests: Sequence[int]) -> None:
        self._queue(number, Told(words.encode(words.Cancelled(list(requests)), number)))

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        self._queue(0, Told(words.encode(words.Names(add, remove, self.prefix))))

    def _queue(self, stream: int, frame: tuple[frames.Buffer, ...]) -> None:
        self.link.queue(stream, frame)
        self._hub.queued(self)

    def _settle(self, number: int, count: int) -> None:
        sent = self._sent.get(number)
        if sent is not None:
            sent.room += count
        elif number in self._behind:
            self._all_behind -= count
            self._behind[number] -= count
            if self._behind[number] <= 0:
                del self._behind[number]

    # ------------------------------------------------------------- from the child

    def _on_early(self, arrived: list[frames.Frame]) -> list[Wake]:
        with self._hub.lock:
            if self._early is not None and not self.detached:
                arrived, begins = self._early.sift(arrived)
                if begins:
                    self._early = None
                    self._hub.attach(self)
        return self._on_frames(arrived)

    def _on_frames(self, arrived: list[frames.Frame]) -> list[Wake]:
        hub = self._hub
        gathering = self._wakes
        unhandled = self._unhandled
        unhandled += arrived
        wakes: list[Wake] = []
        try:
            with hub.lock:
                wakes = gathering.gather()
                try:
                    until = monotonic() + _SHARE_SECONDS if len(unhandled) > 1 else 0.0
                    while unhandled and not self.detached:
                        frame = unhandled.popleft()
                        if self._later and frame.channel in self._later:
                            self._on_later(frame)
                        elif frame.kind == frames.DATA:
                            self._on_data(frame.channel, unpack(frame))
                        else:
                            self._on_frame(frame)
                        if unhandled and (monotonic() > until or self.link.asks_much):
                            self.link.unfinished = True
                            break
                finally:
                    gathering.release()
        except BaseException:
            unhandled.clear()
            hub.pump()
            fire(wakes, None)  # Those that earlier frames have served must not wait for ever.
            raise
        hub.pump()
        return wakes

    def _on_frame(self, frame: frames.Frame) -> None:
        if frame.kind == frames.ACK and frame.flags & frames.WIDE:
            for number, first, count in handled(frame):
                self._on_handled(number, [(first, count)], frame.flags)
        elif frame.kind == frames.ACK:
            self._on_handled(frame.channel, frames.acknowledged(frame), frame.flags)
        elif frame.kind == frames.MANY:
            for number, batch in unbundle(frame):
                if number in self._later:
                    self._on_later(data_frame(number, batch))
                else:
                    self._on_data(number, batch)
        elif frame.kind == frames.STORE and frame.flags:
            self._store.ask(self, *packed.asked(frame.body))
        elif frame.kind == frames.STORE:
            self._on_store(*value.stored(frame, frames.FIELD_BYTES))
        else:
            self._on_control(frame.channel, words.from_child(frame))

    def _on_data(self, number: int, batch: Batch) -> None:
        if batch.flags & (frames.REDELIVERED | frames.PROMPT):
            raise FrameError("messages with flags that only the main process may set")
        headers = batch.headers
        sent = self._sent.get(number)
        if headers is not None and headers.request is None:
            self._on_answers(number, batch)
            return
        if headers is not None and headers.request is not None and sent is not None:
            if headers.request < sent.requests:
                raise FrameError(f"request {headers.request} comes after {sent.requests - 1}")
            sent.requests = headers.request + batch.count
        if sent is None:
            # Messages that a turn has gathered may come after the close. They are dropped.
            if number not in self._just_closed:
                raise FrameError(f"messages on channel number {number}, which it does not have")
        elif batch.count > sent.room:
            raise FrameError(
                f"{batch.count} messages on channel number {number}, where there is room for "
                f"{sent.room} of {sent.capacity}"
            )
        else:
            sent.room -= batch.count
        self._hub.data(self, number, batch)

    def _on_answers(self, number: int, batch: Batch) -> None:
        if number not in self.ends and number > self._last_opened:
            raise FrameError(f"answers on channel number {number}, never opened")
        if batch.flags & frames.LINKED or not self._hub.answer(self, number, batch):
            raise FrameError(f"answers on channel number {number} to what it was not asked")

    def _on_handled(self, number: int, ranges: words.Ranges, flags: int) -> None:
        held = self.ends.get(number)
        if held is None:
            if number > self._last_opened:
                raise FrameError(f"acknowledgement on channel number {number}, never opened")
            return  # The end was closed in the meantime.
        requests = bool(flags & frames.OF_REQUESTS)
        remaining = held[0].side_of(held[1], requests).holders[self].outstanding
        for _, count in ranges:
            remaining -= count
            if remaining < 0 or not count:
                raise FrameError(
                    f"acknowledgement of messages on channel number {number} that it was not given"
                )
        take = self._hub.begin if flags & frames.BEGUN else self._hub.acknowledge
        if not take(self, number, ranges, requests):
            raise FrameError(
                f"acknowledgement of messages on channel number {number} that it was not given"
            )

    def _on_store(self, fields: dict[str, Any], values: list[Value]) -> None:
        self._values += values
        self._values_bytes += sum([len(value.data) for value in values])
        most = 2 * self._max_message_bytes + frames.CHUNK
        if len(self._values) > _MOST_VALUES or self._values_bytes > most:
            raise FrameError(
                f"a store frame of {len(self._values)} values, {self._values_bytes} bytes, in parts"
            )
        if fields.get("part"):
            return
        values, self._values, self._values_bytes = self._values, [], 0
        request = fields.pop("request", None)
        if type(request) is not int or not 0 <= request < words.MOST_REQUESTS:
            raise FrameError("a store frame has no request")
        self._store.ask(self, request, question.read(fields, values))

    def _on_control(self, number: int, word: words.FromChild) -> None:
        hub = self._hub
        match word:
            case words.AskFor(period, count):
                hub.ask_for(self, number, period, count)
            case words.Answers(window):
                hub.answers(self, number, window)
            case words.Answered(requests):
                if not hub.answered(self, number, requests):
                    raise FrameError("requests are said to be answered that it was not given")
            case words.Cancel(request, kill):
                hub.cancel(self, number, request, kill)
            case words.GiveBack(period, ranges, of_requests):
                if not hub.give_back(self, number, period, ranges, of_requests):
                    raise FrameError("messages are given back that it was not given")
            case words.Receives(window, asks):
                hub.receives(self, number, window, asks)
            case words.Open(key, capacity):
                self._open(number, key, capacity)
            case words.Close():
                hub.close(self, number)
                self._closed(number)
            case words.Leave():
                hub.leave(self, number)
                self._closed(number)
            case words.Hold(held):
                hub.hold(self, held)
            case words.Register(name, request):
                self._register(number, name, request)
            case words.Clean():
                self.clean = True
            case words.Ready():
                self.serves_since = monotonic()
                self._word_hook(word)
            case _:
                self._word_hook(word)

    def _open(self, number: int, key: str | None, capacity: int) -> None:
        if not self._last_opened < number < frames.STORE_STREAM:
            raise FrameError(
                f"channel number {number} is opened after {self._last_opened}: numbers must rise"
            )
        if len(self._sent) + len(self._later) >= MOST_ENDS:
            raise FrameError(f"it has {MOST_ENDS} ends of channels and opens more")
        is_queue = key is not None and key.startswith(words.QUEUE)
        if (key is None or is_queue) and self._hub.table.made_by(self.process) >= MOST_ENDS:
            raise FrameError(f"it has made {MOST_ENDS} channels that are still there")
        if key is not None and is_queue:
            _check(key.removeprefix(words.QUEUE), "a queue is made")
        self._last_opened = number
        older = None if key is None else self._hub.table.number_of(self, key)
        if key is None or older is None:
            self._open_now(number, key, capacity)
        else:
            self._later[number] = _Later(key, capacity, self.ends[older][0].capacity + _MOST_WORDS)
            self._later_than.setdefault(older, deque()).append(number)

    def _open_now(self, number: int, key: str | None, capacity: int) -> None:
        self._hub.open(self, number, key, capacity)
        held = self.ends.get(number)
        if held is not None and not held[0].is_queue:
            capacity = held[0].capacity
        self._sent[number] = _Sent(capacity)

    def _on_later(self, frame: frames.Frame) -> None:
        later = self._later[frame.channel]
        if len(later.frames) >= later.most:
            raise FrameError(
                f"over {later.most} frames on channel number {frame.channel}, while it has the "
                "same channel under an older number"
            )
        later.frames.append(frame)

    def _open_next(self, older: int) -> None:
        """Open the end that waits until `older` is closed, and handle what has come for it."""
        waiting = self._later_than.pop(older, None)
        if waiting is None:
            return
        number = waiting.popleft()
        if waiting:
            self._later_than[number] = waiting
        later = self._later.pop(number)
        self._open_now(number, later.key, later.capacity)
        self._unhandled.extendleft(reversed(later.frames))

    def _closed(self, number: int) -> None:
        sent = self._sent.pop(number, None)
        if sent is None:
            return
        self._just_closed.append(number)
        if sent.room < sent.capacity:
            self._behind[number] = sent.capacity - sent.room
            self._all_behind += sent.capacity - sent.room
        if self._all_behind > _MOST_BEHIND:
            raise FrameError(
                f"{self._all_behind} messages of channels that it has closed are yet to be handled"
            )
        self._open_next(number)

    def _register(self, number: int, name: str, request: int) -> None:
        _check(name, "a channel is registered")
        error = key = None
        try:
            key = self._hub.register(self, number, name)
        except ChannelExists as exists:
            error = list(exists.args)
        reply = words.Registered(request, key, error)
        self._queue(0, Asked(words.encode(reply, number)))

    def _on_end(self, why: str | None) -> None:
        with self._hub.lock:
            self._hub.detach(self)
        self._hub.pump()
        on_end = self._end_hook
        del self._end_hook, self._word_hook  # Their owner refers to this peer.
        on_end(why)


def _check(name: str, what: str) -> None:
    try:
        check_name(name)
    except ValueError as wrong:
        raise FrameError(f"{what}: {wrong}") from wrong
