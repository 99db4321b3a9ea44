"""A child's standard output and error, as the main process reads them: one pipe a process.

The pipe is used from the child's entry on. What the interpreter and the import of bot.py write
before that goes where the main process's own output goes.

Ownership. The main process makes an `Output` for each process of a child. `theirs` is the pipe's
write end and goes to that process; main closes its own copy when the process is spawned. The read
end belongs to the thread that reads it, which closes it when the pipe has ended. The pipe ends
when the process has ended, and every process it started that has the write end too.

The thread waits no longer than `Writer.lines` does, and no longer than `_GATHER_SECONDS` for more
to read, so the pipe is always drained.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from time import monotonic, sleep

from ..record import MARK
from .child.output import WriteEnd

_READ_BYTES = 64 * 1024
_LINE_BYTES = 64 * 1024
"""A longer line is passed on in parts."""
_RECORD_BYTES = 1024 * 1024
"""The same for a line that a child's logger wrote as JSON: its parts are no JSON any more."""
_GATHER_SECONDS = 0.01
"""Where lines come this quickly one after another, they are read so far apart: each read costs a
wake-up, which is most of what a line costs."""

_RECORD = MARK.encode()


class Output:
    """The main process's side of one pipe.

    The reading thread calls `to` with the child's name and lines, and `on_end` when the pipe ends.
    """

    def __init__(
        self,
        child: str,
        to: Callable[[str, list[str]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._child = child
        self._to = to
        self._on_end = on_end
        self._file, write_end = os.pipe()
        self.theirs = WriteEnd(write_end)
        threading.Thread(target=self._run, name=f"liteyuki-output-{child}", daemon=True).start()

    def _run(self) -> None:
        lines = Lines()
        try:
            began = monotonic()
            while data := os.read(self._file, _READ_BYTES):
                waited = monotonic() - began
                if texts := lines.feed(data):
                    self._to(self._child, texts)
                if waited < _GATHER_SECONDS and len(data) < _READ_BYTES // 2:
                    sleep(_GATHER_SECONDS)
                began = monotonic()
            if texts := lines.end():
                self._to(self._child, texts)
        finally:
            os.close(self._file)
            self._on_end()


class Lines:
    """Turns bytes, as they come, into lines of text. Bytes that are not UTF-8 become `\\xff`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Take more bytes; return the lines that they complete."""
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
