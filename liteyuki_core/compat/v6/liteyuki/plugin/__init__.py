"""Plugins of the main process."""

from __future__ import annotations

from collections.abc import Mapping

from liteyuki_core.plugin import get_loaded_plugins as _loaded

from .load import load_plugin, load_plugins
from .model import Plugin, PluginMetadata, PluginType

__all__ = [
    "Plugin",
    "PluginMetadata",
    "PluginType",
    "get_loaded_plugins",
    "load_plugin",
    "load_plugins",
]


def get_loaded_plugins() -> Mapping[str, Plugin]:
    """Return the loaded plugins by the names of their modules."""
    return {plugin.module_name: plugin for plugin in _loaded().values()}
