"""A long frame as several frames: an opening, then pieces. Also the frame that gives slots back.

Pure: no sockets, no threads, no locks. A frame whose body is longer than `CHUNK` goes out in
pieces. First comes the opening, a frame of the same kind with the flag IN_PIECES. Its body has the
length of each segment of the real body, a u32 each. The top bit of a length says that the segment
may be changed: it becomes a `bytearray`. Then come the pieces in order. No piece has bytes of two
segments. A piece is one of these:

- PART: the body is the piece.
- SLOT: the piece lies in memory that both processes of the link share. The body is the number of
  its slot u32 and its length u32. When the piece is taken out, a FREE frame (slot numbers, a u32
  each) gives the slot back.

`decoder.py` puts the pieces together again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .frames import (
    FREE,
    HEADER,
    IN_PIECES,
    MAGIC,
    PART,
    SLOT,
    TOP,
    Buffer,
    table,
)

PIECE = 64 * 1024
"""Longest piece that goes through the connection, in bytes."""

AT_ONCE = 8
"""Most long frames of one link that may be under way at the same time, each on its own stream. One
more may be under way on stream 0."""

IN_SLOT = struct.Struct("<II")
"""The number of the slot that a piece lies in, and the length of the piece."""


class Piece:
    """A piece of a long frame that is to be sent."""

    __slots__ = ("channel", "content")

    def __init__(self, channel: int, content: memoryview) -> None:
        self.channel = channel
        self.content = content

    def parts(self) -> Iterator[tuple[Buffer, ...]]:
        """Yield the frames that carry the piece through the connection."""
        for at in range(0, len(self.content), PIECE):
            part = self.content[at : at + PIECE]
            yield HEADER.pack(MAGIC, PART, 0, self.channel, len(part)), part

    def slot(self, number: int) -> tuple[Buffer, ...]:
        """Return the frame that says that the piece lies in slot `number`."""
        head = HEADER.pack(MAGIC, SLOT, 0, self.channel, IN_SLOT.size)
        return (head + IN_SLOT.pack(number, len(self.content)),)


def opening(buffers: tuple[Buffer, ...]) -> tuple[Buffer, ...]:
    """Return the frame that announces the pieces of a long frame."""
    _, kind, flags, channel, _ = HEADER.unpack_from(buffers[0])
    lengths = table([len(s) | (TOP if type(s.obj) is bytearray else 0) for s in _segments(buffers)])
    return (HEADER.pack(MAGIC, kind, flags | IN_PIECES, channel, len(lengths)) + lengths,)


def pieces(buffers: tuple[Buffer, ...], size: int) -> Iterator[Piece]:
    """Yield the pieces of a long frame, none longer than `size`."""
    _, _, _, channel, _ = HEADER.unpack_from(buffers[0])
    for segment in _segments(buffers):
        for at in range(0, len(segment), size):
            yield Piece(channel, segment[at : at + size])


def _segments(buffers: tuple[Buffer, ...]) -> list[memoryview]:
    segments = [memoryview(buffer) for buffer in buffers]
    segments[0] = segments[0][HEADER.size :]
    return [segment for segment in segments if segment]


def freed(slots: list[int]) -> tuple[Buffer, ...]:
    """Return the FREE frame for `slots`."""
    body = table(slots)
    return (HEADER.pack(MAGIC, FREE, 0, 0, len(body)) + body,)
