"""The frames that wait to be written to a link, and which of them goes next.

Pure: no connection, no thread, no lock. The `Link` that owns an outbox calls it under the link's
lock. The link writes what `take` returns. The link also puts pieces into slots, and then calls
`unpark`.

Stream 0 goes before all others. The others are served round robin: each gets a share of
`_SHARE_BYTES`, or up to the end of the frame that exceeds it. A frame whose body is longer than
`CHUNK` is cut into pieces when it is next. A piece for a slot of shared memory is not taken: its
stream is parked until the piece is in a slot.

Invariants.
- Frames of one stream leave in the order in which they were put. A frame of `put_last` leaves after
  every frame that was put before it: a mark in each stream that is not empty says where. It takes
  more acknowledgements until something is put after it.
- A bundle is in a stream of its own, whose number is below 0, and leaves whole. A batch goes into
  the newest bundle, or into a new one behind all other streams, and only if nothing of its own
  stream waits there. So what is put into that stream later is behind the bundle.
- A stream that is not empty is in exactly one of `ready`, `parked` and `_late`. An empty stream is
  in none of them, and not in `_streams`.
- A stream is in `parked` while the next thing in it is a piece for a slot.
- At most `AT_ONCE` streams have a long frame in pieces, and stream 0 may have one more. If the next
  frame of another stream is long, that stream waits in `_late` until one of the long frames has
  gone. Stream 0 never waits there: it has the frames which say that slots are filled, and without
  these no long frame that goes through slots would end.
- `asked` and `told` are the costs of the frames that were put as `Asked` and as `Told` and are not
  taken yet.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from .batch import Batch, messages_in
from .bundle import MOST_AT_ONCE, Bundle, Handled, fits
from .frames import CHUNK, HEADER, Buffer
from .pieces import AT_ONCE, Piece, opening, pieces

_SHARE_BYTES = 64 * 1024
"""Bytes that are taken at once. The last frame, of up to `CHUNK`, may exceed them."""

_SMALL_PIECE = 16 * 1024
"""A piece of up to this many bytes always goes through the connection."""

_COST = 256
"""About how much memory a waiting frame takes in addition to its bytes."""

Out = list[Buffer]
"""Buffers to write one after another."""


class Asked(tuple[Buffer, ...]):
    """A frame that the other process has caused itself: it follows from what that process sent."""

    __slots__ = ()


class Told(tuple[Buffer, ...]):
    """A frame that other peers have caused."""

    __slots__ = ()


class _Done:
    """Stands in a stream behind the last piece of a long frame."""


_DONE = _Done()


class _Mark:
    """Stands in each stream that is not empty. What it has leaves after all that is before it."""

    __slots__ = ("last", "streams")

    def __init__(self, last: Handled | tuple[Buffer, ...], streams: int) -> None:
        self.last = last
        self.streams = streams
        """In how many streams the mark still stands. From the last one the frame goes."""


class Outbox:
    """The frames that wait, by stream.

    If what is taken has up to `join_bytes`, it is joined to one buffer. Long frames are cut for
    slots of `slot_bytes`. 0 says that there are no slots: all pieces go through the connection.
    """

    def __init__(self, join_bytes: int, slot_bytes: int) -> None:
        self.ready: deque[int] = deque()
        """Streams from which `take` can take now, in the order in which it does."""
        self.parked: deque[int] = deque()
        """Streams in which a piece for a slot is next."""
        self.asked = 0
        """The cost, in bytes, of the `Asked` frames that wait."""
        self.told = 0
        """The cost, in bytes, of the `Told` frames that wait."""
        self._streams: dict[int, deque[Any]] = {}
        """What waits in each stream: frames, `Bundle`, `Handled`, `Piece`, `_Mark` and `_DONE`."""
        self._late: deque[int] = deque()
        """Streams in which a long frame is next that may not begin yet."""
        self._in_parts = 0
        """How many streams have a long frame in pieces."""
        self._bundle: Bundle | None = None
        """The newest bundle, if it waits and takes more batches."""
        self._bundles = 0
        self._handled: Handled | None = None
        """The newest acknowledgements, if they wait, take more, and nothing was put after them."""
        self._join_bytes = join_bytes
        self._slot_bytes = slot_bytes

    @property
    def is_empty(self) -> bool:
        """Whether no frame waits in any stream."""
        return not self._streams

    def put(self, stream: int, frame: tuple[Buffer, ...]) -> None:
        """Add a frame at the end of a stream."""
        if type(frame) is not tuple:
            self._count(frame, 1)
        self._handled = None
        queue = self._streams.get(stream)
        if queue is None:
            queue = self._streams[stream] = deque()
            if stream:
                self.ready.append(stream)
            else:
                self.ready.appendleft(stream)
        queue.append(frame)

    def put_batch(self, stream: int, batch: Batch) -> None:
        """Add a batch at the end of a stream. It may leave in one frame with others."""
        streams = self._streams
        size = fits(batch) if streams and stream not in streams else 0
        if not size:
            self.put(stream, batch.frame(stream))
            return
        self._handled = None
        bundle = self._bundle
        if bundle is None:
            bundle = self._bundle = Bundle()
            self._bundles += 1
            streams[-self._bundles] = deque((bundle,))
            self.ready.append(-self._bundles)
        if not bundle.add(stream, batch, size):
            self._bundle = None

    def put_last(self, channel: int, ranges: list[tuple[int, int]]) -> None:
        """Add an acknowledgement that leaves after everything that waits now, in any stream."""
        if len(ranges) > MOST_AT_ONCE:
            for at in range(0, len(ranges), MOST_AT_ONCE):
                self.put_last(channel, ranges[at : at + MOST_AT_ONCE])
            return
        handled = self._handled
        if handled is None:
            handled = self._handled = Handled()
            self._put_behind_all(handled)
        if not handled.add(channel, ranges):
            self._handled = None

    def put_frame_last(self, frame: tuple[Buffer, ...]) -> None:
        """Add a frame that leaves after everything that waits now, in any stream.

        Its body must be shorter than `CHUNK`.
        """
        self._handled = None
        self._put_behind_all(frame)

    def _put_behind_all(self, what: Handled | tuple[Buffer, ...]) -> None:
        if not self._streams:
            self._streams[0] = deque((what,))
            self.ready.append(0)
            return
        mark = _Mark(what, len(self._streams))
        for queue in self._streams.values():
            queue.append(mark)

    def take(self) -> Out:
        """Take out the buffers to write next; none if nothing can be taken now."""
        out: Out = []
        size = 0
        ready = self.ready
        while ready and size < _SHARE_BYTES:
            stream = ready.popleft()
            queue = self._streams[stream]
            late = False
            while queue and size < _SHARE_BYTES:
                frame = queue[0]
                if type(frame) is not tuple:
                    if isinstance(frame, Piece):
                        break
                    if frame is _DONE:
                        queue.popleft()
                        self._in_parts -= 1
                        if self._late:
                            ready.append(self._late.popleft())
                        continue
                    if isinstance(frame, _Mark):
                        if frame.streams > 1:
                            frame.streams -= 1
                            queue.popleft()
                            continue
                        frame = frame.last
                    if type(frame) is Bundle:
                        if frame is self._bundle:
                            self._bundle = None
                        frame = frame.frame()
                    elif type(frame) is Handled:
                        if frame is self._handled:
                            self._handled = None
                        frame = frame.frame()
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
        """Return the next piece of the first parked stream. It stays there until `unpark`."""
        piece: Piece = self._streams[self.parked[0]][0]
        return piece

    def unpark(self, carriers: Iterable[tuple[Buffer, ...]]) -> None:
        """Put the frames that carry that piece into stream 0, and let its stream go on."""
        stream = self.parked.popleft()
        queue = self._streams[stream]
        queue.popleft()
        for carrier in carriers:
            self.put(0, carrier)
        self._queue_again(stream, queue)  # Behind a piece is always another piece or `_DONE`.

    def unsent(self) -> dict[int, int]:
        """Return how many messages wait, by stream; in pieces, only if the opening waits too."""
        found: Counter[int] = Counter()
        for stream, queue in self._streams.items():
            for waiting in queue:
                if isinstance(waiting, tuple):
                    found[stream] += messages_in(waiting[0])
                elif isinstance(waiting, Bundle):
                    for channel, batch in waiting.batches:
                        found[channel] += batch.count
        return {stream: count for stream, count in found.items() if count}

    def clear(self) -> None:
        """Drop everything that waits."""
        self._streams.clear()
        self.ready.clear()
        self.parked.clear()
        self._late.clear()
        self._bundle = self._handled = None

    def _count(self, frame: tuple[Buffer, ...], sign: int) -> None:
        cost = sign * (_COST + sum(map(len, frame)))
        if type(frame) is Told:
            self.told += cost
        else:
            self.asked += cost

    def _in_pieces(self, stream: int, frame: tuple[Buffer, ...]) -> list[Any]:
        out: list[Any] = [opening(frame)]
        for piece in pieces(frame, self._slot_bytes or CHUNK):
            # Stream 0 carries the frames which say that slots are filled. So its own long frames
            # use no slots.
            if not (self._slot_bytes and stream) or len(piece.content) <= _SMALL_PIECE:
                out += piece.parts()
            else:
                out.append(piece)
        return out

    def _queue_again(self, stream: int, queue: deque[Any]) -> None:
        if type(queue[0]) is Piece:
            self.parked.append(stream)
        elif stream:
            self.ready.append(stream)
        else:
            self.ready.appendleft(stream)
