"""v6's LiteyukiBot: that of liteyuki_core, with v6's arguments, attributes and configuration."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, TypeVar, cast

from dotenv import dotenv_values

from liteyuki_core.bot import LiteyukiBot as Core
from liteyuki_core.bot import get_bot as core_get_bot
from liteyuki_core.language import say
from liteyuki_core.log import logger
from liteyuki_core.plugin import load_plugin

from ..comm import channel
from ..core.manager import ProcessManager
from ..log import init_log
from ..plugin.load import load_plugins
from ..plugin.model import metadata_of
from ..session import on
from .lifespan import Lifespan, fitted

__all__ = ["LiteyukiBot", "get_bot", "get_config", "get_config_with_compat"]

Hook = TypeVar("Hook", bound=Callable[..., Any])

_SETTINGS = {"log_level": "LITEYUKI_LOG_LEVEL"}
"""v6's configuration keys that are settings of ours, where these say nothing."""
_DEFAULT_FOLDER = "src/liteyuki_plugins"


def _apply(config: Mapping[str, Any]) -> None:
    """Have what the configuration says be our settings, where those do not say it themselves."""
    said = {**dotenv_values(".env"), **os.environ}
    for key, setting in _SETTINGS.items():
        if key in config and setting not in said:
            os.environ[setting] = str(config[key])


class LiteyukiBot(Core):
    """The main process, as v6 has it. Its keyword arguments are the configuration, flat.

    It loads the plugins of `liteyuki.plugins` and `liteyuki.plugin_dirs` at once.
    """

    def __init__(self, *args: Any, **config: Any) -> None:
        self.config: dict[str, Any] = config
        _apply(config)
        super().__init__()
        self._loader.read_metadata = metadata_of
        self.lifespan = Lifespan()
        self.process_manager = ProcessManager(self.lifespan)
        self.stop_event = threading.Event()
        self.call_restart_count = 0
        self.i_chan: channel.Channel[Any] = channel.Channel()
        self.o_chan: channel.Channel[Any] = channel.Channel()
        channel.made()
        on.listen()
        _say_whose_names()
        for plugin in config.get("liteyuki.plugins", []):
            load_plugin(plugin)
        load_plugins(*_folders(config))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the main process. Raises `RuntimeError` where it does not run."""
        if self._loop is None:
            raise RuntimeError("LiteyukiBot's loop runs from run() on: use bot.on_before_start")
        return self._loop

    def init(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: all is there once the bot is made."""

    def init_logger(self) -> None:
        """Change nothing."""
        init_log(self.config)

    def add_process(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Add a child process, as LiteyukiBot does."""
        super().add_process(name, *args, **kwargs)
        channel.made(name)

    def restart(self, delay: float = 0) -> None:
        """Stop everything, then replace this process by a new one, in `delay` seconds."""
        restart = super().restart
        if delay:
            self._on_loop(lambda: self.loop.call_later(delay, restart))
        else:
            restart()

    def restart_process(
        self, name: str | None = None, *, load_first: bool = False, delay: float = 0.0
    ) -> None:
        """Restart a child, or all of them."""
        for each in list(self.processes) if name is None else [name]:
            super().restart_process(each, load_first=load_first, delay=delay)

    def stop(self) -> None:
        """Stop the bot. Returns at once."""
        self.stop_event.set()
        super().stop()

    def on_before_process_shutdown(self, hook: Hook) -> Hook:
        """Decorate a hook, with the child's name as its argument or without one."""
        super().on_before_process_shutdown(fitted(hook))
        return hook

    def on_before_process_restart(self, hook: Hook) -> Hook:
        """Decorate a hook, with the child's name as its argument or without one."""
        super().on_before_process_restart(fitted(hook))
        return hook

    def on_after_restart(self, hook: Hook) -> Hook:
        """Decorate a hook, with the child's name as its argument or without one."""
        super().on_after_restart(fitted(hook))
        return hook

    def on_after_nonebot_init(self, hook: Hook) -> Hook:
        """Decorate a hook that nobody calls, as in v6."""
        return hook


def _folders(config: Mapping[str, Any]) -> list[str]:
    given = config.get("liteyuki.plugin_dirs", [_DEFAULT_FOLDER])
    return [given] if isinstance(given, str) else list(given)


def _say_whose_names() -> None:
    try:
        installed = metadata.version("liteyukibot")
    except metadata.PackageNotFoundError:
        logger.info(say("the names of LiteyukiBot v6 are those of liteyuki_core's compatibility"))
        return
    logger.info(
        say(
            "the names of LiteyukiBot v6 are those of liteyuki_core's compatibility; liteyukibot "
            "{version}, which is installed, is not used",
            version=installed,
        )
    )


def get_bot() -> LiteyukiBot:
    """Return this process's LiteyukiBot. Raises `NotConnected`, a `RuntimeError`."""
    return cast(LiteyukiBot, core_get_bot())


def get_config(key: str, default: Any = None) -> Any:
    """Return a value of the configuration, by its flat key."""
    return getattr(get_bot(), "config", {}).get(key, default)


def get_config_with_compat(key: str, compat_keys: tuple[str, ...], default: Any = None) -> Any:
    """Return a value of the configuration, by its key or by one of its older keys."""
    config = getattr(get_bot(), "config", {})
    if key in config:
        return config[key]
    for older in compat_keys:
        if older in config:
            logger.warning(
                say("configuration: {older} is an older name of {key}", older=older, key=key)
            )
            return config[older]
    return default
