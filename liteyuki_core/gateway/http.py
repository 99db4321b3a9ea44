"""One HTTP request, from the client to the child and back. On the gateway's loop.

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
from ..language import say
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
        self.number = next(_ids)
        self._begun: Begun | None = None
        self._has_left = False
        self._is_wanted = True
        """Whether the application wants a body that the client offers."""
        self._woken = asyncio.Event()
        """Set when the answer has come or begun, the client has left, or the child has ended."""

    async def handle(self) -> None:
        """Pass the request on, and the answer back."""
        if not await self._child.until_up():
            await unavailable(self._send, self._child.process)
            return
        headers = dict(self._scope["headers"])
        waits = headers.get(b"expect", b"").lower() == b"100-continue"
        body, more = b"", waits
        self._is_wanted = not waits
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
                task.add_done_callback(_take_note)
            if self._body is not None:
                self._body.close()

    def _start(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.append(task)
        return task

    # ------------------------------------------------------------- what is learned meanwhile

    def begins(self, told: Begun) -> None:
        """Learn that the answer has begun."""
        self._begun = told
        self.wake()

    def wake(self, _: object = None) -> None:
        """Look at what has happened."""
        self._woken.set()

    def _leaves(self) -> None:
        self._has_left = True
        self.wake()

    # ------------------------------------------------------------- the answer

    async def _ask(self, body: bytes) -> None:
        request = Http(self.number, plain(self._scope), body, self._body)
        self._child.add(self)
        answer = self._start(self._child.channel.async_request(request, once=True))
        answer.add_done_callback(self.wake)
        try:
            if not await self._until(answer):
                await unavailable(self._send, self._child.process)
            elif self._begun is not None:
                await self._stream(self._begun, answer)
            elif _is_whole(answer):
                await self._whole(answer.result())
        finally:
            self._child.forget(self)
            if self._begun is not None:
                self._begun.pieces.close()

    async def _until(self, answer: asyncio.Task[Any]) -> bool:
        """Wait until the answer begins or the client leaves. Return whether there is a child."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if self._begun is not None or self._has_left or _is_whole(answer):
                return True
            if answer.done():
                continue  # It came in pieces: `Begun` was sent first, and its callback is to run.
            # Its handling had not begun. It waits for the successor, as a new request does.
            if not await self._child.until_up_or_done(answer):
                return False

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
                    await asyncio.wait({answer})
                    return
                else:
                    return  # It was broken off, and uvicorn closes the connection.
        except (ChannelBroken, ChannelClosed):
            return

    async def _next(self, pieces: Channel[Any]) -> Any:
        """Return the next piece of the answer, None if the client has left."""
        coming = asyncio.ensure_future(pieces.async_receive())
        coming.add_done_callback(self.wake)
        while not coming.done() and not self._has_left:
            await self._woken.wait()
            self._woken.clear()
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
        log.logger.error(
            say(
                "process {name}: an HTTP request failed: {error}",
                name=self._child.process,
                error=error,
            )
        )
        await respond(self._send, 500, "Internal Server Error")

    # ------------------------------------------------------------- what the client sends

    async def _pass_body(self, body: Channel[Any], data: bytes, more: bool, waits: bool) -> None:
        try:
            if waits:
                await body.async_receive()
                self._is_wanted = True
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
        if not self._is_wanted:
            return  # To read would tell the client to send its body.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leaves()


def _is_whole(answer: asyncio.Future[Any]) -> bool:
    """Whether nothing more is to come: an answer in one piece, or an error."""
    return answer.done() and (
        answer.cancelled() or bool(answer.exception()) or bool(answer.result())
    )


def _take_note(task: asyncio.Task[Any]) -> None:
    """Have asyncio not report what a task has raised that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


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
