"""One peer: the connection to it, what is read from it and the writing that never waits.

Ownership. A `Link` owns its connection and closes it. Its `Reader` reads: its thread, or an
event loop that the thread has lent this. Whoever reads decodes frames, hands them to `on_frames`,
which returns whom to wake, and never waits for anybody but the kernel.
Any thread may `queue` frames and then `pump`: whoever finds nobody writing writes what the
kernel takes at once. When the kernel takes no more, the writer thread goes on, so that no
other thread ever waits for a slow peer. `on_end` is called exactly once, by the reader's
thread, as its last act.

Pieces of long frames do not go through the connection where both ends share memory: the writer
thread puts a piece into a free slot and queues the few bytes that say so; the other reader's
thread takes it out, in between reading what else came, and gives the slot back.

Invariants. At most one thread writes at any time (`_writing`). Frames of one stream leave in
the order they were queued; stream 0 goes before all others; the others take turns, none
for more than `CHUNK` bytes at a time. What is queued by `queue_last` leaves after everything that
was queued before it: a mark in each stream that has something says where. A stream whose next
frame is a piece for a slot is in `_parked` and not in `_turns`; the piece stays in its queue
until its slot is filled, which the writer thread alone does. A slot is in `_free`, being filled,
or the other side's. The order of a link's lock is: the caller's lock, then the link's; nothing is
called while the link's lock is held. `decoder.AT_ONCE` streams have a long frame in pieces at most;
where another comes to one, it waits in `_late` and is not in `_turns`.

What an other side that reads nothing can make this one keep. Messages are bounded by their
channels' capacities. Other frames are counted where they are queued as `Asked` or `Told`: while
much of what the other side itself has asked for waits to be written, nothing more is read from it,
so that it asks for nothing more; how much of the rest is too much the link's user judges by `told`.
`on_frames` may also leave frames for later, when it has had its turn, by setting `unfinished`; it
is called again with none.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ...errors import FrameError
from ..loop.wakes import Wake, fire
from . import decoder, frames, slots
from .batch import messages_in
from .endpoint import Endpoint
from .pieces import Piece, freed, opening, pieces
from .reader import Reader

_DONTWAIT = 0
"""With this flag a send on a blocking connection does not wait. Where a system has none that
is sure to work, the connection is non-blocking and whoever may wait has a handle with a timeout,
at the price of a second system call for each read."""

if sys.platform == "linux":
    _DONTWAIT = socket.MSG_DONTWAIT

_WAIT = 3600.0
"""Seconds such a handle waits in one call: a handle without a timeout would make the
connection itself a blocking one."""

_TURN_BYTES = 64 * 1024
"""What is written in one system call, as far as whole frames (of up to `CHUNK`) allow it."""

_INLINE_BYTES = 1 << 20
"""What a caller of `pump` writes at most before it leaves the rest to the writer thread."""

_JOIN_BYTES = 64 * 1024
"""Up to here copying buffers into one is quicker than handing the kernel many."""

_SMALL_PIECE = 16 * 1024
"""Up to here a piece goes through the connection in any case."""

_FILL_AT_ONCE = 2
"""Slots that are filled before the other side is told: to wake it takes as long as to fill one."""

_GIVE_BACK = slots.COUNT // 4
"""Slots are given back this many at a time, and when there is nothing to take out."""

_ASKED_BYTES = 8 << 20
"""So much of what the other side has asked for may wait before it has to read some of that."""

_COST = 256
"""What a frame that is queued takes besides its bytes, about."""

_REST = 0.0005
"""Seconds that others have before frames that were left for later have their turn."""

_WHY_CHARACTERS = 500
"""So much is said of what was wrong, for the other side may have written it."""

_YIELDS = 1000
"""How often `flush` lets other threads go on at most."""

_SENDMSG = hasattr(socket.socket, "sendmsg")
_IOV_MAX = 64

_Out = list[frames.Buffer]
"""Buffers to write one after another; what is written is taken away from the front."""


def _send(connection: socket.socket, out: _Out, flags: int) -> int:
    """Write the front of `out`, take it away and return how many bytes that was."""
    if sys.platform == "win32" or len(out) == 1:
        size = connection.send(out[0], flags)
    else:
        size = connection.sendmsg(out[:_IOV_MAX], (), flags)
    left = size
    while out and left >= len(out[0]):
        left -= len(out.pop(0))
    if left:
        out[0] = memoryview(out[0])[left:]
    return size


def _arrivals_of(connection: socket.socket) -> Callable[[], object] | None:
    """Return what waits for bytes.

    A thread that waits in `recv` is also woken each time the other side has read something.
    """
    if sys.platform == "win32":
        return None
    arrivals = select.poll()
    arrivals.register(connection.fileno(), select.POLLIN)
    return arrivals.poll


class Asked(tuple[frames.Buffer, ...]):
    """A frame that the other side has asked for: it comes of what that has sent itself."""

    __slots__ = ()


class Told(tuple[frames.Buffer, ...]):
    """A frame that comes of what others do."""

    __slots__ = ()


class _Done:
    """Stands in a stream behind the last piece of a long frame."""


_DONE = _Done()


def _cost(frame: tuple[frames.Buffer, ...]) -> int:
    return _COST + sum(map(len, frame))


class _Unforeseen(FrameError):
    """Something else than a `FrameError` was raised while frames were handled."""


def _shortened(why: str) -> str:
    return why if len(why) <= _WHY_CHARACTERS else f"{why[:_WHY_CHARACTERS]}..."


class _Mark:
    """Stands in the streams that have something, where a frame goes that is to be behind it."""

    __slots__ = ("frame", "streams")

    def __init__(self, frame: tuple[frames.Buffer, ...], streams: int) -> None:
        self.frame = frame
        self.streams = streams


class Link:
    """A framed, multiplexed connection to one process."""

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        *,
        max_message_bytes: int,
        on_frames: Callable[[list[frames.Frame]], list[Wake]],
        on_end: Callable[[str | None], None],
    ) -> None:
        self.name = name
        self._on_frames = on_frames
        self._on_end = on_end
        self._memory = endpoint.memory
        self._free = list(range(slots.COUNT)) if self._memory is not None else []
        self._decoder = decoder.Decoder(max_message_bytes, len(self._free))
        self._at_end = False
        self._connection = endpoint.connection
        self._connection.setblocking(bool(_DONTWAIT))
        self._dontwait = _DONTWAIT
        self._arrivals = _arrivals_of(self._connection) if _DONTWAIT else None
        self._lock = threading.Lock()
        self._streams: dict[int, deque[Any]] = {}
        """What is queued: frames, `Piece`, `_Mark` and `_DONE`."""
        self._turns: deque[int] = deque()
        self._late: deque[int] = deque()
        self._in_parts = 0
        """How many streams have a long frame in pieces."""
        self._asked = 0
        self.told = 0
        """How many bytes wait to be written that the other side has not asked for."""
        self.unfinished = False
        """Whether `on_frames` has left frames for later."""
        self._why: str | None = None
        self._parked: deque[int] = deque()
        self._writing = False
        self._filling = False
        self._settled = threading.Condition(self._lock)
        self._left: _Out | None = None
        self._taken: list[int] = []
        self._waiting = False
        """Whether the writer thread has the turn to write, because the kernel took no more."""
        self._broken = False
        self._closing = False
        self._reader = Reader(name, self._open_handle, self._read, self._ended)
        self._writer: threading.Thread | None = None
        self._writer_turn = threading.Semaphore(0)

    def start(self) -> None:
        """Start reading."""
        self._reader.thread.start()

    def queue(self, stream: int, buffers: tuple[frames.Buffer, ...]) -> None:
        """Queue one frame; `pump` sends it. Never waits. After the end it does nothing."""
        with self._lock:
            if self._broken or self._closing:
                return
            if type(buffers) is Asked:
                self._asked += _cost(buffers)
            elif type(buffers) is Told:
                self.told += _cost(buffers)
            self._put(stream, buffers)

    def queue_last(self, buffers: tuple[frames.Buffer, ...]) -> None:
        """Do the same for one that leaves after everything that is queued now, in any stream."""
        with self._lock:
            if self._broken or self._closing:
                return
            if not self._streams:
                self._put(0, buffers)
                return
            mark = _Mark(buffers, len(self._streams))
            for queue in self._streams.values():
                queue.append(mark)

    def pump(self) -> None:
        """Write what is queued as far as the kernel takes it at once. Never waits."""
        with self._lock:
            if self._writing or self._broken or not self._turns:
                return
            self._writing = True
            data: _Out | None = self._take()
        connection, dontwait = self._connection, self._dontwait
        written = 0
        try:
            while data is not None:
                while data:
                    written += _send(connection, data, dontwait)
                if written >= _INLINE_BYTES:
                    break
                data = self._next()
        except BlockingIOError:
            pass
        except OSError:
            self._stop_writing()
            return
        if data is not None:
            self._left = data
            with self._lock:
                if self._broken:  # The writer may have ended, so the turn ends here.
                    self._writing = False
                    self._settled.notify_all()
                    return
                self._waiting = True
            self._wake_writer()
        elif self._parked and self._free:
            self._wake_writer()

    def flush(self) -> None:
        """Have what is queued with the kernel, unless that takes no more at once.

        Where another thread is just writing, this lets it go on: a matter of microseconds.
        """
        for _ in range(_YIELDS):
            self.pump()
            with self._lock:
                written = not self._turns and not self._writing
                if written or self._waiting or self._broken:
                    return
            time.sleep(0)

    def close(self, timeout: float) -> dict[int, int]:
        """Send what is queued within `timeout` seconds, then end the connection. Idempotent.

        The reader then ends by itself. May be called from any thread but the reader's. Returns how
        many messages could not be sent, by stream; those that are just being written may be whole.
        """
        self.pump()
        deadline = time.monotonic() + timeout
        with self._lock:
            self._closing = True
            while self._has_unsent and not self._broken:
                left = deadline - time.monotonic()
                if left <= 0 or not self._settled.wait(left):
                    break
            unsent = {stream: count for stream in self._streams if (count := self._count(stream))}
        self._shutdown()
        if self._reader.thread.ident is None:
            self._close_handles()
        else:
            self._reader.thread.join(max(0.1, deadline - time.monotonic()))
        return unsent

    def _count(self, stream: int) -> int:
        """Return how many messages wait in a stream, under the lock."""
        heads = [frame[0] for frame in self._streams[stream] if isinstance(frame, tuple)]
        return sum(map(messages_in, heads))

    @property
    def asks_much(self) -> bool:
        """Whether the other side is to read some of what it has asked for before it asks on."""
        return self._asked > _ASKED_BYTES and not self._broken

    def end(self, why: str) -> None:
        """End the connection at once, because of the other side. From any thread, under no lock."""
        self._why = self._why or why
        self._shutdown()

    def loop_waits(self) -> None:
        """Have the thread read, though a loop may have been lent that: it is about to wait."""
        self._reader.take_back()

    def abandon(self) -> None:
        """Close this process's handles after a fork: the connection is the parent's."""
        self._close_files()

    # ------------------------------------------------------------- writing

    @property
    def _has_unsent(self) -> bool:
        return bool(self._writing or self._turns or self._parked or self._late)

    def _put(self, stream: int, buffers: tuple[frames.Buffer, ...]) -> None:
        queue = self._streams.get(stream)
        if queue is None:
            queue = self._streams[stream] = deque()
        if not queue:
            if stream:
                self._turns.append(stream)
            else:
                self._turns.appendleft(stream)
        queue.append(buffers)

    def _next(self) -> _Out | None:
        """Return the next bytes to write, or give up the turn to write and return None."""
        with self._lock:
            if self._turns and not self._broken:
                return self._take()
            self._writing = self._waiting = False
            if self._closing or self._broken:
                self._settled.notify_all()
            return None

    def _take(self) -> _Out:
        """Return the next bytes to write, under the lock."""
        out: _Out = []
        size = 0
        while self._turns and size < _TURN_BYTES:
            stream = self._turns.popleft()
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
                            self._turns.append(self._late.popleft())
                        continue
                    if isinstance(frame, _Mark):
                        frame.streams -= 1
                        if frame.streams:
                            queue.popleft()
                            continue
                        frame = frame.frame
                length = sum(map(len, frame))
                if length > frames.CHUNK + frames.HEADER.size:
                    late = self._in_parts >= decoder.AT_ONCE
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
                    self._uncount(frame)
            if late:
                self._late.append(stream)
            else:
                self._queue_again(stream, queue)
        if out and (size <= _JOIN_BYTES or not _SENDMSG):
            return [b"".join(out)]
        return out

    def _uncount(self, frame: Asked | Told) -> None:
        if type(frame) is Told:
            self.told -= _cost(frame)
            return
        before, self._asked = self._asked, self._asked - _cost(frame)
        if self._asked <= _ASKED_BYTES < before:
            self._settled.notify_all()

    def _in_pieces(self, stream: int, frame: tuple[frames.Buffer, ...]) -> list[Any]:
        out: list[Any] = [opening(frame)]
        for piece in pieces(frame, slots.SIZE):
            # What says that a slot is filled goes in stream 0, so that one's own pieces can't.
            if self._memory is None or not stream or len(piece.content) <= _SMALL_PIECE:
                out += piece.parts()
            else:
                out.append(piece)
        return out

    def _queue_again(self, stream: int, queue: deque[Any]) -> None:
        if not queue:
            del self._streams[stream]
        elif type(queue[0]) is Piece:
            self._parked.append(stream)
        elif stream:
            self._turns.append(stream)
        else:
            self._turns.appendleft(stream)

    def _fill_slots(self) -> bool:
        """Put some pieces into slots and queue that they are there; return whether any was."""
        for i in range(_FILL_AT_ONCE):
            with self._lock:
                if self._broken or not self._parked or not self._free:
                    return i > 0
                queue: Any = self._streams[self._parked[0]]
                piece = queue[0]
                slot = self._free.pop()
                self._filling = True
            assert self._memory is not None
            try:
                self._memory.write(slot, piece.content)
                filled = True
            except OSError:
                filled = False
            with self._lock:
                self._filling = False
                if self._broken:
                    self._settled.notify_all()
                    return False
                queue.popleft()
                if filled:
                    self._put(0, piece.slot(slot))
                else:
                    self._free.append(slot)
                    for part in piece.parts():
                        self._put(0, part)
                self._queue_again(self._parked.popleft(), queue)
        return True

    def _open_handle(self, waits: bool) -> socket.socket:
        handle = self._connection.dup()
        handle.settimeout(None if self._dontwait else _WAIT if waits else 0)
        return handle

    def _wake_writer(self) -> None:
        with self._lock:
            starts = self._writer is None
            if self._writer is None:
                self._writer = threading.Thread(
                    target=self._write, name=f"liteyuki-writer-{self.name}", daemon=True
                )
            writer = self._writer
        if starts:
            writer.start()
        self._writer_turn.release()

    def _write(self) -> None:
        data: _Out | None = None  # Not None while this thread has the turn to write.
        try:
            waiting = nullcontext(self._connection) if self._dontwait else self._open_handle(True)
        except OSError:
            self._stop_writing()
            self._shutdown()  # No more handles can be opened: better an end than a loss.
            return
        try:
            with waiting as handle:
                while True:
                    self._writer_turn.acquire()
                    data, self._left = self._left, None
                    if self._broken:
                        break
                    while data is not None:
                        while data:
                            try:
                                _send(handle, data, 0)
                            except TimeoutError:
                                continue
                            except BlockingIOError:
                                handle.setblocking(True)  # As the reader does.
                        self._fill_slots()
                        data = self._next()
                    while self._left is None and self._fill_slots():
                        self.pump()
        except OSError:
            pass  # The reader sees the same end and tells it.
        finally:
            if data is not None or self._left is not None:
                self._stop_writing()

    def _stop_writing(self) -> None:
        with self._lock:
            self._broken = True
            self._writing = False
            self._settled.notify_all()

    def _shutdown(self) -> None:
        with self._lock:
            self._broken = True
            self._streams.clear()
            self._turns.clear()
            self._parked.clear()
            self._late.clear()
            self._settled.notify_all()
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._writer_turn.release()

    # ------------------------------------------------------------- reading

    def _read(self, handle: socket.socket, waits: bool) -> tuple[bool, list[Wake]]:
        wakes: list[Wake] = []
        try:
            return self._read_once(handle, waits, wakes), wakes
        except BaseException:
            if wakes:
                fire(wakes, None)  # What came before what is wrong has arrived.
            raise

    def _read_once(self, handle: socket.socket, waits: bool, wakes: list[Wake]) -> bool:
        stream = self._decoder
        lanes = stream.lanes
        if self.unfinished or self.asks_much:
            if not waits:
                return True  # A loop that has been lent the reading leaves this to the thread.
            self._have_others_go_on()
        if self._why is not None:
            raise FrameError(self._why)
        if self.unfinished:
            self._hand_over([], wakes)
            return True
        if stream.wrong is not None:
            raise stream.wrong
        size = 0
        if not self._at_end and not stream.is_behind:
            try:
                flags = self._dontwait if lanes or not waits else 0
                if self._arrivals is not None and waits and not lanes:
                    self._arrivals()
                size = handle.recv_into(stream.buffer(), 0, flags)
                self._at_end = not size
            except BlockingIOError:
                if not lanes:
                    raise
            except TimeoutError:
                return False
            except OSError:
                self._at_end = True  # A connection reset is an end like any other.
        if size:
            arrived = stream.decode(size)
            if arrived:
                self._hand_over(arrived, wakes)
            if stream.freed:
                self._free_slots()
        if self.unfinished:
            return True
        if stream.wrong is not None:
            raise stream.wrong
        if lanes:
            if waits:  # Else this is left to the thread too.
                self._take_piece(wakes)
            return True
        if self._at_end:
            raise EOFError
        return False

    def _hand_over(self, arrived: list[frames.Frame], wakes: list[Wake]) -> None:
        self.unfinished = False
        try:
            wakes += self._on_frames(arrived)
        except FrameError:
            raise
        except Exception as error:
            # A bug of ours, whoever sends what brings it out: it ends his link and is seen.
            where = "".join(traceback.format_exception(error))
            text = _shortened(f"{error!r} was raised while its frames were handled")
            raise _Unforeseen(f"{text}\n{where}") from error

    def _have_others_go_on(self) -> None:
        """Let others have what the handling of frames holds up; wait until what is asked is read.

        Whoever asks and does not read is read no more.
        """
        time.sleep(_REST)
        with self._lock:
            while self.asks_much:
                self._settled.wait()

    def _take_piece(self, wakes: list[Wake]) -> None:
        memory = self._memory
        assert memory is not None
        slot, place = self._decoder.place()
        with place:
            memory.read(slot, place)
        arrived = self._decoder.taken()
        self._taken.append(slot)
        if len(self._taken) >= _GIVE_BACK or not self._decoder.lanes:
            taken, self._taken = self._taken, []
            with self._lock:
                if not self._broken:
                    self._put(0, freed(taken))
            self.pump()
        if arrived:
            self._hand_over(arrived, wakes)

    def _free_slots(self) -> None:
        freed = self._decoder.freed
        with self._lock:
            for slot in freed:
                if slot in self._free:
                    raise FrameError(f"slot {slot} was given back twice")
                self._free.append(slot)
        freed.clear()
        if self._parked:
            self._wake_writer()

    def _ended(self, error: BaseException) -> None:
        self._shutdown()
        self._close_handles()
        self._decoder.close()
        self._reader.forget()
        on_end = self._on_end
        why = self._why
        del self._decoder, self._on_frames, self._on_end
        if why is not None:
            on_end(why)
        elif isinstance(error, OSError | EOFError):
            on_end(None)  # A connection reset is an end like any other.
        elif isinstance(error, _Unforeseen):
            on_end(str(error))
        elif isinstance(error, FrameError):
            on_end(_shortened(str(error)))
        else:
            on_end(f"{error!r} was raised while its frames were handled")
            raise error

    def _close_handles(self) -> None:
        # Not while somebody writes: the number of a closed handle may be reused at once.
        # The shutdown before this has ended every write that waits.
        with self._lock:
            while self._writing or self._filling:
                self._settled.wait()
        self._close_files()

    def _close_files(self) -> None:
        self._connection.close()
        self._reader.close()
        if self._memory is not None:
            self._memory.close()
