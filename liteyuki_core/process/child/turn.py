"""Whose turn it is: a process that replaces one that still runs loads first, and then waits.

Its predecessor is stopped when it has loaded. Only then does it start up. Any other process has its
turn from the start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from ...comm.current import current
from ...comm.wire import words

_LOOK_SECONDS = 0.5
"""On Windows only a thread that does not wait can be interrupted."""

_CALLS_LOADED = "__liteyuki_calls_loaded__"


class Turn:
    """The turn of this process, which `waits` for it. Any thread may call the methods."""

    def __init__(self, waits: bool) -> None:
        self._has_come = threading.Event()
        if not waits:
            self._has_come.set()

    @property
    def has_come(self) -> bool:
        """Whether the process may start up."""
        return self._has_come.is_set()

    def come(self) -> None:
        """Let the process start up."""
        self._has_come.set()

    def has_loaded(self, lacks: Iterable[str]) -> None:
        """Say that this process has loaded all but what it `lacks`, and wait for its turn."""
        if not self._has_come.is_set():
            current().port.word(words.WaitsForTurn(list(lacks)))
            self.wait()

    def wait(self) -> None:
        """Wait for the turn of this process."""
        while not self._has_come.wait(_LOOK_SECONDS):
            pass


_turn = Turn(waits=False)


def use_turn(turn: Turn) -> None:
    """Have `loaded` wait for this turn."""
    global _turn
    _turn = turn


def has_come() -> bool:
    """Return whether this process may start up."""
    return _turn.has_come


def calls_loaded(target: Any) -> Any:
    """Decorate a target that calls `loaded` itself, when it has imported what it needs."""
    setattr(target, _CALLS_LOADED, True)
    return target


def will_call_loaded(target: Callable[..., Any]) -> bool:
    """Return whether a target was decorated with `calls_loaded`."""
    return getattr(target, _CALLS_LOADED, False) is True


def loaded(lacks: Iterable[str] = ()) -> None:
    """Wait until this child process may start up, now that it has loaded everything.

    On a reload, its predecessor runs until then, and is stopped now. In any other process it
    returns at once. `lacks` names what could not be loaded, such as plugins: if the predecessor had
    that, it goes on running, and this process is ended. Call it on the main thread, in a target
    that is decorated with `calls_loaded`, before anything is started; not on an event loop, which
    it would block.
    """
    _turn.has_loaded(lacks)
