"""Absences: nodes of the cluster that have vanished for longer than an operator wants to bear.

Every node that sends alerts watches, and one of them tells. While the server of the cluster is
away, nobody knows who runs: that is told, and not that all others have vanished.

Ownership. An `Absences` owns one timer for each node that has vanished. LiteyukiBot's loop calls
everything.

Invariant: a node is told to be back by whoever has told that it has vanished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Protocol


class Nodes(Protocol):
    """What is known of the cluster. Any thread may ask."""

    @property
    def is_sender(self) -> bool:
        """Whether this node is the one that tells of others."""

    @property
    def server_is_there(self) -> bool:
        """Whether the server of the cluster is there."""


class _Absence:
    """One node that has vanished."""

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.begun = monotonic()
        self.timer = timer
        self.is_told = False


class Absences:
    """Tells of nodes that have vanished for `after` seconds, and of those that are back.

    `lasts` is called with the name of the node and how many seconds that are, `ends` likewise when
    it is back. The name "" stands for the server.
    """

    def __init__(
        self,
        after: float,
        nodes: Nodes,
        lasts: Callable[[str, float], object],
        ends: Callable[[str, float], object],
    ) -> None:
        self._after = after
        self._nodes = nodes
        self._lasts = lasts
        self._ends = ends
        self._absences: dict[str, _Absence] = {}
        self._server_left: float | None = None
        """When it was told that the server is away."""

    def node(self, name: str, *, is_gone: bool) -> None:
        """Learn that a node has vanished; or that it runs, or has stopped in good order."""
        self._look_at_server()
        absence = self._absences.get(name)
        if not is_gone:
            if absence is not None:
                self._end(name)
                if absence.is_told:
                    self._ends(name, monotonic() - absence.begun)
        elif absence is None:
            self._absences[name] = _Absence(self._timer(name))

    def close(self) -> None:
        """Cancel the timers."""
        for name in list(self._absences):
            self._end(name)

    def _timer(self, name: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._after, partial(self._tell, name))

    def _tell(self, name: str) -> None:
        self._look_at_server()
        absence = self._absences[name]
        if not self._nodes.server_is_there:
            absence.timer = self._timer(name)  # It may be there once the server is back.
            if self._server_left is None:
                self._server_left = absence.begun
                self._lasts("", monotonic() - absence.begun)
        elif self._nodes.is_sender:
            absence.is_told = True
            self._lasts(name, monotonic() - absence.begun)

    def _look_at_server(self) -> None:
        if self._server_left is not None and self._nodes.server_is_there:
            seconds = monotonic() - self._server_left
            self._server_left = None
            self._ends("", seconds)

    def _end(self, name: str) -> None:
        self._absences.pop(name).timer.cancel()
