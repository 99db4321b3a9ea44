"""A stream of bytes back to frames. It also puts long frames together from their pieces.

Pure: no sockets, no threads, no locks. `pieces.py` says how a frame comes in pieces.

Frames of one channel keep their order, except for ACK frames, which carry no messages. So frames
that come behind a piece in a slot wait in the channel's *lane* until the reader has taken that
piece out of its slot. The reader does that when it has time. Frames of other channels do not wait
for it.

Invariants.
- A lane begins with a piece in a slot.
- The memory of a segment is allocated when its first piece arrives. The segments of one frame are
  never larger than the limit together.
- A slot that was filled is not filled again before its piece is taken out.
- The sender has at most `AT_ONCE` long frames under way, and one on stream 0. The decoder has room
  for these and for one more for each slot.
"""

from __future__ import annotations

from collections import deque
from io import BytesIO

from ...errors import FrameError
from .bundle import separate
from .frames import (
    ACK,
    CHUNK,
    CONTROL,
    FLAGS,
    FREE,
    HEADER,
    IN_PIECES,
    LENGTH,
    LONG,
    MAGIC,
    MANY,
    PART,
    SLOT,
    TOP,
    Buffer,
    Frame,
    numbers_of,
)
from .pieces import AT_ONCE, IN_SLOT

_MOST_HELD = 20_000
"""Most frames that may wait in lanes. Then the reader takes pieces out and reads nothing more."""

_SLACK = 8 * CHUNK
"""Bytes that a frame may have above the limit of one message. A batch of short messages may have
more bytes than one message may have; it is smaller than this."""


class _LongFrame:
    """A frame whose pieces are coming."""

    def __init__(self, head: Frame, limit: int) -> None:
        self._head = head
        body = head.body
        self._lengths = numbers_of(body) if body and not len(body) % 4 else [0]
        sizes = [length & LENGTH for length in self._lengths]
        if not all(sizes):
            raise FrameError(f"a long frame on channel {head.channel} has an empty segment")
        if sum(sizes) > limit:
            raise FrameError(
                f"a frame of {sum(sizes)} bytes on channel {head.channel}; {limit} are allowed"
            )
        self._segments: list[Buffer] = []
        self._whole: BytesIO | bytearray | None = None
        self._view = memoryview(b"")
        self._filled = 0

    def place(self, size: int) -> memoryview:
        """Return where the next `size` bytes go; release it before calling `placed`."""
        if self._whole is None:
            length = self._lengths[len(self._segments)]
            if length & TOP:
                self._whole = bytearray(length & LENGTH)
                self._view = memoryview(self._whole)
            else:
                # It is filled in place. CPython's `getvalue` returns this memory without a copy.
                self._whole = BytesIO(bytes(length))
                self._view = self._whole.getbuffer()
            self._filled = 0
        stop = self._filled + size
        if not size or stop > len(self._view):
            raise FrameError(f"a piece of {size} bytes fits no segment")
        return self._view[self._filled : stop]

    def placed(self, size: int) -> Frame | None:
        """Note that `size` bytes are in their place; return the frame if it is whole now."""
        self._filled += size
        if self._filled < len(self._view):
            return None
        self._view.release()
        whole, self._whole = self._whole, None
        self._segments.append(whole.getvalue() if isinstance(whole, BytesIO) else whole or b"")
        if len(self._segments) < len(self._lengths):
            return None
        kind, flags, channel, *_ = self._head
        if flags & LONG:
            return Frame(kind, flags, channel, bytes(self._segments[0]), tuple(self._segments[1:]))
        return Frame(kind, flags, channel, b"".join(self._segments))

    def close(self) -> None:
        """Release the memory: it would be an error to leave the view to the garbage collector."""
        self._view.release()


