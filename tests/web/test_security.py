"""Who must not get in, does not: another name, another site, no ticket, no token, no right.

Each refusal is an error and nothing else: no word of the bot's, no trace in its state.

Tests web/app.py, web/entry.py and web/server.py.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from liteyuki_core.control import Client
from tests.children.names_with_markup import MARKUP
from tests.conftest import wait_until
from tests.fuzzed import assert_refused
from tests.program import Program, running_program
from tests.web.browser import Answer, Browser, link, links_in, opened, stranger

PASSWORD = "a long password, äöü 轻雪"


def check_headers(answer: Answer) -> None:
    """Check what every answer says to a browser."""
    headers = answer.headers
    csp = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert csp["default-src"] == csp["base-uri"] == csp["frame-ancestors"] == "'none'"
    assert csp["script-src"] == csp["style-src"] == csp["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers
    assert headers["cache-control"] == "no-store"


def form(password: str) -> bytes:
    """Return the body of the log-in form."""
    return f"password={quote(password)}".encode()


# ------------------------------------------------------------- names and sites


def test_another_host(bot: Program) -> None:
    """A name that leads here by a stranger's DNS gets nothing, with a session or without."""
    browser = opened()
    for host in ("evil.example", f"evil.example:{browser.port}", "localhost.evil.example", ""):
        for path in ("/", "/api/status", "/api/session", "/static/x.js", "/ticket/x"):
            answer = browser.get(path, host=host)
            assert answer.status == 421
            check_headers(answer)
            assert "pid" not in answer.text
            assert "evil" not in answer.text
        assert browser.post("/api/processes/echo/stop", host=host).status == 421
    for host in (f"localhost:{browser.port}", "127.0.0.1:1", "[::1]:5"):
        assert browser.get("/api/status", host=host).status == 200
    assert browser.get("/api/status", host=None).status == 400
    assert Client().ask("GET", "/processes/echo")["state"] == "running"


