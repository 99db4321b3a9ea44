"""The context of this child."""

from __future__ import annotations

from liteyuki_core.comm import active_channel, passive_channel

from .context import Context
from .utils import IsMainProcess

_context: Context | None = None


def get_ctx() -> Context:
    """Return this child's context: `sub_chan` is its active channel, `main_chan` its passive one.

    Raises `RuntimeError` in the main process.
    """
    global _context
    if IsMainProcess:
        raise RuntimeError(
            "get_ctx() is for child processes; in the main process use "
            "sub_process_manager.processes[NAME].ctx"
        )
    if _context is None:
        _context = Context(passive_channel, active_channel)
    return _context
