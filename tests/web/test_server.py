"""The page's server: opened once, at a port of its own, gone with the bot. Closed it is nothing.

Tests web/server.py and control/server.py.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from liteyuki_core.control import Client, ControlError
from tests.conftest import wait_until
from tests.program import Program, python, running_program
from tests.web.browser import Browser, link, links_in, opened


def listens(bot: Program) -> list[int]:
    """Return the ports that a bot listens on."""
    found = psutil.Process(bot.process.pid).net_connections("tcp")
    return [each.laddr.port for each in found if each.status == psutil.CONN_LISTEN]


def test_a_closed_page_is_nothing(bot: Program) -> None:
    """No port, no figures, no thread; it is opened once, and gone with the bot."""
    assert Client().ask("GET", "/status")["ok"] is True
    assert listens(bot) == []
    port = link()["port"]
    assert link()["port"] == port
    assert listens(bot) == [port]
    assert bot.stop() == 0  # And no process of it is left: others may have the port at once.


def test_nothing_is_imported_for_a_closed_page(here: Path, environment: dict[str, str]) -> None:
    """Neither by a bot that is asked, nor by one that has a password."""
    (here / "bot.py").write_text(
        "import sys\n"
        "from liteyuki_core import LiteyukiBot\n"
        "bot = LiteyukiBot()\n"
        "@bot.on_after_start\n"
        "async def look():\n"
        "    from liteyuki_core.control import Client\n"
        "    import asyncio\n"
        "    await asyncio.to_thread(Client().ask, 'GET', '/status')\n"
        "    ours = ('argon2', 'liteyuki_core.web')\n"
        "    print([m for m in sys.modules if m.startswith(ours)], flush=True)\n"
        "    bot.stop()\n"
        "bot.run()\n"
    )
    result = python(
        "import runpy; runpy.run_path('bot.py')",
        here,
        environment,
        LITEYUKI_WEB_PASSWORD="long enough, I think",
    )
    assert "[]" in result.stdout.splitlines(), result.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="processor time is counted as Linux does")
def test_an_open_page_costs_next_to_nothing(bot: Program) -> None:
    """With somebody who follows: under one percent of a processor."""
    browser = opened()

    def seconds() -> float:
        times = psutil.Process(bot.process.pid).cpu_times()
        return times.user + times.system

    def idle() -> bool:
        before = seconds()
        threading.Event().wait(12.0)  # The time over which is counted; figures are taken in it.
        return (seconds() - before) / 12.0 < 0.01

    with browser.stream("/api/log/follow"), browser.stream("/api/events"):
        wait_until(idle, "it is idle", timeout=60)


def test_with_the_bot(here: Path, environment: dict[str, str]) -> None:
    """The log has a link. The page is there at once."""
    with running_program(here, environment, "controlled", LITEYUKI_WEB="true") as bot:
        match = bot.wait_for_line(r"works once, within 60 s; .*: (http://127\.0\.0\.1:(\d+)/\S+)")
        browser = Browser(int(match[2]))
        assert browser.redeem(match[1]).status == 200
        assert browser.get("/api/status").json["pid"] == bot.process.pid
        assert bot.stop() == 0


def test_the_page_itself(bot: Program) -> None:
    """Every file that it names is there, for ever; what asks for less gets it as gzip."""
    browser = opened()
    page = browser.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    links = [each for each in links_in(page.text) if each.startswith("/static/")]
    assert links
    for each in links:
        answer = browser.get(each)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] != "text/plain"
        packed = browser.get(each, accept_encoding="br, gzip")
        assert packed.headers.get("content-encoding", "gzip") == "gzip"
        assert len(packed.body) <= len(answer.body)
    about = browser.get("/api/session").json
    assert set(about) == {"right", "csrf", "language", "version", "life", "node"}
    assert about["language"] == "en"
    (line, *_) = browser.get("/api/log?lines=1").json
    assert line["id"].startswith(f"{about['life']}-")


def test_streams_go_on_where_they_stopped(bot: Program) -> None:
    """With Last-Event-ID, over the page as over the socket: no gap, nothing twice."""
    browser = opened()

    def lines(last: str | None) -> list[tuple[str, str]]:
        found = []
        with (
            browser.stream("/api/log/follow?text=echoed&lines=9")
            if last is None
            else (resumed(browser, last)) as stream
        ):
            text = ""
            while text.count("event: line") < 3:
                text += stream.recv(65536).decode()
            for block in text.split("\n\n"):
                if "event: line" in block:
                    fields = dict(part.split(": ", 1) for part in block.split("\n") if ": " in part)
                    found.append((fields["id"], json.loads(fields["data"])["text"].split()[-1]))
        return found

    for word in "abc":
        Client().ask("POST", "/channels/echo-active/send", body={"data": word})
    bot.wait_for_line("echoed c")
    first = lines(None)
    assert [word for _, word in first] == ["a", "b", "c"]
    for word in "defg":
        Client().ask("POST", "/channels/echo-active/send", body={"data": word})
    assert [word for _, word in lines(first[-1][0])][:3] == ["d", "e", "f"]


def resumed(browser: Browser, last: str) -> socket.socket:
    """Return a stream that goes on after an event."""
    connection = socket.create_connection(("127.0.0.1", browser.port), 20)
    headers = {**browser.headers(), "last-event-id": last}
    lines = ["GET /api/log/follow?text=echoed HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return connection


def test_a_port_that_is_taken(here: Path, environment: dict[str, str]) -> None:
    """The bot runs on and says so; whoever wants the page is told."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        more: dict[str, Any] = {"LITEYUKI_WEB": "true", "LITEYUKI_WEB_PORT": port}
        with running_program(here, environment, "controlled", **more) as bot:
            bot.wait_for_line(f"there is no web page: .*port {port}.*LITEYUKI_WEB_PORT")
            bot.wait_for_line("^all run$")
            with pytest.raises(ControlError, match="LITEYUKI_WEB_PORT"):
                link()
            assert Client().ask("GET", "/status")["ok"] is True
            assert bot.stop() == 0


def test_a_bot_stops_while_browsers_follow(bot: Program) -> None:
    """It is not late, and they read the end of the log."""
    browser = opened()
    with browser.stream("/api/log/follow") as stream:
        assert stream.recv(10)
        assert bot.stop() == 0
        text = b""
        while part := stream.recv(65536):
            text += part
        assert b"LiteyukiBot has stopped" in text
    assert not bot.found("has failed|not stopped")
