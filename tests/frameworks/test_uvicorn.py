"""The first uvicorn server of a thread: when it serves, why it can't, how it ends."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
import uvicorn

from liteyuki_core.frameworks.uvicorn import FirstServer
from tests.conftest import DEADLINE, free_port, wait_until


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer every request with `here`."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{step}"
            await send({"type": f"lifespan.{step}.complete"})
        return
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"here"})


def server(port: int) -> uvicorn.Server:
    """Return a server whose idle connections last longer than any test."""
    config = uvicorn.Config(application, port=port, timeout_keep_alive=600, log_level="critical")
    return uvicorn.Server(config)


class Told:
    """What a `FirstServer` has told, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.first = FirstServer(lambda: self.lines.append("ready"), self._refused)

    def _refused(self, host: str, port: int, error: OSError | None) -> None:
        self.lines.append(f"refused {host}:{port} {error}")


def test_it_is_ready_when_it_serves_and_no_other_is_looked_at() -> None:
    """One server of two is told of, after it started; the class is as before."""
    told = Told()
    startup = uvicorn.Server.startup

    async def serve() -> None:
        for count in (1, 2):
            one = server(free_port())
            serving = asyncio.ensure_future(one.serve())
            while not one.started:
                await asyncio.sleep(0.01)
            assert told.lines == ["ready"], count
            one.should_exit = True
            await serving

    with told.first:
        asyncio.run(serve())
    assert told.first.found
    assert uvicorn.Server.startup is startup


def test_a_port_in_use_is_told() -> None:
    """Its startup ends with exit code 3, and it is said where it could not listen."""
    told = Told()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with told.first, pytest.raises(SystemExit) as ended:
            asyncio.run(server(port).serve())
    assert ended.value.code == 3
    assert told.lines == [f"refused 127.0.0.1:{port} None"]


def test_who_connects_as_it_ends_is_answered_and_holds_nothing_up() -> None:
    """A connection accepted in the very turn of the loop that ends the server is served."""
    port = free_port()

    async def serve() -> bytes:
        one = server(port)
        serving = asyncio.ensure_future(one.serve())
        await asyncio.get_running_loop().run_in_executor(None, wait_until, lambda: one.started)
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            one.should_exit = True
            time.sleep(0.2)  # The loop has both before it when it goes on.
            await asyncio.wait_for(serving, DEADLINE)
            return client.makefile("rb").read()

    with Told().first:
        answer = asyncio.run(serve())
    assert answer.endswith(b"here")
