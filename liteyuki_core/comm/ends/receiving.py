"""The receiving half of one end of a channel: for `receive` in its forms, or for a runner.

What comes for it is handed over by the port. Any thread calls it; what is called under the site's
lock says so, and nothing waits, runs user code, rebuilds or makes a system call meanwhile, but the
one that wakes a loop.

Invariants, under the lock:

- a message is in exactly one place: the hub's custody, the inbox, opened, handed out; what becomes
  of it then is said in `handed.py`
- where other processes receive too (`_period` is not 0), `_asked` is what the hub was told of how
  many messages are asked for, less what has come since; after each change it is
  `_asking` - (messages that nobody has taken), see `route.py`
- who waits for a message is in `receivers`; whoever brings some wakes as many as can go on, and one
  that was woken and can't use it wakes the next
- on a loop's thread nothing of this waits
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Literal

from ... import log
from ...errors import ChannelClosed, ChannelModeError, ChannelTimeout
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
from .port import Port
from .state import State
from .stop import Stop
from .turns import Turns


class Receiving:
    """What one end receives: the inbox, who waits for a message, who is given the next.

    Any thread may call its methods. `find` returns what a message carries in place of a channel.
    """

    loads = staticmethod(pickle.loads)

    def __init__(
        self,
        state: State,
        site: Site,
        port: Port,
        turns: Turns,
        stop: Stop,
        find: Callable[[str, Any], Any],
    ) -> None:
        self._state = state
        self._number = state.number
        self.capacity = state.capacity
        self._site = site
        self.lock = site.lock
        self._port = port
        self._stop = stop
        self._find = find
        self.handed = Handed(state, site, port, turns)
        self._inbox: deque[Batch] = deque()
        self._opened: deque[tuple[int, Any]] = deque()
        self._prompt = False
        """Whether what is opened is to be reported as begun, and as handled at once."""
        self.receivers: Waiters = deque()
        """Who waits for a message."""
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
        self._stopping = stop.why
        self._deaf: str | None = None
        # counting
        self._arrived = 0
        """Messages that came and were not let go of unread."""
        self.bytes = 0
        self._ahead: Callable[[], int] | None = None
        """How many messages the runner holds that no callback has been given yet."""
        self.redelivered = 0
        self.dropped = 0
        self.errors = 0

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._state.name

    @property
    def title(self) -> str:
        """What it is called in the log."""
        return f"channel {self.name}"

    # ------------------------------------------------------------- from the hub, under the lock

    def on_data(self, batch: Batch) -> None:
        """Take in messages. Never rebuilds them."""
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
        """Learn whether others receive too. What nobody here asks for is theirs."""
        self._period = period
        if not period or self._state.closed:
            return
        self._give_back(max(0, self._unread() - self._asking))
        self._asked = 0
        if self._runner is None:
            self.balance()
        else:
            self._site.dispatcher.call_back(self._runner)

    # ------------------------------------------------------------- for a receive

    def ask(self, who: Receiver) -> tuple[int, Any] | None:
        """Acknowledge what `who` was given before; return the next message, not yet rebuilt.

        None where there is none yet. Under the lock; `balance` follows. Raises when none will come.
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
            self._port.begin(self._number, message[0])
        return message

    def take_nowait(self, who: Receiver) -> tuple[int, Any] | None:
        """Return the next message, or None where there is none yet; see `ask`."""
        with self.lock:
            message = self.ask(who)
            if self._period:
                self.balance()
        return message

    def pump(self) -> None:
        """Get moving what was passed on."""
        self._port.pump()

    @property
    def has_arrived(self) -> bool:
        """Whether a message was there just now."""
        return bool(self._opened or self._inbox)

    def poll(self) -> None:
        """Have a message come for the next time, if one waits for whoever may have it."""
        with self.lock:
            if self._period:
                self._port.ask_for(self._number, self._period, 0)
        self._port.flush()

    # ------------------------------------------------------------- asking

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
                self._wake(1)

    def balance(self) -> None:
        """Tell the hub how many messages are asked for here now. Under the lock."""
        if not self._period or self._state.closed:
            return
        count = self._asking - self._unread() - self._asked
        if count:
            self._asked += count
            self._port.ask_for(self._number, self._period, count)

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
        self._port.give_back(self._number, self._period, ranges)

    # ------------------------------------------------------------- rebuilding

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

    # ------------------------------------------------------------- for a runner

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
            if not self._state.closed:
                self._port.begin(self._number, number)
        self._port.flush()

    def has_messages(self) -> bool:
        """Return whether `take` would give some."""
        return bool(self._inbox) and not self._state.closed and self._deaf is None

    def acknowledge(self, ranges: list[tuple[int, int]]) -> None:
        """Say that the handling of these messages has ended, for a runner."""
        with self.lock:
            if not self._state.closed:
                self.handed.pass_on(ranges)
        self._port.pump()

    def return_unbegun(self, first: int, count: int) -> None:
        """Give back messages that a runner has taken and no callback was given."""
        with self.lock:
            if not self._state.closed:
                self._arrived -= count
                self._port.give_back(self._number, self._period, [(first, count)])
        self._port.pump()

    def failed(self) -> None:
        """Count a callback, a filter or a message that failed."""
        with self.lock:
            self.errors += 1

    # ------------------------------------------------------------- how it is read

    def register(self, registration: Registration, *, undecided: bool = False) -> None:
        """Add a callback; one that is `undecided` when `decide` is called, which it is soon.

        Raises `ChannelModeError` on an end that receives.
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
        self._state.check_own()
        self._mode = mode
        self._port.ready(self._number, window, asks)

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
        if self._state.closed or self._deaf is not None:
            raise ChannelClosed(self._deaf or f"channel {self.name} is closed", self.name)
        if receiver.in_callback.get():
            return
        if self._stop.holds(who):
            if not self._state.anonymous:  # Else it waits for a reply.
                self._stop.waits(who)
        elif who in self.handed.numbers:  # It has handled what it was given, and asks for the next.
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

        Raises what that does, and `ChannelTimeout` at `deadline`, where the `timeout` ends.
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
                    # Last: in the main process a message may come as soon as it is asked for.
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
                self._wake(1)  # It was woken and gives that to the next.

    def _wake(self, count: int) -> None:
        while self.receivers and count > 0:
            self.receivers.popleft().wake(self._site.wakes)
            count -= 1

    # ------------------------------------------------------------- from the end, under the lock

    def wake_all(self) -> None:
        """Have everyone who waits for a message look again."""
        self._wake(len(self.receivers))

    def begin_stop(self, why: str) -> None:
        """Have whoever serves this channel get `ChannelClosed` in place of the next message.

        Whoever waits for something in the middle of handling a message goes on.
        """
        self._stopping = why
        self.wake_all()

    def stop_receiving(self, why: str) -> None:
        """Have every `receive` raise `ChannelClosed` from now on. After `begin_stop`."""
        self._deaf = why
        self.handed.break_off()
        self.wake_all()

    def forget_target(self) -> None:
        """Learn that the target of this process does not receive any more."""
        self.received_by_target = False

    @property
    def has_callbacks(self) -> bool:
        """Whether a runner takes what comes."""
        return self._runner is not None

    def let_go(self) -> int:
        """Let go of what has arrived and was not taken; return how many messages that was."""
        unread = self._unread()
        self._inbox.clear()
        self._opened.clear()
        self._arrived -= unread
        self.dropped += unread
        return unread

    def detach(self) -> None:
        """Let go of the runner of an end that was closed."""
        if self._runner is not None:
            self._site.dispatcher.detach(self._runner)
            self._runner = None

    def counted(self) -> tuple[int, int]:
        """Return how many messages were given to somebody, and how many are still to be."""
        backlog = self._unread() + (0 if self._ahead is None else self._ahead())
        return max(0, self._arrived - backlog), backlog

    def _unread(self) -> int:
        return len(self._opened) + sum([batch.count for batch in self._inbox])
