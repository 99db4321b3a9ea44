"""LiteyukiBot: the main process. It composes the rooms: settings, hub, supervisor, hooks, signals.

Ownership. `run` owns the loop and has signals caught; what it starts it ends, within the one
deadline of its `Stop`: tasks of hooks, children, shutdown hooks, the hub, the loop, the log's
writer.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from types import MappingProxyType
from typing import Any, TypeVar

from . import log
from .comm import current
from .comm.context import Context
from .comm.hub.letters import DeadLetter
from .comm.hub.main import Main
from .config import Settings, unknown_keys
from .errors import LiteyukiError, NotConnected
from .hooks import Hooks, name_of
from .process.health import Hang, HangAction
from .process.project_lock import ProjectLock
from .process.reload import Reload, find_watched
from .process.restart import RestartPolicy
from .process.state import ChildProcess, ProcessState
from .process.supervisor import Supervisor
from .replacement import Replacement
from .signals import Signals
from .stop import Stop
from .writer import Writer

Hook = TypeVar("Hook", bound=Callable[[], Any])
ProcessHook = TypeVar("ProcessHook", bound=Callable[[str], Any])
StateHook = TypeVar("StateHook", bound=Callable[[str, ProcessState], Any])

_FLUSH_SECONDS = 1.0
"""Time for standard output and the log file to take what is left of the log, at least."""
_DRAIN_SECONDS = 2.0
"""Time for callbacks to end when children are gone; it is part of the time for stopping."""

_bot: LiteyukiBot | None = None


def get_bot() -> LiteyukiBot:
    """Return this process's LiteyukiBot. Raises `NotConnected` where there is none."""
    if _bot is None:
        raise NotConnected(
            "there is no LiteyukiBot in this process: get_bot() belongs to the main process, "
            "after LiteyukiBot() was created"
        )
    return _bot


