"""HTTP through the gateway: bodies in pieces, clients that leave, children that are away.

Tests gateway/gateway.py, gateway/child.py, frameworks/asgi.py.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import DEADLINE, wait_until
from tests.gateway.project import PAGES, Bot, bot
from tests.program import Environment, running_program

MEGABYTE = 1_000_000


@pytest.fixture
def pages(tmp_path: Path, environment: Environment) -> Iterator[Bot]:
    """A bot with pages."""
    with bot(tmp_path, environment) as running:
        yield running


def memory(program: Bot) -> int:
    """Return how much memory the main process and its children use."""
    main = psutil.Process(program.program.process.pid)
    return sum(p.memory_info().rss for p in (main, *main.children(recursive=True)))


def test_a_hundred_megabytes_pass_in_pieces(pages: Bot) -> None:
    """Up and down, and no process holds all of it."""
    before = memory(pages)
    sent = threading.Event()

    def body() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * MEGABYTE
        sent.set()

    most = 0
    with pages.client() as client, ThreadPoolExecutor(1) as pool:
        length = {"Content-Length": str(100 * MEGABYTE)}
        answer = pool.submit(client.post, "/length", content=body(), headers=length)
        while not answer.done():
            most = max(most, memory(pages))
            time.sleep(0.01)
        assert answer.result().text == str(100 * MEGABYTE)
        longest = pages.program.wait_for_line(r"the longest piece had (\d+) bytes")
        assert int(longest[1]) <= 64 * 1024
        assert sent.is_set()
        total = 0
        with client.stream("GET", "/megabytes/100") as answered:
            for piece in answered.iter_raw():
                total += len(piece)
                most = max(most, memory(pages)) if not total % 50 else most
    assert total == 100 * MEGABYTE
    assert most - before < 60 * MEGABYTE


def test_a_client_that_does_not_read_stops_its_page_and_no_other(pages: Bot) -> None:
    """The page waits with what it sends; others are served meanwhile; then all comes."""
    with pages.connect() as slow, pages.client() as client:
        slow.sendall(b"GET /megabytes/60 HTTP/1.0\r\n\r\n")
        pages.program.wait_for_line("megabyte 2 was sent")
        for _ in range(50):
            assert client.get("/text").text == "some text"
        assert not pages.program.found("megabyte 60 was sent")
        slow.settimeout(DEADLINE)
        total = 0
        while some := slow.recv(1 << 20):
            total += len(some)
        assert total > 60 * MEGABYTE
    pages.program.wait_for_line("megabyte 60 was sent")


def test_a_page_that_does_not_read_stops_its_client_and_no_other(pages: Bot) -> None:
    """The upload stands still until the page goes on."""
    with pages.connect() as upload, pages.client() as client:
        upload.sendall(b"POST /slow HTTP/1.0\r\nContent-Length: 50000000\r\n\r\n")
        upload.settimeout(1.0)
        sent, stands_still = 0, False
        while sent < 50 * MEGABYTE and not stands_still:
            try:
                sent += upload.send(b"x" * min(MEGABYTE, 50 * MEGABYTE - sent))
            except TimeoutError:
                stands_still = True
        assert stands_still
        for _ in range(50):
            assert client.get("/text").text == "some text"
        pages.say("go")
        upload.settimeout(DEADLINE)
        while sent < 50 * MEGABYTE:
            sent += upload.send(b"x" * min(MEGABYTE, 50 * MEGABYTE - sent))
        found = b""
        while some := upload.recv(65536):
            found += some
        assert found.endswith(b"\r\n\r\n50000000")


def test_events_come_as_they_are_sent_and_a_reader_that_leaves_is_noticed(pages: Bot) -> None:
    """Server-sent events: the status before the first event, each event at once."""
    with pages.client() as client, client.stream("GET", "/events") as answered:
        assert answered.status_code == 200
        assert answered.headers["content-type"].startswith("text/event-stream")
        lines = answered.iter_lines()
        for number in range(3):
            pages.say(f"event-{number}")
            assert next(line for line in lines if line) == f"data: {number}"
    pages.program.wait_for_line("the reader of events has left after 3")


def test_a_client_that_leaves_in_the_middle_of_its_body(pages: Bot) -> None:
    """The page gets no more, and the next request is answered."""
    with pages.connect() as upload:
        upload.sendall(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n123")
    with pages.client() as client:
        assert client.get("/text").text == "some text"
        assert client.post("/echo", content=b"again").content == b"again"


def test_work_goes_on_after_the_answer(pages: Bot) -> None:
    """As with BackgroundTask, and the client has its answer at once."""
    with pages.client() as client:
        assert client.get("/after").text == "done"
        pages.say("work")
        pages.program.wait_for_line("the work after the answer is done")


def test_many_at_a_time(pages: Bot) -> None:
    """300 pages wait for one file; each gets its own answer."""

    def ask(number: int) -> str:
        with pages.client() as client:
            return client.post("/echo", content=str(number) * 1000).text

    with ThreadPoolExecutor(30) as pool, pages.client() as client:
        assert list(pool.map(ask, range(300))) == [str(number) * 1000 for number in range(300)]
        waiting = [pool.submit(client.get, "/wait/both") for _ in range(20)]
        pages.program.wait_for_line("both is waited for", 20)
        pages.say("both")
        assert {each.result().text.split()[0] for each in waiting} == {"both"}


def test_a_short_answer_in_pieces_is_whole(pages: Bot) -> None:
    """Its beginning, its pieces and its end all come before the gateway looks."""

    def ask(client: httpx.Client) -> list[str]:
        return [client.get("/stated/200/4/ab/cd").text for _ in range(30)]

    with ThreadPoolExecutor(10) as pool, pages.client() as client:
        for texts in pool.map(ask, [client] * 10):
            assert texts == ["abcd"] * 30


# ------------------------------------------------------------- a child that is away


def test_a_request_waits_for_a_child_that_is_restarted(pages: Bot) -> None:
    """Nobody is refused: who comes meanwhile is served by the successor."""
    with pages.client() as client:
        for verb in ("restart", "kill"):
            before = client.get("/pid").text
            pages.order(verb, wait=False)
            answers = []
            while set(answers) <= {before, "502"}:
                answer = client.get("/pid")
                answers.append(answer.text if answer.status_code == 200 else "502")
            assert answers[-1] == str(pages.done())
            assert answers.count("502") <= (verb == "kill")  # What the killed one had begun with.


def test_what_was_under_way_in_a_crash_gets_502_and_is_not_sent_twice(pages: Bot) -> None:
    """Its answer is said to be lost; the successor never sees the request."""
    with pages.client() as client, ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(client.get, "/wait/never")
        pages.program.wait_for_line("never is waited for")
        pages.order("kill")
        answer = waiting.result()
        assert answer.status_code == 502
        assert "process nonebot ended" in answer.text
        assert client.get("/text").status_code == 200
    assert len(pages.program.found("never is waited for")) == 1


@pytest.mark.parametrize("is_given_up", [False, True], ids=["restarted", "given up"])
def test_the_loss_is_said_at_once(
    tmp_path: Path, environment: Environment, is_given_up: bool
) -> None:
    """502 before the successor is there, and also if there is none."""
    (tmp_path / "slow.py").write_text(
        "import os, time\nif os.path.exists('slow'):\n    time.sleep(3)\n"
    )
    more = {"LITEYUKI_STOP_TIMEOUT": "2"}
    with (
        bot(tmp_path, environment, PAGES, "slow", ends_late=is_given_up, **more) as running,
        running.client() as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(client.get, "/wait/never-ending")
        running.program.wait_for_line("never-ending is waited for")
        running.say("slow")
        if is_given_up:
            running.order("stop", wait=False)
        else:
            running.order("kill", wait=False)
        assert waiting.result().status_code == 502
        assert len(running.program.found("process nonebot is ready")) == 1
        running.done()


def test_an_answer_that_a_crash_breaks_off_is_not_whole(pages: Bot) -> None:
    """The client is not told that it has everything."""
    pages.say("event-0")
    with pages.client() as client, client.stream("GET", "/events") as answered:
        raw = answered.iter_raw()
        assert next(raw) == b"data: 0\n\n"
        pages.order("kill")
        with pytest.raises(httpx.RemoteProtocolError):
            next(raw)


def test_a_request_in_hand_is_answered_before_a_restart(pages: Bot) -> None:
    """The old process answers what it has begun; what comes later waits for the new one."""
    with pages.client() as client, ThreadPoolExecutor(2) as pool:
        before = client.get("/pid").text
        waiting = pool.submit(client.get, "/wait/soon")
        pages.program.wait_for_line("soon is waited for")
        pages.order("restart", wait=False)
        pages.program.wait_for_line("process nonebot is to stop")
        later = pool.submit(client.get, "/pid")
        pages.say("soon")
        assert waiting.result().text == f"soon {before}"
        assert later.result().text == str(pages.done()) != before


def test_a_body_in_hand_is_read_to_its_end_before_a_restart(pages: Bot) -> None:
    """The rest of it comes while the process stops."""
    with pages.connect() as upload, pages.client() as client:
        before = client.get("/pid").text
        upload.settimeout(DEADLINE)
        upload.sendall(b"POST /pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n")
        upload.sendall(b"x" * 100_000)
        pages.program.wait_for_line("a piece has come")
        pages.order("restart", wait=False)
        pages.program.wait_for_line("process nonebot is to stop")
        for _ in range(3):
            upload.sendall(b"x" * 100_000)
        found = b""
        while not found.endswith(f"400000 {before}".encode()):
            some = upload.recv(65536)
            assert some, found
            found += some
        assert client.get("/pid").text == str(pages.done())


def test_without_a_child_there_is_503(tmp_path: Path, environment: Environment) -> None:
    """A child that does not come back in time: try again later."""
    (tmp_path / "failing.py").write_text(
        "import os, time\nif os.path.exists('slow'):\n    time.sleep(3)\n"
    )
    with (
        bot(
            tmp_path,
            environment,
            PAGES,
            "failing",
            LITEYUKI_GATEWAY_WAIT="0.3",
        ) as running,
        running.client() as client,
    ):
        running.say("slow")
        running.order("kill", wait=False)
        answers = []
        wait_until(
            lambda: answers.append(client.get("/pid")) or answers[-1].status_code == 503, "503"
        )
        assert answers[-1].headers["retry-after"] == "5"
        assert "process nonebot is not running" in answers[-1].text
        wait_until(lambda: client.get("/pid").status_code == 200, "it is back")
        running.done()


def test_a_child_that_is_stopped_refuses_everybody(pages: Bot) -> None:
    """Nothing listens any more; when the child is started again, something does."""
    with pages.client() as client:
        assert client.get("/pid").text == str(pages.order("RUNNING"))
        files = psutil.Process(pages.program.process.pid).num_fds()
        pages.order("stop")
        with pytest.raises(httpx.ConnectError):
            client.get("/pid")
        assert psutil.Process(pages.program.process.pid).num_fds() < files
        pages.order("restart")
        assert client.get("/pid").text == str(pages.order("RUNNING"))


def test_a_port_in_use_is_said(tmp_path: Path, environment: Environment) -> None:
    """As without a gateway: the child has failed, and the log names the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running_program(
            tmp_path, environment, "obeying:gateway", PAGES, PORT=str(port)
        ) as program:
            program.wait_for_line(rf"127\.0\.0\.1:{port} is in use; set PORT in \.env")
            program.wait_for_line("exited with code 3")
            assert program.wait() == 1


def test_idle_connections_are_kept(pages: Bot) -> None:
    """A thousand of them, through a restart; each is good for another request."""
    connections = []

    def ask(connection: socket.socket) -> bytes:
        connection.sendall(b"GET /text HTTP/1.1\r\nHost: x\r\n\r\n")
        found = b""
        while not found.endswith(b"some text"):
            some = connection.recv(65536)
            assert some, found
            found += some
        return found

    try:
        for _ in range(1000):
            connection = pages.connect()
            connections.append(connection)
            assert ask(connection).startswith(b"HTTP/1.1 200 OK")
        pages.order("restart")
        for connection in connections[-100:]:  # uvicorn closes those that are idle for 5 s.
            assert ask(connection).startswith(b"HTTP/1.1 200 OK")
    finally:
        for connection in connections:
            connection.close()


def test_messages_must_be_long_enough(tmp_path: Path, environment: Environment) -> None:
    """The limit of messages is looked at before the child is added."""
    with running_program(
        tmp_path, environment, "obeying:gateway", PAGES, LITEYUKI_MAX_MESSAGE_BYTES="65536"
    ) as program:
        assert program.wait() == 1
        assert program.found("ConfigError: process nonebot: LITEYUKI_MAX_MESSAGE_BYTES=65536")
