"""Small frames of many channels that travel as one: batches in a MANY frame, acknowledgements.

One message on each of many channels would be a frame for each. To make, write and read that frame
costs more than the message. So the outbox puts such batches into one MANY frame, and
acknowledgements of many channels into one ACK frame.

Pure: no sockets, no threads, no locks. Invariant: what a `Bundle` or a `Handled` has is in the
order in which it was added, and comes out of its frame in this order.

Body of a MANY frame: how many batches u32, then a column for each of channel u32, first sequence
number u64, message count u32, length of the content u32 and flags u8, and then the contents. The
flags and the content are those of the batch's DATA frame, see `batch.py`; the content is what
follows the count there.

Body of an ACK frame with the WIDE flag: for each range channel u32, first u64 and count u32.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise

from ...errors import FrameError
from .batch import Batch, unpack
from .frames import (
    ACK,
    DATA,
    HEADER,
    MAGIC,
    MANY,
    PROMPT,
    REDELIVERED,
    SPLIT,
    TEXT,
    U32,
    WIDE,
    Buffer,
    Frame,
    acknowledgement,
    numbers_of,
    table,
)

SMALL_BATCH = 2048
"""Batches with a content of up to so many bytes go into bundles."""

MOST = 1024
"""Most batches of one bundle, and most ranges of one ACK frame of many channels. So it never takes
long to handle what a child sends as one frame."""

MOST_AT_ONCE = 256
"""Most ranges that are added to an ACK frame at once."""

_MOST_BYTES = 60 * 1024
"""A bundle with so many bytes takes no more."""

_COLUMNS = 4 + 8 + 4 + 4 + 1
_SEQUENCE = struct.Struct("<QI")
_RANGE = struct.Struct("<IQI")
_ONE_TEXT = TEXT | SPLIT
_FIT = TEXT | SPLIT | REDELIVERED | PROMPT
"""The flags that a batch in a bundle may have."""


class Bundle:
    """Batches that wait to be written as one frame."""

    __slots__ = ("_size", "batches")

    def __init__(self) -> None:
        self.batches: list[tuple[int, Batch]] = []
        """Each with the number of its channel."""
        self._size = 0

    def add(self, channel: int, batch: Batch, size: int) -> bool:
        """Add a batch with a content of `size` bytes. Return whether more may be added."""
        self.batches.append((channel, batch))
        self._size += size + _COLUMNS
        return self._size < _MOST_BYTES and len(self.batches) < MOST

    def frame(self) -> tuple[Buffer, ...]:
        """Return the frame that carries the batches."""
        if len(self.batches) == 1:
            ((channel, batch),) = self.batches
            return batch.frame(channel)
        batches = [batch for _, batch in self.batches]
        contents = [batch.buffers[0] for batch in batches]
        body = b"".join(
            (
                U32.pack(len(batches)),
                table([channel for channel, _ in self.batches]),
                _long_table([batch.first for batch in batches]),
                table([batch.count for batch in batches]),
                table(list(map(len, contents))),
                bytes([batch.flags for batch in batches]),
                *contents,
            )
        )
        return (HEADER.pack(MAGIC, MANY, 0, 0, len(body)) + body,)


class Handled:
    """Acknowledgements that wait to be written as one frame."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int, int]] = []

    def add(self, channel: int, ranges: Sequence[tuple[int, int]]) -> bool:
        """Add at most `MOST_AT_ONCE` ranges of a channel. Return whether more may be added."""
        own = self._ranges
        for first, count in ranges:
            own.append((channel, first, count))
        return len(own) <= MOST - MOST_AT_ONCE

    def frame(self) -> tuple[Buffer, ...]:
        """Return the frame that carries the ranges."""
        ranges = self._ranges
        channel = ranges[0][0]
        if ranges[-1][0] == channel and all(each[0] == channel for each in ranges):
            return acknowledgement(channel, [(first, count) for _, first, count in ranges])
        body = b"".join([_RANGE.pack(*each) for each in ranges])
        return (HEADER.pack(MAGIC, ACK, WIDE, 0, len(body)) + body,)


def fits(batch: Batch) -> int:
    """Return how many bytes of content a batch has if it may go into a bundle, else 0."""
    buffers = batch.buffers
    if len(buffers) != 1 or batch.flags & ~_FIT or batch.headers is not None:
        return 0
    size = len(buffers[0])
    return size if size <= SMALL_BATCH else 0


def unbundle(frame: Frame, kept: bool = True) -> list[tuple[int, Batch]]:
    """Return the batches of a MANY frame, each with its channel's number. Raises `FrameError`."""
    body = frame.body
    count = U32.unpack_from(body)[0] if len(body) >= U32.size else 0
    start = U32.size + _COLUMNS * count
    if not 0 < count <= MOST or len(body) < start:
        raise FrameError(f"a frame of many channels says {count} batches in {len(body)} bytes")
    at = U32.size
    channels = numbers_of(body[at : at + 4 * count])
    firsts = _long_numbers_of(body[at + 4 * count : at + 12 * count])
    counts = numbers_of(body[at + 12 * count : at + 16 * count])
    lengths = numbers_of(body[at + 16 * count : at + 20 * count])
    flags = body[start - count : start]
    bounds = list(accumulate(lengths, initial=start))
    if bounds[-1] != len(body):
        raise FrameError("the lengths of a frame of many channels do not add up")
    found = []
    for channel, first, messages, flag, (begin, end) in zip(
        channels, firsts, counts, flags, pairwise(bounds), strict=True
    ):
        content = body[begin:end]
        if flag == _ONE_TEXT and messages == 1:
            # What `unpack` does, without a frame for each: most are such ones.
            try:
                text = str(content, "utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise FrameError("text frame is not UTF-8") from error
            found.append((channel, Batch(first, 1, (content,), (), text, flag, kept)))
            continue
        if flag & ~_FIT:
            raise FrameError(f"a batch with flags {flag} in a frame of many channels")
        data = Frame(DATA, flag, channel, _SEQUENCE.pack(first, messages) + content)
        found.append((channel, unpack(data, kept)))
    return found


def separate(frame: Frame) -> list[Frame]:
    """Return the DATA frames that a MANY frame stands for. Raises `FrameError`."""
    return [data_frame(channel, batch) for channel, batch in unbundle(frame)]


def data_frame(channel: int, batch: Batch) -> Frame:
    """Return the DATA frame of a batch that was in a MANY frame."""
    return Frame(DATA, batch.flags, channel, b"".join(batch.frame(channel))[HEADER.size :])


def handled(frame: Frame) -> list[tuple[int, int, int]]:
    """Return channel, first and count of each range of a WIDE frame. Raises `FrameError`."""
    size = len(frame.body)
    if size % _RANGE.size or not 0 < size <= MOST * _RANGE.size:
        raise FrameError(f"acknowledgement of many channels of {size} bytes")
    return list(_RANGE.iter_unpack(frame.body))


def _long_table(numbers: Sequence[int]) -> bytes:
    entries = array("Q", numbers)
    if sys.byteorder == "big":
        entries.byteswap()
    return entries.tobytes()


def _long_numbers_of(body: Buffer) -> list[int]:
    entries = array("Q")
    entries.frombytes(body)
    if sys.byteorder == "big":
        entries.byteswap()
    return entries.tolist()
