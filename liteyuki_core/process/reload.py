"""Hot reload: a changed file restarts the processes that it concerns.

Whom a change concerns. If LITEYUKI_RELOAD is on and main has loaded the file, it concerns main
and nobody else. If main has not, it concerns the children that have loaded the file. If nobody
has, because the file is new or could not be imported, it concerns the children that have loaded
something from its folder, and main if it loads plugins from there. A child that was added with
`watch` is concerned by changes in these places and by no others. A child that has failed can't be
asked what it had loaded, so all changes concern it.

Invariants: a changed file stays in `_pending` for a child until the child is restarted. The child
is restarted only when all its files in `_pending` compile. A child whose successor has not been
spawned yet needs no restart: the successor loads the files as they are. One whose successor loads
already is asked what that has loaded. So however many files change during a restart, and however
often, at most one more restart follows.
"""

from __future__ import annotations

import asyncio
import os
import tokenize
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib.util import cache_from_source
from typing import Any, NamedTuple

from .. import log
from ..comm.loop.worker import Threads
from ..errors import ProcessStartError
from ..language import Phrase, say
from . import sources
from .supervisor import Supervisor

_QUIET_MILLISECONDS = 100
"""Changes with no longer pause between them count as one change."""
_ANSWER_SECONDS = 5.0
"""A child may take so long to answer: one that has just been spawned is slow to connect."""
_SETTINGS = (".env", "pyproject.toml")
_SCRIPTS = (".js", ".cjs", ".mjs", ".ts")
"""Of programs. No Python child has loaded such a file, so it matters to none."""
_MAIN = ""
"""The main process's name in `_pending` and in flaws. No child has this name."""


