"""Lines of the log about channels: noted under the hub's lock, logged after it."""

from __future__ import annotations

from collections import deque
from time import monotonic

from ... import log

_MOST_SAID = 100
"""Warnings about channels in one second: a child that causes them is not to fill the log."""


class Notes:
    """What is to be said. `add` is called under the hub's lock, `write` from any thread after it.

    Invariant: a second has no more than `_MOST_SAID` warnings and one line that says so.
    """

    def __init__(self) -> None:
        self.lines: deque[tuple[str, str]] = deque()
        self._second = self._said = 0
        """How many warnings there were in which second."""

    def add(self, level: str, text: str) -> None:
        """Note a line."""
        if level == "WARNING":
            second = int(monotonic())
            if second != self._second:
                self._second, self._said = second, 0
            self._said += 1
            if self._said > _MOST_SAID + 1:
                return
            if self._said > _MOST_SAID:
                text = "more lines about channels in this second are left out"
        self.lines.append((level, text))

    def write(self) -> None:
        """Log what is noted."""
        while self.lines:
            try:
                level, text = self.lines.popleft()
            except IndexError:
                break  # Another thread has it.
            log.logger.log(level, text)
