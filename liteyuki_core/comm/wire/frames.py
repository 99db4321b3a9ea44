"""The wire format: frames to bytes and back. What is in them has rooms of its own.

Pure: no sockets, no threads, no locks. A frame is a 12-byte header and a body:

    magic u16 | kind u8 | flags u8 | channel u32 | length u32 | body

Kinds: DATA (a batch of messages of one channel, see `batch.py`), ACK (ranges of messages whose
handling ended), CONTROL (a JSON object; everything rare), STORE (what is asked of the store, and
what it answers and tells). What is longer than `CHUNK` goes out in pieces, see `decoder.py`, with
the kinds PART, SLOT and FREE.

An ACK with the BEGUN flag names messages whose handling begins instead.

STORE body: length of a JSON object u32, the object, values as they are serialised. Its `kinds` has
a character and its `sizes` a length for each. One with `part` only brings values for the next.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...errors import FrameError

MAGIC = 0x594C
DATA, ACK, CONTROL, PART, SLOT, FREE, STORE = 1, 2, 3, 4, 5, 6, 7
TEXT, IN_PIECES, REDELIVERED, PROMPT, LONG, LINKED, SPLIT = 1, 2, 4, 8, 16, 32, 64
BEGUN = 1
FLAGS = {
    DATA: TEXT | IN_PIECES | REDELIVERED | PROMPT | LONG | LINKED | SPLIT,
    ACK: BEGUN,
    CONTROL: IN_PIECES,
    PART: 0,
    SLOT: 0,
    FREE: 0,
    STORE: IN_PIECES,
}
"""The flags that a frame of each kind may have."""

HEADER = struct.Struct("<HBBII")
_WORD = struct.Struct("<I")
_RANGE = struct.Struct("<QI")
TOP = 1 << 31
LENGTH = TOP - 1

CHUNK = 256 * 1024
"""Longest body of a single frame in bytes; what is longer goes out in pieces. A message that
long travels alone, in segments that are not copied until they are where they are used."""

LONGEST_TEXT = 16 * 1024
"""Longer strings are sent like any other object, so that a TEXT batch stays small."""

STORE_STREAM = (1 << 32) - 1
"""The number in place of a channel's for all STORE frames."""

MAX_CAPACITY = 10_000_000
"""Upper bound of a channel's capacity."""

FIELD_BYTES = 1 << 20
"""Most that a child's control frame, the head of its store frame or a message's table of channels
may have: to look at one is never to take long."""

MAX_MESSAGE_BYTES = 1 << 30
"""Upper bound of the `max_message_bytes` setting: lengths have 31 bits."""


Buffer = bytes | bytearray | memoryview

_to_json = json.JSONEncoder(separators=(",", ":")).encode
_from_json = json.JSONDecoder().decode


class Frame(NamedTuple):
    """One whole frame as it came from the wire."""

    kind: int
    flags: int
    channel: int
    body: bytes
    segments: tuple[Buffer, ...] = ()
    """What follows the body of a LONG frame: `bytes`, and `bytearray` for what may be changed."""


def table(words: Sequence[int]) -> bytes:
    """Return numbers as u32."""
    numbers = array("I", words)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def words_of(body: Buffer) -> list[int]:
    """Return the numbers of such a table."""
    numbers = array("I")
    numbers.frombytes(body)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def acknowledgement(
    channel: int, ranges: list[tuple[int, int]], flags: int = 0
) -> tuple[Buffer, ...]:
    """Return the ACK frame for `(first, count)` ranges of `channel`; with BEGUN, their begin."""
    body = b"".join([_RANGE.pack(first, count) for first, count in ranges])
    return (HEADER.pack(MAGIC, ACK, flags, channel, len(body)) + body,)


def acknowledged(frame: Frame) -> list[tuple[int, int]]:
    """Return the ranges of an ACK frame. Raises `FrameError`."""
    if len(frame.body) % _RANGE.size:
        raise FrameError(f"acknowledgement of {len(frame.body)} bytes")
    return list(_RANGE.iter_unpack(frame.body))


def control(channel: int, **fields: Any) -> tuple[Buffer, ...]:
    """Return a CONTROL frame; `fields` must be what JSON can carry."""
    body = _to_json(fields).encode()
    return (HEADER.pack(MAGIC, CONTROL, 0, channel, len(body)), body)


def fields(frame: Frame, limit: int | None = None) -> dict[str, Any]:
    """Return the fields of a CONTROL frame. Raises `FrameError`, also for over `limit` bytes."""
    if limit is not None and len(frame.body) > limit:
        raise FrameError(f"a control frame of {len(frame.body)} bytes; {limit} are allowed")
    try:
        value = _from_json(str(frame.body, "ascii"))
    except (ValueError, RecursionError) as error:
        raise FrameError("control frame is not JSON") from error
    if not isinstance(value, dict) or not isinstance(value.get("op"), str):
        raise FrameError("control frame has no op")
    return value


class Value(NamedTuple):
    """A serialised value of the store: what it is, in a character, and its bytes."""

    kind: str
    data: bytes


def store(fields: dict[str, Any], values: Sequence[Value]) -> list[tuple[Buffer, ...]]:
    """Return the STORE frames for `fields`, which JSON can carry, and values.

    No frame has more than one value where that makes it long: it could be over the limit.
    """
    out = []
    some: list[Value] = []
    size = 0
    for value in values:
        if some and size + len(value.data) > CHUNK:
            out.append(_store_frame({"part": True}, some))
            some, size = [], 0
        some.append(value)
        size += len(value.data)
    out.append(_store_frame(fields, some))
    return out


def _store_frame(fields: dict[str, Any], values: list[Value]) -> tuple[Buffer, ...]:
    kinds, sizes = "".join(value.kind for value in values), [len(value.data) for value in values]
    head = _to_json({**fields, "kinds": kinds, "sizes": sizes}).encode()
    length = _WORD.size + len(head) + sum(sizes)
    start = HEADER.pack(MAGIC, STORE, 0, STORE_STREAM, length) + _WORD.pack(len(head)) + head
    return (start, *[value.data for value in values])


def stored(frame: Frame, limit: int | None = None) -> tuple[dict[str, Any], list[Value]]:
    """Return the fields and values of a STORE frame. Raises `FrameError`.

    Also for fields of over `limit` bytes.
    """
    body = frame.body
    try:
        (size,) = _WORD.unpack_from(body)
        if limit is not None and size > limit:
            raise ValueError(f"its head is said to have {size} bytes, {limit} are allowed")
        at = _WORD.size + size
        fields = _from_json(str(body[_WORD.size : at], "ascii"))
        kinds, sizes = fields.pop("kinds"), fields.pop("sizes")
        values = []
        for kind, length in zip(kinds, sizes, strict=True):
            if type(length) is not int or length < 0:
                raise ValueError(f"a value of {length!r} bytes")
            values.append(Value(kind, body[at : at + length]))
            at += length
        if at != len(body) or not all(len(v.data) == n for v, n in zip(values, sizes, strict=True)):
            raise ValueError("lengths do not add up")
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FrameError(f"a store frame of {len(body)} bytes is not whole: {error}") from error
    return fields, values