def test_another_site(bot: Program) -> None:
    """Its forms and scripts are refused, even with the cookie and the token. A visit is none."""
    browser = opened()
    own = f"http://127.0.0.1:{browser.port}"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", f"{own}.evil.example"):
        assert browser.get("/api/status", origin=origin).status == 403
        assert browser.post("/api/processes/echo/stop", origin=origin).status == 403
        assert browser.post("/logout", origin=origin).status == 403
        assert browser.ask("POST", "/login", raw=form("x"), origin=origin).status == 403
    for site in ("cross-site", "same-site"):
        assert browser.get("/api/log/follow", sec_fetch_site=site).status == 403
        assert browser.get("/static/x.js", sec_fetch_site=site).status == 403
    visit = browser.get("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate")
    assert visit.status == 200
    assert browser.get("/", sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status == 403
    assert browser.get("/api/status", origin=own, sec_fetch_site="same-origin").status == 200
    assert Client().ask("GET", "/processes/echo")["state"] == "running"


# ------------------------------------------------------------- tickets and sessions


def test_no_session(bot: Program) -> None:
    """What says how to get in, and files that are no secret; of the bot not a word."""
    browser = stranger()
    page = browser.get("/")
    assert page.status == 200
    assert "liteyuki web" in page.text
    assert "<form" not in page.text
    check_headers(page)
    (style,) = [each for each in links_in(page.text) if each.startswith("/static/")]
    assert browser.get(style).headers["content-type"] == "text/css; charset=utf-8"
    for cookie in (None, f"liteyuki_{browser.port}=", f"liteyuki_{browser.port}=x", "a=b; =;", "ü"):
        browser.cookie = cookie
        for path in ("/status", "/session", "/log/follow", "/openapi.json", "/metrics", "/nothing"):
            answer = browser.get(f"/api{path}")
            assert (answer.status, answer.json["error"]) == (401, "HTTPError")
            check_headers(answer)
        for verb in ("POST", "PUT", "DELETE", "PATCH"):
            assert browser.ask(verb, "/api/processes/echo/stop").status == 401
        assert browser.post("/logout").status == 401
        assert browser.post("/api/session/link", {"right": "read"}).status == 401
    assert browser.ask("POST", "/login", raw=form("x")).status == 404
    assert not bot.found("web page: (POST|PUT|DELETE)")


def test_tickets(bot: Program) -> None:
    """One is for one use; what comes of it is a cookie that no script reads."""
    found = link()
    browser = Browser(found["port"])
    path = urlsplit(found["url"]).path
    assert browser.ask("HEAD", path).status == 405
    assert browser.post(path).status == 405
    first = browser.get(path, sec_fetch_site="cross-site", sec_fetch_mode="navigate")
    assert first.status == 200
    check_headers(first)
    cookie = first.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert 'http-equiv="refresh" content="0;url=/"' in first.text
    again = browser.get(path)
    assert again.status == 403
    assert "set-cookie" not in again.headers
    assert "used before" in again.text
    check_headers(again)
    for wrong in ("", "x", quote(MARKUP), "../" * 5, "x" * 5000):
        answer = browser.get(f"/ticket/{wrong}")
        assert answer.status == 403
        assert "<img" not in answer.text
    secret = path.rpartition("/")[2]
    assert secret not in bot.output
    assert cookie.partition(";")[0].partition("=")[2] not in bot.output
    bot.wait_for_line(r"web page: session \w{6} \(may change\) was begun by a link from 127.0.0.1")


def test_log_out(bot: Program) -> None:
    """It needs the token, ends the session, and streams that are under way."""
    browser = opened()
    other = Browser(browser.port, browser.cookie, browser.csrf)
    with other.stream("/api/log/follow") as stream:
        assert stream.recv(100).startswith(b"HTTP/1.1 200")
        browser.csrf = None
        assert browser.post("/logout").status == 403
        browser.csrf = other.csrf
        answer = browser.post("/logout")
        assert (answer.status, answer.json) == (200, {"done": True})
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert other.get("/api/status").status == 401
        assert "liteyuki web" in other.get("/").text
        for _ in range(3):
            Client().ask("POST", "/channels/echo-active/send", body={"data": "more"})
        while stream.recv(65536):
            pass


# ------------------------------------------------------------- tokens and rights


def test_changes_need_the_token(bot: Program) -> None:
    """The cookie alone does nothing; what is done is logged with where it came from."""
    browser = opened()
    csrf = browser.csrf
    for token in (None, "", "wrong", f"{csrf}x", "ü", str(browser.cookie)):
        browser.csrf = token
        assert browser.post("/api/processes/echo/stop").status == 403
        assert browser.ask("PUT", "/api/store/key", {"value": 1}).status == 403
        assert browser.ask("DELETE", "/api/store/key").status == 403
        assert browser.post("/api/shutdown").status == 403
        assert browser.post("/api/session/link", {"right": "read"}).status == 403
    browser.csrf = csrf
    assert not bot.found("web page: (POST|PUT|DELETE)")
    assert browser.ask("PUT", "/api/store/key", {"value": "a secret value"}).json == {"done": True}
    assert browser.get("/api/store/key").json["value"] == "a secret value"
    assert browser.post("/api/processes/echo/stop").status == 200
    bot.wait_for_line(r"web page: PUT /api/store/key from 127\.0\.0\.1, session \w{6}$")
    bot.wait_for_line(r"web page: POST /api/processes/echo/stop from 127\.0\.0\.1")
    assert "a secret value" not in bot.output


def test_a_read_only_session(bot: Program) -> None:
    """It sees all and changes nothing, nor does it let others in. A friend gets such a link."""
    browser = opened()
    friend = Browser(browser.port)
    assert browser.post("/api/session/link", {"right": "change"}).status == 422
    assert browser.post("/api/session/link", [1]).status == 422
    found = browser.post("/api/session/link", {"right": "read"}).json
    assert found["url"].startswith(f"http://127.0.0.1:{browser.port}/ticket/")
    assert found["seconds"] == 3600
    assert friend.redeem(found["url"]).status == 200
    assert friend.get("/api/session").json["right"] == "read"
    assert opened(read_only=True).get("/api/session").json["right"] == "read"
    for path in ("/status", "/log", "/channels", "/store", "/settings", "/figures", "/log/history"):
        assert friend.get(f"/api{path}").status == 200
    for verb, path in (
        *(("POST", "/processes/echo/stop"), ("POST", "/shutdown"), ("PUT", "/store/key")),
        *(("DELETE", "/store/key"), ("POST", "/channels/echo-active/send"), ("POST", "/web")),
        *(("POST", "/session/link"), ("PATCH", "/status"), ("POST", "/dead-letters/1/discard")),
    ):
        answer = friend.ask(verb, f"/api{path}", {"value": 1, "data": 1})
        assert (answer.status, answer.json["message"][:12]) == (403, "this session")
    assert friend.post("/logout").status == 200
    assert browser.get("/api/status").status == 200
    assert Client().ask("GET", "/status")["ok"] is True


def test_no_ticket_over_the_page(bot: Program) -> None:
    """Somebody who may change makes no link that may change, nor reads one in the log."""
    browser = opened()
    assert browser.post("/api/web", {}).status == 404
    assert browser.post("/api/%77eb", {}).status == 404
    assert browser.post("/api//web", {}).status == 404
    assert browser.post("/api/web/", {}).status == 404
    url = link()["url"]
    Client().ask("POST", "/channels/echo-active/send", body={"data": url})
    bot.wait_for_line("echoed http")
    wait_until(lambda: "echoed http" in browser.get("/api/log").text, "it is in the log")
    assert urlsplit(url).path not in browser.get("/api/log?lines=1000").text


# ------------------------------------------------------------- passwords


def test_log_in(here: Path, environment: dict[str, str]) -> None:
    """With the password, from anywhere; wrong ones are logged, and soon refused for a minute."""
    with running_program(
        here,
        environment,
        "controlled",
        LITEYUKI_WEB="true",
        LITEYUKI_WEB_HOST="0.0.0.0",
        LITEYUKI_WEB_PASSWORD=PASSWORD,
        LITEYUKI_WEB_URL="https://bot.example.org",
    ) as bot:
        bot.wait_for_line("^all run$")
        bot.wait_for_line(r"link to the web page.*https://bot\.example\.org/ticket/")
        browser = stranger()
        page = browser.get("/")
        assert '<form method="post" action="/login">' in page.text
        assert 'autocomplete="current-password"' in page.text
        for wrong in (form(""), b"password=%ff&x=1&" * 100, form(PASSWORD[:-1])):
            answer = browser.ask("POST", "/login", raw=wrong)
            assert answer.status == 401
            assert "set-cookie" not in answer.headers
            assert 'role="alert"' in answer.text
            check_headers(answer)
        bot.wait_for_line("a wrong password was given from 127.0.0.1", count=3)
        right = browser.ask("POST", "/login", raw=form(PASSWORD), host="bot.example.org")
        assert (right.status, right.headers["location"]) == (303, "/")
        assert "Secure" in right.headers["set-cookie"]
        browser.cookie = right.headers["set-cookie"].partition(";")[0]
        assert browser.get("/api/session").json["right"] == "change"
        guests = Browser(browser.port)
        statuses = [guests.ask("POST", "/login", raw=form("wrong")).status for _ in range(7)]
        assert statuses == [401] * 5 + [429] * 2
        late = guests.ask("POST", "/login", raw=form(PASSWORD))
        assert (late.status, late.headers["retry-after"]) == (429, "60")
        assert "set-cookie" not in late.headers
        assert guests.ask("POST", "/login", raw=b"x" * 100_000).status == 413
        assert browser.get("/api/settings").status == 200
        assert PASSWORD not in browser.get("/api/settings").text + bot.output
        assert "$argon2" not in browser.get("/api/settings").text
        assert bot.stop() == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"LITEYUKI_WEB_HOST": "0.0.0.0"}, "needs LITEYUKI_WEB_PASSWORD"),
        ({"LITEYUKI_WEB_PASSWORD": "short"}, "must have 12 to 1024 characters"),
        ({"LITEYUKI_CONTROL": "false"}, "needs LITEYUKI_CONTROL=true"),
    ],
)
def test_a_bot_that_may_not_have_a_page_does_not_start(
    here: Path, environment: dict[str, str], settings: dict[str, str], says: str
) -> None:
    """It ends with an error that says what to do."""
    with running_program(
        here, environment, "controlled", **{"LITEYUKI_WEB": "true", **settings}
    ) as bot:
        assert bot.wait() == 1
        assert bot.found(f"ConfigError: .*{says}")
        assert "short" not in bot.output


