"""A client of the control socket of this directory's bot, with the standard library alone.

Ownership. A `Client` opens a connection for each call and closes it. Any thread may call it. A call
waits for its answer.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from ..errors import LiteyukiError
from . import address

SECONDS = 15.0
"""How long an answer may take, beside what is waited for."""


class NoBot(LiteyukiError):
    """No bot runs in this directory, or it has no control socket."""


class ControlError(LiteyukiError):
    """The bot has refused. `kind` is the name of the error, `status` the HTTP status."""

    def __init__(self, message: str, kind: str = "", status: int = 0) -> None:
        super().__init__(message, kind, status)
        self.kind = kind
        self.status = status


class Sent(NamedTuple):
    """One event of a stream: its kind, its number for `Last-Event-ID`, and its JSON."""

    kind: str
    id: str
    data: Any


class _Connection(http.client.HTTPConnection):
    def __init__(self, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.token: str | None = None
        self.link: socket.socket
        """Its socket. `sock` is None as soon as the head of the only answer has come."""

    def connect(self) -> None:
        assert isinstance(self.timeout, float)
        self.link, self.token = address.connect(self.timeout)
        self.sock = self.link


class Client:
    """Asks the bot that runs in this directory, or by it another node of its cluster, `node`."""

    def __init__(self, node: str | None = None) -> None:
        self._query = {} if node is None else {"node": node}

    def ask(
        self,
        verb: str,
        path: str,
        *,
        query: Any = None,
        body: dict[str, Any] | None = None,
        timeout: float = 0.0,
    ) -> Any:
        """Return the answer to one call of the API, as JSON has it.

        It waits `timeout` seconds longer than for any other answer. Raises `NoBot` and
        `ControlError`.
        """
        connection = _Connection(timeout + SECONDS)
        try:
            query = {**self._query, **(query or {})}
            response = _request(connection, verb, path, query, body, {})
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error) from error
        finally:
            connection.close()
        return json.loads(content)

    def text(self, path: str, *, query: Any = None) -> str:
        """Return an answer that is no JSON."""
        connection = _Connection(SECONDS)
        try:
            return _request(connection, "GET", path, query, None, {}).read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error) from error
        finally:
            connection.close()

    def follow(self, path: str, *, query: Any = None, last: str | None = None) -> Following:
        """Return what comes on a stream from now on, until the bot ends.

        Whoever iterates waits for each event. Raises `NoBot` and `ControlError`, and the iteration
        `ControlError`.
        """
        connection = _Connection(SECONDS)
        try:
            headers = {} if last is None else {"Last-Event-ID": last}
            response = _request(connection, "GET", path, query, None, headers)
            connection.link.settimeout(None)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError | http.client.HTTPException):
                raise _lost(error) from error
            raise
        return Following(connection, response)


class Following(Iterator[Sent]):
    """What comes on a stream. One thread iterates, any may close it, which ends the iteration."""

    def __init__(self, connection: _Connection, response: http.client.HTTPResponse) -> None:
        self._link = connection.link
        self._opened = connection, response
        self._events = _events(connection, response)

    def __next__(self) -> Sent:
        """Wait for the next event. Raises `ControlError`."""
        return next(self._events)

    def close(self) -> None:
        """End it. Does not wait. Idempotent."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        with suppress(ValueError):  # Another thread iterates, and closes it now.
            self._events.close()
            for each in self._opened[::-1]:  # Nobody has iterated, so nobody has closed it.
                each.close()


def _events(
    connection: _Connection, response: http.client.HTTPResponse
) -> Generator[Sent, None, None]:
    fields: dict[str, str] = {}
    try:
        for line in response:
            key, _, value = line.decode("utf-8").rstrip("\n").partition(": ")
            if key:
                fields[key] = value
            elif "data" in fields:
                yield Sent(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
                fields = {}
    except http.client.IncompleteRead:
        return
    except (OSError, http.client.HTTPException) as error:
        raise _lost(error) from error
    finally:
        response.close()
        connection.close()


def _request(
    connection: _Connection,
    verb: str,
    path: str,
    query: Any,
    body: dict[str, Any] | None,
    headers: dict[str, str],
) -> http.client.HTTPResponse:
    """Send a request and return its answer. Raises `NoBot`, `ControlError` and `OSError`."""
    try:
        connection.connect()
    except TimeoutError:
        raise
    except OSError as error:
        raise NoBot("no bot runs in this directory") from error
    if connection.token is not None:
        headers["Authorization"] = f"Bearer {connection.token}"
    content = None
    if body is not None:
        content = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    path = quote(path) + ("?" + urlencode(query, doseq=True) if query else "")
    with suppress(BrokenPipeError, ConnectionResetError):  # It answers a body that is too long
        connection.request(verb, path, content, headers)  # before it has all of it.
    response = connection.getresponse()
    if response.status != 200:
        raise _problem(response)
    return response


def _problem(response: http.client.HTTPResponse) -> ControlError:
    text = response.read().decode("utf-8", "replace")
    try:
        found = json.loads(text)
        return ControlError(str(found["message"]), str(found["error"]), response.status)
    except (ValueError, TypeError, KeyError):
        return ControlError(f"{response.status} {response.reason}", "HTTPError", response.status)


def _lost(error: Exception) -> ControlError:
    if isinstance(error, TimeoutError):
        return ControlError(f"the bot does not answer: {error}", "Timeout")
    return ControlError(f"the bot has gone away meanwhile: {error!r}", "Gone")
