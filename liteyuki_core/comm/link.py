"""One peer: the connection to it, what is read from it and the writing that never waits.

Ownership. A `Link` owns its connection and closes it. Its `Reader` reads: its thread, or an
event loop that the thread has lent this. Whoever reads decodes frames, hands them to `on_frames`,
which returns whom to wake, and never waits for anybody but the kernel.
Any thread may `queue` frames and then `pump`: whoever finds nobody writing writes what the
kernel takes at once. When the kernel takes no more, the writer thread goes on, so that no
other thread ever waits for a slow peer. `on_end` is called exactly once, by the reader's
thread, as its last act.

Invariants. At most one thread writes at any time (`_writing`). Frames of one stream leave in
the order they were queued; stream 0 goes before all others; the others take turns, none
for more than `CHUNK` bytes at a time. The order of a link's lock is: the caller's lock, then
the link's; nothing is called while the link's lock is held.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import FrameError
from . import frames
from .reader import Reader
from .wakes import Wake

_DONTWAIT = socket.MSG_DONTWAIT if sys.platform == "linux" else 0
"""With this flag a send on a blocking connection does not wait. Where a system has none that
is sure to work, the connection is non-blocking and whoever may wait has a handle with a timeout,
at the price of a second system call for each read."""

_WAIT = 3600.0
"""Seconds such a handle waits in one call: a handle without a timeout would make the
connection itself a blocking one."""

_TURN_BYTES = 64 * 1024
"""What is written in one system call, as far as whole frames (of up to `CHUNK`) allow it."""

_INLINE_BYTES = 1 << 20
"""What a caller of `pump` writes at most before it leaves the rest to the writer thread."""


_JOIN_BYTES = 64 * 1024
"""Up to here copying buffers into one is quicker than handing the kernel many."""

_YIELDS = 1000
"""How often `flush` lets other threads go on at most."""

_SENDMSG = hasattr(socket.socket, "sendmsg")
_IOV_MAX = 64

_Out = list[frames.Buffer]
"""Buffers to write one after another; what is written is taken away from the front."""


def _send(connection: socket.socket, out: _Out, flags: int) -> int:
    """Write the front of `out`, take it away and return how many bytes that was."""
    if len(out) == 1:
        size = connection.send(out[0], flags)
    else:
        size = connection.sendmsg(out[:_IOV_MAX], (), flags)
    left = size
    while out and left >= len(out[0]):
        left -= len(out.pop(0))
    if left:
        out[0] = memoryview(out[0])[left:]
    return size


class Endpoint:
    """One end of a fresh private connection, before it becomes a `Link`.

    It can be handed to a process that multiprocessing is spawning, and to nothing else.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def close(self) -> None:
        """Close this end. Idempotent."""
        self.connection.close()

    def __getstate__(self) -> Any:
        from multiprocessing.context import assert_spawning, get_spawning_popen

        assert_spawning(self)
        popen: Any = get_spawning_popen()
        if sys.platform == "win32":
            return self.connection.share(popen.pid)
        return popen.DupFd(popen.duplicate_for_child(self.connection.fileno()))

    def __setstate__(self, state: Any) -> None:
        if sys.platform == "win32":
            self.connection = socket.fromshare(state)
        else:
            self.connection = socket.socket(fileno=state.detach())


