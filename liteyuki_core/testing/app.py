"""A LiteyukiBot under test: it runs in the test's process, on a thread of its own.

So a test sends and receives on its channels directly, and its children are real processes. The
first wait of a test starts it; what the test adds before that is there when it starts, as in a
bot.py. It has a working directory of its own, where no setting is made, and a port.

Ownership. An `App` owns the bot, the thread that runs it, and its OneBot clients. `running_app`
puts back what it changes in the process: the environment, the working directory, `sys.path`, the
log, the modules of plugins.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from .. import log
from ..bot import LiteyukiBot
from ..comm import current, get_channel
from ..errors import NotConnected, ProcessStartError
from ..process import ProcessState, RestartPolicy
from ..process.life import Life
from .killing import Kill, Moment
from .leftovers import Leftovers
from .lines import Lines
from .mailbox import Mailbox
from .onebot import OneBot
from .project import nonebot_options
from .target import check_target
from .waiting import NOTHING, START_SECONDS, Waits

_STOP_SECONDS = 30.0
_NONEBOT = "liteyuki_core.frameworks.nonebot:run"
_NONEBOT_KEYS = ("HOST", "PORT", "DRIVER", "ENVIRONMENT", "ONEBOT_ACCESS_TOKEN")
_KEPT = ("LITEYUKI_LOG_LANG", "LITEYUKI_LOG_LEVEL")

_QUICK = RestartPolicy(backoff=0.05, max_backoff=0.05)


class App:
    """A LiteyukiBot with real children, made by the fixture `liteyuki_app`.

    `bot` is the LiteyukiBot, `folder` its working directory, `port` the port of its first NoneBot,
    `log` what it has logged. The test's thread calls everything.
    """

    def __init__(self, folder: Path, root: Path, *, by_name: bool) -> None:
        self.folder = folder
        self.port = _free_port()
        self._root = root
        self._by_name = by_name
        self._waits = Waits(self._is_up)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._mailboxes: dict[str, Mailbox] = {}
        self._ports: dict[str, int] = {}
        self._clients: dict[tuple[str, str], OneBot] = {}
        self._kills: list[Kill] = []
        self._bot: tuple[LiteyukiBot, Lines] | None = None

    @property
    def bot(self) -> LiteyukiBot:
        """The LiteyukiBot. It is made when it is first needed, and reads its settings then."""
        return self._made()[0]

    @property
    def log(self) -> Lines:
        """The log of the main process and of all children."""
        return self._made()[1]

    def _made(self) -> tuple[LiteyukiBot, Lines]:
        if self._bot is None:
            bot = LiteyukiBot()
            self._bot = bot, Lines(bot._writer, self._waits, self.start)
        return self._bot

    # ------------------------------------------------------------- what it is made of

    def add(
        self,
        name: str,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Add a child that calls `target(*args, **kwargs)`, as `bot.add_process` does.

        `target` stands at the top of the test file, or is "package.module:function" or the path of
        a Python file. `options` are those of `add_process`. Here a child that has crashed is
        started again after 0.05 s, if `restart` does not say otherwise.

        Raises `ProcessStartError` for a target that a child can't import, and says what to do;
        also what `add_process` raises.
        """
        __tracebackhide__ = True
        check_target(name, target, by_name=self._by_name)
        options.setdefault("restart", _QUICK)
        self.bot.add_process(name, target, args, kwargs, **options)

    def add_nonebot(
        self,
        name: str = "nonebot",
        *,
        plugins: list[str] | None = None,
        plugin_dirs: list[str | os.PathLike[str]] | None = None,
        gateway: bool | None = None,
        **config: Any,
    ) -> None:
        """Add a NoneBot child with the OneBot v11 adapter, on a port of its own.

        It loads `plugins`, modules, and what is in `plugin_dirs`, folders in pytest's root
        directory. If neither is given, it loads the adapters and plugins that the `pyproject.toml`
        there lists. `config` is NoneBot's configuration; the `.env` there is not read. `gateway` is
        that of `add_process`. Raises what `add_process` raises, and `ValueError` for a folder that
        is not there.
        """
        port = self._ports[name] = self.port if not self._ports else _free_port()
        kwargs = nonebot_options(self._root, plugins, plugin_dirs)
        kwargs |= {"host": "127.0.0.1", "port": port, **config}
        self.add(name, _NONEBOT, kwargs=kwargs, gateway=gateway)

    def load_plugin(self, plugin: str | os.PathLike[str]) -> Any:
        """Load a plugin of the main process, and return its module. Before the bot is started.

        `plugin` is a module, or a path as seen from pytest's root directory. Add the processes
        whose channels it gets first. It is imported anew in each test, and those that it requires.

        Raises `AssertionError`, which shows the log, if it could not be loaded.
        """
        if self._thread is not None:
            raise RuntimeError(
                "the bot runs already, and plugins are loaded before that: call load_plugin before "
                "ready and before anything that should come"
            )
        path = self._root / plugin
        loaded = self.bot._loader.load_one(path if path.exists() else plugin)
        if loaded is None:
            raise AssertionError(f"plugin {plugin} could not be loaded\n{self.log.tail()}")
        return loaded.module

    # ------------------------------------------------------------- how it runs

    def start(self) -> None:
        """Start the bot, if it was not started yet. What waits for it does so too."""
        if self._thread is None:
            run = partial(self._run, self.bot)
            self._thread = threading.Thread(target=run, name="liteyuki-app", daemon=True)
            self._thread.start()

    def _run(self, bot: LiteyukiBot) -> None:
        try:
            bot.run(keep=True)
        except BaseException as error:
            self._error = error

    def ready(self, *names: str, timeout: float = START_SECONDS) -> Any:
        """Wait until children are RUNNING: those named here, or all. In an async test await it.

        One that was killed is ready when its successor is. Raises `AssertionError`, which shows
        the log, if one has ended and is not started again, and after `timeout` seconds.
        """
        __tracebackhide__ = True
        self.start()
        for name in names:
            self.bot._supervisor.get(name)

        def look() -> Any:
            self._check_runs()
            # One that has just ended has no pid any more, and may still be RUNNING.
            killed = {None, *(kill.pid for kill in self._kills if kill.happened)}
            for name in names or list(self.bot.processes):
                child = self.bot.processes[name]
                if child.state in (ProcessState.FAILED, ProcessState.STOPPED) and child.started_at:
                    raise AssertionError(f"process {name} is not ready\n{self._scene()}")
                if child.state is not ProcessState.RUNNING or child.pid in killed:
                    return NOTHING
            return None

        def late() -> Any:
            raise AssertionError(f"not all are ready within {timeout:g} s\n{self._scene()}")

        return self._waits.until("ready", look, timeout, late, is_up=lambda: True)

    def kill(self, name: str, at: Moment | None = None) -> None:
        """Kill a child that runs, as a crash of its own would end it. Returns at once.

        Without `at` it is killed now. With it, at the next message or request that it is given: so
        call this first, and send then. For the main process that message was not handled, and it
        goes to the child's successor.

        "handling" kills it when it has begun the message; how far it comes is left to chance.
        "before_ack" kills it when it has handled the message to its end, and all that it has sent
        meanwhile has arrived: the successor does the whole work once more. To cut a handler off at
        one place, have it wait there, and kill it without `at`.

        The test fails if it ends and such a message has never come. Raises `AssertionError` if the
        child does not run, `ProcessNotFound`, and `ValueError` for another moment.
        """
        if at not in (None, "handling", "before_ack"):
            raise ValueError(f'at is "handling", "before_ack" or None, not {at!r}')
        life = self.bot._supervisor.get(name).life
        if life is None:
            raise AssertionError(f"process {name} does not run, so it can't be killed")
        if at is None:
            self._killed_now(name, life)
            return
        if not isinstance(life, Life):
            raise ValueError(f"{name} is a program, which gets no messages: kill it without `at`")
        kill = Kill(life, at)
        self._kills.append(kill)
        kill.arm()

    def _killed_now(self, name: str, life: Any) -> None:
        kill = Kill(life, "handling")
        kill.happened = True
        self._kills.append(kill)
        life.kill()

    # ------------------------------------------------------------- what it says

    def channel(self, name: str) -> Mailbox:
        """Return the main process's end of a channel. Raises `ChannelNotFound`."""
        self._made()  # So that this process has channels.
        if name not in self._mailboxes:
            self._mailboxes[name] = Mailbox(get_channel(name), self._waits, self.start, self._scene)
        return self._mailboxes[name]

    def onebot(
        self, id: int | str = 10001, *, process: str = "nonebot", access_token: str | None = None
    ) -> OneBot:
        """Return the account `id` of a OneBot v11 implementation, connected to a NoneBot child.

        It connects by reverse WebSocket, as NapCat does, as soon as the child accepts connections,
        and again when it is disconnected. Returns at once.
        """
        self.start()
        if process not in self._ports:
            raise ProcessStartError(
                f"process {process} was not added by add_nonebot, so its port is not known", process
            )
        key = (process, str(id))
        if key not in self._clients:
            self._clients[key] = OneBot(
                int(id), self._ports[process], self._waits, self._scene, access_token
            )
        return self._clients[key]

    # ------------------------------------------------------------- how it ends

    def _scene(self) -> str:
        """Return what an error shows: the states of the children, and the last lines."""
        states = [
            f"{child.name} {child.state.name}" + (f" ({child.outcome})" if child.outcome else "")
            for child in self.bot.processes.values()
        ]
        return f"processes: {', '.join(states) or 'none'}\n{self.log.tail()}"

    def _is_up(self) -> bool:
        """Return whether no child that was added is still about to start for the first time."""
        return all(
            child.started_at is not None and child.state is not ProcessState.STARTING
            for child in self.bot.processes.values()
        )

    def _check_runs(self) -> None:
        if self._error is not None:
            raise AssertionError(f"the bot has ended: {self._error!r}\n{self._scene()}")

    def close(self) -> None:
        """Stop everything. Raises `AssertionError` if the bot does not end, or has failed."""
        for client in self._clients.values():
            client.close()
        if self._bot is not None:
            self.bot.stop()
            self.start()  # What it has opened when it was made is closed by its run.
            assert self._thread is not None
            self._thread.join(_STOP_SECONDS)
            if self._thread.is_alive():
                self.bot._supervisor.kill_all()
                raise AssertionError(
                    f"the bot has not stopped within {_STOP_SECONDS:g} s\n{self._scene()}"
                )
            self._check_runs()
        never = [kill for kill in self._kills if not kill.happened]
        if never:
            raise AssertionError(
                f"process {never[0].process} was to be killed at {never[0].at!r}, but got no "
                f"message after that: call kill first, and send then\n{self._scene()}"
            )
        self._waits.check_awaited()


