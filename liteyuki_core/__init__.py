"""LiteyukiBot core: one main process, child processes, and channels between them.

This is the front door. Importing it starts nothing. Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from . import errors as errors
    from .bot import LiteyukiBot as LiteyukiBot
    from .bot import get_bot as get_bot
    from .comm import Channel as Channel
    from .comm import Queue as Queue
    from .comm import get_channel as get_channel
    from .comm import get_queue as get_queue
    from .comm import shared_memory as shared_memory
    from .comm.workers import workers as workers
    from .errors import *  # noqa: F403
    from .log import logger as logger
    from .plugin import load_plugin as load_plugin
    from .plugin import load_plugins as load_plugins
    from .plugin import require as require

_HOMES = {
    "LiteyukiBot": "bot",
    "get_bot": "bot",
    "Channel": "comm",
    "Queue": "comm",
    "get_channel": "comm",
    "get_queue": "comm",
    "load_plugin": "plugin",
    "load_plugins": "plugin",
    "logger": "log",
    "require": "plugin",
    "shared_memory": "comm",
    "workers": "comm",
}
_ERRORS = (
    "LiteyukiError",
    "ChannelError",
    "ChannelClosed",
    "ChannelBroken",
    "ChannelFull",
    "ChannelEmpty",
    "ChannelTimeout",
    "ChannelModeError",
    "ChannelExists",
    "ChannelNotFound",
    "ChannelTypeError",
    "SendError",
    "MessageTooLarge",
    "WouldBlockLoop",
    "StoreError",
    "StoreTimeout",
    "ProcessError",
    "ProcessExists",
    "ProcessNotFound",
    "ProcessStartError",
    "ProcessTimeout",
    "PluginError",
    "PluginExists",
    "PluginNotFound",
    "PluginFailed",
    "PluginCycle",
    "RemoteError",
    "BotNotConnected",
    "PromptTimeout",
    "WorkerDied",
    "NotConnected",
    "AlreadyRunning",
    "ClusterError",
    "NodeError",
    "NodeNotFound",
    "NodeGone",
    "NodeTimeout",
    "ConfigError",
    "FrameError",
)

__all__ = [
    "Channel",
    "LiteyukiBot",
    "Queue",
    "get_bot",
    "get_channel",
    "get_queue",
    "load_plugin",
    "load_plugins",
    "logger",
    "require",
    "shared_memory",
    "workers",
    *_ERRORS,
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name) or ("errors" if name in _ERRORS else None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)
