"""The main process's side of child processes: starting, watching, stopping, starting again.

Ownership. The supervisor runs on LiteyukiBot's loop and decides there. For each child it owns
the `Life` that it has, one process, and its listening sockets. A child's end is taken notice of
once: when the process has ended and its link was read to the end; then it is decided what follows.

Invariants: a child has one life at most; it is about to have one (`_starting`), has one (`_life`,
from before its process is spawned), or neither. Whoever wants it stopped and started again says so
in `_again`, and the end of the life that it has then sees to it: restarts asked for at once are
one. A state is changed by `_enter` alone, which says so once to the log's reader, hooks and who
waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from functools import partial
from time import monotonic
from typing import Any

from .. import log
from ..comm.channel import check_name
from ..comm.hub.hub import Hub
from ..comm.wire.endpoint import Endpoint
from ..errors import (
    ChannelClosed,
    FrameError,
    ProcessExists,
    ProcessNotFound,
    ProcessStartError,
    ProcessTimeout,
)
from ..hooks import Hooks, Kind
from ..writer import Writer
from . import stopping
from .child.output import WriteEnd
from .health import Hang, Health, Watch
from .life import Life
from .listening import Listening
from .report import Report
from .restart import RestartPolicy, Restarts
from .spec import ChildSpec, pack_call
from .state import ChildProcess, ProcessState
from .verdict import End, judge

_WHY_CHARACTERS = 1000
"""So much of what a child says itself is wrong goes into the log."""

_OVER = (ProcessState.STOPPED, ProcessState.FAILED)


class _Child(ChildProcess):
    """A child with what the supervisor has of it. Only on LiteyukiBot's loop."""

    def __init__(
        self, name: str, target: str, call: bytes, policy: RestartPolicy, hang: Hang
    ) -> None:
        super().__init__(name, target)
        self._hang = hang
        self._call = call
        self._budget = Restarts(policy)
        self._listening = Listening()
        self._starting: asyncio.Task[None] | None = None
        self._life: Life | None = None
        self._watch: Watch | None = None
        self._again = False
        """Whether it is to be started again when the life that it has is over."""
        self._is_restart = False
        self._restart_announced = False
        self._has_been_ready = False

    @property
    def _is_spawned(self) -> bool:
        return self._life is not None and self._life.is_spawned


