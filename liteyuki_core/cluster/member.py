"""What users see of a node of the cluster. Needs nothing of NATS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """A node of the cluster, as it was at one moment."""

    name: str
    is_this: bool
    """Whether it is this main process."""
    runs: bool
    """Whether it runs, as far as is known: one that vanishes is missed within 10 seconds."""
    channels: tuple[str, ...]
    """The channels that it has for others."""