class LiteyukiBot:
    """The main process: it hosts channels and supervises child processes.

    Create one in bot.py, under `if __name__ == "__main__":`, add processes, then `run` it.
    Raises `ConfigError` for a setting that is not allowed, `StoreError` or `AlreadyRunning` where
    another LiteyukiBot has the store's file.
    """

    def __init__(self) -> None:
        global _bot
        if _is_imported_again():
            raise LiteyukiError(
                "bot.py is imported again by each child process: put LiteyukiBot() and all "
                'that follows under `if __name__ == "__main__":`'
            )
        process = current.process()
        if process is not None:
            raise LiteyukiError(
                f"this is child process {process}, and its main process has a LiteyukiBot already: "
                "use get_channel, active_channel, passive_channel and shared_memory here; "
                'LiteyukiBot() belongs under `if __name__ == "__main__":` of bot.py'
            )
        if _bot is not None and _bot._loop is not None:
            raise LiteyukiError("a LiteyukiBot runs in this process already")
        self._settings = Settings.load()
        log_config = log.configure(self._settings.log)
        self._writer = Writer(log_config, self._settings.log_to)
        for line in unknown_keys():
            log.logger.warning(line)
        self._lock = ProjectLock()
        if self._settings.store_path is not None:
            self._lock.look()  # Or who is second hears of the store's file first, not of the pid.
        self._context = Context(
            None, max_message_bytes=self._settings.max_message_bytes, own_loop=False
        )
        self._comm = Main(
            self._context,
            max_redeliveries=self._settings.max_redeliveries,
            store_path=self._settings.store_path,
        )
        self._hub = self._comm.hub
        self._hooks = Hooks(self._context.dispatcher.threads)
        self._supervisor = Supervisor(
            self._comm,
            log_config,
            self._writer,
            self._hooks,
            self._broken,
            store_cache_bytes=self._settings.store_cache_bytes,
            stop_timeout=self._settings.stop_timeout,
            hang_timeout=self._settings.hang_timeout,
        )
        self._fault: BaseException | None = None
        self._reload = Reload(
            self._supervisor,
            self._context.dispatcher.threads,
            self.restart,
            everywhere=self._settings.reload,
        )
        self._children_start = False
        """Whether children that are added are started at once."""
        self._replacement = Replacement()
        self._exit: BaseException | None = None
        """What a callback has raised to end this process."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        self._stop = Stop(self._settings.stop_timeout, self._end_by_force)
        self._stop_early = False
        # Who sends a signal wants an end, and no new process.
        self._signals = Signals(self._stop, self._replacement.forget, self._supervisor.kill_all)
        self._has_run = False
        self._hook_tasks: set[asyncio.Task[None]] = set()
        self._context.dispatcher.on_exit = self._exits
        current.install(self._context)
        _bot = self

    # ------------------------------------------------------------- children

    def add_process(
        self,
        name: str,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        restart: RestartPolicy | None = None,
        hang_timeout: float | None = None,
        hang_action: HangAction | None = None,
        watch: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        """Add a child process that calls `target(*args, **kwargs)`.

        `target` is a function at the top of a module, or `"package.module:function"`, which
        is imported in the child only; a coroutine function is run to its end. The channels
        `NAME-active` and `NAME-passive` exist from now on; the process starts with `run`, or
        at once if the bot runs. `restart` says when it is started again after it has ended by
        itself, as `RestartPolicy()` if it is not given. A change of a Python file, .env file or
        pyproject.toml in a folder of `watch`, or of a file that is named there, restarts it;
        with LITEYUKI_RELOAD on, one without `watch` is restarted for files that it has loaded.
        It hangs when it has not answered, or its event loop was blocked, for `hang_timeout`
        seconds (0: it is not watched); `hang_action` "warn" logs that, "restart" kills it, which
        counts as a crash. None is what LITEYUKI_HANG_TIMEOUT and LITEYUKI_HANG_ACTION say.

        Raises `ProcessExists`, `ProcessStartError`, `ChannelExists`, `ValueError` or `TypeError`
        for a name that no channel could have or for what is not allowed.
        """
        policy = RestartPolicy() if restart is None else restart
        if not isinstance(policy, RestartPolicy):
            raise TypeError(f"restart must be a RestartPolicy, not {type(policy).__name__}")
        watched = find_watched(name, watch)
        settings = self._settings
        hang = Hang(
            settings.hang_timeout if hang_timeout is None else hang_timeout,
            settings.hang_action if hang_action is None else hang_action,
        )
        self._supervisor.add(name, target, tuple(args), dict(kwargs or {}), policy, hang)
        if watched:
            self._reload.add(name, watched)
            self._on_loop(self._reload.look_again)
        if self._children_start:
            self._on_loop(lambda: self._supervisor.start(self._supervisor.get(name)))

    @property
    def processes(self) -> Mapping[str, ChildProcess]:
        """The child processes by name."""
        return MappingProxyType(self._supervisor.children)

    async def wait_ready(self, name: str, timeout: float | None = None) -> None:
        """Wait until a child is RUNNING, at most `timeout` seconds. On LiteyukiBot's loop.

        A NoneBot child is RUNNING when its startup hooks have ended and its port accepts, any other
        when it is connected and its target imported, or, decorated with `calls_ready`, when it
        calls `ready`. Raises `ProcessNotFound`; `ProcessStartError` for one that has ended and
        is not about to start; `ProcessTimeout`.
        """
        await self._supervisor.get(name).wait_ready(timeout)

    def start_process(self, name: str) -> None:
        """Have a child that is stopped or has failed started; returns at once. From any thread.

        One that is stopping is started when it has stopped, nothing happens to one that runs.
        Raises `ProcessNotFound`.
        """
        course = self._supervisor.get(name)
        self._hub.process_comes(name)
        self._on_loop(lambda: self._supervisor.start(course))

    def stop_process(self, name: str) -> None:
        """Have a child stopped, as when the bot stops; returns at once. From any thread.

        It has LITEYUKI_STOP_TIMEOUT seconds. What its channels hold is kept for `start_process`.
        Raises `ProcessNotFound`.
        """
        course = self._supervisor.get(name)
        self._on_loop(lambda: self._supervisor.stop(course))

    def restart_process(self, name: str) -> None:
        """Have a child stopped, if it runs, and started again; returns at once. From any thread.

        What is under way on its channels is kept for its successor. Asked for again before the
        child has ended, it is started again once. Raises `ProcessNotFound`.
        """
        course = self._supervisor.get(name)
        self._hub.process_comes(name)
        self._on_loop(lambda: self._supervisor.restart(course))

    # ------------------------------------------------------------- channels

    @property
    def channels(self) -> Mapping[str, Mapping[str, int]]:
        """What is counted of every channel that has a name, both directions together.

        By name: `sent`, `acknowledged`, `redelivered`, `dropped`, `backlog` (sent and not yet
        handled) in messages, `capacity` of a direction, `bytes` serialised. From any thread.
        """
        return self._hub.statistics()

    def dead_letters(self) -> list[DeadLetter]:
        """Return the messages that were set aside, the oldest first. From any thread.

        They were being handled in LITEYUKI_MAX_REDELIVERIES crashes in a row. Each can be put back
        or discarded; until then it stays here, in memory.
        """
        return self._hub.dead_letters()

    # ------------------------------------------------------------- hooks

    def on_before_start(self, hook: Hook) -> Hook:
        """Decorate a hook, sync or async, that runs before children start; it is waited for."""
        self._hooks.add("on_before_start", hook)
        return hook

    def on_after_start(self, hook: Hook) -> Hook:
        """Decorate a hook, sync or async, that runs once children are started.

        It runs beside everything else and may go on for ever; when the bot stops it is cancelled.
        """
        self._hooks.add("on_after_start", hook)
        return hook

    def on_after_shutdown(self, hook: Hook) -> Hook:
        """Decorate a hook, sync or async, that runs when children are gone, last added first.

        It has what is left of the time for stopping.
        """
        self._hooks.add("on_after_shutdown", hook)
        return hook

    def on_before_process_shutdown(self, hook: ProcessHook) -> ProcessHook:
        """Decorate a hook, sync or async, that gets the name of a child before that is stopped.

        Its channels still work. It is waited for, but no longer than for a third of the time for
        stopping. It is not called for a child that ends by itself.
        """
        self._hooks.add("on_before_process_shutdown", hook)
        return hook

    def on_before_process_restart(self, hook: ProcessHook) -> ProcessHook:
        """Decorate a hook, sync or async, that gets the name of a child before its restart.

        Before it is stopped where a restart was asked for, before it is started again where it
        has ended by itself. It is waited for as that before a shutdown is.
        """
        self._hooks.add("on_before_process_restart", hook)
        return hook

    def on_after_restart(self, hook: ProcessHook) -> ProcessHook:
        """Decorate a hook, sync or async, that gets the name of a child that is RUNNING again."""
        self._hooks.add("on_after_restart", hook)
        return hook

    def on_process_state(self, hook: StateHook) -> StateHook:
        """Decorate a hook, sync or async, that gets a child's name and each state it enters.

        They are called one after another, in order; a slow one delays those that follow.
        """
        self._hooks.add("on_process_state", hook)
        return hook

    # ------------------------------------------------------------- running

    def run(self) -> None:
        """Start everything and return when stopped: by `stop`, SIGINT or SIGTERM.

        Call it once, on the main thread if signals are to stop it. Stopping takes at most
        LITEYUKI_STOP_TIMEOUT seconds; a second signal ends everything at once.

        A SystemExit or KeyboardInterrupt of a callback stops everything too, and is raised then.

        Raises `AlreadyRunning` where another LiteyukiBot runs in this working directory,
        `ConfigError` for a log file that can't be opened.
        """
        global _bot
        if self._has_run:
            raise LiteyukiError("this LiteyukiBot has run; create a new one")
        self._has_run = True
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            self._lock.acquire()
            self._writer.start()
            main = loop.create_task(self._main(loop), name="liteyuki-main")
            try:
                loop.run_until_complete(main)
            except BaseException as error:
                if not main.done():  # A hook has ended the loop, not the bot.
                    self._stop.ask(repr(error))
                    loop.run_until_complete(main)
                raise
        finally:
            self._loop = None
            try:
                self._settle(loop)
            finally:
                asyncio.set_event_loop(None)
                loop.close()
                self._context.close(0.5)
                self._comm.store.close(max(1.0, self._stop.left()))
                current.uninstall(self._context)
                if _bot is self:
                    _bot = None
                self._writer.close(max(_FLUSH_SECONDS, self._stop.left()))
                self._stop.close()
                self._lock.release()
        if self._fault is not None:
            raise self._fault
        if self._exit is not None:
            raise self._exit
        self._replacement.replace()

    def stop(self) -> None:
        """Ask the bot to stop; returns at once. From any thread, hook or callback. Idempotent."""
        self._stop_early = True
        self._on_loop(lambda: self._stop.ask("asked to stop"))

    def restart(self) -> None:
        """Stop everything, then replace this process by a new one; returns at once.

        From any thread, hook or callback. The new one runs the same command in the same directory
        with the same process id; on Windows it is a child of this process, which only waits for it.
        Keys of shared_memory that are durable are there again, what channels hold is not.
        """
        self._replacement.want()
        self._stop_early = True
        self._on_loop(lambda: self._stop.ask("asked to restart"))

    async def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._signals.catch(loop)
        self._context.dispatcher.bind(loop)
        telling = loop.create_task(self._hooks.tell_states(), name="liteyuki-states")
        try:
            if self._stop_early:
                return
            starting = loop.create_task(self._start(), name="liteyuki-start")
            stopping = loop.create_task(self._stop.asked.wait(), name="liteyuki-stop")
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                starting.result()
                await stopping
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting}, timeout=self._stop.left())
        finally:
            try:
                await self._shutdown()
            finally:
                telling.cancel()
                self._signals.release()

    async def _start(self) -> None:
        self._in_background(self._reload.run())
        await self._hooks.call_all("on_before_start")
        self._children_start = True
        await self._supervisor.start_all()
        for hook in self._hooks.of("on_after_start"):
            self._in_background(self._hooks.call(hook, "on_after_start"))

    def _on_loop(self, call: Callable[[], object]) -> None:
        loop = self._loop
        if loop is None:
            return
        if threading.get_ident() == self._thread:
            call()  # So that its caller sees the new state.
            return
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # It has stopped meanwhile.

    def _in_background(self, coroutine: Any) -> None:
        assert self._loop is not None
        task = self._loop.create_task(coroutine)
        self._hook_tasks.add(task)
        task.add_done_callback(self._hook_tasks.discard)

    async def _shutdown(self) -> None:
        self._stop.ask("stopping")
        for task in self._hook_tasks:
            task.cancel()
        await self._supervisor.stop_all(monotonic() + self._stop.left())
        await self._context.dispatcher.drain(min(_DRAIN_SECONDS, self._stop.left()))
        await self._hooks.states_told(min(_DRAIN_SECONDS, self._stop.left()))
        self._context.dispatcher.unbind()
        for hook in reversed(self._hooks.of("on_after_shutdown")):
            guarded = asyncio.ensure_future(self._hooks.call(hook, "on_after_shutdown"))
            done, _ = await asyncio.wait({guarded}, timeout=self._stop.left())
            if not done:
                guarded.cancel()
                log.logger.error(
                    f"on_after_shutdown hook {name_of(hook)} did not end in time and is left"
                )
        log.logger.info("LiteyukiBot has stopped")

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            for task in pending:
                log.logger.error(f"task {task.get_name()} ignored its cancellation and is left")
        loop.run_until_complete(loop.shutdown_asyncgens())

    # ------------------------------------------------------------- stopping

    def _exits(self, error: BaseException) -> None:
        self._exit = self._exit or error
        self._stop.ask(repr(error))

    def _broken(self, error: BaseException) -> None:
        self._fault = self._fault or error
        log.logger.opt(exception=error).critical(
            "LiteyukiBot itself is broken: please report this; everything is stopped"
        )
        self._stop.ask(repr(error))

    def _end_by_force(self) -> None:
        """End everything, as the loop hangs. On a thread of its own."""
        self._supervisor.kill_all()
        log.logger.critical("LiteyukiBot's loop hangs and could not stop in time; ended by force")
        self._writer.close(_FLUSH_SECONDS)
        os._exit(1)


def _is_imported_again() -> bool:
    """Return whether multiprocessing is just importing the main file in a process it has spawned.

    It does that before the process has a context, under a name that is the main module's after it.
    """
    main = sys.modules.get("__mp_main__")
    return main is not None and main is not sys.modules.get("__main__")
