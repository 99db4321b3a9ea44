"""A child's standard output and error: one pipe, from its entry to its last words.

What the interpreter and the import of bot.py write before the entry runs goes where the main
process's own output goes.

Ownership. The main process makes an `Output` for each child it spawns. `theirs` is the pipe's
write end, which goes to the child; main closes its own copy when the child is spawned. The
read end belongs to the thread that reads it, until the pipe's end, and is closed by it. The
pipe's end is that of the child, or of the last process it has started that still holds it.

The thread never waits for longer than `Writer.lines` does, so the pipe is always drained.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..log import RECORD

_READ_BYTES = 64 * 1024
_LINE_BYTES = 64 * 1024
"""A longer line is passed on in parts."""
_RECORD_BYTES = 1024 * 1024
"""The same of what a child's logger has written as JSON, which is no JSON any more in parts."""

_RECORD = RECORD.encode()


class Output:
    """The main process's side of one child's output.

    `to` gets the child's name and lines, then `on_end` is called, both in the thread that reads.
    """

    def __init__(
        self,
        process: str,
        to: Callable[[str, list[str]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._process = process
        self._to = to
        self._on_end = on_end
        self._file, write_end = os.pipe()
        self.theirs = WriteEnd(write_end)
        threading.Thread(target=self._run, name=f"liteyuki-output-{process}", daemon=True).start()

    def _run(self) -> None:
        lines = Lines()
        try:
            while data := os.read(self._file, _READ_BYTES):
                if texts := lines.feed(data):
                    self._to(self._process, texts)
            if texts := lines.end():
                self._to(self._process, texts)
        finally:
            os.close(self._file)
            self._on_end()


class Lines:
    """Bytes, as they come, to lines of text. Bytes that are not UTF-8 are shown as `\\xff`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` ends."""
        *lines, rest = (self._rest + data).split(b"\n")
        texts = [_text(part) for line in lines for part in _parts(line)]
        *early, self._rest = _parts(rest)
        return texts + [_text(part) for part in early]

    def end(self) -> list[str]:
        """Return the last line, if no newline has ended it."""
        rest, self._rest = self._rest, b""
        return [_text(part) for part in _parts(rest)] if rest else []


def _parts(line: bytes) -> Iterator[bytes]:
    limit = _RECORD_BYTES if line.startswith(_RECORD) else _LINE_BYTES
    while len(line) > limit:
        cut = limit
        while cut > limit - 4 and line[cut] & 0xC0 == 0x80:  # Not in the middle of a character.
            cut -= 1
        yield line[:cut]
        line = line[cut:]
        limit = _LINE_BYTES
    yield line


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "backslashreplace")


class WriteEnd:
    """The end of the pipe that a child writes to.

    It can be handed to a process that multiprocessing is spawning, and to nothing else.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._before: dict[int, int] = {}

    def close(self) -> None:
        """Close main's copy of it."""
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
        """Make this the standard output and error of this process and of what it starts.

        `colour` is what is said to those who ask whether it is a terminal.
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
        """Write where the main process did: it is gone, and nobody reads the pipe any more."""
        for standard, before in self._before.items():
            os.dup2(before, standard)


class _Stream(io.TextIOWrapper):
    """A standard stream of a child, as UTF-8, line by line."""

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
        """Return whether colours are wanted: it is what programs ask this for."""
        return self._colour
