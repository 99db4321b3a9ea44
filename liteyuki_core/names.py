"""The names of processes before their lines, padded to one width, in colours on a terminal.

A `Names` belongs to the log's writer. Any thread may call it: what it knows is replaced as a whole.
"""

from __future__ import annotations

import unicodedata
import zlib

MAIN = "main"

_MOST = 16
"""Names are padded to the longest of them, at most to so many columns. A longer one stays whole."""

_BETWEEN = " | "

_COLOURS = tuple(
    f"\x1b[{code}m"
    for code in ("36", "35", "34", "32", "38;5;130", "38;5;67", "38;5;132", "38;5;64")
)
"""They can be read on a dark and on a light background, and do not look like an error."""


def columns(text: str) -> int:
    """Return how wide a text is on a terminal."""
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


class Names:
    """The main process's name and the children's. Those of children have colours if wanted."""

    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured
        self._colours = {MAIN: ""}
        self._width = columns(MAIN)
        self._plain = {MAIN: self._padded(MAIN)}
        self._before = dict(self._plain)

    def add(self, name: str) -> None:
        """Learn the name of a child, and give it the first colour that is free."""
        colour = ""
        if self._coloured:
            first = zlib.crc32(name.encode("utf-8", "replace")) % len(_COLOURS)
            ways = _COLOURS[first:] + _COLOURS[:first]
            free = [way for way in ways if way not in self._colours.values()]
            colour = (free or ways)[0]
        self._colours = {**self._colours, name: colour}
        self._width = max(self._width, min(columns(name), _MOST))
        # Made once, because each line asks for it.
        self._plain = {known: self._padded(known) for known in self._colours}
        self._before = {
            known: f"{colour}{self._plain[known]}\x1b[0m" if colour else self._plain[known]
            for known, colour in self._colours.items()
        }

    def _padded(self, name: str) -> str:
        return name + " " * (self._width - columns(name)) + _BETWEEN

    def plain(self, name: str) -> str:
        """Return what stands before a line of a process, without colours."""
        return self._plain.get(name) or self._padded(name)

    def before(self, name: str) -> str:
        """Return what stands before a line of a process on standard output."""
        return self._before.get(name) or self._padded(name)

    def under(self, name: str) -> str:
        """Return as many spaces as the name takes: for a line that belongs to the one above."""
        return " " * columns(self.plain(name))
