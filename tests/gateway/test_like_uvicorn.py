"""Law 1 of the gateway: the application and its clients see what they would see under uvicorn.

Each request is made as bytes of two bots with the same pages, one of which has a gateway.

Tests gateway/exchange.py, gateway/server.py, frameworks/asgi_http.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import DEADLINE
from tests.gateway.project import PAGES, Bot, bot
from tests.program import Environment

HOST = b"Host: here\r\n"
END = b"Connection: close\r\n\r\n"


def get(path: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
    """Return a request that is the last of its connection."""
    return method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"".join(headers) + END


STATED = (
    *("200/3/abc", "200/4/ab/cd", "200/-/abc", "200/2/abc", "200/3/ab/cd", "200/9/abc"),
    *("200/9/ab/cd", "200/x/abc", "204/-/abc", "304/-/ab/cd", "200/0/abc", "200/0/"),
)
"""Answers of `Stated` among the pages, most of which are longer or shorter than they state."""

REQUESTS = {
    "get": get(b"/text"),
    "head": get(b"/text", method=b"HEAD"),
    "unknown path": get(b"/unknown"),
    "wrong method": get(b"/text", method=b"DELETE"),
    "unknown method": get(b"/text", method=b"BREW"),
    "no content": get(b"/nothing"),
    "scope": get(b"/scope?a=1&b=%20x", b"X-Own: one\r\n", b"X-Own: two\r\n"),
    "encoded path": get(b"/scope/../scope%2F"),
    "forwarded": get(b"/scope", b"X-Forwarded-For: 192.0.2.7\r\n", b"X-Forwarded-Proto: https\r\n"),
    "cookies": get(b"/cookies", b"Cookie: a=1; b=2\r\n"),
    "raise": get(b"/raise"),
    "exit": get(b"/exit"),
    "raise late": get(b"/raise-late"),
    "raw": get(b"/raw/"),
    "wrong order": get(b"/raw/wrong-order"),
    **{f"states {stated}": get(b"/stated/" + stated.encode()) for stated in STATED},
    "stream": get(b"/megabytes/3"),
    "post": get(b"/echo", b"Content-Length: 5\r\n", method=b"POST") + b"12345",
    "post nothing": get(b"/echo", b"Content-Length: 0\r\n", method=b"POST"),
    "put": get(b"/echo", b"Content-Length: 3\r\n", method=b"PUT") + b"\x00\xff\n",
    "post much": get(b"/length", b"Content-Length: 300000\r\n", method=b"POST") + b"x" * 300_000,
    "chunked": get(b"/echo", b"Transfer-Encoding: chunked\r\n", method=b"POST")
    + b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n",
    "trailers": get(b"/echo", b"Transfer-Encoding: chunked\r\n", method=b"POST")
    + b"3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n",
    "bad chunk": get(b"/echo", b"Transfer-Encoding: chunked\r\n", method=b"POST")
    + b"zz\r\nabc\r\n",
    "expect": get(b"/echo", b"Content-Length: 5\r\n", b"Expect: 100-continue\r\n", method=b"POST")
    + b"12345",
    "expect and refuse": get(
        b"/refuse", b"Content-Length: 5\r\n", b"Expect: 100-continue\r\n", method=b"POST"
    ),
    "refused body": get(b"/refuse", b"Content-Length: 5\r\n", method=b"POST") + b"12345",
    "http/1.0": b"GET /scope HTTP/1.0\r\n\r\n",
    "http/1.0 kept": b"GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    b"GET /text HTTP/1.0\r\n\r\n",
    "kept": b"GET /text HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/nothing"),
    "pipelined": b"".join(
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\n%d" % number
        for number in range(5)
    )
    + get(b"/text"),
    "no host": b"GET /text HTTP/1.1\r\n" + END,
    "garbage": b"\x16\x03\x01 garbage\r\n\r\n",
    "no version": b"GET /text\r\n\r\n",
    "both lengths": get(
        b"/echo", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n", method=b"POST"
    )
    + b"0\r\n\r\nGET /unknown HTTP/1.1\r\n\r\n",
    "two lengths": get(b"/echo", b"Content-Length: 4\r\n", b"Content-Length: 9\r\n", method=b"POST")
    + b"1234GET /",
    "negative length": get(b"/echo", b"Content-Length: -4\r\n", method=b"POST") + b"1234",
    "space before colon": get(b"/echo", b"Content-Length : 4\r\n", method=b"POST") + b"1234",
    "folded": get(b"/scope", b"X-Own: a\r\n b\r\n"),
    "long header": get(b"/text", b"X-Own: " + b"x" * 200_000 + b"\r\n"),
    "many headers": get(b"/scope", *[b"X-%d: %d\r\n" % (n, n) for n in range(300)]),
    "upgrade to something": get(b"/text", b"Upgrade: something\r\n"),
    "not a websocket's path": get(
        b"/socket/unknown",
        b"Upgrade: websocket\r\n",
        b"Connection: Upgrade\r\n",
        b"Sec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    ),
}


@pytest.fixture(scope="module")
def bots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bot, Bot]]:
    """A bot without a gateway, and one with it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LITEYUKI_")}
    environment["PYTHONHASHSEED"] = "0"  # A set of methods is shown in one order.
    folder = tmp_path_factory.mktemp("bots")
    with ExitStack() as stack:
        yield (
            stack.enter_context(
                bot(folder / "plain", environment, PAGES, LITEYUKI_GATEWAY="false")
            ),
            stack.enter_context(bot(folder / "gateway", environment, PAGES)),
        )


