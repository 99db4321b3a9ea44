"""The names of LiteyukiBot v6 on top of liteyuki_core. Only a face: what they do is done there.

The names are those of 6.3.6 to 6.3.16 and of the repository's branch v6.
"""

from __future__ import annotations

from typing import Any

from .bot import LiteyukiBot, get_bot, get_config, get_config_with_compat
from .comm import Channel, Event
from .log import init_log, logger
from .plugin import load_plugin, load_plugins

__all__ = [
    "Channel",
    "Event",
    "LiteyukiBot",
    "get_bot",
    "get_config",
    "get_config_with_compat",
    "init_log",
    "load_plugin",
    "load_plugins",
    "logger",
]

__version__ = "6.3.16"
"""The version of v6 whose names these are."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'liteyuki' has no attribute {name!r}")
    raise ImportError(
        f"LiteyukiBot v6 has no liteyuki.{name}. A plugin that was written for v7 runs on v7 alone"
    )