# ------------------------------------------------------------- what is shown


def test_markup_is_text(here: Path, environment: dict[str, str]) -> None:
    """Names, lines, keys and values come as JSON, and stand in no HTML."""
    with running_program(here, environment, "names_with_markup") as bot:
        bot.wait_for_line("^all run$")
        browser = opened()
        for path in (
            *("/status", "/log", "/log/history", "/channels", "/store", "/events?events=9"),
            *(f"/store/{quote(f'key{MARKUP}')}", f"/processes/{quote(MARKUP)}", "/figures"),
            *(f"/channels/{quote(f'{MARKUP}-queue')}", f"/processes/{quote(f'x{MARKUP}')}"),
        ):
            if path.startswith("/events"):
                with browser.stream(f"/api{path}") as stream:
                    head = stream.recv(65536).decode().lower()
                assert "content-type: text/event-stream" in head
                continue
            answer = browser.get(f"/api{path}")
            assert answer.headers["content-type"] == "application/json"
            assert path == "/figures" or MARKUP in answer.text
            check_headers(answer)
        download = browser.get("/api/log/download")
        assert download.headers["content-type"] == "text/plain; charset=utf-8"
        assert download.headers["content-disposition"].startswith("attachment; filename=")
        assert MARKUP in download.text
        for path in ("/", f"/{quote(MARKUP)}", f"/static/{quote(MARKUP)}", f"/?{quote(MARKUP)}"):
            answer = browser.get(path)
            assert MARKUP not in answer.text
            assert "onerror" not in answer.text
        assert bot.stop() == 0


