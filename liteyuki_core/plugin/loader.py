"""The plugins of one main process: those that are listed, being loaded, loaded, and failed.

Ownership. A `Loader` belongs to a LiteyukiBot. It owns no thread and nothing that has to be closed.

Threads. Any thread may call all methods. One thread loads at a time. Another that asks meanwhile
waits, as it would for an import.

Invariant: a name in `_places` is that of a plugin which is loaded, has failed, or is being loaded
and then in `_chain`. So a plugin is imported once, whatever comes of it.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any, NoReturn

from .. import log
from ..errors import PluginCycle, PluginError, PluginExists, PluginFailed, PluginNotFound
from ..language import say
from ..process import sources
from .model import Plugin, PluginMetadata
from .source import Place, Source, locate, members, source_of

_HIDDEN = (os.path.dirname(__file__) + os.sep, os.path.dirname(importlib.__file__) + os.sep)
"""Frames of files in these folders say nothing about a plugin's error."""


class Loader:
    """Loads plugins, each once, and knows what came of it.

    `listed` and `folders` are what `load_listed` loads. `require` knows those plugins before that.
    """

    def __init__(self, listed: Iterable[str] = (), folders: Iterable[str] = ()) -> None:
        self._listed = tuple(listed)
        self._folders = tuple(folders)
        self._lock = threading.RLock()
        self._loading_thread: int | None = None
        self._chain: list[str] = []
        """The plugins that are being loaded. Each was required by the one before it."""
        self._ends: SystemExit | None = None
        """What a plugin has raised to end the process, while it passes through who required it."""
        self._sources: dict[str, Source] = {}
        """By the name of each plugin that is known: what it was loaded by, or listed by first."""
        self._places: dict[str, Place] = {}
        self._failed: set[str] = set()
        self._loaded: dict[str, Plugin] = {}
        self._modules: dict[str, Plugin] = {}
        self.read_metadata: Callable[[str, ModuleType], PluginMetadata | None] = _metadata
        """Returns what a plugin's module says about it, by the plugin's name and its module."""
        self._know(map(source_of, self._listed))
        for folder in self._folders:
            with suppress(OSError):  # It is reported when its plugins are to be loaded.
                self._know(members(folder))

    @property
    def plugins(self) -> Mapping[str, Plugin]:
        """The loaded plugins by name, in the order in which they were loaded."""
        return MappingProxyType(self._loaded)

    @property
    def loading(self) -> str | None:
        """The name of the plugin that the calling thread is loading, or None."""
        if self._loading_thread != threading.get_ident():
            return None
        return self._chain[-1] if self._chain else None

    def of(self, function: Callable[..., Any]) -> Plugin | None:
        """Return the loaded plugin whose module, or package, a function was defined in."""
        while isinstance(function, partial):
            function = function.func
        module = getattr(function, "__module__", None)
        while isinstance(module, str) and module:
            if module in self._modules:
                return self._modules[module]
            module = module.rpartition(".")[0]
        return None

    # ------------------------------------------------------------- loading

    def load_listed(self) -> None:
        """Load what the settings list. What can't be loaded is logged."""
        for listed in self._listed:
            self.load_one(listed)
        self.load_folders(*self._folders)

    def load_one(self, given: str | os.PathLike[str]) -> Plugin | None:
        """Load one plugin and return it; None, and a line in the log, if that fails."""
        return self._load(source_of(given))

    def load_folders(self, *folders: str | os.PathLike[str]) -> list[Plugin]:
        """Load the plugins in some folders. Return those that are loaded, in order."""
        found: list[Source] = []
        for folder in folders:
            sources.note(folder)
            try:
                found += members(folder)
            except OSError as error:
                log.logger.error(
                    say(
                        "no plugins are loaded from the folder {folder!r} in {here}: {why}",
                        folder=os.fspath(folder),
                        here=os.getcwd(),
                        why=error.strerror,
                    )
                )
        with self._lock:
            self._know(found)
        return [plugin for source in found if (plugin := self._load(source)) is not None]

    def require(self, name: str) -> ModuleType:
        """Return the module of a plugin, which is loaded if it is not yet.

        Raises `PluginNotFound`, `PluginFailed`, `PluginExists` and `PluginCycle`.
        """
        if not isinstance(name, str):
            raise TypeError(f"a plugin is required by its name, not by {name!r}")
        with self._lock:
            source = self._sources.get(name) or source_of(name)
            try:
                return self._get(source).module
            except PluginNotFound as error:
                known = [other for other in self._sources if other != source.name]
                near = get_close_matches(source.name, known, 1)
                if not near or error.plugin != source.name:
                    raise
                raise PluginNotFound(f"{error}; did you mean {near[0]!r}?", source.name) from None

    def _know(self, sources: Iterable[Source]) -> None:
        for source in sources:
            self._sources.setdefault(source.name, source)

    def _load(self, source: Source) -> Plugin | None:
        try:
            return self._get(source)
        except PluginFailed:
            return None  # It was reported when it failed.
        except PluginError as error:
            log.logger.error(say("{error}", error=error))
            return None

    def _get(self, source: Source) -> Plugin:
        """Return a plugin, which is loaded if it is not yet. Raises `PluginError`."""
        name = source.name
        with self._lock:
            place = self._places.get(name)
            if place is None:
                return self._import(source)
            other = self._another(source, place)
            if other is not None:
                raise PluginExists(
                    f"plugin {name} is not loaded from {other}: a plugin of this name stands in "
                    f"{place.shown}; rename one of them",
                    name,
                )
            if name in self._loaded:
                return self._loaded[name]
            if name in self._failed:
                raise _failure(name)
            circle = (*self._chain[self._chain.index(name) :], name)
            raise PluginCycle(
                f"plugins require each other in a circle: {' -> '.join(circle)}; take what "
                "both need into a third one",
                name,
            )

    def _another(self, source: Source, place: Place) -> str | None:
        """Return where a source is, if that is not the place of the plugin of its name."""
        if source == self._sources.get(source.name):
            return None
        try:
            found = locate(source)
        except PluginError:
            raise
        except Exception:  # A package above it. That may be why the plugin has failed.
            return None if source.name in self._failed else source.given
        return None if place.is_same(found) else found.shown

    def _import(self, source: Source) -> Plugin:
        name = source.name
        self._chain.append(name)
        self._loading_thread = threading.get_ident()
        try:
            place = locate(source)
            if name in self._places:  # A package above it has loaded it.
                return self._get(source)
            self._sources[name] = source
            self._places[name] = place
            _note(place)
            module = import_module(place.module)
        except PluginError as error:
            if name not in self._places and error.plugin == name:
                raise
            self._fail(source, error, str(error))
        except Exception as error:
            self._fail(source, error, f"{type(error).__name__}: {error}")
        except BaseException as error:
            self._places.pop(name, None)  # It was broken off. Whoever asks again tries again.
            if isinstance(error, SystemExit) and error is not self._ends:
                self._ends = error
                log.logger.error(
                    say("plugin {name} ends the main process: {error!r}", name=name, error=error)
                )
            raise
        finally:
            self._chain.pop()
            if not self._chain:
                self._loading_thread = self._ends = None
        plugin = Plugin(name, place.module, module, place.file, self.read_metadata(name, module))
        self._loaded[name] = self._modules[place.module] = plugin
        log.logger.info(say("plugin {name} is loaded from {place}", name=name, place=source.given))
        return plugin

    def _fail(self, source: Source, error: Exception, reason: str) -> NoReturn:
        name = source.name
        self._places.setdefault(name, Place(source.given, None))
        self._failed.add(name)
        cut = _without_hidden(error.__traceback__)
        # Hot reload is to hear of a change in each file that may be the cause.
        frames = cut
        while frames is not None:
            sources.note(frames.tb_frame.f_code.co_filename)
            frames = frames.tb_next
        if isinstance(error, SyntaxError) and error.filename:
            sources.note(error.filename)
        log.logger.opt(exception=error.with_traceback(cut)).error(
            say("plugin {name} could not be loaded: {why}", name=name, why=reason)
        )
        raise _failure(name) from None


def _failure(name: str) -> PluginFailed:
    return PluginFailed(
        f"the required plugin {name} could not be loaded; its own error is in the log above", name
    )


def _note(place: Place) -> None:
    """Have hot reload know the file of a plugin, also if it can't be imported."""
    if place.file is not None:
        folder, last = os.path.split(place.file)
        sources.note(place.file, *([folder] if last == "__init__.py" else []))


def _metadata(name: str, module: ModuleType) -> PluginMetadata | None:
    found = vars(module).get("__plugin_meta__")
    if found is None or isinstance(found, PluginMetadata):
        return found
    log.logger.warning(
        say(
            "plugin {name}: its __plugin_meta__ is ignored, because it is a {type} and no "
            "PluginMetadata of liteyuki_core.plugin",
            name=name,
            type=type(found).__name__,
        )
    )
    return None


def _without_hidden(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without what imports plugins: only frames of plugins and below."""
    frames = []
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith(("<frozen importlib", *_HIDDEN)):
            frames.append(traceback)
        traceback = traceback.tb_next
    cut = None
    for frame in reversed(frames):
        cut = TracebackType(cut, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return cut
