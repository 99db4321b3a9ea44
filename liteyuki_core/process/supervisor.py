"""The main process's side of child processes: starting, watching, stopping, starting again.

Ownership. The supervisor runs on LiteyukiBot's loop and decides there. For each child it owns
the multiprocessing process, a thread that waits for that process to end (the only one that
reaps it), and through the hub the link. A child's end is taken notice of once: when the
process has ended and its link was read to the end; then it is decided what follows.

Invariants: a child has one process at most; it is about to have one (`_starting`), has one
(`_process`), or neither. Whoever wants it stopped and started again says so in `_again`, and
the end of the process that it has then sees to it: restarts asked for at once are one.
"""

from __future__ import annotations

import asyncio
import enum
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING, Any

from .. import log
from ..comm.channel import check_name
from ..comm.hub import Hub
from ..comm.link import connection_pair
from ..comm.peer import LinkPeer
from ..errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelError,
    FrameError,
    ProcessExists,
    ProcessNotFound,
    ProcessStartError,
)
from . import child
from .listening import Listening
from .restart import RestartPolicy, Restarts

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_ASK_SHARE = 0.6
_TERMINATE_SHARE = 0.85
_DRAIN_SECONDS = 1.0

COULD_NOT_START = 3
"""Exit code of a child that could not start and would not if it were started again."""


