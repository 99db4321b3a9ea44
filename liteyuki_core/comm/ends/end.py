"""One end of a channel in one process: the state machine behind `Channel`.

What an end sends goes to the hub through its context's port, what comes back is handed to it
there.

Invariants, all under the context's lock, which is never held while something waits, while
user code runs, while data is serialised or rebuilt, or during a system call (but the one that
wakes a loop):

- free + slots + (messages accepted and not yet acknowledged) == capacity
- the turn is that of the loop `gathering`, on the thread `gatherer` (asking asyncio for the running
  loop takes a system call up to Python 3.11, so the quick way asks for the thread)
- slots are room that the loop whose turn it is has set aside, so that it can gather short messages
  of one kind without the lock: it alone writes `text_slots` and `payload_slots`, of which one is 0,
  and appends to `gathered`; any thread that passes on messages, under the lock, first takes what is
  there off its front
- messages leave in the order in which they were accepted, and before every acknowledgement of
  this process that comes after them
- a message is in exactly one place: pending, the hub's custody, the inbox, handed out
- what a thread or task was handed is acknowledged when that one asks for more here or ends, with
  what was left behind by a task that was cancelled or failed; not by what others here do
- where other processes receive too (`_period` is not 0), `_asked` is what the hub was told of how
  many messages are asked for, less what has come since; after each change it is
  `_asking` - (messages that nobody has taken), see `route.py`
- who waits is in `senders` or `receivers`; whoever makes room or brings a message wakes as
  many as can go on; one that was woken and can't use it wakes the next
- on a loop's thread nothing of this waits
"""

from __future__ import annotations

import asyncio
import pickle
from asyncio import Task, _get_running_loop
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ... import log
from ...errors import (
    ChannelClosed,
    ChannelError,
    ChannelModeError,
    ChannelTimeout,
    LiteyukiError,
    MessageTooLarge,
    SendError,
)
from ..loop import receiver
from ..loop.acknowledgements import MOST, Acknowledgements
from ..loop.callbacks import SYNC_CALLBACKS, Registration
from ..loop.receiver import Receiver
from ..loop.waiter import AsyncWaiter, SyncWaiter, Waiter, Waiters
from ..wire import frames
from ..wire.batch import Batch, pack, pack_linked, pack_text
from ..wire.payload import Linked, dump, dump_linked, load, load_linked

if TYPE_CHECKING:
    from ..context import Context

_BATCH_MESSAGES = 512
_BATCH_BYTES = 240 * 1024
SMALL = 256
_SMALL_PAYLOAD = 2048
"""Texts up to so many characters and pickles up to so many bytes are gathered without the lock."""

_ENOUGH = 0.0015
"""Seconds of work for the other side that are enough while those who wait for room sleep on."""

_OVERDUE = 0.02
"""Seconds after which nobody counts on it that those who wait for room are about to be roused."""

_LINKED = -2
"""Length word of a message that carries channels; that of a text is -1."""


class CarriesChannel(TypeError):
    """A channel is no value: pickle meets one only where a message is sent that carries it."""


class Handle:
    """What users hold of an end, as far as sending it through a channel goes."""

    _shared_class: ClassVar[Any]
    """What the other side gets: it makes one by `_of(end)`."""

    def _open(self) -> End:
        raise NotImplementedError


