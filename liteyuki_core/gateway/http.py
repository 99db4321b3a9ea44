"""One HTTP request, from the client to the child and back. On LiteyukiBot's loop.

The channels of its bodies are closed here. Nothing is sent to a second process: a request that was
under way when its process ended is answered with 502.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from .. import log
from ..comm.channel import Channel
from ..errors import ChannelBroken, ChannelClosed, ChannelError
from .child import Child
from .exchange import PIECE, PIECES, Answer, Begun, Http

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_WATCH_SECONDS = 0.02
"""A request that is answered sooner is not watched for a client that leaves."""

RETRY_AFTER = b"5"
"""Seconds after which a client is told to try again."""

_ids = count(1)


class Request:
    """One HTTP request that is passed to a child."""

    def __init__(self, child: Child, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self._child = child
        self._scope = scope
        self._receive = receive
        self._send = send
        self._tasks: list[asyncio.Task[Any]] = []
        self._body: Channel[Any] | None = None
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the client has left."""

    async def handle(self) -> None:
        """Pass the request on, and the answer back."""
        if not await self._child.until_up():
            await unavailable(self._send, self._child.process)
            return
        headers = dict(self._scope["headers"])
        waits = headers.get(b"expect", b"").lower() == b"100-continue"
        body, more = b"", waits
        if not waits and _has_body(headers):
            event = await self._receive()
            if event["type"] == "http.disconnect":
                return
            body, more = event["body"], event["more_body"]
        if more or len(body) > PIECE:
            self._body = Channel(capacity=PIECES)
            self._start(self._pass_body(self._body, body[PIECE:], more, waits))
            body = body[:PIECE]
        watching = asyncio.get_running_loop().call_later(_WATCH_SECONDS, self._watch)
        try:
            await self._ask(body)
        except ChannelError as error:
            await self._failed(error)
        finally:
            watching.cancel()
            for task in self._tasks:
                task.cancel()
            if self._body is not None:
                self._body.close()

    def _start(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.append(task)
        return task

    async def _ask(self, body: bytes) -> None:
        number = next(_ids)
        request = Http(number, plain(self._scope), body, self._body)
        begun = self._child.begins(number)
        answer = self._start(self._child.channel.async_request(request, once=True))
        try:
            over = await self._until(answer, begun)
            if over:
                await unavailable(self._send, self._child.process)
            elif begun.done():
                await self._stream(begun.result(), answer)
            elif answer.done():
                await self._whole(answer.result())
        finally:
            self._child.forget(number)

    async def _until(self, answer: asyncio.Future[Any], begun: asyncio.Future[Any]) -> bool:
        """Wait until the answer begins or the client leaves. Return whether nobody will answer."""
        while True:
            down = self._child.down
            await asyncio.wait(
                {answer, begun, self._left, down}, return_when=asyncio.FIRST_COMPLETED
            )
            if answer.done() or begun.done() or self._left.done():
                return False
            # Its handling had not begun. It waits for the successor, as a new request does.
            if not await self._child.until_up():
                await asyncio.sleep(0)
                return not answer.done()

    async def _whole(self, answer: Answer) -> None:
        await self._send_start(answer.status, answer.headers)
        if not answer.broken:
            await self._send_body(answer.body, False)

    async def _stream(self, begun: Begun, answer: asyncio.Future[Any]) -> None:
        try:
            await self._send_start(begun.status, begun.headers)
            while True:
                piece = await self._next(begun.pieces)
                if type(piece) is bytes:
                    await self._send_body(piece, True)
                elif piece is True:
                    await self._send_body(b"", False)
                    await asyncio.wait({answer, self._left}, return_when="FIRST_COMPLETED")
                    return
                else:
                    return  # It was broken off, and uvicorn closes the connection.
        except (ChannelBroken, ChannelClosed):
            return
        finally:
            begun.pieces.close()

    async def _next(self, pieces: Channel[Any]) -> Any:
        """Return the next piece of the answer, None if the client has left."""
        if self._left.done():
            return None
        coming = asyncio.ensure_future(pieces.async_receive())
        await asyncio.wait({coming, self._left}, return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            return coming.result()
        coming.cancel()
        return None

    async def _send_start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _send_body(self, body: bytes, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _failed(self, error: ChannelError) -> None:
        if isinstance(error, ChannelBroken | ChannelClosed):
            await respond(self._send, 502, f"process {self._child.process} ended while it answered")
            return
        log.logger.error(f"process {self._child.process}: an HTTP request failed: {error}")
        await respond(self._send, 500, "Internal Server Error")

    # ------------------------------------------------------------- what the client sends

    async def _pass_body(self, body: Channel[Any], data: bytes, more: bool, waits: bool) -> None:
        try:
            if waits:
                await body.async_receive()
            while True:
                for at in range(0, len(data), PIECE):
                    await body.async_send(data[at : at + PIECE])
                if not more:
                    await body.async_send(None)
                    break
                event = await self._receive()
                if event["type"] == "http.disconnect":
                    self._leaves()
                    return
                data, more = event["body"], event["more_body"]
        except ChannelError:
            return  # The application does not want the rest, or has ended.

    def _watch(self) -> None:
        self._start(self._until_left())

    async def _until_left(self) -> None:
        if self._tasks and self._body is not None:
            passing = self._tasks[0]
            await asyncio.wait({passing})
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leaves()

    def _leaves(self) -> None:
        if not self._left.done():
            self._left.set_result(None)


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def plain(scope: dict[str, Any]) -> dict[str, Any]:
    """Return a scope as the child gets it, which adds what is its own."""
    return {name: value for name, value in scope.items() if name not in ("app", "state")}


async def unavailable(send: Send, process: str, kind: str = "http.response") -> None:
    """Answer that the child is not there. `kind` is how the types of the events begin."""
    why = f"process {process} is not running; try again soon"
    await respond(send, 503, why, [(b"retry-after", RETRY_AFTER)], kind)


async def respond(
    send: Send,
    status: int,
    text: str,
    headers: list[tuple[bytes, bytes]] | None = None,
    kind: str = "http.response",
) -> None:
    """Answer with a line of text."""
    body = f"{text}\n".encode()
    about = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": f"{kind}.start", "status": status, "headers": about + (headers or [])})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
