"""Processes of a child before their turn: one that loads to take over, and one that is spare.

A `Successor` loads while the child's present process still runs, and then takes its place. If it
can't load, the present one goes on as before, and the log says so. A `Spare` has imported the
child's libraries, and takes over when the present process has ended.

Ownership. Each owns its `Life` until the course takes it. LiteyukiBot's loop calls everything.

Invariant: it ends in one of two ways, once: the course takes its life, or it is dropped, which
kills its process.

Tested with real processes in tests/process/: test_load_first.py, test_spare.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .. import log
from ..language import Phrase, say
from .ending import describe
from .life import Life

_LOAD_SECONDS = 120.0
"""A successor that has not loaded then is given up."""
_MOST_NAMES = 10
"""Most names of what a process could not load that the log shows."""


class Spare:
    """A life before its turn."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self._is_over = False
        """Whether it was taken or dropped."""

    async def spawn(self) -> None:
        """Spawn the process."""
        try:
            await self.life.spawn()
        except Exception as error:
            self._give_up(Phrase("it can't be started: {error!r}", error=error))
        else:
            self._spawned()
        finally:
            if self._is_over and self.life.is_spawned:
                self.life.kill()  # It was dropped meanwhile.

    async def clean_up(self) -> None:
        """Do what follows when the process has ended before its turn."""
        try:
            code = await self.life.drain()
            ended = Phrase("it {what}: see its lines above", what=describe(code))
            self._give_up(self.life.failure or ended)
            self.life.close()
        finally:
            self.life.ended.set()

    def take(self) -> Life | None:
        """Return the life, which is the course's from now on; None if it has ended."""
        if self._is_over or not self.life.is_spawned or self.life.is_over:
            self.drop()
            return None
        self._is_over = True
        return self.life

    def drop(self) -> None:
        """Kill the process, if there is one. Idempotent."""
        self._is_over = True
        self.life.kill()

    def _give_up(self, why: Phrase | str) -> None:
        if not self._is_over:
            self.drop()
            self._say_given_up(why)

    def _spawned(self) -> None:
        log.logger.debug(f"process {self.life.name} has a spare one (pid {self.life.pid})")

    def _say_given_up(self, why: Phrase | str) -> None:
        log.logger.warning(
            say(
                "process {name} has no spare one until it is started anew, because {why}",
                name=self.life.name,
                why=why,
            )
        )


class Successor(Spare):
    """The next life of a child, which lets the present one go on until it has loaded."""

    def __init__(self, life: Life, lacked: Sequence[str]) -> None:
        super().__init__(life)
        self._lacked = lacked
        """What the present life could not load either."""

    def has_loaded(self, lacks: Sequence[str]) -> bool:
        """Return whether the process is to take over, now that it has loaded all but `lacks`."""
        if self._is_over:
            return False
        missing = [each for each in lacks if each not in self._lacked]
        if not missing:
            return True
        self._give_up(Phrase("it lacks {names}: see its errors above", names=several(missing)))
        return False

    def _spawned(self) -> None:
        if not self._is_over:
            log.logger.info(
                say(
                    "process {name}: its successor loads, while it goes on (pid {pid})",
                    name=self.life.name,
                    pid=self.life.pid,
                )
            )
            asyncio.get_running_loop().call_later(_LOAD_SECONDS, self._too_late)

    def _too_late(self) -> None:
        self._give_up(Phrase("it has not loaded within {seconds:g} s", seconds=_LOAD_SECONDS))

    def _say_given_up(self, why: Phrase | str) -> None:
        log.logger.error(
            say(
                "process {name} goes on as it was: its successor was given up, because {why}",
                name=self.life.name,
                why=why,
            )
        )


def several(names: Sequence[str]) -> Phrase | str:
    """Return names that a child has told for a line of the log: the first of them, and how many."""
    shown = ", ".join([repr(each[:100])[1:-1] for each in names[:_MOST_NAMES]])
    more = len(names) - _MOST_NAMES
    return Phrase("{shown} and {count} more", shown=shown, count=more) if more > 0 else shown
