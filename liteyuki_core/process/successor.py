"""A process that loads while the child's present one still runs, and then takes its place.

If it can't load, the present one goes on as before, and the log says so.

Ownership. A `Successor` owns its `Life` until the course takes it. LiteyukiBot's loop calls
everything.

Invariant: it ends in one of two ways, once: the course takes its life, or it is dropped, which
kills its process.

Tested with real processes in tests/process/test_load_first.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .. import log
from .ending import describe
from .life import Life
from .task import Tasks

_LOAD_SECONDS = 120.0
"""A successor that has not loaded then is given up."""
_MOST_LACKS = 10


class Successor:
    """The next life of a child, which lets the present one go on until it has loaded."""

    def __init__(self, life: Life, lacked: Sequence[str], tasks: Tasks) -> None:
        self.life = life
        self._lacked = lacked
        """What the present life could not load either."""
        self._tasks = tasks
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        """Whether it was taken or dropped."""

    async def spawn(self) -> None:
        """Spawn the process, which then loads."""
        try:
            await self.life.spawn()
        except Exception as error:
            self._give_up(f"it can't be started: {error!r}")
            return
        finally:
            if self._is_over and self.life.is_spawned:
                self.life.kill()  # It was dropped meanwhile.
        if not self._is_over:
            log.logger.info(
                f"process {self.life.name}: its successor loads, while it goes on "
                f"(pid {self.life.pid})"
            )
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LOAD_SECONDS, self._too_late)

    def has_loaded(self, lacks: Sequence[str]) -> bool:
        """Return whether the process is to take over, now that it has loaded all but `lacks`."""
        if self._is_over:
            return False
        missing = [repr(each[:100])[1:-1] for each in lacks if each not in self._lacked]
        if not missing:
            return True
        more = f" and {len(missing) - _MOST_LACKS} more" * (len(missing) > _MOST_LACKS)
        self._give_up(f"it lacks {', '.join(missing[:_MOST_LACKS])}{more}: see its errors above")
        return False

    def ended(self) -> None:
        """Learn that the process has ended before its turn."""
        self._tasks.run(self._clean_up())

    async def _clean_up(self) -> None:
        try:
            code = await self.life.drain()
            self._give_up(self.life.failure or f"it {describe(code)}: see its lines above")
            self.life.close()
        finally:
            self.life.ended.set()

    def take(self) -> Life | None:
        """Return the life, which is the course's from now on; None if it has ended."""
        self._finish()
        if not self.life.is_spawned or self.life.is_over:
            self.drop()
            return None
        return self.life

    def drop(self) -> None:
        """Kill the process, if there is one. Idempotent."""
        self._finish()
        self.life.kill()

    def _too_late(self) -> None:
        self._give_up(f"it has not loaded within {_LOAD_SECONDS:g} s")

    def _give_up(self, why: str) -> None:
        if not self._is_over:
            self.drop()
            log.logger.error(
                f"process {self.life.name} goes on as it was: its successor was given up, because "
                f"{why}"
            )

    def _finish(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
