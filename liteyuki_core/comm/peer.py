"""Who holds ends of channels, as the hub sees them: the main process itself and each child.

Both speak the hub's few words, one by direct calls, the other over its link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ChannelBroken, ChannelError, ChannelExists, FrameError
from . import frames
from .context import Context, ContextPort
from .link import Endpoint, Link
from .wakes import Wake

if TYPE_CHECKING:
    from .hub import Hub, Route


class Peer(Protocol):
    """Whoever holds ends: a child's link or the main process's context.

    All methods are called under the lock.
    """

    process: str | None
    ends: dict[int, tuple[Route, int]]
    eager: bool

    def deliver(self, number: int, batch: frames.Batch) -> None:
        """Pass on messages."""

    def acknowledged(self, number: int, count: int) -> None:
        """Pass on that `count` messages sent from this end were handled."""

    def gone(self, number: int, kind: type[ChannelError] | None, why: str, last: bool) -> None:
        """Say that the other side closed or is lost, or, with None, is back.

        `last` says that all its messages were delivered.
        """

    def renamed(self, add: dict[str, int], remove: list[str]) -> None:
        """Say which names, with their capacities, came and went."""


class LocalPort(ContextPort):
    """The main process's own context as a peer of the hub, and the hub as its port."""

    process: str | None = None
    eager = False

    def __init__(self, hub: Hub, context: Context) -> None:
        self._hub = hub
        self.context = context
        self.ends: dict[int, tuple[Route, int]] = {}

    def data(self, number: int, batch: frames.Batch) -> None:
        self._hub.data(self, number, batch)

    def acknowledge(self, number: int, ranges: list[tuple[int, int]]) -> None:
        self._hub.acknowledge(self, number, ranges)

    def ready(self, number: int) -> None:
        self._hub.ready(self, number)

    def close(self, number: int) -> None:
        self._hub.close(self, number)

    def pump(self) -> None:
        self._hub.pump()

    def capacity_of(self, name: str) -> int:
        return self._hub.names()[name]

    def names(self) -> list[str]:
        return list(self._hub.names())

    def open(self, number: int, name: str | None, capacity: int) -> None:
        self._hub.open(self, number, name, capacity)

    def register(self, number: int, name: str) -> None:
        with self._hub.lock:
            self._hub.register(self, number, name)
        self._hub.pump()

    def shut(self, timeout: float) -> None:
        self._hub.close_links(timeout)

    def abandon(self) -> None:
        self._hub.abandon()

    def deliver(self, number: int, batch: frames.Batch) -> None:
        self.context.ends[number].on_data(batch)

    def acknowledged(self, number: int, count: int) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.on_acknowledged(count)

    def gone(self, number: int, kind: type[ChannelError] | None, why: str, last: bool) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.on_gone(kind, why, last)

    def renamed(self, add: dict[str, int], remove: list[str]) -> None:
        pass  # It asks the hub itself.


class LinkPeer:
    """A child process as a peer of the hub. It owns the link to it.

    Both hooks are called on the reader's thread: `on_running` when the child has imported its
    target, `on_end` after its ends are taken back, with what was wrong with the bytes that
    came, if anything.
    """

    eager = True

    def __init__(
        self,
        hub: Hub,
        process: str,
        endpoint: Endpoint,
        on_end: Callable[[str | None], None],
        on_running: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._end_hook = on_end
        self._running_hook = on_running
        self.process: str | None = process
        self.ends: dict[int, tuple[Route, int]] = {}
        self.failure: str | None = None
        self.link = Link(
            endpoint,
            process,
            max_message_bytes=hub.max_message_bytes,
            on_frames=self._on_frames,
            on_end=self._on_end,
        )

    def tell(self, **fields: Any) -> None:
        """Send a control frame. From any thread, not under the lock."""
        self.link.queue(0, frames.control(0, **fields))
        self.link.pump()

    def deliver(self, number: int, batch: frames.Batch) -> None:
        self._queue(number, batch.frame(number))

    def acknowledged(self, number: int, count: int) -> None:
        self._queue(0, frames.acknowledgement(number, [(0, count)]))

    def gone(self, number: int, kind: type[ChannelError] | None, why: str, last: bool) -> None:
        how = "back" if kind is None else "broken" if kind is ChannelBroken else "closed"
        self._queue(number, frames.control(number, op="gone", how=how, why=why, last=last))

    def renamed(self, add: dict[str, int], remove: list[str]) -> None:
        self._queue(0, frames.control(0, op="names", add=add, remove=remove))

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
                        hub.acknowledge(self, frame.channel, frames.acknowledged(frame))
                    else:
                        self._on_control(frame.channel, frames.fields(frame))
            finally:
                gathering.release()
        hub.pump()
        return wakes

    def _on_control(self, number: int, fields: dict[str, Any]) -> None:
        match fields:
            case {"op": "open", "name": str() | None as name, "capacity": int(capacity)}:
                self._hub.open(self, number, name, capacity)
            case {"op": "ready"}:
                self._hub.ready(self, number)
            case {"op": "close"}:
                self._hub.close(self, number)
            case {"op": "register", "name": str(name), "request": int(request)}:
                error = None
                try:
                    self._hub.register(self, number, name)
                except ChannelExists as exists:
                    error = exists.args
                self._queue(0, frames.control(0, op="reply", request=request, error=error))
            case {"op": "running"}:
                self._running_hook()
            case {"op": "failed", "why": str(why)}:
                self.failure = why
            case _:
                raise FrameError(f"control frame {fields!r} is not known")

    def _on_end(self, why: str | None) -> None:
        with self._hub.lock:
            self._hub.detach(self)
        self._hub.pump()
        self._end_hook(why)
