"""How a program shows that it is ready: by a line it writes, by a port, or by an HTTP answer.

These are plain values, made on any thread. What waits runs on LiteyukiBot's loop. A port or an
address is tried again after a pause that grows; nothing is tried once the program is ready.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_TRY_SECONDS = 5.0
"""A single try takes no longer."""


@dataclass(frozen=True)
class LogLine:
    """Ready when a line that the program writes matches a regular expression anywhere.

    The line is looked at without colours. Raises `ValueError` if `pattern` does not compile.
    """

    pattern: str
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise TypeError(f"LogLine: pattern must be a str, not {type(self.pattern).__name__}")
        try:
            compiled = re.compile(self.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(
                f"LogLine: pattern {self.pattern!r} does not compile: {error}"
            ) from error
        object.__setattr__(self, "_compiled", compiled)

    @property
    def missing(self) -> str:
        """What is missing while the program is not ready, in words."""
        return f"it has written no line that matches {self.pattern!r}"

    def matches(self, line: str) -> bool:
        """Return whether the line shows that the program is ready."""
        return self._compiled.search(line) is not None


@dataclass(frozen=True)
class TcpPort:
    """Ready when a TCP port accepts connections.

    Raises `ValueError` or `TypeError` for a port that cannot be.
    """

    port: int
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if isinstance(self.port, bool) or not isinstance(self.port, int):
            raise TypeError(f"TcpPort: port must be an int, not {type(self.port).__name__}")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"TcpPort: port must be between 1 and 65535, not {self.port}")
        if not isinstance(self.host, str) or not self.host:
            raise TypeError(f"TcpPort: host must be a name or an address, not {self.host!r}")

    @property
    def missing(self) -> str:
        """What is missing while the program is not ready, in words."""
        return f"{self.host} port {self.port} accepts no connections"

    async def wait(self) -> None:
        """Wait until the port accepts a connection."""
        await until(self._accepts)

    async def _accepts(self) -> bool:
        _, writer = await asyncio.open_connection(self.host, self.port)
        writer.close()
        return True


@dataclass(frozen=True)
class HttpOk:
    """Ready when a GET of an http or https URL is answered with a status from 200 to 399.

    Redirections are not followed. Raises `ValueError` for a URL that cannot be fetched so.
    """

    url: str

    def __post_init__(self) -> None:
        from urllib.parse import urlsplit

        url = self.url
        if not isinstance(url, str):
            raise TypeError(f"HttpOk: url must be a str, not {type(url).__name__}")
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError as error:
            raise ValueError(f"HttpOk: url {url!r}: {error}") from error
        plain = url.isascii() and url.isprintable() and " " not in url
        if not (good and plain) or "@" in parts.netloc:
            raise ValueError(
                f"HttpOk: url must look like 'http://127.0.0.1:8080/path', without a user, a "
                f"space or characters that are not ASCII, not {url!r}"
            )

    @property
    def missing(self) -> str:
        """What is missing while the program is not ready, in words."""
        return f"{self.url} gives no answer with a status from 200 to 399"

    async def wait(self) -> None:
        """Wait until the URL is answered so."""
        await until(self._is_ok)

    async def _is_ok(self) -> bool:
        from urllib.parse import urlsplit

        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        reader, writer = await asyncio.open_connection(
            parts.hostname, port, ssl=True if secure else None
        )
        try:
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            status = re.match(rb"HTTP/\d(?:\.\d)? ([23])\d\d\b", await reader.readline())
            return status is not None
        finally:
            writer.close()


Ready = LogLine | TcpPort | HttpOk


async def until(shows: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Try again and again until `shows` returns True. What it raises counts as False."""
    pause = _FIRST_PAUSE
    while not await _try(shows):
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _try(shows: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
    # Not by wait_for: up to Python 3.11 it loses a cancellation that comes as the try ends.
    trying = asyncio.ensure_future(shows())
    trying.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        done, _ = await asyncio.wait({trying}, timeout=_TRY_SECONDS)
    finally:
        trying.cancel()
    if not done:
        return False
    try:
        return trying.result()
    except (OSError, ValueError):  # ValueError: an answer's first line that never ends.
        return False
