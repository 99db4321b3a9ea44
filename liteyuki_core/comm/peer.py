"""Who holds ends of channels, as the hub sees them: the main process itself and each child.

Both speak the hub's few words, one by direct calls, the other over its link.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ChannelBroken, ChannelError, ChannelExists, FrameError, NotConnected
from . import frames
from .context import Context, ContextPort
from .frames import Value
from .link import Endpoint, Link
from .wakes import Wake

if TYPE_CHECKING:
    from .hub import Hub
    from .route import Ranges, Route


class Peer(Protocol):
    """Whoever holds ends: a child's link or the main process's context.

    `prefix` starts the keys of the channels it makes, `eager` says that it takes messages of its
    own channels before it receives, `holds` counts by key the channels that it is about to send
    messages with. All methods are called under the lock.
    """

    process: str | None
    prefix: str
    ends: dict[int, tuple[Route, int]]
    eager: bool
    serves_since: float
    """When it had started, of `time.monotonic`; infinite before."""
    holds: Counter[str]

    def deliver(self, number: int, batch: frames.Batch) -> None:
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

        See `route.py`.
        """

    def answer(self, request: int, fields: dict[str, Any], values: list[Value]) -> None:
        """Pass on what the store answers."""

    def tell(self, fields: dict[str, Any], values: list[Value]) -> None:
        """Pass on what happened in the store."""

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        """Say which names, with their channels' capacities and keys, came and went."""


class LocalPort(ContextPort):
    """The main process's own context as a peer of the hub, and the hub as its port."""

    process: str | None = None
    prefix = "0."
    eager = False
    serves_since = 0.0

    def __init__(self, hub: Hub, context: Context) -> None:
        self._hub = hub
        self.context = context
        self.ends: dict[int, tuple[Route, int]] = {}
        self.holds: Counter[str] = Counter()

    def data(self, number: int, batch: frames.Batch) -> None:
        self._hub.data(self, number, batch)

    def acknowledge(self, number: int, ranges: Ranges) -> None:
        self._hub.acknowledge(self, number, ranges)

    def begin(self, number: int, first: int) -> None:
        pass  # Where this process dies, nobody asks.

    def ready(self, number: int, window: int, asks: bool) -> None:
        self._hub.ready(self, number, window, asks)

    def ask_for(self, number: int, period: int, count: int) -> None:
        self._hub.ask_for(self, number, period, count)

    def give_back(self, number: int, period: int, ranges: Ranges) -> None:
        self._hub.give_back(self, number, period, ranges)

    def close(self, number: int) -> None:
        self._hub.close(self, number)

    def leave(self, number: int) -> None:
        self._hub.leave(self, number)

    def hold(self, key: str) -> None:
        self._hub.hold(self, key)

    def pump(self) -> None:
        self._hub.pump()

    flush = pump

    def names(self) -> Mapping[str, tuple[int, str]]:
        return self._hub.names()

    def find(self, name: str) -> tuple[int, str] | None:
        return self._hub.find(name)

    def open(self, number: int, key: str | None, capacity: int) -> None:
        self._hub.open(self, number, key, capacity)

    def register(self, number: int, name: str) -> None:
        with self._hub.lock:
            self._hub.register(self, number, name)
        self._hub.pump()

    def shut(self, timeout: float) -> dict[int, int]:
        self._hub.close_links(timeout)
        return {}

    def abandon(self) -> None:
        self._hub.abandon()

    def deliver(self, number: int, batch: frames.Batch) -> None:
        self.context.ends[number].on_data(batch)

    def acknowledged(self, number: int, count: int) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.on_acknowledged(count)

    def dropped(self, number: int, count: int) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.on_dropped(count)

    def gone(
        self, number: int, kind: type[ChannelError] | None, why: str, last: bool, holds: int
    ) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.on_gone(kind, why, last, holds)

    def shared(self, number: int, period: int) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.on_shared(period)

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        pass  # It asks the hub itself.

    def ask(self, number: int, fields: dict[str, Any], values: list[Value]) -> None:
        self._hub.store.ask(self, number, fields, values)

    def peek(self, key: str) -> Value | None:
        entry = self._hub.store.entries.get(key)
        return entry.value if entry is not None and entry.deadline is None else None

    def word(self, **fields: Any) -> None:
        raise NotConnected(
            "this is the main process; a child process says this of itself, and here "
            "bot.restart_process(name) and bot.processes do the same"
        )

    def loop_waits(self) -> None:
        pass  # What it waits for does not come over a link.

    def answer(self, request: int, fields: dict[str, Any], values: list[Value]) -> None:
        self.context.access.answered(request, fields, values)

    def tell(self, fields: dict[str, Any], values: list[Value]) -> None:
        self.context.access.told(fields, values)


