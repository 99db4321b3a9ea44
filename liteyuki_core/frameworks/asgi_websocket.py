"""One WebSocket in a child, as its ASGI application sees it. On the application's loop.

Some bring events, on a channel of their own. An event is in hand from when the application takes it
until it is handled. Whoever handles it finds its `Taken` in the context variables, and says when
that begins and ends. If nobody has begun when the application has asked for the next frame, it has
led to nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextvars import ContextVar
from functools import wraps
from time import monotonic
from typing import Any, NamedTuple

from ..comm import current
from ..comm.channel import Channel
from ..comm.registry import get_channel
from ..errors import ChannelError
from ..gateway.exchange import Left, Opened

_AHEAD = 16
"""So many frames may wait for the application here. The others wait in the channel."""

_PATIENCE, _PATIENCE_IN_ALL = 0.2, 2.0
"""Events that come again are handled one at a time, but so many seconds are waited for one, and for
all of them together."""

RESTARTS = {"type": "websocket.disconnect", "code": 1012, "reason": ""}


class ClientDisconnected(OSError):
    """The client has left, so nothing can be sent to it."""


class Taken:
    """An event that the application has taken. On the application's loop."""

    def __init__(self) -> None:
        self.handled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_begun = False

    def begin(self) -> None:
        """Note that the event is being handled."""
        self._is_begun = True

    def end(self) -> None:
        """Note that it was handled. Idempotent."""
        if not self.handled.done():
            self.handled.set_result(None)

    def ask_next(self) -> None:
        """Note that the application asks for the next frame."""
        # A task that it has just made for this event begins before this call is made.
        asyncio.get_running_loop().call_soon(self._end_unless_begun)

    def _end_unless_begun(self) -> None:
        if not self._is_begun:
            self.end()


taken: ContextVar[Taken | None] = ContextVar("liteyuki_taken", default=None)
"""The event that is handled here, if it came over a WebSocket of the gateway's."""


def note_handled(kind: Any) -> None:
    """Have objects of a class say when they begin and end to handle an event that was taken.

    They do that in their async method `handle_event`. A class without it is left as it is.
    """
    original = getattr(kind, "handle_event", None)
    if original is None or hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    async def handle_event(*args: Any, **kwargs: Any) -> Any:
        event = taken.get()
        if event is None:
            return await original(*args, **kwargs)
        event.begin()
        try:
            return await original(*args, **kwargs)
        finally:
            event.end()

    kind.handle_event = handle_event


class _Event(NamedTuple):
    """An event that waits for the application."""

    frame: str | bytes
    taken: Taken


