"""LiteyukiBot: the main process. It composes the rooms, from settings and hub to the sessions.

Ownership. `run` owns the event loop, and the signal handlers while the loop runs. It ends what it
has started, within the one deadline of its `Stop`: the tasks of hooks, the children, the shutdown
hooks, the loop, the hub with the store, and the log's writer.

Threads. One thread calls `run` and runs the loop. Any thread may call the other methods, unless
they say otherwise.

Invariant: a LiteyukiBot runs once, and one at a time in a process.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib import import_module
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from . import log
from .accounts import Account, Accounts
from .accounts.revival import Revival
from .comm import current
from .comm.channel import check_name, check_timeout
from .comm.context import Context
from .comm.hub.letters import DeadLetter
from .comm.hub.main import Main
from .comm.loop.callbacks import is_async
from .config import Settings, unknown_keys
from .errors import ConfigError, LiteyukiError, NotConnected, ProcessStartError
from .hooks import Hooks, name_of
from .language import Phrase, say
from .plugin import Plugin
from .plugin import current as plugin_current
from .plugin.loader import Loader
from .process.child.reachable import checked as checked_modules
from .process.health import Hang, HangAction
from .process.pool import RESTART
from .process.program.ready import HttpOk, LogLine, TcpPort
from .process.program.spec import Line
from .process.program.spec import checked as checked_program
from .process.project_lock import ProjectLock
from .process.reload import Reload, find_watched
from .process.restart import RestartPolicy
from .process.spec import is_file, name_of_target
from .process.state import ChildProcess, ProcessState
from .process.supervisor import Supervisor
from .process.terms import checked as checked_terms
from .replacement import Replacement
from .session import current as session_current
from .session.sessions import Sessions
from .signals import Signals
from .stop import Stop
from .writer import Writer

if TYPE_CHECKING:
    from .cluster.member import Member

Hook = TypeVar("Hook", bound=Callable[[], Any])
ProcessHook = TypeVar("ProcessHook", bound=Callable[[str], Any])
StateHook = TypeVar("StateHook", bound=Callable[[str, ProcessState], Any])
AccountHook = TypeVar("AccountHook", bound=Callable[[Account], Any])
NodeHook = TypeVar("NodeHook", bound="Callable[[Member], Any]")

_FLUSH_SECONDS = 1.0
"""Standard output and the log file have at least this time to take the end of the log."""
_DRAIN_SECONDS = 2.0
"""Callbacks have at most this time to end after the children. It is part of a stop's time."""
_ALERT_SECONDS = 5.0
"""Alerts have at most this time to be sent after the children. It is part of a stop's time."""

_CLUSTER_SECONDS = 1.0
"""What is on its way to other nodes has at least this time to leave."""

_LAUNCHER = "liteyuki_core.frameworks.nonebot:run"

_bot: LiteyukiBot | None = None


def get_bot() -> LiteyukiBot:
    """Return this process's LiteyukiBot. Raises `NotConnected` if there is none."""
    if _bot is None:
        child = current.process()
        if child is not None:
            raise NotConnected(
                f"this is child process {child}, and get_bot() belongs to its main process: put "
                "what a child runs into a module that does not call get_bot() at its import"
            )
        raise NotConnected(
            "there is no LiteyukiBot in this process: get_bot() belongs to the main process, "
            "after LiteyukiBot() was created"
        )
    return _bot


