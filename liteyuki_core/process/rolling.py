"""Restarts of replicas, one after another, so that the others go on meanwhile.

Ownership. The supervisor makes one `Rolling` for the replicas of a name. While restarts wait, it
has one task, which `Tasks` owns. LiteyukiBot's loop calls everything.

Invariants. A replica that runs is stopped for a restart only when no other is being restarted. If
one could not load its files, or has failed, those that wait are not restarted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import log
from ..language import say
from .state import ProcessState
from .task import Tasks

if TYPE_CHECKING:
    from .course import Course

Restart = Callable[["Course", bool], None]


class Rolling:
    """The replicas of one child. `restart` restarts one, and is told whether to load it first."""

    def __init__(self, tasks: Tasks, restart: Restart) -> None:
        self._tasks = tasks
        self._restart = restart
        self._waiting: dict[Course, bool] = {}
        """Those that are to be restarted, each with whether it loads first."""
        self._restarting: Course | None = None

    def restart(self, course: Course, load_first: bool) -> None:
        """Restart a replica when its turn comes: at once if it does not run."""
        if course.child.state is not ProcessState.RUNNING:
            self._waiting.pop(course, None)
            self._restart(course, load_first)
            return
        load_first = load_first and self._waiting.get(course, True)
        if course is self._restarting:
            self._restart(course, load_first)
            return
        self._waiting[course] = load_first
        if self._restarting is None:
            self._restarting = course
            self._tasks.run(self._run())

    def forget(self, course: Course) -> None:
        """Restart a replica no more, if it waits for that."""
        self._waiting.pop(course, None)

    async def _run(self) -> None:
        try:
            while self._waiting:
                course = self._restarting = next(iter(self._waiting))
                load_first, life = self._waiting.pop(course), course.life
                self._restart(course, load_first)
                await course.until_settled()
                kept_on = load_first and life is not None and course.life is life
                if kept_on or course.child.state is ProcessState.FAILED:
                    self._give_up(course)
        finally:
            self._restarting = None

    def _give_up(self, course: Course) -> None:
        """Have those that wait go on as they are: the same would happen to them."""
        others, self._waiting = list(self._waiting), {}
        for other in others:
            log.logger.warning(
                say(
                    "process {name} is not restarted, because process {other} could not be",
                    name=other.name,
                    other=course.name,
                )
            )
