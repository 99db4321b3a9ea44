"""The first uvicorn server of a thread: when it serves, why it can't, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import uvicorn

from liteyuki_core.frameworks.uvicorn import FirstServer
from tests.conftest import DEADLINE, free_port

LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio")]
if sys.platform != "win32":
    import uvloop

    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))


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


def server(
    port: int, kind: type[uvicorn.Server] = uvicorn.Server, **options: Any
) -> uvicorn.Server:
    """Return a server whose idle connections last longer than any test."""
    options = {"timeout_keep_alive": 600, "log_level": "critical", **options}
    return kind(uvicorn.Config(application, port=port, **options))


async def answer(port: int) -> bytes:
    """Return what one request is answered, until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        return await asyncio.wait_for(reader.read(), DEADLINE)
    finally:
        writer.close()


async def until(condition: Callable[[], Any]) -> None:
    """Wait until `condition` is true, as `wait_until` does, on a loop."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


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


@pytest.mark.parametrize("make_loop", LOOPS)
def test_who_connects_as_it_ends_is_answered_and_holds_nothing_up(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """A connection accepted in the very turn of the loop that ends the server is served."""
    port = free_port()

    async def serve() -> bytes:
        one = server(port, loop="none")
        serving = asyncio.ensure_future(one.serve())
        await until(lambda: one.started)
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            one.should_exit = True
            time.sleep(0.2)  # The loop has both before it when it goes on.
            await asyncio.wait_for(serving, DEADLINE)
            return client.makefile("rb").read()

    loop = make_loop()
    with Told().first:
        answered = loop.run_until_complete(serve())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert answered.endswith(b"here")


def end_by_thread(one: uvicorn.Server) -> None:
    """Have the server end as user code may."""
    one.should_exit = True


def end_by_signal(_: uvicorn.Server) -> None:
    """Have the server end as a terminal does."""
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize(
    "end",
    [
        end_by_thread,
        pytest.param(
            end_by_signal,
            marks=pytest.mark.skipif(sys.platform == "win32", reason="ends the process there"),
        ),
    ],
)
def test_it_sleeps_until_it_is_to_end(
    make_loop: Callable[[], asyncio.AbstractEventLoop], end: Callable[[uvicorn.Server], None]
) -> None:
    """A server that waits has no timer; another thread and a signal end it."""
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: got.append(number))
    loop = make_loop()
    one = server(free_port(), loop="none")

    async def serve() -> None:
        serving = asyncio.ensure_future(one.serve())
        await until(lambda: one.started)
        assert type(one).main_loop is not uvicorn.Server.main_loop
        await asyncio.sleep(0)  # It has gone to sleep.
        if isinstance(loop, asyncio.BaseEventLoop):
            assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        ending = loop.run_in_executor(None, end, one)
        await asyncio.wait_for(serving, DEADLINE)
        await ending

    try:
        with Told().first:
            loop.run_until_complete(serve())
        assert got == ([signal.SIGTERM] if end is end_by_signal else [])
        one.should_exit = True  # No loop is left that could be told.
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        signal.signal(signal.SIGTERM, before)
    one.should_exit = True


def test_an_answer_has_the_time_of_its_second() -> None:
    """The header Date goes on while the server sleeps; other default headers stay."""
    port = free_port()
    seen: list[float] = []

    async def serve() -> None:
        one = server(port, headers=[("x-here", "yes")])
        serving = asyncio.ensure_future(one.serve())
        await until(lambda: one.started)
        while not (len(seen) > 1 and seen[-1] > seen[0]):
            before = int(time.time())
            lines = (await answer(port)).decode().splitlines()
            assert "x-here: yes" in lines
            (date,) = [line[6:] for line in lines if line.startswith("date: ")]
            seen.append(parsedate_to_datetime(date).timestamp())
            assert before <= seen[-1] <= time.time()
            await asyncio.sleep(0.1)
        one.should_exit = True
        await serving

    with Told().first:
        asyncio.run(serve())


class Ticks(uvicorn.Server):
    """A server whose tick does more."""

    ticks = 0

    async def on_tick(self, counter: int) -> bool:
        self.ticks += 1
        return await super().on_tick(counter)


class Loops(uvicorn.Server):
    """A server whose main loop does something else."""

    ticks = 0

    async def main_loop(self) -> None:
        while not self.should_exit:
            self.ticks += 1
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", [Ticks, Loops])
def test_a_server_of_another_shape_goes_on_as_it_does(kind: type[Ticks]) -> None:
    """What it does again and again is still done: a subclass or another version of uvicorn."""

    async def serve() -> None:
        one = server(free_port(), kind)
        serving = asyncio.ensure_future(one.serve())
        await until(lambda: one.ticks > 3)  # type: ignore[attr-defined]
        assert type(one) is kind
        one.should_exit = True
        await serving

    with Told().first:
        asyncio.run(serve())


def test_options_of_uvicorn_that_need_its_tick() -> None:
    """It ends after so many requests, and calls what is to be called now and then."""
    port = free_port()
    calls: list[float] = []

    async def notify() -> None:
        calls.append(time.time())

    async def serve() -> None:
        one = server(port, callback_notify=notify, timeout_notify=0)
        serving = asyncio.ensure_future(one.serve())
        await until(lambda: len(calls) > 1)
        one.should_exit = True
        await serving
        one = server(port, limit_max_requests=2)
        serving = asyncio.ensure_future(one.serve())
        await until(lambda: one.started)
        for _ in range(2):
            assert (await answer(port)).endswith(b"here")
        await asyncio.wait_for(serving, DEADLINE)

    for told in (Told(), Told()):
        with told.first:
            asyncio.run(serve())


class Slow(uvicorn.Server):
    """A server whose shutdown does more."""

    said = ""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.said = "more"
        await super().shutdown(sockets=sockets)


@pytest.mark.parametrize("kind", [uvicorn.Server, Slow])
def test_a_shutdown_without_connections(kind: type[uvicorn.Server]) -> None:
    """The application is told, its sockets are closed, and a shutdown of another shape is kept."""
    told: list[str] = []
    port = free_port()

    async def noted(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def heard() -> Any:
            message = await receive()
            told.append(message["type"])
            return message

        await application(scope, heard, send)

    async def serve() -> None:
        one = kind(uvicorn.Config(noted, port=port, log_level="critical"))
        serving = asyncio.ensure_future(one.serve())
        await until(lambda: one.started)
        one.should_exit = True
        await asyncio.wait_for(serving, DEADLINE)
        assert getattr(one, "said", "more") == "more"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))

    with Told().first:
        asyncio.run(serve())
    assert told == ["lifespan.startup", "lifespan.shutdown"]
