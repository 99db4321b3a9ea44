"""Starlette's own tests, run in the process that serves their applications on a port.

They make applications out of what stands in a test, and look at it afterwards: a test and its
application share a process. So pytest runs in a thread of the server's process, and the client that
the tests get, of the interface of Starlette's `TestClient`, sends its requests over the port. Each
bears a number, by which `Suite` finds the application that is to have it. What the application
raises the server sees first, then the client, which raises it in the test.

`tests` is Starlette's package here. So a server imports this file by its name alone.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from itertools import count
from typing import Any

import anyio.pytest_plugin
import pytest
from starlette import testclient
from starlette.testclient import (
    TestClient,
    WebSocketDenialResponse,
    WebSocketTestSession,
    _Upgrade,
)
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

httpx: Any = vars(testclient)["httpx"]  # Which of two, depends on Starlette's version.

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here is encrypted, and to load certificates for each client takes long."""

HOST = "127.0.0.1"
DEADLINE = 10.0
NUMBER = "x-run"
SECURE = "x-forwarded-proto"
OF_HANDSHAKE = ("host", "connection", "sec-websocket-")
"""How headers begin that a client of WebSockets makes by itself."""


class Run:
    """One run of a test's application: for one request, or one WebSocket."""

    def __init__(self, transport: Any) -> None:
        """`transport` is that of a `TestClient` that was given the application."""
        self.app = transport.app
        self.root_path = transport.root_path
        self.state = transport.app_state
        self.has_begun = False
        self.ended: Future[None] = Future()

    def wait(self) -> BaseException | None:
        """Wait until the application has ended, if the server has let it begin.

        Return what it has raised.
        """
        if not self.has_begun:
            return None
        wait([self.ended], DEADLINE)
        assert self.ended.done(), "the application has not ended, though the client has"
        return self.ended.exception()


class Suite:
    """An ASGI application that gives each numbered request to the application of its run."""

    def __init__(self, other: Any = None) -> None:
        """`other` gets what has no number."""
        self._other = other

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = scope.get("headers", [])
        number = dict(headers).get(NUMBER.encode(), b"").decode()
        if not number:
            await self._other(scope, receive, send)
            return
        run = runs.pop(number)
        run.has_begun = True
        ours = (NUMBER.encode(), SECURE.encode())
        scope["headers"] = [each for each in headers if each[0] not in ours]
        scope.pop("app", None)  # NoneBot's.
        scope["state"].update(run.state)
        scope["root_path"] = run.root_path or scope["root_path"]
        try:
            await run.app(scope, receive, send)
        except BaseException as error:
            run.ended.set_exception(error)
            raise
        run.ended.set_result(None)


runs: dict[str, Run] = {}
_numbers = count(1)


def begin() -> None:
    """Run the tests, in a thread. The server is about to listen on PORT.

    What is found goes to `found.xml`, then `found` is made.
    """

    def work() -> None:
        arguments = ["--noconftest", "-s", "-q", "-p", "no:cacheprovider", "--junit-xml=found.xml"]
        # Python 3.11 fails where two threads parse source at once: the server logs tracebacks.
        arguments += ["--tb=native"]
        arguments += ["--continue-on-collection-errors", "tests", *_chosen()]
        try:
            # A fixture here takes the place of one of anyio's of the same name.
            pytest.main(arguments, plugins=[anyio.pytest_plugin, sys.modules[__name__]])
        finally:
            open("found", "w").close()

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    threading.Thread(target=work, name="suite", daemon=True).start()


def _chosen() -> list[str]:
    return os.environ.get("SUITE_ARGUMENTS", "").split()


# ------------------------------------------------------------- what pytest takes from here


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that need no server."""
    kept = [item for item in items if "test_client_factory" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.fixture
def anyio_backend() -> str:
    """The loop that the servers have."""
    return "asyncio"


@pytest.fixture
def test_client_factory(anyio_backend: str) -> Iterator[Callable[..., TestClient]]:
    """Make clients of applications."""
    made: list[PortClient] = []

    def make(*args: Any, **options: Any) -> TestClient:
        made.append(PortClient(*args, backend=anyio_backend, **options))
        return made[-1]

    yield make
    for client in made:
        client.close_connections()


# ------------------------------------------------------------- the client


class PortClient(TestClient):
    """A `TestClient` whose requests go over the port."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.timeout = httpx.Timeout(DEADLINE)
        self._transport = PortTransport(self._transport)

    def close_connections(self) -> None:
        """Close what is kept open for other requests."""
        self._transport.close()


