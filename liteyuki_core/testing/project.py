"""What the project under test lists for NoneBot in its pyproject.toml."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..pyproject import read_table

_ADAPTER = "nonebot.adapters.onebot.v11"


def nonebot_options(
    root: Path,
    plugins: Sequence[str] | None,
    plugin_dirs: Sequence[str | os.PathLike[str]] | None,
) -> dict[str, Any]:
    """Return what NoneBot's launcher is given. Folders are those of `root`.

    If neither plugins nor folders are given, they are those of the project in `root`.
    """
    adapters = [_ADAPTER]
    if plugins is None and plugin_dirs is None:
        table = read_table(root / "pyproject.toml", "nonebot")
        plugins = [_module(entry) for entry in _entries(table.get("plugins", []))]
        plugin_dirs = table.get("plugin_dirs", [])
        adapters += [_module(entry) for entry in _entries(table.get("adapters", []))]
    return {
        "pyproject": None,
        "adapters": list(dict.fromkeys(adapters)),
        "plugins": list(plugins or ()),
        "plugin_dirs": [str(root / folder) for folder in plugin_dirs or ()],
    }


def _entries(listed: Any) -> list[Any]:
    """Return the entries of a list, or of a table with a list for each distribution."""
    if isinstance(listed, dict):
        return [entry for entries in listed.values() for entry in entries]
    return list(listed)


def _module(entry: Any) -> str:
    return str(entry["module_name"] if isinstance(entry, dict) else entry)