def find_watched(name: str, paths: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    """Return the places whose changes reload a child. Raises what `add_process` raises."""
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(f"process {name}: watch must be a list of paths, not {paths!r}")
    found = []
    for path in paths:
        if not os.path.exists(path):
            raise ProcessStartError(
                f"process {name}: there is no {os.fspath(path)!r} to watch in {os.getcwd()}", name
            )
        # If the path is a link to a folder, that folder is watched.
        found.append(sources.place(os.path.realpath(path) if os.path.isdir(path) else path))
    return tuple(found)


class Reload:
    """Watches files and restarts the processes that a change concerns. On LiteyukiBot's loop.

    `run` owns the tasks that watch and the task that decides. It ends them when it is cancelled.
    It calls `restart_main` when the main process is to be restarted.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        threads: Threads,
        restart_main: Callable[[], None],
        *,
        everywhere: bool,
    ) -> None:
        self._supervisor = supervisor
        self._threads = threads
        self._restart_main = restart_main
        self._folder = sources.place(os.curdir) if everywhere else None
        self._watch: dict[str, tuple[str, ...]] = {}
        self._look_again = asyncio.Event()
        self._changed: set[str] = set()
        self._has_changed = asyncio.Event()
        self._pending: dict[str, set[str]] = {}
        self._flaws: dict[str, dict[str, str]] = {}
        """The logged reasons why processes are not restarted, by process and file."""

    def add(self, name: str, watched: tuple[str, ...]) -> None:
        """Watch for a child the places that `find_watched` has returned. From any thread.

        While `run` runs, call `look_again` after this.
        """
        self._watch[name] = watched

    def look_again(self) -> None:
        """Begin to watch the places that were added."""
        self._look_again.set()

    @property
    def restarts_failed(self) -> bool:
        """Whether a child that has failed is started again when a file changes."""
        return self._folder is not None or bool(self._watch)

    # ------------------------------------------------------------- watching

    async def run(self) -> None:
        """Reload until cancelled, or until the main process is to be restarted."""
        deciding = asyncio.create_task(self._decide(), name="liteyuki-reload")
        watching: list[asyncio.Task[Any]] = []
        try:
            while not deciding.done():
                self._look_again.clear()
                before = watching
                watching = [asyncio.create_task(self._look_again.wait()), *self._open()]
                # A task watches from its first step on. Old ones end after that: nothing is missed.
                await asyncio.sleep(0)
                await _end(before)
                done, _ = await asyncio.wait(
                    {deciding, *watching}, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
        except Exception as error:
            unforeseen = None if isinstance(error, OSError) else error
            log.logger.opt(exception=unforeseen).error(
                say(
                    "files can't be watched, so nothing is reloaded until LiteyukiBot is "
                    "restarted: {error}",
                    error=error,
                )
            )
        finally:
            await _end([deciding, *watching])

    def _open(self) -> list[asyncio.Task[None]]:
        """Begin to watch folders with all that is in them, and the folders above watched paths.

        The folders above, because a file that is replaced, or a folder that is made anew, is a
        different one to the system. The system would go on to watch the old one.
        """
        watched = {path for paths in self._watch.values() for path in paths}
        deep = {path for path in watched if os.path.isdir(path)}
        flat = {os.path.dirname(path) for path in watched}
        if self._folder is not None:
            folder = self._folder
            deep = {path for path in deep if not sources.is_in(path, folder)} | {folder}
            flat = {path for path in flat if not sources.is_in(path, folder)}
        return [
            asyncio.create_task(self._watch_paths(paths, recursive), name="liteyuki-watch")
            for paths, recursive in ((deep, True), (flat, False))
            if paths
        ]

    async def _watch_paths(self, paths: set[str], recursive: bool) -> None:
        from watchfiles import Change, DefaultFilter, awatch

        ignores = DefaultFilter(ignore_dirs=_ignored())
        watched = {path for watch in self._watch.values() for path in watch}

        def is_wanted(change: Change, path: str) -> bool:
            if sources.place(path) in watched:
                return True
            root = max((p for p in paths if sources.is_in(path, p)), key=len, default=None)
            # The filter sees no folder above the root: its name could exclude the whole root.
            if not recursive or root is None or not ignores(change, os.path.relpath(path, root)):
                return False
            if change is Change.added and os.path.isdir(path):
                return True
            # Nobody can tell any more whether this was a folder.
            was_folder = change is Change.deleted and "." not in os.path.basename(path)
            return was_folder or _is_source(path, scripts=True)

        changes = awatch(
            *paths, watch_filter=is_wanted, step=_QUIET_MILLISECONDS, recursive=recursive
        )
        async for found in changes:
            places = {sources.place(path) for _, path in found}
            self._changed |= places
            self._has_changed.set()
            if not recursive and places & watched:
                self._look_again.set()

    # ------------------------------------------------------------- deciding

    async def _decide(self) -> None:
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            changed, self._changed = self._changed, set()
            paths = await self._threads.run(partial(_files, changed))
            for name, found in await self._concerned(paths):
                self._pending.setdefault(name, set()).update(found)
            pending = {path for found in self._pending.values() for path in found}
            flaws = await self._threads.run(partial(_flaws, pending))
            await self._threads.run(partial(_forget_compiled, pending))
            # Each child imports bot.py when it starts, so none is restarted while main waits.
            for name in [_MAIN] if _MAIN in self._pending else list(self._pending):
                if not self._is_whole(name, flaws):
                    continue
                files = self._pending.pop(name)
                if name == _MAIN:
                    log.logger.info(say("LiteyukiBot is restarted: {why}", why=_changed(files)))
                    self._restart_main()
                    return
                course = self._supervisor.get(name)
                if course.has_begun:
                    log.logger.info(
                        say("process {name} is restarted: {why}", name=name, why=_changed(files))
                    )
                    self._supervisor.restart(course, load_first=True)

    async def _concerned(self, paths: list[str]) -> list[tuple[str, list[str]]]:
        """Return the name of each process that some of `paths` concern, and these paths."""
        mains: list[str] = []
        near_main: list[str] = []
        if self._folder is not None:
            mains, near_main = await self._threads.run(lambda: sources.compare(paths))
        rest = [path for path in paths if path not in mains]
        begun = [course.name for course in self._supervisor.courses if course.has_begun]
        answers = await asyncio.gather(*(self._ask(name, rest) for name in begun))
        known = {path for answer in answers for path in answer.loaded}
        # Not all that is near: main has imported this package, and its folders are no plugins'.
        new = [path for path in near_main if path not in known and sources.is_of_noted(path)]
        concerned = [(_MAIN, [*mains, *filter(os.path.isfile, new)])]
        for name, answer in zip(begun, answers, strict=True):
            near = [p for p in answer.near if p not in known and os.path.isfile(p)]
            concerned.append((name, [*answer.sure, *answer.loaded, *near]))
        return [(name, found) for name, found in concerned if found]

    async def _ask(self, name: str, paths: list[str]) -> _Answer:
        watch = self._watch.get(name, ())
        if self._supervisor.get(name).is_program:
            # It can't be asked what it has loaded.
            found = [p for p in paths if any(sources.is_in(p, place) for place in watch)]
            return _Answer([p for p in found if p in watch or _is_source(p, scripts=True)], [], [])
        if watch:
            paths = [path for path in paths if any(sources.is_in(path, p) for p in watch)]
            sure = [path for path in paths if path in watch or _is_source(path)]
        else:
            paths = paths if self._folder is not None else []
            sure = []
        asked = [path for path in paths if path not in sure]
        if not asked:
            return _Answer(sure, [], [])
        course = self._supervisor.get(name)
        answer = await self._supervisor.ask_loaded(course, asked, _ANSWER_SECONDS)
        if answer is None:
            return _Answer([*sure, *filter(_is_source, asked)], [], [])
        # Whatever a child answers, only files that it was asked about count.
        had = [path for path in asked if path in answer.loaded]
        near = [path for path in asked if path in answer.near]
        return _Answer(sure, had, [] if watch else near)

    def _is_whole(self, name: str, flaws: dict[str, str]) -> bool:
        """Return whether all pending files of a process compile. Log once each that does not."""
        found = {path: flaws[path] for path in sorted(self._pending[name]) if path in flaws}
        before = self._flaws.pop(name, {})
        if found:
            self._flaws[name] = found
        who = Phrase("process {name}", name=name) if name else "LiteyukiBot"
        for path, flaw in found.items():
            if before.get(path) != flaw:
                log.logger.error(
                    say(
                        "{who} is not restarted until this error is fixed: {path}, {flaw}",
                        who=who,
                        path=_shown(path),
                        flaw=flaw,
                    )
                )
        return not found


class _Answer(NamedTuple):
    """Which changed files concern a child. Those in `sure` do so whatever the child answers."""

    sure: list[str]
    loaded: list[str]
    near: list[str]


def _is_source(path: str, *, scripts: bool = False) -> bool:
    """Return whether a file matters by its name. With `scripts`, those of Node matter too."""
    name = os.path.basename(path)
    ends = (".py", *_SCRIPTS) if scripts else ".py"
    return name.endswith(ends) or name in _SETTINGS or name.startswith(".env.")


def _ignored() -> tuple[str, ...]:
    """Return the names of folders whose files do not matter."""
    from watchfiles import DefaultFilter

    return (*DefaultFilter.ignore_dirs, "site-packages")


def _files(changed: set[str]) -> list[str]:
    """Return the changed files. A folder is replaced by the files in it."""
    found: set[str] = set()
    ignored = _ignored()
    for path in changed:
        if os.path.isdir(path):
            for folder, folders, names in os.walk(path):
                folders[:] = [name for name in folders if name not in ignored]
                found.update(os.path.join(folder, n) for n in names if _is_source(n, scripts=True))
        else:
            found.add(path)
    return sorted(found)


def _flaws(paths: Iterable[str]) -> dict[str, str]:
    """Return why Python files do not compile, by path."""
    flaws = {}
    for path in paths:
        if not path.endswith(".py"):
            continue
        try:
            with tokenize.open(path) as file:
                compile(file.read(), path, "exec", dont_inherit=True)
        except OSError:
            pass  # The file is gone. Whoever imports it gets an error.
        except SyntaxError as error:
            flaws[path] = f"line {error.lineno or 1}: {error.msg}"
        except (ValueError, RecursionError, MemoryError) as error:
            flaws[path] = f"it can't be compiled: {error}"
    return flaws


def _forget_compiled(paths: Iterable[str]) -> None:
    """Remove the bytecode of files.

    Python takes it for current if the file has the same size and changed in the same second.
    """
    for path in paths:
        if path.endswith(".py"):
            with suppress(OSError, NotImplementedError):
                os.unlink(cache_from_source(path))


def _shown(path: str) -> str:
    folder = sources.place(os.curdir)
    return os.path.relpath(path, folder) if sources.is_in(path, folder) else path


def _changed(paths: set[str]) -> Phrase:
    first, more = _shown(min(paths)), len(paths) - 1
    if not more:
        return Phrase("{path} has changed", path=first)
    return Phrase("{path} has changed, and {count} more", path=first, count=more)


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
