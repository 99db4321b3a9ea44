"""A program's process together with all that it starts, as the main process handles it.

On POSIX systems a guard is the program's parent (`guarded.py`, `guard.py`). A program is main's own
child (`direct.py`) on Windows, where a job ends the tree when main has died, and in a bot that is a
frozen program, which has no interpreter for a guard.

Ownership. A tree owns its process, or its guard, and main's ends of the pipes to it. `close` closes
them, after `wait` has returned.

Threads. To make one waits for the system and is for a worker thread. `wait` is for one thread.
Any thread may call `kill`, also in a signal handler. LiteyukiBot's loop calls the rest.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Protocol

from ...errors import ProcessStartError
from .direct import Direct
from .guarded import Guarded
from .spec import Program


class Tree(Protocol):
    """A program's process and all that it starts."""

    pid: int
    """The program's own process."""
    root: int
    """All that belongs to the program descends from this process."""

    def signal(self, number: int) -> None:
        """Signal the program and what is in its group."""

    def kill(self) -> None:
        """Kill everything at once."""

    def wait(self, on_ended: Callable[[], object]) -> int | None:
        """Wait until the program and all that it has started have ended. Return its exit code.

        Calls `on_ended` as soon as the program itself has ended.
        """

    def write(self, text: str | None) -> None:
        """Write a line to the program's standard input, or close that. Raises `OSError`."""

    def close(self) -> None:
        """Close main's ends of the pipes. Idempotent."""


def started(program: Program, output: int | None) -> Tree:
    """Start a program, which writes to the file `output`, or to the terminal if that is None.

    Raises `ProcessStartError`.
    """
    try:
        has_interpreter = sys.executable and not getattr(sys, "frozen", False)
        if sys.platform != "win32" and has_interpreter:
            return Guarded(program, output)
        return Direct(program, output)
    except OSError as error:
        raise ProcessStartError(_why(program, error), program.name) from error


def _why(program: Program, error: OSError) -> str:
    """Return in words why a program can't be started."""
    executable = program.argv[0]
    if not os.path.isdir(program.cwd):
        return f"there is no folder {program.cwd!r} any more, which is its cwd"
    if error.errno == errno.ENOENT and os.path.exists(os.path.join(program.cwd, executable)):
        return (
            f"{executable!r} is a script, and there is no interpreter such as its first line "
            "names; a line that ends as on Windows is no such name either"
        )
    if error.errno == errno.ENOENT:
        return f"there is no executable {executable!r}: install it, or give its full path in argv"
    if error.errno == errno.EACCES:
        return f"{executable!r} is not an executable file, or this user may not run it"
    if error.errno == errno.ENOEXEC:
        return (
            f"{executable!r} is no program of this system: for a script, name its interpreter first"
        )
    return f"{executable!r}: {error.strerror or error}"