class LinkPeer:
    """A child process as a peer of the hub. It owns the link to it.

    `clean` says that the process leaves as it was asked to or as its target ended; one that goes
    otherwise has crashed. Both hooks are called on the reader's thread: `on_word`, under the lock,
    with the fields of a control frame that is no matter of channels; `on_end` after its ends
    are taken back, with what was wrong with the bytes that came, if anything.
    """

    eager = True

    def __init__(
        self,
        hub: Hub,
        process: str,
        serial: int,
        endpoint: Endpoint,
        on_end: Callable[[str | None], None],
        on_word: Callable[[dict[str, Any]], None],
    ) -> None:
        self._hub = hub
        self._end_hook = on_end
        self._word_hook = on_word
        self.process: str | None = process
        self.prefix = f"{serial}."
        self.ends: dict[int, tuple[Route, int]] = {}
        self.holds: Counter[str] = Counter()
        self._values: list[Value] = []
        """What has come of a store frame in parts."""
        self.clean = False
        self.serves_since = inf
        self.link = Link(
            endpoint,
            process,
            max_message_bytes=hub.max_message_bytes,
            on_frames=self._on_frames,
            on_end=self._on_end,
        )

    def control(self, **fields: Any) -> None:
        """Send a control frame. From any thread, not under the lock."""
        self.link.queue(0, frames.control(0, **fields))
        self.link.pump()

    def deliver(self, number: int, batch: frames.Batch) -> None:
        self._queue(number, batch.frame(number))

    def acknowledged(self, number: int, count: int) -> None:
        self._queue(0, frames.acknowledgement(number, [(0, count)]))

    def dropped(self, number: int, count: int) -> None:
        self._queue(0, frames.control(number, op="dropped", count=count))

    def gone(
        self, number: int, kind: type[ChannelError] | None, why: str, last: bool, holds: int
    ) -> None:
        how = "back" if kind is None else "broken" if kind is ChannelBroken else "closed"
        frame = frames.control(number, op="gone", how=how, why=why, last=last, holds=holds)
        self._queue(number, frame)

    def answer(self, request: int, fields: dict[str, Any], values: list[Value]) -> None:
        if request:
            self.tell({**fields, "request": request}, values)

    def tell(self, fields: dict[str, Any], values: list[Value]) -> None:
        for frame in frames.store(fields, values):
            self._queue(frames.STORE_STREAM, frame)

    def shared(self, number: int, period: int) -> None:
        self._queue(number, frames.control(number, op="shared", period=period))

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        frame = frames.control(0, op="names", add=add, remove=remove, prefix=self.prefix)
        self._queue(0, frame)

    def _queue(self, stream: int, frame: tuple[frames.Buffer, ...]) -> None:
        self.link.queue(stream, frame)
        self._hub.queued(self)

    def _on_frames(self, arrived: list[frames.Frame]) -> list[Wake]:
        hub = self._hub
        gathering = hub.local.context.wakes
        with hub.lock:
            wakes = gathering.gather()
            try:
                for frame in arrived:
                    if frame.kind == frames.DATA:
                        hub.data(self, frame.channel, frames.unpack(frame))
                    elif frame.kind == frames.ACK:
                        take = hub.begin if frame.flags & frames.BEGUN else hub.acknowledge
                        if not take(self, frame.channel, frames.acknowledged(frame)):
                            raise FrameError("messages are acknowledged that it was not given")
                    elif frame.kind == frames.STORE:
                        self._on_store(*frames.stored(frame))
                    else:
                        self._on_control(frame.channel, frames.fields(frame))
            finally:
                gathering.release()
        hub.pump()
        return wakes

    def _on_store(self, fields: dict[str, Any], values: list[Value]) -> None:
        self._values += values
        if fields.get("part"):
            return
        values, self._values = self._values, []
        request = fields.pop("request", None)
        if not isinstance(request, int):
            raise FrameError(f"store frame {fields!r} has no request")
        self._hub.store.ask(self, request, fields, values)

    def _on_control(self, number: int, fields: dict[str, Any]) -> None:
        match fields:
            case {"op": "open", "key": str() | None as key, "capacity": int(capacity)}:
                self._hub.open(self, number, key, capacity)
            case {"op": "ready", "window": int(window), "asks": bool(asks)}:
                self._hub.ready(self, number, window, asks)
            case {"op": "ask_for", "period": int(period), "count": int(count)}:
                self._hub.ask_for(self, number, period, count)
            case {"op": "back", "period": int(period), "ranges": list(ranges)}:
                found = [(int(first), int(count)) for first, count in ranges]
                if not self._hub.give_back(self, number, period, found):
                    raise FrameError("messages are given back that it was not given")
            case {"op": "close"}:
                self._hub.close(self, number)
            case {"op": "leave"}:
                self._hub.leave(self, number)
            case {"op": "hold", "key": str(key)}:
                self._hub.hold(self, key)
            case {"op": "register", "name": str(name), "request": int(request)}:
                error = key = None
                try:
                    key = self._hub.register(self, number, name)
                except ChannelExists as exists:
                    error = exists.args
                self._queue(
                    0, frames.control(number, op="reply", request=request, error=error, key=key)
                )
            case {"op": "clean"}:
                self.clean = True
            case {"op": "ready", "called": _}:
                self.serves_since = monotonic()
                self._word_hook(fields)
            case _:
                self._word_hook(fields)

    def _on_end(self, why: str | None) -> None:
        with self._hub.lock:
            self._hub.detach(self)
        self._hub.pump()
        on_end = self._end_hook
        del self._end_hook, self._word_hook  # Who listened has this.
        on_end(why)
