"""The public view of a child process.

Its course owns it and writes it, on LiteyukiBot's loop; `pid` and `last_pid` also on the thread
that waits for the process, `loop_lag` by `Health`. Any thread may read it.
"""

from __future__ import annotations

import enum
from datetime import datetime

from ..language import Phrase


class ProcessState(enum.Enum):
    """The state of a child process."""

    STARTING = "starting"
    """It will have a process soon, or has one that is not ready yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    """It has failed and waits to be started again."""
    STOPPED = "stopped"
    """It was not started yet, or has ended as it should."""
    FAILED = "failed"
    """It has failed and is not started again by itself."""


class ChildProcess:
    """The public view of a child process. Any thread may read it.

    `pid` is None while no process lives, because another process may have that number then.
    `last_pid` is the pid of the last process. `exitcode` is the exit code of the last process. It
    is negative for a signal, and None if there is no exit code or it is not known. `restarts` says
    how often the child was started again. `started_at` is in UTC, None before the first start.
    `loop_lag` says how many seconds late the child's event loop was last, or is by now. It is
    measured every 2.5 s, and None if the child has no loop, if the lag is not known, or if the
    child's `hang_timeout` is 0.
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
        self.ending: Phrase | None = None
        """How the child ended last, or why it could not be started, in words of any language."""

    @property
    def outcome(self) -> str | None:
        """How the child ended last, or why it could not be started, in words."""
        return None if self.ending is None else self.ending.english

    def __repr__(self) -> str:
        return f"<ChildProcess {self.name!r} {self.state.value} pid={self.pid}>"
