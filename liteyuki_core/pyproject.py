"""Tables of pyproject.toml: `[tool.nonebot]` and `[tool.liteyuki]`."""

from __future__ import annotations

import os
import sys
from typing import Any

from .errors import ConfigError


def read_table(path: str | os.PathLike[str] | None, name: str) -> dict[str, Any]:
    """Return the table `[tool.NAME]` of a file. It is empty if there is no file or no such table.

    Raises `ConfigError` if the file is not TOML, or holds something else under this name.
    """
    if path is None or not os.path.isfile(path):
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with open(path, "rb") as file:
            found: Any = tomllib.load(file)
    except ValueError as error:  # Also if it is not UTF-8.
        raise ConfigError(f"{os.fspath(path)} is not TOML: {error}") from None
    where: list[str] = []
    for key in ("tool", name):
        where.append(key)
        found = found.get(key, {})
        if not isinstance(found, dict):
            text = ".".join(where)
            raise ConfigError(f"{os.fspath(path)}: [{text}] must be a table, not {found!r}")
    table: dict[str, Any] = found
    return table
