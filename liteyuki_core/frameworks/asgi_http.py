"""One HTTP request in a child, as its ASGI application sees it. On the application's loop.

A short answer is given as the answer to the gateway's request. A longer one, and one that takes its
time, comes in pieces on a channel that the gateway is told of. The gateway cancels its request when
the client leaves; the application goes on and is told of that as uvicorn would.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from typing import Any

from ..comm.channel import Channel
from ..errors import ChannelError
from ..gateway.exchange import PIECE, PIECES, Answer, Begun, Http

_PATIENCE = 0.005
"""The status of an answer is sent on when its body has not begun after so many seconds."""

_FAILED = Answer(
    500,
    [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"21"),
        (b"connection", b"close"),
    ],
    b"Internal Server Error",
    False,
)


class HttpRun:
    """One run of the application, for one request."""

    def __init__(self, request: Http, scope: dict[str, Any], channel: Channel[Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        """Those of a callback, whose receives go on while the process stops."""
        self._request = request
        self._scope = scope
        self._channel = channel
        self._body: bytes | None = request.body
        """The piece of the request's body that comes next, None after the last."""
        self._asked = False
        self._over: asyncio.Future[None] = self._loop.create_future()
        """Done when the client has left, or the answer is complete."""
        self._has_left = False
        self._answer: asyncio.Future[Answer | None] = self._loop.create_future()
        self._start: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._left: int | None = None
        """How many bytes of the answer's body are to come, None if that was not stated."""
        self._is_complete = False
        self._pieces: Channel[Any] | None = None
        self._lock = asyncio.Lock()
        self._patience: asyncio.TimerHandle | None = None
        self._tired: asyncio.Task[None] | None = None

    async def run(self, application: Any) -> None:
        """Run the application to its end. Log what it raises, as uvicorn does."""
        try:
            await application(self._scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            logging.getLogger("uvicorn.error").error(
                "Exception in ASGI application\n", exc_info=error
            )
        finally:
            if not self._is_complete:
                await self._break_off()
            if self._request.more is not None:
                self._request.more.close()

    async def answer(self) -> Answer | None:
        """Wait for the end of the answer. Return it, or None if it was sent in pieces."""
        try:
            return await asyncio.shield(self._answer)
        except asyncio.CancelledError:
            self._leaves()
            raise

    # ------------------------------------------------------------- what the application calls

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None and not self._over.done():
            body, more = self._body, self._request.more
            if not self._asked or more is None:
                self._asked = True
                self._body = None if more is None else b""
                if body or more is None:
                    return _piece(body, more is not None)
                await more.async_send(True)
            piece = await self._next(more)
            if not self._over.done():
                self._body = None if piece is None else b""
                return _piece(piece or b"", piece is not None)
        if not self._over.done():  # Who only looks, in a scope that is cancelled, may not wait.
            await asyncio.wait({self._over})
        return {"type": "http.disconnect"}

    async def _next(self, more: Channel[Any]) -> bytes | None:
        """Return the next piece of the body, None after the last or if the client has left."""
        coming = self._context.run(asyncio.ensure_future, more.async_receive())
        try:
            await asyncio.wait({coming, self._over}, return_when=asyncio.FIRST_COMPLETED)
            piece: bytes | None = coming.result() if coming.done() else None
            return piece
        except ChannelError:
            self._leaves()
            return None
        finally:
            coming.cancel()

    async def _send(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if self._has_left:
            return
        if self._is_complete:
            raise RuntimeError(f"the answer is complete, so {kind} can't be sent")
        if self._start is None:
            if kind != "http.response.start":
                raise RuntimeError(f"an answer begins with http.response.start, not with {kind}")
            headers = [(bytes(name), bytes(value)) for name, value in event.get("headers", ())]
            self._start = event["status"], headers
            self._left = _length(self._scope["method"], *self._start)
            self._patience = self._loop.call_later(_PATIENCE, self._tire)
            return
        if kind != "http.response.body":
            raise RuntimeError(f"http.response.body is expected, not {kind}")
        body, more = bytes(event.get("body", b"")), event.get("more_body", False)
        if self._patience is not None:
            self._patience.cancel()
        is_whole = not more
        if self._left is not None:
            if len(body) > self._left:
                raise RuntimeError("the answer is longer than its Content-Length")
            self._left -= len(body)
            is_whole = not more and not self._left
        if self._pieces is None and is_whole and len(body) <= PIECE:
            self._complete(Answer(*self._start, body, False))
            return
        async with self._lock:
            await self._send_pieces(body, not is_whole)
        if is_whole:
            self._complete(None)
        elif not more:
            raise RuntimeError("the answer is shorter than its Content-Length")

    def _tire(self) -> None:
        self._tired = self._loop.create_task(self._send_start())

    async def _send_start(self) -> None:
        async with self._lock:
            if not self._is_complete:
                await self._send_pieces(b"", True)

    async def _begin(self) -> Channel[Any]:
        """Tell the gateway that the answer comes in pieces."""
        if self._pieces is None:
            assert self._start is not None
            self._pieces = Channel(capacity=PIECES)
            await self._channel.async_send(Begun(self._request.id, *self._start, self._pieces))
        return self._pieces

    async def _send_pieces(self, body: bytes, more: bool) -> None:
        try:
            pieces = await self._begin()
            for at in range(0, len(body), PIECE):
                await pieces.async_send(body[at : at + PIECE])
            if not more:
                await pieces.async_send(True)
                pieces.close()
        except ChannelError:
            self._leaves()  # The gateway has closed the channel, or is gone.

    def _leaves(self) -> None:
        self._has_left = True
        _set(self._over)

    def _complete(self, answer: Answer | None) -> None:
        self._is_complete = True
        _set(self._over)
        if not self._answer.done():
            self._answer.set_result(answer)

    async def _break_off(self) -> None:
        """End an answer that the application has not ended."""
        if self._patience is not None:
            self._patience.cancel()
        if self._start is None:
            self._complete(_FAILED)
            return
        async with self._lock:
            if self._pieces is None:
                self._complete(Answer(*self._start, b"", True))
                return
            try:
                await self._pieces.async_send(False)
                self._pieces.close()
            except ChannelError:
                pass
        self._complete(None)


def _length(method: str, status: int, headers: list[tuple[bytes, bytes]]) -> int | None:
    """Return how long an answer's body has to be. None if it may have any length, or is not sent.

    uvicorn checks it too, but in the main process, where the application learns nothing of it.
    Raises ValueError.
    """
    fields = {name.lower(): value for name, value in reversed(headers)}
    length = 0 if status in (204, 304) else None
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
    is_chunked = fields.get(b"transfer-encoding", b"").lower() == b"chunked"
    return None if is_chunked or method == "HEAD" else length


def _piece(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
