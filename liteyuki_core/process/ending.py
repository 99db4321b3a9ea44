"""How a child process has ended. `verdict.py` says what follows. Pure: any thread may call it."""

from __future__ import annotations

import enum
import signal

from ..language import Phrase

COULD_NOT_START = 3
"""Exit code of a child that could not start. To start it again at once would not help."""


class Ending(enum.Enum):
    """The classes of ends. Only CRASH and SIGNAL are crashes."""

    ASKED = "asked"
    """It was asked to stop. Its exit code does not matter."""
    CLEAN = "clean"
    """It ended by itself with exit code 0."""
    NOT_READY = "not ready"
    """It failed before it was ready. To start it again at once would not help."""
    CRASH = "crash"
    """It was ready and ended with an exit code other than 0."""
    SIGNAL = "signal"
    """A signal has ended it, whether it was ready or not."""


def classify(
    code: int | None,
    *,
    asked: bool,
    ready: bool,
    called: bool,
    clean: bool = False,
    failure: str | None = None,
    forced: bool = False,
    late: bool = False,
) -> Ending:
    """Return the class of an end. A `code` of None means that the exit code is not known.

    `ready` says that the child was RUNNING, and `called` that its process had called `ready()`.
    `clean` says that the process has said that it ends as it should. `forced` says that main has
    ended it because its link had ended, and `late` that main has ended it because it was not ready
    in time. `failure` is the error that it has reported. If it never called `ready()`, exit code 3
    means that it could not start.
    """
    if asked:
        return Ending.ASKED
    if late:
        return Ending.NOT_READY
    if forced:
        return Ending.CRASH
    if code == 0 or (code is None and clean):
        return Ending.CLEAN
    if failure is not None:
        return Ending.NOT_READY
    if code is None:
        return Ending.CRASH
    if signal_of(code) is not None:
        return Ending.SIGNAL
    if not ready or (code == COULD_NOT_START and not called):
        return Ending.NOT_READY
    return Ending.CRASH


def signal_of(code: int) -> int | None:
    """Return the signal that an exit code stands for, if any. Shells add 128 to a signal."""
    number = -code if code < 0 else code - 128
    return number if code < 0 or number in set(map(int, signal.Signals)) else None


def describe(code: int | None) -> Phrase:
    """Return an exit code in words."""
    if code is None:
        return Phrase(
            "has ended; its exit code is not known (something else in this process has waited "
            "for it)"
        )
    number = signal_of(code)
    if number is None:
        return Phrase("exited with code {code}", code=code)
    try:
        name = signal.Signals(number).name
    except ValueError:
        return Phrase("was ended by signal {number}", number=number)
    return Phrase("was ended by signal {number} ({name})", number=number, name=name)
