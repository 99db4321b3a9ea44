"""What the tests share that ask a server for all kinds of things, and for nonsense."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, seed, settings
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks

T = TypeVar("T", bound=Callable[..., Any])

load_all_checks()
CHECK = [
    CHECKS.get_one(name)
    for name in (
        *("status_code_conformance", "content_type_conformance"),
        *("response_schema_conformance",),
    )
]
"""What must hold for each answer."""


def request_of(case: Case, address: str) -> dict[str, Any]:
    """Return what httpx is given for a case."""
    found: dict[str, Any] = case.as_transport_kwargs(address)
    found.pop("cookies")
    content = found.pop("data", None)
    if isinstance(content, bytes):
        found["content"] = content
    elif content is not None:
        found["data"] = content
    return found


def examples(most: int) -> Callable[[T], T]:
    """Return what has a property tried with so many examples, each time with the same ones."""

    def decorated(test: T) -> T:
        chosen = settings(
            max_examples=most,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        found: T = seed(1)(chosen(test))
        return found

    return decorated


def assert_refused(connection: socket.socket, data: bytes) -> None:
    """Send what is no request. The answer is an error, or the end."""
    try:
        connection.sendall(data)
        answer = connection.recv(100)
    except ConnectionError:
        answer = b""
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), answer
