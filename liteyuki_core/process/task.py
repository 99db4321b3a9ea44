"""Tasks that nobody waits for. They are kept until they end, and their errors are reported.

Ownership. The supervisor has the one `Tasks` and lends it to the courses. `Tasks` owns each task
that it runs. The caller of `run` may cancel the task. Only LiteyukiBot's loop calls it.

Tested in tests/process/test_endings.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """Runs tasks. Calls `on_broken` with each exception that one of them raises."""

    def __init__(self, on_broken: Callable[[BaseException], None]) -> None:
        self._on_broken = on_broken
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task of its own."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_broken(error)
