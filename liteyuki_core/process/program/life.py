"""One process of a program, from before it is started until its output is read.

What lasts longer than a process belongs to the program's course.

Ownership. A `ProgramLife` owns the program's tree of processes, the thread that waits for it, and
its output. `drain` and then `close` end what is left.

Threads. LiteyukiBot's loop calls everything, except where a method says otherwise.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from time import monotonic

from ... import log
from ...comm.loop.worker import Threads
from ...language import say
from ...writer import Writer
from .output import Output
from .ready import LogLine
from .spec import Line, Program
from .tree import Tree, started

_DRAIN_SECONDS = 1.0
_TERMINATE_SECONDS = 2.0


class ProgramLife:
    """One process of a program: see `Living`. `on_end` and `on_pid` are as those of `Life`.

    `on_ready` is called on the loop when the program has written the line that shows that it is
    ready: before its end is handled, though it may follow at once.
    """

    has_crashed = False

    def __init__(
        self,
        program: Program,
        writer: Writer,
        threads: Threads,
        on_ready: Callable[[], None],
        on_end: Callable[[], None],
        on_pid: Callable[[int | None], None],
    ) -> None:
        self.name = program.name
        self.begun = monotonic()
        self.ended = asyncio.Event()
        self.called_ready = False
        self.is_late = False
        self.is_clean = False
        self.failure: str | None = None
        self.pid: int | None = None
        self._program = program
        self._writer = writer
        self._threads = threads
        self._on_ready = on_ready
        self._on_end = on_end
        self._on_pid = on_pid
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._output_ended = asyncio.Event()
        self._line_found = asyncio.Event()
        self._looks = isinstance(program.ready, LogLine)
        self._tree: Tree | None = None
        self._code: int | None = None

    @property
    def is_spawned(self) -> bool:
        """Whether there is a process."""
        return self._tree is not None

    @property
    def root(self) -> int | None:
        """The process that all of it descends from."""
        return self._tree.root if self._tree is not None else None

    async def spawn(self) -> None:
        """Start the program. Waits for a worker thread, also when it is cancelled.

        Raises `ProcessStartError`.
        """
        cancelled: asyncio.CancelledError | None = None
        starting = asyncio.ensure_future(self._threads.run(self._start))
        while not starting.done():
            try:
                await asyncio.wait({starting})
            except asyncio.CancelledError as error:
                cancelled = error
        if starting.exception() is not None:
            self.close()
        else:
            tree = self._tree = starting.result()
            self.pid = tree.pid
            self._on_pid(self.pid)
            threading.Thread(
                target=self._wait, args=(tree,), name=f"liteyuki-wait-{self.name}", daemon=True
            ).start()
        if cancelled is not None:
            raise cancelled
        starting.result()

    def _start(self) -> Tree:
        """Start the program. On a worker thread."""
        program = self._program
        if program.terminal:
            self._output_ended.set()
            return started(program, None)
        output = Output(
            self.name,
            program.encoding,
            lambda lines: self._writer.lines(self.name, lines, together=True),
            self._look,
            lambda: self._soon(self._found),
            lambda: self._soon(self._output_ended.set),
        )
        try:
            return started(program, output.theirs)
        finally:
            os.close(output.theirs)

    def _wait(self, tree: Tree) -> None:
        """Wait for the end. On a thread of its own."""
        self._code = tree.wait(lambda: self._on_pid(None))
        self._soon(self._ends)

    def _ends(self) -> None:
        self._over.set()
        self._on_end()

    def _soon(self, call: Callable[[], object]) -> None:
        """Have the loop call something soon, unless it is closed. From any thread."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # The loop is closed, so nobody needs the call.

    # ------------------------------------------------------------- readiness

    def _look(self, line: str) -> bool:
        """Return whether the line shows that the program is ready. On the output's thread."""
        ready = self._program.ready
        if self._looks and isinstance(ready, LogLine) and ready.matches(line):
            self._looks = False
            return True
        return False

    def _found(self) -> None:
        self._line_found.set()
        if self.is_spawned and not self.is_late:
            self._on_ready()

    @property
    def is_ready(self) -> bool:
        """Whether nothing more has to show that it is ready. Of a port it is not known here."""
        return self._program.ready is None or self._line_found.is_set()

    async def until_ready(self) -> bool:
        """Wait until the program is ready. Return False if it has ended or its time is up.

        If its time is up, it is ended.
        """
        ready = self._program.ready
        if ready is None:
            return True
        shown = self._line_found.wait() if isinstance(ready, LogLine) else ready.wait()
        tasks = [asyncio.ensure_future(wait) for wait in (shown, self._over.wait())]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._program.ready_timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
        if tasks[0] in done:
            tasks[0].result()
            return not self._over.is_set()
        if not done and not self.is_clean:
            self.is_late = True
            self.failure = f"it was not ready within {self._program.ready_timeout:g} s: " + (
                ready.missing
            )
            log.logger.error(
                say(
                    "process {name} is ended, because it is not ready in time (pid {pid})",
                    name=self.name,
                    pid=self.pid,
                )
            )
            self.terminate()
            self._loop.call_later(_TERMINATE_SECONDS, self._kill_unless_over)
        return False

    def _kill_unless_over(self) -> None:
        if not self._over.is_set():
            self.kill()

    def note_ready(self, called: bool) -> None:
        """Note that it is ready. Its exit codes are its own, so none means that it could not."""
        self.called_ready = True

    # ------------------------------------------------------------- the end

    def ask(self, seconds: float) -> None:
        """Ask it to stop as `Program.stop` says, once. Many programs end at once at the second."""
        tree, stop = self._tree, self._program.stop
        if tree is None or self.is_clean:
            return
        self.is_clean = True
        if not isinstance(stop, Line):
            tree.signal(stop)
            return
        try:
            tree.write(stop.text)
        except OSError as error:
            log.logger.warning(
                say(
                    "process {name} does not read its standard input, so it is not told to stop: "
                    "{error}",
                    name=self.name,
                    error=error,
                )
            )

    def terminate(self) -> None:
        """Have the system terminate it. It may ignore that."""
        if self._tree is None or self._over.is_set():
            return
        if sys.platform == "win32":
            self._tree.kill()
        else:
            self._tree.signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and what it has started. From any thread, also in a signal handler."""
        tree = self._tree
        if tree is not None:
            tree.kill()

    async def drain(self) -> int | None:
        """Read the rest of the output. Return the exit code, None if it is not known."""
        try:
            await asyncio.wait_for(self._output_ended.wait(), _DRAIN_SECONDS)
        except asyncio.TimeoutError:
            pass  # A process that has left the group holds it open.
        return self._code

    def close(self) -> None:
        """Close the pipes and forget the callbacks, which refer to this life."""
        self._on_ready = self._on_end = self._on_pid = _nothing
        if self._tree is not None:
            self._tree.close()


def _nothing(*_: object) -> None:
    pass
