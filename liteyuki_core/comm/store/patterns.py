"""What askers of the store watch, and which topics they have subscribed to.

Pure: no threads, no locks. The caller holds the context's lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ...errors import StoreError
from .truth import Asker

_MOST_PATTERNS = 10_000
"""Most different patterns that one asker may watch, and as many topics it may subscribe to."""


class Patterns:
    """The patterns of one asker: names and, with a trailing *, beginnings of names."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lengths: Counter[int] = Counter()
        """How many patterns with a * have this length, without the *."""

    def add(self, pattern: str) -> None:
        if pattern not in self.counts:
            if len(self.counts) >= _MOST_PATTERNS:
                raise StoreError(
                    f"{pattern!r}: this process has {_MOST_PATTERNS} other watches or "
                    "subscriptions, and may have no more"
                )
            if pattern.endswith("*"):
                self._lengths[len(pattern) - 1] += 1
        self.counts[pattern] += 1

    def remove(self, pattern: str) -> None:
        self.counts[pattern] -= 1
        if self.counts[pattern] > 0:
            return
        del self.counts[pattern]
        length = len(pattern) - 1
        if pattern.endswith("*"):
            self._lengths[length] -= 1
            if not self._lengths[length]:
                del self._lengths[length]

    def match(self, name: str) -> bool:
        counts = self.counts
        if name in counts:
            return True
        lengths: Iterable[int] = self._lengths
        if len(self._lengths) > len(name):
            lengths = [length for length in range(len(name) + 1) if length in self._lengths]
        return any(length <= len(name) and f"{name[:length]}*" in counts for length in lengths)


def wanting(asked: dict[Asker, Patterns], name: str) -> Iterator[Asker]:
    """Yield those that have asked for a name, each once."""
    for asker, patterns in asked.items():
        if patterns.match(name):
            yield asker
