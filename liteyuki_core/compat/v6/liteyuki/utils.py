"""Which process this is, and v6's five helpers."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from liteyuki_core.language import say

from .log import logger

IS_MAIN_PROCESS = current_process().name == "MainProcess"
"""Whether this is the main process, also while a child imports its main module again."""


def is_coroutine_callable(call: Callable[..., Any]) -> bool:
    """Return whether a call of it returns a coroutine."""
    if inspect.isroutine(call):
        return inspect.iscoroutinefunction(call)
    return not inspect.isclass(call) and inspect.iscoroutinefunction(
        getattr(call, "__call__", None)  # noqa: B004
    )


_tasks: set[asyncio.Future[Any]] = set()


def run_coroutine(*coro: Coroutine[Any, Any, Any]) -> None:
    """Run coroutines: as tasks where a loop runs on this thread, else to their end."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(_all(*coro))
        return
    for each in coro:
        task = asyncio.ensure_future(each)
        _tasks.add(task)  # A loop itself keeps no task alive.
        task.add_done_callback(_ended)


async def _all(*coro: Coroutine[Any, Any, Any]) -> None:
    for result in await asyncio.gather(*coro, return_exceptions=True):
        if isinstance(result, Exception):
            logger.opt(exception=result).error(say("a coroutine raised {error!r}", error=result))


def _ended(task: asyncio.Future[Any]) -> None:
    _tasks.discard(task)
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.opt(exception=error).error(say("a coroutine raised {error!r}", error=error))


def run_coroutine_in_thread(*coro: Coroutine[Any, Any, Any]) -> None:
    """Run coroutines in a thread of their own."""
    threading.Thread(target=run_coroutine, args=coro, name="liteyuki-v6", daemon=True).start()


def path_to_module_name(path: Path) -> str:
    """Return the dotted name of a module that stands below the current directory."""
    parts = list(path.resolve().relative_to(Path.cwd().resolve()).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def async_wrapper(func: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a coroutine function that calls `func`."""

    @wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper
