"""NoneBot2 in a child process: the launcher and the driver mixin. The only file that knows NoneBot.

`run` is the target of a NoneBot child. `Mixin` is combined with NoneBot's driver
(`DRIVER=~fastapi+liteyuki_core.frameworks.nonebot`; `run` adds it by itself) and changes one
thing: a startup hook that serves a channel does not hold up the startup. NoneBot is imported
when one of them is used, not with this module.

How that works: NoneBot awaits startup hooks one after another. The mixin has each run on its
own, a sync one in a worker thread, and goes on with the startup when the hook ends, or starts
to wait in a `receive`, or has received for over a second. A hook left running ends when NoneBot
shuts down, because then its `receive` raises `ChannelClosed`; the shutdown waits for that.

It tells the main process that NoneBot is ready, when its startup hooks have ended and, if
it serves, its port accepts; or why it could not start.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import nullcontext
from contextvars import copy_context
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from .. import log
from ..comm import current
from ..comm.channel import receive_observer
from ..comm.loop.callbacks import is_async
from ..comm.loop.worker import Threads
from ..errors import ChannelBroken, ChannelClosed, NotConnected
from ..process import loaded
from ..process.child.request import calls_ready, ready
from .uvicorn import FirstServer

if TYPE_CHECKING:
    from nonebot.drivers import Driver
    from nonebot.drivers import Mixin as BaseMixin

    class Mixin(BaseMixin):
        """Driver mixin: startup hooks that serve a channel do not hold up NoneBot's startup."""


_MIXIN = __name__
_SERVING_SECONDS = 1.0
_END_SECONDS = 3.0
"""How long a shutdown waits for messages in hand, where it does not know how long it may, and then
for hooks left running to end."""


@calls_ready
def run(
    *,
    pyproject: str | os.PathLike[str] | None = "pyproject.toml",
    plugins: Iterable[str] = (),
    plugin_dirs: Iterable[str] = (),
    adapters: Iterable[str] = (),
    **config: Any,
) -> None:
    """Run NoneBot as `nb run` does: the target of a NoneBot child process.

    Reads `.env`, registers the adapters and loads the plugins that `[tool.nonebot]` of
    `pyproject` lists (None, or a file that is not there: none), then those named here (modules;
    an adapter is its module, e.g. "nonebot.adapters.onebot.v11"). `config` goes to
    `nonebot.init`. Returns when NoneBot has shut down; SystemExit 3 when it could not start.
    """
    _expect_loop()
    import nonebot
    from nonebot.config import Config, Env
    from nonebot.log import default_filter, logger_id

    log.take_in(nonebot.logger, logger_id, level=0, filter=default_filter)
    if "driver" not in config:
        environment = Env().environment
        config["driver"] = Config(_env_file=(".env", f".env.{environment}")).driver
    if _MIXIN not in config["driver"].split("+"):
        config["driver"] += f"+{_MIXIN}"
    nonebot.init(**config)
    driver = nonebot.get_driver()
    table = _nonebot_table(pyproject)
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
    nonebot.run()


def _nonebot_table(pyproject: str | os.PathLike[str] | None) -> dict[str, Any]:
    if pyproject is None or not Path(pyproject).is_file():
        return {}
    with open(pyproject, "rb") as file:
        table = tomllib.load(file).get("tool", {}).get("nonebot", {})
    return table if isinstance(table, dict) else {}


def _note_files(
    pyproject: str | os.PathLike[str] | None, plugins: list[str], plugin_dirs: list[str]
) -> None:
    """Have a change of these count, also of a plugin that can't be imported now."""
    if pyproject is not None:
        loaded.note(pyproject)
    loaded.note(*plugin_dirs)
    for plugin in plugins:
        path = os.path.join(*plugin.split("."))
        loaded.note(path, f"{path}.py")


def _entries(listed: Any) -> list[Any]:
    # nb-cli 1.7 writes a table of lists, one a distribution; before, one list.
    return (
        [entry for entries in listed.values() for entry in entries]
        if isinstance(listed, dict)
        else list(listed)
    )


