"""The course of one child: its states, and one process after another.

Ownership. A course owns the public view of its child (`child`), the task that starts the child,
its `Life`, the `Successor` that is to take that life's place and those that were dropped, the
`Watch` on that life, the count of its restarts, and its listening sockets. The supervisor says what
is wanted. If a method of the course returns that the process must be stopped, the supervisor stops
it.

Threads. LiteyukiBot's loop calls everything, except that any thread may read `child` and `watch`
and call `kill`.

Invariants.
- A child has at most one life. `_starting` is the task that gives it one. `_life` is set before
  the process is spawned, until its end is handled.
- A restart of a child that has a process sets `_again`. When that process has ended, the child is
  started again. So all restarts that are asked for in that time are one.
- Only `_enter` changes the state. It tells the log, the hooks and the tasks that wait.
- An end is handled once, when the process has ended and its link was read to the end. `_ended`
  asks for a verdict, and `_act` carries it out.

Tested with real processes in tests/process/: test_supervision.py, test_exits.py, test_endings.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from .. import log
from ..comm.ends.remote import Died
from ..comm.hub.main import Main
from ..comm.hub.side import Recipient
from ..comm.wire import words
from ..comm.wire.endpoint import Endpoint
from ..comm.wire.payload import Linked
from ..errors import ChannelClosed, ProcessError, ProcessStartError, ProcessTimeout
from ..hooks import Hooks, Kind
from ..language import Phrase, say
from ..writer import Writer
from . import stopping
from .child.output import WriteEnd
from .ending import describe
from .health import Hang, Health, Watch
from .life import Life
from .listening import Listening
from .living import Living
from .pool import Pool
from .report import Report
from .restart import Restarts
from .spec import ChildSpec
from .starting import Starting
from .state import ChildProcess, ProcessState
from .successor import Spare, Successor, several
from .task import Tasks
from .terms import Terms
from .verdict import ProcessEnd, Verdict, judge

_OVER = (ProcessState.STOPPED, ProcessState.FAILED)
_SPARE_SECONDS = 5.0
"""So long after a process is ready its spare one is made: it still imports until then."""

OnWord = Callable[["Course", Life, words.OfProcess], Callable[[], object] | None]


class Services(NamedTuple):
    """What all courses share."""

    main: Main
    log_config: log.LogConfig
    writer: Writer
    hooks: Hooks
    health: Health
    tasks: Tasks
    processes: Starting
    store_cache_bytes: int
    stop_timeout: float
    spare: bool
    """Whether each Python child has a spare process."""
    may_start: Callable[[], bool]
    """Returns whether children may still be started."""
    until_running: Callable[[str, tuple[str, ...]], Awaitable[None]]
    """Waits until the children of these names are RUNNING. Raises `ProcessStartError`, for the
    child that depends on them."""
    on_failed: Callable[[], None]
    """Is called when a child has FAILED."""
    on_word: OnWord
    """Returns the call that the loop is to make for a child's word, or None. The thread that reads
    the child's link calls it. Raises `FrameError` if the child may not say the word."""


