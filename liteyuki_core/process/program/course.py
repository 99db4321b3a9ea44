"""The course of a program: that of any child, with a life that has no link.

As `course.py`, except that readiness is looked for and that nothing is asked over a link.
"""

from __future__ import annotations

from ...comm.wire.payload import Linked
from ..course import Course, Services
from ..health import Hang
from ..living import Living
from ..state import ChildProcess
from ..terms import Terms
from .life import ProgramLife
from .spec import Program

_NEVER = Hang(0.0, "warn")
"""A program is asked nothing, so it is never found to hang."""


class ProgramCourse(Course):
    """One program, from the moment it is added."""

    is_program = True

    def __init__(
        self, child: ChildProcess, program: Program, terms: Terms, services: Services
    ) -> None:
        super().__init__(child, Linked(b""), terms, _NEVER, services)
        self._program = program

    def _make_life(self) -> Living:
        services = self._services
        threads = services.main.context.dispatcher.threads

        def on_end() -> None:
            services.tasks.run(self._ended(life))

        life = ProgramLife(
            self._program,
            services.writer,
            threads,
            lambda: self.ready(life, True),
            on_end,
            self._on_pid,
        )
        return life

    def _spawned(self, life: Living) -> None:
        super()._spawned(life)
        assert isinstance(life, ProgramLife)
        if life.is_ready:
            self.ready(life, True)
        else:
            self._services.tasks.run(self._await_ready(life))

    @property
    def has_terminal(self) -> bool:
        """Whether the main process's terminal is lent to the program."""
        return self._program.terminal

    async def _await_ready(self, life: ProgramLife) -> None:
        if await life.until_ready() and self._life is life and not life.is_ready:
            self.ready(life, True)
