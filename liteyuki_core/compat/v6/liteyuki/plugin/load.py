"""Loading plugins of the main process."""

from __future__ import annotations

import os
from pathlib import Path

from liteyuki_core import plugin as core
from liteyuki_core.language import say
from liteyuki_core.plugin.model import Plugin

from ..log import logger

__all__ = ["load_plugin", "load_plugins"]


def load_plugin(module_path: str | Path) -> Plugin | None:
    """Load a plugin: a module's name, or a path. Returns None, and logs why, if that fails."""
    return core.load_plugin(module_path)


def load_plugins(*plugin_dir: str | Path, ignore_warning: bool = True) -> set[Plugin]:
    """Load the plugins in some folders. Folders that are not there are passed over."""
    folders = [folder for folder in plugin_dir if os.path.isdir(folder)]
    if not ignore_warning:
        for folder in sorted({str(each) for each in plugin_dir} - {str(each) for each in folders}):
            logger.warning(say("there is no folder {folder} of plugins", folder=folder))
    return set(core.load_plugins(*folders))
