"""The sessions of this process's LiteyukiBot, which installs them. A child has none."""

from __future__ import annotations

from ..comm import current
from ..errors import NotConnected
from .sessions import Sessions

_sessions: Sessions | None = None


def install(sessions: Sessions) -> None:
    """Make `sessions` this process's own."""
    global _sessions
    _sessions = sessions


def uninstall(sessions: Sessions) -> None:
    """Forget `sessions` if they are the installed ones."""
    global _sessions
    if _sessions is sessions:
        _sessions = None


def sessions() -> Sessions:
    """Return this process's sessions. Raises `NotConnected` where there is no LiteyukiBot."""
    if _sessions is not None:
        return _sessions
    child = current.process()
    if child is not None:
        raise NotConnected(
            f"this is child process {child}, and messages are handled in its main process: put "
            "handlers into a plugin of the main process, or use on_message of nonebot here"
        )
    raise NotConnected(
        "there is no LiteyukiBot in this process: handlers are registered in a plugin of the main "
        "process, or in bot.py after LiteyukiBot() was created"
    )
