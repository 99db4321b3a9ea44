"""What waits to be written to a link, and what goes next.

Pure: no connection, no thread, no lock. The `Link` that owns an outbox calls it under its own lock.
The link writes what `take` gives it; it puts pieces into slots and says so by `unpark`.

Stream 0 goes before all others. The others take turns: after `_TURN_BYTES`, or the frame that
exceeds them, the next one goes on. A frame whose body is longer than `CHUNK` is cut into pieces
when its turn comes. A piece that is to go through a slot of shared memory is not taken: its stream
is parked until the piece is in a slot.

Invariants.
- Frames of one stream leave in the order in which they were put. A frame of `put_last` leaves after
  everything that was put before it: a mark in each stream that has something says where.
- A stream that has something is in exactly one of `turns`, `parked` and `_late`; a stream that has
  nothing is in none of them, and not in `_streams`.
- A stream is in `parked` while its next is a piece for a slot.
- At most `AT_ONCE` streams have a long frame in pieces, and stream 0 besides. Where another one's
  next is a long frame, it waits in `_late` until one of those has gone. Stream 0 never does: what
  says that slots are filled goes there, and those that have a long frame in pieces wait for it.
- `asked` and `told` are what the frames cost that were put as `Asked` and as `Told` and not taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from .batch import messages_in
from .frames import CHUNK, HEADER, Buffer
from .pieces import AT_ONCE, Piece, opening, pieces

_TURN_BYTES = 64 * 1024
"""What is taken at once, as far as whole frames (of up to `CHUNK`) allow it."""

_SMALL_PIECE = 16 * 1024
"""Up to here a piece goes through the connection in any case."""

_COST = 256
"""What a frame that waits takes besides its bytes, about."""

Out = list[Buffer]
"""Buffers to write one after another."""


class Asked(tuple[Buffer, ...]):
    """A frame that the other side has asked for: it comes of what that has sent itself."""

    __slots__ = ()


class Told(tuple[Buffer, ...]):
    """A frame that comes of what others do."""

    __slots__ = ()


class _Done:
    """Stands in a stream behind the last piece of a long frame."""


_DONE = _Done()


class _Mark:
    """Stands in the streams that have something, where a frame goes that is to be behind it."""

    __slots__ = ("frame", "streams")

    def __init__(self, frame: tuple[Buffer, ...], streams: int) -> None:
        self.frame = frame
        self.streams = streams
        """In how many streams it stands; the last of them has the frame."""


class Outbox:
    """The frames that wait, by stream.

    Buffers of up to `join_bytes` together are taken as one. Pieces of long frames are cut for slots
    of `slot_bytes`; 0 says that there are none, and all pieces go through the connection.
    """

    def __init__(self, join_bytes: int, slot_bytes: int) -> None:
        self.turns: deque[int] = deque()
        """Streams that can be taken from now, in the order of their turns."""
        self.parked: deque[int] = deque()
        """Streams whose next is a piece for a slot."""
        self.asked = 0
        """How many bytes wait that the other side has asked for."""
        self.told = 0
        """How many bytes wait that come of what others do."""
        self._streams: dict[int, deque[Any]] = {}
        """What waits: frames, `Piece`, `_Mark` and `_DONE`."""
        self._late: deque[int] = deque()
        self._in_parts = 0
        """How many streams have a long frame in pieces."""
        self._join_bytes = join_bytes
        self._slot_bytes = slot_bytes

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, in any stream."""
        return not self._streams

    def put(self, stream: int, frame: tuple[Buffer, ...]) -> None:
        """Have a frame wait for its turn."""
        if type(frame) is not tuple:
            self._count(frame, 1)
        queue = self._streams.get(stream)
        if queue is None:
            queue = self._streams[stream] = deque()
            if stream:
                self.turns.append(stream)
            else:
                self.turns.appendleft(stream)
        queue.append(frame)

    def put_last(self, frame: tuple[Buffer, ...]) -> None:
        """Have a frame wait for everything that waits now, in any stream."""
        if type(frame) is not tuple:
            self._count(frame, 1)
        if not self._streams:
            self._streams[0] = deque((frame,))
            self.turns.append(0)
            return
        mark = _Mark(frame, len(self._streams))
        for queue in self._streams.values():
            queue.append(mark)

    def take(self) -> Out:
        """Take out what is to be written next; empty where nothing can be taken now."""
        out: Out = []
        size = 0
        turns = self.turns
        while turns and size < _TURN_BYTES:
            stream = turns.popleft()
            queue = self._streams[stream]
            late = False
            while queue and size < _TURN_BYTES:
                frame = queue[0]
                if type(frame) is not tuple:
                    if isinstance(frame, Piece):
                        break
                    if frame is _DONE:
                        queue.popleft()
                        self._in_parts -= 1
                        if self._late:
                            turns.append(self._late.popleft())
                        continue
                    if isinstance(frame, _Mark):
                        if frame.streams > 1:
                            frame.streams -= 1
                            queue.popleft()
                            continue
                        frame = frame.frame
                length = sum(map(len, frame))
                if length > CHUNK + HEADER.size:
                    late = stream > 0 and self._in_parts >= AT_ONCE
                    if late:
                        break
                    self._in_parts += 1
                    queue.popleft()
                    queue.appendleft(_DONE)
                    queue.extendleft(reversed(self._in_pieces(stream, frame)))
                else:
                    queue.popleft()
                    out.extend(frame)
                    size += length
                if type(frame) is not tuple:
                    self._count(frame, -1)
            if late:
                self._late.append(stream)
            elif queue:
                self._queue_again(stream, queue)
            else:
                del self._streams[stream]
        if out and size <= self._join_bytes:
            return [b"".join(out)]
        return out

    def next_piece(self) -> Piece:
        """Return the piece of the first of the `parked` streams. It waits until `unpark`."""
        piece: Piece = self._streams[self.parked[0]][0]
        return piece

    def unpark(self, carriers: Iterable[tuple[Buffer, ...]]) -> None:
        """Put into stream 0 what carries that piece, and let its stream go on."""
        stream = self.parked.popleft()
        queue = self._streams[stream]
        queue.popleft()
        for carrier in carriers:
            self.put(0, carrier)
        self._queue_again(stream, queue)  # Behind a piece there is always another, or `_DONE`.

    def unsent(self) -> dict[int, int]:
        """Return how many messages wait, by stream; of one in pieces only the opening counts."""
        found = {}
        for stream, queue in self._streams.items():
            heads = [frame[0] for frame in queue if isinstance(frame, tuple)]
            count = sum(map(messages_in, heads))
            if count:
                found[stream] = count
        return found

    def clear(self) -> None:
        """Let go of everything that waits."""
        self._streams.clear()
        self.turns.clear()
        self.parked.clear()
        self._late.clear()

    def _count(self, frame: tuple[Buffer, ...], sign: int) -> None:
        cost = sign * (_COST + sum(map(len, frame)))
        if type(frame) is Told:
            self.told += cost
        else:
            self.asked += cost

    def _in_pieces(self, stream: int, frame: tuple[Buffer, ...]) -> list[Any]:
        out: list[Any] = [opening(frame)]
        for piece in pieces(frame, self._slot_bytes or CHUNK):
            # What says that a slot is filled goes in stream 0, so that one's own pieces can't.
            if not (self._slot_bytes and stream) or len(piece.content) <= _SMALL_PIECE:
                out += piece.parts()
            else:
                out.append(piece)
        return out

    def _queue_again(self, stream: int, queue: deque[Any]) -> None:
        if type(queue[0]) is Piece:
            self.parked.append(stream)
        elif stream:
            self.turns.append(stream)
        else:
            self.turns.appendleft(stream)
