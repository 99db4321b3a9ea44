"""What a course and a stop need of a life, be it of a child with a link or of a program."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Living(Protocol):
    """One process of a child. LiteyukiBot's loop calls everything but `kill`."""

    name: str
    begun: float
    ended: asyncio.Event
    """Set by the course when it has handled the end."""
    pid: int | None
    called_ready: bool
    """Whether it said itself that it was ready, so that an exit code of 3 means a crash."""
    has_crashed: bool
    """Whether main ends it because it can't be used any more. The exit code does not count then."""
    is_late: bool
    """Whether main ends it because it was not ready in time."""
    failure: str | None
    """Its error, in words."""

    @property
    def is_spawned(self) -> bool:
        """Whether there is a process."""

    @property
    def is_clean(self) -> bool:
        """Whether it has said that it ends as it should, or was asked to."""

    @property
    def root(self) -> int | None:
        """The process that all of it descends from."""

    async def spawn(self) -> None:
        """Spawn the process. Raises what spawning raises."""

    def note_ready(self, called: bool) -> None:
        """Note that it is ready, and whether it has said so itself."""

    def ask(self, seconds: float) -> None:
        """Ask it to stop within so many seconds."""

    def terminate(self) -> None:
        """Have the system terminate it. It may ignore that."""

    def kill(self) -> None:
        """Kill it, and what it has started. From any thread, also in a signal handler."""

    async def drain(self) -> int | None:
        """Read the rest of what it has sent. Return the exit code, None if it is not known."""

    def close(self) -> None:
        """Close what is left of it."""