class PortTransport(httpx.BaseTransport):  # type: ignore[misc]
    """Sends each request over the port, whatever host its URL has."""

    def __init__(self, original: Any) -> None:
        self._original = original
        self._over = httpx.HTTPTransport(verify=_NO_TLS)

    def handle_request(self, request: Any) -> Any:
        run = Run(self._original)
        number = str(next(_numbers))
        runs[number] = run
        headers = [*request.headers.multi_items(), (NUMBER, number)]
        if request.url.scheme in ("https", "wss"):
            headers.append((SECURE, "https"))
        if request.url.scheme in ("ws", "wss"):
            raise _Upgrade(PortSession(run, request.url, headers))
        url = request.url.copy_with(scheme="http", host=HOST, port=port())
        sent = httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        raises = self._original.raise_server_exceptions
        try:
            response = self._over.handle_request(sent)
        except httpx.TransportError:
            error = run.wait()
            if error is not None and raises:
                raise error from None
            raise
        response.stream = Body(response.stream, run, raises)
        return response

    def close(self) -> None:
        self._over.close()


class Body(httpx.SyncByteStream):  # type: ignore[misc]
    """The body of an answer. When that has ended, so has the application."""

    def __init__(self, stream: Any, run: Run, raises: bool) -> None:
        self._stream = stream
        self._run = run
        self._raises = raises

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except httpx.TransportError:
            self.close()
            raise

    def close(self) -> None:
        self._stream.close()
        error = self._run.wait()
        if error is not None and self._raises:
            raise error


class PortSession(WebSocketTestSession):
    """A `WebSocketTestSession` over the port. Use it as a context manager."""

    def __init__(self, run: Run, url: Any, headers: Iterable[tuple[str, str]]) -> None:
        self._run_of_app = run
        self._url = str(url.copy_with(scheme="ws"))
        self._headers = [each for each in headers if not each[0].lower().startswith(OF_HANDSHAKE)]
        self._subprotocols = [
            each.strip()
            for name, value in headers
            if name.lower() == "sec-websocket-protocol"
            for each in value.split(",")
        ]
        self._connection: ClientConnection

    def __enter__(self) -> PortSession:
        try:
            self._connection = connect(
                self._url,
                sock=socket.create_connection((HOST, port()), DEADLINE),
                additional_headers=self._headers,
                user_agent_header=None,
                subprotocols=self._subprotocols or None,  # type: ignore[arg-type]
                proxy=None,
                open_timeout=DEADLINE,
                max_size=None,
            )
        except InvalidStatus as refused:
            self._raise_from_app()
            answer = refused.response
            if answer.status_code == 403 and not answer.body:
                raise WebSocketDisconnect() from None
            raise WebSocketDenialResponse(
                status_code=answer.status_code,
                headers=list(answer.headers.raw_items()),
                content=bytes(answer.body or b""),
            ) from None
        self.accepted_subprotocol = self._connection.subprotocol  # type: ignore[assignment]
        response = self._connection.response
        assert response is not None
        self.extra_headers = [  # type: ignore[assignment]
            (name.lower().encode(), value.encode()) for name, value in response.headers.raw_items()
        ]
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._raise_from_app()

    def _raise_from_app(self) -> None:
        error = self._run_of_app.wait()
        if error is not None:
            raise error

    def send(self, message: Any) -> None:
        assert message["type"] == "websocket.receive"
        text = message.get("text")
        self._connection.send(message["bytes"] if text is None else text)

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        self._connection.close(code, reason or "")

    def receive(self) -> Any:
        try:
            frame = self._connection.recv(timeout=DEADLINE)
        except ConnectionClosed as closed:
            told = closed.rcvd
            code, reason = (told.code, told.reason) if told is not None else (1006, "")
            return {"type": "websocket.close", "code": code, "reason": reason}
        kind = "text" if isinstance(frame, str) else "bytes"
        return {"type": "websocket.send", kind: frame}


def port() -> int:
    """Return where the server listens."""
    return int(os.environ["PORT"])