def bind_lifespan(driver: Driver) -> None:
    """Have callbacks run on NoneBot's loop and let receivers end with it. Idempotent a driver.

    The startup hook binds the loop; it adds the shutdown hook last, so that it runs first and
    no other shutdown hook waits for a receiver.
    """
    if getattr(driver, "_liteyuki_bound", False):
        return
    driver._liteyuki_bound = True  # type: ignore[attr-defined]
    loaded.note(".env", f".env.{driver.env}")
    _expect_loop()

    async def bind() -> None:
        try:
            context = current.current()
        except NotConnected:
            return
        context.target_runs_loop()
        context.dispatcher.bind(asyncio.get_running_loop())

        async def unbind() -> None:
            at = context.stop_at or monotonic() + _END_SECONDS
            context.begin_stop("NoneBot is shutting down")
            await context.async_settle(at - monotonic())
            context.dispatcher.unbind()
            hooks: set[asyncio.Future[Any]] = getattr(driver, "liteyuki_hooks", set())
            await _ended(hooks)

        driver.on_shutdown(unbind)

    driver.on_startup(bind)


def _expect_loop() -> None:
    try:
        current.current().dispatcher.use_other_loop()
    except NotConnected:
        pass  # Without a host NoneBot works, and channels say what is wrong when they are used.


class _Startup:
    """What becomes of one driver's startup. On NoneBot's loop."""

    def __init__(self) -> None:
        self.server = FirstServer(self.ready, self._refused)
        self._hooks_ended = False

    def hooks_ended(self) -> None:
        self._hooks_ended = True
        if not self.server.found:
            self.ready()

    def ready(self) -> None:
        try:
            ready()
        except NotConnected:
            pass  # Nobody waits for it.

    def failed(self, why: str) -> None:
        """Give the reason, to the main process if there is one: it logs how its child ends."""
        try:
            current.current().port.word(op="failed", why=why)
        except NotConnected:
            log.logger.error(f"NoneBot could not start: {why}")

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


async def _ended(hooks: set[asyncio.Future[Any]]) -> None:
    if hooks:
        await asyncio.wait(hooks, timeout=_END_SECONDS)


class _Hook:
    """Runs one startup hook so that it may go on beside NoneBot."""

    def __init__(
        self,
        function: Callable[[], Any],
        threads: Threads,
        left: set[asyncio.Future[Any]],
        failed: Callable[[str], None],
    ) -> None:
        self._function = function
        self._name = getattr(function, "__qualname__", repr(function))
        self._threads = threads
        self._left = left
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

        context = copy_context()
        context.run(receive_observer.set, observe)
        running = context.run(self._start, loop)
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
            self._left.add(running)
            running.add_done_callback(self._left_running)

    def _start(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        if is_async(self._function):
            coroutine: Coroutine[Any, Any, Any] = self._function()
            return loop.create_task(coroutine)
        return asyncio.ensure_future(self._threads.run(self._function))

    def _left_running(self, running: asyncio.Future[Any]) -> None:
        self._left.discard(running)
        error = None if running.cancelled() else running.exception()
        if error is not None and not _says_the_end(error):
            log.logger.opt(exception=error).error(
                f"startup hook {self._name}, left running because it serves a channel, raised "
                f"{error!r}"
            )


def _says_the_end(error: BaseException) -> bool:
    """Return whether it only says that NoneBot shuts down or that the main process is gone."""
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


def _make_mixin() -> type[BaseMixin]:
    from nonebot.drivers import ASGIMixin
    from nonebot.drivers import Mixin as BaseMixin

    class Mixin(BaseMixin):
        """Driver mixin: startup hooks that serve a channel do not hold up NoneBot's startup."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._liteyuki_threads = Threads()
            self._liteyuki_startup = _Startup()
            self.liteyuki_hooks: set[asyncio.Future[Any]] = set()
            self.on_shutdown(self._liteyuki_threads.close)  # type: ignore[attr-defined]
            bind_lifespan(self)  # type: ignore[arg-type]
            self.on_startup(self._liteyuki_begin)

        @property
        def type(self) -> str:
            return "liteyuki"

        def on_startup(self, func: Callable[[], Any]) -> Callable[[], Any]:
            hook = _Hook(
                func, self._liteyuki_threads, self.liteyuki_hooks, self._liteyuki_startup.failed
            )

            async def run() -> None:
                await hook()

            super().on_startup(run)  # type: ignore[misc]
            return func

        def run(self, *args: Any, **kwargs: Any) -> None:
            # A driver that does not serve may be the loop of another server, of some plugin's.
            serves = isinstance(self, ASGIMixin)
            with self._liteyuki_startup.server if serves else nullcontext():
                super().run(*args, **kwargs)  # type: ignore[misc]

        async def _liteyuki_begin(self) -> None:
            # NoneBot goes on with what is added to a list while it is at it: now, this is last.
            # NoneBot's drivers do not offer this list themselves.
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
