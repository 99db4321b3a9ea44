"""What users see of a node of the cluster. Needs nothing of NATS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from ..accounts import Account
from ..process.state import ProcessState


@dataclass(frozen=True)
class MemberProcess:
    """A child process of a node, as the node has told it last.

    `pid` is None while no process lives. `started_at` is in UTC, None before the first start.
    `restarts` says how often it was started again.
    """

    name: str
    state: ProcessState
    pid: int | None
    restarts: int
    started_at: datetime | None

    @property
    def uptime(self) -> float | None:
        """For how many seconds it has had its process; None while no process lives."""
        if self.pid is None or self.started_at is None:
            return None
        return max(0.0, (datetime.now(timezone.utc) - self.started_at).total_seconds())


@dataclass(frozen=True)
class Member:
    """A node of the cluster, as it was at one moment."""

    name: str
    is_this: bool
    """Whether it is this main process."""
    runs: bool
    """Whether it runs, as far as is known: one that vanishes is missed within 10 seconds."""
    has_stopped: bool
    """Whether it has stopped in good order. One that neither runs nor has stopped has vanished."""
    seen: datetime
    """When it was heard of last, in UTC."""
    channels: tuple[str, ...]
    """The channels that it has for others."""
    processes: tuple[MemberProcess, ...]
    """Its child processes, at most half a second old; () if it does not run."""
    accounts: tuple[Account, ...]
    """The accounts of its processes, likewise. Of a node that does not run, they are DISCONNECTED.
    """
    sends_alerts: bool
    """Whether LITEYUKI_ALERT_URLS is set there."""
