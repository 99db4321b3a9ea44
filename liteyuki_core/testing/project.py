"""What the project under test lists for NoneBot in its pyproject.toml."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from ..pyproject import read_table

_ADAPTER = "nonebot.adapters.onebot.v11"


def nonebot_options(
    root: Path,
    plugins: Sequence[str] | None,
    plugin_dirs: Sequence[str | os.PathLike[str]] | None,
) -> dict[str, Any]:
    """Return what NoneBot's launcher is given. Folders are those of `root`.

    If neither plugins nor folders are given, they are those of the project in `root`. Raises
    `ValueError` for a folder that is not in it.
    """
    adapters = [_ADAPTER]
    if plugins is None and plugin_dirs is None:
        table = read_table(root / "pyproject.toml", "nonebot")
        plugins = [_module(entry) for entry in _entries(table.get("plugins", []))]
        plugin_dirs = table.get("plugin_dirs", [])
        adapters += [_module(entry) for entry in _entries(table.get("adapters", []))]
    found = list(plugins or ())
    for folder in plugin_dirs or ():
        found += _plugins_in(root, folder)
    return {"pyproject": None, "adapters": list(dict.fromkeys(adapters)), "plugins": found}


def _plugins_in(root: Path, folder: str | os.PathLike[str]) -> list[str]:
    """Return the modules that NoneBot would load from a folder if it ran in `root`.

    It runs elsewhere, and NoneBot loads no folder from outside of its working directory.
    """
    path = (root / folder).resolve()
    try:
        above = path.relative_to(root.resolve()).parts
    except ValueError:
        raise ValueError(
            f"the folder {os.fspath(folder)!r} is not in {root}, pytest's root directory"
        ) from None
    if not path.is_dir():
        raise ValueError(f"there is no folder {os.fspath(folder)!r} in {root}")
    names = [module.name for module in iter_modules([str(path)])]
    return [".".join((*above, name)) for name in names if not name.startswith("_")]


def _entries(listed: Any) -> list[Any]:
    """Return the entries of a list, or of a table with a list for each distribution."""
    if isinstance(listed, dict):
        return [entry for entries in listed.values() for entry in entries]
    return list(listed)


def _module(entry: Any) -> str:
    return str(entry["module_name"] if isinstance(entry, dict) else entry)
