"""The sending half of one end of a channel.

What it sends goes to the hub through its context's port. Any thread calls it; what is called under
the site's lock says so, and nothing waits, serialises or makes a system call meanwhile.

Invariants, under the lock:

- free + slots + (messages accepted and not yet acknowledged) == capacity
- the turn is that of the loop `gathering`, on the thread `gatherer` (asking asyncio for the running
  loop takes a system call up to Python 3.11, so the quick way asks for the thread)
- slots are room that the loop whose turn it is has set aside, so that it can gather short messages
  of one kind without the lock: it alone writes `text_slots` and `payload_slots`, of which one is 0,
  and appends to `gathered`; any thread that passes on messages, under the lock, first takes what is
  there off its front
- messages leave in the order in which they were accepted, and before every acknowledgement of
  this process that comes after them
- who waits for room is in `senders`; whoever makes room wakes as many as can go on, and one that
  was woken and can't use it wakes the next
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable
from threading import get_ident
from time import monotonic
from typing import Any

from ...errors import ChannelTimeout, LiteyukiError, MessageTooLarge, SendError
from ..loop.site import Site
from ..loop.steps import Steps, W
from ..loop.waiter import Waiter, Waiters
from ..wire import frames
from ..wire.batch import pack, pack_linked, pack_text
from ..wire.payload import Linked, dump, dump_linked
from .port import Port
from .state import State
from .turns import Turns

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


class Sending:
    """What one end sends: accepting, gathering, room. Any thread may call its methods.

    `link` says what stands for an object in a message, where that is a channel; `hold` is called,
    under the lock, with the key of each channel that a message carries.
    """

    def __init__(
        self,
        state: State,
        site: Site,
        port: Port,
        turns: Turns,
        link: Callable[[Any], tuple[str, Any] | None],
        hold: Callable[[str], None],
    ) -> None:
        self._state = state
        self._number = state.number
        self.capacity = state.capacity
        self._site = site
        self._lock = site.lock
        self._port = port
        self._turns = turns
        self._link = link
        self._hold = hold
        self._free = state.capacity
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
        self._longest_text = min(frames.LONGEST_TEXT, site.max_message_bytes // 4)
        self._shared = False
        """Whether others than one loop send."""
        self.gathering: Any = None
        self.gatherer = 0
        self.senders: Waiters = deque()
        """Who waits for room."""
        self._acknowledged_at = 0.0
        self._rousing_until = 0.0
        """When a `_rouse` that was asked for is overdue."""
        # counting
        self.bytes = 0
        self.dropped = 0
        self._unhandled = 0
        """Messages whose room is free again although nobody has handled them."""

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._state.name

    # ------------------------------------------------------------- accepting

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
        with self._lock:
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
        state = self._state
        if state.closed or state.gone is not None or self._free <= 0:
            state.check_open()
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

    # ------------------------------------------------------------- passing on

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
        with self._lock:
            self.pass_on()
        self._port.pump()

    def pass_on(self) -> None:
        """Do the same under the lock; the port is to be pumped."""
        self._collect()
        self._seal()

    def end_turn(self) -> int:
        """Pass on what a loop's turn has gathered, under the lock; return how much is dropped."""
        self.gathering = None
        self.gatherer = 0
        unused = self.text_slots + self.payload_slots
        self.text_slots = self.payload_slots = 0
        self._free += unused
        self._wake(unused)
        self._collect()
        dropped = len(self._pending) if self._state.closed or self._state.lost else 0
        self.dropped += dropped
        self._seal()
        return dropped

    def _seal(self) -> None:
        pending = self._pending
        if not pending:
            return
        if self._text:
            batch = pack_text(self._next, pending)
            self.bytes += batch.size
        else:
            batch = pack(self._next, pending, self._words)
            self._words = []
            self.bytes += self._pending_bytes
        self._next += batch.count
        self._pending = []
        self._pending_bytes = 0
        self._port.data(self._number, batch)

    def _pass_linked(self, payload: Linked) -> None:
        for key in payload.carried():
            self._hold(key)
        batch = pack_linked(self._next, payload)
        self._next += 1
        self.bytes += batch.size
        self._port.data(self._number, batch)

    # ------------------------------------------------------------- room: from the hub, locked

    def on_dropped(self, count: int) -> None:
        """Learn that `count` messages will not be handled."""
        self.dropped += count
        self._unhandled += count
        self.on_acknowledged(count)

    def on_acknowledged(self, count: int) -> None:
        """Make room: the other side handled `count` messages."""
        free = self._free = self._free + count
        now = monotonic()
        took, self._acknowledged_at = now - self._acknowledged_at, now
        if not self.senders:
            return
        if free >= self.capacity * 5 // 8 or (
            free >= self.capacity // 5 and (self.capacity - free) * took < count * _ENOUGH
        ):
            self._wake(free)
        elif now >= self._rousing_until:
            # A loop's own timer wakes nobody. Whoever waits beside it is not to wait for a loop.
            self._rousing_until = now + _OVERDUE
            self._site.soon(self._rouse, self.senders[0].loop if len(self.senders) == 1 else None)

    def _rouse(self) -> None:
        with self._lock:
            self._rousing_until = 0.0
            self._wake(self._free)

    # ------------------------------------------------------------- waiting

    def until_accepted(
        self,
        new_waiter: Callable[[], W],
        item: Any,
        word: int,
        timeout: float | None,
        *,
        at_once: bool = True,
    ) -> Steps[W, None]:
        """Wait until a serialised message is accepted.

        Raises what `offer` does, and `ChannelTimeout`.
        """
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            with self._lock:
                accepted = self.accept(item, word, at_once=at_once)
                if accepted is None:
                    waiter = new_waiter()
                    self.senders.append(waiter)
            self._port.pump()
            if accepted is not None:
                return
            woken = False
            try:
                woken = yield waiter, None if deadline is None else deadline - monotonic()
            finally:
                if not woken:
                    self._leave(waiter)
            if not woken:
                raise ChannelTimeout(
                    f"channel {self.name}: no room for a message came within {timeout:g} s",
                    self.name,
                )

    def _leave(self, waiter: Waiter) -> None:
        with self._lock:
            try:
                self.senders.remove(waiter)
            except ValueError:
                self._wake(1)  # It was woken and gives that to the next.

    def _wake(self, count: int) -> None:
        while self.senders and count > 0:
            self.senders.popleft().wake(self._site.wakes)
            count -= 1

    # ------------------------------------------------------------- from the end, under the lock

    def wake_all(self) -> None:
        """Have everyone who waits for room look again."""
        self._wake(len(self.senders))

    def lock_out(self) -> None:
        """Have the loop of this turn wait for the lock before it gathers any more."""
        self.gatherer = 0

    def counted(self) -> tuple[int, int]:
        """Return how many messages were sent, and how many of them were handled."""
        gathered = self.gathered[:]
        texts = not gathered or type(gathered[0]) is str
        sent = self._next + len(self._pending) + len(gathered) // (1 if texts else 2)
        slots = self.text_slots + self.payload_slots
        unacknowledged = self.capacity - self._free - slots
        return sent, max(0, sent - self._unhandled - unacknowledged)