@pytest.mark.parametrize("session", [True, False])
def test_paths(bot: Program, session: bool) -> None:
    """None leads out of the page's files, or past the checks."""
    browser = opened() if session else stranger()
    for path in (
        *(
            "/static/../app.py",
            "/static/..%2fapp.py",
            "/static/%2e%2e/app.py",
            "/static//etc/passwd",
        ),
        *("/static/index.html", "/static/entry.html", "/static/", "/static", "/static/main.js"),
        *("/static/..\\app.py", "/static/main.js%00", "/index.html", "/.env", "/../../etc/passwd"),
        *("//evil.example", "/%2e%2e/", "/api", "/API/status", "/favicon.ico", "/Static/x"),
        *("/login/", "/ticket", "http://evil.example/", "/%00", "/%ff%fe", "/static/%ff"),
    ):
        answer = browser.get(path)
        assert answer.status == 404, path
        assert "location" not in answer.headers
        assert "root:" not in answer.text
        check_headers(answer)
    for path in ("/api/", "/api/../status", "/api/x/../status", "/api/./status", "/api/status/"):
        assert browser.get(path).status == (404 if session else 401), path
    if session:
        for key in ("..", "../../etc/passwd", "?x=1#y", "a/b"):
            path = f"/api/store/{quote(key, safe='')}"
            assert browser.ask("PUT", path, {"value": key}).status == 200
            assert browser.get(path).json["value"] == key


def test_methods(bot: Program) -> None:
    """Those that a path does not have are refused; a HEAD is a GET without its body."""
    browser = opened()
    for verb, path in (
        *(("POST", "/"), ("PUT", "/"), ("DELETE", "/static/x.js"), ("PUT", "/login")),
        *(("GET", "/logout"), ("HEAD", "/login"), ("POST", "/api/session")),
        *(("GET", "/api/session/link"), ("PUT", "/api/session/link"), ("OPTIONS", "/")),
        *(("PATCH", "/api/status"), ("OPTIONS", "/api/status"), ("TRACE", "/api/status")),
    ):
        answer = browser.ask(verb, path)
        assert answer.status == 405, (verb, path)
        check_headers(answer)
    assert browser.get("/login").headers["location"] == "/"
    for path in ("/", "/api/status", "/api/session"):
        answer = browser.ask("HEAD", path)
        assert (answer.status, answer.body) == (200, b"")


# ------------------------------------------------------------- too much


def test_two_hundred_connections(bot: Program) -> None:
    """A hundred are served; others are told that there are too many, until those are gone."""
    browser = opened()
    address = ("127.0.0.1", browser.port)
    connections = [socket.create_connection(address, 20) for _ in range(200)]
    try:
        wait_until(lambda: connections[-1].recv(100).startswith(b"HTTP/1.1 503"), "a refusal")
        assert Client().ask("GET", "/status")["ok"] is True
    finally:
        for connection in connections:
            connection.close()

    def served() -> bool:
        try:
            return browser.get("/api/status").status == 200
        except OSError:
            return False

    wait_until(served, "the next one is served")
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: browser.get("/api/session").status, range(200)))
    assert set(statuses) == {200}
    assert Client().ask("GET", "/status")["pid"] == bot.process.pid


def test_a_slow_client_is_closed(bot: Program) -> None:
    """Half a header, half a body, half a second request: each has ten seconds."""
    browser = opened()
    address = ("127.0.0.1", browser.port)
    whole = f"GET / HTTP/1.1\r\nhost: 127.0.0.1:{browser.port}\r\n".encode()
    body = f"cookie: {browser.cookie}\r\nx-csrf-token: {browser.csrf}\r\n".encode()
    body = whole.replace(b"GET /", b"PUT /api/store/a") + body + b"content-length: 9\r\n\r\n{"
    with (
        socket.create_connection(address, 30) as header,
        socket.create_connection(address, 30) as second,
        socket.create_connection(address, 30) as unfinished,
    ):
        header.sendall(whole)
        unfinished.sendall(body)
        second.sendall(whole + b"\r\n")
        answer = second.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        second.sendall(whole)
        assert unfinished.recv(100).startswith(b"HTTP/1.1 408")
        assert header.recv(100) == b""
        while second.recv(65536):
            pass


def test_what_is_no_request(bot: Program) -> None:
    """An error and nothing else: no line in the log, and the next one is served."""
    browser = opened()
    for data in (
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000,
    ):
        with socket.create_connection(("127.0.0.1", browser.port), 20) as connection:
            assert_refused(connection, data)
    big = {"value": "x" * (1024 * 1024)}
    assert browser.ask("PUT", "/api/store/big", big).status == 413
    assert browser.post("/api/session/link", {"right": "x" * 5000}).status == 413
    assert browser.get("/api/status").status == 200
    assert not bot.found(r"Invalid HTTP|uvicorn|WARNING(?!\] token=)")
