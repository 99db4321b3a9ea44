"""What carries a link, on this system and on others: each as a change of what the code finds here.

Linux has all that a link can use. What macOS and Windows lack is taken away, so that the laws are
tested without it too. `fixtures.py` has the fixture `transport`, which `pair` uses.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from liteyuki_core.comm.wire import link, reader, slots
from tests.loops import LOOPS

Change = Callable[[pytest.MonkeyPatch], None]

HERE = "as here"


def as_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take nothing away."""


def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share no memory: pieces of long messages go through the connection."""
    monkeypatch.setattr(slots, "shared", lambda: None)


def no_dontwait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have neither MSG_DONTWAIT nor memory, as on macOS: connections are non-blocking."""
    no_memory(monkeypatch)
    monkeypatch.setattr(link, "_DONTWAIT", 0)


def no_sendmsg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write one buffer at a time."""
    monkeypatch.setattr(link, "_SENDMSG", False)


def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the reader's thread wait in `recv`, and no other thread read."""
    for module in (link, reader):
        monkeypatch.setattr(module, "arrivals_of", lambda connection: None)


def uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run uvloop's loops, which make what they watch non-blocking."""
    for module in (asyncio, asyncio.events):
        monkeypatch.setattr(module, "new_event_loop", LOOPS["uvloop"])


def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what Windows has: a TCP connection, none of the above, loops that can't watch it."""
    no_dontwait(monkeypatch)
    no_sendmsg(monkeypatch)
    no_poll(monkeypatch)
    monkeypatch.setattr(socket, "socketpair", _tcp_pair)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_reader", _watches_nothing)


TRANSPORTS: dict[str, Change] = {
    HERE: as_here,
    "no memory": no_memory,
    "no dontwait": no_dontwait,
    "no sendmsg": no_sendmsg,
    "no poll": no_poll,
    "uvloop": uvloop,
    "windows": windows,
}

MOST_OF_ALL = (HERE, "no memory", "uvloop", "windows")
"""Those of every run. The others lack one thing each that "windows" lacks too."""

NATS = "nats"
"""Two nodes of a cluster in place of a main process and its child, over a NATS server."""

OVER_NATS = re.compile(r"tests\.laws\.test_(c0[1-8]|c11|c12|q01|r0[1-4]|s0[1-9]|s10)_\w+")
"""The laws that hold between nodes."""

NEEDS = {"uvloop": pytest.mark.skipif("uvloop" not in LOOPS, reason="uvloop is missing")}
"""What has to be installed."""


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return a pair of connected sockets as Windows makes one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


def _watches_nothing(*_: Any) -> None:
    raise NotImplementedError