class WebSocketRun:
    """One run of the application, for one WebSocket."""

    def __init__(self, frames: Channel[Any]) -> None:
        self._frames = frames
        self._queue: deque[Any] = deque([{"type": "websocket.connect"}])
        """What the application has not taken yet: str, bytes, ASGI events."""
        self._waiting: asyncio.Future[None] | None = None
        """What the application waits for, if it waits for a frame."""
        self._sending = asyncio.Lock()
        """Keeps the order of those who wait for room."""
        self._room = asyncio.Event()
        self._empty = asyncio.Event()
        """Set when the application has taken all."""
        self._events: Channel[Any] | None = None
        self._given: Taken | None = None
        """The event that the application was given last."""
        self._given_count = 0
        self._in_hand: set[Taken] = set()
        self._patience = 0.0
        self._has_left = False
        self._is_ending = False
        self._was_left = False
        """Whether the client has left, and that was not the application's doing."""
        self._is_over = False
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when this process ends."""

    async def run(self, application: Any, scope: dict[str, Any]) -> None:
        """Run the application to its end. Log what it raises, as uvicorn does."""
        try:
            await application(scope, self._receive, self._send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            logging.getLogger("uvicorn.error").error(
                "Exception in ASGI application\n", exc_info=error
            )
        finally:
            self._has_left = self._is_over = True
            self._give_up()
            self._empty.set()
            if not self._is_ending:
                await self._ended()

    def _give_up(self) -> None:
        """Drop what the application has not taken, and let nobody wait for it."""
        for told in self._queue:
            if isinstance(told, _Event):
                told.taken.end()
        self._queue.clear()

    async def _ended(self) -> None:
        """Say that the application has ended, and then that its events were handled."""
        try:
            await self._frames.async_send(None)
            await self._until_all_handled()
            if self._is_ending:
                return  # What is left is for the successor.
            await self._frames.async_send(True)
        except ChannelError:
            pass  # The main process does not want to know.
        for channel in (self._frames, self._events):
            if channel is not None:
                channel.close()

    async def _until_all_handled(self) -> None:
        while self._was_left and self._in_hand and not self._is_ending:
            handled = [event.handled for event in self._in_hand]
            await asyncio.wait([*handled, self._stopped], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # Those who wait for them note it now.

    async def read(self) -> None:
        """Take what the client sends, until it leaves."""
        try:
            async for told in self._frames:
                if isinstance(told, Left):
                    self._leaves(told)
                    continue
                if isinstance(told, Opened):
                    self._open(told)
                    await self._frames.async_send(told)
                    continue
                self._put(told)
                if len(self._queue) > _AHEAD:
                    self._room.clear()
                    await self._room.wait()
        except ChannelError:
            pass
        if not self._has_left and current.current().stop.why is None:
            self._leaves(Left(1006, ""))  # The main process has closed the channel.

    def end(self) -> None:
        """Tell the application that its process ends."""
        self._is_ending = self._has_left = True
        self._put(RESTARTS)
        if not self._stopped.done():
            self._stopped.set_result(None)

    def _leaves(self, told: Left) -> None:
        self._has_left = self._was_left = True
        if not told.later:
            event = {"type": "websocket.disconnect", "code": told.code, "reason": told.reason}
            self._put(event)

    def _open(self, told: Opened) -> None:
        """Take events from the channel that is named."""
        self._events = get_channel(told.events)
        self._patience = _PATIENCE_IN_ALL if told.again else 0.0
        # An event that waits in its filter keeps the next one from being begun. So what the
        # application has not taken is not in its hands when this process ends.
        self._events.on_receive(filter_func=self._give)(self._until_handled)

    async def _give(self, told: Any) -> bool:
        """Give an event to the application. Return when it has taken that."""
        if isinstance(told, Left):
            self._given = None
            self._leaves(told)
            return False
        event = _Event(told, Taken())
        self._given = event.taken
        self._given_count += 1
        if self._is_over:
            return False
        is_awaited = self._waiting is not None and not self._waiting.done()
        self._put(event)
        while self._queue and not is_awaited and not self._is_over:
            self._empty.clear()
            await self._empty.wait()
        if self._patience > 0:
            await self._watch(event.taken)
        return True

    async def _watch(self, event: Taken) -> None:
        """Wait for the end of an event that an earlier process may have died of, but not for long.

        Whoever begins many of these at once makes all of them suspicious.
        """
        assert self._events is not None
        if self._given_count > self._events.stats()["redelivered"]:
            return
        begun = monotonic()
        await asyncio.wait({event.handled}, timeout=min(_PATIENCE, self._patience))
        self._patience -= monotonic() - begun

    async def _until_handled(self, _: object) -> None:
        """Wait until the event was handled that was given last."""
        event = self._given
        if event is not None:
            self._in_hand.add(event)
            try:
                await event.handled
            finally:
                self._in_hand.discard(event)

    def _put(self, told: Any) -> None:
        self._queue.append(told)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # ------------------------------------------------------------- what the application calls

    async def _receive(self) -> dict[str, Any]:
        before = taken.get()
        if before is not None:
            before.ask_next()
            taken.set(None)
        while not self._queue:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        told = self._queue.popleft()
        self._room.set()
        if not self._queue:
            self._empty.set()
        if isinstance(told, _Event):
            taken.set(told.taken)
            told = told.frame
        if type(told) is str:
            return {"type": "websocket.receive", "text": told}
        if type(told) is bytes:
            return {"type": "websocket.receive", "bytes": told}
        event: dict[str, Any] = told
        return event

    async def _send(self, event: dict[str, Any]) -> None:
        if self._has_left:
            raise ClientDisconnected("the client has left this WebSocket")
        told: Any = event
        if event["type"] == "websocket.send":
            told = event.get("bytes")
            if told is None:
                told = event["text"]
        try:
            async with self._sending:
                await self._frames.async_send(told)
        except ChannelError:
            self._has_left = True
            raise ClientDisconnected("the client has left this WebSocket") from None
