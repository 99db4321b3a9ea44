"""By which names the page may be called, and where a request comes from."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from liteyuki_core.config import Settings
from liteyuki_core.errors import ConfigError, LiteyukiError
from liteyuki_core.web import address
from liteyuki_core.web.address import Address

Listen = Callable[..., Address]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Return what listens with these settings."""
    made: list[Address] = []

    def make(**settings: Any) -> Address:
        made.append(Address(replace(Settings(), **settings)))
        return made[-1]

    yield make
    for each in made:
        each.socket.close()


def free_port() -> int:
    """Return a port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:20300", "127.0.0.1", "localhost:8080", "LOCALHOST:1", "[::1]:20300", "127.9.9.9"],
)
def test_own_names(listen: Listen, host: str) -> None:
    """Numbers of this machine alone, and localhost, also through a tunnel with another port."""
    assert listen().is_own(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:20300", "127.0.0.1.evil.example", "localhost.evil"),
        *("192.168.1.5:20300", "0x7f.1", "user@127.0.0.1", "127.0.0.1:20300/x", "127.0.0.1 x"),
        *("127.0.0.1:", "[::1", "::1", "127.0.0.1:123456", "[::2]", "%31", "localhost."),
    ],
)
def test_names_of_others(listen: Listen, host: str) -> None:
    """A stranger's site can only send its own name."""
    assert not listen().is_own(host)


def test_in_a_network_numbers_are_own(listen: Listen) -> None:
    """No name leads to them that a stranger could have, so a name is still none."""
    found = listen(web_host="0.0.0.0", web_port=free_port())
    assert found.is_own("192.168.1.5:20300")
    assert not found.is_own("evil.example")
    assert not found.is_loopback
    assert found.here == f"http://127.0.0.1:{found.port}"


def test_the_name_of_a_proxy(listen: Listen) -> None:
    """It may be called so; whoever calls it so has come by https."""
    found = listen(web_url="https://Bot.example.org/")
    assert found.url == "https://bot.example.org"
    assert found.is_own("bot.example.org")
    assert found.is_own("BOT.example.org")
    assert not found.is_own("bot.example.org:8443")
    assert not found.is_own("x.bot.example.org")
    assert found.is_secure("bot.example.org")
    assert not found.is_secure("127.0.0.1")
    assert found.is_own(f"127.0.0.1:{found.port}")
    headers = {"host": f"127.0.0.1:{found.port}", "x-forwarded-for": "6.6.6.6, 203.0.113.5"}
    assert found.log_name("127.0.0.1", headers) == "203.0.113.5 (by 127.0.0.1)"
    assert found.log_name("203.0.113.9", headers) == "203.0.113.9"
    assert found.log_name("127.0.0.1", {"x-forwarded-for": "\nfaked"}) == "127.0.0.1"
    for origin in ("https://bot.example.org", f"http://127.0.0.1:{found.port}"):
        assert not found.comes_from_elsewhere({**headers, "origin": origin})


def test_without_a_proxy_nobody_else_is_believed(listen: Listen) -> None:
    """Anybody can send such a header."""
    assert listen().log_name("127.0.0.1", {"x-forwarded-for": "203.0.113.5"}) == "127.0.0.1"


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({}, False),
        ({"origin": "http://127.0.0.1:20300"}, False),
        ({"origin": "https://127.0.0.1:20300"}, False),
        ({"origin": "http://127.0.0.1:3000"}, True),
        ({"origin": "http://localhost:20300"}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"origin": "https://evil.example"}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"origin": "http://127.0.0.1:20300", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_where_a_request_comes_from(
    listen: Listen, headers: dict[str, str], elsewhere: bool
) -> None:
    """By Origin, and by what newer browsers say where there is none."""
    found = listen().comes_from_elsewhere({"host": "127.0.0.1:20300", **headers})
    assert found is elsewhere


@pytest.mark.parametrize(
    "url",
    [
        *("bot.example.org", "ftp://bot.example.org", "https://", "https://bot.example.org/path"),
        *(
            "https://user@bot.example.org",
            "https://bot.example.org?x",
            "https://h:99999",
            "https://[",
        ),
    ],
)
def test_a_wrong_url(url: str) -> None:
    """An error that says how it is written."""
    with pytest.raises(ConfigError, match="LITEYUKI_WEB_URL"):
        address.checked_url(url)


def test_the_next_port_is_taken(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several bots on one machine each have a page; a port of the settings is that port."""
    port = free_port()
    monkeypatch.setattr(address, "FIRST_PORT", port)
    first, second = listen(), listen()
    assert port <= first.port < second.port < port + 20
    with pytest.raises(LiteyukiError, match="LITEYUKI_WEB_PORT"):
        listen(web_port=first.port)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        *(("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.1.2.3", True)),
        *(("0.0.0.0", False), ("::", False), ("192.168.0.1", False), ("bot.example", False)),
    ],
)
def test_what_only_this_machine_reaches(host: str, is_loopback: bool) -> None:
    """A name may lead anywhere."""
    assert address.is_loopback(host) is is_loopback