class Course:
    """One child, from the moment it is added."""

    is_program = False

    def __init__(
        self,
        child: ChildProcess,
        call: Linked,
        terms: Terms,
        hang: Hang,
        services: Services,
        pool: Pool | None = None,
        replica: int | None = None,
    ) -> None:
        self.child = child
        self.name = child.name
        self.terms = terms
        self._call = call
        self._hang = hang
        self._services = services
        self._pool = pool
        self.replica = replica
        """Which replica of a child this is, None if there are none."""
        if pool is not None:
            pool.add(child, self._unwanted)
        self._budget = Restarts(terms.policy)
        self._listening = Listening()
        self._starting: asyncio.Task[None] | None = None
        self._life: Living | None = None
        self._successor: Successor | None = None
        self._spare: Spare | None = None
        self._early: dict[Life, Spare] = {}
        """All whose turn has not come and that have not ended, those that were dropped too."""
        self._watch: Watch | None = None
        self._again = False
        """Whether the child is started again when its present life is over."""
        self._is_restart = False
        self._restart_announced = False
        self._has_been_ready = False
        self._changes: list[asyncio.Future[None]] = []

    @property
    def life(self) -> Living | None:
        """The child's life while there is a process, else None."""
        life = self._life
        return life if life is not None and life.is_spawned else None

    @property
    def watch(self) -> Watch | None:
        """The watch on the child's process. From any thread."""
        return self._watch

    @property
    def newest(self) -> Living | None:
        """The life that has loaded the newest files, if it can be asked: a successor goes first."""
        successor = self._successor
        if successor is not None and successor.life.is_spawned:
            return successor.life
        asked = self.child.state in (ProcessState.STARTING, ProcessState.RUNNING)
        return self.life if asked else None

    @property
    def leftover(self) -> list[Life]:
        """The lives that were dropped before their turn and have not ended yet."""
        return [life for life in self._early if life.is_spawned]

    def is_early(self, life: Life) -> bool:
        """Return whether a life is not the child's yet, or never will be. From any thread."""
        return life in self._early

    @property
    def has_begun(self) -> bool:
        """Whether the child's last process may have loaded files as they were before a change.

        True if the child runs or has failed, or if a successor loads. Any other child loads the
        files as they are now, if it is started at all.
        """
        state = self.child.state
        if self._successor is not None:
            return True
        if state is ProcessState.STARTING:
            return self.life is not None
        return state in (ProcessState.RUNNING, ProcessState.BACKOFF, ProcessState.FAILED)

    # ------------------------------------------------------------- commands

    def start(self) -> None:
        """Start the child if it has no process. If it is stopping, start it when it has stopped."""
        self._budget.reset()
        if self.child.state is ProcessState.STOPPING:
            self._again = True
        elif self._life is None and self.child.state is not ProcessState.STARTING:
            self._begin(0.0)

    def load_successor(self) -> bool:
        """Load the child's next process while the present one runs on.

        Return False if it has none that is ready: then there is nothing that could go on.
        """
        life = self.life
        if self.child.state is not ProcessState.RUNNING or not isinstance(life, Life):
            return False
        self.drop_successor()
        lacked = life.said_ready.lacks if life.said_ready is not None else []
        self._successor = Successor(self._new_life(waits=True), lacked)
        self._services.tasks.run(self._spawn_early(self._successor))
        return True

    def make_spare(self, imports: Sequence[str]) -> None:
        """Make a spare process, which imports these modules."""
        if self._spare is None and self.child.state is ProcessState.RUNNING:
            life = self._new_life(waits=True, imports=tuple(imports))
            self._spare = Spare(life)
            self._services.tasks.run(self._spawn_early(self._spare))

    async def _spawn_early(self, spare: Spare) -> None:
        self._early[spare.life] = spare
        await spare.spawn()
        if not spare.life.is_spawned:
            self._forget_early(spare.life)

    async def _end_early(self, life: Life) -> None:
        try:
            await self._early[life].clean_up()
        finally:
            self._forget_early(life)

    def _forget_early(self, life: Life) -> None:
        if self._early.pop(life) is self._successor:
            self._successor = None
            self._wake()

    def _take_early(self) -> Life | None:
        """Return the life whose turn it is now, if one has been made before: a successor first."""
        successor, self._successor = self._successor, None
        life = successor.take() if successor is not None else None
        if life is None and self._spare is not None:
            spare, self._spare = self._spare, None
            life = spare.take()
        if life is not None:
            del self._early[life]
        return life

    def has_loaded(self, life: Life, lacks: Sequence[str]) -> bool:
        """Return whether a process that has loaded all but `lacks` is to take over now."""
        successor = self._successor
        return successor is not None and successor.life is life and successor.has_loaded(lacks)

    def drop_successor(self) -> None:
        """Give up the process that loads, if there is one."""
        successor, self._successor = self._successor, None
        if successor is not None:
            successor.drop()

    def _drop_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.drop()

    def restart(self) -> bool:
        """Start the child again. Return whether its process must be stopped first."""
        self._budget.reset()
        if self.life is not None or self.child.state is ProcessState.STOPPING:
            self._again = True
            return self.leave()
        if self.child.state is not ProcessState.STARTING:
            self._begin(0.0, again=self.child.started_at is not None)
        return False

    def stop(self) -> bool:
        """Note that the child is to stop and to stay stopped. Return as `leave` does."""
        self._again = False
        self.drop_successor()
        return self.leave()

    def leave(self) -> bool:
        """Note that the child is to stop. Return whether its process must be stopped now."""
        if self._life is not None:
            if self.child.state is ProcessState.STOPPING:
                return False
            self._enter(ProcessState.STOPPING, Phrase("process {name} is to stop", name=self.name))
            return True
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
            self._not_started()
        return False

    def cancel_start(self) -> asyncio.Task[None] | None:
        """Cancel the task that starts the child. Return it, so that the caller can wait for it."""
        if self._starting is not None:
            self._starting.cancel()
        return self._starting

    def kinds_before_stop(self) -> list[Kind]:
        """Return which hooks must be called before the process is stopped."""
        if not self._again:
            return ["on_before_process_shutdown"]
        self._restart_announced = True
        return ["on_before_process_restart", "on_before_process_shutdown"]

    def _unwanted(self, peer: Recipient) -> None:
        """Have the process whose link is `peer` replaced. From any thread, under the lock."""
        life = self._life
        if isinstance(life, Life):
            wake = partial(life.soon, lambda: self._replace(peer))
            site = self._services.main.context.site
            site.start_attending()  # Nothing else may have: the main process may hold no end.
            site.soon(wake)  # Not now: it makes a system call.

    def _replace(self, peer: Recipient) -> None:
        """Kill the process whose link is `peer` and start another at once, without a backoff."""
        life = self.life
        if not isinstance(life, Life) or life.peer is not peer:
            return  # It has ended meanwhile.
        log.logger.warning(
            say(
                "process {name} is ended: whoever has called it waits no longer (pid {pid})",
                name=self.name,
                pid=life.pid,
            )
        )
        if self.child.state is not ProcessState.STOPPING:
            self._again = True
        life.kill()

    def stop_listening(self) -> None:
        """Close the listening sockets, unless a successor will need them."""
        if not (self._again and self._services.may_start()):
            self._listening.close()

    def kill(self) -> None:
        """Kill the process at once. From any thread, also in a signal handler."""
        life = self._life  # Read once: the loop may change it meanwhile.
        if life is not None:
            life.kill()
        for early in list(self._early):
            early.kill()

    # ------------------------------------------------------------- waiting

    async def until_started(self) -> None:
        """Wait until a start that is under way has spawned a process or has failed."""
        if self._starting is not None:
            await asyncio.wait({self._starting})

    async def wait_ready(self, timeout: float | None) -> None:
        """Wait until the child is RUNNING. Raises `ProcessStartError` or `ProcessTimeout`."""
        try:
            await asyncio.wait_for(self._until_ready(), timeout)
        except asyncio.TimeoutError:
            raise ProcessTimeout(
                f"process {self.name} was not ready within {timeout:g} s: it is "
                f"{self.child.state.value}",
                self.name,
            ) from None

    async def wait_over(self, timeout: float | None) -> None:
        """Wait until the child is STOPPED or FAILED. Raises `ProcessTimeout`."""
        try:
            await asyncio.wait_for(self._until_over(), timeout)
        except asyncio.TimeoutError:
            raise ProcessTimeout(
                f"process {self.name} did not end within {timeout:g} s: it is "
                f"{self.child.state.value}",
                self.name,
            ) from None

    async def _until_over(self) -> None:
        while self.child.state not in _OVER:
            await self._changed()

    async def _until_ready(self) -> None:
        child = self.child
        while child.state is not ProcessState.RUNNING:
            ended = child.state in _OVER and child.outcome is not None
            if ended and self._starting is None:
                raise ProcessStartError(
                    f"process {self.name} is {child.state.value} and not about to start: "
                    f"{child.outcome}",
                    self.name,
                )
            await self._changed()

    async def until_settled(self) -> None:
        """Wait until no successor loads, and the child runs or is not about to start."""
        while self._successor is not None or self.child.state not in (*_OVER, ProcessState.RUNNING):
            await self._changed()

    async def _changed(self) -> None:
        """Wait for the next change of the state, or for a successor to be given up."""
        change = asyncio.get_running_loop().create_future()
        self._changes.append(change)
        try:
            await change
        finally:
            if change in self._changes:
                self._changes.remove(change)

    # ------------------------------------------------------------- states

    def _enter(self, state: ProcessState, line: Phrase | None, level: str = "INFO") -> None:
        """Change the state. Log `line`, if there is one."""
        self.child.state = state
        self._wake()
        if state in _OVER:
            self.drop_successor()
            self._drop_spare()
            self._listening.close()
        if line is not None:
            log.logger.log(level, line)
        self._services.hooks.state(self.name, state)
        if self._pool is not None:
            self._pool.changed()

    def _wake(self) -> None:
        changes, self._changes = self._changes, []
        for change in changes:
            if not change.done():
                change.set_result(None)

    def ready(self, life: Living, called: bool, lacks: Sequence[str] = ()) -> None:
        """Note that a process of the child is ready, and whether it has called `ready()`.

        The log says what it `lacks`.
        """
        life.note_ready(called)
        self._has_been_ready = True
        if self.child.state is not ProcessState.STARTING:
            return
        seconds = monotonic() - life.begun
        line = Phrase(
            "process {name} is ready, {seconds:.2f} s after its start",
            name=self.name,
            seconds=seconds,
        )
        if lacks:
            line = Phrase(
                "{ready}, without {names}: see its errors above", ready=line, names=several(lacks)
            )
        self._enter(ProcessState.RUNNING, line, "WARNING" if lacks else "INFO")
        if self._is_restart:
            self._services.tasks.run(self._services.hooks.call_all("on_after_restart", self.name))
        if self._services.spare and self._pool is None:
            asyncio.get_running_loop().call_later(_SPARE_SECONDS, self._ask_imported, life)

    def _ask_imported(self, life: Living) -> None:
        """Ask what a spare process could import, if this life still runs."""
        if self._life is life and isinstance(life, Life) and self._spare is None:
            life.peer.say(words.AskImported())

    def listen(self, host: str, port: int, backlog: int) -> None:
        """Pass the child the listening sockets of the address that it has asked for."""
        run = self._services.main.context.dispatcher.threads.run
        self._services.tasks.run(self._listening.asked(host, port, backlog, run))

    # ------------------------------------------------------------- starting

    def _begin(self, delay: float, *, again: bool = False) -> None:
        """Start the task that starts the child. The log says so when there is a process."""
        if self._starting is not None:
            self._starting.cancel()
        self._is_restart = again
        if not delay:
            self._enter(ProcessState.STARTING, None)
        self._starting = self._services.tasks.run(self._start(delay))

    async def _start(self, delay: float) -> None:
        try:
            if delay:
                await asyncio.sleep(delay)
                self._enter(ProcessState.STARTING, None)
            if self._is_restart:
                self.child.restarts += 1
                if not self._restart_announced:
                    await self._services.hooks.call_in_time(
                        {self.name: ["on_before_process_restart"]},
                        self._services.stop_timeout * stopping.HOOK_SHARE,
                    )
                self._restart_announced = False
            try:
                await self._services.until_running(self.name, self.terms.depends_on)
            except ProcessStartError as error:
                self._not_spawned(str(error))
                return
            await self._spawn()
        finally:
            if self._starting is asyncio.current_task():
                self._starting = None

    async def _spawn(self) -> None:
        taken = self._take_early()
        if taken is not None:
            self._life = taken
            taken.begin()
            self._spawned(taken)
            return
        life = self._life = self._make_life()
        try:
            await life.spawn()
        except Exception as error:
            self._life = None
            self._not_spawned(str(error) if isinstance(error, ProcessError) else repr(error))
        except asyncio.CancelledError:
            # It was stopped meanwhile. If the process could be spawned, its end follows.
            if not life.is_spawned:
                self._life = None
                if self.child.state is ProcessState.STOPPING:
                    self._not_spawned(None)
            raise
        finally:
            if life.is_spawned:
                self._spawned(life)

    def _make_life(self) -> Living:
        """Return a life for the child's next process."""
        return self._new_life()

    def _new_life(self, *, waits: bool = False, imports: tuple[str, ...] | None = None) -> Life:
        services = self._services

        def on_word(word: words.OfProcess) -> None:
            act = services.on_word(self, life, word)
            if act is not None:
                life.soon(act)

        def on_end() -> None:
            if life in self._early:
                services.tasks.run(self._end_early(life))
            else:
                services.tasks.run(self._ended(life))

        def on_pid(pid: int | None) -> None:
            if life not in self._early:
                self._on_pid(pid)

        life = Life(
            self.name,
            services.main,
            services.writer,
            services.processes,
            on_word,
            on_end,
            on_pid,
            partial(self._spec, waits, imports),
            self._listening,
            self._call.carried(),
            waits=waits,
        )
        return life

    def _not_spawned(self, failure: str | None) -> None:
        """Do what follows if no process could be spawned, or none was to be any more."""
        self._starting = None
        self._follow(is_spawned=False, failure=failure)

    def _on_pid(self, pid: int | None) -> None:
        self.child.pid = pid
        self.child.last_pid = pid or self.child.last_pid

    def _spec(
        self,
        waits: bool,
        imports: tuple[str, ...] | None,
        link: Endpoint,
        output: WriteEnd,
        way: Endpoint | None,
        report: Report | None,
    ) -> ChildSpec:
        services = self._services
        return ChildSpec(
            self.name,
            self.child.target,
            bytes(self._call.data),
            link,
            output,
            way,
            report,
            services.log_config._replace(process=self.name),
            services.main.context.max_message_bytes,
            services.main.context.crosses,
            services.main.store.cells,
            services.store_cache_bytes,
            services.main.context.access.keeps,
            services.stop_timeout,
            waits,
            imports,
            self.replica,
        )

    def _spawned(self, life: Living) -> None:
        self.child.exitcode = None
        self.child.started_at = datetime.now(timezone.utc)
        log.logger.info(say("process {name} started (pid {pid})", name=self.name, pid=life.pid))
        if isinstance(life, Life):
            self._watch = Watch(self.child, life.peer, self._hang, life.kill, life.report)
            self._services.health.add(self._watch)

    # ------------------------------------------------------------- the end of a process

    async def _ended(self, life: Living) -> None:
        try:
            code = self.child.exitcode = await life.drain()
            self._listening.close_way()
            self._services.health.forget(self.child)
            life.close()
            self._on_pid(None)
            self._life = self._watch = None
            how = describe(code).english
            if self.child.state is ProcessState.STOPPING:
                how = "was stopped"
            self._follow(
                code=code,
                called=life.called_ready,
                clean=life.is_clean,
                forced=life.has_crashed,
                late=life.is_late,
                failure=life.failure,
                lines=life.last_lines() if isinstance(life, Life) else (),
            )
            if self._pool is not None and isinstance(life, Life):
                self._pool.ended(life.peer, Died(self.name, code, how, life.last_lines()))
        finally:
            if self._life is life:
                self._life = None
            life.ended.set()

    def _follow(self, lines: tuple[str, ...] = (), **known: Any) -> None:
        """Do what follows from an end; `known` are the fields of `ProcessEnd` about the process.

        `lines` are the last ones that it has written.
        """
        end = ProcessEnd(
            self.name,
            self.child.state,
            self._has_been_ready,
            self._services.may_start(),
            again=self._again,
            **known,
        )
        self._again = False
        self._act(judge(end, self._budget, monotonic()), lines)

    def _act(self, verdict: Verdict, lines: tuple[str, ...] = ()) -> None:
        """Carry out a verdict: start the child again, or give it up."""
        hub = self._services.main.hub
        self.child.ending = verdict.outcome
        if verdict.counts:
            self._budget.count(monotonic())
        if verdict.delay is None:
            self._enter(verdict.state, verdict.line, verdict.level)
            hub.process_ended(self.name, verdict.error, verdict.reason, lines)
            if verdict.state is ProcessState.FAILED:
                self._services.on_failed()
            return
        hub.process_ended(self.name, verdict.error, verdict.reason, lines, for_good=False)
        if verdict.state is ProcessState.BACKOFF:
            self._enter(verdict.state, verdict.line, verdict.level)
        else:
            log.logger.log(verdict.level, verdict.line)
        self._begin(verdict.delay, again=True)

    def _not_started(self) -> None:
        self.child.ending = Phrase("was stopped before it was started")
        line = Phrase("process {name}: it was stopped before it was started", name=self.name)
        self._enter(ProcessState.STOPPED, line)
        self._services.main.hub.process_ended(self.name, ChannelClosed, line.english)