def answered(to: Bot, request: bytes) -> bytes:
    """Return all that comes until the connection is closed, without what differs each time."""
    found = b""
    with to.connect() as connection:
        connection.settimeout(DEADLINE)
        connection.sendall(request)
        try:
            while some := connection.recv(1 << 20):
                found += some
        except ConnectionResetError:
            found += b"(reset)"
    found = re.sub(rb"date: [^\r]*", b"date: now", found)
    return found.replace(b"%d" % to.port, b"PORT")


def pieces_joined(found: bytes) -> bytes:
    """Return an answer with its chunks as one, because each piece of a body may be one chunk."""
    head, end, body = found.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return found
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole += rest[:length]
        body = rest[length + 2 :]
        if not length:
            return head + end + whole + b"(end)" + body
    return head + end + whole


@pytest.mark.parametrize("name", REQUESTS)
def test_a_client_gets_the_same(bots: tuple[Bot, Bot], name: str) -> None:
    """Byte for byte, but for the bounds of chunks."""
    expected, found = (pieces_joined(answered(each, REQUESTS[name])) for each in bots)
    assert found == expected
    assert expected or name == "states 200/x/abc"  # There uvicorn closes the connection.


def test_the_application_gets_the_same(bots: tuple[Bot, Bot]) -> None:
    """What it receives after an answer, and the errors that it gets."""
    for each in bots:
        answered(each, get(b"/raw/wrong-order"))
        each.program.wait_for_line("RuntimeError for a body without a start")
        each.program.wait_for_line("RuntimeError for a body after the end")
        each.program.wait_for_line("after the answer: {'type': 'http.disconnect'}")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("stated", STATED)
def test_an_application_is_told_that_its_answer_is_not_as_long_as_it_states(
    bots: tuple[Bot, Bot], stated: str, method: str
) -> None:
    """By an error where it sends what does not fit; by none where the client gets no body."""
    told = []
    for each in bots:
        answered(each, get(b"/stated/" + stated.encode(), method=method.encode()))
        told.append(each.program.wait_for_line(f"{method} {stated}: .*")[0])
    assert told[0].partition(method)[2] == told[1].partition(method)[2]


def test_an_application_may_look_whether_the_client_has_left(bots: tuple[Bot, Bot]) -> None:
    """Without waiting. After its answer it is as if the client had."""
    for each in bots:
        answered(each, get(b"/looks/"))
        each.program.wait_for_line("left: False before, True after the answer")


def test_each_request_has_its_line(bots: tuple[Bot, Bot]) -> None:
    """The log names the client, the request and the status."""
    for each in bots:
        answered(each, get(b"/text?x=1"))
        each.program.wait_for_line(r'127.0.0.1:\d+ - "GET /text\?x=1 HTTP/1.1" 200$')


def test_the_settings_of_uvicorn_hold(tmp_path: Path, environment: Environment) -> None:
    """What NoneBot would give to uvicorn, the main process gives to its own."""
    (tmp_path / "limited.py").write_text(
        "import nonebot\n"
        "run = nonebot.run\n"
        "nonebot.run = lambda: run(server_header=False, headers=[('x-own', 'yes')])\n"
    )
    with bot(tmp_path, environment, PAGES, "limited") as limited:
        found = answered(limited, get(b"/nothing"))
        assert b"\r\nx-own: yes\r\n" in found
        assert b"server:" not in found
