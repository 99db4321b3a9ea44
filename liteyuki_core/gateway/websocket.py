"""A WebSocket that closes when its child's process ends. On the gateway's loop.

Its channel has no name, so it ends with the process that it was sent to.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from .. import log
from ..comm.channel import Channel
from ..errors import ChannelBroken, ChannelError, MessageTooLarge
from ..language import say
from .child import Child
from .exchange import FRAMES, Left, WebSocket
from .http import Receive, Send, plain, respond, unavailable

RESTARTS = {"type": "websocket.close", "code": 1012, "reason": "the bot's process is restarted"}
STOPPED = {"type": "websocket.close", "code": 1012, "reason": "the bot's process is stopped"}
TOO_LARGE = {"type": "websocket.close", "code": 1009, "reason": ""}
DENIAL = "websocket.http.response"


class PlainWebSocket:
    """One WebSocket that is passed to one process of a child."""

    def __init__(self, child: Child, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self._child = child
        self._scope = scope
        self._receive = receive
        self._send = send
        self._accepted = False

    async def handle(self) -> None:
        """Pass frames both ways until one side ends."""
        frames: Channel[Any] = Channel(capacity=FRAMES)
        reading: asyncio.Task[None] | None = None
        try:
            if not await start(self._child, self._scope, frames):
                await unavailable(self._send, self._child.process, DENIAL)
                return
            reading = asyncio.get_running_loop().create_task(self._read(frames))
            async for told in frames:
                if told is None:
                    return
                await self._pass(told)
            if not reading.done():
                await self._restarts()
        except ChannelBroken:
            await self._restarts()
        except ChannelError as error:
            log.logger.error(
                say(
                    "process {name}: a WebSocket failed: {error}",
                    name=self._child.process,
                    error=error,
                )
            )
        except (OSError, RuntimeError):
            pass  # So uvicorn says that the client has left.
        finally:
            if reading is not None:
                reading.cancel()
            frames.close()

    async def _pass(self, told: Any) -> None:
        if type(told) is dict:
            self._accepted |= told["type"] == "websocket.accept"
        await self._send(event_of(told))

    async def _restarts(self) -> None:
        if self._accepted:
            await self._send(RESTARTS)
        else:
            why = f"process {self._child.process} ended while it answered"
            await respond(self._send, 502, why, kind=DENIAL)

    async def _read(self, frames: Channel[Any]) -> None:
        try:
            while True:
                event = await self._receive()
                if event["type"] == "websocket.disconnect":
                    await frames.async_send(left(event))
                    return
                await frames.async_send(frame_of(event))
        except MessageTooLarge as error:
            log.logger.error(
                say(
                    "a WebSocket of {path} is closed: {error}",
                    path=self._scope["path"],
                    error=error,
                )
            )
            with suppress(OSError, RuntimeError):  # The client may have left.
                await self._send(TOO_LARGE)
        except ChannelError:
            return  # The application has ended, and the other task knows.
        finally:
            if not frames.closed:
                frames.close()


async def start(
    child: Child, scope: dict[str, Any], frames: Channel[Any], *, for_ever: bool = False
) -> bool:
    """Have the child's application run for a WebSocket. Return whether it does.

    Waits for a child that is away, `for_ever` if that is said. Raises `ChannelBroken` if its
    process ends just then.
    """
    if not await child.until_up(for_ever=for_ever):
        return False
    asking = asyncio.ensure_future(
        child.channel.async_request(WebSocket(plain(scope), frames), once=True)
    )
    try:
        while True:
            down = child.down
            await asyncio.wait({asking, down}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                await asking
                return True
            if not await child.until_up_or_done(asking, for_ever=for_ever):
                return False
    finally:
        asking.cancel()


def event_of(told: Any) -> dict[str, Any]:
    """Return the ASGI event for what the child has sent."""
    if type(told) is str:
        return {"type": "websocket.send", "text": told}
    if type(told) is bytes:
        return {"type": "websocket.send", "bytes": told}
    event: dict[str, Any] = told
    return event


def frame_of(event: dict[str, Any]) -> str | bytes:
    """Return the frame that an ASGI event brings."""
    text = event.get("text")
    frame: str | bytes = event["bytes"] if text is None else text
    return frame


def left(event: dict[str, Any]) -> Left:
    """Return what the child is told when a client has left."""
    return Left(event.get("code", 1005), event.get("reason") or "")