class End:
    """One end of a channel in this process. Any thread may call its methods."""

    loads = staticmethod(pickle.loads)

    def __init__(
        self,
        context: Context,
        number: int,
        key: str,
        name: str,
        anonymous: bool,
        capacity: int,
        made: bool = False,
    ) -> None:
        self.context = context
        self.number = number
        self.key = key
        """What every process knows the channel by."""
        self.name = name
        self.anonymous = anonymous
        """Whether handles alone lead to it, so that it is closed when there is none any more."""
        self.handles = 0
        self.capacity = capacity
        self.lock = context.lock
        self._site = context.site
        self._port = context.port
        self._turns = context.turns
        self._stop = context.stop
        # sending
        self._free = capacity
        self._next = 0
        self._pending: list[Any] = []
        self._words: list[int] = []
        self._pending_bytes = 0
        self.gathered: list[Any] = []
        """What is gathered so: texts, or payloads each followed by its length word."""
        self.text_slots = 0
        self.payload_slots = 0
        """The slots are for messages of this kind or of that, never for both."""
        self._text = True
        self._longest_text = min(frames.LONGEST_TEXT, context.site.max_message_bytes // 4)
        self._shared = False
        """Whether others than one loop send."""
        self.gathering: Any = None
        self.gatherer = 0
        self.senders: Waiters = deque()
        self._acknowledged_at = 0.0
        self._rousing_until = 0.0
        """When a `_rouse` that was asked for is overdue."""
        # receiving
        self._inbox: deque[Batch] = deque()
        self._opened: deque[tuple[int, Any]] = deque()
        self._prompt = False
        """Whether what is opened is to be reported as begun, and as handled at once."""
        self._handed: dict[Receiver, list[int]] = {}
        """What was handed to each that has received here and has not ended."""
        self._left_behind: list[int] = []
        self._acknowledgements = Acknowledgements(MOST)
        self._worth_sending = min(MOST, max(1, capacity // 4))
        self.receivers: Waiters = deque()
        self._mode: Literal["receive", "callback"] | None = None
        self._runner: Any = None
        self.idle = True
        """Whether nothing is left to take, and the runner is made ready when that changes."""
        self.received_by_target = False
        """Whether the target of this process itself receives here."""
        self._period = 0
        self._asking = 0
        """How many threads and tasks wait for a message."""
        self._asked = 0
        # ending
        self._closed = False
        self._stopping = context.stop.why
        self._deaf: str | None = None
        self._gone: ChannelError | None = None
        self._last = False
        self._made = made
        self._holds = 0
        """How many messages were sent from here with this channel in them."""
        # counting
        self._arrived = 0
        """Messages that came and were not let go of unread."""
        self._bytes = 0
        self._ahead: Callable[[], int] | None = None
        """How many messages the runner holds that no callback has been given yet."""
        self.redelivered = 0
        self.dropped = 0
        self._unhandled = 0
        """Messages whose room is free again although nobody has handled them."""
        self.errors = 0

    @property
    def title(self) -> str:
        """What it is called in the log."""
        return f"channel {self.name}"

    # ------------------------------------------------------------- sending

    def serialise(self, data: Any) -> tuple[Any, int]:
        """Return what `offer` takes. Raises `SendError` or `MessageTooLarge`."""
        if type(data) is str and len(data) <= self._longest_text:
            return data, -1
        try:
            try:
                payload, word = dump(data)
            except CarriesChannel:
                linked = dump_linked(data, self._link)
                payload, word = linked, _LINKED  # type: ignore[assignment]
        except LiteyukiError:
            raise  # A channel in it can't be used.
        except Exception as error:
            raise SendError(
                f"channel {self.name}: {type(data).__qualname__} can't be sent: {error}; send what "
                "pickle can carry (numbers, text, lists, dicts, instances of module-level classes)",
                self.name,
            ) from error
        if len(payload) > self._site.max_message_bytes:
            raise MessageTooLarge(
                f"channel {self.name}: a message of {len(payload)} bytes is over the limit of "
                f"{self._site.max_message_bytes}; send it in pieces, or raise "
                "LITEYUKI_MAX_MESSAGE_BYTES",
                self.name,
            )
        return payload, word

    def gather(self, data: Any) -> bool:
        """Accept a short text if the loop of this thread has set room aside for it.

        That is the quick way, without the lock; where it returns False, `offer` is the way.
        """
        if len(data) <= SMALL and get_ident() == self.gatherer and self.gathering.is_running():
            self.text_slots -= 1
            self.gathered.append(data)
            return True
        return False

    def gather_payload(self, payload: Any, word: int) -> bool:
        """Do the same for a short payload from `serialise`."""
        if (
            word > 0
            and len(payload) <= _SMALL_PAYLOAD
            and get_ident() == self.gatherer
            and self.gathering.is_running()
        ):
            self.payload_slots -= 1
            self.gathered += payload, word
            return True
        return False

    def offer(self, item: Any, word: int) -> bool:
        """Accept a serialised message if there is room; return whether there was.

        Raises `ChannelClosed` or `ChannelBroken`.
        """
        with self.lock:
            accepted = self.accept(item, word)
        if accepted is None:
            return False
        if accepted:
            self._port.pump()
        return True

    def accept(self, item: Any, word: int, *, at_once: bool = True) -> bool | None:
        """Do the same under the lock; None for no room, True when the port is to be pumped.

        The first message that a loop's turn sends goes at once, and one that comes long after
        another; the others of this and of all other ends go together after the turn. Without
        `at_once` it goes with the others.
        """
        loop = _get_running_loop()
        if loop is None or (loop is not self.gathering and self.gathering is not None):
            self._shared = True
        if loop is self.gathering or (self.gathering is not None and self.gathering.is_closed()):
            self._free += self.text_slots + self.payload_slots
            self.text_slots = self.payload_slots = 0
        if self._closed or self._gone is not None or self._free <= 0:
            self._check_open()
            return None
        sealed = self._next
        self._collect()
        self._free -= 1
        if word >= 0:
            # A long message travels alone, and a batch is no longer than a frame may be.
            if self._text or not word or self._pending_bytes + len(item) > _BATCH_BYTES:
                self._seal()
                self._text = False
            self._words.append(word)
        elif word == _LINKED:
            self._seal()
            self._pass_linked(item)
            return True
        elif not self._text:
            self._seal()
            self._text = True
        self._pending.append(item)
        self._pending_bytes += len(item)
        begins = False
        if loop is not None and (self.gathering is None or self.gathering.is_closed()):
            if at_once and not self._turns.sends_quickly():
                self._seal()
                return True
            begins = self._turns.begin(loop, self)
            self.gathering = loop
            self.gatherer = get_ident()
        if (
            loop is None
            or loop is not self.gathering
            or (begins and at_once)
            or len(self._pending) >= _BATCH_MESSAGES
            or self._pending_bytes >= _BATCH_BYTES
        ):
            self._seal()
        if loop is not None and loop is self.gathering:
            # Half of the room at most where other threads send too: they are to find some.
            room = self._free // 2 if self._shared else self._free
            slots = min(room, _BATCH_MESSAGES - 1 - len(self._pending))
            if self._text:
                self.text_slots = slots = max(0, slots)
            else:
                most = (_BATCH_BYTES - self._pending_bytes) // _SMALL_PAYLOAD
                self.payload_slots = slots = max(0, min(slots, most))
            self._free -= slots
        return self._next != sealed

    def _collect(self) -> None:
        # What the loop's thread appends meanwhile stays for the next time.
        gathered = self.gathered[:]
        if not gathered:
            return
        del self.gathered[: len(gathered)]
        text = type(gathered[0]) is str
        if text is not self._text:
            self._seal()
            self._text = text
        if text:
            self._pending += gathered
        else:
            payloads = gathered[::2]
            self._pending += payloads
            self._words += gathered[1::2]
            self._pending_bytes += sum(map(len, payloads))

    def flush(self) -> None:
        """Pass on what was gathered."""
        with self.lock:
            self.pass_on()
        self._port.pump()

    def pass_on(self) -> None:
        """Do the same under the lock; the port is to be pumped."""
        self._collect()
        self._seal()

    def lock_out(self) -> None:
        """Have the loop of this turn wait for the lock before it gathers any more."""
        self.gatherer = 0

    def pump(self) -> None:
        """Get moving what was passed on."""
        self._port.pump()

    def end_turn(self) -> int:
        """Pass on what a loop's turn has gathered, under the lock; return how much is dropped."""
        self.gathering = None
        self.gatherer = 0
        unused = self.text_slots + self.payload_slots
        self.text_slots = self.payload_slots = 0
        self._free += unused
        self._wake(self.senders, unused)
        self._collect()
        dropped = len(self._pending) if self._closed or self.context.ended else 0
        self.dropped += dropped
        self._seal()
        return dropped

    def _seal(self) -> None:
        pending = self._pending
        if not pending:
            return
        if self._text:
            batch = pack_text(self._next, pending)
            self._bytes += batch.size
        else:
            batch = pack(self._next, pending, self._words)
            self._words = []
            self._bytes += self._pending_bytes
        self._next += batch.count
        self._pending = []
        self._pending_bytes = 0
        self._port.data(self.number, batch)

    def _pass_linked(self, payload: Linked) -> None:
        for key in payload.carried():
            self.context.hold(key)
        batch = pack_linked(self._next, payload)
        self._next += 1
        self._bytes += batch.size
        self._port.data(self.number, batch)

    def _link(self, found: Any) -> tuple[str, Any] | None:
        if not isinstance(found, Handle):
            return None
        end = found._open()
        if end._closed or end.context is not self.context:
            raise ValueError(f"channel {end.name} is closed")
        return end.key, (found._shared_class, end.name, end.anonymous, end.capacity)

    def _find(self, key: str, about: Any) -> Any:
        kind, name, anonymous, capacity = about
        with self.lock:  # In one go: the last handle that there was may go just now.
            handle = kind._of(self.context.reach(key, name, anonymous, capacity))
        self._port.pump()
        return handle

    def _check_open(self) -> None:
        if self._closed:
            raise ChannelClosed(f"channel {self.name} is closed", self.name)
        if self._gone is not None:
            raise self._gone.__class__(*self._gone.args)

    def on_dropped(self, count: int) -> None:
        """Learn that `count` messages will not be handled. Under the lock."""
        self.dropped += count
        self._unhandled += count
        self.on_acknowledged(count)

    def on_acknowledged(self, count: int) -> None:
        """Make room: the other side handled `count` messages. Under the lock."""
        free = self._free = self._free + count
        now = monotonic()
        took, self._acknowledged_at = now - self._acknowledged_at, now
        if not self.senders:
            return
        if free >= self.capacity * 5 // 8 or (
            free >= self.capacity // 5 and (self.capacity - free) * took < count * _ENOUGH
        ):
            self._wake(self.senders, free)
        elif now >= self._rousing_until:
            # A loop's own timer wakes nobody. Whoever waits beside it is not to wait for a loop.
            self._rousing_until = now + _OVERDUE
            self._site.soon(self._rouse, self.senders[0].loop if len(self.senders) == 1 else None)

    def _rouse(self) -> None:
        with self.lock:
            self._rousing_until = 0.0
            self._wake(self.senders, self._free)

    # ------------------------------------------------------------- receiving

    def on_data(self, batch: Batch) -> None:
        """Take in messages. Under the lock; never rebuilds them."""
        if self._closed:
            return
        self._inbox.append(batch)
        self._arrived += batch.count
        self._asked -= batch.count
        self._bytes += batch.size
        if batch.flags & frames.REDELIVERED:
            self.redelivered += batch.count
        if self._runner is not None:
            if self.idle:
                self.idle = False
                self._site.dispatcher.ready(self._runner)
        else:
            self._wake(self.receivers, batch.count)

    def ask(self, who: Receiver) -> tuple[int, Any] | None:
        """Acknowledge what `who` was given before; return the next message, not yet rebuilt.

        None where there is none yet. Under the lock; `balance` follows. Raises when none will come.
        """
        if self._mode != "receive":
            self._enter("receive", asks=True)
        handed = self._handed.get(who)
        if handed:
            self._acknowledge_all(handed)
        elif handed is None and self._handed:
            self._acknowledge_thread(who)
        if self._stopping is not None or self._closed:
            self._check_receiver(who)
        elif self._left_behind:
            self._acknowledge_all(self._left_behind)
        while not self._opened:
            if not self._inbox:
                if len(self._handed) > (handed is not None):
                    self._acknowledge_idle()
                if self._prompt or self._acknowledgements.count >= self._worth_sending:
                    self._flush_acknowledgements()
                if self._last:
                    self._check_open()
                return None
            batch = self._inbox.popleft()
            self._opened = deque(enumerate(batch.payloads(), batch.first))
            self._prompt = bool(batch.flags & frames.PROMPT)
        message = self._opened.popleft()
        if handed is None:
            handed = self.serve(who)
        handed.append(message[0])
        if self._stopping is not None:
            self._stop.got(who)
        if self._prompt:
            self._flush_acknowledgements()
            self._port.begin(self.number, message[0])
        return message

    def serve(self, who: Receiver) -> list[int]:
        """Count `who` as one that serves this channel; return what it has in hand. Under the lock.

        In a stop it gets no more messages.
        """
        handed = self._handed.get(who)
        if handed is None:
            handed = self._handed[who] = []
            receiver.note(who, self)
        return handed

    def take_nowait(self, who: Receiver) -> tuple[int, Any] | None:
        """Return the next message, or None where there is none yet; see `ask`."""
        with self.lock:
            message = self.ask(who)
            if self._period:
                self.balance()
        return message

    @property
    def has_arrived(self) -> bool:
        """Whether a message was there just now."""
        return bool(self._opened or self._inbox)

    def poll(self) -> None:
        """Have a message come for the next time, if one waits for whoever may have it."""
        with self.lock:
            if self._period:
                self._port.ask_for(self.number, self._period, 0)
        self._port.flush()

    def wait_here(self, waiter: Waiter) -> None:
        """Have a waiter woken for the next message, until it leaves. Under the lock.

        Whoever waits for several ends waits at each.
        """
        self.receivers.append(waiter)
        self._asking += 1

    def leave(self, waiter: Waiter) -> None:
        """Wait no more. A message for which the waiter was woken wakes the next. Under the lock."""
        self._asking -= 1
        try:
            self.receivers.remove(waiter)
        except ValueError:
            if self._opened or self._inbox:
                self._wake(self.receivers, 1)

    def balance(self) -> None:
        """Tell the hub how many messages are asked for here now. Under the lock."""
        if not self._period or self._closed:
            return
        count = self._asking - self._unread() - self._asked
        if count:
            self._asked += count
            self._port.ask_for(self.number, self._period, count)

    def on_shared(self, period: int) -> None:
        """Learn whether others receive too. What nobody here asks for is theirs. Under the lock."""
        self._period = period
        if not period or self._closed:
            return
        self._give_back(max(0, self._unread() - self._asking))
        self._asked = 0
        if self._runner is None:
            self.balance()
        else:
            self._site.dispatcher.call_back(self._runner)

    def _give_back(self, count: int) -> None:
        ranges = []
        self._arrived -= count
        while count and self._inbox:
            batch = self._inbox.pop()
            kept = max(0, batch.count - count)
            ranges.append((batch.first + kept, batch.count - kept))
            count -= batch.count - kept
            if kept:
                self._inbox.append(batch.part(0, kept))
        if count:
            for _ in range(count):
                first, _ = self._opened.pop()
            ranges.append((first, count))
        self._port.give_back(self.number, self._period, ranges)

    def return_unbegun(self, first: int, count: int) -> None:
        """Give back messages that a runner has taken and no callback was given."""
        with self.lock:
            if not self._closed:
                self._arrived -= count
                self._port.give_back(self.number, self._period, [(first, count)])
        self._port.pump()

    def handled(self, who: Receiver) -> None:
        """Acknowledge what a receiver was given last."""
        with self.lock:
            handed = self._handed.get(who)
            if handed:
                self._acknowledge_all(handed)

    def task_ended(self, task: Task[Any]) -> None:
        """Learn that a task which has received here has ended."""
        # What it has raised is looked at like this, for whoever asks for that is to deal with it.
        failed = task.cancelled() or getattr(task, "_exception", None) is not None
        self.receiver_ended(task, failed=failed)

    def thread_ended(self, number: int) -> None:
        """Learn that a thread which has received here has ended. Safe in a finaliser."""
        self._site.soon(partial(self.receiver_ended, number))

    def receiver_ended(self, who: Receiver, *, failed: bool = False) -> None:
        """Acknowledge what one that has ended was given last.

        Where it was cancelled or failed, that waits until somebody asks for more here: all of this
        process may be about to end, and then it was not handled. Nor was what is ended so late in a
        stop that nothing is received any more.
        """
        with self.lock:
            handed = self._handed.pop(who, None)
            if handed and (failed or self._deaf is not None):
                self._left_behind += handed
            elif handed and not self._closed:
                self._acknowledge_all(handed)

    def _acknowledge_thread(self, who: Receiver) -> None:
        # A thread that has received and then runs an event loop asks by what runs there.
        thread = receiver.around(who)
        handed = None if thread is None else self._handed.get(thread)
        if handed:
            self._acknowledge_all(handed)

    def _acknowledge_idle(self) -> None:
        # Whoever has a pool's thread receive handles the message elsewhere.
        for who, handed in self._handed.items():
            if handed and receiver.is_idle(who):
                self._acknowledge_all(handed)

    def holds(self, who: Receiver) -> bool:
        """Return whether a receiver has a message of this end in hand. Under the lock."""
        return bool(self._handed.get(who))

    def is_handling(self, idle: set[Receiver]) -> bool:
        """Return whether one that is not idle has a message of this end in hand. Under the lock."""
        return any(
            handed and who not in idle and not receiver.is_idle(who)
            for who, handed in self._handed.items()
        )

    def rebuild(self, payload: Any) -> tuple[bool, Any]:
        """Return whether the message could be rebuilt, and the data."""
        if self._prompt:
            self._port.flush()
        try:
            return True, self.load(payload)
        except Exception as error:
            self.not_rebuilt(error)
            return False, None

    def load(self, payload: Any) -> Any:
        """Return the message. May raise anything."""
        if type(payload) is Linked:
            return load_linked(payload, self._find)
        return load(payload)

    def not_rebuilt(self, error: Exception) -> None:
        """Count and log a message that can't be rebuilt."""
        self.failed()
        log.logger.opt(exception=error).error(
            f"channel {self.name}: a message can't be rebuilt here and is skipped: {error!r}"
        )

    def take(self) -> tuple[int, deque[Any], bool] | None:
        """Return the next batch for a runner: the first number, the messages, whether PROMPT."""
        with self.lock:
            if not self.has_messages():
                self.idle = True
                return None
            batch = self._inbox.popleft()
            # After many messages the runner looks again by itself.
            self.idle = batch.count == 1 and not self._inbox
        return batch.first, deque(batch.payloads()), bool(batch.flags & frames.PROMPT)

    def begin(self, number: int) -> None:
        """Say that the handling of a message begins, for a runner."""
        with self.lock:
            if not self._closed:
                self._port.begin(self.number, number)
        self._port.flush()

    def has_messages(self) -> bool:
        """Return whether `take` would give some."""
        return bool(self._inbox) and not self._closed and self._deaf is None

    def acknowledge(self, ranges: list[tuple[int, int]]) -> None:
        """Say that the handling of these messages has ended, for a runner."""
        with self.lock:
            if not self._closed:
                self._pass_acknowledgements(ranges)
        self._port.pump()

    def _pass_acknowledgements(self, ranges: list[tuple[int, int]]) -> None:
        # What was sent in handling these messages leaves first, or a process that dies now
        # would have them count as handled and their answers lost.
        self._turns.pass_on()
        self._port.acknowledge(self.number, ranges)

    def failed(self) -> None:
        """Count a callback, a filter or a message that failed."""
        with self.lock:
            self.errors += 1

    def register(self, registration: Registration, *, undecided: bool = False) -> None:
        """Add a callback; one that is `undecided` when `decide` is called, which it is soon.

        Raises `ChannelModeError` on an end that receives.
        """
        with self.lock:
            self._check_own()
            if self._mode != "callback":
                most = self.capacity if registration.is_async else SYNC_CALLBACKS
                window = 1 if registration.ordered else registration.concurrency or most
                self._check_mode("callback")
                self._runner = self._site.dispatcher.attach(self)
                self._enter("callback", window)
                self._ahead = self._runner.backlog
            if undecided:
                self._runner.hold(registration, partial(self.decide, registration))
            else:
                self._runner.add(registration)
            self.idle = False
            self._site.dispatcher.ready(self._runner)
        self._port.pump()

    def decide(self, undecided: Registration, wanted: Registration | None = None) -> bool:
        """Add an undecided callback, or the one that is wanted instead; False if it is too late."""
        with self.lock:
            runner = self._runner
            if runner is None or not runner.release(undecided):
                return False
            if wanted is not None:
                wanted.place = undecided.place
            runner.add(wanted or undecided)
            self.idle = False
            self._site.dispatcher.ready(runner)
        return True

    def _enter(
        self, mode: Literal["receive", "callback"], window: int = 1, *, asks: bool = False
    ) -> None:
        self._check_mode(mode)
        self._check_own()
        self._mode = mode
        self._port.ready(self.number, window, asks)

    def check_receives(self) -> None:
        """Raise `ChannelModeError` on an end that has callbacks."""
        self._check_mode("receive")

    def _check_mode(self, mode: Literal["receive", "callback"]) -> None:
        if self._mode not in (None, mode):
            has, asks = (
                ("callbacks (on_receive)", "receive()")
                if self._mode == "callback"
                else ("been received from", "on_receive()")
            )
            raise ChannelModeError(
                f"channel {self.name}: this end has {has}, so {asks} can't be used on it: "
                "an end is read in one way; make a second channel for the other",
                self.name,
            )

    def note_receiver(self, who: Receiver) -> None:
        """Remember whether it is the process's target that receives here."""
        self.received_by_target = who in self._stop.target

    def _check_receiver(self, who: Receiver) -> None:
        """Raise `ChannelClosed` where a receiver gets no more messages."""
        if self._closed or self._deaf is not None:
            raise ChannelClosed(self._deaf or f"channel {self.name} is closed", self.name)
        if receiver.in_callback.get():
            return
        if self._stop.holds(who):
            if not self.anonymous:  # Else it waits for a reply.
                self._stop.waits(who)
        elif who in self._handed:  # It has handled what it was given here, and asks for the next.
            raise ChannelClosed(str(self._stopping), self.name)

    def _check_own(self) -> None:
        if self._closed:
            raise ChannelClosed(f"channel {self.name} is closed", self.name)

    def _acknowledge_all(self, handed: list[int]) -> None:
        acknowledgements = self._acknowledgements
        for sequence in handed:
            if acknowledgements.add(sequence):
                self._flush_acknowledgements()
            elif acknowledgements.count == 1:
                self._site.soon(self.attend)
        handed.clear()

    def _flush_acknowledgements(self) -> None:
        if self._acknowledgements.count:
            self._pass_acknowledgements(self._acknowledgements.take())

    def attend(self) -> None:
        """Pass on the acknowledgements that were put off."""
        with self.lock:
            self._flush_acknowledgements()
        self._port.pump()

    # ------------------------------------------------------------- counting

    def stats(self) -> dict[str, int]:
        """Return the counters of `Channel.stats`.

        They are taken from what is counted anyway, and counted a batch at a time: while
        messages pass, a number may be a few behind another.
        """
        with self.lock:
            gathered = self.gathered[:]
            texts = not gathered or type(gathered[0]) is str
            sent = self._next + len(self._pending) + len(gathered) // (1 if texts else 2)
            unacknowledged = self.capacity - self._free - self.text_slots - self.payload_slots
            backlog = self._unread() + (0 if self._ahead is None else self._ahead())
            return {
                "sent": sent,
                "received": max(0, self._arrived - backlog),
                "acknowledged": max(0, sent - self._unhandled - unacknowledged),
                "redelivered": self.redelivered,
                "dropped": self.dropped,
                "errors": self.errors,
                "backlog": backlog,
                "capacity": self.capacity,
                "bytes": self._bytes,
            }

    def _unread(self) -> int:
        return len(self._opened) + sum([batch.count for batch in self._inbox])

    # ------------------------------------------------------------- waiting

    def wait(
        self,
        waiters: Waiters,
        attempt: Callable[[], Any],
        timeout: float | None,
        doing: str,
        deadline: float | None = None,
    ) -> Any:
        """Return what `attempt` returns, once that is not None; block this thread meanwhile.

        `deadline` is where the `timeout` that an error names ends, if it does not begin now.
        """
        if timeout is not None and deadline is None:
            deadline = monotonic() + timeout
        asks = False
        try:
            while True:
                with self.lock:
                    result = attempt()
                    if result is None:
                        waiter = SyncWaiter()
                        waiters.append(waiter)
                    # Last: in the main process a message may come as soon as it is asked for.
                    asks = self._count(waiters, asks, result is None)
                self._port.pump()
                if result is not None:
                    return result
                woken = False
                try:
                    woken = waiter.wait(None if deadline is None else deadline - monotonic())
                finally:
                    if not woken:
                        self._leave(waiters, waiter)
                if not woken:
                    raise self._timed_out(timeout, doing)
        finally:
            if asks:
                self._stop_asking(waiters)

    async def async_wait(
        self,
        waiters: Waiters,
        attempt: Callable[[], Any],
        timeout: float | None,
        doing: str,
        deadline: float | None = None,
    ) -> Any:
        """Do the same as `wait` without blocking the loop."""
        loop = asyncio.get_running_loop()
        if timeout is not None and deadline is None:
            deadline = monotonic() + timeout
        asks = False
        try:
            while True:
                with self.lock:
                    result = attempt()
                    if result is None:
                        waiter = AsyncWaiter(loop)
                        waiters.append(waiter)
                    # Last: in the main process a message may come as soon as it is asked for.
                    asks = self._count(waiters, asks, result is None)
                self._port.pump()
                if result is not None:
                    return result
                woken = False
                try:
                    woken = await waiter.wait(None if deadline is None else deadline - monotonic())
                finally:
                    if not woken:
                        self._leave(waiters, waiter)
                if not woken:
                    raise self._timed_out(timeout, doing)
        finally:
            if asks:
                self._stop_asking(waiters)

    def _count(self, waiters: Waiters, counted: bool, waits: bool) -> bool:
        """Count one that waits for a message, or waits no more; return whether it counts now."""
        if waiters is not self.receivers:
            return False
        if waits is not counted:
            self._asking += 1 if waits else -1
        if self._period:
            self.balance()
        return waits

    def _stop_asking(self, waiters: Waiters) -> None:
        with self.lock:
            self._count(waiters, True, False)
        self._port.pump()

    def _leave(self, waiters: Waiters, waiter: Waiter) -> None:
        with self.lock:
            try:
                waiters.remove(waiter)
            except ValueError:
                self._wake(waiters, 1)  # It was woken and gives that to the next.

    def _timed_out(self, timeout: float | None, doing: str) -> ChannelTimeout:
        return ChannelTimeout(f"channel {self.name}: {doing} within {timeout:g} s", self.name)

    # ------------------------------------------------------------- ending

    def close(self) -> None:
        """Close this end: flush, tell the other side, wake who waits here. Idempotent."""
        with self.lock:
            if self._closed:
                return
            unread = self._end(self._port.close)
        self._port.pump()
        if unread:
            log.logger.warning(f"channel {self.name}: closed with {unread} messages unread")

    def took_handle(self) -> None:
        """Count a handle on this end. Under the lock."""
        self.handles += 1

    def lost_handle(self) -> None:
        """Learn that a handle is gone. Not in its finaliser, which may run between any two lines.

        Without a name, a handle or callbacks nobody can use this end any more: it is left.
        """
        with self.lock:
            self.handles -= 1
            if self.handles or not self.anonymous or self._closed or self._runner is not None:
                return
            if self._stop.crashed:
                return  # It was not let go of by whoever had it: the end of the process is next.
            self._end(self._port.leave)
        self._port.pump()

    def _end(self, tell: Callable[[int], None]) -> int:
        self.gatherer = 0
        self._collect()
        self._seal()
        for who, handed in self._handed.items():
            receiver.forget(who, self)
            self._acknowledge_all(handed)
        self._handed.clear()
        self._acknowledge_all(self._left_behind)
        self._flush_acknowledgements()
        self._closed = True
        unread = self._let_go()
        tell(self.number)
        self.context.forget(self)
        self._wake_all()
        if self._runner is not None:
            self._site.dispatcher.detach(self._runner)
            self._runner = None
        return unread

    def begin_stop(self, why: str) -> None:
        """Have whoever serves this channel get `ChannelClosed` in place of the next message.

        Whoever waits for something in the middle of handling a message goes on. Under the lock.
        """
        self._stopping = why
        self._wake(self.receivers, len(self.receivers))

    def stop_receiving(self, why: str) -> None:
        """Have every `receive` raise `ChannelClosed` from now on; sending goes on. Under the lock.

        After `begin_stop`.
        """
        self._deaf = why
        self._wake_all()

    def forget_target(self) -> None:
        """Learn that the target of this process does not receive any more."""
        self.received_by_target = False

    def is_sent(self) -> None:
        """Learn that a message with this channel is sent: somebody may get it. Under the lock."""
        self._holds += 1
        if self._made:
            self._gone, self._last = None, False

    def on_gone(self, kind: type[ChannelError] | None, why: str, last: bool, holds: int) -> None:
        """Learn that the other side closed or is lost, or, with None, is back. Under the lock.

        `last` says that no message of it is still to come, `holds` how often the hub had seen this
        channel sent from here.
        """
        if self._made and kind is not None and holds != self._holds:
            return
        self._gone = None if kind is None else kind(f"channel {self.name}: {why}", self.name)
        self._last = last
        if kind is not None:
            self._wake_all()

    def lost(self, kind: type[ChannelError], why: str) -> None:
        """Learn that the way to the hub is gone. Under the lock."""
        self.gatherer = 0
        self._let_go()
        self.on_gone(kind, why, True, self._holds)

    def _let_go(self) -> int:
        """Let go of what has arrived and was not taken; return how many messages that was."""
        unread = self._unread()
        self._inbox.clear()
        self._opened.clear()
        self._arrived -= unread
        self.dropped += unread
        return unread

    def _wake_all(self) -> None:
        self._wake(self.senders, len(self.senders))
        self._wake(self.receivers, len(self.receivers))

    def _wake(self, waiters: Waiters, count: int) -> None:
        while waiters and count > 0:
            waiters.popleft().wake(self._site.wakes)
            count -= 1
