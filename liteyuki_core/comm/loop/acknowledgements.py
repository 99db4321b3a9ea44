"""Acknowledgements that are put off: which messages were handled, and when to say so.

A frame for each acknowledgement would cost as much as the message. So acknowledgements are
gathered: an end gathers those of its receivers, a runner those of its callbacks.

Pure: no clock, no timer, no lock. Its owner guards it and passes on what `take` returns, at the
latest `AFTER` seconds after the first acknowledgement was added.
"""

from __future__ import annotations

MOST = 64
"""So many are passed on at once, unless they were handled within `_QUICK` seconds."""

QUICK_MOST = 256
"""So many are passed on at once, even if they were handled within `_QUICK` seconds."""

AFTER = 0.005
"""How many seconds the first acknowledgement waits for others."""

_QUICK = 0.002


def due(count: int, seconds: float) -> bool:
    """Return whether `count` messages, handled in so many seconds, must be acknowledged now."""
    if seconds < _QUICK:
        return count >= QUICK_MOST
    return count >= MOST or seconds >= AFTER


class Acknowledgements:
    """The messages that were handled and are not yet acknowledged, as ranges of numbers."""

    __slots__ = ("_next", "_ranges", "count", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        """When there are so many, they are passed on whatever time their handling took."""
        self.count = 0
        """How many messages are in all ranges."""
        self._ranges: list[tuple[int, int]] = []
        self._next = -1
        """The number that would make the last range longer."""

    def add(self, first: int, count: int = 1, seconds: float = 0.0) -> bool:
        """Add consecutive messages, handled in `seconds`. Return whether to pass on all now."""
        if count > 0:
            if first == self._next and self._ranges:
                begin, before = self._ranges[-1]
                self._ranges[-1] = begin, before + count
            else:
                self._ranges.append((first, count))
            self._next = first + count
            self.count += count
        gathered = self.count
        # The rule of `due` and `most`, written out: a call would be one more for each message.
        return gathered > 0 and (
            gathered >= self.most or (seconds >= _QUICK and (gathered >= MOST or seconds >= AFTER))
        )

    def take(self) -> list[tuple[int, int]]:
        """Return all ranges in order of handling, as first number and count, and remove them."""
        ranges, self._ranges = self._ranges, []
        self.count = 0
        return ranges
