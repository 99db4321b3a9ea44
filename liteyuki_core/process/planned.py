"""Restarts that are planned: of children with too much memory, and of those with a time of the day.

Ownership. `Planned` has one task for memory, which looks every `_LOOK_SECONDS` while a child has a
limit, and one for each time of the day. LiteyukiBot's loop runs them, and `Tasks` owns them. Where
no child has such terms, there is nothing to wake up for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, time
from functools import partial
from typing import TYPE_CHECKING

from .. import log
from ..comm.loop.worker import Threads
from ..language import say
from ..units import in_bytes
from . import memory
from .state import ProcessState
from .task import Tasks
from .terms import next_time

if TYPE_CHECKING:
    from .course import Course

_LOOK_SECONDS = 5.0
_LONGEST_SLEEP = 600.0
"""The clock may be set, and the machine may sleep."""

_now: Callable[[], datetime] = datetime.now
"""Local time. Tests put it forward."""


class Planned:
    """Restarts children as their terms say. `restart` is called with the course."""

    def __init__(self, tasks: Tasks, threads: Threads, restart: Callable[[Course], None]) -> None:
        self._tasks = tasks
        self._threads = threads
        self._restart = restart
        self.observe: Callable[[str, int], object] | None = None
        """Is called with the name and the limit of a child that has had too much memory."""
        self._limited: list[Course] = []
        self._timed: dict[time, list[Course]] = {}

    def add(self, course: Course) -> None:
        """Take in a child. On the loop."""
        terms = course.terms
        if terms.max_memory is not None and course not in self._limited:
            self._limited.append(course)
            if len(self._limited) == 1:
                self._tasks.run(self._look_at_memory())
        if terms.restart_at is not None:
            timed = self._timed.setdefault(terms.restart_at, [])
            if course not in timed:
                timed.append(course)
            if timed == [course]:
                self._tasks.run(self._wait_for(terms.restart_at))

    async def _look_at_memory(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for course in self._limited:
                await self._look_at(course)

    async def _look_at(self, course: Course) -> None:
        life, limit = course.life, course.terms.max_memory
        if life is None or life.root is None or life.pid is None or limit is None:
            return
        size = await self._threads.run(partial(memory.of_tree, life.root, life.pid))
        states = (ProcessState.STARTING, ProcessState.RUNNING)
        if size > limit and course.life is life and course.child.state in states:
            log.logger.warning(
                say(
                    "process {name} is restarted: it has {size} of memory, and its max_memory is "
                    "{limit}",
                    name=course.name,
                    size=in_bytes(size),
                    limit=in_bytes(limit),
                )
            )
            if self.observe is not None:
                self.observe(course.name, limit)
            self._restart(course)

    async def _wait_for(self, at: time) -> None:
        while True:
            # As seconds since the epoch: the hour may be changed for the summer meanwhile.
            until = next_time(at, _now()).timestamp()
            while (remaining := until - _now().timestamp()) > 0:
                await asyncio.sleep(min(remaining, _LONGEST_SLEEP))
            for course in self._timed[at]:
                if course.child.state is ProcessState.RUNNING:
                    log.logger.info(
                        say(
                            "process {name} is restarted: it is {at:%H:%M}", name=course.name, at=at
                        )
                    )
                    self._restart(course)
