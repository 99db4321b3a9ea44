"""A NoneBot plugin with pages of all kinds: what an ASGI application may do, and what it sees."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import nonebot
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.background import BackgroundTask

from liteyuki_core import logger

app: FastAPI = nonebot.get_app()


Page = TypeVar("Page", bound=Callable[..., Any])


def pages(path: str, **more: Any) -> Callable[[Page], Page]:
    """Register a page without a schema: one that may return anything."""
    return app.api_route(path, include_in_schema=False, **more)


@pages("/pid")
async def pid() -> Response:
    return PlainTextResponse(str(os.getpid()))


@pages("/echo", methods=["POST", "PUT"])
async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/octet-stream")


@pages("/length", methods=["POST"])
async def length(request: Request) -> Response:
    """Count what comes in pieces."""
    sizes = [len(piece) async for piece in request.stream()]
    logger.info(f"the longest piece had {max(sizes)} bytes")
    return PlainTextResponse(str(sum(sizes)))


@pages("/scope", methods=["GET", "POST", "DELETE"])
async def show_scope(request: Request) -> Response:
    """Show what the application is told of a request."""
    names = ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string")
    scope = {name: repr(request.scope[name]) for name in (*names, "root_path")}
    about = {
        "client": request.client and request.client.host,
        "headers": [[each.decode("latin-1") for each in pair] for pair in request.headers.raw],
        "keys": sorted(set(request.scope) & {"client", "extensions", "headers", "server", "state"}),
        "server": request.scope["server"],
    }
    return JSONResponse({**scope, **about})


@pages("/cookies")
async def cookies(request: Request) -> Response:
    answer = JSONResponse(request.cookies, status_code=202)
    answer.set_cookie("first", "1")
    answer.set_cookie("second", "2", httponly=True)
    return answer


@pages("/nothing", methods=["GET", "HEAD"])
async def nothing() -> Response:
    return Response(status_code=204)


@pages("/text", methods=["GET", "HEAD"])
async def text() -> Response:
    return PlainTextResponse("some text", headers={"x-own": "yes"})


@pages("/raise")
async def raises() -> Response:
    raise ValueError("this page raises")


@pages("/exit")
async def exits() -> Response:
    raise SystemExit(5)


@pages("/raise-late")
async def raises_late() -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a beginning"
        raise ValueError("this page raises late")

    return StreamingResponse(pieces())


@pages("/megabytes/{count}")
async def megabytes(count: int) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(count):
            yield bytes([number % 256]) * 1_000_000
            if number in (1, count - 1):
                logger.info(f"megabyte {number + 1} was sent")

    return StreamingResponse(pieces(), media_type="application/octet-stream")


@pages("/events")
async def events(request: Request) -> Response:
    """Send an event when there is a file for it, until the client leaves."""

    async def pieces() -> AsyncIterator[str]:
        number = 0
        try:
            while not await request.is_disconnected():
                if Path(f"event-{number}").exists():
                    yield f"data: {number}\n\n"
                    number += 1
                await asyncio.sleep(0.01)
        finally:
            logger.info(f"the reader of events has left after {number}")

    return StreamingResponse(pieces(), media_type="text/event-stream")


@pages("/wait/{name}")
async def wait(name: str) -> Response:
    """Answer when there is a file of that name."""
    logger.info(f"{name} is waited for")
    while not Path(name).exists():
        await asyncio.sleep(0.01)
    return PlainTextResponse(f"{name} {os.getpid()}")


@pages("/slow", methods=["POST"])
async def slow(request: Request) -> Response:
    """Take the first piece of a body, and the rest when there is a file `go`."""
    total = 0
    async for piece in request.stream():
        total += len(piece)
        while not Path("go").exists():
            await asyncio.sleep(0.01)
    return PlainTextResponse(str(total))


@pages("/pieces", methods=["POST"])
async def pieces(request: Request) -> Response:
    """Say of each piece that it has come."""
    total = 0
    async for piece in request.stream():
        total += len(piece)
        logger.info("a piece has come")
    return PlainTextResponse(f"{total} {os.getpid()}")


@pages("/refuse", methods=["POST"])
async def refuse() -> Response:
    """Answer without looking at the body, after a while."""
    await asyncio.sleep(0.1)
    return PlainTextResponse("no", status_code=403)


@pages("/after")
async def after() -> Response:
    """Go on after the answer."""

    async def work() -> None:
        while not Path("work").exists():
            await asyncio.sleep(0.01)
        logger.info("the work after the answer is done")

    return PlainTextResponse("done", background=BackgroundTask(work))


class Raw:
    """An application without a framework, which tells what it was told."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        told = [await receive()]
        if scope["path"].endswith("/wrong-order"):
            try:
                await send({"type": "http.response.body", "body": b"too soon"})
            except RuntimeError as error:
                logger.info(f"{type(error).__name__} for a body without a start")
        headers = [(b"content-type", b"text/plain"), (b"x-twice", b"1"), (b"x-twice", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": repr(told).encode(), "more_body": True})
        await send({"type": "http.response.body"})
        told.append(await receive())
        try:
            await send({"type": "http.response.body", "body": b"too late"})
        except RuntimeError as error:
            logger.info(f"{type(error).__name__} for a body after the end")
        logger.info(f"after the answer: {told[-1]}")


app.mount("/raw", Raw())


class Looks:
    """Says in the log whether the client has left, as `is_disconnected` has it: without waiting."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        await request.body()
        before = await request.is_disconnected()
        await Response("looked")(scope, receive, send)
        logger.info(f"left: {before} before, {await request.is_disconnected()} after the answer")


app.mount("/looks", Looks())


class Stated:
    """Gives the answer that its path states: /status/Content-Length/piece/piece. Tells what came.

    Without a Content-Length that is "-".
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        stated = scope["path"].partition("/stated/")[2]
        status, length, *pieces = stated.split("/")
        headers = [] if length == "-" else [(b"content-length", length.encode())]
        start = {"type": "http.response.start", "status": int(status), "headers": headers}
        bodies = [
            {"type": "http.response.body", "body": piece.encode(), "more_body": left > 0}
            for left, piece in zip(reversed(range(len(pieces))), pieces, strict=True)
        ]
        try:
            for event in (start, *bodies):
                await send(event)
        except Exception as error:
            logger.info(f"{scope['method']} {stated}: {type(error).__name__}")
            raise
        logger.info(f"{scope['method']} {stated}: no error")


app.mount("/stated", Stated())


@pages("/die")
async def die() -> Response:
    os._exit(7)


# ------------------------------------------------------------- WebSockets


@app.websocket("/socket/echo")
async def socket_echo(socket: WebSocket) -> None:
    wanted = socket.scope["subprotocols"]
    await socket.accept(wanted[0] if wanted else None, [(b"x-pid", str(os.getpid()).encode())])
    while True:
        event = await socket.receive()
        if event["type"] == "websocket.disconnect":
            logger.info(f"a client has left with {event['code']} {event.get('reason')!r}")
            return
        if event.get("text") is not None:
            await socket.send_text(event["text"])
        else:
            await socket.send_bytes(event["bytes"])


@app.websocket("/socket/refuse")
async def socket_refuse(socket: WebSocket) -> None:
    await socket.close(1008)


@app.websocket("/socket/deny")
async def socket_deny(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("not here", status_code=418))


@app.websocket("/socket/close")
async def socket_close(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close(4321, "enough")


@app.websocket("/socket/return")
async def socket_return(socket: WebSocket) -> None:
    await socket.accept()


@app.websocket("/socket/raise")
async def socket_raise(socket: WebSocket) -> None:
    raise ValueError("this socket raises")


@app.websocket("/socket/exit")
async def socket_exit(socket: WebSocket) -> None:
    await socket.accept()
    raise SystemExit(5)


@app.websocket("/socket/many/{count}")
async def socket_many(socket: WebSocket, count: int) -> None:
    """Send more than a client that does not read takes."""
    await socket.accept()
    for number in range(count):
        await socket.send_text(f"{number} " + "x" * 10_000)
        if number % 100 == 99:
            logger.info(f"frame {number + 1} was sent")
    await socket.close()
