"""What a browser does for the page's server: requests over real sockets, with a cookie and a token.

It decides nothing by itself: a test says which Host, Origin, cookie and token are sent.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from liteyuki_core.control import Client

SECONDS = 20.0


@dataclass
class Answer:
    """An answer: its status, its headers in small letters, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Browser:
    """Asks the page at `port`. `cookie` and `csrf` are sent if there are any."""

    port: int
    cookie: str | None = None
    csrf: str | None = None
    host: str | None = None
    log: list[str] = field(default_factory=list)

    def headers(self, **more: str | None) -> dict[str, str]:
        """Return the headers of a request; in `more` they have _ in place of -, None is none."""
        found: dict[str, str | None] = {
            "host": self.host or f"127.0.0.1:{self.port}",
            "cookie": self.cookie,
            "x-csrf-token": self.csrf,
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        return {name: value for name, value in found.items() if value is not None}

    def ask(
        self, verb: str, path: str, body: Any = None, raw: bytes | None = None, **more: str | None
    ) -> Answer:
        """Send one request and return its answer. `raw` is a body that is no JSON."""
        content = raw if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.putrequest(verb, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers(**more).items():
                connection.putheader(name, value)
            if content is not None:
                connection.putheader("content-length", str(len(content)))
            connection.endheaders(content)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **more: str | None) -> Answer:
        """Ask with GET."""
        return self.ask("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: str | None) -> Answer:
        """Ask with POST."""
        return self.ask("POST", path, body, **more)

    def stream(self, path: str) -> socket.socket:
        """Return a connection on which a stream comes, after its head."""
        connection = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in self.headers().items())]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return connection

    def redeem(self, url: str) -> Answer:
        """Follow a link with a ticket, and keep the cookie."""
        answer = self.get(urlsplit(url).path)
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.csrf = self.get("/api/session").json["csrf"]
        return answer


def link(*, read_only: bool = False) -> dict[str, Any]:
    """Return a link to the page of this directory's bot, which is opened if it was not."""
    found: dict[str, Any] = Client().ask("POST", "/web", body={"read_only": read_only})
    return found


def opened(*, read_only: bool = False) -> Browser:
    """Return a browser that has a session."""
    found = link(read_only=read_only)
    browser = Browser(found["port"])
    assert browser.redeem(found["url"]).status == 200
    return browser


def stranger() -> Browser:
    """Return a browser that has none."""
    return Browser(link()["port"])


def links_in(html: str) -> list[str]:
    """Return what an HTML text links to."""
    return re.findall(r'(?:href|src)="([^"]*)"', html)
