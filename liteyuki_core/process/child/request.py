"""What a child process says to the main process about itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ...comm.current import current

Target = TypeVar("Target", bound=Callable[..., Any])

_CALLS_READY = "__liteyuki_calls_ready__"


def calls_ready(target: Target) -> Target:
    """Decorate a target that calls `ready` itself: until then its process is STARTING."""
    setattr(target, _CALLS_READY, True)
    return target


def will_call_ready(target: Callable[..., Any]) -> bool:
    """Return whether a target was decorated with `calls_ready`."""
    return getattr(target, _CALLS_READY, False) is True


def ready() -> None:
    """Say that this child process is ready: the main process has it RUNNING from now on.

    Waits for nothing, from any thread; once is enough. A target that calls it is decorated with
    `calls_ready`. Raises `NotConnected` where this is no child of a LiteyukiBot.
    """
    current().port.word(op="ready", called=True)


def request_restart(name: str | None = None) -> None:
    """Ask the main process to restart this process, or the one called `name`.

    Returns at once, from any thread; it is stopped as by `bot.restart_process`. The main process
    logs an error if there is none of that name. Raises `NotConnected` where this is no child
    of a LiteyukiBot.
    """
    current().port.word(op="restart", name=name)
