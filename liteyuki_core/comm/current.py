"""The one `Context` of this process, or none.

LiteyukiBot installs the context of the main process. The entry of a child process installs the
context of the child. Nothing is decided at import. The maker of a context closes it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import NotConnected

if TYPE_CHECKING:
    from .context import Context

_context: Context | None = None
_fork_hook = False


def install(context: Context) -> None:
    """Make `context` this process's own."""
    global _context, _fork_hook
    if _context is not None and _context is not context:
        _context.access.copies.close()  # Otherwise its users would go on reading these copies.
    _context = context
    if not _fork_hook and hasattr(os, "register_at_fork"):
        _fork_hook = True
        os.register_at_fork(after_in_child=_forked)


def uninstall(context: Context) -> None:
    """Forget `context` if it is the installed one."""
    global _context
    if _context is context:
        _context = None


def current() -> Context:
    """Return this process's context.

    Raises `NotConnected` outside a LiteyukiBot main process and its children.
    """
    if _context is None:
        raise NotConnected(
            "this process is neither a LiteyukiBot main process nor one of its children: "
            "create a LiteyukiBot first, or start this program from one with "
            "bot.add_process(...) and bot.run()"
        )
    return _context


def process() -> str | None:
    """Return the name of the child whose process this is; None if it is no child's."""
    return None if _context is None else _context.process


def _forked() -> None:
    # A forked copy has no threads, and the connections belong to its parent. If the copy kept them
    # open, the process at their other end would not see that the parent has died.
    global _context
    context, _context = _context, None
    if context is not None:
        context.abandon()
