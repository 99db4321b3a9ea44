"""How processes of children are started: forked by a server, on Linux, or spawned.

Ownership. A `Starting` owns the fork servers, and `close` ends them. Any thread may call it.

Tested in tests/process/test_forking.py.
"""

from __future__ import annotations

import sys
from multiprocessing.context import SpawnProcess
from typing import Any

from .child import entry
from .spec import ChildSpec

_FRAMEWORKS = f"{__name__.partition('.')[0]}.frameworks."


class Starting:
    """Makes the processes of children. With `fork`, they are forked where that can be."""

    def __init__(self, fork: bool) -> None:
        self._forking: Any = None
        # A frozen program has no interpreter that could be begun as a server.
        if sys.platform == "linux" and fork and not getattr(sys, "frozen", False):
            from .forking import Forking

            self._forking = Forking()

    def framework_of(self, target: str) -> str:
        """Return the module of the framework that a target is of; "" if of none, or if spawned.

        Children of one framework wait for one server.
        """
        module = target.partition(":")[0]
        return module if self._forking and module.startswith(_FRAMEWORKS) else ""

    def process(self, spec: ChildSpec) -> SpawnProcess:
        """Return a process for a child, not started yet. To start it may wait."""
        options: dict[str, Any] = {
            "target": entry.main,
            "args": (spec,),
            "name": f"liteyuki-{spec.name}",
        }
        if self._forking is None:
            return SpawnProcess(**options)
        forked: SpawnProcess = self._forking.process(self.framework_of(spec.target), **options)
        return forked

    def close(self) -> None:
        """End the servers. No child can be started any more."""
        if self._forking is not None:
            self._forking.close()
