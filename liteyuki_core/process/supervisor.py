"""The main process's side of child processes: starting, watching, stopping.

Ownership. The supervisor runs on LiteyukiBot's loop and decides there. For each child it owns
the multiprocessing process, a thread that waits for that process to end (the only one that
reaps it), and through the hub the link. A child's end is taken notice of once: when the
process has ended and its link was read to the end.
"""

from __future__ import annotations

import asyncio
import enum
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
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
    ProcessExists,
    ProcessStartError,
)
from . import child

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_ASK_SHARE = 0.6
_TERMINATE_SHARE = 0.85
_DRAIN_SECONDS = 1.0


class ProcessState(enum.Enum):
    """Where a child process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class ChildProcess:
    """What can be seen of a child process. Read it from any thread."""

    def __init__(self, name: str, target: str, call: bytes) -> None:
        self.name = name
        self.target = target
        self.state = ProcessState.STOPPED
        self.pid: int | None = None
        self.exitcode: int | None = None
        self.started_at: datetime | None = None
        self._call = call
        self._process: SpawnProcess | None = None
        self._peer: LinkPeer | None = None
        self._ended = asyncio.Event()
        self._link_ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<ChildProcess {self.name!r} {self.state.value} pid={self.pid}>"


class Supervisor:
    """Starts and stops the children. `add` from any thread, the rest on LiteyukiBot's loop."""

    def __init__(self, hub: Hub, log_config: log.LogConfig) -> None:
        self._hub = hub
        self._log_config = log_config
        self.children: dict[str, ChildProcess] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def add(
        self,
        name: str,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
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
        added = self.children[name] = ChildProcess(name, text, call)
        return added

    async def start(self, process: ChildProcess) -> None:
        """Start one child and return once it is spawned; a failure is logged, the state says so."""
        hub = self._hub
        process.state = ProcessState.STARTING
        process._ended.clear()
        process._link_ended.clear()
        loop = asyncio.get_running_loop()
        ours, theirs = connection_pair()
        spec = child.ChildSpec(
            process.name,
            process.target,
            process._call,
            theirs,
            self._log_config,
            hub.max_message_bytes,
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
            process.state = ProcessState.FAILED
            log.logger.opt(exception=error).error(f"process {process.name}: can't be started")
            return
        finally:
            # Only the child may hold its end, or nobody would notice its death.
            theirs.close()
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

        def running() -> None:
            if process.state is ProcessState.STARTING:
                process.state = ProcessState.RUNNING

        process._peer = self._hub.connect(
            process.name, ours, link_ended, lambda: _on_loop(loop, running)
        )

        def wait() -> None:
            spawned.join()
            _on_loop(loop, ended)

        def ended() -> None:
            task = loop.create_task(self._ended(process, spawned), name=f"ended-{process.name}")
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

        threading.Thread(target=wait, name=f"liteyuki-wait-{process.name}", daemon=True).start()

    async def _ended(self, process: ChildProcess, spawned: SpawnProcess) -> None:
        peer = process._peer
        assert peer is not None
        try:
            await asyncio.wait_for(process._link_ended.wait(), _DRAIN_SECONDS)
        except asyncio.TimeoutError:
            # Something the child started holds the connection open.
            peer.link.close(0)
        code = process.exitcode = spawned.exitcode
        asked = process.state is ProcessState.STOPPING
        how = _describe(code)
        kind: type[ChannelError] = ChannelClosed
        outcome = f"process {process.name} {how}"
        if code == 0 or asked:
            process.state = ProcessState.STOPPED
            log.logger.info(outcome)
        else:
            process.state = ProcessState.FAILED
            why = f": {peer.failure}" if peer.failure else "; its own lines above say why"
            log.logger.error(f"{outcome}{why}")
            kind = ChannelBroken
        self._hub.process_ended(process.name, kind, f"{outcome} and is not started again")
        spawned.close()
        process._process = None
        process._ended.set()

    async def stop_all(self, deadline: float) -> None:
        """Stop every child by `deadline`: ask, then terminate, then kill."""
        alive = [process for process in self.children.values() if process._process is not None]
        begun = monotonic()
        span = max(0.0, deadline - begun)
        for process in alive:
            process.state = ProcessState.STOPPING
            if process._peer is not None:
                process._peer.tell(op="stop", seconds=span * _ASK_SHARE)
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