class Supervisor:
    """Starts and stops the children. `add` and `get` from any thread, the rest on the loop.

    `on_broken` is called there with an error of its own code, or of the hub's, that it can't mend.
    """

    def __init__(
        self,
        hub: Hub,
        log_config: log.LogConfig,
        writer: Writer,
        hooks: Hooks,
        on_broken: Callable[[BaseException], None],
        *,
        store_cache_bytes: int,
        stop_timeout: float,
        hang_timeout: float,
    ) -> None:
        self._hub = hub
        self._log_config = log_config
        self._writer = writer
        self._hooks = hooks
        self._on_broken = on_broken
        self._store_cache_bytes = store_cache_bytes
        self._stop_timeout = stop_timeout
        self._health = Health(hang_timeout)
        self.children: dict[str, _Child] = {}
        self._stopping = False
        self._questions: dict[int, tuple[_Child, asyncio.Future[dict[str, Any]]]] = {}
        self._asked = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def add(
        self,
        name: str,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        policy: RestartPolicy,
        hang: Hang,
    ) -> None:
        """Take in a process and make its channels. Raises what `LiteyukiBot.add_process` does."""
        check_name(name)
        if name in self.children:
            raise ProcessExists(
                f"a process named {name!r} was added already; take another name", name
            )
        if isinstance(target, str):
            module, colon, path = target.partition(":")
            if not (module and colon and path):
                raise ProcessStartError(
                    f"process {name}: target {target!r} must look like 'package.module:function'",
                    name,
                )
            text = target
        elif callable(target):
            text = f"{target.__module__}:{getattr(target, '__qualname__', repr(target))}"
        else:
            raise ProcessStartError(
                f"process {name}: target must be a callable or 'package.module:function', not "
                f"{type(target).__name__}",
                name,
            )
        try:
            call = pack_call(target, tuple(args), dict(kwargs))
        except Exception as error:
            raise ProcessStartError(
                f"process {name}: the child could not import {text} or be given its arguments: "
                f"{error}; the target must be a function at the top of a module, the arguments "
                "what pickle can carry",
                name,
            ) from error
        self._hub.add_process(name)
        self._writer.add_process(name)
        self.children[name] = _Child(name, text, call, policy, hang)

    def get(self, name: str) -> _Child:
        """Return the child of that name. Raises `ProcessNotFound`."""
        try:
            return self.children[name]
        except KeyError:
            known = ", ".join(sorted(self.children)) or "none"
            raise ProcessNotFound(
                f"no process is named {name!r} (there are: {known})", name
            ) from None

    # ------------------------------------------------------------- what is asked for

    async def start_all(self) -> None:
        """Start every child that was not started yet, one after another."""
        for process in list(self.children.values()):
            if process.started_at is None:
                self.start(process)
            if process._starting is not None:
                await asyncio.wait({process._starting})

    def start(self, process: _Child) -> None:
        """Start a child that has no process; one that is stopping, when it has stopped."""
        if self._stopping:
            return
        self._hub.process_comes(process.name)
        process._budget.reset()
        if process.state is ProcessState.STOPPING:
            process._again = True
        elif process._life is None and process.state is not ProcessState.STARTING:
            self._begin(process, 0.0)

    def restart(self, process: _Child) -> None:
        """Stop a child if it has a process, and start it again."""
        if self._stopping:
            return
        self._hub.process_comes(process.name)
        process._budget.reset()
        if process._is_spawned or process.state is ProcessState.STOPPING:
            process._again = True
            if self._leave(process):
                self._stop_soon(process)
        elif process.state is not ProcessState.STARTING:
            self._begin(process, 0.0, again=process.started_at is not None)

    def has_begun(self, process: _Child) -> bool:
        """Return whether a child runs, or has failed, with files as they were until now.

        The process of any other has yet to be started, if it ever is, and will load what is there.
        """
        if process.state is ProcessState.STARTING:
            return process._is_spawned
        return process.state in (ProcessState.RUNNING, ProcessState.BACKOFF, ProcessState.FAILED)

    async def ask(
        self, process: _Child, op: str, timeout: float, **fields: Any
    ) -> dict[str, Any] | None:
        """Send a child a word that it answers; return the answer, or None where none comes."""
        life = process._life
        if life is None or not life.is_spawned:
            return None
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._questions[number] = process, answer
        try:
            life.peer.control(op=op, request=number, **fields)
            return await asyncio.wait_for(answer, timeout)
        except asyncio.TimeoutError:
            return None
        finally:
            del self._questions[number]

    def _answered(self, process: _Child, number: int, fields: dict[str, Any]) -> None:
        asked, answer = self._questions.get(number, (None, None))
        if asked is process and answer is not None and not answer.done():
            answer.set_result(fields)

    def stop(self, process: _Child) -> None:
        """Stop a child; it is not started again by itself."""
        process._again = False
        if self._leave(process):
            self._stop_soon(process)

    async def wait_ready(self, process: _Child, timeout: float | None) -> None:
        """Wait until a child is RUNNING. Raises `ProcessStartError` or `ProcessTimeout`."""
        try:
            await asyncio.wait_for(self._until_ready(process), timeout)
        except asyncio.TimeoutError:
            raise ProcessTimeout(
                f"process {process.name} was not ready within {timeout:g} s: it is "
                f"{process.state.value}",
                process.name,
            ) from None

    async def _until_ready(self, process: _Child) -> None:
        while process.state is not ProcessState.RUNNING:
            ended = process.state in _OVER and process.outcome is not None
            if ended and process._starting is None:
                raise ProcessStartError(
                    f"process {process.name} is {process.state.value} and not about to start: "
                    f"{process.outcome}",
                    process.name,
                )
            await process._changed()

    # ------------------------------------------------------------- states

    def _enter(self, process: _Child, state: ProcessState, line: str, level: str = "INFO") -> None:
        """Change a child's state; `line`, if not empty, says so in the log."""
        process._enter(state)
        if state in _OVER:
            process._listening.close()
        if line:
            log.logger.log(level, line)
        self._hooks.state(process.name, state)

    def _ready(self, process: _Child, life: Life, called: bool) -> None:
        life.called_ready |= called
        process._has_been_ready = True
        if process.state is not ProcessState.STARTING:
            return
        seconds = monotonic() - life.begun
        line = f"process {process.name} is ready, {seconds:.2f} s after its start"
        self._enter(process, ProcessState.RUNNING, line)
        if process._is_restart:
            self._run(self._hooks.call_all("on_after_restart", process.name))

    # ------------------------------------------------------------- starting

    def _begin(self, process: _Child, delay: float, *, again: bool = False) -> None:
        """Have a child started; the line that says so comes when it has a process."""
        if process._starting is not None:
            process._starting.cancel()
        process._is_restart = again
        if not delay:
            self._enter(process, ProcessState.STARTING, "")
        process._starting = self._run(self._start(process, delay))

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_broken(error)

    async def _start(self, process: _Child, delay: float) -> None:
        try:
            if delay:
                await asyncio.sleep(delay)
                self._enter(process, ProcessState.STARTING, "")
            if process._is_restart:
                process.restarts += 1
                if not process._restart_announced:
                    await self._hooks.call_in_time(
                        {process.name: ["on_before_process_restart"]},
                        self._stop_timeout * stopping.HOOK_SHARE,
                    )
                process._restart_announced = False
            await self._spawn(process)
        finally:
            if process._starting is asyncio.current_task():
                process._starting = None

    async def _spawn(self, process: _Child) -> None:
        def on_word(fields: dict[str, Any]) -> None:
            word = self._word(process, life, fields)
            if word is not None:
                life.soon(word)

        def on_end() -> None:
            self._run(self._ended(process, life))

        def on_pid(pid: int | None) -> None:
            process.pid = pid
            process.last_pid = pid or process.last_pid

        life = process._life = Life(process.name, self._hub, self._writer, on_word, on_end, on_pid)
        try:
            await life.spawn(partial(self._spec, process), process._listening)
        except Exception as error:
            process._again = False
            process._starting = None
            end = End(
                process.name,
                process.state,
                process._has_been_ready,
                not self._stopping,
                is_spawned=False,
                failure=repr(error),
            )
            self._act(process, end)
        finally:
            if life.is_spawned:
                self._spawned(process, life)
            else:
                process._life = None

    def _spec(
        self,
        process: _Child,
        link: Endpoint,
        output: WriteEnd,
        way: Endpoint | None,
        report: Report | None,
    ) -> ChildSpec:
        return ChildSpec(
            process.name,
            process.target,
            process._call,
            link,
            output,
            way,
            report,
            self._log_config._replace(process=process.name),
            self._hub.max_message_bytes,
            self._hub.store.cells,
            self._store_cache_bytes,
            self._stop_timeout,
        )

    def _spawned(self, process: _Child, life: Life) -> None:
        process.exitcode = None
        process.started_at = datetime.now(timezone.utc)
        log.logger.info(f"process {process.name} started (pid {life.pid})")
        process._watch = Watch(process, life.peer, process._hang, life.kill, life.report)
        self._health.add(process._watch)

    # ------------------------------------------------------------- what children say

    def _word(
        self, process: _Child, life: Life, fields: dict[str, Any]
    ) -> Callable[[], object] | None:
        """Return what is to be done on the loop for a word of a child's, if anything.

        On the reader's thread. Raises `FrameError` for one that is not known.
        """
        if fields == life.said_ready:
            return None  # Once is enough.
        life.count_word()
        match fields:
            case {"op": "ready", "called": bool() as called}:
                life.said_ready = fields
                return lambda: self._ready(process, life, called)
            case {"op": "failed", "why": str() as why}:
                why = "".join(c if c.isprintable() else " " for c in why[:_WHY_CHARACTERS])
                return lambda: setattr(life, "failure", why)
            case {"op": "pulse"} if (watch := process._watch) is not None:
                return (lambda: self._health.look(watch)) if watch.arrived(fields) else None
            case {"op": "listen", "host": str(host), "port": int(port), "backlog": int(backlog)}:
                run = self._hub.local.context.dispatcher.threads.run
                return lambda: self._run(process._listening.asked(host, port, backlog, run))
            case {"op": "restart", "name": str() | None as name}:
                short = name and name[:_WHY_CHARACTERS]
                return lambda: self._restart_asked(process, short)
            case {
                "op": "answer",
                "request": int(number),
                "loaded": list(loaded),
                "near": list(near),
            } if all(isinstance(path, str) for path in (*loaded, *near)):
                return lambda: self._answered(process, number, fields)
            case _:
                raise FrameError(f"control frame {fields!r:.400} is not known")

    def _restart_asked(self, process: _Child, name: str | None) -> None:
        try:
            wanted = process if name is None else self.get(name)
        except ProcessNotFound as error:
            log.logger.error(f"process {process.name} has asked for a restart: {error}")
            return
        log.logger.info(f"process {process.name} has asked for a restart of {wanted.name}")
        self.restart(wanted)

    # ------------------------------------------------------------- an end

    async def _ended(self, process: _Child, life: Life) -> None:
        try:
            process.exitcode = await life.drain()
            process._listening.close_way()
            self._health.forget(process)
            life.close()
            process._life = process._watch = None
            again, process._again = process._again, False
            self._act(
                process,
                End(
                    process.name,
                    process.state,
                    process._has_been_ready,
                    not self._stopping,
                    again=again,
                    code=process.exitcode,
                    called=life.called_ready,
                    clean=life.peer.clean,
                    forced=life.has_crashed,
                    failure=life.failure,
                ),
            )
        finally:
            process._life = None if process._life is life else process._life
            life.ended.set()

    def _act(self, process: _Child, end: End) -> None:
        """Do what follows from an end: start the child again, or give it up."""
        verdict = judge(end, process._budget, monotonic())
        process.outcome = verdict.outcome
        if verdict.counts:
            process._budget.count(monotonic())
        if verdict.delay is None:
            self._enter(process, verdict.state, verdict.line, verdict.level)
            self._hub.process_ended(process.name, verdict.error, verdict.reason)
            return
        self._hub.process_ended(process.name, verdict.error, verdict.reason, for_good=False)
        if verdict.state is ProcessState.BACKOFF:
            self._enter(process, verdict.state, verdict.line, verdict.level)
        else:
            log.logger.log(verdict.level, verdict.line)
        self._begin(process, verdict.delay, again=True)

    # ------------------------------------------------------------- stopping

    async def stop_all(self, deadline: float) -> None:
        """Stop every child by `deadline`; none is started again from now on."""
        self._stopping = True
        for process in self.children.values():
            self._leave(process)
        stopping = [p for p in self.children.values() if p.state is ProcessState.STOPPING]
        await self._stop(stopping, deadline)

    def _leave(self, process: _Child) -> bool:
        """Note that a child is to stop; return whether that is still to be done."""
        if process._life is not None:
            if process.state is ProcessState.STOPPING:
                return False
            self._enter(process, ProcessState.STOPPING, f"process {process.name} is to stop")
            return True
        if process._starting is not None:
            process._starting.cancel()
            process._starting = None
            self._not_started(process)
        return False

    def _not_started(self, process: _Child) -> None:
        process.outcome = "it was stopped before it was started"
        line = f"process {process.name}: {process.outcome}"
        self._enter(process, ProcessState.STOPPED, line)
        self._hub.process_ended(process.name, ChannelClosed, line)

    def _stop_soon(self, process: _Child) -> None:
        self._run(self._stop([process], monotonic() + self._stop_timeout))

    async def _stop(self, processes: list[_Child], deadline: float) -> None:
        """Stop children by `deadline`: hooks, then ask, then terminate, then kill."""
        begun = monotonic()
        span = max(0.0, deadline - begun)
        starting = [p._starting for p in processes if p._starting is not None]
        for task in starting:
            task.cancel()
        if starting:
            await asyncio.wait(starting, timeout=span)
        alive = {p: p._life for p in processes if p._life is not None and p._life.is_spawned}
        calls: dict[str, list[Kind]] = {}
        for process in alive:
            kinds = calls[process.name] = ["on_before_process_shutdown"]
            if process._again:
                process._restart_announced = True
                kinds.insert(0, "on_before_process_restart")
        await self._hooks.call_in_time(calls, begun + span * stopping.HOOK_SHARE - monotonic())
        for process in alive:
            if not process._again or self._stopping:
                process._listening.close()
        await stopping.stop(alive.values(), begun, deadline)

    def kill_all(self) -> None:
        """Kill every child at once. From any thread, also in a signal handler."""
        for process in list(self.children.values()):
            if process._life is not None:
                process._life.kill()
