"""NoneBot2 in a child process: the launcher and the driver mixin. The only file that knows NoneBot.

`run` is the target of a NoneBot child. `Mixin` is combined with NoneBot's driver
(`DRIVER=~fastapi+liteyuki_core.frameworks.nonebot`; `run` adds it by itself) and changes one
thing: a startup hook that serves a channel does not hold up the startup. Importing this module
does not import NoneBot; using `run` or `Mixin` does.

How that works: NoneBot awaits startup hooks one after another. The mixin runs each hook on its
own, a sync one in a worker thread. The startup goes on when the hook ends, or starts to wait in
a `receive`, or has received for over a second. A hook that still runs then ends when NoneBot
shuts down: its `receive` raises `ChannelClosed`. The shutdown waits for such hooks.

The mixin tells the main process that NoneBot is ready: when NoneBot has gone through its startup
hooks and, if it serves, its port accepts connections. If NoneBot can't start, the mixin says why.

Ownership. A driver's mixin owns the worker threads of its hooks and closes them in a shutdown
hook. While NoneBot runs, all runs on its loop, except sync hooks and what observes their receives.
"""

from __future__ import annotations

import ast
import asyncio
import errno
import os
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import nullcontext
from contextvars import copy_context
from functools import wraps
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any

from .. import log
from ..comm import current
from ..comm.channel import Channel, receive_observer
from ..comm.loop.callbacks import is_async
from ..comm.loop.worker import Threads
from ..comm.registry import get_channels
from ..comm.wire import words
from ..errors import ChannelBroken, ChannelClosed, NotConnected
from ..gateway import channel_of
from ..language import say
from ..process import sources
from ..process.child import script
from ..process.child.request import calls_ready, ready
from ..process.child.turn import calls_loaded, has_come, loaded
from ..pyproject import read_table
from .loguru import follow_level
from .uvicorn import FirstServer, Front

if TYPE_CHECKING:
    from nonebot.drivers import Driver
    from nonebot.drivers import Mixin as BaseMixin

    class Mixin(BaseMixin):
        """Driver mixin: startup hooks that serve a channel do not hold up NoneBot's startup."""


_MIXIN = __name__
PRELOADED = (
    *("pydantic", "pydantic.networks", "dotenv", "yarl", "pygtrie"),
    *("anyio", "exceptiongroup", "fastapi", "starlette.websockets", "uvicorn", "uvloop"),
    *("uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto"),
)
"""What a fork server imports for NoneBot children: most of what NoneBot and its usual driver need.

NoneBot itself is left to the child, because its import sets up its log and the import of plugins.
"""
_SERVING_SECONDS = 1.0
_END_SECONDS = 3.0
"""A shutdown waits so long for messages in hand, unless it was given a deadline, and after that so
long for hooks that still run."""


@calls_loaded
@calls_ready
def run(
    *,
    pyproject: str | os.PathLike[str] | None = "pyproject.toml",
    plugins: Iterable[str] = (),
    plugin_dirs: Iterable[str] = (),
    adapters: Iterable[str] = (),
    **config: Any,
) -> None:
    """Run NoneBot as `nb run` does: the target of a NoneBot child.

    Reads `.env`. Registers the adapters and loads the plugins that `[tool.nonebot]` of `pyproject`
    lists, then those given here. If `pyproject` is None or no such file exists, it lists none.
    Plugins and adapters are given as modules, e.g. "nonebot.adapters.onebot.v11". `config` goes
    to `nonebot.init`. Returns when NoneBot has shut down; SystemExit 3 when it could not start.
    """
    import nonebot

    _begin()
    nonebot.init(**_with_mixin(config))
    driver = nonebot.get_driver()
    table = read_table(pyproject, "nonebot")
    plugins, plugin_dirs = list(plugins), list(plugin_dirs)
    _note_files(
        pyproject,
        [*_entries(table.get("plugins", [])), *plugins],
        [*table.get("plugin_dirs", []), *plugin_dirs],
    )
    modules = [entry["module_name"] for entry in _entries(table.get("adapters", []))]
    for module in (*modules, *adapters):
        driver.register_adapter(import_module(module).Adapter)
    if builtin := table.get("builtin_plugins"):
        nonebot.load_builtin_plugins(*builtin)
    if table and pyproject is not None:
        nonebot.load_from_toml(str(pyproject))
    nonebot.load_all_plugins(plugins, plugin_dirs)
    if not (modules or adapters or nonebot.get_available_plugin_names()):
        _warn_of_nothing(pyproject)
    nonebot.run()