@contextmanager
def running_app(folder: Path, root: Path, *, by_name: bool) -> Iterator[App]:
    """Give a test an `App`, and put everything back after it."""
    leftovers = Leftovers()
    app = App(folder, root, by_name=by_name)
    with _own_world(folder, root, app.port):
        try:
            yield app
        finally:
            try:
                app.close()
            finally:
                _forget_plugins(app)
                log.divert(None)
                log.configure(log.from_environment())
    leftovers.check()


@contextmanager
def _own_world(folder: Path, root: Path, port: int) -> Iterator[None]:
    """Have a bot find its own folder, and nobody's settings."""
    try:
        host = current.current()  # Of `liteyuki_host`: this process is a child beside that.
    except NotConnected:
        host = None
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name in _NONEBOT_KEYS or (name.startswith("LITEYUKI_") and name not in _KEPT):
                patch.delenv(name)
        patch.setenv("HOST", "127.0.0.1")
        patch.setenv("PORT", str(port))
        here = os.getcwd()
        # A bot.py in the root directory would find modules there first.
        others = [path or here for path in sys.path]
        patch.setattr(sys, "path", [str(root), *others])
        patch.chdir(folder)
        if sys.platform == "linux":
            # In a container where pytest is PID 1, a bot would begin the whole run anew.
            patch.setattr("liteyuki_core.process.pid_one.stand_behind", lambda: None)
        if host is not None:
            current.uninstall(host)
        try:
            yield
        finally:
            if host is not None:
                current.install(host)


def _forget_plugins(app: App) -> None:
    """Have the next test import plugins anew: they get their channels at their import."""
    if app._bot is None:
        return
    modules = [plugin.module.__name__ for plugin in app.bot.plugins.values()]
    for name in list(sys.modules):
        if any(name == module or name.startswith(f"{module}.") for module in modules):
            del sys.modules[name]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
