"""Where a plugin stands: from a module's name, or a path, to a module that Python can import.

A path becomes a module that is imported by its name, as any other. So a child can import what is
in a plugin, and a plugin that is named in two ways is one module.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import NamedTuple

from ..errors import PluginError, PluginExists, PluginNotFound
from ..process import sources

_PACKAGE = "__init__.py"


class Source(NamedTuple):
    """What a plugin was named by."""

    name: str
    """The plugin's name."""
    given: str
    """The name of a module, or a path."""
    is_path: bool


class Place(NamedTuple):
    """The module that a source names. Two sources with the same file name the same plugin."""

    module: str
    file: str | None

    @property
    def shown(self) -> str:
        """The file, or the module where there is none."""
        return self.file or self.module

    def is_same(self, other: Place) -> bool:
        """Return whether both are one module."""
        if self.file is None or other.file is None:
            return self.module == other.module
        return sources.place(self.file) == sources.place(other.file)


def source_of(given: str | os.PathLike[str]) -> Source:
    """Return the source that a module's name or a path is. Raises `TypeError` for anything else.

    A text is a path if it has a separator in it or ends with ".py".
    """
    if isinstance(given, str) and not _is_path(given):
        return Source(given.rpartition(".")[2], given, False)
    path = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(path, str):
        raise TypeError(f"a plugin is named by a module or a path, not by {given!r}")
    folder, last = os.path.split(os.path.abspath(path))
    if last == _PACKAGE:
        last = os.path.basename(folder)
    return Source(last.removesuffix(".py"), path, True)


def _is_path(text: str) -> bool:
    return "/" in text or os.sep in text or text.endswith(".py")


def members(folder: str | os.PathLike[str]) -> list[Source]:
    """Return the plugins in a folder, by name: its modules and packages, none that begins with _.

    Raises `OSError` if the folder can't be read.
    """
    found = []
    for last in sorted(os.listdir(folder)):
        path = os.path.join(os.fspath(folder), last)
        is_module = last.endswith(".py") and os.path.isfile(path)
        if not last.startswith("_") and (is_module or os.path.isfile(os.path.join(path, _PACKAGE))):
            found.append(source_of(path))
    return found


def locate(source: Source) -> Place:
    """Return the module of a source. Packages above it are imported; it is not.

    If Python searches no folder above a path, the path's own folder is put at the end of
    `sys.path`. Raises `PluginNotFound`, `PluginExists`, and what the packages raise.
    """
    importlib.invalidate_caches()
    if not source.is_path:
        return _locate_module(source)
    file = os.path.abspath(source.given)
    is_package = os.path.isdir(file)
    if is_package:
        file = os.path.join(file, _PACKAGE)
    elif os.path.basename(file) == _PACKAGE:
        is_package = True
    if not os.path.isfile(file) or not file.endswith(".py"):
        what = (
            f"the folder {source.given!r} has no {_PACKAGE}; load_plugins loads what is in a folder"
            if os.path.isdir(source.given)
            else f"there is no Python file {source.given!r} in {os.getcwd()}"
        )
        raise PluginNotFound(f"plugin {source.name}: {what}", source.name)
    # The folder is resolved: one plugin reached by two links is one module.
    parts = os.path.realpath(os.path.dirname(file))
    stem = os.path.join(parts, os.path.basename(file).removesuffix(".py"))
    return _locate_file(source.name, file, parts if is_package else stem)


def _locate_module(source: Source) -> Place:
    spec = _spec(source.given)
    if spec is None:
        raise PluginNotFound(
            f"plugin {source.name}: there is no module {source.given!r} in the folders of sys.path",
            source.name,
        )
    if spec.origin is None:
        raise PluginNotFound(
            f"plugin {source.name}: {source.given!r} is a folder without {_PACKAGE}; "
            "load_plugins loads what is in a folder",
            source.name,
        )
    return Place(source.given, spec.origin if spec.has_location else None)


def _locate_file(name: str, file: str, stem: str) -> Place:
    """Return the place of a file. `stem` is its path, or its package's, without an ending."""
    other = None
    for folder in _folders_above(stem):
        module = os.path.relpath(stem, folder).replace(os.sep, ".")
        spec = _spec(module)
        if spec is not None and spec.origin is not None:
            if sources.place(spec.origin) == sources.place(file):
                return Place(module, file)
            other = spec.origin
    if other is not None:
        raise PluginExists(
            f"plugin {name} ({file}) can't be imported: Python finds {other} by the same name; "
            "rename it",
            name,
        )
    folder, module = os.path.split(stem)
    if folder in sys.path or "." in module:
        raise PluginNotFound(f"plugin {name}: no module can have the name of {file}", name)
    sys.path.append(folder)
    try:
        return _locate_file(name, file, stem)
    except PluginError:
        sys.path.remove(folder)
        raise


def _folders_above(path: str) -> list[str]:
    """Return the folders above a path that Python searches, the nearest first."""
    found = []
    for entry in sys.path:
        folder = os.path.realpath(entry or os.curdir)
        if sources.is_in(os.path.normcase(path), os.path.normcase(folder)):
            rest = os.path.relpath(path, folder)
            if rest != os.curdir and "." not in rest:
                found.append(folder)
    return sorted(set(found), key=len, reverse=True)


def _spec(module: str) -> ModuleSpec | None:
    """Return the spec of a module, or None if there is none."""
    if not all(module.split(".")):
        return None
    try:
        return find_spec(module)
    except ModuleNotFoundError as error:
        if error.name is not None and _is_part(module, error.name):
            return None
        raise
    except ValueError:  # A module that has no spec, such as __main__.
        return None


def _is_part(module: str, name: str) -> bool:
    """Return whether a module is the one called `name`, or stands in it."""
    return module == name or module.startswith(f"{name}.")
