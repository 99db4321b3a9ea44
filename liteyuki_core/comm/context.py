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
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from queue import SimpleQueue
from time import monotonic, sleep
from typing import Any

from .. import log
from ..errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelError,
    ChannelExists,
    ChannelNotFound,
    ChannelTimeout,
    FrameError,
    NotConnected,
)
from .ends.end import End, Port
from .loop.dispatch import Dispatcher
from .loop.receiver import Receiver, of_thread
from .loop.wakes import Wake, Wakes, fire
from .store import value
from .store.access import Access
from .store.copies import Copies
from .store.value import Value
from .wire import frames
from .wire.batch import Batch, unpack
from .wire.endpoint import Endpoint
from .wire.link import Link

_REPLY_SECONDS = 10.0
_GATHER_SECONDS = 0.005
_QUICK_SECONDS = 0.0001
_REPLY_PATIENCE = 1.0
"""Seconds that a stop waits for one that has a message in hand and waits for another on a channel
with a name. It may wait for an answer there, or have been done with the first one long ago."""

_SETTLE_SECONDS = 0.005
"""How often a stop looks whether messages are still in hand."""


class ContextPort(Port):
    """A context's way to the hub. `open` and `names` are called under the lock.

    `prefix` and a channel's number here make the key of a channel that is made here.
    """

    prefix: str

    def names(self) -> Mapping[str, tuple[int, str]]:
        """Return the names of all channels that can be got, with capacities and keys."""
        raise NotImplementedError

    def find(self, name: str) -> tuple[int, str] | None:
        """Return the capacity and the key of the channel of that name. Under the lock."""
        raise NotImplementedError

    def open(self, number: int, key: str | None, capacity: int) -> None:
        """Hold, as `number`, an end of channel `key`, or of a new one where that is None."""
        raise NotImplementedError

    def register(self, number: int, name: str) -> None:
        """Have everybody know the channel held as `number` as `name`. Not under the lock.

        Raises `ChannelExists`.
        """
        raise NotImplementedError

    def ask(self, number: int, fields: dict[str, Any], values: list[Value]) -> None:
        """Ask the store; with `number` 0 it does not answer. Under the lock."""
        raise NotImplementedError

    def peek(self, key: str) -> Value | None:
        """Return what is at `key` of the store, if that is in this process. From any thread."""
        raise NotImplementedError

    def word(self, **fields: Any) -> None:
        """Send the main process a word that is no matter of channels. Not under the lock.

        Raises `NotConnected` in the main process itself.
        """
        raise NotImplementedError

    def loop_waits(self) -> None:
        """Learn that this thread will wait, though it runs a loop that may be reading."""
        raise NotImplementedError

    def shut(self, timeout: float) -> dict[int, int]:
        """Send what is queued within `timeout` seconds and end the way. Not under the lock.

        Returns how many messages could not be sent, by the channel's number.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """Let go of it in a forked copy of the process."""
        raise NotImplementedError


class Context:
    """What one process has of channels. Any thread may call its methods."""

    def __init__(
        self,
        process: str | None,
        *,
        max_message_bytes: int,
        own_loop: bool,
        copies: Copies | None = None,
    ) -> None:
        self.process = process
        self.max_message_bytes = max_message_bytes
        self.lock = threading.RLock()
        self.wakes = Wakes()
        self.dispatcher = Dispatcher(self.wakes, own_loop=own_loop)
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
        self._by_key: dict[str, End] = {}
        self._last_number = 0
        self._attendant = _Attendant()
        self._closed: str | None = None
        self.access = Access(self, copies or Copies(None, 0))

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
                self._attendant.add(self._look_at_turns)
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
                self._attendant.add(self._look_at_turns)
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

    def soon(self, act: Callable[[], None], loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Have `act`, of an end or a listener, called within 5 ms.

        With a loop it is called there, and this is under the lock. Otherwise this is called from
        anywhere, also from a finaliser; what uses it calls `start_attending` before.
        """
        if loop is None:
            self._attendant.add(act)
        else:
            self.wakes.wake(loop, partial(loop.call_later, _GATHER_SECONDS, act))

    def start_attending(self) -> None:
        """Start the thread for `soon` unless it runs. Under the lock."""
        self._attendant.start()

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
        self._attendant.close()
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
        self.start_attending()
        number = self._last_number = self._last_number + 1
        made = key is None
        key = key or f"{self.port.prefix}{number}"
        end = End(self, number, key, name, anonymous, capacity, made)
        self.ends[number] = self._by_key[key] = end
        return end


