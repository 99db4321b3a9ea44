"""One process's side of everything: its channel ends, its dispatcher, its way to the hub.

The main process's context talks to the hub by direct calls, a child's over its one link; both
do it through the same few methods of a port, so that ends need not know which it is.

Ownership. The context owns its ends, its dispatcher and the thread that attends to what
ends put off; its port owns the way to the hub. `close` ends the dispatcher, that
thread, the ends and the port, in this order. `lock` guards the state of all ends
(and, in the main process, of the hub); nothing waits, runs user code or makes a system call
while it is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import chain
from time import monotonic, sleep

from .. import log
from ..errors import ChannelClosed, ChannelError, ChannelNotFound, NotConnected
from .ends.end import End
from .ends.port import ContextPort
from .loop.receiver import Receiver, of_thread
from .loop.site import Site
from .store.access import Access

_QUICK_SECONDS = 0.0001
_REPLY_PATIENCE = 1.0
"""Seconds that a stop waits for one that has a message in hand and waits for another on a channel
with a name. It may wait for an answer there, or have been done with the first one long ago."""

_SETTLE_SECONDS = 0.005
"""How often a stop looks whether messages are still in hand."""


class Context:
    """What one process has of channels. Any thread may call its methods."""

    def __init__(
        self,
        process: str | None,
        *,
        max_message_bytes: int,
        own_loop: bool,
    ) -> None:
        self.site = Site(process, max_message_bytes=max_message_bytes, own_loop=own_loop)
        self.process = process
        self.max_message_bytes = max_message_bytes
        self.lock = self.site.lock
        self.wakes = self.site.wakes
        self.dispatcher = self.site.dispatcher
        self.ends: dict[int, End] = {}
        self.stopping: str | None = None
        """Why nothing more is begun."""
        self.stop_at: float | None = None
        """By when, of `time.monotonic`, what is in hand is to be handled, where that was said."""
        self.waits_in_stop: dict[Receiver, float] = {}
        """Who waits on a channel with a name with a message of another in hand, and since when."""
        self.crashed = False
        """Whether this process is about to end as one that has crashed."""
        self.target: set[Receiver] = set()
        """The thread and the task of this process's target."""
        self._last_sent = 0.0
        self._turns: dict[asyncio.AbstractEventLoop, list[End]] = {}
        self._still: dict[asyncio.AbstractEventLoop, list[End]] = {}
        self._watches_turns = False
        """The ends on which the turn of a loop gathers messages; under the lock."""
        self.port: ContextPort
        self.access: Access
        self._by_key: dict[str, End] = {}
        self._last_number = 0
        self._closed: str | None = None

    def connect(self, port: ContextPort, access: Access) -> None:
        """Have a way to the hub and one to the store, before anything else is done."""
        self.port = port
        self.access = access

    def make(self, name: str | None, capacity: int) -> End:
        """Return this process's end of a new channel; `register` lets others get it."""
        with self.lock:
            end = self._add(None, name or "(unnamed)", True, capacity)
            self.port.open(end.number, None, capacity)
        self.port.pump()
        return end

    def get(self, name: str) -> End:
        """Return this process's end of channel `name`. Raises `ChannelNotFound`."""
        with self.lock:
            found = self.port.find(name)
            if found is None:
                known = ", ".join(sorted(self.port.names())) or "none"
                raise ChannelNotFound(
                    f"no channel is named {name!r} (there are: {known}); whoever makes it has "
                    "to call set_channel, and a process has to be added, before it can be got",
                    name,
                )
            capacity, key = found
            end = self.reach(key, name, False, capacity)
            end.anonymous = False
        self.port.pump()
        return end

    def reach(self, key: str, name: str, anonymous: bool, capacity: int) -> End:
        """Return this process's end of a channel that a message has brought. Under the lock.

        The port is to be pumped after that.
        """
        end = self._by_key.get(key)
        if end is None:
            end = self._add(key, name, anonymous, capacity)
            self.port.open(end.number, key, capacity)
        return end

    def register(self, name: str, end: End) -> None:
        """Let every process get the channel of `end` as `name`. Raises `ChannelExists`."""
        with self.lock:
            found = self.port.find(name)
            if found is not None and found[1] == end.key:
                return
        self.port.register(end.number, name)
        with self.lock:
            end.name = name
            end.anonymous = False

    def hold(self, key: str) -> None:
        """Learn that a message with the channel `key` in it is sent. Under the lock."""
        self.port.hold(key)
        end = self._by_key.get(key)
        if end is not None:
            end.is_sent()

    def rekey(self, number: int, key: str) -> None:
        """Learn that the channel held as `number` goes on as `key`. Under the lock."""
        end = self.ends.get(number)
        if end is not None and end.key != key:
            self._by_key.pop(end.key, None)
            end.key = key
            self._by_key[key] = end

    def forget(self, end: End) -> None:
        """Drop an end that was closed. Under the lock."""
        self.ends.pop(end.number, None)
        if self._by_key.get(end.key) is end:
            del self._by_key[end.key]

    def sends_quickly(self) -> bool:
        """Return whether messages are sent in quick succession: then it pays to gather them.

        Under the lock.
        """
        now = monotonic()
        last, self._last_sent = self._last_sent, now
        return now - last < _QUICK_SECONDS

    def begin_turn(self, loop: asyncio.AbstractEventLoop, end: End) -> bool:
        """Have `end` pass on what it gathers when the turn of `loop` ends. Under the lock.

        On that loop's thread. Returns whether it is the first in this turn.
        """
        ends = self._turns.get(loop)
        if ends is None:
            for other in [other for other in self._turns if other.is_closed()]:
                del self._turns[other]
            self._turns[loop] = [end]
            loop.call_soon(self._end_turn, loop)
            if not self._watches_turns:
                self._watches_turns = True
                self.site.soon(self._look_at_turns)
            return True
        ends.append(end)
        return False

    def gathering(self) -> Iterable[End]:
        """Return the ends on which turns gather messages. Under the lock."""
        return chain.from_iterable(self._turns.values())

    def _look_at_turns(self) -> None:
        """End the turns of loops that stand still: they were stopped before they could do it."""
        dropped: list[tuple[str, int]] = []
        with self.lock:
            still = {loop: ends for loop, ends in self._turns.items() if not loop.is_running()}
            before, self._still = self._still, still
            for loop, ends in still.items():
                if before.get(loop) is ends:
                    dropped += self._finish_turn(loop)
                for end in ends:
                    end.gatherer = 0  # Where the loop runs again, it has to wait for the lock.
            self._watches_turns = bool(self._turns)
            if self._watches_turns:
                self.site.soon(self._look_at_turns)
        self._end_turns(dropped)

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        with self.lock:
            dropped = self._finish_turn(loop)
        self._end_turns(dropped)

    def _finish_turn(self, loop: asyncio.AbstractEventLoop) -> list[tuple[str, int]]:
        """Pass on what a turn has gathered; return what is dropped of it. Under the lock."""
        ended = [(end.name, end.end_turn()) for end in self._turns.pop(loop, ())]
        return [(name, count) for name, count in ended if count]

    def _end_turns(self, dropped: list[tuple[str, int]]) -> None:
        self.port.pump()
        for name, count in dropped:
            log.logger.warning(
                f"channel {name}: {count} messages sent during its closing are dropped"
            )

    # ------------------------------------------------------------- stopping

    def begin_stop(self, why: str) -> None:
        """Begin nothing more: whoever serves a channel gets `ChannelClosed` for the next message.

        What is in hand goes on, and what is waited for to handle it. Idempotent.
        """
        with self.lock:
            if self.stopping is not None:
                return
            self.stopping = why
            for end in self.ends.values():
                end.begin_stop(why)

    def settle(self, timeout: float) -> bool:
        """Wait until no message is in hand, at most `timeout` seconds; then receiving ends.

        Returns whether none was left. After `begin_stop`; not on a thread that runs an event loop.
        """
        deadline = monotonic() + timeout
        finished = self.dispatcher.finish(timeout)
        while not self._end_receiving(force=monotonic() >= deadline):
            sleep(_SETTLE_SECONDS)
        return finished and monotonic() < deadline

    async def async_settle(self, timeout: float) -> None:
        """Do the same on the loop that callbacks run on."""
        deadline = monotonic() + timeout
        await self.dispatcher.async_finish(timeout)
        while not self._end_receiving(force=monotonic() >= deadline):
            await asyncio.sleep(_SETTLE_SECONDS)

    def _end_receiving(self, *, force: bool) -> bool:
        """End receiving if nothing is in hand, or by force; return whether it has ended."""
        with self.lock:
            # In one go: what somebody takes a moment later is in hand.
            if not force and self.is_handling():
                return False
            self.stop_receiving(str(self.stopping))
        return True

    def is_handling(self) -> bool:
        """Return whether a thread or task has a message in hand that it has received."""
        with self.lock:
            late = monotonic() - _REPLY_PATIENCE
            idle = {who for who, since in self.waits_in_stop.items() if since < late}
            return any(end.is_handling(idle) for end in self.ends.values())

    def holds(self, who: Receiver) -> bool:
        """Return whether one that receives has a message in hand. Under the lock."""
        return any(end.holds(who) for end in self.ends.values())

    def stop_receiving(self, why: str) -> None:
        """Wake everyone who waits in a `receive` of this process, and let none wait again."""
        self.begin_stop(why)
        with self.lock:
            for end in list(self.ends.values()):
                end.stop_receiving(why)
            self.access.stop_listening()

    def received_by_target(self) -> bool:
        """Return whether the target of this process itself receives, so that it ends by that."""
        with self.lock:
            return any(end.received_by_target for end in self.ends.values())

    def target_runs_loop(self) -> None:
        """Learn that the target runs somebody else's loop, and receives no more from now on."""
        with self.lock:
            self.target.clear()
            for end in self.ends.values():
                end.received_by_target = False

    @property
    def ended(self) -> bool:
        """Whether the way to the hub is gone."""
        return self._closed is not None

    def lost(self, kind: type[ChannelError], why: str) -> None:
        """Tell every end that the way to the hub is gone."""
        with self.lock:
            self._closed = why
            for end in self.ends.values():
                end.lost(kind, why)
            self.access.lost(why)

    def close(self, timeout: float, *, handled: bool = True) -> None:
        """Flush and end everything within about `timeout` seconds. Idempotent.

        Unless `handled`, what this thread was given last stays unacknowledged. What others have in
        hand is waited for half of the time, and unacknowledged after that.
        """
        deadline = monotonic() + timeout
        if handled:
            for end in list(self.ends.values()):
                end.handled(of_thread())
        begun = self.stopping is not None
        self.begin_stop("this process is stopping")
        self.dispatcher.close(timeout / 2, begun=begun)
        while handled and self.is_handling() and monotonic() < deadline - timeout / 2:
            sleep(_SETTLE_SECONDS)
        self.stop_receiving("this process is stopping")
        self.site.close()
        with self.lock:
            # In one go: what is sent from now on is refused, and not left behind.
            for end in self.ends.values():
                end.attend()
                end.flush()
            self.lost(ChannelClosed, "this process's LiteyukiBot has stopped")
        names = {number: end.name for number, end in self.ends.items()}
        for number, count in self.port.shut(max(0.0, deadline - monotonic())).items():
            log.logger.error(
                f"channel {names.get(number, '(closed)')}: {count} messages could not be handed to "
                f"the main process within {timeout:.1f} s and are lost"
            )

    def abandon(self) -> None:
        """Let go of everything in a forked copy of the process."""
        self.access.copies.close()
        self.port.abandon()

    def _add(self, key: str | None, name: str, anonymous: bool, capacity: int) -> End:
        if self._closed is not None:
            raise NotConnected(f"channel {name} can't be used any more: {self._closed}")
        self.site.start_attending()
        number = self._last_number = self._last_number + 1
        made = key is None
        key = key or f"{self.port.prefix}{number}"
        end = End(self, number, key, name, anonymous, capacity, made)
        self.ends[number] = self._by_key[key] = end
        return end
