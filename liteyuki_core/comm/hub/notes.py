"""Lines for the log about channels: noted under the hub's lock, logged after it is released.

Invariant: in each second at most `_MOST_SAID` warnings are noted, and then one line that says that
more are left out.
"""

from __future__ import annotations

from collections import deque
from time import monotonic

from ... import log
from ...language import Phrase

_MOST_SAID = 100
"""Most warnings about channels in one second: a child that causes them must not fill the log."""


class Notes:
    """The noted lines. `add` is called under the hub's lock, `write` by any thread without it."""

    def __init__(self) -> None:
        self.lines: deque[tuple[str, Phrase]] = deque()
        self._second = self._said = 0
        """The latest second with a warning, and how many warnings it had."""

    def add(self, level: str, text: Phrase) -> None:
        """Note a line."""
        if level == "WARNING":
            second = int(monotonic())
            if second != self._second:
                self._second, self._said = second, 0
            self._said += 1
            if self._said > _MOST_SAID + 1:
                return
            if self._said > _MOST_SAID:
                text = Phrase("more lines about channels in this second are left out")
        self.lines.append((level, text))

    def write(self) -> None:
        """Log the noted lines."""
        while self.lines:
            try:
                level, text = self.lines.popleft()
            except IndexError:
                break  # Another thread has taken the last line.
            log.logger.log(level, text)