class Decoder:
    """Turns a stream of bytes into frames.

    Read into `buffer()`, then tell `decode` how many bytes came. While there are `lanes`, ask
    `place()` for the next slot and where its piece goes; copy the piece, then call `taken`. `freed`
    has the slots that the other process has given back; the reader of that list empties it. After a
    `FrameError` nothing more can be decoded. If whole frames came before the wrong bytes, they are
    returned, and the error is in `wrong`.
    """

    def __init__(self, max_message_bytes: int, slots: int = 0) -> None:
        self._limit = max_message_bytes + _SLACK
        self._slots = slots
        self._most = AT_ONCE + 1 + slots
        """Most long frames at once. The last pieces of some of them may still be in slots."""
        self._full: set[int] = set()
        self._held = 0
        self._buffer = bytearray(4 * CHUNK)
        self._bytes = memoryview(self._buffer)
        self._end = 0
        self._long: dict[int, _LongFrame] = {}
        self.lanes: dict[int, deque[Frame]] = {}
        self.freed: list[int] = []
        self.wrong: FrameError | None = None

    @property
    def is_behind(self) -> bool:
        """Whether so many frames wait in lanes that pieces must be taken out before reading on."""
        return self._held >= _MOST_HELD

    def buffer(self) -> memoryview:
        """Return where the next bytes go. It is never empty."""
        return self._bytes[self._end :]

    def decode(self, size: int) -> list[Frame]:
        """Return the frames that the last `size` bytes completed. Raises `FrameError`."""
        out: list[Frame] = []
        try:
            self._decode(self._end + size, out)
        except FrameError as error:
            if not out:
                raise
            self.wrong = error
        return out

    def _decode(self, end: int, out: list[Frame]) -> None:
        view = self._bytes
        lanes = self.lanes
        at = 0
        while end - at >= HEADER.size:
            magic, kind, flags, channel, length = HEADER.unpack_from(view, at)
            allowed = FLAGS.get(kind)
            if magic != MAGIC or allowed is None or flags & ~allowed or length > CHUNK:
                raise FrameError(f"bytes {bytes(view[at : at + HEADER.size]).hex()} are no frame")
            stop = at + HEADER.size + length
            if stop > end:
                break
            piece = view[at + HEADER.size : stop]
            at = stop
            if (kind <= CONTROL or kind == MANY) and not flags & IN_PIECES and not lanes:
                out.append(Frame(kind, flags, channel, bytes(piece)))
            elif kind == PART and channel not in lanes:
                self._place(channel, piece, out)
            else:
                self._sort(Frame(kind, flags, channel, bytes(piece)), out)
        if 0 < at < end:
            view[: end - at] = view[at:end]
        self._end = end - at

    def place(self) -> tuple[int, memoryview]:
        """Return the number of the slot of the next piece, and the place for the piece.

        Release the place before calling `taken`. Raises `FrameError`.
        """
        channel, lane = next(iter(self.lanes.items()))
        number, size = IN_SLOT.unpack(lane[0].body)
        return number, self._long_frame(channel).place(size)

    def taken(self) -> list[Frame]:
        """Note that the piece is in its place; return the frames that need not wait any more.

        Raises `FrameError`.
        """
        out: list[Frame] = []
        channel, lane = next(iter(self.lanes.items()))
        del self.lanes[channel]
        before = len(lane)
        number, size = IN_SLOT.unpack(lane.popleft().body)
        self._full.discard(number)
        try:
            self._placed(channel, size, out)
            while lane and lane[0].kind != SLOT:
                self._take_in(lane.popleft(), out)
        except FrameError as error:
            if not out:
                raise
            self.wrong = error
        self._held -= before - len(lane)
        if lane:
            self.lanes[channel] = lane  # Behind the other lanes: they are served round robin.
        return out

    def close(self) -> None:
        """Release long frames whose other pieces will not come."""
        for frame in self._long.values():
            frame.close()
        self._long.clear()
        self.wrong = None  # The error refers to stack frames that refer to this decoder.

    def _sort(self, frame: Frame, out: list[Frame]) -> None:
        """Put a frame into its channel's lane if it must wait; else take it in."""
        if frame.kind == FREE:
            self.freed += self._numbers(frame.body)
        elif frame.kind == SLOT:
            if len(frame.body) != IN_SLOT.size:
                raise FrameError(f"a piece's slot of {len(frame.body)} bytes")
            (number,) = self._numbers(frame.body[:4])
            if number in self._full:
                raise FrameError(f"slot {number} was filled twice")
            self._full.add(number)
            self.lanes.setdefault(frame.channel, deque()).append(frame)
            self._held += 1
        elif frame.kind == MANY:
            for each in separate(frame):
                self._sort(each, out)
        elif frame.channel in self.lanes and frame.kind != ACK:
            self.lanes[frame.channel].append(frame)
            self._held += 1
        else:
            self._take_in(frame, out)

    def _numbers(self, body: bytes) -> list[int]:
        numbers = numbers_of(body) if not len(body) % 4 else []
        if not numbers or max(numbers) >= self._slots:
            raise FrameError(f"slots {body[:40].hex()}: there are {self._slots}")
        return numbers

    def _take_in(self, frame: Frame, out: list[Frame]) -> None:
        if frame.kind == PART:
            self._place(frame.channel, memoryview(frame.body), out)
        elif frame.flags & IN_PIECES:
            if frame.channel in self._long:
                raise FrameError(f"two long frames at once on channel {frame.channel}")
            if len(self._long) >= self._most:
                raise FrameError(f"over {self._most} long frames at once")
            head = frame._replace(flags=frame.flags & ~IN_PIECES)
            self._long[frame.channel] = _LongFrame(head, self._limit)
        else:
            out.append(frame)

    def _long_frame(self, channel: int) -> _LongFrame:
        try:
            return self._long[channel]
        except KeyError:
            raise FrameError(f"a piece of no frame on channel {channel}") from None

    def _place(self, channel: int, piece: memoryview, out: list[Frame]) -> None:
        with self._long_frame(channel).place(len(piece)) as place:
            place[:] = piece
        self._placed(channel, len(piece), out)

    def _placed(self, channel: int, size: int, out: list[Frame]) -> None:
        frame = self._long[channel].placed(size)
        if frame is not None:
            del self._long[channel]
            out.append(frame)
