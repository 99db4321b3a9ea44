"""Plugins of the main process: the names for users."""

from .current import (
    get_loaded_plugins,
    load_plugin,
    load_plugins,
    loading_plugin,
    plugin_of,
    require,
)
from .model import Plugin, PluginMetadata, PluginType

__all__ = [
    "Plugin",
    "PluginMetadata",
    "PluginType",
    "get_loaded_plugins",
    "load_plugin",
    "load_plugins",
    "loading_plugin",
    "plugin_of",
    "require",
]
