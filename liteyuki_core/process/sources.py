"""Which files this process has loaded. Hot reload compares changed files with them.

It is used in children and in main. Any thread may call these functions: they run no code of
modules and import nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import ModuleType

_noted: set[str] = set()
_MAIN = ("__main__", "__mp_main__")


def place(path: str | os.PathLike[str]) -> str:
    """Return the place of a path: the spelling by which paths are compared.

    Its folder is resolved, its last part is not: the place of a link is where the link is.
    """
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.normcase(os.path.join(os.path.realpath(folder), name))


def is_in(path: str, other: str) -> bool:
    """Return whether a place is the same as another, or below it."""
    return path == other or path.startswith(other.rstrip(os.sep) + os.sep)


def note(*paths: str | os.PathLike[str]) -> None:
    """Count files and folders as loaded that are not imported. They need not exist yet."""
    _noted.update(map(place, paths))


def is_of_noted(path: str) -> bool:
    """Return whether a place was noted, or is below a folder that was."""
    return any(is_in(path, noted) for noted in list(_noted))


def compare(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return which places are loaded in this process, and which of the others are near.

    A place is loaded if it was imported or noted, or is a folder with an imported file in it. A
    Python file is near if it is in a folder that a module was loaded from, or below a loaded
    package or a noted folder: a module may be there that is new or could not be imported.
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
    """Return the folders of files and all folders above them, up to the root."""
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
        # Reading an attribute in the usual way would load a module that loads itself at first use.
        file = ModuleType.__getattribute__(module, "__dict__").get("__file__")
        if not isinstance(file, str):
            continue
        folder, last = os.path.split(file)
        if folder not in places:
            places[folder] = os.path.dirname(place(file))
        path = os.path.normcase(os.path.join(places[folder], last))
        files.add(path)
        if name in _MAIN:
            continue  # Every child has loaded it. That alone makes no file beside it near.
        folders.add(places[folder])
        if last == "__init__.py":
            packages.add(places[folder])
    return files, folders, packages
