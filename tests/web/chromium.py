"""A real browser that looks at the page of a real bot."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from liteyuki_core.control import Client
from tests.conftest import DEADLINE, free_port, nothing_left, plain_environment
from tests.program import Program, running_program

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="this system has no Chromium (CHROMIUM says where it is)"
)
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}

Opens = Callable[..., Page]

expect.set_options(timeout=3 * DEADLINE * 1000)


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    """Look for what is left when all tests of a module have ended: they share browser and bot."""
    with nothing_left():
        yield


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser, for all tests of a module."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A bot with all that the page shows, for all tests of a module, in the working directory."""
    folder = tmp_path_factory.mktemp("shown")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with shown(folder) as program:
            yield program
            assert program.stop() == 0, program.output
    finally:
        os.chdir(before)


@contextmanager
def shown(folder: Path) -> Iterator[Program]:
    """Run the bot of `tests/children/shown.py` in a folder.

    Its page has a port of its own, which no other test's bot takes when this one has ended.
    """
    more = {"LITEYUKI_LOG_FILE": str(folder / "bot.log"), "LITEYUKI_WEB_PORT": str(free_port())}
    with running_program(folder, plain_environment(), "shown", **more) as program:
        program.wait_for_line("^all run$", timeout=3 * DEADLINE)
        yield program


@pytest.fixture
def contexts(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Make people: each has cookies, a screen and a language of his own."""
    made = []

    def context(**more: Any) -> BrowserContext:
        more = {"locale": "en-US", "viewport": DESKTOP, **more}
        made.append(chromium.new_context(**more))
        made[-1].set_default_timeout(3 * DEADLINE * 1000)
        return made[-1]

    yield context
    for each in made:
        each.close()


@pytest.fixture
def opens(bot: Program, contexts: Callable[..., BrowserContext]) -> Iterator[Opens]:
    """Open the page by a ticket, as somebody who may change things, or only look.

    No page may have an error in its console, or be taken over.
    """
    wrong: list[str] = []
    pages = []

    def open_page(
        view: str = "overview", *, read_only: bool = False, port: int = 0, **more: Any
    ) -> Page:
        page = contexts(**more).new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        pages.append(page)
        link = Client().ask("POST", "/web", body={"read_only": read_only})
        url = str(link["url"])
        if port:
            url = url.replace(str(link["port"]), str(port))
        page.goto(url)
        page.wait_for_selector("h1")
        go(page, view)
        return page

    yield open_page
    # No errors: a connection that a test has cut, a key that is looked for and is not there.
    assert not [each for each in wrong if "ERR_" not in each and "status of 404" not in each]
    for page in pages:
        assert page.is_closed() or "taken" not in page.title()


def go(page: Page, view: str) -> None:
    """Go to a view by its address."""
    page.evaluate("view => { location.hash = view }", view)
    page.wait_for_selector(f"lite-{view.partition('/')[0].partition('?')[0]}")


def send(channel: str, data: Any) -> None:
    """Send a message on a channel of the bot, from outside of the page."""
    Client().ask("POST", f"/channels/{channel}/send", body={"data": data})


class Wire:
    """A connection between a browser and the page, which can be cut, and mended.

    Owns a listening socket, a thread that accepts, and two threads a connection.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._whole = True
        self._threads = [threading.Thread(target=self._accept, name="wire")]
        self._threads[0].start()

    def cut(self) -> None:
        """End all connections, and those to come."""
        with self._lock:
            self._whole = False
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections come again."""
        self._whole = True

    def close(self) -> None:
        """End everything."""
        self.cut()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(DEADLINE)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                if not self._whole:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open |= {near, far}
                pair = [
                    threading.Thread(target=self._pass_on, args=ends, name="wire")
                    for ends in ((near, far), (far, near))
                ]
            for thread in pair:
                thread.start()
            self._threads += pair

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source}
        source.close()


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    """Put a wire between a browser and the page at `port`."""
    found = Wire(port)
    try:
        yield found
    finally:
        found.close()