class LiteyukiBot:
    """The main process: it hosts channels and supervises child processes.

    Create one in bot.py, under `if __name__ == "__main__":`, add processes, then `run` it.
    Raises `ConfigError` if a setting is not allowed. Raises `StoreError` or `AlreadyRunning` if
    another LiteyukiBot has the store's file.
    """

    def __init__(self) -> None:
        global _bot
        if _is_imported_again():
            raise LiteyukiError(
                "bot.py is imported again by each child process: put LiteyukiBot() and all "
                'that follows under `if __name__ == "__main__":`'
            )
        child = current.process()
        if child is not None:
            raise LiteyukiError(
                f"this is child process {child}, and its main process has a LiteyukiBot already: "
                "use get_channel, active_channel, passive_channel and shared_memory here; "
                'LiteyukiBot() belongs under `if __name__ == "__main__":` of bot.py'
            )
        plugin = plugin_current.loading_plugin()
        if plugin is not None:
            raise LiteyukiError(
                f"plugin {plugin} is being loaded by a LiteyukiBot: use get_bot() in it instead of "
                "LiteyukiBot()"
            )
        if _bot is not None and _bot._loop is not None:
            raise LiteyukiError("a LiteyukiBot runs in this process already")
        if sys.platform == "linux" and os.getpid() == 1:
            from .process.pid_one import stand_behind

            stand_behind()
        self._settings = Settings.load()
        log_config = log.configure(self._settings.log)
        self._writer = Writer(log_config, self._settings.log_to)
        for line in unknown_keys():
            log.logger.warning(line)
        self._lock = ProjectLock()
        if self._settings.store_path is not None:
            self._lock.look()  # Before the store is opened: this error names the pid.
        self._alerts = self._make_alerts()  # Before the store is opened: its settings may be wrong.
        if self._settings.web:  # Likewise. By its name: web is above this floor.
            import_module(f"{__package__}.web.password").check(self._settings)
        self._context = Context(
            None, max_message_bytes=self._settings.max_message_bytes, own_loop=False
        )
        in_cluster = self._settings.nats_url is not None
        self._context.crosses = in_cluster
        self._comm = Main(
            self._context,
            max_redeliveries=self._settings.max_redeliveries,
            store_path=self._settings.store_path,
            make_store=_of_cluster("store").SharedStore if in_cluster else None,
        )
        self._hub = self._comm.hub
        self._hooks = Hooks(self._context.dispatcher.threads)
        self._supervisor = Supervisor(
            self._comm,
            log_config,
            self._writer,
            self._hooks,
            self._broken,
            self._all_failed,
            store_cache_bytes=self._settings.store_cache_bytes,
            stop_timeout=self._settings.stop_timeout,
            hang_timeout=self._settings.hang_timeout,
            fork=self._settings.start_method == "forkserver",
            spare=self._settings.spare,
        )
        self._fault: BaseException | None = None
        self._reload = Reload(
            self._supervisor,
            self._context.dispatcher.threads,
            self.restart,
            everywhere=self._settings.reload,
        )
        self._children_start = False
        """Whether a child is started as soon as it is added."""
        self._replacement = Replacement()
        self._exit: BaseException | None = None
        """The exception that a callback has raised to end this process."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        self._systemd: Any = None
        """Tells systemd how this bot is, if it has asked for that."""
        self.started_at: datetime | None = None
        """When `run` was called, in UTC."""
        self._stop = Stop(self._settings.stop_timeout, self._end_by_force)
        self._stop_early = False
        # A signal asks for an end. It cancels a restart.
        self._signals = Signals(self._stop, self._replacement.forget, self._supervisor.kill_all)
        self._has_run = False
        self._keep = False
        """Whether the bot goes on when every child has FAILED."""
        self._hook_tasks: set[asyncio.Task[None]] = set()
        self._context.dispatcher.on_exit = self._exits
        self._loader = Loader(self._settings.plugins, self._settings.plugin_dirs)
        self._sessions = Sessions(self._context.dispatcher, self._supervisor.children)
        self._accounts = Accounts(self._account_changed)
        self._revival = Revival(self._settings.alert_after, self.restart_process)
        self._supervisor.on_accounts = self._accounts.told
        self._hooks.observe_state = self._state_changed
        self._observes = True
        """Whether sessions and accounts learn of each change of a child's state."""
        self._cluster = self._join_cluster()
        self._gateways: dict[str, Any] = {}
        """By child: what serves its address here, if it has a gateway. Replicas share one."""
        current.install(self._context)
        plugin_current.install(self._loader)
        session_current.install(self._sessions)
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
        max_memory: str | None = None,
        restart_at: str | None = None,
        depends_on: Iterable[str] = (),
        restart_when_offline: str | None = None,
        watch: Iterable[str | os.PathLike[str]] = (),
        gateway: bool | None = None,
        replicas: int = 1,
    ) -> None:
        """Add a child process that calls `target(*args, **kwargs)`. From any thread.

        `target` is a function at the top of a module, or `"package.module:function"`, which is
        imported in the child only. A coroutine function is run to its end. The path of a Python
        file, which ends with ".py", is run as `python FILE ARGS` would. If it imports NoneBot, as
        the bot.py of a project of its own does, NoneBot runs in it as the launcher has it. The
        channels `NAME-active` and `NAME-passive` exist from now on. Other channels and queues may
        be among the arguments: each process of the child gets the other end of them. `run` starts
        the process, or it starts at once if the bot runs.

        `restart` says when the child is started again after it has ended by itself. The default
        is `RestartPolicy()`. `watch` names files and folders. The child is restarted when one of
        these files changes, or a Python file, .env file or pyproject.toml in one of these folders.
        With LITEYUKI_RELOAD on, a child without `watch` is restarted when a file changes that it
        has loaded.

        The child hangs when it has not answered, or its event loop was blocked, for `hang_timeout`
        seconds. With 0 it is not watched. If it hangs, `hang_action` "warn" logs that, and
        "restart" kills the child, which counts as a crash. None stands for the values of
        LITEYUKI_HANG_TIMEOUT and LITEYUKI_HANG_ACTION.

        The child is restarted, which counts as no crash, when it and what it has started have more
        than `max_memory`, such as "512MB", and every day at `restart_at`, such as "04:30", in local
        time. It is started when all children that `depends_on` names are RUNNING, and the bot's
        stop stops it before them. They must have been added before. If one of them has FAILED or
        was stopped, this one can't start, and fails too. Where it runs already, it goes on.

        `restart_when_offline` names a process or program, which may be added later: the one that
        logs the accounts in. It is restarted when an account in this child was OFFLINE for
        LITEYUKI_ALERT_AFTER seconds, and again after twice, four times and more of that, up to an
        hour, if that has not helped.

        With `gateway` the main process has the connections of a NoneBot child, whose driver must
        serve with uvicorn. HTTP requests that come while the child is away wait for it, at most
        LITEYUKI_GATEWAY_WAIT seconds. None is True for NoneBot's launcher,
        "liteyuki_core.frameworks.nonebot:run". LITEYUKI_GATEWAY=false turns that off.

        `replicas` such processes, NAME, NAME-1, NAME-2 ..., share what comes over a gateway. Each
        has its number in the environment variable LITEYUKI_REPLICA, from 0 on. An event of OneBot
        goes to one of them by its group or private chat; all else that comes goes to NAME. They are
        restarted one after another.

        Raises `ProcessExists`, `ProcessStartError` and `ChannelExists`, `ProcessNotFound` for an
        unknown name in `depends_on`, `ConfigError` if LITEYUKI_MAX_MESSAGE_BYTES is too little for
        a gateway, or replicas have none, and `ValueError` or `TypeError` for a name that no channel
        can have or an argument that is not allowed.
        """
        _check_count("replicas", replicas)
        if gateway is None:
            gateway = name_of_target(target) == _LAUNCHER
        if is_file(target):
            target, args = _of_file(name, str(target), args, kwargs)
        known = self._supervisor.children
        terms = checked_terms(name, restart, max_memory, restart_at, depends_on, known)
        if restart_when_offline is not None and not isinstance(restart_when_offline, str):
            raise TypeError(
                f"process {name}: restart_when_offline must be the name of a process or program, "
                f"not {restart_when_offline!r}"
            )
        watched = find_watched(name, watch)
        settings = self._settings
        hang = Hang(
            settings.hang_timeout if hang_timeout is None else hang_timeout,
            settings.hang_action if hang_action is None else hang_action,
        )
        front: Any = None
        if gateway and settings.gateway:
            # By its name: whoever has no gateway does not import it.
            front = import_module(f"{__package__}.gateway.gateway")
            front.check_limit(name, settings.max_message_bytes)
        elif replicas > 1:
            raise ConfigError(
                f"process {name}: replicas={replicas} need a gateway, which deals out what comes: "
                "gateway=True, and no LITEYUKI_GATEWAY=false"
            )
        names = [name, *(f"{name}-{number}" for number in range(1, replicas))]
        for each in names:
            self._sessions.add_process(each)
        called = target, tuple(args), dict(kwargs or {}), terms, hang
        self._supervisor.add(names, *called)
        if restart_when_offline is not None:
            self._revival.add(name, restart_when_offline)
        if front is not None:
            threads = self._context.dispatcher.threads
            served = front.Gateway(names, settings.gateway_wait, threads.run)
            self._gateways.update(dict.fromkeys(names, served))
        for each in names:
            self._added(each, watched)

    def add_program(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        ready: LogLine | TcpPort | HttpOk | None = None,
        ready_timeout: float | None = 60,
        stop: str | Line = "SIGTERM",
        encoding: str = "utf-8",
        terminal: bool = False,
        restart: RestartPolicy | None = None,
        max_memory: str | None = None,
        restart_at: str | None = None,
        depends_on: Iterable[str] = (),
        watch: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        """Add a program: any executable, as a child process without channels. From any thread.

        `argv` is a list: the executable, found as a shell finds it, and its arguments. No shell
        runs it. `cwd` is its folder, and `env` changes its environment; a value of None removes a
        variable. The program must stay in the foreground. When it ends, all that it has started is
        ended, also when the main process is killed.

        It is RUNNING when it is started, or when `ready` says so. If that takes more than
        `ready_timeout` seconds, it is ended, and has failed before it was ready. None waits for
        ever. To stop it, the signal `stop` is sent to it and to what it has started, or `Line` is
        written to its standard input. On Windows every signal is a Ctrl+Break. Then follow, as for
        every child, SIGTERM and SIGKILL.

        What it writes goes to the log under its name, decoded by `encoding`, and secrets in it
        (`token=...`, `Authorization: ...`) are not shown. With `terminal` it has the main
        process's terminal instead. Only one program can have that.

        `restart`, `max_memory`, `restart_at`, `depends_on` and `watch` are those of `add_process`.
        In a watched folder scripts of Node count too.

        Raises `ProcessExists`, `ProcessStartError`, `ProcessNotFound`, and `ValueError` or
        `TypeError` for an argument that is not allowed.
        """
        known = self._supervisor.children
        terms = checked_terms(name, restart, max_memory, restart_at, depends_on, known)
        program = checked_program(
            name,
            argv,
            cwd=cwd,
            env=env,
            ready=ready,
            ready_timeout=ready_timeout,
            stop=stop,
            encoding=encoding,
            terminal=terminal,
        )
        watched = find_watched(name, watch)
        self._supervisor.add_program(program, terms)
        self._added(name, watched)

    def _added(self, name: str, watched: tuple[str, ...]) -> None:
        """Watch files for a child that was just added, and start it if the bot runs."""
        if watched:
            self._reload.add(name, watched)
            self._on_loop(self._reload.look_again)
        self._tell_cluster()
        if self._children_start:
            self._start_soon(name)

    def _start_soon(self, name: str) -> None:
        self._on_loop(lambda: self._supervisor.start(self._supervisor.get(name)))

    def add_workers(
        self,
        name: str,
        count: int = 2,
        *,
        initializer: Callable[[], Any] | str | None = None,
        max_calls: int | None = None,
        concurrency: int = 1,
        restart: RestartPolicy | None = None,
        max_memory: str | None = None,
        nodes_may_call: Collection[str] = (),
    ) -> None:
        """Add `count` processes, `NAME-1` to `NAME-count`, that call functions for others.

        From any thread. Any process of this bot calls them: `workers(name).call(function)`. `run`
        starts them, or they start at once if the bot runs. They are child processes like all
        others, but are not watched for hangs: a call's own timeout bounds it.

        `initializer`, a sync function or "package.module:function", runs in each worker before its
        first call, on its main thread; if it raises, the worker could not start. A worker that has
        begun `max_calls` calls takes no other, and is replaced when these have ended. It runs one
        call at a time, or `concurrency` of them, which is for async functions.

        `restart` says when a worker that has ended by itself is started again. The default is
        `RestartPolicy("always", max_restarts=20, window=60, backoff=0.05, max_backoff=1)`. A worker
        that has more than `max_memory`, such as "512MB", is restarted, see `add_process`.

        Processes of other nodes of a cluster may call the functions that the modules in
        `nodes_may_call` define themselves, such as `["myproject.jobs"]`; a package stands for all
        modules in it. They can call nothing else.

        Raises `ProcessExists`, `ChannelExists` if a channel or queue is named `NAME-calls`,
        `ProcessStartError` for an initializer that workers can't import, and `ValueError` or
        `TypeError` for an argument that is not allowed.
        """
        check_name(f"{check_name(name)}-calls")
        _check_count("count", count)
        _check_count("concurrency", concurrency)
        if max_calls is not None:
            _check_count("max_calls", max_calls)
        if initializer is not None and not isinstance(initializer, str):
            if not callable(initializer):
                raise TypeError(f"initializer must be a function, not {type(initializer).__name__}")
            if is_async(initializer):
                raise TypeError(
                    f"initializer {name_of(initializer)} is async, and it runs where no event loop "
                    "does: write a sync function"
                )
        modules = checked_modules(nodes_may_call)
        policy = RESTART if restart is None else restart
        terms = checked_terms(name, policy, max_memory, None, (), {})
        added = self._supervisor.add_workers(
            name, count, initializer, concurrency, max_calls, modules, terms
        )
        if self._children_start:
            for worker in added:
                self._start_soon(worker)

    @property
    def processes(self) -> Mapping[str, ChildProcess]:
        """The child processes by name."""
        return MappingProxyType(self._supervisor.children)

    async def wait_ready(self, name: str, timeout: float | None = None) -> None:
        """Wait until a child is RUNNING, at most `timeout` seconds. On LiteyukiBot's loop.

        A NoneBot child is RUNNING when its startup hooks have ended and its port accepts
        connections. A child whose target is decorated with `calls_ready` is RUNNING when it calls
        `ready`, a program when what `add_program` got as `ready` shows. Any other child is
        RUNNING when it is connected and its target is imported.

        Raises `ProcessNotFound`, `ProcessStartError` if the child has ended and is not about to
        start, and `ProcessTimeout`.
        """
        await self._supervisor.get(name).wait_ready(timeout)

    def start_process(self, name: str) -> None:
        """Start a child that is stopped or has failed. Returns at once. From any thread.

        A child that is stopping is started when it has stopped. Nothing happens to a child that
        runs. Raises `ProcessNotFound`.
        """
        course = self._supervisor.get(name)
        self._hub.process_comes(name)
        self._on_loop(lambda: self._supervisor.start(course))

    def stop_process(self, name: str) -> None:
        """Stop a child, as when the bot stops. Returns at once. From any thread.

        The child has LITEYUKI_STOP_TIMEOUT seconds to end. The messages in its channels are kept
        for `start_process`. Raises `ProcessNotFound`.
        """
        course = self._supervisor.get(name)
        self._on_loop(lambda: self._supervisor.stop(course))

    def restart_process(self, name: str, *, load_first: bool = False, delay: float = 0.0) -> None:
        """Stop a child, if it runs, and start it again. Returns at once. From any thread.

        With a `delay` this begins after so many seconds, if the bot still runs then. With
        `load_first` a Python child that is RUNNING goes on until its next process has loaded what
        it is to run. If that fails, it goes on for good, and the log says why.

        The messages under way on its channels are kept for its successor. If this is called again
        before the child has ended, the child is still started again once. Raises
        `ProcessNotFound`, and `TypeError` or `ValueError` for a delay that is no number of seconds
        from 0 on.
        """
        course = self._supervisor.get(name)
        seconds = check_timeout(delay) or 0.0

        def restart() -> None:
            self._hub.process_comes(name)
            self._supervisor.restart(course, load_first=load_first)

        if seconds:
            self._on_loop(lambda: asyncio.get_running_loop().call_later(seconds, restart))
            return
        self._hub.process_comes(name)
        self._on_loop(restart)

    # ------------------------------------------------------------- accounts

    @property
    def accounts(self) -> list[Account]:
        """The accounts that the children's bots have, each as it is now. From any thread.

        `nonebot_plugin_liteyuki_comm` tells of them. One that was known once stays here.
        """
        return self._accounts.all()

    def _account_changed(self, account: Account) -> None:
        self._hooks.account(account)
        self._revival.account(account)
        self._tell_cluster()
        if self._alerts is not None:
            self._alerts.account(account)

    def _state_changed(self, name: str, state: ProcessState) -> None:
        if name in self._gateways:
            self._gateways[name].state(name, state)
        if not self._observes:
            return
        self._sessions.process_state(name, state)
        self._accounts.process_state(name, state)
        self._tell_cluster()
        if self._alerts is not None:
            self._alerts.process_state(name, state, self._accounts)

    def _make_alerts(self) -> Any:
        """Return what sends alerts, or None where they go nowhere. Raises `ConfigError`."""
        settings = self._settings
        if not settings.alert_urls:
            return None
        from .alerts import to_services

        return self._alerts_by(
            to_services(
                settings.alert_urls,
                settings.alert_per_hour,
                settings.log_lang,
                lambda call: self._context.dispatcher.threads.run(call),
            )
        )

    def _alerts_by(self, sender: Any) -> Any:
        """Return what puts alerts in words, for what sends them."""
        from .alerts import Alerts

        return Alerts(
            sender,
            self._settings.alert_after,
            self._settings.log_lang,
            lambda name: self._supervisor.children[name],
            lambda account: self._accounts.newest(account),
        )

    def _join_cluster(self) -> Any:
        """Return this process as a node of a cluster, or None. Raises `ClusterError`."""
        settings = self._settings
        if settings.nats_url is None:
            return None
        node = _of_cluster("cluster").Node(self._comm, _of_cluster("options").options_of(settings))
        node.on_member = lambda member: self._on_loop(lambda: self._node_changed(member))
        told = _of_cluster("presence").Told
        node.presence.describe = lambda: told(
            list(self._supervisor.children.values()),
            self._accounts.all(),
            bool(settings.alert_urls),
        )
        node.open()
        post = _of_cluster("alert").Post(node)
        if self._alerts is None:
            passing = import_module(f"{__package__}.alerts").Passing
            self._alerts = self._alerts_by(passing(post.send))
        else:
            alerts = self._alerts
            alerts.watch(post)
            post.serve(lambda *alert: self._on_loop(lambda: alerts.of_other(*alert)))
        return node

    def _node_changed(self, member: Member) -> None:
        self._hooks.node(member)
        if self._alerts is not None:
            self._alerts.node(member.name, is_gone=not (member.runs or member.has_stopped))

    def _tell_cluster(self) -> None:
        """Have other nodes learn what has changed here. From any thread."""
        if self._cluster is not None:
            self._cluster.presence.changed()

    # ------------------------------------------------------------- plugins

    @property
    def plugins(self) -> Mapping[str, Plugin]:
        """The loaded plugins of the main process by name, in the order of loading.

        `run` loads those of LITEYUKI_PLUGINS, LITEYUKI_PLUGIN_DIRS and pyproject.toml before it
        starts children.
        """
        return self._loader.plugins

    # ------------------------------------------------------------- channels

    @property
    def channels(self) -> Mapping[str, Mapping[str, int]]:
        """The counts of every channel that has a name, both directions together.

        By name of the channel: `sent`, `acknowledged`, `redelivered`, `dropped` and `backlog`
        (sent and not yet handled) in messages, `capacity` of one direction, and `bytes`
        serialised. From any thread.
        """
        return self._hub.statistics()

    def dead_letters(self) -> list[DeadLetter]:
        """Return the messages that were set aside, the oldest first. From any thread.

        Each was being handled in LITEYUKI_MAX_REDELIVERIES crashes in a row. Each can be put back
        or discarded. Until then it stays here, in memory.
        """
        return self._hub.dead_letters()

    # ------------------------------------------------------------- hooks

    def on_before_start(self, hook: Hook) -> Hook:
        """Decorate a hook, sync or async, that runs to its end before children start."""
        self._hooks.add("on_before_start", hook)
        return hook

    def on_after_start(self, hook: Hook) -> Hook:
        """Decorate a hook, sync or async, that runs once children are started.

        Nothing waits for it, and it may go on for ever. When the bot stops, it is cancelled.
        """
        self._hooks.add("on_after_start", hook)
        return hook

    def on_after_shutdown(self, hook: Hook) -> Hook:
        """Decorate a hook, sync or async, that runs when the children have ended.

        The hook that was added last runs first. The hooks have the time that remains for stopping.
        """
        self._hooks.add("on_after_shutdown", hook)
        return hook

    def on_before_process_shutdown(self, hook: ProcessHook) -> ProcessHook:
        """Decorate a hook, sync or async, that gets a child's name before the child is stopped.

        The child's channels still work then. The hook is waited for, but for at most a third of
        the time for stopping. It is not called for a child that ends by itself.
        """
        self._hooks.add("on_before_process_shutdown", hook)
        return hook

    def on_before_process_restart(self, hook: ProcessHook) -> ProcessHook:
        """Decorate a hook, sync or async, that gets the name of a child before its restart.

        If a restart was asked for, the hook is called before the child is stopped. If the child
        has ended by itself, the hook is called before the child is started again. It is waited
        for as long as a hook of `on_before_process_shutdown`.
        """
        self._hooks.add("on_before_process_restart", hook)
        return hook

    def on_after_restart(self, hook: ProcessHook) -> ProcessHook:
        """Decorate a hook, sync or async, that gets a child's name when it is RUNNING again."""
        self._hooks.add("on_after_restart", hook)
        return hook

    def on_process_state(self, hook: StateHook) -> StateHook:
        """Decorate a hook, sync or async, that gets a child's name and each state it enters.

        The hooks are called one after another, in order. A slow call delays the calls after it.
        """
        self._hooks.add("on_process_state", hook)
        return hook

    def on_account(self, hook: AccountHook) -> AccountHook:
        """Decorate a hook, sync or async, that gets an `Account` each time its state changes.

        The hooks are called one after another, in order. Where they are slower than accounts
        change, at most 1,000 changes wait for them.
        """
        self._hooks.add("on_account", hook)
        return hook

    @property
    def nodes(self) -> dict[str, Member]:
        """The nodes of the cluster by name, each as it is now. From any thread.

        They are those that run, and those that did within the last day. Empty without
        LITEYUKI_NATS_URL.
        """
        return {} if self._cluster is None else dict(self._cluster.members())

    def on_node(self, hook: NodeHook) -> NodeHook:
        """Decorate a hook, sync or async, that gets a `Member` each time a node comes or goes.

        A node that stops says so; one that vanishes is missed within 10 seconds. The hooks are
        called one after another, in order.
        """
        self._hooks.add("on_node", hook)
        return hook

    # ------------------------------------------------------------- running

    def run(self, *, keep: bool = False) -> None:
        """Start everything and return when stopped: by `stop`, SIGINT or SIGTERM.

        Call it once, on the main thread if signals are to stop the bot. Stopping takes at most
        LITEYUKI_STOP_TIMEOUT seconds. A second signal ends everything at once.

        First of all it loads the plugins that the settings list, on this thread. Those that can't
        be loaded are logged.

        If a callback or the import of a plugin raises SystemExit or KeyboardInterrupt, everything
        is stopped too, and then `run` raises that exception. It raises SystemExit with code 1 when
        every child has FAILED, unless a changed file would start one again. With `keep` the bot
        goes on without them.

        Raises `AlreadyRunning` if another LiteyukiBot runs in this working directory, and
        `ConfigError` if the log file can't be opened.
        """
        global _bot
        if self._has_run:
            raise LiteyukiError("this LiteyukiBot has run; create a new one")
        self._has_run = True
        self._keep = keep
        self.started_at = datetime.now(timezone.utc)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        door = self._door()
        try:
            self._lock.acquire()
            self._writer.start()
            self._loader.load_listed()
            if door is not None:
                door.open()
            main = loop.create_task(self._main(loop), name="liteyuki-main")
            try:
                loop.run_until_complete(main)
            except BaseException as error:
                if not main.done():  # A hook has ended the loop, but the bot has not stopped.
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
                if self._cluster is not None:
                    self._cluster.close(max(_CLUSTER_SECONDS, self._stop.remaining()))
                self._comm.store.close(max(1.0, self._stop.remaining()))
                current.uninstall(self._context)
                plugin_current.uninstall(self._loader)
                session_current.uninstall(self._sessions)
                if _bot is self:
                    _bot = None
                self._writer.close(max(_FLUSH_SECONDS, self._stop.remaining()))
                if door is not None:
                    door.close()
                self._stop.close()
                self._lock.release()
        if self._fault is not None:
            raise self._fault
        if self._exit is not None:
            raise self._exit
        self._replacement.replace()

    def stop(self) -> None:
        """Stop the bot. Returns at once. From any thread, hook or callback. Idempotent."""
        self._stop_early = True
        self._on_loop(lambda: self._stop.ask(Phrase("asked to stop")))

    def restart(self) -> None:
        """Stop everything, then replace this process by a new one. Returns at once.

        From any thread, hook or callback. The new process runs the same command in the same
        directory with the same process id. On Windows it is a child of this process, which only
        waits for it. Durable keys of shared_memory are kept. Messages in channels are lost.
        """
        self._replacement.want()
        self._stop_early = True
        self._on_loop(lambda: self._stop.ask(Phrase("asked to restart")))

    async def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._signals.catch(loop)
        self._context.dispatcher.bind(loop)
        if (alerts := self._alerts) is not None:
            site = self._context.site
            self._supervisor.observe_memory(alerts.memory)
            self._hub.observe_letters(lambda one: site.soon(lambda: alerts.letter(one), loop))
        if os.environ.get("NOTIFY_SOCKET"):
            from .systemd import Systemd

            self._systemd = Systemd(loop, self._supervisor.children, self._hooks.recent)
        telling = loop.create_task(self._hooks.tell(), name="liteyuki-changes")
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
                await asyncio.wait({starting}, timeout=self._stop.remaining())
        finally:
            try:
                await self._shutdown()
            finally:
                telling.cancel()
                self._signals.release()
                if self._systemd is not None:
                    self._systemd.close()

    async def _start(self) -> None:
        self._in_background(self._reload.run())
        if not (self._supervisor.children or self._loader.plugins or self._hooks.are_there):
            log.logger.warning(
                say(
                    "there is nothing to do: no process, program, plugin or hook was added; a "
                    'NoneBot child is bot.add_process("nonebot", '
                    '"liteyuki_core.frameworks.nonebot:run")'
                )
            )
        if self._settings.v6_compat:
            _check_v6()
        await self._hooks.call_all("on_before_start")
        self._children_start = True
        self._revival.check(self._supervisor.children)
        await self._supervisor.start_all()
        if self._systemd is not None:
            self._systemd.started()
        for hook in self._hooks.of("on_after_start"):
            self._in_background(self._hooks.call(hook, "on_after_start"))

    def _on_loop(self, call: Callable[[], object]) -> None:
        loop = self._loop
        if loop is None:
            return
        if threading.get_ident() == self._thread:
            call()  # At once: the caller is to see the new state.
            return
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # The loop has stopped meanwhile.

    def _in_background(self, coroutine: Any) -> None:
        assert self._loop is not None
        task = self._loop.create_task(coroutine)
        self._hook_tasks.add(task)
        task.add_done_callback(self._hook_tasks.discard)

    async def _shutdown(self) -> None:
        self._stop.ask(Phrase("stopping"))
        if self._cluster is not None:
            self._cluster.stop()
        self._revival.close()
        if self._systemd is not None:
            self._systemd.stopping(self._replacement.wanted)
        for task in self._hook_tasks:
            task.cancel()
        # While the children run, handlers of messages can still send what they are about to.
        await self._sessions.settle(min(_DRAIN_SECONDS, self._stop.remaining() / 3))
        self._observes = False  # What handlers wait for in vain is broken off below.
        await self._supervisor.stop_all(monotonic() + self._stop.remaining())
        for gateway in set(self._gateways.values()):
            await gateway.close()
        self._sessions.close()
        await self._context.dispatcher.drain(min(_DRAIN_SECONDS, self._stop.remaining()))
        await self._hooks.told(min(_DRAIN_SECONDS, self._stop.remaining()))
        self._context.dispatcher.unbind()
        if self._alerts is not None:
            await self._alerts.close(min(_ALERT_SECONDS, self._stop.remaining() / 2))
        for hook in reversed(self._hooks.of("on_after_shutdown")):
            guarded = asyncio.ensure_future(self._hooks.call(hook, "on_after_shutdown"))
            done, _ = await asyncio.wait({guarded}, timeout=self._stop.remaining())
            if not done:
                guarded.cancel()
                log.logger.error(
                    say(
                        "on_after_shutdown hook {name} did not end in time and is not waited for "
                        "any more",
                        name=name_of(hook),
                    )
                )
        log.logger.info(say("LiteyukiBot has stopped"))

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            for task in pending:
                log.logger.error(
                    say(
                        "task {name} ignored its cancellation and is not waited for any more",
                        name=task.get_name(),
                    )
                )
        loop.run_until_complete(loop.shutdown_asyncgens())

    def _door(self) -> Any:
        """Return the control socket's door, or None where there is to be none."""
        if not self._settings.control:
            return None
        # By its name: control is above this floor, and a bot runs without it as well.
        return import_module(f"{__package__}.control.door").Door(self)

    # ------------------------------------------------------------- stopping

    def _exits(self, error: BaseException) -> None:
        self._exit = self._exit or error
        self._stop.ask(repr(error))

    def _all_failed(self) -> None:
        if not (self._keep or self._reload.restarts_failed or self._stop.asked.is_set()):
            log.logger.critical(
                say(
                    "every process has failed and none is started again: LiteyukiBot ends with "
                    "exit code 1; run(keep=True) would keep it"
                )
            )
            self._exit = self._exit or SystemExit(1)
            self._stop.ask(Phrase("every process has failed"))

    def _broken(self, error: BaseException) -> None:
        self._fault = self._fault or error
        log.logger.opt(exception=error).critical(
            say("LiteyukiBot itself is broken: please report this; everything is stopped")
        )
        self._stop.ask(repr(error))

    def _end_by_force(self) -> None:
        """End everything at once, because the loop hangs. On the watchdog's thread."""
        self._supervisor.kill_all()
        log.logger.critical(
            say("LiteyukiBot's loop hangs and could not stop in time; ended by force")
        )
        self._writer.close(_FLUSH_SECONDS)
        os._exit(1)


def _of_cluster(name: str) -> Any:
    """Return a module of the cluster, which needs NATS. Raises `ConfigError`."""
    try:
        return import_module(f"{__package__}.cluster.{name}")
    except ImportError as error:
        raise ConfigError(
            "LITEYUKI_NATS_URL needs what this installs: python -m pip install "
            f'"nonebot-plugin-liteyuki-comm[nats]" ({error})'
        ) from error


def _check_v6() -> None:
    """Warn where LITEYUKI_V6_COMPAT is on and the names of v6 are not used, or are another's."""
    found = sys.modules.get("liteyuki")
    if found is None:
        log.logger.warning(
            say(
                "LITEYUKI_V6_COMPAT is on, and nothing of LiteyukiBot v6 was imported: without it "
                "all is the same"
            )
        )
    elif not (getattr(found, "__file__", None) or "").startswith(os.path.dirname(__file__)):
        log.logger.warning(
            say(
                "LITEYUKI_V6_COMPAT is on, but liteyuki was imported from {file}: start the bot "
                "with `liteyuki run FILE`",
                file=getattr(found, "__file__", None),
            )
        )


def _check_count(what: str, number: object) -> None:
    """Raise `TypeError` or `ValueError` for an argument that is no whole number from 1 on."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{what} must be an int, not {type(number).__name__}")
    if number < 1:
        raise ValueError(f"{what} must be at least 1, not {number}")


def _is_imported_again() -> bool:
    """Return whether multiprocessing is importing the main file in a process that it has spawned.

    It imports the file as `__mp_main__`, before the process has a context. After the import,
    `__main__` and `__mp_main__` are the same module.
    """
    main = sys.modules.get("__mp_main__")
    return main is not None and main is not sys.modules.get("__main__")


def _of_file(
    name: str, path: str, arguments: tuple[Any, ...], kwargs: Mapping[str, Any] | None
) -> tuple[str, tuple[str, ...]]:
    """Return the target that runs a file, and its arguments. Raises `ProcessStartError`."""
    if kwargs:
        raise TypeError(f"process {name}: {path} is a file, which takes args and no kwargs")
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise ProcessStartError(f"process {name}: there is no file {path}", name)
    from .frameworks.nonebot import imports_nonebot

    arguments = tuple(map(str, arguments))
    if imports_nonebot(path):
        return f"{imports_nonebot.__module__}:run_file", (path, *arguments)
    return path, arguments
