"""The link to one process: its connection, reading from it, and writing that never waits.

Ownership. A `Link` owns its connection, its shared memory, its `Reader` with that one's thread, and
its writer thread. It closes the connection and the memory when the reading ends. `close` and `end`
make the reading end; if the link was never started, `close` closes them itself.

Threads. The reader's thread reads, or an event loop to which that thread has lent the reading. It
decodes frames and hands them to `on_frames`, which returns the wakes to fire. It waits for nothing
but the kernel, except as said below under "Bounds". Any thread may `queue` frames and then `pump`.
If no other thread is writing, `pump` writes as much as the kernel takes at once. When the kernel
takes no more, the writer thread goes on. So no other thread ever waits for a slow process. `on_end`
is called exactly once, by the reader's thread, as its last act.

Pieces. If both processes share memory, pieces of long frames do not go through the connection. The
writer thread puts a piece into a free slot and queues the few bytes that say so. The reader's
thread in the other process takes the piece out, between reading other frames, and gives the slot
back.

Invariants.
- At most one thread writes at any time. `_writing` says that one does. The thread that sets it may
  hand the writing over to the writer thread, with `_unwritten`.
- The `Outbox` has the frames that wait to be written, and their order. It is called under the
  link's lock. Its counts, and whether a stream is parked, are also read without the lock.
- A parked piece stays in the outbox until its slot is filled. Only the writer thread fills slots.
- A slot of this process's half is in `_free`, or is being filled, or is the other process's.
- A thread that holds its caller's lock may take the link's lock, and never the other way round.
  While the link's lock is held, nothing but the outbox is called.

Bounds. A process that reads nothing can't make this one keep more and more. The capacities of the
channels bound the messages. Other frames are counted if they are queued as `Asked` or `Told`. While
many bytes of `Asked` frames wait, nothing more is read from the other process, so that it asks for
nothing more. The user of the link decides, by `outbox.told`, how many bytes of `Told` frames are
too many.

Shares. `on_frames` may leave frames for later when it has used up its share of time: it sets
`unfinished`. Then it is called again with no new frames.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext

from ...errors import FrameError
from ..loop.waiter import Reading, arrivals_of
from ..loop.wakes import Wake, fire
from . import decoder, frames, slots
from .batch import Batch
from .endpoint import Endpoint
from .outbox import Out, Outbox
from .pieces import freed
from .reader import Reader

_DONTWAIT = 0
"""With this flag a send on a blocking connection does not wait. On a system where no such flag is
sure to work, the connection is non-blocking. Then a thread that may wait has its own handle with a
timeout. That costs a second system call for each read."""

if sys.platform == "linux":
    _DONTWAIT = socket.MSG_DONTWAIT

_WAIT = 3600.0
"""Seconds that such a handle waits in one call. A handle without a timeout would make the
connection itself a blocking one."""

_INLINE_BYTES = 1 << 20
"""Most bytes that a caller of `pump` writes before the writer thread goes on."""

_JOIN_BYTES = 64 * 1024
"""Up to this many bytes, to join buffers is quicker than to give several to the kernel."""

_FILL_AT_ONCE = 2
"""Slots that are filled before the other process is told. To wake it takes as long as to fill one
slot."""

_GIVE_BACK = slots.COUNT // 4
"""So many emptied slots are given back at a time; fewer if no piece is waiting."""

_ASKED_BYTES = 8 << 20
"""Most bytes of `Asked` frames that may wait before the other process must read some of them."""

_REST = 0.0005
"""Seconds for other threads before frames that were left for later are handled."""

_WHY_CHARACTERS = 500
"""Most characters of the text about what was wrong. The other process may have written it."""

_YIELDS = 1000
"""How often `flush` lets other threads run at most."""

_SENDMSG = hasattr(socket.socket, "sendmsg")
_IOV_MAX = 64


def _send(connection: socket.socket, out: Out, flags: int) -> int:
    """Write bytes from the front of `out`, remove them there and return how many they were."""
    if sys.platform == "win32" or len(out) == 1:
        size = connection.send(out[0], flags)
    else:
        size = connection.sendmsg(out[:_IOV_MAX], (), flags)
    remaining = size
    while out and remaining >= len(out[0]):
        remaining -= len(out.pop(0))
    if remaining:
        out[0] = memoryview(out[0])[remaining:]
    return size


class _Unforeseen(FrameError):
    """An exception that is no `FrameError` was raised while frames were handled."""


def _shortened(why: str) -> str:
    return why if len(why) <= _WHY_CHARACTERS else f"{why[:_WHY_CHARACTERS]}..."


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
        # A thread that waits in `recv` would also be woken each time the other process has read.
        self._arrivals = arrivals_of(self._connection) if _DONTWAIT else None
        self._lock = threading.Lock()
        self.outbox = Outbox(
            _JOIN_BYTES if _SENDMSG else sys.maxsize, slots.SIZE if self._free else 0
        )
        """The frames that wait to be written. A user of the link only reads its counts."""
        self.unfinished = False
        """Whether `on_frames` has left frames for later."""
        self._why: str | None = None
        """Why `end` has ended the link."""
        self._writing = False
        """Whether some thread may write now. Then no other thread may."""
        self._filling = False
        self._held_up = False
        """Whether the reader waits until the other process has read what it has asked for."""
        self._settled = threading.Condition(self._lock)
        self._unwritten: Out | None = None
        """What a caller of `pump` could not write. The writer thread writes it."""
        self._taken: list[int] = []
        """Slots that were emptied and are not given back yet."""
        self._waiting = False
        """Whether it is the writer thread that may write, because the kernel took no more."""
        self._broken = False
        self._closing = False
        self._reader = Reader(name, self._open_handle, self._read, self._ended)
        self._writer: threading.Thread | None = None
        self._writer_bell = threading.Semaphore(0)

    def start(self) -> None:
        """Start reading."""
        self._reader.thread.start()

    def queue(self, stream: int, buffers: tuple[frames.Buffer, ...]) -> None:
        """Queue one frame; `pump` sends it. Never waits. Does nothing after the end."""
        with self._lock:
            if not (self._broken or self._closing):
                self.outbox.put(stream, buffers)

    def queue_batch(self, stream: int, batch: Batch) -> None:
        """Queue messages. Small batches of many streams may leave in one frame."""
        with self._lock:
            if not (self._broken or self._closing):
                self.outbox.put_batch(stream, batch)

    def queue_last(self, channel: int, ranges: list[tuple[int, int]]) -> None:
        """Queue an acknowledgement that leaves after everything that is queued now, in any stream.

        Acknowledgements of many channels that follow each other may leave in one frame.
        """
        with self._lock:
            if not (self._broken or self._closing):
                self.outbox.put_last(channel, ranges)

    def queue_frame_last(self, frame: tuple[frames.Buffer, ...]) -> None:
        """Queue one short frame that leaves after everything that is queued now, in any stream."""
        with self._lock:
            if not (self._broken or self._closing):
                self.outbox.put_frame_last(frame)

    def pump(self) -> None:
        """Write as much of what is queued as the kernel takes at once. Never waits."""
        outbox = self.outbox
        with self._lock:
            if self._writing or self._broken or not outbox.ready:
                return
            self._writing = True
            data: Out | None = outbox.take()
            if self._held_up:
                self._let_read()
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
            self._unwritten = data
            with self._lock:
                if self._broken:  # The writer thread may have ended and writes nothing more.
                    self._writing = False
                    self._settled.notify_all()
                    return
                self._waiting = True
            self._wake_writer()
        elif outbox.parked and self._free:
            self._wake_writer()

    def flush(self) -> None:
        """Write everything that is queued, unless the kernel takes no more at once.

        If another thread is writing, this lets that thread go on, which takes microseconds.
        """
        for _ in range(_YIELDS):
            self.pump()
            with self._lock:
                written = not self.outbox.ready and not self._writing
                if written or self._waiting or self._broken:
                    return
            time.sleep(0)

    def close(self, timeout: float) -> dict[int, int]:
        """Send what is queued within `timeout` seconds, then end the connection. Idempotent.

        The reader then ends by itself. May be called from any thread but the reader's. Returns how
        many messages could not be sent, by stream. Messages that are being written at that moment
        are not counted and may arrive whole.
        """
        self.pump()
        deadline = time.monotonic() + timeout
        with self._lock:
            self._closing = True
            while (self._writing or not self.outbox.is_empty) and not self._broken:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._settled.wait(remaining):
                    break
            unsent = self.outbox.unsent()
        self._shutdown()
        if self._reader.thread.ident is None:
            self._close_handles()
        else:
            self._reader.thread.join(max(0.1, deadline - time.monotonic()))
        return unsent

    @property
    def asks_much(self) -> bool:
        """Whether the other process must first read some of what it asked for."""
        return self.outbox.asked > _ASKED_BYTES and not self._broken

    def end(self, why: str) -> None:
        """End the connection at once; `why` is what the other process did wrong.

        From any thread, under no lock.
        """
        self._why = self._why or why
        self._shutdown()

    def loop_waits(self) -> None:
        """Have the reader's thread read, not a loop: the loop's thread is about to wait."""
        self._reader.take_back()

    @property
    def is_written(self) -> bool:
        """Whether the kernel has taken all that was queued, or the connection is broken."""
        with self._lock:
            return self._broken or (self.outbox.is_empty and not self._writing)

    def will_wait(self) -> Reading | None:
        """Learn that this thread will wait; return what it may read itself meanwhile, if anything.

        Not for a thread that runs an event loop.
        """
        return self._reader.will_wait()

    def abandon(self) -> None:
        """Close this process's handles after a fork: the connection belongs to the parent."""
        self._close_files()

    # ------------------------------------------------------------- writing

    def _next(self) -> Out | None:
        """Return the next bytes to write, or None: then the caller may not write any more."""
        outbox = self.outbox
        with self._lock:
            if outbox.ready and not self._broken:
                data = outbox.take()
                if self._held_up:
                    self._let_read()
                return data
            self._writing = self._waiting = False
            if self._closing or self._broken:
                self._settled.notify_all()
            return None

    def _let_read(self) -> None:
        """Let the reader go on if the other process has read enough. Under the lock."""
        if not self.asks_much:
            self._settled.notify_all()

    def _fill_slots(self) -> bool:
        """Put some pieces into slots and queue the frames that say so; return whether any was."""
        for i in range(_FILL_AT_ONCE):
            with self._lock:
                if self._broken or not self.outbox.parked or not self._free:
                    return i > 0
                piece = self.outbox.next_piece()
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
                if filled:
                    self.outbox.unpark([piece.slot(slot)])
                else:
                    self._free.append(slot)
                    self.outbox.unpark(piece.parts())
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
        self._writer_bell.release()

    def _write(self) -> None:
        data: Out | None = None  # Not None while it is this thread that may write.
        try:
            waiting = nullcontext(self._connection) if self._dontwait else self._open_handle(True)
        except OSError:
            self._stop_writing()
            self._shutdown()  # No more handles can be opened: better an end than lost messages.
            return
        try:
            with waiting as handle:
                while True:
                    self._writer_bell.acquire()
                    data, self._unwritten = self._unwritten, None
                    if self._broken:
                        break
                    while data is not None:
                        while data:
                            try:
                                _send(handle, data, 0)
                            except TimeoutError:
                                continue
                            except BlockingIOError:
                                handle.setblocking(True)  # The reader does the same, and says why.
                        self._fill_slots()
                        data = self._next()
                    while self._unwritten is None and self._fill_slots():
                        self.pump()
        except OSError:
            pass  # The reader sees the same end and reports it.
        finally:
            if data is not None or self._unwritten is not None:
                self._stop_writing()

    def _stop_writing(self) -> None:
        with self._lock:
            self._broken = True
            self._writing = False
            self._settled.notify_all()

    def _shutdown(self) -> None:
        with self._lock:
            self._broken = True
            self.outbox.clear()
            self._settled.notify_all()
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._writer_bell.release()

    # ------------------------------------------------------------- reading

    def _read(self, handle: socket.socket, waits: bool) -> tuple[bool, list[Wake]]:
        wakes: list[Wake] = []
        try:
            return self._read_once(handle, waits, wakes), wakes
        except BaseException:
            if wakes:
                fire(wakes, None)  # The frames that came before the wrong one were handed over.
            raise

    def _read_once(self, handle: socket.socket, waits: bool, wakes: list[Wake]) -> bool:
        stream = self._decoder
        lanes = stream.lanes
        if self.unfinished or self.asks_much:
            if not waits:
                return True  # A loop leaves this to the reader's thread.
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
                    self._arrivals.wait(None)
                size = handle.recv_into(stream.buffer(), 0, flags)
                self._at_end = not size
            except BlockingIOError:
                if not lanes:
                    raise
            except TimeoutError:
                return False
            except OSError:
                self._at_end = True  # A reset of the connection is an end like any other.
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
            if waits:  # A loop leaves this to the reader's thread too.
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
            # This is a bug here, even if certain frames bring it out. It ends the link and is seen.
            where = "".join(traceback.format_exception(error))
            text = _shortened(f"{error!r} was raised while its frames were handled")
            raise _Unforeseen(f"{text}\n{where}") from error

    def _have_others_go_on(self) -> None:
        """Let other threads run; then wait until the other process has read what it asked for.

        So nothing more is read from a process that asks and does not read.
        """
        time.sleep(_REST)
        with self._lock:
            self._held_up = True
            while self.asks_much:
                self._settled.wait()
            self._held_up = False

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
                    self.outbox.put(0, freed(taken))
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
        if self.outbox.parked:
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
            on_end(None)  # A reset of the connection is an end like any other.
        elif isinstance(error, _Unforeseen):
            on_end(str(error))
        elif isinstance(error, FrameError):
            on_end(_shortened(str(error)))
        else:
            on_end(f"{error!r} was raised while its frames were handled")
            raise error

    def _close_handles(self) -> None:
        # Not while a thread writes: the number of a closed handle may be reused at once. The
        # shutdown before this has ended every write that waits.
        with self._lock:
            while self._writing or self._filling:
                self._settled.wait()
        self._close_files()

    def _close_files(self) -> None:
        self._connection.close()
        self._reader.close()
        if self._memory is not None:
            self._memory.close()
