"""The wire format: the frames, and their numbers as bytes. Other files say what is in the bodies.

Pure: no sockets, no threads, no locks. Any thread may call it. A frame is a 12-byte header and a
body:

    magic u16 | kind u8 | flags u8 | channel u32 | length u32 | body

Kinds:

- DATA: a batch of messages of one channel, see `batch.py`.
- ACK: ranges of messages that were handled. With the BEGUN flag: messages whose handling begins.
  With the OF_REQUESTS flag: the messages are requests, which are numbered for themselves.
  With the WIDE flag: ranges of many channels, see `bundle.py`.
- MANY: small batches of many channels, see `bundle.py`.
- CONTROL: a word, see `words.py`. All rare things are words.
- STORE: a question to the store, its answer, or what the store tells, see `../store/value.py`.
  With the PACKED flag: a question about one key, or its answer, see `../store/packed.py`.
- PART, SLOT, FREE: for frames that are longer than `CHUNK` and go out in pieces, see `pieces.py`.
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
DATA, ACK, CONTROL, PART, SLOT, FREE, STORE, MANY = 1, 2, 3, 4, 5, 6, 7, 8
TEXT, IN_PIECES, REDELIVERED, PROMPT, LONG, LINKED, SPLIT, HEADERS = 1, 2, 4, 8, 16, 32, 64, 128
BEGUN, WIDE, OF_REQUESTS = 1, 4, 8  # Not 2: of any kind, that is IN_PIECES.
PACKED = 1
FLAGS = {
    DATA: TEXT | IN_PIECES | REDELIVERED | PROMPT | LONG | LINKED | SPLIT | HEADERS,
    ACK: BEGUN | WIDE | OF_REQUESTS,
    CONTROL: IN_PIECES,
    PART: 0,
    SLOT: 0,
    FREE: 0,
    STORE: PACKED | IN_PIECES,
    MANY: 0,
}
"""The flags that a frame of each kind may have."""

HEADER = struct.Struct("<HBBII")
_RANGE = struct.Struct("<QI")
TOP = 1 << 31
LENGTH = TOP - 1

CHUNK = 256 * 1024
"""Longest body of a single frame in bytes. A longer frame goes out in pieces. A message that is
longer travels alone. Its segments are copied only where they are used."""

LONGEST_TEXT = 16 * 1024
"""Longest string of a TEXT batch in characters. Longer strings are sent like any other object."""

STORE_STREAM = (1 << 32) - 1
"""The number that all STORE frames have in place of a channel's number."""

MAX_CAPACITY = 10_000_000
"""Upper bound of a channel's capacity."""

FIELD_BYTES = 1 << 20
"""Most bytes of a child's control frame, of the head of its store frame and of a message's table of
channels. So it never takes long to read one."""

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
    """The segments of a LONG frame, behind the body: `bytes`, or `bytearray` if changeable."""


def table(numbers: Sequence[int]) -> bytes:
    """Return numbers as a table of u32."""
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
    """Return the ACK frame for `(first, count)` ranges of `channel`. BEGUN: they begin."""
    body = b"".join([_RANGE.pack(first, count) for first, count in ranges])
    return (HEADER.pack(MAGIC, ACK, flags, channel, len(body)) + body,)


def acknowledged(frame: Frame) -> list[tuple[int, int]]:
    """Return the ranges of an ACK frame. Raises `FrameError`."""
    if len(frame.body) % _RANGE.size:
        raise FrameError(f"acknowledgement of {len(frame.body)} bytes")
    return list(_RANGE.iter_unpack(frame.body))