class ProcessState(enum.Enum):
    """Where a child process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    STOPPED = "stopped"
    FAILED = "failed"


_ABOUT_TO_START = (ProcessState.STARTING, ProcessState.BACKOFF)


class ChildProcess:
    """What can be seen of a child process. Read it from any thread.

    `exitcode` is the last one's, `restarts` how often it was started again, `started_at` in UTC.
    """

    def __init__(self, name: str, target: str, call: bytes, policy: RestartPolicy) -> None:
        self.name = name
        self.target = target
        self.state = ProcessState.STOPPED
        self.pid: int | None = None
        self.exitcode: int | None = None
        self.started_at: datetime | None = None
        self.restarts = 0
        self._call = call
        self._budget = Restarts(policy)
        self._starting: asyncio.Task[None] | None = None
        self._again = False
        self._failure: str | None = None
        self._process: SpawnProcess | None = None
        self._peer: LinkPeer | None = None
        self._listening = Listening()
        self._ended = asyncio.Event()
        self._link_ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<ChildProcess {self.name!r} {self.state.value} pid={self.pid}>"


class Supervisor:
    """Starts and stops the children. `add` from any thread, the rest on LiteyukiBot's loop."""

    def __init__(
        self,
        hub: Hub,
        log_config: log.LogConfig,
        *,
        store_cache_bytes: int,
        stop_timeout: float,
    ) -> None:
        self._hub = hub
        self._log_config = log_config
        self._store_cache_bytes = store_cache_bytes
        self._stop_timeout = stop_timeout
        self.children: dict[str, ChildProcess] = {}
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    def add(
        self,
        name: str,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        policy: RestartPolicy,
    ) -> ChildProcess:
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
            call = child.pack_call(target, tuple(args), dict(kwargs))
        except Exception as error:
            raise ProcessStartError(
                f"process {name}: the child could not import {text} or be given its arguments: "
                f"{error}; the target must be a function at the top of a module, the arguments "
                "what pickle can carry",
                name,
            ) from error
        self._hub.add_process(name)
        added = self.children[name] = ChildProcess(name, text, call, policy)
        return added

    def get(self, name: str) -> ChildProcess:
        """Return the child of that name. From any thread. Raises `ProcessNotFound`."""
        try:
            return self.children[name]
        except KeyError:
            known = ", ".join(sorted(self.children)) or "none"
            raise ProcessNotFound(
                f"no process is named {name!r} (there are: {known})", name
            ) from None

    async def start(self, process: ChildProcess) -> None:
        """Start a child that has no process; return once it is spawned, or has failed to be."""
        if process._process is None and not self._stopping:
            starting = process._starting
            if starting is None or process.state is not ProcessState.STARTING:
                starting = self._begin(process, 0.0)
            await asyncio.shield(starting)

    def restart(self, process: ChildProcess) -> None:
        """Stop a child if it has a process, and start it again."""
        if self._stopping:
            return
        self._hub.process_comes(process.name)
        if process._process is not None:
            process._again = True
            if process.state is not ProcessState.STOPPING:
                self._run(self.stop([process], monotonic() + self._stop_timeout))
        elif process._starting is None or process.state is not ProcessState.STARTING:
            self._begin(process, 0.0, again=process.started_at is not None)

    def stop_one(self, process: ChildProcess) -> None:
        """Stop a child; it is not started again by itself."""
        process._again = False
        if process.state is not ProcessState.STOPPING:
            self._run(self.stop([process], monotonic() + self._stop_timeout))

    def _begin(
        self, process: ChildProcess, delay: float, *, again: bool = False
    ) -> asyncio.Task[None]:
        if process._starting is not None:
            process._starting.cancel()
        process.state = ProcessState.BACKOFF if delay else ProcessState.STARTING
        process._starting = self._run(self._start(process, delay, again))
        return process._starting

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _start(self, process: ChildProcess, delay: float, again: bool) -> None:
        try:
            await asyncio.sleep(delay)
            if again:
                process.restarts += 1
            await self._spawn(process)
        finally:
            if process._starting is asyncio.current_task():
                process._starting = None

    async def _spawn(self, process: ChildProcess) -> None:
        hub = self._hub
        process.state = ProcessState.STARTING
        process._ended.clear()
        process._failure = None
        process._link_ended.clear()
        loop = asyncio.get_running_loop()
        ours, theirs = connection_pair()
        way = process._listening.open_way()
        spec = child.ChildSpec(
            process.name,
            process.target,
            process._call,
            theirs,
            way,
            self._log_config,
            hub.max_message_bytes,
            hub.store.cells,
            self._store_cache_bytes,
        )
        spawned = multiprocessing.get_context("spawn").Process(
            target=child.main, args=(spec,), name=f"liteyuki-{process.name}"
        )
        spawning = asyncio.ensure_future(
            hub.local.context.dispatcher.threads.run(lambda: _spawn(spawned))
        )
        try:
            await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await asyncio.wait([spawning])
            if spawning.exception() is None:
                self._started(process, spawned, ours, loop)
            raise
        except Exception as error:
            ours.close()
            process._listening.close_way()
            process._listening.close()
            process.state = ProcessState.FAILED
            log.logger.opt(exception=error).error(f"process {process.name}: can't be started")
            self._hub.process_ended(
                process.name, ChannelBroken, f"process {process.name} can't be started: {error}"
            )
            return
        finally:
            # Only the child may hold its end, or nobody would notice its death.
            theirs.close()
            if way is not None:
                way.close()
        self._started(process, spawned, ours, loop)

    def _started(
        self,
        process: ChildProcess,
        spawned: SpawnProcess,
        ours: Any,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        process._process = spawned
        process.pid = spawned.pid
        process.exitcode = None
        process.started_at = datetime.now(timezone.utc)
        log.logger.info(f"process {process.name} started (pid {process.pid})")

        def link_ended(why: str | None) -> None:
            if why is not None:
                log.logger.error(f"process {process.name}: its link is ended: {why}")
            _on_loop(loop, process._link_ended.set)

        def on_word(fields: dict[str, Any]) -> None:
            word = self._word(process, fields)
            _on_loop(loop, word)

        process._peer = self._hub.connect(process.name, ours, link_ended, on_word)

        def wait() -> None:
            spawned.join()
            _on_loop(loop, ended)

        def ended() -> None:
            self._run(self._ended(process, spawned))

        threading.Thread(target=wait, name=f"liteyuki-wait-{process.name}", daemon=True).start()

    def _word(self, process: ChildProcess, fields: dict[str, Any]) -> Callable[[], object]:
        """Return what is to be done on the loop for a word of a child's. On the reader's thread.

        Raises `FrameError` for one that is not known.
        """
        match fields:
            case {"op": "ready", "called": bool()}:
                return lambda: self._ready(process)
            case {"op": "failed", "why": str(why)}:
                return lambda: self._failed(process, why)
            case {"op": "listen", "host": str(host), "port": int(port), "backlog": int(backlog)}:
                run = self._hub.local.context.dispatcher.threads.run
                return lambda: self._run(process._listening.asked(host, port, backlog, run))
            case {"op": "restart", "name": str() | None as name}:
                return lambda: self._restart_asked(process, name)
            case _:
                raise FrameError(f"control frame {fields!r} is not known")

    def _ready(self, process: ChildProcess) -> None:
        if process.state is ProcessState.STARTING:
            process.state = ProcessState.RUNNING

    def _failed(self, process: ChildProcess, why: str) -> None:
        process._failure = why

    def _restart_asked(self, process: ChildProcess, name: str | None) -> None:
        try:
            wanted = process if name is None else self.get(name)
        except ProcessNotFound as error:
            log.logger.error(f"process {process.name} has asked for a restart: {error}")
            return
        log.logger.info(f"process {process.name} has asked for a restart of {wanted.name}")
        self.restart(wanted)

    async def _ended(self, process: ChildProcess, spawned: SpawnProcess) -> None:
        peer = process._peer
        assert peer is not None
        try:
            await asyncio.wait_for(process._link_ended.wait(), _DRAIN_SECONDS)
        except asyncio.TimeoutError:
            # Something the child started holds the connection open.
            peer.link.close(0)
        code = process.exitcode = spawned.exitcode
        outcome = f"process {process.name} {_describe(code)}"
        spawned.close()
        process._listening.close_way()
        process._process = None
        asked = process.state is ProcessState.STOPPING
        again, process._again = process._again, False
        if again and not self._stopping:
            self._hub.process_ended(process.name, ChannelClosed, outcome, for_good=False)
            log.logger.info(f"{outcome}; it is started again")
            self._begin(process, 0.0, again=True)
        elif asked:
            log.logger.info(outcome)
            self._gone_for_good(process, ProcessState.STOPPED, outcome)
        elif not self._start_after(process, code, outcome, process._failure):
            state = ProcessState.FAILED if code else ProcessState.STOPPED
            self._gone_for_good(process, state, outcome)
        process._ended.set()

    def _gone_for_good(self, process: ChildProcess, state: ProcessState, outcome: str) -> None:
        process.state = state
        process._listening.close()
        kind: type[ChannelError] = ChannelBroken if state is ProcessState.FAILED else ChannelClosed
        self._hub.process_ended(process.name, kind, f"{outcome} and is not started again")

    def _start_after(
        self, process: ChildProcess, code: int | None, outcome: str, failure: str | None
    ) -> bool:
        """Log how a child ended by itself; start it again if its policy says so."""
        budget = process._budget
        limit = f"{budget.policy.max_restarts} times in {budget.policy.window:g} s"
        if failure:
            outcome += f": {failure}"
        elif code and code > 0:
            outcome += "; its own lines above say why"
        say = log.logger.error if code else log.logger.info
        if self._stopping or not budget.policy.wants(code == 0):
            say(outcome)
            return False
        if failure or code == COULD_NOT_START:
            say(f"{outcome}; it could not start and is not started again")
            return False
        delay = budget.delay(monotonic())
        if delay is None:
            say(
                f"{outcome}; it was started again {limit} and is given up: mend it, then call "
                f"restart_process({process.name!r}) or restart the bot"
            )
            return False
        say(
            f"{outcome}; it is started again in {delay:g} s (restart {budget.recent} of at most "
            f"{limit})"
        )
        self._hub.process_ended(process.name, ChannelBroken, outcome, for_good=False)
        self._begin(process, delay, again=True)
        return True

    async def stop_all(self, deadline: float) -> None:
        """Stop every child by `deadline`; none is started again from now on."""
        self._stopping = True
        await self.stop(list(self.children.values()), deadline)

    async def stop(self, processes: list[ChildProcess], deadline: float) -> None:
        """Stop children by `deadline`: ask, then terminate, then kill."""
        begun = monotonic()
        span = max(0.0, deadline - begun)
        starting = [p._starting for p in processes if p._starting is not None]
        for task in starting:
            task.cancel()
        if starting:
            await asyncio.wait(starting, timeout=span)
        for process in processes:
            process._starting = None
            if process._process is None and process.state in _ABOUT_TO_START:
                process.state = ProcessState.STOPPED
                process._listening.close()
                why = f"process {process.name} was stopped"
                self._hub.process_ended(process.name, ChannelClosed, why)
        alive = [process for process in processes if process._process is not None]
        for process in alive:
            process.state = ProcessState.STOPPING
            if not process._again or self._stopping:
                process._listening.close()
            if process._peer is not None:
                process._peer.clean = True
                process._peer.control(op="stop", seconds=span * _ASK_SHARE)
        waits = {asyncio.ensure_future(p._ended.wait()): p for p in alive}
        for share, what in ((_ASK_SHARE, "terminate"), (_TERMINATE_SHARE, "kill"), (1.0, "")):
            if not waits:
                return
            left = begun + span * share - monotonic()
            done, _ = await asyncio.wait(waits, timeout=max(0.0, left))
            for wait in done:
                del waits[wait]
            for process in waits.values():
                if not what:
                    log.logger.critical(
                        f"process {process.name} (pid {process.pid}) can't be ended"
                    )
                    continue
                log.logger.warning(
                    f"process {process.name} has not stopped: {what} (pid {process.pid})"
                )
                if process._process is not None:
                    getattr(process._process, what)()
        for wait in waits:
            wait.cancel()

    def kill_all(self) -> None:
        """Kill every child at once. From any thread, also in a signal handler."""
        for process in list(self.children.values()):
            spawned = process._process
            if spawned is not None:
                try:
                    spawned.kill()
                except (ValueError, OSError):
                    pass  # It has just ended.


def _spawn(spawned: SpawnProcess) -> None:
    if sys.platform == "win32":
        spawned.start()
        return
    # The child starts with SIGINT held back, until it has left the terminal's process group.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        spawned.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # The loop is closed: nobody watches any more.


def _describe(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"was ended by signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"was ended by signal {-code}"
    return f"exited with code {code}"
