"""Which files this process has loaded: what a changed file is compared with, here and in main.

To be called from any thread: it runs no code of a module's and imports nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import ModuleType

_noted: set[str] = set()
_MAIN = ("__main__", "__mp_main__")


def place(path: str | os.PathLike[str]) -> str:
    """Return the spelling of a path that places are compared by.

    Its folder is resolved, its last part is not: a link counts where it is.
    """
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.normcase(os.path.join(os.path.realpath(folder), name))


def is_in(path: str, other: str) -> bool:
    """Return whether a place is another, or below it."""
    return path == other or path.startswith(other.rstrip(os.sep) + os.sep)


def note(*paths: str | os.PathLike[str]) -> None:
    """Have files and folders count that this process reads, or would, without importing them."""
    _noted.update(map(place, paths))


def compare(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return which places were loaded here, and which of the others are near.

    Loaded is a file that was imported or noted, or a folder with such a file in it. Near is a
    Python file in a folder that a module was loaded from, below a package that is loaded, or
    below what was noted: where a module is that is new or could not be imported.
    """
    files, folders, packages = _modules()
    above = _above(files)
    noted = set(_noted)
    roots = packages | noted
    loaded, near = [], []
    for path in paths:
        if path in files or path in noted or path in above:
            loaded.append(path)
        elif path.endswith(".py") and (
            os.path.dirname(path) in folders or any(is_in(path, root) for root in roots)
        ):
            near.append(path)
    return loaded, near


def _above(files: set[str]) -> set[str]:
    """Return all folders that files are in, up to the root."""
    found: set[str] = set()
    for folder in {os.path.dirname(file) for file in files}:
        while folder not in found:
            found.add(folder)
            folder = os.path.dirname(folder)
    return found


def _modules() -> tuple[set[str], set[str], set[str]]:
    files: set[str] = set()
    folders: set[str] = set()
    packages: set[str] = set()
    places: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        if not issubclass(type(module), ModuleType):
            continue
        # A module that is loaded when it is first used would be by a look at its attributes.
        file = ModuleType.__getattribute__(module, "__dict__").get("__file__")
        if not isinstance(file, str):
            continue
        folder, last = os.path.split(file)
        if folder not in places:
            places[folder] = os.path.dirname(place(file))
        path = os.path.normcase(os.path.join(places[folder], last))
        files.add(path)
        if name in _MAIN:
            continue  # It is in every child: that says nothing about what stands beside it.
        folders.add(places[folder])
        if last == "__init__.py":
            packages.add(places[folder])
    return files, folders, packages