@calls_loaded
@calls_ready
def run_file(path: str, *arguments: str) -> None:
    """Run a file that calls `nonebot.init()` and `nonebot.run()` itself: the target of a child.

    NoneBot gets the mixin, whatever driver the file asks for, and its log is the main process's.
    """
    _begin()
    _give_mixin()
    script.run_file(path, *arguments)


@calls_loaded
@calls_ready
def run_function(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
    """Call a function that calls `nonebot.init()` and `nonebot.run()` itself: a child's target.

    NoneBot gets the mixin, whatever driver the function asks for, and its log is the main
    process's.
    """
    _begin()
    _give_mixin()
    function(*args, **kwargs)


def _give_mixin() -> None:
    """Have `nonebot.init` give NoneBot's driver the mixin."""
    import nonebot

    init = nonebot.init

    @wraps(init)
    def init_with_mixin(**config: Any) -> None:
        init(**_with_mixin(config))

    nonebot.init = init_with_mixin


def imports_nonebot(path: str) -> bool:
    """Return whether a Python file imports NoneBot. One that can't be read or parsed does not."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return False
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(str(node.module))
    return any(name.partition(".")[0] == "nonebot" for name in names)


def _begin() -> None:
    """Prepare this process for NoneBot, which must not be initialised yet."""
    _expect_loop()
    import nonebot
    from nonebot.log import default_filter, default_format, logger_id

    try:
        nonebot.get_driver()
    except ValueError:
        log.take_in(nonebot.logger, logger_id, default_format, level=0, filter=default_filter)
        return
    _Startup().failed(
        "NoneBot is initialised already: bot.py, which each child imports, calls nonebot.init() "
        "at its top. Move that, with nonebot.run() and what stands between, to a file of its own, "
        'such as nonebot_bot.py, and give it as the target: add_process(NAME, "nonebot_bot.py")'
    )
    raise SystemExit(3)


def _with_mixin(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration whose driver has the mixin."""
    from nonebot.config import Config, Env

    driver = config.get("driver")
    if driver is None:
        given = config.get("_env_file") or f".env.{Env().environment}"
        files: Any = (".env", given) if isinstance(given, (str, os.PathLike)) else given
        driver = Config(_env_file=files).driver
    if _MIXIN not in driver.split("+"):
        driver += f"+{_MIXIN}"
    return {**config, "driver": driver}


def _warn_of_nothing(pyproject: str | os.PathLike[str] | None) -> None:
    """Say that NoneBot has nothing to do, which often is because of where the bot was started."""
    here = os.getcwd()
    program = os.path.dirname(os.path.abspath(sys.argv[0])) if sys.argv and sys.argv[0] else here
    if os.path.realpath(program) == os.path.realpath(here):
        line = say(
            "NoneBot has no adapter and no plugin: none is listed in {file} of {here}",
            file=pyproject,
            here=here,
        )
    else:
        line = say(
            "NoneBot has no adapter and no plugin: none is listed in {file} of {here}, where the "
            "bot was started; its program is in {program}: start it there",
            file=pyproject,
            here=here,
            program=program,
        )
    log.logger.warning(line)


def _note_files(
    pyproject: str | os.PathLike[str] | None, plugins: list[str], plugin_dirs: list[str]
) -> None:
    """Note these files for hot reload, also those of a plugin that can't be imported now."""
    if pyproject is not None:
        sources.note(pyproject)
    sources.note(*plugin_dirs)
    for plugin in plugins:
        path = os.path.join(*plugin.split("."))
        sources.note(path, f"{path}.py")


def _entries(listed: Any) -> list[Any]:
    # nb-cli 1.7 writes a table with a list for each distribution, older versions one list.
    return (
        [entry for entries in listed.values() for entry in entries]
        if isinstance(listed, dict)
        else list(listed)
    )


def bind_lifespan(driver: Driver) -> None:
    """Run callbacks on NoneBot's loop, and end receivers when NoneBot shuts down.

    A second call for the same driver does nothing. A startup hook binds the loop and adds the
    shutdown hook. That one is added last, so it runs first, and no other waits for a receiver.
    """
    if getattr(driver, "_liteyuki_bound", False):
        return
    driver._liteyuki_bound = True  # type: ignore[attr-defined]
    sources.note(".env", f".env.{driver.env}")
    _expect_loop()

    async def bind() -> None:
        try:
            context = current.current()
        except NotConnected:
            return
        context.stop.target_runs_loop()
        context.dispatcher.bind(asyncio.get_running_loop())

        async def unbind() -> None:
            at = context.stop.at or monotonic() + _END_SECONDS
            context.stop.begin("NoneBot is shutting down")
            await context.stop.async_settle(at - monotonic())
            context.dispatcher.unbind()
            hooks: set[asyncio.Future[Any]] = getattr(driver, "liteyuki_hooks", set())
            await _ended(hooks)

        driver.on_shutdown(unbind)

    driver.on_startup(bind)


def _is_child() -> bool:
    try:
        return current.current().process is not None
    except NotConnected:
        return False


def _expect_loop() -> None:
    try:
        current.current().dispatcher.use_other_loop()
    except NotConnected:
        pass  # NoneBot works without a main process. Channels raise this error when they are used.


class _Startup:
    """Tells the main process how one driver's startup ends. Called on NoneBot's loop."""

    def __init__(self) -> None:
        self.server = FirstServer(self.ready, self._refused)
        self._hooks_ended = False

    def hooks_ended(self) -> None:
        self._hooks_ended = True
        if not self.server.found:
            self.ready()

    def ready(self) -> None:
        try:
            ready(_not_loaded())
        except NotConnected:
            pass  # There is no main process to tell.

    def failed(self, why: str) -> None:
        """Tell the main process why the startup failed, for its log. Without one, log it here."""
        try:
            current.current().port.word(words.Failed(why))
        except NotConnected:
            log.logger.error(say("NoneBot could not start: {why}", why=why))

    def _refused(self, host: str, port: int, error: OSError | None) -> None:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if error is not None and error.errno == errno.EADDRINUSE:
            self.failed(f"{address} is in use; set PORT in .env")
        elif error is not None:
            self.failed(
                f"{address} can't be listened on: {error.strerror}; see HOST and PORT in .env"
            )
        elif self._hooks_ended:
            self.failed(f"{address} can't be listened on (is it in use? see HOST and PORT in .env)")


def _not_loaded() -> list[str]:
    """Return the names of the plugins that could not be loaded. NoneBot has logged why."""
    import nonebot

    loaded = {plugin.id_ for plugin in nonebot.get_loaded_plugins()}
    return sorted(nonebot.get_available_plugin_names() - loaded)


async def _ended(hooks: set[asyncio.Future[Any]]) -> None:
    if hooks:
        await asyncio.wait(hooks, timeout=_END_SECONDS)


class _Hook:
    """Runs one startup hook, which may go on while NoneBot starts and runs."""

    def __init__(
        self,
        function: Callable[[], Any],
        threads: Threads,
        still_running: set[asyncio.Future[Any]],
        failed: Callable[[str], None],
    ) -> None:
        self._function = function
        self._name = getattr(function, "__qualname__", repr(function))
        self._threads = threads
        self._still_running = still_running
        self._failed = failed

    async def __call__(self) -> None:
        loop = asyncio.get_running_loop()
        serving = asyncio.Event()
        waiting = asyncio.Event()

        def observe(waits: bool) -> None:
            try:
                loop.call_soon_threadsafe((waiting if waits else serving).set)
            except RuntimeError:
                pass  # NoneBot's loop is closed.

        variables = copy_context()
        variables.run(receive_observer.set, observe)
        running = variables.run(self._start, loop)
        watching = loop.create_task(_served(serving, waiting))
        try:
            await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            running.cancel()
            raise
        finally:
            watching.cancel()
        if running.done():
            try:
                running.result()
            except Exception as error:
                self._failed(f"startup hook {self._name} raised {error!r}")
                raise
        else:
            self._still_running.add(running)
            running.add_done_callback(self._ended_later)

    def _start(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        if is_async(self._function):
            coroutine: Coroutine[Any, Any, Any] = self._function()
            return loop.create_task(coroutine)
        return asyncio.ensure_future(self._threads.run(self._function))

    def _ended_later(self, running: asyncio.Future[Any]) -> None:
        self._still_running.discard(running)
        error = None if running.cancelled() else running.exception()
        if error is not None and not _says_the_end(error):
            log.logger.opt(exception=error).error(
                say(
                    "startup hook {name}, left running because it serves a channel, raised "
                    "{error!r}",
                    name=self._name,
                    error=error,
                )
            )


def _says_the_end(error: BaseException) -> bool:
    """Return whether an error only says that NoneBot shuts down or the main process is gone."""
    if isinstance(error, ChannelClosed):
        return True
    try:
        return isinstance(error, ChannelBroken) and current.current().ended
    except NotConnected:
        return False


async def _served(serving: asyncio.Event, waiting: asyncio.Event) -> None:
    await serving.wait()
    try:
        await asyncio.wait_for(waiting.wait(), _SERVING_SECONDS)
    except asyncio.TimeoutError:
        pass


def _told(tell: Callable[[], None]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def tell_it() -> None:
        tell()

    return tell_it


def _gateway() -> Channel[Any] | None:
    """Return the channel to the main process's gateway for this child, if it has one."""
    try:
        process = current.current().process
    except NotConnected:
        return None
    return None if process is None else get_channels().get(channel_of(process))


def _announce() -> None:
    """Tell the gateway, if there is one, that this child serves: it needs time to be ready."""
    if has_come() and (channel := _gateway()) is not None:
        from ..gateway.exchange import Serves

        channel.send(Serves())


def _front(adapters: dict[str, str]) -> Front | None:
    """Return what serves in uvicorn's place, if the main process has a gateway for this child."""
    if _gateway() is None:
        return None
    # Where there is no gateway, these are not imported.
    import nonebot

    from .asgi import Front as Behind
    from .asgi_websocket import note_handled

    for name in set(adapters.values()):
        # An adapter handles each event in a task of its own, by `handle_event` of its bot.
        module = sys.modules[type(nonebot.get_adapter(name)).__module__]
        note_handled(getattr(module, "Bot", None))
    return Behind(adapters)


def _make_mixin() -> type[BaseMixin]:
    import nonebot
    from nonebot.adapters import Adapter
    from nonebot.drivers import ASGIMixin, WebSocketServerSetup
    from nonebot.drivers import Mixin as BaseMixin
    from nonebot.log import default_filter

    class Mixin(BaseMixin):
        """Driver mixin: startup hooks that serve a channel do not hold up NoneBot's startup."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._liteyuki_threads = Threads()
            self._liteyuki_startup = _Startup()
            self.liteyuki_hooks: set[asyncio.Future[Any]] = set()
            self._liteyuki_adapters: dict[str, str] = {}
            if isinstance(self, ASGIMixin):
                _announce()
            if _is_child():
                follow_level(nonebot.logger, default_filter, "nonebot_log_level", "INFO")
            self.on_shutdown(self._liteyuki_threads.close)  # type: ignore[attr-defined]
            bind_lifespan(self)  # type: ignore[arg-type]
            self.on_startup(self._liteyuki_begin)

        @property
        def type(self) -> str:
            return "liteyuki"

        def register_adapter(self, adapter: Any, **kwargs: Any) -> None:
            if adapter.get_name() == "Console" and _is_child():
                log.logger.error(
                    say(
                        "NoneBot's console adapter is left out: it needs a terminal of its own, "
                        "which a child process has not; for it, run this project with nb run"
                    )
                )
                return
            super().register_adapter(adapter, **kwargs)  # type: ignore[misc]

        def on_startup(self, func: Callable[[], Any]) -> Callable[[], Any]:
            hook = _Hook(
                func, self._liteyuki_threads, self.liteyuki_hooks, self._liteyuki_startup.failed
            )

            async def run() -> None:
                await hook()

            super().on_startup(run)  # type: ignore[misc]
            return func

        def setup_websocket_server(self, setup: WebSocketServerSetup) -> None:
            adapter = getattr(setup.handle_func, "__self__", None)
            if isinstance(adapter, Adapter):
                self._liteyuki_adapters[setup.path.path] = adapter.get_name()
            super().setup_websocket_server(setup)  # type: ignore[misc]

        def run(self, *args: Any, **kwargs: Any) -> None:
            loaded(_not_loaded())
            # If the driver does not serve, a uvicorn server on its loop is a plugin's.
            serves = isinstance(self, ASGIMixin)
            if serves:
                front = self._liteyuki_startup.server.front = _front(self._liteyuki_adapters)
                if front is not None:
                    self.on_bot_connect(_told(front.bot_connected))  # type: ignore[attr-defined]
            with self._liteyuki_startup.server if serves else nullcontext():
                super().run(*args, **kwargs)  # type: ignore[misc]

        async def _liteyuki_begin(self) -> None:
            # Added only now, `_liteyuki_end` is the last of the hooks that NoneBot runs when its
            # startup hooks have ended. NoneBot's drivers do not offer `on_ready` themselves.
            lifespan = self._lifespan  # type: ignore[attr-defined]
            lifespan.on_ready(self._liteyuki_end)

        async def _liteyuki_end(self) -> None:
            self._liteyuki_startup.hooks_ended()

    return Mixin


def __getattr__(name: str) -> Any:
    if name == "Mixin":
        mixin = globals()["Mixin"] = _make_mixin()
        return mixin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
