"""What a program writes, as the main process reads it: one pipe a process, and lines of text.

Lines that come within `_TOGETHER_SECONDS` of each other belong together and are passed on
together. A line without an end is passed on when nothing more has come for a moment. In what is
passed on, secrets are hidden.

Ownership. An `Output` has two threads. One reads the pipe and does nothing else, because not every
system can wait for a pipe and for a time at once. The other makes lines. Between them are at most
a few pieces of data. Both end when the pipe has ended, which is when the program has ended and all
that it has started. The main process's copy of the write end is `theirs`, to be closed when the
program is started.

The second thread waits no longer than `Writer.lines` does, so the pipe is always drained.
"""

from __future__ import annotations

import codecs
import os
import threading
from collections.abc import Callable
from queue import Empty, Queue
from time import monotonic

from ... import log
from ...redaction import names_secret, redacted

_READ_BYTES = 64 * 1024
_PIECES = 4
_LINE_CHARACTERS = 64 * 1024
"""A longer line is passed on in parts."""
_TOGETHER_SECONDS = 0.02
_GROUP_SECONDS, _GROUP_LINES = 0.2, 2000
"""Lines that come without a pause are passed on after so long, or when there are so many."""
_PARTIAL_SECONDS = 0.3
"""A line without an end is passed on when nothing has come for so long,"""
_GROWING_SECONDS = 2.0
"""or when it has been growing for so long."""


class Output:
    """The main process's side of one program's output.

    `to` is called with groups of lines, and `on_end` at the end. `look` is called with each line as
    soon as it has come, without colours. If it returns True, this line is passed on at once, and
    then `on_found` is called.
    """

    def __init__(
        self,
        name: str,
        encoding: str,
        to: Callable[[list[str]], None],
        look: Callable[[str], bool],
        on_found: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._to = to
        self._look = look
        self._on_found = on_found
        self._on_end = on_end
        self._text = Text(encoding)
        self._pieces: Queue[bytes] = Queue(_PIECES)
        self._file, self.theirs = os.pipe()
        for run, what in ((self._read, "output"), (self._pass_on, "lines")):
            threading.Thread(target=run, name=f"liteyuki-{what}-{name}", daemon=True).start()

    def _read(self) -> None:
        try:
            while data := os.read(self._file, _READ_BYTES):
                self._pieces.put(data)
        finally:
            os.close(self._file)
            self._pieces.put(b"")

    def _pass_on(self) -> None:
        text, lines, begun = self._text, list[str](), 0.0
        try:
            while True:
                wait = _TOGETHER_SECONDS if lines else text.wait(monotonic())
                try:
                    data = self._pieces.get(timeout=wait)
                except Empty:
                    if lines:
                        self._give(lines)
                        lines = []
                    elif partial := text.partial(monotonic()):
                        self._give([partial])
                        if self._look(log.plain(partial)):
                            self._on_found()
                    continue
                now = monotonic()
                begun = begun if lines else now
                found = text.feed(data, now) if data else text.end()
                lines += found
                is_found = any(self._look(log.plain(line)) for line in found)
                if (
                    is_found
                    or not data
                    or now - begun > _GROUP_SECONDS
                    or len(lines) >= _GROUP_LINES
                ):
                    self._give(lines)
                    lines = []
                if is_found:
                    self._on_found()
                if not data:
                    return
        finally:
            self._on_end()

    def _give(self, lines: list[str]) -> None:
        for start in range(0, len(lines), _GROUP_LINES):
            self._to([redacted(line) for line in lines[start : start + _GROUP_LINES]])


class Text:
    """Turns bytes, as they come, into lines of text. Bytes that are no text become `\\xff`.

    A line without an end is kept until `partial` gives it away.
    """

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
        self._parts: list[str] = []
        """The line that has no end yet, in parts: it may come byte by byte."""
        self._length = 0
        self._begun = self._last = 0.0
        self._is_kept = False
        """Whether it names a secret, and waits for its end."""
        self._was_given = False
        """Whether its beginning was given away."""

    def feed(self, data: bytes, now: float) -> list[str]:
        """Take more bytes; return the lines that they complete."""
        *ended, rest = self._decoder.decode(data).split("\n")
        self._is_kept = False
        lines = []
        for line in ended:
            lines += self._whole(line)
        if rest:
            if not self._parts:
                self._begun = now
            self._parts.append(rest)
            self._length += len(rest)
            while self._length > _LINE_CHARACTERS:
                line = "".join(self._parts)
                lines.append(line[:_LINE_CHARACTERS])
                self._parts = [line[_LINE_CHARACTERS:]]
                self._length = len(self._parts[0])
        self._last = now
        return lines

    def _whole(self, end: str) -> list[str]:
        """Return the line that `end` completes, in parts if it is long."""
        line = ("".join(self._parts) + end).removesuffix("\r")
        self._parts, self._length = [], 0
        was_given, self._was_given = self._was_given, False
        if was_given and not line:
            return []
        if len(line) <= _LINE_CHARACTERS:
            return [line]
        starts = range(0, len(line), _LINE_CHARACTERS)
        return [line[start : start + _LINE_CHARACTERS] for start in starts]

    def wait(self, now: float) -> float | None:
        """Return how long to wait for the rest of a line, or None for ever."""
        if not self._parts or self._is_kept:
            return None
        until = min(self._last + _PARTIAL_SECONDS, self._begun + _GROWING_SECONDS)
        return max(0.001, until - now)

    def partial(self, now: float) -> str:
        """Give away the line that has no end yet, if its time has come; else return "".

        A line that names a secret is kept: the secret may be about to come.
        """
        wait = self.wait(now)
        if wait is None or wait > 0.001:
            return ""
        line = "".join(self._parts)
        if names_secret(line):
            self._is_kept = True
            return ""
        self._parts, self._length = [], 0
        self._was_given = True
        return line

    def end(self) -> list[str]:
        """Return the last line, if no newline has ended it."""
        rest = self._decoder.decode(b"", final=True)
        return self._whole(rest) if rest or self._parts else []
