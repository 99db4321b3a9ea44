"""WebSockets of pages through the gateway: as under uvicorn, and 1012 when their child ends.

Tests frameworks/asgi_websocket.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.conftest import DEADLINE
from tests.gateway.project import PAGES, Bot, bot
from tests.program import Environment


@pytest.fixture
def pages(tmp_path: Path, environment: Environment) -> Iterator[Bot]:
    """A bot with pages."""
    with bot(tmp_path, environment) as running:
        yield running


def socket(to: Bot, name: str, **options: Any) -> ClientConnection:
    """Return a WebSocket of a page."""
    options = {"proxy": None, "open_timeout": DEADLINE, "max_size": None, **options}
    return connect(f"ws://{to.address}/socket/{name}", **options)


def closed(client: ClientConnection) -> tuple[int, str] | None:
    """Wait for the end. Return the code and the reason that the server has given, if any."""
    try:
        while True:
            client.recv(timeout=DEADLINE)
    except ConnectionClosed as error:
        found = error.rcvd
        return None if found is None else (found.code, found.reason)


def seen(to: Bot) -> list[object]:
    """Return what clients see of every kind of page."""
    found: list[object] = []
    with socket(to, "echo", subprotocols=[Subprotocol("b"), Subprotocol("a")]) as client:
        found.append(client.subprotocol)
        assert client.response is not None
        found.append("x-pid" in client.response.headers)
        for frame in ("text", "", "é😀", b"bytes", b"", b"\x00\xff" * 100_000, "x" * 3_000_000):
            client.send(frame)
            assert client.recv(timeout=DEADLINE) == frame
        client.send(iter(["in ", "three ", "parts"]))
        found.append(client.recv(timeout=DEADLINE))
        client.close(4001, "bye")
    for name in ("refuse", "deny", "raise", "unknown"):
        with pytest.raises(InvalidStatus) as refused, socket(to, name):
            pass
        response = refused.value.response
        found.append((name, response.status_code, response.body))
    for name in ("close", "return", "exit"):
        with socket(to, name) as client:
            found.append((name, closed(client)))
    with socket(to, "echo") as client:
        client.send("x" * 17_000_000)
        found.append(closed(client))
    with socket(to, "echo") as client:
        client.socket.sendall(b"\x81\x85\x00\x00\x00\x00\xff\xfe\xff\xfe\xff")
        found.append(closed(client))
    return found


def test_they_are_as_under_uvicorn(tmp_path: Path, environment: Environment) -> None:
    """Accepted, refused, denied, closed, raised; text, bytes, fragments, too much, no UTF-8."""
    with ExitStack() as stack:
        bots = [
            stack.enter_context(bot(tmp_path / name, environment, PAGES, LITEYUKI_GATEWAY=gateway))
            for name, gateway in (("plain", "false"), ("gateway", "true"))
        ]
        expected, found = map(seen, bots)
        assert found == expected
        assert found[:3] == ["b", True, "in three parts"]
        for each in bots:
            each.program.wait_for_line("a client has left with 4001 'bye'")
            each.program.wait_for_line("a client has left with 1009")
            each.program.wait_for_line("this socket raises")


@pytest.mark.parametrize("verb", ["kill", "restart", "stop"])
def test_they_close_with_1012_when_their_child_ends(pages: Bot, verb: str) -> None:
    """However it ends; a client that connects again is served by the successor."""
    with socket(pages, "echo") as client:
        client.send("here")
        assert client.recv(timeout=DEADLINE) == "here"
        pages.order(verb)
        ended = closed(client)
        assert ended is not None
        assert ended[0] == 1012
    if verb == "stop":
        pages.order("restart")
    with socket(pages, "echo") as client:
        client.send("again")
        assert client.recv(timeout=DEADLINE) == "again"


@pytest.mark.parametrize("verb", ["restart", "kill"])
def test_those_of_an_unknown_adapter_are_like_those_of_pages(
    tmp_path: Path, environment: Environment, verb: str
) -> None:
    """They close with 1012, and the client comes back to the next process."""
    with bot(tmp_path, environment, "tests.children.own_adapter") as running:
        address = f"ws://{running.address}/own/ws"
        for _ in range(2):
            with connect(address, proxy=None, open_timeout=DEADLINE) as client:
                client.send("hello")
                assert client.recv(timeout=DEADLINE) == "hello"
                running.order(verb, wait=False)
                ended = closed(client)
                assert ended is not None
                assert ended[0] == 1012
            running.done()


def test_a_client_that_vanishes_is_noticed(pages: Bot) -> None:
    """Without a closing handshake the page is told all the same."""
    with socket(pages, "echo") as client:
        client.send("here")
        assert client.recv(timeout=DEADLINE) == "here"
        client.socket.shutdown(2)
        pages.program.wait_for_line("a client has left with 100[56]")


def test_a_client_that_does_not_read_stops_its_page_and_no_other(pages: Bot) -> None:
    """Thirty megabytes for one slow client; another is served meanwhile; then all of it comes."""
    with socket(pages, "many/3000", max_queue=1, compression=None) as slow:
        assert isinstance(slow.recv(timeout=DEADLINE), str)
        pages.program.wait_for_line("frame 100 was sent")
        with socket(pages, "echo") as other:
            for number in range(100):
                other.send(str(number))
                assert other.recv(timeout=DEADLINE) == str(number)
        assert not pages.program.found("frame 3000 was sent")
        numbers = [int(str(slow.recv(timeout=DEADLINE)).split()[0]) for _ in range(2999)]
        assert numbers == list(range(1, 3000))
        assert closed(slow) == (1000, "")


def test_who_connects_while_the_child_is_away_waits(pages: Bot) -> None:
    """It is accepted by the successor; no client is refused."""

    def ask() -> str:
        try:
            with socket(pages, "echo") as client:
                client.send("late")
                return str(client.recv(timeout=DEADLINE))
        except InvalidStatus as error:  # The one that was killed had begun with it.
            return f"refused with {error.response.status_code}"
        except ConnectionClosed as error:  # That one had accepted it.
            return f"closed with {error.rcvd and error.rcvd.code}"

    with ThreadPoolExecutor(8) as pool:
        pages.order("kill", wait=False)
        waiting = [pool.submit(ask) for _ in range(8)]
        pages.done()
        answers = {each.result() for each in waiting}
        assert answers <= {"late", "refused with 502", "closed with 1012"}
    assert ask() == "late"


def test_without_a_child_there_is_503(tmp_path: Path, environment: Environment) -> None:
    """The handshake is refused like a request."""
    (tmp_path / "failing.py").write_text(
        "import os, time\nif os.path.exists('slow'):\n    time.sleep(3)\n"
    )
    with bot(tmp_path, environment, PAGES, "failing", LITEYUKI_GATEWAY_WAIT="0.2") as running:
        running.say("slow")
        with socket(running, "echo") as client:
            running.order("kill", wait=False)
            assert closed(client) is not None
        with pytest.raises(InvalidStatus) as refused, socket(running, "echo"):
            pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "5"
        running.done()
