"""What hostile acts are made of: how they are registered, frames of any bytes, the bare link.

An act runs in the hostile child. `frames`, `channels`, `store` and `words` register some each.
"""

from __future__ import annotations

import json
import os
import select
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from liteyuki_core.comm.current import current
from liteyuki_core.comm.link_port import LinkPort
from liteyuki_core.comm.store import packed, value
from liteyuki_core.comm.store.question import OfKey
from liteyuki_core.comm.store.value import Value
from liteyuki_core.comm.wire import frames
from liteyuki_core.comm.wire.batch import pack_text
from liteyuki_core.comm.wire.frames import Buffer
from liteyuki_core.comm.wire.link import Link
from tests.children import acting

N = 1000
"""Numbers of channels from here on have not been used by honest code."""
REQUEST = 1 << 30
"""Numbers of requests from here on, too: an answer to what is forged answers nothing honest."""

F = TypeVar("F", bound=Callable[[], object])


class Act(NamedTuple):
    """What the child does, and what is to come of it."""

    do: Callable[[], object]
    why: str | None
    """What the line says that ends the link, None where nothing happens, "stuck" where the child
    itself is stuck with it, "" where it dies of it."""
    aside: Callable[[], Awaitable[None]] | None
    """Runs in main meanwhile."""


ACTS: dict[str, Act] = {}


def act(
    why: str | None, aside: Callable[[], Awaitable[None]] | None = None, *, name: str = ""
) -> Callable[[F], F]:
    """Register an act under its name, or the function's."""

    def add(function: F) -> F:
        ACTS[name or function.__name__] = Act(function, why, aside)
        return function

    return add


def link() -> Link:
    """Return this process's link."""
    port = current().port
    assert isinstance(port, LinkPort)
    return port._link


def die() -> None:
    """End this process as nothing can prevent."""
    acting.kill(os.getpid())


def deaf() -> None:
    """Read the link no more: the thread that does waits for this lock, for ever."""
    current().lock.acquire()


def out(*parts: bytes | Iterable[Buffer]) -> None:
    data = b"".join(part if isinstance(part, bytes) else b"".join(part) for part in parts)
    connection = link()._connection
    view = memoryview(data)
    while view:
        try:
            view = view[connection.send(view[:65536]) :]
        except BlockingIOError:
            select.select([], [connection], [])


def header(kind: int, flags: int, channel: int, length: int, magic: int = frames.MAGIC) -> bytes:
    return frames.HEADER.pack(magic, kind, flags, channel, length)


def frame(kind: int, flags: int, channel: int, body: bytes) -> bytes:
    return header(kind, flags, channel, len(body)) + body


def word(number: int = 0, **fields: Any) -> bytes:
    return frame(frames.CONTROL, 0, number, json.dumps(fields, separators=(",", ":")).encode())


def text(number: int, content: str, count: int = 1, flags: int = 0) -> bytes:
    return b"".join(pack_text(0, [content] * count).having(0, flags).frame(number))


def opened(number: int, key: str | None = None, capacity: object = 8) -> bytes:
    return word(number, op="open", key=key, capacity=capacity)


def both_ends() -> bytes:
    """Return what opens both ends of a channel: what `N` sends comes to `N` + 1."""
    key = f"{link_prefix()}{N}"
    ready = [word(number, op="receives", window=8, asks=False) for number in (N, N + 1)]
    return b"".join((opened(N), opened(N + 1, key), *ready))


def link_prefix() -> str:
    """Return what the keys of channels begin with that are made here."""
    return current().port.prefix


def ask(op: str, values: Iterable[bytes] = (), request: int = REQUEST, **args: Any) -> bytes:
    some = [Value("b", value) for value in values]
    return b"".join(
        b"".join(part) for part in value.store({"op": op, "args": args, "request": request}, some)
    )


def ask_of_key(asked: OfKey, request: int = REQUEST) -> bytes:
    return b"".join(packed.question(request, asked))


def in_pieces(number: int, size: int, flags: int = frames.LONG) -> bytes:
    head = frame(frames.DATA, flags | frames.IN_PIECES, number, frames.table([12, size]))
    return head + frame(frames.PART, 0, number, struct.pack("<QI", 0, 1))