def connection_pair() -> tuple[Endpoint, Endpoint]:
    """Return the two ends of a connection that nobody else holds."""
    ours, theirs = socket.socketpair()
    if ours.family in (socket.AF_INET, socket.AF_INET6):
        # Windows makes a pair out of a loopback listener: be sure nobody else got in.
        for one, other in ((ours, theirs), (theirs, ours)):
            if one.getsockname() != other.getpeername():
                ours.close()
                theirs.close()
                raise ConnectionError("a stranger connected to a private socket pair")
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * frames.CHUNK)
    return Endpoint(ours), Endpoint(theirs)


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
        self._decoder = frames.Decoder(max_message_bytes)
        self._connection = endpoint.connection
        self._connection.setblocking(bool(_DONTWAIT))
        self._dontwait = _DONTWAIT
        self._lock = threading.Lock()
        self._streams: dict[int, deque[tuple[frames.Buffer, ...]]] = {}
        self._turns: deque[int] = deque()
        self._writing = False
        self._settled = threading.Condition(self._lock)
        self._left: _Out | None = None
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
            queue = self._streams.get(stream)
            if queue is None:
                queue = self._streams[stream] = deque()
            if not queue:
                if stream:
                    self._turns.append(stream)
                else:
                    self._turns.appendleft(stream)
            queue.append(buffers)

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
            else:
                return
        except BlockingIOError:
            pass
        except OSError:
            self._stop_writing()
            return
        self._left = data
        self._waiting = True
        self._wake_writer()

    def flush(self) -> None:
        """Have what is queued with the kernel, unless that takes no more at once.

        Where another thread is just writing, this lets it go on: a matter of microseconds.
        """
        for _ in range(_YIELDS):
            self.pump()
            with self._lock:
                if not self._turns or self._waiting or self._broken:
                    return
            time.sleep(0)

    def close(self, timeout: float) -> None:
        """Send what is queued within `timeout` seconds, then end the connection. Idempotent.

        The reader then ends by itself. May be called from any thread but the reader's.
        """
        self.pump()
        deadline = time.monotonic() + timeout
        with self._lock:
            self._closing = True
            while (self._writing or self._turns) and not self._broken:
                left = deadline - time.monotonic()
                if left <= 0 or not self._settled.wait(left):
                    break
        self._shutdown()
        if self._reader.thread.ident is None:
            self._close_handles()
        else:
            self._reader.thread.join(max(0.1, deadline - time.monotonic()))

    def abandon(self) -> None:
        """Close this process's handles after a fork: the connection is the parent's."""
        self._connection.close()
        self._reader.close()

    # ------------------------------------------------------------- writing

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
        """Return the next bytes to write, under the lock; there are some."""
        out: _Out = []
        size = 0
        while self._turns and size < _TURN_BYTES:
            stream = self._turns.popleft()
            queue = self._streams[stream]
            while queue and size < _TURN_BYTES:
                frame = queue.popleft()
                length = sum(map(len, frame))
                if length > frames.CHUNK + frames.HEADER.size:
                    queue.extendleft(reversed(list(frames.pieces(frame))))
                    continue
                out.extend(frame)
                size += length
            if not queue:
                del self._streams[stream]
            elif stream:
                self._turns.append(stream)
            else:
                self._turns.appendleft(stream)
        if size <= _JOIN_BYTES or not _SENDMSG:
            return [b"".join(out)]
        return out

    def _open_handle(self, waits: bool) -> socket.socket:
        handle = self._connection.dup()
        handle.settimeout(None if self._dontwait else _WAIT if waits else 0)
        return handle

    def _wake_writer(self) -> None:
        if self._writer is None:
            self._writer = threading.Thread(
                target=self._write, name=f"liteyuki-writer-{self.name}", daemon=True
            )
            self._writer.start()
        self._writer_turn.release()

    def _write(self) -> None:
        try:
            with self._open_handle(True) as handle:
                while not self._broken:
                    self._writer_turn.acquire()
                    data, self._left = self._left, None
                    while data is not None:
                        while data:
                            try:
                                _send(handle, data, 0)
                            except TimeoutError:
                                continue
                            except BlockingIOError:
                                handle.setblocking(True)  # As the reader does.
                        data = self._next()
        except OSError:
            pass  # The reader sees the same end and tells it.
        finally:
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
            self._settled.notify_all()
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self._writer is not None:
            self._writer_turn.release()

    # ------------------------------------------------------------- reading

    def _read(self, handle: socket.socket, waits: bool) -> tuple[int, list[Wake]]:
        decoder = self._decoder
        while True:
            try:
                size = handle.recv_into(decoder.buffer(), 0, 0 if waits else self._dontwait)
            except TimeoutError:
                continue
            if not size:
                raise EOFError
            arrived = decoder.decode(size)
            return size, self._on_frames(arrived) if arrived else []

    def _ended(self, error: BaseException) -> None:
        self._shutdown()
        self._close_handles()
        self._on_end(str(error) if isinstance(error, FrameError) else None)
        # A connection reset is an end like any other.
        if not isinstance(error, FrameError | OSError | EOFError):
            raise error

    def _close_handles(self) -> None:
        # Not while somebody writes: the number of a closed handle may be reused at once.
        # The shutdown before this has ended every write that waits.
        with self._lock:
            while self._writing:
                self._settled.wait()
        self._connection.close()
        self._reader.close()
