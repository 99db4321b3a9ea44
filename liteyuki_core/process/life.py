"""One process of a child: from before it is spawned until its last words are read.

A child has one life after another; what it keeps from one to the next is its course's.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from .. import log
from ..comm.hub.link_peer import LinkPeer
from ..comm.hub.main import Main
from ..comm.wire import words
from ..comm.wire.endpoint import Endpoint, connection_pair
from ..errors import FrameError
from ..writer import Writer
from .child import entry
from .child.output import WriteEnd
from .group import Group
from .listening import Listening
from .output import Output
from .report import Report, shared
from .spec import ChildSpec

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_DRAIN_SECONDS = 1.0
_LEAVE_SECONDS = 10.0
"""How long a process may go on whose link has ended, and that has not said that it leaves."""
_TERMINATE_SECONDS = 2.0
_WORDS, _WORDS_SECONDS = 1000, 10.0
"""How many words for the loop a child may have in that time. Honest ones have a few."""

MakeSpec = Callable[[Endpoint, WriteEnd, Endpoint | None, Report | None], ChildSpec]


class Life:
    """One process. On LiteyukiBot's loop, but for `kill`.

    It owns the multiprocessing process with its group, the thread that waits for its end, the
    one that reaps it, its output, and through `Main` the link. `on_word` is called on the
    thread that reads the link, `on_end` once on the loop when the process has ended. `on_pid` is
    called with its number on the loop when it is spawned, and with None on another thread before
    that number is free for others.
    """

    def __init__(
        self,
        name: str,
        main: Main,
        writer: Writer,
        on_word: Callable[[words.OfProcess], None],
        on_end: Callable[[], None],
        on_pid: Callable[[int | None], None],
    ) -> None:
        self.name = name
        self.begun = monotonic()
        self.ended = asyncio.Event()
        """Set by the course, when it has done what follows."""
        self.called_ready = False
        """Whether it has said itself that it is ready."""
        self.failure: str | None = None
        """What it has said itself is wrong."""
        self.said_ready: words.Ready | None = None
        self._words = 0
        self._words_since = self.begun
        self.has_crashed = False
        """Whether it is ended for what it did, whatever its exit code will be."""
        self.pid: int | None = None
        self._main = main
        self._on_word = on_word
        self._on_end = on_end
        self._on_pid = on_pid
        self._loop = asyncio.get_running_loop()
        self._link_ended = asyncio.Event()
        self._output_ended = asyncio.Event()
        self._writer = writer
        self._process: SpawnProcess | None = None
        self._group: Group | None = None
        self._code: int | None = None
        self._is_over = False
        """Whether the process has ended."""
        self._peer: LinkPeer | None = None
        self.report: Report | None = None
        """Where it says how it is, if there is such memory. Closed with the last look at it."""

    @property
    def peer(self) -> LinkPeer:
        """Its link, from its spawning on."""
        assert self._peer is not None
        return self._peer

    @property
    def is_spawned(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    async def spawn(self, make_spec: MakeSpec, listening: Listening) -> None:
        """Spawn it; `make_spec` is given what the process gets: link, output, sockets, report.

        Waits for a worker thread, and however often it is cancelled, it is known at its end
        whether there is a process. Raises what spawning raises.
        """
        cancelled: asyncio.CancelledError | None = None
        threads = self._main.context.dispatcher.threads
        with ExitStack() as kept:
            # Only the child may hold its ends, or nobody would notice its death.
            with ExitStack() as handed:
                ended = partial(self.soon, self._output_ended.set)
                output = Output(self.name, self._writer.lines, ended)
                handed.callback(output.theirs.close)
                ours, theirs = connection_pair()
                kept.callback(ours.close)
                handed.callback(theirs.close)
                way = listening.open_way()
                kept.callback(listening.close_way)
                if way is not None:
                    handed.callback(way.close)
                self.report = shared()
                kept.callback(self.close)
                spec = make_spec(theirs, output.theirs, way, self.report)
                process = multiprocessing.get_context("spawn").Process(
                    target=entry.main, args=(spec,), name=f"liteyuki-{self.name}"
                )
                spawning = asyncio.ensure_future(threads.run(lambda: _spawn(process)))
                while not spawning.done():
                    try:
                        await asyncio.wait({spawning})
                    except asyncio.CancelledError as error:
                        cancelled = error
            if spawning.exception() is None:
                kept.callback(_discard, process)
                self._peer = self._main.connect(self.name, ours, self._on_link_ended, self._on_word)
                kept.pop_all()
                self._watch(process)
        if cancelled is not None:
            raise cancelled
        spawning.result()

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
            log.logger.error(f"process {self.name}: its link is ended: {why}")
        self.soon(lambda: self._without_link(why))

    def _without_link(self, why: str | None) -> None:
        """Have a process end that can't be talked to any more."""
        self._link_ended.set()
        if why is not None:
            # It may be anything by now, so it is not waited for.
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
                f"process {self.name} has ended its link and not itself: terminate (pid {self.pid})"
            )
        self.terminate()
        self._loop.call_later(_TERMINATE_SECONDS, self._kill_unless_over)

    def _kill_unless_over(self) -> None:
        if not self._is_over:
            self.kill()

    def soon(self, call: Callable[[], object]) -> None:
        """Have something called on the loop, while it runs. From any thread."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # The loop is closed: nobody watches any more.

    def note_ready(self, called: bool) -> None:
        """Note that it is ready, and whether it has said so itself."""
        self.called_ready |= called

    def note_failure(self, why: str) -> None:
        """Note what it has said itself is wrong."""
        self.failure = why

    def count_word(self) -> None:
        """Count a word of the child that the loop is to hear. On the thread that reads its link.

        Raises `FrameError` for more than it can have to say.
        """
        now = monotonic()
        if now - self._words_since > _WORDS_SECONDS:
            self._words, self._words_since = 0, now
        self._words += 1
        if self._words > _WORDS:
            raise FrameError(f"over {_WORDS} words of its own within {_WORDS_SECONDS:g} s")

    def terminate(self) -> None:
        """Have the process ended, as far as it lets itself be."""
        if self._process is not None and not self._is_over:
            self._process.terminate()

    def kill(self) -> None:
        """Kill it and what it has started. From any thread, also in a signal handler."""
        group = self._group
        if group is not None:
            group.kill()

    def close(self) -> None:
        """Let go of what is left, when nobody looks at it any more, or nothing was spawned.

        So that nothing is kept of it: who is told of its words and its end has this.
        """
        self._on_word = self._on_end = self._on_pid = _nothing
        if self.report is not None:
            self.report.close()

    async def drain(self) -> int | None:
        """Read what it has left, after its end; return its exit code, None if nobody knows it."""
        process = self._process
        assert process is not None
        # Something that it started may hold either open. Its last words stand before its end.
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


def _discard(process: SpawnProcess) -> None:
    """End a process that has only just been spawned and that nobody can talk to."""
    process.kill()
    process.join()
    process.close()


def _spawn(process: SpawnProcess) -> None:
    if sys.platform == "win32":
        process.start()
        return
    # The child starts with SIGINT held back, until it has left the terminal's process group.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
