"""The password of the page: what it must be, its hash in `.liteyuki`, and how often one may try.

There is none unless LITEYUKI_WEB_PASSWORD was given once. Only its argon2 hash is kept.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from importlib.util import find_spec
from time import monotonic
from typing import Any

from .. import files
from ..config import Settings
from ..control.address import FOLDER, make_folder
from ..errors import ConfigError
from .address import checked_url, is_loopback

FILE = os.path.join(FOLDER, "web-password")

SHORTEST = 12
LONGEST = 1024

_SECONDS = 60.0
_TRIES = 5
"""So many wrong passwords from one address, in so many seconds,"""
_TRIES_OF_ALL = 30
"""and from all addresses together."""


def check(settings: Settings) -> None:
    """Raise `ConfigError` if the settings allow no page."""
    if not settings.control:
        raise ConfigError("LITEYUKI_WEB needs LITEYUKI_CONTROL=true")
    checked_url(settings.web_url)
    given = settings.web_password
    if given is None and not is_loopback(settings.web_host) and not os.path.exists(FILE):
        raise ConfigError(
            f"LITEYUKI_WEB_HOST={settings.web_host} can be reached from other machines: it needs "
            f"LITEYUKI_WEB_PASSWORD, of {SHORTEST} characters or more, and TLS in front of it. "
            "Without LITEYUKI_WEB_HOST the page is for this machine alone, and an ssh tunnel "
            "leads to it from elsewhere"
        )
    if given is not None and not SHORTEST <= len(given) <= LONGEST:
        raise ConfigError(
            f"LITEYUKI_WEB_PASSWORD must have {SHORTEST} to {LONGEST} characters; a long one: "
            'python -c "import secrets; print(secrets.token_urlsafe(18))"'
        )
    if (given is not None or os.path.exists(FILE)) and find_spec("argon2") is None:
        raise ConfigError(
            "the web page has a password, which needs argon2-cffi: install "
            "nonebot-plugin-liteyuki-comm[web]"
        )


class Password:
    """The password that opens the page, as its hash. `given` becomes it, if there is one.

    Raises `OSError` if it can't be kept. `executor` runs what takes long.
    """

    def __init__(self, given: str | None, executor: Executor) -> None:
        self._executor = executor
        self._hash: str | None = None
        self._one_at_a_time = asyncio.Lock()
        if given is not None:
            self._hash = str(_hasher().hash(_bytes(given)))
            _keep(self._hash)
        elif os.path.exists(FILE):
            with open(FILE, encoding="ascii") as file:
                self._hash = file.read().strip()

    @property
    def is_set(self) -> bool:
        """Whether there is a password."""
        return self._hash is not None

    async def is_right(self, text: str) -> bool:
        """Return whether this is the password. It takes a while, as it should."""
        if self._hash is None or len(text) > LONGEST:
            return False
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:  # Each takes 64 MiB meanwhile.
            return await loop.run_in_executor(self._executor, _verified, self._hash, text)


def _hasher() -> Any:
    from argon2 import PasswordHasher

    return PasswordHasher()


def _verified(hashed: str, text: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return bool(_hasher().verify(hashed, _bytes(text)))
    except (Argon2Error, InvalidHashError):
        return False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _keep(hashed: str) -> None:
    make_folder()
    with open(files.open_private(f"{FILE}.new", os.O_WRONLY | os.O_TRUNC), "w") as file:
        file.write(f"{hashed}\n")
    os.replace(f"{FILE}.new", FILE)


class Tries:
    """How often a password was tried, by address. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._tries: deque[tuple[float, str]] = deque()

    def add(self, address: str) -> bool:
        """Count one more try; return whether it is allowed. One that is not counts for nothing."""
        now = self._clock()
        while self._tries and self._tries[0][0] <= now - _SECONDS:
            self._tries.popleft()
        own = sum(each == address for _, each in self._tries)
        if own >= _TRIES or len(self._tries) >= _TRIES_OF_ALL:
            return False
        self._tries.append((now, address))
        return True

    def forget(self, address: str) -> None:
        """Forget the tries of an address, which has found the password."""
        self._tries = deque(one for one in self._tries if one[1] != address)
