"""The standard input of a program: the terminal, a pipe for a `Line`, or nothing.

Ownership. An `Input` owns both ends of the pipe, until `handed` and `close`. LiteyukiBot's loop
calls `write` and `close`; they never wait.
"""

from __future__ import annotations

import os
import subprocess
import sys

from .spec import Line, Program


class Input:
    """The standard input of one process. `theirs` is what `subprocess` is given."""

    def __init__(self, program: Program) -> None:
        self.theirs: int | None = None if program.terminal else subprocess.DEVNULL
        self._encoding = program.encoding
        self._ours = -1
        if isinstance(program.stop, Line):
            self.theirs, self._ours = os.pipe()
            if sys.platform != "win32":  # A line fits into the pipe. If not, nobody waits.
                os.set_blocking(self._ours, False)

    def handed(self) -> None:
        """Close main's copy of the program's end."""
        if self._ours >= 0 and self.theirs is not None and self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = None

    def write(self, text: str | None) -> None:
        """Write a line, or close it. Raises `OSError`."""
        if text is None:
            self.close()
        elif self._ours >= 0:
            data = f"{text}\n".encode(self._encoding, "backslashreplace")
            os.write(self._ours, data)

    def close(self) -> None:
        """Close main's end. Idempotent."""
        ours, self._ours = self._ours, -1
        if ours >= 0:
            os.close(ours)
