"""The plugins of this process's LiteyukiBot, and the functions that load and find them.

LiteyukiBot installs its `Loader`. A child has none. Nothing is decided at import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from ..comm import current
from ..errors import NotConnected
from .loader import Loader
from .model import Plugin

_loader: Loader | None = None


def install(loader: Loader) -> None:
    """Make `loader` this process's own."""
    global _loader
    _loader = loader


def uninstall(loader: Loader) -> None:
    """Forget `loader` if it is the installed one."""
    global _loader
    if _loader is loader:
        _loader = None


def load_plugin(plugin: str | os.PathLike[str]) -> Plugin | None:
    """Load a plugin of the main process now. From any thread of the main process.

    `plugin` is a module's name, such as "package.module", or the path of a Python file or of a
    package's folder. A text is a path if it has a separator in it or ends with ".py".

    Returns the plugin, which is loaded once however often this is called. A module that was
    imported before is not run again. If the plugin can't be loaded, returns None, and the log says
    why, once. What it had added to the bot before it failed stays.

    Raises `NotConnected` where there is no LiteyukiBot, as in a child process, and `TypeError` for
    what is neither text nor path.
    """
    return _current().load_one(plugin)


def load_plugins(*folders: str | os.PathLike[str]) -> list[Plugin]:
    """Load each module and package in some folders now. From any thread of the main process.

    They are loaded by name, unless one requires another, and those whose name begins with "_" are
    left out. Returns those that are loaded. The log says why one could not be loaded, and which
    folder is not there. Raises `NotConnected` as `load_plugin` does.
    """
    return _current().load_folders(*folders)


def require(name: str) -> ModuleType:
    """Return the module of another plugin. Load that plugin first if it is not loaded yet.

    `name` is the name of a plugin that is listed or was loaded, or the name of a module. From any
    thread of the main process. It waits while another thread loads plugins.

    Raises `PluginNotFound` if there is none, `PluginFailed` if it could not be loaded,
    `PluginCycle` if it is being loaded and requires the caller, `PluginExists` if another plugin
    has its name, and `NotConnected` as `load_plugin` does.
    """
    return _current().require(name)


def get_loaded_plugins() -> Mapping[str, Plugin]:
    """Return the loaded plugins by name, in the order in which they were loaded.

    From any thread of the main process. Raises `NotConnected` as `load_plugin` does.
    """
    return _current().plugins


def loading_plugin() -> str | None:
    """Return the name of the plugin that this thread is loading; None if it loads none."""
    return None if _loader is None else _loader.loading


def plugin_of(function: Callable[..., Any]) -> Plugin | None:
    """Return the loaded plugin that a function was defined in; None if that is no plugin.

    A plugin that is a package has the functions of all its modules.
    """
    return None if _loader is None else _loader.of(function)


def _current() -> Loader:
    if _loader is not None:
        return _loader
    child = current.process()
    if child is not None:
        raise NotConnected(
            f"this is child process {child}, and only its main process loads these plugins: put "
            "what a child runs into a module that loads and requires none; in a NoneBot plugin use "
            "require and load_plugin of nonebot"
        )
    raise NotConnected(
        "there is no LiteyukiBot in this process: plugins of the main process are loaded in "
        'bot.py, under `if __name__ == "__main__":` and after LiteyukiBot() was created'
    )
