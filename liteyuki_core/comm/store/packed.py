"""Questions about one key and their answers as structs: nearly all that a store is asked.

JSON would take half of the time of such a question. Pure: no sockets, no threads, no locks. Any
thread may call it. A STORE frame with the flag PACKED has one of these bodies:

- A question: its code u8, the kind of its value u8 (0: no value), `persist` u8 (0: not said, 1:
  no, 2: yes), length of the key u16, request u64, version i64 (-1: any), time to live f64 (0:
  none), the key, the value.
- An answer: its flags u8, the kind of its value u8 (0: no value), request u64, version u64, number
  of the cell u64, deadline f64, the value.

Invariant: nothing that a child sends is believed. A body that no question of ours would have is a
`FrameError`, also if the odd part would not be used.
"""

from __future__ import annotations

from math import inf
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from ...errors import FrameError
from ..wire.frames import HEADER, MAGIC, PACKED, STORE, STORE_STREAM, Buffer
from ..wire.words import MOST_REQUESTS
from .question import Delete, Get, Incr, OfKey, Set
from .value import KEY_BYTES, KINDS, Value

_QUESTION = Struct("<BBBHQqd")
_ANSWER = Struct("<BBQQQd")

_GET, _SET, _DELETE, _INCR, _GET_COPY = 1, 2, 3, 4, 5
_PERSIST = (None, False, True)
_KINDS = {ord(kind): kind for kind in KINDS}

_DONE, _CELL, _DEADLINE = 1, 2, 4


class Found(NamedTuple):
    """The answer to a question about one key: what was done, and how the key is now."""

    done: bool
    """Whether the key was set or existed."""
    value: Value | None
    version: int
    """The version of the key; 0 if it does not exist."""
    cell: int | None
    """What the key's version cell is; None if there are no cells."""
    deadline: float | None
    """When the key expires, by `time.monotonic`; None: never."""


def question(request: int, asked: OfKey) -> tuple[Buffer, ...]:
    """Return the frame that asks this."""
    value = ttl = persist = version = None
    if type(asked) is Set:
        code = _SET
        value, key, ttl, persist, version = asked
    elif type(asked) is Incr:
        code = _INCR
        value, key, persist = asked
    else:
        code = _DELETE
        if type(asked) is Get:
            code = _GET_COPY if asked.stale_ok else _GET
        key = asked.key
    name = key.encode("utf-8", "surrogatepass")
    head = _QUESTION.pack(
        code,
        0 if value is None else ord(value.kind),
        0 if persist is None else 1 + persist,
        len(name),
        request,
        -1 if version is None else version,
        ttl or 0.0,
    )
    return _frame(head + name, value)


def asked(body: bytes) -> tuple[int, OfKey]:
    """Return the request and the question of such a frame. Raises `FrameError`."""
    try:
        code, kind, persist, length, request, version, ttl = _QUESTION.unpack_from(body)
        at = _QUESTION.size + length
        key = str(body[_QUESTION.size : at], "utf-8", "surrogatepass")
    except (StructError, ValueError) as error:
        raise FrameError(f"the store is asked with {body[:60].hex()}: {error}") from error
    if 0 < length <= KEY_BYTES and at <= len(body) and request < MOST_REQUESTS:
        if kind in _KINDS:
            value = Value(_KINDS[kind], body[at:])
            if code == _SET and persist <= 2 and version >= -1 and (not ttl or 0 < ttl < inf):
                since = None if version < 0 else version
                return request, Set(value, key, ttl or None, _PERSIST[persist], since)
            if code == _INCR and persist <= 2 and version == -1 and not ttl:
                return request, Incr(value, key, _PERSIST[persist])
        elif not kind and at == len(body) and not persist and version == -1 and not ttl:
            if code == _GET:
                return request, Get(key)
            if code == _GET_COPY:
                return request, Get(key, True)
            if code == _DELETE:
                return request, Delete(key)
    raise FrameError(f"the store can't be asked {body[:60].hex()}")


def answer(request: int, found: Found) -> tuple[Buffer, ...]:
    """Return the frame with the answer to a request."""
    done, value, version, cell, deadline = found
    head = _ANSWER.pack(
        (_DONE if done else 0)
        | (0 if cell is None else _CELL)
        | (0 if deadline is None else _DEADLINE),
        0 if value is None else ord(value.kind),
        request,
        version,
        cell or 0,
        deadline or 0.0,
    )
    return _frame(head, value)


def answered(body: bytes) -> tuple[int, Found]:
    """Return the request and the answer of such a frame. Raises `FrameError`."""
    try:
        flags, kind, request, version, cell, deadline = _ANSWER.unpack_from(body)
        value = Value(_KINDS[kind], body[_ANSWER.size :]) if kind else None
    except (StructError, KeyError) as error:
        raise FrameError(f"the store answers with {body[:60].hex()}: {error!r}") from error
    return request, Found(
        bool(flags & _DONE),
        value,
        version,
        cell if flags & _CELL else None,
        deadline if flags & _DEADLINE else None,
    )


def _frame(body: bytes, value: Value | None) -> tuple[Buffer, ...]:
    if value is None:
        return (HEADER.pack(MAGIC, STORE, PACKED, STORE_STREAM, len(body)) + body,)
    length = len(body) + len(value.data)
    return (HEADER.pack(MAGIC, STORE, PACKED, STORE_STREAM, length) + body, value.data)
