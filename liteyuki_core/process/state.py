"""What can be seen of a child process. Its course writes it, on LiteyukiBot's loop."""

from __future__ import annotations

import enum
from datetime import datetime


class ProcessState(enum.Enum):
    """Where a child process is in its life."""

    STARTING = "starting"
    """About to have a process, or it has one that is not ready yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    """It has failed and waits to be started again."""
    STOPPED = "stopped"
    """Not started yet, or ended as it should."""
    FAILED = "failed"
    """It has failed and is not started again by itself."""


class ChildProcess:
    """What can be seen of a child process. Read it from any thread.

    `pid` is None where no process lives, for its number may be a stranger's then; `last_pid` names
    the last one. `exitcode` is the last one's, negative for a signal, None where there is none or
    it is not known; `restarts` how often it was started again; `started_at` in UTC, None before the
    first start. `loop_lag` is how many seconds its event loop
    was late last, or is by now, measured every 2.5 s; None where it has no loop, or that is not
    known, or its `hang_timeout` is 0.
    """

    def __init__(self, name: str, target: str) -> None:
        self.name = name
        self.target = target
        self.state = ProcessState.STOPPED
        self.pid: int | None = None
        self.last_pid: int | None = None
        self.exitcode: int | None = None
        self.started_at: datetime | None = None
        self.restarts = 0
        self.loop_lag: float | None = None
        self.outcome: str | None = None
        """In words, how it ended last or why it could not be started."""

    def __repr__(self) -> str:
        return f"<ChildProcess {self.name!r} {self.state.value} pid={self.pid}>"
