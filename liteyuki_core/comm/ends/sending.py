"""The sending half of one end of a channel.

It accepts messages, gathers them into batches, and passes the batches to the hub through the port
of its process. The end owns it. Any thread calls it; a method that is called under the site's lock
says so. While the lock is held, nothing here waits, serialises or makes a system call.

Invariants, under the lock:

- free + reserved + (messages accepted and not yet acknowledged) == capacity
- `gathering` is the loop whose turn gathers messages, and `gatherer` is its thread (the quick way
  compares threads, because asking asyncio for the running loop takes a system call up to Python
  3.11)
- reserved is room that this loop's turn has set aside, so that the loop can gather short messages
  of one kind without the lock: `text_reserved` or `payload_reserved`, and the other of them is 0
- while that loop runs, only its thread writes these two and appends to `gathered`; any thread that
  passes on messages, under the lock, first takes the gathered messages off the front of `gathered`
- messages that threads gather in a burst are accepted like all others and wait in `_pending`;
  `_burster` is the thread without a loop that gathered last, 0 if no burst goes on
- messages leave in the order in which they were accepted, and before every acknowledgement of
  this process that comes after them
- a thread or task that waits for room has its waiter in `senders`; the call that makes room wakes
  as many as can go on, and a sender that was woken and does not use the room wakes the next
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable
from threading import get_ident
from time import monotonic
from typing import Any, NamedTuple

from ...errors import ChannelTimeout, LiteyukiError, MessageTooLarge, SendError
from ..loop.site import Site
from ..loop.steps import Steps, W
from ..loop.waiter import Waiter, Waiters
from ..wire import frames
from ..wire.batch import Batch, pack, pack_linked, pack_text
from ..wire.headers import Headers
from ..wire.payload import Linked, dump, dump_linked
from .port import Port
from .state import State
from .turns import Turns

BATCH_MESSAGES = 512
BATCH_BYTES = 240 * 1024
SMALL = 256
_SMALL_PAYLOAD = 2048
"""Texts up to `SMALL` characters and pickles up to `_SMALL_PAYLOAD` bytes are gathered without the
lock."""

_ENOUGH = 0.0015
"""While the other side has work for this many seconds, senders that wait for room may sleep on."""

_OVERDUE = 0.02
"""If `_rouse` was asked for and was not called within this many seconds, it is asked for again."""

_FEW = 8
"""If fewer messages have come since the last look, a burst is over."""

_LINKED = -2
"""Stands for the length of a message that carries channels. For a text, -1 does."""


class Kind(NamedTuple):
    """What requests have in common that travel together."""

    once: bool
    traceparent: str
    kill: bool = False
    """Whether the worker that handles one is ended if its asker gives up."""


class Asked:
    """One request: the asker's thread or task waits for its outcome."""

    __slots__ = ("accepted", "failed", "kind", "number", "outcome", "waiter")

    def __init__(self, kind: Kind, accepted: Callable[[Asked, int], None]) -> None:
        self.kind = kind
        self.accepted = accepted
        """Is called with this and its number, under the lock, when the request is accepted."""
        self.number = -1
        self.waiter: Waiter | None = None
        self.outcome: Any = None
        """The answer, not yet rebuilt, or the error to raise; None: none has come."""
        self.failed = False
        """Whether the answer is an error as text."""


class CarriesChannel(TypeError):
    """Pickle has met a channel. It can be sent only in a message, by `dump_linked`."""


