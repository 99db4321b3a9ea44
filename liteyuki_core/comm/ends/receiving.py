"""The receiving half of one end of a channel: for every form of `receive`, or for a runner.

The port hands over the batches that come for this end. The end owns this half. Any thread calls it;
a method that is called under the site's lock says so. While the lock is held, nothing here waits,
runs user code, rebuilds a message or makes a system call, except the call that wakes a loop.

Invariants, under the lock:

- a message is in exactly one place: in the hub's custody, in the inbox, in `_opened`, or handed
  out; `handed.py` says what follows then
- if other processes receive on this side too, `_period` is not 0; then `_asked` is how many
  messages the hub was asked for, less those that have come since, and after each change it is
  `_asking` - (messages here that nobody has taken), see `hub/side.py`
- a thread or task that waits for a message has its waiter in `receivers`; the call that brings
  messages wakes as many as can go on, and a receiver that was woken and takes none wakes the next
- nothing here blocks a thread that runs an event loop
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Literal

from ... import log
from ...errors import ChannelClosed, ChannelError, ChannelModeError, ChannelTimeout
from ...language import say
from ..loop import receiver
from ..loop.callbacks import SYNC_CALLBACKS, Registration
from ..loop.receiver import Receiver
from ..loop.site import Site
from ..loop.steps import Steps, W
from ..loop.waiter import Waiter, Waiters
from ..wire import frames
from ..wire.batch import Batch
from ..wire.payload import Linked, load, load_linked
from .handed import Handed
from .inbox import Inbox
from .port import Port
from .state import State
from .stop import Stop
from .turns import Turns


class Receiving(Inbox):
    """Takes in what comes for one end, and gives each message to a receiver or to the runner.

    Any thread may call its methods. `find` returns a handle for a channel that a message carries.
    """

    def __init__(
        self,
        state: State,
        site: Site,
        port: Port,
        turns: Turns,
        stop: Stop,
        find: Callable[[str, Any], Any],
    ) -> None:
        super().__init__(state, site, port)
        self._turns = turns
        self._stop = stop
        self._find = find
        self.handed = Handed(state, site, port, turns)
        self._opened: deque[tuple[int, Any]] = deque()
        self._prompt = False
        """Whether opened messages are PROMPT: each is reported when it begins, and acknowledged at
        once."""
        self.receivers: Waiters = deque()
        """The waiters of threads and tasks that wait for a message."""
        self._mode: Literal["receive", "callback"] | None = None
        self.received_by_target = False
        """Whether the target of this process itself receives here, on its own thread or task."""
        self._asking = 0
        """How many threads and tasks wait for a message."""
        self._asked = 0
        self._stopping = stop.why
        """Why receivers that were given a message get no more, or None."""
        self._stopped = stop.over
        """Why every `receive` raises, or None."""

    # ------------------------------------------------------------- from the hub, under the lock

    def on_data(self, batch: Batch) -> None:
        """Take in a batch. Never rebuilds a message."""
        if self._state.closed:
            return
        self._inbox.append(batch)
        self._arrived += batch.count
        self._asked -= batch.count
        self.bytes += batch.size
        if batch.flags & frames.REDELIVERED:
            self.redelivered += batch.count
        if self._runner is not None:
            if self.idle:
                self.idle = False
                self._site.dispatcher.ready(self._runner)
        else:
            self._wake(batch.count)

    def on_shared(self, period: int) -> None:
        """Note whether other processes receive too. Give back the messages nobody here asks for."""
        self._period = period
        if not period or self._state.closed:
            return
        self._give_back(max(0, self._unread() - self._asking), more=self._runner is not None)
        self._asked = 0
        if self._runner is None:
            self.balance()
        else:
            self._site.dispatcher.call_back(self._runner)

    # ------------------------------------------------------------- for a receive

    def ask(self, who: Receiver) -> tuple[int, Any] | None:
        """Acknowledge what `who` was given before. Return the next message, not yet rebuilt.

        Returns None if there is none yet, and raises if none will come. Under the lock; the caller
        calls `balance` after it.
        """
        if self._mode != "receive":
            self._enter("receive", asks=True)
        in_hand = self.handed
        handed = in_hand.numbers.get(who)
        if handed:
            in_hand.acknowledge(handed)
        elif handed is None and in_hand.numbers:
            in_hand.acknowledge_thread(who)
        if self._stopping is not None or self._state.closed:
            self._check_receiver(who)
        elif in_hand.left_behind:
            in_hand.acknowledge(in_hand.left_behind)
        while not self._opened:
            if not self._inbox:
                if len(in_hand.numbers) > (handed is not None):
                    in_hand.acknowledge_idle()
                if self._prompt or in_hand.acknowledgements.count >= in_hand.worth_sending:
                    in_hand.flush()
                if self._state.last:
                    self._state.check_open()
                self._turns.waits()
                return None
            batch = self._inbox.popleft()
            self._opened = deque(enumerate(batch.payloads(), batch.first))
            self._prompt = bool(batch.flags & frames.PROMPT)
        message = self._opened.popleft()
        if handed is None:
            handed = in_hand.serve(who)
        handed.append(message[0])
        if self._stopping is not None:
            self._stop.got(who)
        if self._prompt:
            in_hand.flush()
            self._port.begin(self._number, message[0], False)
        return message

    def take_nowait(self, who: Receiver) -> tuple[int, Any] | None:
        """Return the next message, or None if there is none yet. See `ask`. Pumps the port."""
        in_hand = self.handed
        with self.lock:
            opened = self._opened
            handed = in_hand.numbers.get(who) if opened else None
            if (
                handed
                and self._stopping is None
                and not (self._prompt or self._period or in_hand.left_behind)
            ):
                # What `ask` would do, without all that can't be: most messages are taken here.
                message: tuple[int, Any] | None = opened.popleft()
                told = in_hand.acknowledge(handed)
                handed.append(message[0])  # type: ignore[index]
            else:
                told = True
                message = self.ask(who)
                if self._period:
                    self.balance()
        if told:
            self._port.pump()
        return message

    def pump(self) -> None:
        """Have what was passed on written. Not under the lock."""
        self._port.pump()

    @property
    def has_arrived(self) -> bool:
        """Whether there is a message to take. Read without the lock."""
        return bool(self._opened or self._inbox)

    def poll(self) -> None:
        """Ask the hub for a message that waits there now, for the next call of `receive_nowait`."""
        with self.lock:
            if self._period:
                self._port.ask_for(self._number, self._period, 0)
        self._port.flush()

    # ------------------------------------------------------------- asking

    def add_waiter(self, waiter: Waiter) -> None:
        """Have a waiter woken for the next message, until it is removed. Under the lock.

        A receiver that waits for several ends has its waiter at each.
        """
        self.receivers.append(waiter)
        self._asking += 1

    def remove_waiter(self, waiter: Waiter) -> None:
        """Undo `add_waiter`. A waiter that was woken wakes the next. Under the lock."""
        self._asking -= 1
        try:
            self.receivers.remove(waiter)
        except ValueError:
            if self._opened or self._inbox:
                self._wake(1)

    def balance(self) -> None:
        """Tell the hub if more or fewer messages are asked for here now. Under the lock."""
        if not self._period or self._state.closed:
            return
        count = self._asking - self._unread() - self._asked
        if count:
            self._asked += count
            self._port.ask_for(self._number, self._period, count)

    def _give_back(self, count: int, *, more: bool) -> None:
        self._arrived -= count
        ranges = self._take_off(count)
        count -= sum([some for _, some in ranges])
        if count:
            for _ in range(count):
                first, _ = self._opened.pop()
            ranges.append((first, count))
        self._pass_back(ranges, more=more)

    # ------------------------------------------------------------- rebuilding

    def rebuild(self, payload: Any) -> tuple[bool, Any]:
        """Return whether the message could be rebuilt, and the data. Not under the lock."""
        if type(payload) is str and not self._prompt:
            return True, payload
        if self._prompt:
            self._port.flush()
        try:
            return True, self.load(payload)
        except Exception as error:
            self.not_rebuilt(error)
            return False, None

    def load(self, payload: Any) -> Any:
        """Rebuild a message. May raise anything."""
        if type(payload) is Linked:
            return load_linked(payload, self._find)
        return load(payload)

    load_answer = load
    """Rebuilds an answer. That is not of the channel's type, if the channel has one."""

    def not_rebuilt(self, error: Exception) -> None:
        """Count and log a message that can't be rebuilt."""
        if self._state.lost:
            return  # Channels in it can't be opened any more. It counts as not handled.
        self.failed()
        log.logger.opt(exception=error).error(
            say(
                "{who}: a message can't be rebuilt here and is skipped: {error!r}",
                who=self.title,
                error=error,
            )
        )

    # ------------------------------------------------------------- for a runner

    def has_messages(self) -> bool:
        """Return whether `take` would give some."""
        return bool(self._inbox) and not self._state.closed and self._stopped is None

    def ended(self) -> tuple[int, ChannelError] | None:
        """Return the error that says that no message will come any more, or None if some may."""
        state = self._state
        with self.lock:
            if state.gone is None or not state.last or state.closed or state.lost or self._inbox:
                return None
            return state.returns, state.gone.__class__(*state.gone.args)

    def acknowledge(self, ranges: list[tuple[int, int]]) -> bool:
        """Say that the handling of these messages has ended, for a runner. It calls `pump`."""
        with self.lock:
            if not self._state.closed:
                self.handed.pass_on(ranges)
        return True

    # ------------------------------------------------------------- how it is read

    def register(self, registration: Registration, *, undecided: bool = False) -> None:
        """Add a callback. If it is `undecided`, it is added when `decide` is called, which is soon.

        Raises `ChannelModeError` on an end that `receive` was used on.
        """
        with self.lock:
            self._state.check_own()
            if self._mode != "callback":
                most = self.capacity if registration.is_async else SYNC_CALLBACKS
                window = 1 if registration.ordered else registration.concurrency or most
                self._check_mode("callback")
                self._runner = self._site.dispatcher.attach(self)
                self._enter("callback", window)
                self._ahead = self._runner.backlog
            self._add(registration, undecided)
        self._port.pump()

    def _enter(
        self, mode: Literal["receive", "callback"], window: int = 1, *, asks: bool = False
    ) -> None:
        self._check_mode(mode)
        self._state.check_own()
        self._mode = mode
        self._port.ready(self._number, window, asks)

    def check_receives(self) -> None:
        """Raise `ChannelModeError` on an end that has callbacks."""
        self._check_mode("receive")

    def _check_mode(self, mode: Literal["receive", "callback"]) -> None:
        if self._mode not in (None, mode):
            used, asks = (
                ("on_receive()", "receive()")
                if self._mode == "callback"
                else ("receive()", "on_receive()")
            )
            raise ChannelModeError(
                f"channel {self.name}: this end is read with {used}, so {asks} can't be used "
                "on it; make a second channel for that",
                self.name,
            )

    def note_receiver(self, who: Receiver) -> None:
        """Note whether the receiver `who` is the process's target."""
        self.received_by_target = who in self._stop.target

    def _check_receiver(self, who: Receiver) -> None:
        """Raise `ChannelClosed` if the receiver `who` gets no more messages."""
        if self._state.closed or self._stopped is not None:
            raise ChannelClosed(self._stopped or f"channel {self.name} is closed", self.name)
        if receiver.in_callback.get():
            return
        if self._stop.holds(who):
            if not self._state.anonymous:  # On a channel without a name it waits for a reply.
                self._stop.waits(who)
        elif who in self.handed.numbers:  # It has handled its message and asks for the next.
            raise ChannelClosed(str(self._stopping), self.name)

    # ------------------------------------------------------------- waiting

    def until_message(
        self,
        new_waiter: Callable[[], W],
        who: Receiver,
        timeout: float | None,
        deadline: float | None,
    ) -> Steps[W, tuple[int, Any]]:
        """Wait for the next message and return it, as `ask` does.

        Raises what `ask` raises, and `ChannelTimeout` at `deadline`, when `timeout` seconds have
        passed. Pumps the port. The lock is not held while it waits.
        """
        asks = False
        try:
            while True:
                with self.lock:
                    message = self.ask(who)
                    if message is None:
                        waiter = new_waiter()
                        self.receivers.append(waiter)
                    if asks is not (message is None):
                        asks = message is None
                        self._asking += 1 if asks else -1
                    # Last, because in the main process a message may come at once.
                    if self._period:
                        self.balance()
                self._port.pump()
                if message is not None:
                    return message
                woken = False
                try:
                    woken = yield waiter, None if deadline is None else deadline - monotonic()
                finally:
                    if not woken:
                        self._give_up(waiter)
                if not woken:
                    raise ChannelTimeout(
                        f"channel {self.name}: no message came within {timeout:g} s", self.name
                    )
        finally:
            if asks:
                self._stop_asking()

    def _stop_asking(self) -> None:
        with self.lock:
            self._asking -= 1
            if self._period:
                self.balance()
        self._port.pump()

    def _give_up(self, waiter: Waiter) -> None:
        with self.lock:
            try:
                self.receivers.remove(waiter)
            except ValueError:
                self._wake(1)  # It was woken and takes no message. Wake the next.

    def _wake(self, count: int) -> None:
        while self.receivers and count > 0:
            self.receivers.popleft().wake(self._site.wakes)
            count -= 1

    # ------------------------------------------------------------- from the end, under the lock

    def wake_all(self) -> None:
        """Wake all that wait for a message, so that they look again."""
        self._wake(len(self.receivers))

    def look_at_end(self) -> None:
        """Have the runner see whether messages may still come."""
        if self._runner is not None and self._runner.tells_end:
            self._site.dispatcher.ready(self._runner)

    def begin_stop(self, why: str) -> None:
        """Make a receiver that asks for its next message get `ChannelClosed`.

        A receiver that waits while it handles another message goes on waiting.
        """
        self._stopping = why
        self.wake_all()

    def stop_receiving(self, why: str) -> None:
        """Make every `receive` raise `ChannelClosed` from now on. After `begin_stop`."""
        self._stopped = why
        self.handed.break_off()
        self.wake_all()

    def forget_target(self) -> None:
        """Note that the target of this process does not receive any more."""
        self.received_by_target = False

    def let_go(self) -> int:
        """Drop the messages that have arrived and were not taken. Return how many they were."""
        unread = self._unread()
        self._inbox.clear()
        self._opened.clear()
        self._arrived -= unread
        self.dropped += unread
        return unread

    def _unread(self) -> int:
        return len(self._opened) + sum([batch.count for batch in self._inbox])
