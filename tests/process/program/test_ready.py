"""How a program shows that it is ready: lines, ports, HTTP answers of real servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from liteyuki_core.process import HttpOk, LogLine, TcpPort
from liteyuki_core.process.program.ready import until
from tests.conftest import DEADLINE, free_port

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LogLine("("), r"^LogLine: pattern '\(' does not compile"),
        (lambda: TcpPort(0), "^TcpPort: port must be between 1 and 65535, not 0"),
        (lambda: TcpPort(65536), "^TcpPort: port .* not 65536"),
        (lambda: HttpOk("127.0.0.1:80"), "^HttpOk: url must look like"),
        (lambda: HttpOk("ftp://a/"), "^HttpOk: url"),
        (lambda: HttpOk("http:///path"), "^HttpOk: url"),
        (lambda: HttpOk("http://a:0/"), "^HttpOk: url"),
        (lambda: HttpOk("http://a:70000/"), "^HttpOk: url"),
        (lambda: HttpOk("http://me:pw@a/"), "^HttpOk: url"),
        (lambda: HttpOk("http://a/ b"), "^HttpOk: url"),
        (lambda: HttpOk("http://a/\r\nX: 1"), "^HttpOk: url"),
        (lambda: HttpOk("http://a/\u4e2d"), "^HttpOk: url"),
        (lambda: HttpOk("http://[::1/"), "^HttpOk: url"),
    ],
)
def test_values_that_cannot_be(make: Callable[[], object], said: str) -> None:
    """Are refused when they are made, and say what is wrong."""
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogLine(b"x"),  # type: ignore[arg-type]
        lambda: TcpPort("80"),  # type: ignore[arg-type]
        lambda: TcpPort(True),
        lambda: TcpPort(80, host=""),
        lambda: HttpOk(80),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_another_type(make: Callable[[], object]) -> None:
    """Is refused likewise."""
    with pytest.raises(TypeError, match=r"^(LogLine|TcpPort|HttpOk): "):
        make()


def test_a_line_that_matches() -> None:
    """Anywhere in the line."""
    ready = LogLine(r"listening on \d+")
    assert ready.matches("[info] listening on 8080 now")
    assert not ready.matches("[info] listening")
    assert ready == LogLine(r"listening on \d+")
    assert "listening on" in ready.missing


async def waits(ready: TcpPort | HttpOk) -> bool:
    """Return whether it is not ready within a moment, and nothing is raised."""
    try:
        await asyncio.wait_for(ready.wait(), 0.3)
    except asyncio.TimeoutError:
        return True
    return False


@pytest.mark.parametrize("turns", range(8))
async def test_who_gives_up_is_obeyed(turns: int) -> None:
    """Also at the very moment at which a try ends, in whatever turn of the loop that is."""
    tried, gate = 0, asyncio.Event()

    async def shows() -> bool:
        nonlocal tried
        tried += 1
        await gate.wait()
        return False

    waiting = asyncio.ensure_future(until(shows))
    while not tried:
        await asyncio.sleep(0)
    gate.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=1)
    assert waiting.cancelled()
    assert tried == 1


async def test_a_port_that_accepts() -> None:
    """Not before somebody listens; then soon."""
    port = free_port()
    ready = TcpPort(port)
    assert await waits(ready)
    assert str(port) in ready.missing
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.sleep(0)
    with socket.create_server(("127.0.0.1", port)):
        await asyncio.wait_for(waiting, DEADLINE)
    assert await waits(TcpPort(port, "no-such-host.invalid"))


@pytest.fixture
async def serve() -> Any:
    """Starts a server whose connections a function handles; returns its port."""
    servers = []

    async def start(handle: Serve) -> int:
        async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(handled, "127.0.0.1", 0)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "is_ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.0 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
        (b"HTTP/1.1 503 Not Yet\r\n\r\n", False),
        (b"HTTP/1.1 2000 What\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH\r\n", False),
        (b"", False),
        (b"x" * 200_000, False),
    ],
)
async def test_an_answer(serve: Any, answer: bytes, is_ready: bool) -> None:
    """Of 200 to 399 shows that it is ready; any other, or none, that it is not yet."""
    asked = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()

    port = await serve(handle)
    ready = HttpOk(f"http://127.0.0.1:{port}/health?a=b")
    assert await waits(ready) is not is_ready
    head = asked[0].decode().split("\r\n")
    assert head[0] == "GET /health?a=b HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}" in head
    if is_ready:
        assert len(asked) == 1
    assert f":{port}/health" in ready.missing


async def test_an_answer_that_never_comes(serve: Any) -> None:
    """Whoever waits can give up, and nothing is left."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert await waits(HttpOk(f"http://127.0.0.1:{await serve(handle)}/"))
