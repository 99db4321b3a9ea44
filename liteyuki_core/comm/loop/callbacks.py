"""What is registered to be called, and what is known of it without calling it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

SYNC_CALLBACKS = 32
"""Callbacks of one channel that run in worker threads at the same time, where no concurrency
is asked for."""

EXITS = (SystemExit, KeyboardInterrupt)
"""What ends a process, wherever in it that is raised."""


class Registration:
    """One callback with its filter."""

    def __init__(
        self,
        callback: Callable[[Any], Any],
        filter_func: Callable[[Any], Any] | None,
        ordered: bool,
        concurrency: int | None = None,
    ) -> None:
        self.callback = callback
        self.filter_func = filter_func
        self.ordered = ordered
        self.concurrency = concurrency
        self.is_async = is_async(callback)
        self.lock = asyncio.Lock()
        self.order = _StartOrder()
        self.place = 0
        """Where it stands among the others of its end."""


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether calling it gives a coroutine; looks through wrappers and partials."""
    function = inspect.unwrap(function)
    while hasattr(function, "func"):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def is_clean(error: BaseException) -> bool:
    """Return whether it ends a process with exit code 0."""
    if not isinstance(error, SystemExit):
        return False
    return error.code is None or (isinstance(error.code, int) and not error.code)


class _StartOrder:
    """Lets calls start in the order in which they took a number, whatever thread runs them."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._given = 0
        self._serving = 0

    def number(self) -> int:
        self._given += 1
        return self._given - 1

    def start(self, number: int) -> None:
        with self._condition:
            while self._serving != number:
                self._condition.wait()
            self._serving += 1
            self._condition.notify_all()


def name_of(function: Any) -> str:
    """Return what a callback or filter is called in the log."""
    return getattr(function, "__qualname__", None) or repr(function)
