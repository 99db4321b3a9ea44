"""One process of a child, from before it is started until its output and its link are read.

A child has one life after another. What lasts longer than a process belongs to the child's course.

Ownership. A `Life` owns the multiprocessing process with its group, the thread that waits for the
process and reaps it, its output, its report, and through `Main` its link. `drain` and then `close`
end what is left after the process.

Threads. LiteyukiBot's loop calls everything, except where a method says otherwise.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from .. import log, record
from ..comm.hub.link_peer import LinkPeer
from ..comm.hub.main import Main
from ..comm.wire import words
from ..comm.wire.endpoint import Endpoint, connection_pair
from ..errors import FrameError
from ..language import say
from ..writer import Writer
from .child.output import WriteEnd
from .group import Group
from .listening import Listening, way_pair
from .output import Output
from .report import Report, shared
from .spec import ChildSpec
from .starting import Starting

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_DRAIN_SECONDS = 1.0
_LEAVE_SECONDS = 10.0
"""A process whose link has ended, and that has not said that it leaves, has this time to end."""
_TERMINATE_SECONDS = 2.0
_LAST_LINES, _LINE_CHARACTERS = 20, 500
"""So many of the last lines that the process has written are kept, and so much of each."""
_WORDS, _WORDS_SECONDS = 1000, 10.0
"""A child may send the loop so many words in so many seconds. Honest ones send a few."""

MakeSpec = Callable[[Endpoint, WriteEnd, Endpoint | None, Report | None], ChildSpec]


class Life:
    """One process of a child.

    `on_word` is called on the thread that reads the link. `on_end` is called once, on the loop,
    when the process has ended. `on_pid` is called with the pid on the loop when the process is
    spawned. It is called with None on another thread when the process has ended, where the system
    allows it before another process can get that pid. `make_spec` is called with the process's ends
    of its link, its output and the way for its listening sockets, and with the report. A `channels`
    are the keys of those that its target is given. A process that `waits` loads all that it is to
    run, and starts up when `begin` is called.
    """

    is_late = False

    def __init__(
        self,
        name: str,
        main: Main,
        writer: Writer,
        processes: Starting,
        on_word: Callable[[words.OfProcess], None],
        on_end: Callable[[], None],
        on_pid: Callable[[int | None], None],
        make_spec: MakeSpec,
        listening: Listening,
        channels: Sequence[str],
        *,
        waits: bool = False,
    ) -> None:
        self.name = name
        self.begun = monotonic()
        self.ended = asyncio.Event()
        """Set by the course when it has handled the end."""
        self.called_ready = False
        """Whether the process has called `ready()`."""
        self.failure: str | None = None
        """The error that the process has reported."""
        self.said_ready: words.Ready | None = None
        self._words = 0
        self._words_since = self.begun
        self.has_crashed = False
        """Whether main ends it because its link has ended. The exit code does not count then."""
        self.pid: int | None = None
        self._main = main
        self._on_word = on_word
        self._on_end = on_end
        self._on_pid = on_pid
        self._loop = asyncio.get_running_loop()
        self._link_ended = asyncio.Event()
        self._output_ended = asyncio.Event()
        self._writer = writer
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._processes = processes
        self._make_spec = make_spec
        self._listening = listening
        self._channels = channels
        self.waits = waits
        """Whether the process was started to wait for its turn."""
        self._way: socket.socket | None = None
        """The way for its listening sockets, while it waits."""
        self._process: SpawnProcess | None = None
        self._group: Group | None = None
        self._code: int | None = None
        self._is_over = False
        """Whether the process has ended."""
        self._peer: LinkPeer | None = None
        self.report: Report | None = None
        """The memory where the process says how it is, if the system has it. `close` closes it."""

    @property
    def peer(self) -> LinkPeer:
        """The process as a peer of the hub, which has its link. There once it is spawned."""
        assert self._peer is not None
        return self._peer

    @property
    def is_spawned(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self._is_over

    @property
    def is_clean(self) -> bool:
        """Whether the process has said that it ends as it should, or was asked to."""
        return self.peer.clean

    @property
    def root(self) -> int | None:
        """The process that all of it descends from."""
        return self.pid

    async def spawn(self) -> None:
        """Spawn the process.

        Waits for a worker thread, also when it is cancelled, so that it is known afterwards
        whether there is a process. Raises what spawning raises.
        """
        cancelled: asyncio.CancelledError | None = None
        threads = self._main.context.dispatcher.threads
        with ExitStack() as kept:
            # Main closes its copies of the child's ends, or it would not notice the child's death.
            with ExitStack() as handed:
                ended = partial(self.soon, self._output_ended.set)
                output = Output(self.name, self._take_lines, ended)
                handed.callback(output.theirs.close)
                ours, theirs = connection_pair()
                kept.callback(ours.close)
                handed.callback(theirs.close)
                self._way, way = way_pair()
                kept.callback(self._close_way)
                if way is not None:
                    handed.callback(way.close)
                self.report = shared()
                kept.callback(self.close)
                process = self._processes.process(
                    self._make_spec(theirs, output.theirs, way, self.report)
                )
                spawning = asyncio.ensure_future(threads.run(lambda: _spawn(process)))
                while not spawning.done():
                    try:
                        await asyncio.wait({spawning})
                    except asyncio.CancelledError as error:
                        cancelled = error
            if spawning.exception() is None:
                kept.callback(_discard, process)
                self._peer = self._main.connect(
                    self.name,
                    ours,
                    self._on_link_ended,
                    self._on_word,
                    self._channels,
                    waits=self.waits,
                )
                kept.pop_all()
                if not self.waits:
                    self._use_way()
                self._watch(process)
        if cancelled is not None:
            raise cancelled
        spawning.result()

    def begin(self) -> None:
        """Have a process that waits start up: it is the child's process now."""
        self.begun = monotonic()
        self._on_pid(None if self._is_over else self.pid)
        self._use_way()
        self.peer.begin()

    def _use_way(self) -> None:
        way, self._way = self._way, None
        self._listening.use_way(way)

    def _close_way(self) -> None:
        if self._way is not None:
            self._way.close()
            self._way = None

    def _on_over(self) -> None:
        self._is_over = True
        self._on_end()

    def _watch(self, process: SpawnProcess) -> None:
        self._process = process
        self.pid = process.pid
        self._on_pid(self.pid)
        group = self._group = Group(process)

        def wait() -> None:
            self._code = group.wait(lambda: self._on_pid(None))
            self.soon(self._on_over)

        threading.Thread(target=wait, name=f"liteyuki-wait-{self.name}", daemon=True).start()

    def _on_link_ended(self, why: str | None) -> None:
        if why is not None:
            log.logger.error(
                say("process {name}: its link is ended: {why}", name=self.name, why=why)
            )
        self.soon(lambda: self._without_link(why))

    def _without_link(self, why: str | None) -> None:
        """Make the process end, because its link has ended. `why` is an error, if there was one."""
        self._link_ended.set()
        if why is not None:
            # It can't be trusted any more, so it gets no time to end.
            self.has_crashed = True
            self._end_by_force()
        elif not self.peer.clean:
            self._loop.call_later(_LEAVE_SECONDS, self._end_by_force)

    def _end_by_force(self) -> None:
        if self._is_over:
            return
        if not self.has_crashed:
            self.has_crashed = True
            log.logger.warning(
                say(
                    "process {name} has ended its link but still runs: terminate (pid {pid})",
                    name=self.name,
                    pid=self.pid,
                )
            )
        self.terminate()
        self._loop.call_later(_TERMINATE_SECONDS, self._kill_unless_over)

    def _kill_unless_over(self) -> None:
        if not self._is_over:
            self.kill()

    def soon(self, call: Callable[[], object]) -> None:
        """Have the loop call something soon, unless it is closed. From any thread."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # The loop is closed, so nobody needs the call.

    def note_ready(self, called: bool) -> None:
        """Note that the process is ready, and whether it has called `ready()`."""
        self.called_ready |= called

    def note_failure(self, why: str) -> None:
        """Note the error that the process has reported."""
        self.failure = why

    def count_word(self) -> None:
        """Count a word that the child sends to the loop. On the thread that reads its link.

        Raises `FrameError` for more words than an honest child sends.
        """
        now = monotonic()
        if now - self._words_since > _WORDS_SECONDS:
            self._words, self._words_since = 0, now
        self._words += 1
        if self._words > _WORDS:
            raise FrameError(f"more than {_WORDS} words about itself within {_WORDS_SECONDS:g} s")

    def ask(self, seconds: float) -> None:
        """Ask the process to stop within so many seconds."""
        self.peer.clean = True
        self.peer.say(words.Stop(seconds))

    def terminate(self) -> None:
        """Ask the system to terminate the process. The process may ignore that."""
        if self._process is not None and not self._is_over:
            self._process.terminate()

    def kill(self) -> None:
        """Kill the process and its group. From any thread, also in a signal handler."""
        group = self._group
        if group is not None:
            group.kill()

    def close(self) -> None:
        """Close the report and forget the callbacks, which refer to this life.

        So the life is freed at once. Called when nobody reads the report any more, or when no
        process was spawned.
        """
        self._close_way()
        self._on_word = self._on_end = self._on_pid = _nothing
        self._make_spec = _no_spec
        if self.report is not None:
            self.report.close()

    def _take_lines(self, name: str, lines: list[str]) -> None:
        self._last_lines.extend([line[-_LINE_CHARACTERS:] for line in lines[-_LAST_LINES:]])
        self._writer.lines(name, lines)

    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that the process has written, without colours. After `drain`."""
        return tuple(map(record.readable, self._last_lines))

    async def drain(self) -> int | None:
        """Read the rest of output and link after the end. Return the exit code, None if unknown."""
        process = self._process
        assert process is not None
        # A process that it started may hold them open. Its output is logged before its end.
        drained = asyncio.gather(self._link_ended.wait(), self._output_ended.wait())
        try:
            await asyncio.wait_for(drained, _DRAIN_SECONDS)
        except asyncio.TimeoutError:
            if not self._link_ended.is_set():
                self.peer.link.close(0)
        process.close()
        return self._code


def _nothing(*_: object) -> None:
    pass


def _no_spec(*_: object) -> ChildSpec:
    raise AssertionError("a life is over and does not begin again")


def _discard(process: SpawnProcess) -> None:
    """End a process that was just spawned and could not be connected."""
    process.kill()
    process.join()
    process.close()


def _spawn(process: SpawnProcess) -> None:
    if sys.platform == "win32":
        process.start()
        return
    # SIGINT is blocked in the child until the child has left the terminal's process group.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
