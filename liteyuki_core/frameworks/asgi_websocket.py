"""One WebSocket in a child, as its ASGI application sees it. On the application's loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from ..comm.channel import Channel
from ..errors import ChannelError
from ..gateway.exchange import Left

_AHEAD = 16
"""So many frames may wait for the application here. The others wait in the channel."""

RESTARTS = {"type": "websocket.disconnect", "code": 1012, "reason": ""}


class ClientDisconnected(OSError):
    """The client has left, so nothing can be sent to it."""


class WebSocketRun:
    """One run of the application, for one WebSocket."""

    def __init__(self, frames: Channel[Any]) -> None:
        self._frames = frames
        self._queue: deque[Any] = deque([{"type": "websocket.connect"}])
        """What the application has not taken yet: str, bytes, ASGI events."""
        self._waiting: asyncio.Future[None] | None = None
        """What the application waits for, if it waits for a frame."""
        self._room = asyncio.Event()
        self._has_left = False
        self._is_ending = False

    async def run(self, application: Any, scope: dict[str, Any]) -> None:
        """Run the application to its end. Log what it raises, as uvicorn does."""
        try:
            await application(scope, self._receive, self._send)
        except ClientDisconnected:
            pass
        except Exception as error:
            logging.getLogger("uvicorn.error").error(
                "Exception in ASGI application\n", exc_info=error
            )
        finally:
            try:
                if not self._is_ending:
                    await self._frames.async_send(None)
                    self._frames.close()
            except ChannelError:
                pass  # The client has left.

    async def read(self) -> None:
        """Take what the client sends, until it leaves."""
        try:
            async for told in self._frames:
                if isinstance(told, Left):
                    self._has_left = True
                    self._put({"type": "websocket.disconnect", **told._asdict()})
                    return
                self._put(told)
                if len(self._queue) > _AHEAD:
                    self._room.clear()
                    await self._room.wait()
        except ChannelError:
            pass

    def end(self) -> None:
        """Tell the application that its process ends."""
        self._is_ending = self._has_left = True
        self._put(RESTARTS)

    def _put(self, told: Any) -> None:
        self._queue.append(told)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # ------------------------------------------------------------- what the application calls

    async def _receive(self) -> dict[str, Any]:
        while not self._queue:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        told = self._queue.popleft()
        self._room.set()
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
            await self._frames.async_send(told)
        except ChannelError:
            self._has_left = True
            raise ClientDisconnected("the client has left this WebSocket") from None
