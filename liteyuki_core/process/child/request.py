"""What a child says to the main process about itself. Any thread may call these functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ...comm.current import current
from ...comm.wire import words

Target = TypeVar("Target", bound=Callable[..., Any])

_CALLS_READY = "__liteyuki_calls_ready__"


def calls_ready(target: Target) -> Target:
    """Decorate a target that calls `ready` itself: until it does, its process is STARTING."""
    setattr(target, _CALLS_READY, True)
    return target


def will_call_ready(target: Callable[..., Any]) -> bool:
    """Return whether a target was decorated with `calls_ready`."""
    return getattr(target, _CALLS_READY, False) is True


def ready(lacks: Iterable[str] = ()) -> None:
    """Tell the main process that this child process is ready: it is RUNNING from now on.

    `lacks` names what the process should have loaded and could not, such as plugins: the log says
    that it is ready without these. Waits for nothing. Any thread may call it; one call is enough.
    Decorate a target that calls it with `calls_ready`. Raises `NotConnected` if this is no child of
    a LiteyukiBot.
    """
    current().port.word(words.Ready(True, list(lacks)))


def request_restart(name: str | None = None) -> None:
    """Ask the main process to restart this process, or the one called `name`.

    Returns at once. Any thread may call it. The process is stopped as by `bot.restart_process`.
    If no process has that name, the main process logs an error. Raises `NotConnected` if this is
    no child of a LiteyukiBot.
    """
    current().port.word(words.Restart(name))


def request_stop(name: str | None = None) -> None:
    """Ask the main process to stop this process, or the one called `name`.

    Returns at once. Any thread may call it. The process is stopped as by `bot.stop_process`, and is
    not started again by itself. If no process has that name, the main process logs an error. Raises
    `NotConnected` if this is no child of a LiteyukiBot.
    """
    current().port.word(words.AskStop(name))
