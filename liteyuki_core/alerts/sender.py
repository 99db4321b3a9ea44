"""Sends alerts by apprise: not twice the same, not too many an hour, and never on the loop.

Ownership. A `Sender` owns the tasks that send, one for each alert and service, and the timer at
the end of an hour in which alerts were left out. `run` gives it worker threads to talk to services.

Threads. LiteyukiBot's loop calls everything but `_notify`, which runs in a worker thread.

Invariants.
- One thread at a time talks to a service. What it has not taken is tried again, later.
- A URL of a service has secrets. No line and no error shows more of it than its scheme.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import unquote

from .. import log
from ..errors import ConfigError
from ..language import say
from .recent import Recent

_HOUR = 3600.0
_RETRIES = (15.0, 60.0, 300.0, 1200.0)
"""Seconds after which a service is tried again. The network may be what is down."""

_LONGEST_REASON = 300
_SHORTEST_SECRET = 3

Run = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Calls something in a worker thread, and returns what it returns."""


class _Service(NamedTuple):
    """One URL of LITEYUKI_ALERT_URLS."""

    title: str
    apprise: Any
    secrets: tuple[str, ...]
    """Parts of its URL, the longest first."""
    turn: asyncio.Lock
    """Is held while a thread talks to it."""


class Sender:
    """Sends alerts to the services of `urls`, at most `per_hour` an hour.

    `more` puts in words that so many alerts were left out. Raises `ConfigError` if apprise is not
    installed, or does not know one of the URLs.
    """

    def __init__(
        self,
        urls: Sequence[str],
        per_hour: int,
        run: Run,
        more: Callable[[int], str],
    ) -> None:
        self._services = _services(urls)
        self._title = f"LiteyukiBot {os.path.basename(os.getcwd())} @ {socket.gethostname()}"
        self._per_hour = per_hour
        self._run = run
        self._more = more
        self._recent = Recent()
        self._sent = 0
        self._hour_ends = 0.0
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Event = asyncio.Event()

    def send(self, subject: str, text: str) -> None:
        """Send an alert soon, unless it is what was sent about this subject in the last hour."""
        now = monotonic()
        if self._recent.has(subject, text):
            return
        if now >= self._hour_ends:
            self._sent, self._hour_ends = 0, now + _HOUR
        if self._sent >= self._per_hour:
            self._leave_out(now)
            return
        self._recent.note(subject, text)
        self._post(text)

    def forget(self, subject: str) -> None:
        """Forget what was sent about a subject: it is not as it was."""
        self._recent.forget(subject)

    def _leave_out(self, now: float) -> None:
        self._left_out += 1
        if self._timer is None:
            log.logger.warning(
                say(
                    "{count} alerts were sent within an hour: others are left out until it is over",
                    count=self._per_hour,
                )
            )
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._hour_ends - now, self._tell_of_more)

    def _tell_of_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        count, self._left_out = self._left_out, 0
        self._sent, self._hour_ends = 0, monotonic() + _HOUR
        self._post(self._more(count))

    def _post(self, text: str) -> None:
        self._sent += 1
        for service in self._services:
            trying = self._try(service, text)
            task = asyncio.get_running_loop().create_task(trying, name="liteyuki-alert")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self, timeout: float) -> None:
        """Send what is not sent yet, once, for at most `timeout` seconds."""
        if self._timer is not None:
            self._tell_of_more()
        self._closing.set()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                log.logger.error(
                    say(
                        "{count} alerts could not be sent before the bot had to end",
                        count=len(late),
                    )
                )

    # ------------------------------------------------------------- one alert

    async def _try(self, service: _Service, text: str) -> None:
        """Send an alert to a service; if it fails, try again."""
        for wait in (*_RETRIES, None):
            async with service.turn:
                why = await self._run(partial(_notify, service, self._title, text))
            if why is None:
                return
            log.logger.warning(
                say(
                    "an alert could not be sent to {service}: {why}", service=service.title, why=why
                )
            )
            if wait is None or not await self._may_wait(wait):
                break
        log.logger.error(
            say(
                "an alert is given up that {service} has not taken: {text}",
                service=service.title,
                text=text,
            )
        )

    async def _may_wait(self, seconds: float) -> bool:
        """Wait; return False at once if the bot stops."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except asyncio.TimeoutError:
            return True
        return False


def _services(urls: Sequence[str]) -> list[_Service]:
    if find_spec("apprise") is None:
        raise ConfigError(
            "LITEYUKI_ALERT_URLS is set, and alerts need apprise: install "
            "nonebot-plugin-liteyuki-comm[alert]"
        )
    found = []
    for number, url in enumerate(urls, 1):
        scheme = re.match(r"[a-z0-9]+(?=://)", url, re.IGNORECASE)
        title = f"alert URL {number} ({scheme[0] if scheme else '***'}://***)"
        service = _apprise_of(url)
        if service is None:
            raise ConfigError(
                f"LITEYUKI_ALERT_URLS: {title} is none that apprise can use; "
                "https://appriseit.com lists how each service is written, and a URL with a comma "
                "must stand in a JSON list"
            )
        parts = {part for each in (url, unquote(url)) for part in re.split(r"[/:@?&=,#]+", each)}
        secrets = sorted((part for part in parts if len(part) >= _SHORTEST_SECRET), key=len)
        found.append(_Service(title, service, tuple(reversed(secrets)), asyncio.Lock()))
    return found


def _apprise_of(url: str) -> Any:
    """Return what sends to a URL, or None if there is nothing that can."""
    with _said_by_apprise(), warnings.catch_warnings():  # It would write the whole URL.
        # The first URL has apprise import all that it knows, and some of that is old.
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise

        # With a timeout it would send in threads of its own, which hold up the end of a process.
        asset = apprise.AppriseAsset(app_id="LiteyukiBot", service_timeout=0)
        service = apprise.Apprise(asset=asset)
        return service if service.add(url) else None


def _notify(service: _Service, title: str, text: str) -> str | None:
    """Send a text; return None, or why it was not taken. In a worker thread."""
    with _said_by_apprise() as said:
        try:
            is_taken = bool(service.apprise.notify(text, title=title, body_format="text"))
        except Exception as error:
            is_taken = False
            said.append(repr(error))
    return None if is_taken else _reason(service, said)


def _reason(service: _Service, said: list[str]) -> str:
    why = "; ".join(said)
    for secret in service.secrets:
        why = why.replace(secret, "***")
    return " ".join(why.split())[:_LONGEST_REASON] or "apprise does not say why"


_here = threading.local()


class _Ours(logging.Filter):
    """Keeps what apprise says in a thread of ours, so that its secrets are written nowhere."""

    def filter(self, record: logging.LogRecord) -> bool:
        said: list[str] | None = getattr(_here, "said", None)
        if said is None:
            return True  # Somebody else in this process uses apprise.
        if record.levelno >= logging.WARNING:
            said.append(record.getMessage())
        return False


_OURS = _Ours()


@contextmanager
def _said_by_apprise() -> Iterator[list[str]]:
    """Within the block, keep the warnings that apprise has for this thread to ourselves."""
    logging.getLogger("apprise").addFilter(_OURS)  # Once: it knows which it has.
    said: list[str] = []
    _here.said = said
    try:
        yield said
    finally:
        _here.said = None