class _Attendant:
    """Has ends attend to what found no company in time, or was left by its last handle.

    Its thread sleeps when there is nothing. `add` is safe everywhere, also in a finaliser.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it runs. Under the lock."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="liteyuki-attendant", daemon=True
            )
            self._thread.start()

    def add(self, act: Callable[[], None]) -> None:
        self._queue.put(act)

    def close(self) -> None:
        self._queue.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _run(self) -> None:
        while (act := self._queue.get()) is not None:
            sleep(_GATHER_SECONDS)
            act()
            for _ in range(self._queue.qsize()):
                act = self._queue.get()
                if act is None:
                    return
                act()


class LinkPort(ContextPort):
    """A child's way to the hub: its link.

    Both are called on the thread that reads: `on_word` with the fields of a control frame that is
    no matter of channels, `on_lost` when the main process is gone.
    """

    def __init__(
        self,
        context: Context,
        endpoint: Endpoint,
        *,
        on_word: Callable[[dict[str, Any]], None],
        on_lost: Callable[[str | None], None],
    ) -> None:
        self._context = context
        self._on_word = on_word
        self._on_lost = on_lost
        self.prefix = ""
        self._names: dict[str, tuple[int, str]] = {}
        self._connected = threading.Event()
        self._replies: dict[int, _Reply] = {}
        self._requests = 0
        self._values: list[Value] = []
        """What has come of a store frame in parts."""
        self._shutting = False
        self._ended = False
        self._link = Link(
            endpoint,
            "main",
            max_message_bytes=context.max_message_bytes,
            on_frames=self._on_frames,
            on_end=self._on_end,
        )

    def start(self, timeout: float) -> None:
        """Start, and wait until the hub has told the names. Raises `NotConnected`."""
        self._link.start()
        if not self._connected.wait(timeout):
            raise NotConnected(f"the main process did not answer within {timeout:g} s")

    def word(self, **fields: Any) -> None:
        self._link.queue(0, frames.control(0, **fields))
        self._link.pump()

    # ------------------------------------------------------------- to the hub

    def data(self, number: int, batch: Batch) -> None:
        self._link.queue(number, batch.frame(number))

    def acknowledge(self, number: int, ranges: list[tuple[int, int]]) -> None:
        # Who handled a message may have answered it on any channel, and is not to lose the answer
        # alone: that leaves first.
        self._link.queue_last(frames.acknowledgement(number, ranges))

    def begin(self, number: int, first: int) -> None:
        self._link.queue(0, frames.acknowledgement(number, [(first, 1)], frames.BEGUN))

    def ready(self, number: int, window: int, asks: bool) -> None:
        self._link.queue(number, frames.control(number, op="ready", window=window, asks=asks))

    def ask_for(self, number: int, period: int, count: int) -> None:
        frame = frames.control(number, op="ask_for", period=period, count=count)
        self._link.queue(number, frame)

    def give_back(self, number: int, period: int, ranges: list[tuple[int, int]]) -> None:
        frame = frames.control(number, op="back", period=period, ranges=ranges)
        self._link.queue(number, frame)

    def close(self, number: int) -> None:
        self._link.queue(number, frames.control(number, op="close"))

    def leave(self, number: int) -> None:
        self._link.queue(number, frames.control(number, op="leave"))

    def hold(self, key: str) -> None:
        self._link.queue(0, frames.control(0, op="hold", key=key))

    def pump(self) -> None:
        self._link.pump()

    def flush(self) -> None:
        self._link.flush()

    def names(self) -> Mapping[str, tuple[int, str]]:
        return self._names

    def find(self, name: str) -> tuple[int, str] | None:
        return self._names.get(name)

    def open(self, number: int, key: str | None, capacity: int) -> None:
        # Before everything else, so that a message that carries the channel does not overtake it.
        self._link.queue(0, frames.control(number, op="open", key=key, capacity=capacity))

    def register(self, number: int, name: str) -> None:
        reply = _Reply()
        with self._context.lock:
            if self._ended:
                raise ChannelBroken(f"channel {name}: the main process is gone", name)
            self._requests += 1
            request = self._requests
            self._replies[request] = reply
            frame = frames.control(number, op="register", name=name, request=request)
            self._link.queue(number, frame)
        self.pump()
        answered = reply.arrived.wait(_REPLY_SECONDS)
        with self._context.lock:
            self._replies.pop(request, None)
        if not answered:
            raise ChannelTimeout(
                f"channel {name}: the main process did not answer within {_REPLY_SECONDS:g} s", name
            )
        if reply.error is not None:
            raise reply.error

    def ask(self, number: int, fields: dict[str, Any], values: list[Value]) -> None:
        for frame in value.store({**fields, "request": number}, values):
            self._link.queue(frames.STORE_STREAM, frame)

    def peek(self, key: str) -> Value | None:
        return None

    def loop_waits(self) -> None:
        self._link.loop_waits()

    def shut(self, timeout: float) -> dict[int, int]:
        self._shutting = True
        return self._link.close(timeout)

    def abandon(self) -> None:
        self._link.abandon()

    # ------------------------------------------------------------- from the hub

    def _on_frames(self, arrived: list[frames.Frame]) -> list[Wake]:
        context = self._context
        wakes: list[Wake] = []
        words: list[dict[str, Any]] = []
        told = False
        try:
            with context.lock:
                wakes = context.wakes.gather()
                try:
                    for frame in arrived:
                        self._on_frame(frame, words)
                        told = told or frame.kind == frames.CONTROL
                finally:
                    context.wakes.release()
            if told:
                self._link.pump()  # What an end has to say to that.
            for fields in words:
                self._on_word(fields)
        except BaseException:
            fire(wakes, None)  # Whom earlier frames have served is not to wait for ever.
            raise
        return wakes

    def _on_frame(self, frame: frames.Frame, words: list[dict[str, Any]]) -> None:
        end = self._context.ends.get(frame.channel)
        if frame.kind == frames.DATA:
            batch = unpack(frame, kept=False)
            if end is not None:
                end.on_data(batch)
        elif frame.kind == frames.ACK:
            count = sum(count for _, count in frames.acknowledged(frame))
            if end is not None:
                end.on_acknowledged(count)
        elif frame.kind == frames.STORE:
            self._on_store(*value.stored(frame))
        else:
            fields = frames.fields(frame)
            if not self._on_control(frame.channel, fields, end):
                words.append(fields)

    def _on_store(self, fields: dict[str, Any], values: list[Value]) -> None:
        self._values += values
        if fields.get("part"):
            return
        values, self._values = self._values, []
        request = fields.pop("request", None)
        try:
            if request is None:
                self._context.access.told(fields, values)
            else:
                self._context.access.answered(request, fields, values)
        except (LookupError, TypeError) as error:
            raise FrameError(f"store frame {fields!r} is not known: {error!r}") from error

    def _on_control(self, number: int, fields: dict[str, Any], end: End | None) -> bool:
        """Do what a control frame says; return whether it is a matter of channels."""
        match fields:
            case {"op": "names", "add": dict(add), "remove": list(remove), "prefix": str(prefix)}:
                self.prefix = prefix
                self._names.update({name: (found[0], found[1]) for name, found in add.items()})
                for name in remove:
                    self._names.pop(name, None)
                self._connected.set()
            case {"op": "dropped", "count": int(count)}:
                if end is not None:
                    end.on_dropped(count)
            case {"op": "shared", "period": int(period)}:
                if end is not None:
                    end.on_shared(period)
            case {"op": "gone", "how": "back"}:
                if end is not None:
                    end.on_gone(None, "", False, 0)
            case {
                "op": "gone",
                "how": "closed" | "broken" as how,
                "why": str(why),
                "last": bool(last),
                "holds": int(holds),
            }:
                if end is not None:
                    kind = ChannelBroken if how == "broken" else ChannelClosed
                    end.on_gone(kind, why, last, holds)
            case {"op": "reply", "request": int(request), "error": error, "key": key}:
                if key is not None:
                    self._context.rekey(number, key)
                reply = self._replies.get(request)
                if reply is not None:
                    reply.error = None if error is None else ChannelExists(*error)
                    reply.arrived.set()
            case _:
                return False
        return True

    def _on_end(self, why: str | None) -> None:
        self._connected.set()
        with self._context.lock:
            self._ended = True
            for reply in self._replies.values():
                reply.error = ChannelBroken("the main process is gone")
                reply.arrived.set()
        if not self._shutting:
            self._context.lost(ChannelBroken, "the main process is gone")
            self._on_lost(why)


class _Reply:
    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.error: ChannelError | None = None
