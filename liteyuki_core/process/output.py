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

import os
import threading
from collections.abc import Callable, Iterator

from ..log import RECORD
from .child.output import WriteEnd

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
