"""A WebSocket of a known adapter, which stays open while its children's processes are replaced.

Ownership. Owns the connection's part of each child, a task for each, and the task that reads from
the client. A child's application that accepts the client first does so for all. All runs on the
gateway's loop.

Invariant: an event goes to one child, and all of a conversation to the same one, unless that is
stopped or given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any
from zlib import crc32

from .. import log
from ..errors import MessageTooLarge
from ..language import say
from .child import Child
from .exchange import Left
from .frames import Frames
from .http import Receive, Send, respond, unavailable
from .onebot import Frame, Kind, OneBot
from .upstream import Upstream
from .websocket import DENIAL, STOPPED, TOO_LARGE, left


class KeptWebSocket:
    """One WebSocket, through all lives of the children."""

    def __init__(
        self,
        children: Sequence[Child],
        scope: dict[str, Any],
        receive: Receive,
        send: Send,
        protocol: OneBot,
    ) -> None:
        self.scope = scope
        self.protocol = protocol
        self.key = key_of(scope)
        """Who the client is, if it says so."""
        self.is_accepted = False
        self.left: Left | None = None
        """How the client has left."""
        self.leaves = asyncio.Event()
        """Set when the client has left."""
        self.gone = asyncio.Event()
        """Set when the applications have ended. Events may still be in hand."""
        self.is_replaced = False
        """Whether the client has connected anew."""
        self.changed = asyncio.Event()
        """Set when the reading may go on."""
        self._receive = receive
        self._send = send
        self._upstreams = [Upstream(child, self) for child in children]
        self._served: set[Upstream] = set()
        """Those whose child is told of the client, now or later."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(self) -> None:
        """Pass frames both ways until the client or an application ends it."""
        try:
            self._serve(self._front())
            await self._over
        except OSError:
            pass  # The client has left. That is the error that uvicorn raises then.
        finally:
            for task in self._tasks:
                task.cancel()
            for upstream in self._upstreams:
                upstream.close()
            self.leaves.set()
            self.gone.set()

    def _serve(self, upstream: Upstream) -> None:
        self._served.add(upstream)

        async def serve() -> None:
            has_ended = await upstream.run()
            self._served.discard(upstream)
            self.app_ended()
            if (has_ended or not self._served) and not self._over.done():
                self._over.set_result(None)

        self._start(serve())

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._over.done():
            self._over.set_exception(error)

    def _front(self) -> Upstream:
        """Return the part of the child that gets what is for one of them."""
        return next(
            (each for each in self._upstreams if not each.child.is_over), self._upstreams[0]
        )

    # ------------------------------------------------------------- for the parts of the children

    async def accept(self, told: dict[str, Any]) -> None:
        """Accept the client, if that was not done yet, and read from it."""
        if self.is_accepted:
            return
        await self._send(told)
        self.is_accepted = True
        self._start(self._read())
        for upstream in self._upstreams:
            if upstream not in self._served:
                self._serve(upstream)

    async def send(self, event: dict[str, Any]) -> None:
        """Pass on an event, unless the client has left."""
        if self.left is None:
            await self._send(event)

    async def refuse(self, process: str, *, ended: bool) -> None:
        """Answer a client that was not accepted: its child has ended, or is not there."""
        if ended:
            await respond(
                self._send, 502, f"process {process} ended while it answered", kind=DENIAL
            )
        else:
            await unavailable(self._send, process, DENIAL)

    async def without(self) -> bool:
        """Learn that a child is not about to run. Return whether another child is.

        If not, the client is told that it may come back.
        """
        if not all(upstream.child.is_over for upstream in self._upstreams):
            return True
        await self.send(STOPPED)
        return False

    def app_ended(self) -> None:
        """Learn that an application has ended after the client has left."""
        if all(upstream.is_gone for upstream in self._upstreams):
            self.gone.set()

    # ------------------------------------------------------------- from the client

    async def _read(self) -> None:
        self.left = left(await Frames(self._receive, self._take, self._start).until_left())
        self.leaves.set()
        for upstream in self._upstreams:
            await upstream.leave(self.left)

    def _take(self, frame: Frame) -> Coroutine[Any, Any, None] | None:
        """Pass on a frame of the client's, if it is for anybody. Return what is to be awaited."""
        introduced = self.protocol.is_introduced
        kind, frame, caller = self.protocol.take(frame)
        try:
            if kind is Kind.EVENT and introduced:
                return self._upstream_of(frame).keep(frame)
            if kind is Kind.ANSWER:
                assert isinstance(caller, Upstream)
                return caller.answer(frame)
        except MessageTooLarge as error:
            return self._close_for(error)
        if kind is Kind.NOBODY:
            return None
        return self._tell(frame, self._upstreams if kind is Kind.STATE else [self._front()])

    async def _tell(self, frame: Frame, upstreams: Sequence[Upstream]) -> None:
        try:
            for upstream in upstreams:
                await upstream.tell(frame)
        except MessageTooLarge as error:
            await self._close_for(error)

    async def _close_for(self, error: MessageTooLarge) -> None:
        log.logger.error(
            say("a WebSocket of {path} is closed: {error}", path=self.key[0], error=error)
        )
        with suppress(OSError, RuntimeError):  # The client may have left.
            await self._send(TOO_LARGE)

    def _upstream_of(self, event: Frame) -> Upstream:
        """Return the part of the child that handles an event: by its conversation."""
        count = len(self._upstreams)
        if count == 1:
            return self._upstreams[0]
        conversation = self.protocol.conversation(event)
        first = crc32(conversation.encode()) if conversation else 0
        turns = (self._upstreams[(first + turn) % count] for turn in range(count))
        return next((each for each in turns if not each.child.is_over), self._upstreams[0])


def key_of(scope: dict[str, Any]) -> tuple[str, str]:
    """Return the path, and the account that a client says it is, "" if it says none."""
    said = dict(scope["headers"]).get(b"x-self-id", b"").decode("latin-1")
    return scope["path"], said if said.isalnum() and said.isascii() and len(said) <= 40 else ""
