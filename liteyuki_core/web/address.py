"""Where the page is: the address it listens at, and the names by which a browser may call it.

A browser sends along what it calls a site (`Host`), and which site a request comes from (`Origin`).
A stranger's site can get a name that leads to this machine, but it can't send another name than
its own. So only names that can't be a stranger's are answered: numbers, `localhost`, and the one
that LITEYUKI_WEB_URL says.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..config import Settings
from ..errors import ConfigError, LiteyukiError

FIRST_PORT = 20300
_PORTS = 20
"""With no port in the settings: the first that is free, of so many."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    if host.lower() == "localhost":
        return True
    found = _number(host)
    return found is not None and found.is_loopback


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def checked_url(url: str | None) -> str | None:
    """Return LITEYUKI_WEB_URL without a slash at its end. Raises `ConfigError`."""
    if url is None:
        return None
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        found, port = urlsplit(""), None
    name = found.hostname or ""
    whole = f"{found.scheme}://{name}" + (f":{port}" if port else "")
    if found.scheme not in ("http", "https") or not name or url.rstrip("/").lower() != whole:
        raise ConfigError(
            f"LITEYUKI_WEB_URL={url}: it is like https://bot.example.org, with nothing behind the "
            "host"
        )
    return whole


class Address:
    """Where the page listens. `sockets` listen; the caller closes them."""

    def __init__(self, settings: Settings) -> None:
        self._url = checked_url(settings.web_url)
        self.socket = _listen(settings.web_host, settings.web_port)
        self.port: int = self.socket.getsockname()[1]
        self.host = settings.web_host
        self.is_loopback = is_loopback(settings.web_host)

    @property
    def here(self) -> str:
        """The page's URL on this machine."""
        host = self.host
        number = _number(host)
        if number is not None:
            if number.is_unspecified:
                number = ipaddress.ip_address("127.0.0.1" if number.version == 4 else "::1")
            host = f"[{number}]" if number.version == 6 else str(number)
        return f"http://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The page's URL as the settings have it, else the one on this machine."""
        return self._url or self.here

    def is_own(self, host: str) -> bool:
        """Return whether the page may be called so, by a `Host` header."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].lower()
        if name == "localhost" or (self._url and host.lower() == urlsplit(self._url).netloc):
            return True
        number = _number(name)
        if number is None:
            return name == self.host.lower()
        return number.is_loopback or not self.is_loopback

    def is_secure(self, host: str) -> bool:
        """Return whether a browser that calls the page so has come by https."""
        url = urlsplit(self._url or "")
        return url.scheme == "https" and url.netloc == host.lower()

    def url_for(self, host: str) -> str:
        """Return the URL for somebody who is to reach the page as the sender of this `Host`."""
        return self._url or f"http://{host}"

    def comes_from_elsewhere(self, headers: Mapping[str, str]) -> bool:
        """Return whether another site's page has sent a request, by its headers."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") in ("cross-site", "same-site")
        return origin.lower() not in (
            f"http://{host}".lower(),
            f"https://{host}".lower(),
            self._url,
        )

    def log_name(self, client: str, headers: Mapping[str, str]) -> str:
        """Return where a request comes from, for the log: with the address that a proxy gives."""
        said = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if self._url and is_loopback(client) and _number(said) is not None:
            return f"{said} (by {client})"
        return client


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises `LiteyukiError`."""
    ports = [port] if port else list(range(FIRST_PORT, FIRST_PORT + _PORTS))
    for each in ports:
        try:
            family, _, _, _, where = socket.getaddrinfo(
                host, each, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return socket.create_server(where[:2], family=family, backlog=64)
        except OSError as error:
            if each == ports[-1]:
                raise LiteyukiError(
                    f"the web page can't listen at {host}, port {each}: {error}; see "
                    "LITEYUKI_WEB_HOST and LITEYUKI_WEB_PORT"
                ) from error
    raise AssertionError
