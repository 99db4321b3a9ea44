"""Calls functions when files change, if the configuration has `liteyuki.reload` or `dev_mode` on.

Needs watchdog then, which is in the extra `v6`; otherwise that is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, TypeVar

from liteyuki_core.language import say
from liteyuki_core.log import logger

from ..bot import get_bot, get_config_with_compat

F = TypeVar("F", bound=Callable[[Any], Any])

_PAUSE = 1.0
"""Changes that come so soon after one that was told of are the same to who edits files."""

_observers: list[Any] = []


def _observer() -> Any:
    """Return the observer, which is started with the first function and ends with the bot."""
    if not _observers:
        try:
            from watchdog.observers import Observer
        except ModuleNotFoundError as error:
            raise ImportError(
                "liteyuki.reload is on, and watchdog, which looks at the files, is not installed: "
                "pip install 'nonebot-plugin-liteyuki-comm[v6]'"
            ) from error
        observer = Observer()
        observer.start()
        _observers.append(observer)
        get_bot().on_after_shutdown(_end)
    return _observers[0]


def _end() -> None:
    while _observers:
        observer = _observers.pop()
        observer.stop()
        observer.join()


def on_file_system_event(
    directories: Iterable[str],
    recursive: bool = True,
    event_filter: Callable[[Any], bool] | None = None,
) -> Callable[[F], F]:
    """Decorate a function that is called with each change in some folders, on a thread of its own.

    Of changes within a second only the first that `event_filter` lets through is told. Folders that
    are not there are passed over, with a line in the log.
    """

    def decorator(function: F) -> F:
        if not get_config_with_compat("liteyuki.reload", ("dev_mode",), False):
            return function
        observer = _observer()
        from watchdog.events import FileSystemEventHandler

        told = -_PAUSE

        class Handler(FileSystemEventHandler):  # type: ignore[misc]
            def on_any_event(self, event: Any) -> None:
                nonlocal told
                if event.event_type in ("opened", "closed_no_write"):
                    return  # Whoever reads a file changes nothing.
                if event_filter is not None and not event_filter(event):
                    return
                if monotonic() - told >= _PAUSE:
                    told = monotonic()
                    function(event)

        for directory in directories:
            if os.path.isdir(directory):
                observer.schedule(Handler(), directory, recursive=recursive)
            else:
                logger.warning(
                    say("no changes are looked for in {folder}: it is not there", folder=directory)
                )
        return function

    return decorator
