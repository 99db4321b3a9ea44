"""The wire format: frames to bytes and back. What is in them has rooms of its own.

Pure: no sockets, no threads, no locks. A frame is a 12-byte header and a body:

    magic u16 | kind u8 | flags u8 | channel u32 | length u32 | body

Kinds: DATA (a batch of messages of one channel, see `batch.py`), ACK (ranges of messages whose
handling ended), CONTROL (a word, see `words.py`; everything rare), STORE (what is asked of the
store, and what it answers and tells, see `value.py` there). What is longer than `CHUNK` goes out in
pieces, see `pieces.py`, with the kinds PART, SLOT and FREE.

An ACK with the BEGUN flag names messages whose handling begins instead.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import NamedTuple

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

U32 = struct.Struct("<I")

to_json = json.JSONEncoder(separators=(",", ":")).encode
from_json = json.JSONDecoder().decode


class Frame(NamedTuple):
    """One whole frame as it came from the wire."""

    kind: int
    flags: int
    channel: int
    body: bytes
    segments: tuple[Buffer, ...] = ()
    """What follows the body of a LONG frame: `bytes`, and `bytearray` for what may be changed."""


def table(numbers: Sequence[int]) -> bytes:
    """Return numbers as u32."""
    entries = array("I", numbers)
    if sys.byteorder == "big":
        entries.byteswap()
    return entries.tobytes()


def numbers_of(body: Buffer) -> list[int]:
    """Return the numbers of such a table."""
    entries = array("I")
    entries.frombytes(body)
    if sys.byteorder == "big":
        entries.byteswap()
    return entries.tolist()


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