class Sending:
    """Accepts, gathers and passes on what one end sends. Any thread may call its methods.

    `link` returns what stands for a channel in a message, and None for any other object. `hold` is
    called, under the lock, with the key of each channel that a message carries.
    """

    # Of an object with more than 30 attributes, Python looks each one up in a dictionary.
    __slots__ = (
        "_acknowledged_at",
        "_burster",
        "_bursts",
        "_free",
        "_hold",
        "_kind",
        "_lengths",
        "_link",
        "_lock",
        "_longest_text",
        "_looked",
        "_next",
        "_number",
        "_pending",
        "_pending_bytes",
        "_port",
        "_requests",
        "_rousing_until",
        "_sealed",
        "_shared",
        "_site",
        "_state",
        "_text",
        "_turns",
        "_unhandled",
        "bytes",
        "capacity",
        "dropped",
        "gathered",
        "gatherer",
        "gathering",
        "payload_reserved",
        "senders",
        "text_reserved",
    )

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
        self._bursts = turns.bursts
        self._link = link
        self._hold = hold
        self._free = state.capacity
        self._next = 0
        self._pending: list[Any] = []
        self._lengths: list[int] = []
        self._pending_bytes = 0
        self.gathered: list[Any] = []
        """Messages gathered without the lock: texts, or payloads each followed by its length."""
        self.text_reserved = 0
        self.payload_reserved = 0
        """How many more texts, or how many more payloads, may be gathered so. One of them is 0."""
        self._text = True
        """Whether the pending messages are texts."""
        self._kind: Kind | None = None
        """What kind of requests the pending messages are; None: they are no requests."""
        self._requests = 0
        """The number of the next request that is passed on."""
        self._sealed = 0
        """How many batches were passed on."""
        self._longest_text = min(frames.LONGEST_TEXT, site.max_message_bytes // 4)
        self._shared = False
        """Whether a thread or loop other than the gathering loop has sent."""
        self.gathering: Any = None
        self.gatherer = 0
        self._burster = 0
        """The thread whose messages are gathered in a burst, see `bursts.py`, or 0."""
        self._looked = 0
        """The number of the next message at the last `look`."""
        self.senders: Waiters = deque()
        """The waiters of threads and tasks that wait for room."""
        self._acknowledged_at = 0.0
        self._rousing_until = 0.0
        """The time when a `_rouse` that was asked for is overdue."""
        # counting
        self.bytes = 0
        self.dropped = 0
        self._unhandled = 0
        """How many messages were dropped: their room is free, but nobody has handled them."""

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
                payload, length = dump(data)
            except CarriesChannel:
                linked = dump_linked(data, self._link)
                payload, length = linked, _LINKED  # type: ignore[assignment]
        except LiteyukiError:
            raise  # The message carries a channel that can't be used.
        except Exception as error:
            raise SendError(
                f"channel {self.name}: {type(data).__qualname__} can't be sent: {error}; "
                f"{_advice(data)}",
                self.name,
            ) from error
        if len(payload) > self._site.max_message_bytes:
            raise MessageTooLarge(
                f"channel {self.name}: a message of {len(payload)} bytes is over the limit of "
                f"{self._site.max_message_bytes}; send it in pieces, or raise "
                "LITEYUKI_MAX_MESSAGE_BYTES",
                self.name,
            )
        return payload, length

    def gather(self, data: Any) -> bool:
        """Accept a short text if this thread's loop has reserved room for it. Without the lock.

        Returns False if it has not. Then the caller calls `offer`.
        """
        if len(data) <= SMALL and get_ident() == self.gatherer and self.gathering.is_running():
            self.text_reserved -= 1
            self.gathered.append(data)
            return True
        return False

    def gather_payload(self, payload: Any, length: int) -> bool:
        """Do the same for a short payload from `serialise`."""
        if (
            length > 0
            and len(payload) <= _SMALL_PAYLOAD
            and get_ident() == self.gatherer
            and self.gathering.is_running()
        ):
            self.payload_reserved -= 1
            self.gathered += payload, length
            return True
        return False

    def offer(self, item: Any, length: int) -> bool:
        """Accept a serialised message if there is room. Return whether there was room.

        Raises `ChannelClosed` or `ChannelBroken`.
        """
        with self._lock:
            if self._burster and self._burster == get_ident() and self._add_to_burst(item, length):
                return True
            accepted = self.accept(item, length)
        if accepted is not False:
            self._port.pump()
            if self._bursts is not None and _get_running_loop() is None:
                self._bursts.sent()
        return accepted is not None

    def _add_to_burst(self, item: Any, length: int) -> bool:
        """Do what `accept` does with one more message of a burst that is like those before it.

        Returns False, and does nothing, if the message is another one.
        """
        pending = self._pending
        size = self._pending_bytes + len(item)
        if (
            self._free <= 0
            or len(pending) >= BATCH_MESSAGES - 1
            or size >= BATCH_BYTES
            or self._kind is not None
            or not (length == -1 if self._text else length > 0)
            or self.gathered
        ):
            return False
        self._free -= 1
        self._pending_bytes = size
        pending.append(item)
        if length > 0:
            self._lengths.append(length)
        return True

    def accept(
        self, item: Any, length: int, *, at_once: bool = True, request: Asked | None = None
    ) -> bool | None:
        """Do the same under the lock. Return None if there is no room, True to pump the port.

        A message goes at once if it is the first that a loop's turn sends, or comes long after the
        message before it. All other messages of that turn, of this and of all other ends, leave
        together after the turn. Without `at_once` this message leaves with them. A message of a
        thread goes at once unless the thread is in a burst.
        """
        loop = _get_running_loop()
        if loop is None or (loop is not self.gathering and self.gathering is not None):
            self._shared = True
        if loop is self.gathering or (self.gathering is not None and self.gathering.is_closed()):
            self._free += self.text_reserved + self.payload_reserved
            self.text_reserved = self.payload_reserved = 0
        state = self._state
        if state.closed or state.gone is not None or self._free <= 0:
            state.check_open()
            if self._burster:
                self.pass_on()  # There will be no room before these have left.
            return None
        sealed = self._sealed
        if self.gathered:
            self._collect()
        kind = None if request is None else request.kind
        if kind != self._kind:
            self._seal()
            self._kind = kind
        self._free -= 1
        if length >= 0:
            # A long message travels alone. A batch may be no longer than a frame.
            if self._text or not length or self._pending_bytes + len(item) > BATCH_BYTES:
                self._seal()
                self._text = False
            self._lengths.append(length)
        elif length == _LINKED:
            self._seal()
            if request is not None:
                request.accepted(request, self._requests)
            self._pass_linked(item)
            return True
        elif not self._text:
            self._seal()
            self._text = True
        if request is not None:
            request.accepted(request, self._requests + len(self._pending))
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
        bursts = (
            loop is None
            and kind is None
            and self._bursts is not None
            and self._bursts.gathers(self)
        )
        if bursts:
            self._burster = get_ident()
        if (
            (loop is not self.gathering if loop is not None else not bursts)
            or (begins and at_once)
            or len(self._pending) >= BATCH_MESSAGES
            or self._pending_bytes >= BATCH_BYTES
        ):
            self._seal()
        if loop is not None and loop is self.gathering and kind is None:
            # At most half of the room if other threads send too, so that they find some.
            room = self._free // 2 if self._shared else self._free
            reserved = min(room, BATCH_MESSAGES - 1 - len(self._pending))
            if self._text:
                self.text_reserved = reserved = max(0, reserved)
            else:
                most = (BATCH_BYTES - self._pending_bytes) // _SMALL_PAYLOAD
                self.payload_reserved = reserved = max(0, min(reserved, most))
            self._free -= reserved
        return self._sealed != sealed

    # ------------------------------------------------------------- passing on

    def _collect(self) -> None:
        # Messages that the loop's thread appends meanwhile stay for the next time.
        gathered = self.gathered[:]
        if not gathered:
            return
        del self.gathered[: len(gathered)]
        if self._kind is not None:
            self._seal()
            self._kind = None
        text = type(gathered[0]) is str
        if text is not self._text:
            self._seal()
            self._text = text
        if text:
            self._pending += gathered
        else:
            payloads = gathered[::2]
            self._pending += payloads
            self._lengths += gathered[1::2]
            self._pending_bytes += sum(map(len, payloads))

    def flush(self) -> None:
        """Pass on the messages that were gathered."""
        with self._lock:
            self.pass_on()
        self._port.pump()

    def pass_on(self) -> None:
        """Do the same under the lock. The caller pumps the port."""
        self._collect()
        self._seal()

    def look(self) -> bool:
        """Pass on what was gathered in a burst. Return whether the burst goes on."""
        self.pass_on()
        goes_on = self._next - self._looked >= _FEW
        self._looked = self._next
        if not goes_on:
            self._burster = 0
        return goes_on

    def end_turn(self) -> int:
        """Pass on what a loop's turn has gathered. Return how many messages are dropped.

        Under the lock.
        """
        self.gathering = None
        self.gatherer = 0
        unused = self.text_reserved + self.payload_reserved
        self.text_reserved = self.payload_reserved = 0
        self._free += unused
        if self.senders:
            self._wake(unused)
        if self.gathered:
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
            batch = pack(self._next, pending, self._lengths)
            self._lengths = []
            self.bytes += self._pending_bytes
        self._pending = []
        self._pending_bytes = 0
        self._send(batch)

    def _pass_linked(self, payload: Linked) -> None:
        for key in payload.carried():
            self._hold(key)
        batch = pack_linked(self._next, payload)
        self.bytes += batch.size
        self._send(batch)

    def _send(self, batch: Batch) -> None:
        self._sealed += 1
        if self._kind is None:
            self._next += batch.count
        else:
            once, trace, kill = self._kind
            batch.first = self._requests
            batch.headers = Headers(self._requests, once=once, traceparent=trace, kill=kill)
            self._requests += batch.count
        self._port.data(self._number, batch)

    # ------------------------------------------------------------- room: from the hub, locked

    def on_dropped(self, count: int) -> None:
        """Note that `count` messages will not be handled, and make room."""
        self.dropped += count
        self._unhandled += count
        self.on_acknowledged(count)

    def on_acknowledged(self, count: int) -> None:
        """Make room, because the other side has handled `count` messages."""
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
            # One sender that waits on a loop is woken by that loop's timer, which wakes no other
            # thread. Of several senders none may depend on the loop of another.
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
        length: int,
        timeout: float | None,
        *,
        at_once: bool = True,
        request: Asked | None = None,
    ) -> Steps[W, None]:
        """Wait until a serialised message is accepted. The lock is not held while it waits.

        Raises what `offer` does, and `ChannelTimeout`.
        """
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            with self._lock:
                accepted = self.accept(item, length, at_once=at_once, request=request)
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
                    self._give_up(waiter)
            if woken and waiter.loop is None and self._bursts is not None:
                self._bursts.sent()  # To wait for room is no pause.
            if not woken:
                raise ChannelTimeout(
                    f"channel {self.name}: there was no room for a message within {timeout:g} s",
                    self.name,
                )

    def _give_up(self, waiter: Waiter) -> None:
        with self._lock:
            try:
                self.senders.remove(waiter)
            except ValueError:
                self._wake(1)  # It was woken and does not use the room. Wake the next.

    def _wake(self, count: int) -> None:
        while self.senders and count > 0:
            self.senders.popleft().wake(self._site.wakes)
            count -= 1

    # ------------------------------------------------------------- from the end, under the lock

    def wake_all(self) -> None:
        """Wake all that wait for room, so that they look again."""
        self._wake(len(self.senders))

    def lock_out(self) -> None:
        """Make the gathering loop or thread go through `accept` with its next message."""
        self.gatherer = self._burster = 0

    def counted(self) -> tuple[int, int]:
        """Return how many messages were sent, and how many of these were handled."""
        gathered = self.gathered[:]
        texts = not gathered or type(gathered[0]) is str
        sent = (
            self._next + self._requests + len(self._pending) + len(gathered) // (1 if texts else 2)
        )
        reserved = self.text_reserved + self.payload_reserved
        unacknowledged = self.capacity - self._free - reserved
        return sent, max(0, sent - self._unhandled - unacknowledged)


def _advice(data: Any) -> str:
    """Return what to send in place of data that can't be sent."""
    parts = data.values() if isinstance(data, dict) else data
    for each in (data, *(parts if isinstance(data, (dict, list, tuple)) else ())):
        if hasattr(type(each), "call_api"):  # A bot of a framework has its connection.
            return "send bot.self_id in place of a bot, and get the bot by it where it is received"
    return (
        "send what pickle can carry (numbers, text, lists, dicts, instances of module-level "
        "classes)"
    )
