"""The frames of a WebSocket, handed on in the turn of the loop in which they come.

uvicorn puts each frame into a queue, wakes the task that waits there, and stops reading the socket
until that has run. `Frames` are taken where they come; only while one of them waits is the socket
read no more. With another protocol than the one that is known here, the frames come as ASGI events.

All runs on the loop of uvicorn's server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from ..methods import names_in
from .onebot import Frame
from .websocket import frame_of

Take = Callable[[Frame], Coroutine[Any, Any, None] | None]
"""Takes a frame. Returns what is to be awaited before the next one is taken, if anything."""

_KNOWN = {
    "send_receive_event_to_app": {
        *("frames", "len", "join", "close_sent", "curr_msg_data_type", "queue", "put_nowait"),
        *("decode", "UnicodeDecodeError", "logger", "exception", "conn", "send_close"),
        *("handle_parser_exception", "read_paused", "transport", "pause_reading"),
    },
    "receive": {"queue", "get", "read_paused", "empty", "transport", "resume_reading"},
}
"""The methods of uvicorn's protocol that are changed or relied on, and all names that they use."""


class Source(Protocol):
    """A protocol that hands on its frames."""

    take: Callable[[Frame], bool] | None
    """Takes a frame. Returns whether the next one may be read. Without it, frames are ASGI events.
    """

    def read_on(self) -> None:
        """Read the socket again."""


def quick(kind: type[Any]) -> type[Any]:
    """Return a class of uvicorn's protocols that is a `Source`; `kind` itself if that can't be."""
    if not all(names_in(getattr(kind, each, None)) <= known for each, known in _KNOWN.items()):
        return kind

    class Quick(kind):  # type: ignore[misc]
        take: Callable[[Frame], bool] | None = None
        frames: list[Any]
        read_paused: bool

        def send_receive_event_to_app(self) -> None:
            if self.take is None or self.close_sent or not self.queue.empty():
                super().send_receive_event_to_app()
                return
            frame = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
            if self.curr_msg_data_type == "text":
                try:
                    frame = frame.decode()
                except UnicodeDecodeError:
                    super().send_receive_event_to_app()
                    return
            self.frames = []
            if not self.take(frame) and not self.read_paused:
                self.read_paused = True
                self.transport.pause_reading()

        def read_on(self) -> None:
            if self.read_paused and self.queue.empty():
                self.read_paused = False
                self.transport.resume_reading()

    return Quick


class Frames:
    """Takes the frames of one client, in order."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[dict[str, Any]]],
        take: Take,
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """`receive` is ASGI's. `start` runs what is to be awaited, and learns what that raises."""
        self._receive = receive
        self._take = take
        self._start = start
        self._unread: deque[Frame] = deque()
        """Frames behind one that waits."""
        self._free = asyncio.Event()
        """Set while no frame waits."""
        self._free.set()
        source = getattr(receive, "__self__", None)
        self._source: Source | None = source if hasattr(source, "read_on") else None

    async def until_left(self) -> dict[str, Any]:
        """Take frames until the client leaves. Return the ASGI event that says so."""
        if self._source is not None:
            self._source.take = self._comes
        while True:
            event = await self._receive()
            is_last = event["type"] == "websocket.disconnect"
            if is_last or not self._comes(frame_of(event)):
                await self._free.wait()
            if is_last:
                return event

    def _comes(self, frame: Frame) -> bool:
        if not self._free.is_set():
            self._unread.append(frame)
            return False
        waits = self._taken(frame)
        if waits is None:
            return True
        self._free.clear()
        self._start(self._go_on(waits))
        return False

    def _taken(self, frame: Frame) -> Coroutine[Any, Any, None] | None:
        try:
            return self._take(frame)
        except Exception as error:  # uvicorn would not know what to do with it.
            return _raise(error)

    async def _go_on(self, waits: Coroutine[Any, Any, None]) -> None:
        await waits
        while self._unread:
            more = self._taken(self._unread.popleft())
            if more is not None:
                await more
        self._free.set()
        if self._source is not None:
            self._source.read_on()


async def _raise(error: Exception) -> None:
    raise error
