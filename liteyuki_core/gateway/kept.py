"""A WebSocket of a known adapter, which stays open while its child's process is replaced.

Each life of the child gets the handshake and the frames on a channel without a name, which ends
with it. Events come on a channel with a name, so those that a process has not handled go to its
successor. When the client has left, it is over once its last events were handled.

Ownership. Owns its channels, the task that reads from the client and the one that moves events.
Invariant: events are sent in the order in which they were read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from secrets import token_hex
from typing import Any

from .. import log
from ..comm import set_channel
from ..comm.channel import Channel
from ..errors import ChannelBroken, ChannelClosed, ChannelError, ChannelFull, MessageTooLarge
from ..language import say
from . import channel_of
from .child import Child
from .exchange import FRAMES, Left, Opened
from .http import Receive, Send, respond, unavailable
from .onebot import Frame, Kind, OneBot
from .websocket import DENIAL, RESTARTS, TOO_LARGE, event_of, frame_of, left, start

CAPACITY = 1024
"""So many events of one connection may be with the child or wait for it. When there are more, the
client is read no more, so that its own queue grows."""

_MOST_AHEAD = 16 * CAPACITY
"""While a call is unanswered so many more are read, because the answer may be behind them, and
handlers that wait for it would hold up all events."""


class KeptWebSocket:
    """One WebSocket, through all lives of a child."""

    def __init__(
        self,
        child: Child,
        scope: dict[str, Any],
        receive: Receive,
        send: Send,
        protocol: OneBot,
    ) -> None:
        self._child = child
        self._scope = scope
        self._receive = receive
        self._send = send
        self._protocol = protocol
        self.key = key_of(scope)
        """Who the client is, if it says so."""
        self._name = f"{channel_of(child.process)}-{self.key[1]}-{token_hex(4)}"
        self._events: Channel[Any] = Channel(capacity=CAPACITY)
        set_channel(self._name, self._events)
        self._ahead: deque[Frame | Left] = deque()
        """Events that were read and do not fit into the channel."""
        self._moving: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        """Set when the reading may go on."""
        self._frames: Channel[Any] | None = None
        """To the process that is there now, if it has accepted."""
        self._is_open = False
        """Whether that process gets events."""
        self._was_open = False
        """Whether an earlier process has got events."""
        self._is_accepted = False
        self._left: Left | None = None
        self.leaves = asyncio.Event()
        """Set when the client has left."""
        self.gone = asyncio.Event()
        """Set when the application has ended. Events may still be in hand."""
        self.is_replaced = False
        """Whether the client has connected anew."""

    @property
    def has_left(self) -> bool:
        """Whether the client has left."""
        return self._left is not None

    async def handle(self) -> None:
        """Pass frames both ways until the client or the application ends it."""
        try:
            while await self._live():
                pass
        except OSError:
            pass  # The client has left. That is the error that uvicorn raises then.
        finally:
            for task in (self._reading, self._moving):
                if task is not None:
                    task.cancel()
            self._events.close()
            self.leaves.set()
            self.gone.set()

    async def _live(self) -> bool:
        """Serve it with one process of the child. Return whether another is to go on."""
        if self._is_accepted:
            await self._child.until_up(for_ever=True)
            if self._is_done():
                return False
        frames: Channel[Any] = Channel(capacity=FRAMES)
        try:
            if not await start(self._child, self._scope, frames, for_ever=self._is_accepted):
                await self._without_child()
                return False
            async for told in frames:
                if told is True:
                    return False
                if not await self._pass(told, frames):
                    if not self.has_left:
                        return False
                    self.gone.set()  # But events may still be in hand.
        except (ChannelBroken, ChannelClosed):
            pass
        except ChannelError as error:
            log.logger.error(
                say(
                    "process {name}: a WebSocket failed: {error}",
                    name=self._child.process,
                    error=error,
                )
            )
            return False
        finally:
            self._frames, self._is_open = None, False
            self._protocol.forget_calls()
            self._changed.set()
            frames.close()
        if not self._is_accepted:
            why = f"process {self._child.process} ended while it answered"
            await respond(self._send, 502, why, kind=DENIAL)
            return False
        return not self._is_done()

    def _is_done(self) -> bool:
        """Return whether the client has left and no event is for another process."""
        if not self.has_left:
            return False
        unhandled = self._count_unhandled()
        if unhandled and self.is_replaced:
            log.logger.warning(
                say(
                    "{count} events of a WebSocket of {path} were not handled: its client has left "
                    "and connected anew",
                    count=unhandled,
                    path=self.key[0],
                )
            )
        return not unhandled or self.is_replaced

    def _count_unhandled(self) -> int:
        """Return how many events wait or are being handled. The client's leaving may be one."""
        counts = self._events.stats()
        unhandled = counts["sent"] - counts["acknowledged"] - counts["dropped"]
        return len(self._ahead) + unhandled

    async def _without_child(self) -> None:
        if not self._is_accepted:
            await unavailable(self._send, self._child.process, DENIAL)
        elif not self.has_left:
            await self._send(RESTARTS)

    # ------------------------------------------------------------- from the child

    async def _pass(self, told: Any, frames: Channel[Any]) -> bool:
        """Do what a process of the child wants. Return False when the application has ended."""
        if type(told) is str or type(told) is bytes:
            frame = self._protocol.call(told)
            self._changed.set()
            try:
                if not self.has_left:
                    await self._send(event_of(frame))
            except (OSError, RuntimeError):
                pass  # So uvicorn says that the client has left. The reading will know.
            return True
        if told is None:
            return False
        if told["type"] == "websocket.accept":
            if not self._is_accepted:
                await self._send(told)
                self._is_accepted = True
                self._reading = asyncio.get_running_loop().create_task(self._read())
            await self._introduce(frames)
            return True
        if not self.has_left:
            await self._send(told)
        return bool(told["type"] != "websocket.close")

    async def _introduce(self, frames: Channel[Any]) -> None:
        """Tell a process that has accepted what must come first. Then it gets events."""
        for frame in self._protocol.introduction:
            await frames.async_send(frame)
        if self._left is not None:
            await frames.async_send(self._left._replace(later=True))
            self._queue(self._left)  # An earlier process may have got it already.
        self._frames = frames
        await self._open(frames)

    async def _open(self, frames: Channel[Any]) -> None:
        if self._protocol.is_introduced and not self._is_open:
            self._is_open = True
            again, self._was_open = self._was_open, True
            await frames.async_send(Opened(self._name, again))

    # ------------------------------------------------------------- from the client

    async def _read(self) -> None:
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                self._left = left(event)
                self.leaves.set()
                later = self._count_unhandled() > 0
                if later:
                    self._queue(self._left)
                await self._tell(self._left._replace(later=later))
                return
            try:
                await self._take(frame_of(event))
            except MessageTooLarge as error:
                log.logger.error(
                    say("a WebSocket of {path} is closed: {error}", path=self.key[0], error=error)
                )
                with suppress(OSError, RuntimeError):  # The client may have left.
                    await self._send(TOO_LARGE)

    async def _take(self, frame: Frame) -> None:
        """Pass on a frame of the client's, if it is for anybody."""
        introduced = self._protocol.is_introduced
        kind, frame = self._protocol.take(frame)
        if kind is Kind.EVENT and introduced:
            await self._keep(frame)
        elif kind is not Kind.NOBODY:
            await self._tell(frame)

    async def _tell(self, told: Frame | Left) -> None:
        """Pass on what is only for the process that is there now."""
        frames = self._frames
        if frames is None:
            return
        try:
            await frames.async_send(told)
            await self._open(frames)
        except (ChannelBroken, ChannelClosed):
            pass  # It has ended.

    async def _keep(self, event: Frame) -> None:
        """Pass on an event to whoever handles it. Wait while there are too many."""
        self._queue(event)
        while self._ahead and (not self._protocol.has_calls or len(self._ahead) >= _MOST_AHEAD):
            self._changed.clear()
            await self._changed.wait()

    def _queue(self, event: Frame | Left) -> None:
        """Have an event sent behind those before it."""
        if not self._ahead:
            try:
                self._events.send(event)
                return
            except ChannelFull:
                pass
        self._ahead.append(event)
        if self._moving is None or self._moving.done():
            self._moving = asyncio.get_running_loop().create_task(self._move())

    async def _move(self) -> None:
        while self._ahead:
            await self._events.async_send(self._ahead[0])
            self._ahead.popleft()
            self._changed.set()


def key_of(scope: dict[str, Any]) -> tuple[str, str]:
    """Return the path, and the account that a client says it is, "" if it says none."""
    said = dict(scope["headers"]).get(b"x-self-id", b"").decode("latin-1")
    return scope["path"], said if said.isalnum() and said.isascii() and len(said) <= 40 else ""
