"""Acknowledgements that are put off: which messages were handled, and when to say so.

A frame for each message would cost as much as the message. So who handles messages gathers what
it has handled: an end what its receivers have, a runner what its callbacks have.

Pure: no clock, no timer and no lock of its own. Who has it guards it, passes on what `take` gives,
and does that `AFTER` seconds after the first one was added, whatever else happens.
"""

from __future__ import annotations

MOST = 64
"""How many gather before they are passed on, unless they came within `_QUICK` seconds."""

QUICK_MOST = 256
"""Where messages are handled so fast, how many gather at most."""

AFTER = 0.005
"""How many seconds the first waits for others."""

_QUICK = 0.002


def due(count: int, seconds: float) -> bool:
    """Return whether messages that were handled in that time are to be acknowledged now."""
    if seconds < _QUICK:
        return count >= QUICK_MOST
    return count >= MOST or seconds >= AFTER


class Acknowledgements:
    """What was handled and is still to be acknowledged."""

    __slots__ = ("_next", "_ranges", "count", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        """How many there are at most before they are to be passed on."""
        self.count = 0
        """How many messages there are in all ranges."""
        self._ranges: list[tuple[int, int]] = []
        self._next = -1
        """The number that would make the last range longer."""

    def add(self, first: int, count: int = 1, seconds: float = 0.0) -> bool:
        """Add consecutive messages, handled in that time; return whether to pass on all now."""
        if count > 0:
            if first == self._next and self._ranges:
                begin, before = self._ranges[-1]
                self._ranges[-1] = begin, before + count
            else:
                self._ranges.append((first, count))
            self._next = first + count
            self.count += count
        gathered = self.count
        return gathered > 0 and (
            gathered >= self.most or (seconds >= _QUICK and (gathered >= MOST or seconds >= AFTER))
        )

    def take(self) -> list[tuple[int, int]]:
        """Return the first number and the length of each range, in order of handling; forget it."""
        ranges, self._ranges = self._ranges, []
        self.count = 0
        return ranges
