"""The part of one child in a WebSocket that stays open, through all lives of that child.

Each life gets the handshake and the frames on a channel without a name, which ends with it. Events
come on a channel with a name, so those that a process has not handled go to its successor. When
the client has left, this part is over once its last events were handled.

Ownership. Owns its channels and the task that moves events. All runs on the gateway's loop.
Invariant: events are sent in the order in which `keep` was called.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from secrets import token_hex
from typing import Any, Protocol

from .. import log
from ..comm import set_channel
from ..comm.channel import Channel
from ..errors import ChannelBroken, ChannelClosed, ChannelError, ChannelFull
from ..language import Phrase, say
from . import channel_of
from .child import Child
from .exchange import FRAMES, Left, Opened
from .onebot import Frame, OneBot
from .websocket import event_of, start

CAPACITY = 1024
"""So many events of one connection may be with a child or wait for it. When there are more, the
client is read no more, so that its own queue grows."""

_MOST_AHEAD = 16 * CAPACITY
"""While a call is unanswered so many more are read, because the answer may be behind them, and
handlers that wait for it would hold up all events."""


class Client(Protocol):
    """The client of the WebSocket, as the parts of the children know it."""

    scope: dict[str, Any]
    key: tuple[str, str]
    protocol: OneBot
    is_accepted: bool
    left: Left | None
    is_replaced: bool
    leaves: asyncio.Event
    changed: asyncio.Event

    async def accept(self, told: dict[str, Any]) -> None:
        """Accept the client, if that was not done yet."""

    async def send(self, event: dict[str, Any]) -> None:
        """Pass on an event, unless the client has left."""

    async def refuse(self, process: str, *, ended: bool) -> None:
        """Answer a client that was not accepted: its child has ended, or is not there."""

    async def without(self) -> bool:
        """Learn that a child is not about to run. Return whether another child is."""

    def app_ended(self) -> None:
        """Learn that an application has ended after the client has left."""


class Upstream:
    """One child of a WebSocket."""

    def __init__(self, child: Child, client: Client) -> None:
        self.child = child
        self._client = client
        self._name = f"{channel_of(child.process)}-{client.key[1]}-{token_hex(4)}"
        self._events: Channel[Any] = Channel(capacity=CAPACITY)
        set_channel(self._name, self._events)
        self._ahead: deque[Frame | Left] = deque()
        """Events that were read and do not fit into the channel, or are for a process to come."""
        self._is_away = False
        """Whether the channel is lost to all that it had, and its next process has not taken it."""
        self._moving: asyncio.Task[None] | None = None
        self._frames: Channel[Any] | None = None
        """To the process that is there now, if it has accepted."""
        self._is_open = False
        """Whether that process gets events."""
        self._was_open = False
        """Whether an earlier process has got events."""
        self.is_gone = False
        """Whether the application has ended after the client has left. Events may be in hand."""

    def close(self) -> None:
        """End the channel of the events. Idempotent."""
        if self._moving is not None:
            self._moving.cancel()
        self._events.close()

    async def run(self) -> bool:
        """Serve the client with one process after the other.

        Return whether the application has ended the connection; else the client has left and was
        told all.
        """
        while True:
            ended = await self._live()
            if ended is not None:
                self.is_gone = True
                return ended

    async def _live(self) -> bool | None:
        """Serve the client with one process. Return None if another is to go on."""
        client = self._client
        if client.is_accepted:
            ended = await self._until_up()
            if ended is not None:
                return ended
            if self._is_done():
                return False
        frames: Channel[Any] = Channel(capacity=FRAMES)
        try:
            if not await start(self.child, client.scope, frames, for_ever=client.is_accepted):
                if client.is_accepted:
                    return None
                await client.refuse(self.child.process, ended=False)
                return True
            async for told in frames:
                if told is True:
                    return False
                if not await self._pass(told, frames):
                    if client.left is None:
                        return True
                    self.is_gone = True  # But events may still be in hand.
                    client.app_ended()
        except (ChannelBroken, ChannelClosed):
            pass
        except ChannelError as error:
            log.logger.error(
                say(
                    "process {name}: a WebSocket failed: {error}",
                    name=self.child.process,
                    error=error,
                )
            )
            return True
        finally:
            self._frames, self._is_open = None, False
            client.protocol.forget_calls(self)
            client.changed.set()
            frames.close()
        if not client.is_accepted:
            await client.refuse(self.child.process, ended=True)
            return True
        return False if self._is_done() else None

    async def _until_up(self) -> bool | None:
        """Wait until the child is up. If it is not about to run, return what `run` returns then."""
        client = self._client
        while not await self.child.until_up(for_ever=True):
            if client.left is not None:
                self._warn(Phrase("process {name} does not run", name=self.child.process))
                return False
            if not await client.without():
                return True
            waits = [self.child.until_comes(), client.leaves.wait()]
            tasks = [asyncio.ensure_future(each) for each in waits]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
        return None

    def _is_done(self) -> bool:
        """Return whether the client has left and no event is for another process."""
        client = self._client
        if client.left is None:
            return False
        if client.is_replaced:
            self._warn(Phrase("its client has left and connected anew"))
        return client.is_replaced or not self.unhandled

    def _warn(self, why: Phrase) -> None:
        """Log how many events nobody will handle, if any."""
        if self.unhandled:
            log.logger.warning(
                say(
                    "{count} events of a WebSocket of {path} were not handled: {why}",
                    count=self.unhandled,
                    path=self._client.key[0],
                    why=why,
                )
            )

    @property
    def unhandled(self) -> int:
        """How many events wait or are being handled. The client's leaving may be one."""
        counts = self._events.stats()
        unhandled = counts["sent"] - counts["acknowledged"] - counts["dropped"]
        return len(self._ahead) + unhandled

    # ------------------------------------------------------------- from the child

    async def _pass(self, told: Any, frames: Channel[Any]) -> bool:
        """Do what a process of the child wants. Return False when the application has ended."""
        client = self._client
        if type(told) is str or type(told) is bytes:
            frame = client.protocol.call(told, self)
            client.changed.set()
            try:
                await client.send(event_of(frame))
            except (OSError, RuntimeError):
                pass  # So uvicorn says that the client has left. The reading will know.
            return True
        if told is None:
            return False
        if isinstance(told, Opened):
            self._is_away = False
            self._move_on()
            return True
        if told["type"] == "websocket.accept":
            await client.accept(told)
            await self._introduce(frames)
            return True
        await client.send(told)
        return bool(told["type"] != "websocket.close")

    async def _introduce(self, frames: Channel[Any]) -> None:
        """Tell a process that has accepted what must come first. Then it gets events."""
        for frame in self._client.protocol.introduction:
            await frames.async_send(frame)
        left = self._client.left
        if left is not None:
            await frames.async_send(left._replace(later=True))
            self._queue(left)  # An earlier process may have got it already.
        self._frames = frames
        await self._open(frames)

    async def _open(self, frames: Channel[Any]) -> None:
        if self._client.protocol.is_introduced and not self._is_open:
            self._is_open = True
            again, self._was_open = self._was_open, True
            await frames.async_send(Opened(self._name, again))

    # ------------------------------------------------------------- from the client

    async def tell(self, told: Frame | Left) -> None:
        """Pass on what is only for the process that is there now."""
        frames = self._frames
        if frames is None:
            return
        try:
            await frames.async_send(told)
            await self._open(frames)
        except (ChannelBroken, ChannelClosed):
            pass  # It has ended.

    async def leave(self, left: Left) -> None:
        """Pass on that the client has left."""
        later = self.unhandled > 0
        if later:
            self._queue(left)
        await self.tell(left._replace(later=later))

    def answer(self, frame: Frame) -> Coroutine[Any, Any, None] | None:
        """Pass on the answer to a call of the process that is there now.

        Returns what is to be awaited before the next frame. Raises `MessageTooLarge`.
        """
        try:
            if self._frames is not None:
                self._frames.send(frame)
        except ChannelFull:
            return self.tell(frame)
        except (ChannelBroken, ChannelClosed):
            pass  # It has ended.
        return None

    def keep(self, event: Frame) -> Coroutine[Any, Any, None] | None:
        """Pass on an event to whoever handles it.

        Returns what is to be awaited before the next frame: there are too many. Raises
        `MessageTooLarge`.
        """
        self._queue(event)
        return self._until_room() if len(self._ahead) > self._most_ahead else None

    async def _until_room(self) -> None:
        changed = self._client.changed
        while len(self._ahead) > self._most_ahead:
            changed.clear()
            await changed.wait()

    @property
    def _most_ahead(self) -> int:
        if self._client.protocol.has_calls:
            return _MOST_AHEAD
        return CAPACITY if self._is_away else 0

    def _queue(self, event: Frame | Left) -> None:
        """Have an event sent behind those before it."""
        if not self._ahead:
            try:
                self._events.send(event)
                return
            except ChannelFull:
                pass
            except (ChannelBroken, ChannelClosed):
                # Its process was stopped, and another is about to run.
                self._is_away = True
        self._ahead.append(event)
        self._move_on()

    def _move_on(self) -> None:
        if self._ahead and not self._is_away and (self._moving is None or self._moving.done()):
            self._moving = asyncio.get_running_loop().create_task(self._move())

    async def _move(self) -> None:
        try:
            while self._ahead:
                await self._events.async_send(self._ahead[0])
                self._ahead.popleft()
                self._client.changed.set()
        except (ChannelBroken, ChannelClosed):
            self._is_away = True
