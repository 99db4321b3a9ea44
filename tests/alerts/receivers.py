"""Real services that alerts are sent to: an HTTP server and a mail server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.conftest import free_port, wait_until

PASSWORD = "a-secret-of-this-test"


class Web:
    """An HTTP server that takes what apprise's json:// sends, or refuses it."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        """What it answers."""
        self.holds = threading.Event()
        """Answers wait while this is not set."""
        self.holds.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.asked += 1
                self.holds.wait(20)
                if self.status == 200:
                    self.taken.append(json.loads(body))
                handler.send_response(self.status)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(handler, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://me:{PASSWORD}@127.0.0.1:{self.server.server_port}/path"

    @property
    def texts(self) -> list[str]:
        """The texts of what was taken."""
        return [each["message"] for each in self.taken]

    def wait_for(self, count: int) -> list[str]:
        """Wait until so many alerts were taken; return their texts."""
        wait_until(lambda: len(self.taken) >= count, f"{count} alerts, not {self.texts}")
        return self.texts


@contextmanager
def web() -> Iterator[Web]:
    """Serve, and end with the block."""
    made = Web()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.holds.set()
        made.server.shutdown()
        made.server.server_close()
        thread.join()


class Mails:
    """What an SMTP server has taken."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.url = ""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(message_from_bytes(envelope.content))
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[Mails]:
    """Take mails, until the end of the block."""
    mails, port = Mails(), free_port()
    controller = Controller(mails, hostname="127.0.0.1", port=port)
    controller.start()
    mails.url = f"mailto://127.0.0.1:{port}?from=bot@example.com&to=me@example.com"
    try:
        yield mails
    finally:
        controller.stop()
