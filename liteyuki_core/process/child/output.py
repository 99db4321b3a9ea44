"""A child's end of the pipe for its standard output and error. `process/output.py` reads it.

The main process makes it and closes its own copy. The child writes until it ends.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
from typing import Any


class WriteEnd:
    """The pipe's write end.

    It can be pickled only for a process that multiprocessing is spawning.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._before: dict[int, int] = {}

    def close(self) -> None:
        """Close main's copy."""
        os.close(self._file)

    def __getstate__(self) -> Any:
        from multiprocessing.context import assert_spawning, get_spawning_popen

        assert_spawning(self)
        popen: Any = get_spawning_popen()
        if sys.platform == "win32":
            import msvcrt

            return popen.duplicate_for_child(msvcrt.get_osfhandle(self._file))
        return popen.DupFd(popen.duplicate_for_child(self._file))

    def __setstate__(self, state: Any) -> None:
        self._before = {}
        if sys.platform == "win32":
            import msvcrt

            self._file = msvcrt.open_osfhandle(state, os.O_WRONLY)
        else:
            self._file = state.detach()

    def take_over(self, colour: bool) -> None:
        """Make this the standard output and error of this process and of processes it starts.

        `colour` is the answer to code that asks whether it is a terminal.
        """
        for standard in (1, 2):
            try:
                self._before[standard] = os.dup(standard)
            except OSError:
                pass  # A Windows program without a console.
            os.dup2(self._file, standard)
        os.close(self._file)
        sys.stdout = sys.__stdout__ = _Stream(1, colour)  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = _Stream(2, colour)  # type: ignore[misc]
        if colour:
            os.environ.setdefault("FORCE_COLOR", "1")
        faulthandler.enable(2)

    def give_back(self) -> None:
        """Write where the main process wrote. It is gone, so nobody reads the pipe any more."""
        for standard, before in self._before.items():
            os.dup2(before, standard)


class _Stream(io.TextIOWrapper):
    """A standard stream of a child. It writes UTF-8, line by line."""

    def __init__(self, file: int, colour: bool) -> None:
        super().__init__(
            io.BufferedWriter(io.FileIO(file, "w", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            newline="\n",
            line_buffering=True,
        )
        self._colour = colour

    def isatty(self) -> bool:
        """Return whether colours are wanted, because that is why programs ask."""
        return self._colour
