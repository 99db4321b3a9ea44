"""Who has and who waits for which lock, in the order in which they came.

Pure: no threads. The caller holds the context's lock.

Invariants. The first entry in the queue of a lock is to have the lock, the others wait for it. An
asker that is gone is in no queue. No queue is empty.
"""

from __future__ import annotations

from collections import Counter, deque

from ...errors import StoreError
from .truth import Asker

Entry = tuple[Asker, int]
"""An asker, and the number of the question by which it takes the lock."""

_MOST_WAITS = 100_000
"""Most locks that one asker may have and wait for, together."""


class Queues:
    """The queues of all locks, by their names."""

    def __init__(self) -> None:
        self.queues: dict[str, deque[Entry]] = {}
        self._waits: Counter[Asker] = Counter()
        """How many entries each asker has in these queues."""

    def first(self, key: str) -> Entry | None:
        """Return whoever is to have a lock."""
        queue = self.queues.get(key)
        return None if queue is None else queue[0]

    def join(self, key: str, entry: Entry, wait: bool) -> bool:
        """Have an entry be in the queue, last; return whether it is the first.

        Without `wait` it is in the queue only if it is the first. Raises `StoreError`.
        """
        queue = self.queues.get(key)
        if queue is not None and not wait:
            return False
        asker, _ = entry
        if self._waits[asker] >= _MOST_WAITS:
            raise StoreError(
                f"lock {key}: this process has and waits for {_MOST_WAITS} locks, and can't "
                "wait for more at the same time"
            )
        self._waits[asker] += 1
        if queue is None:
            self.queues[key] = deque([entry])
            return True
        queue.append(entry)
        return False

    def leave(self, key: str, entry: Entry) -> bool:
        """Take an entry out of a queue, if it is there; return whether the first one is another."""
        queue = self.queues.get(key)
        if queue is None or entry not in queue:
            return False
        had = queue[0]
        queue.remove(entry)
        self._waits[entry[0]] -= 1
        if not self._waits[entry[0]]:
            del self._waits[entry[0]]
        if not queue:
            del self.queues[key]
        return had == entry

    def drop(self, asker: Asker) -> list[str]:
        """Take all entries of an asker out; return the locks whose first one is another."""
        changed = []
        if self._waits.pop(asker, 0):
            for key, queue in list(self.queues.items()):
                had = queue[0]
                others = deque([entry for entry in queue if entry[0] is not asker])
                if others:
                    self.queues[key] = others
                else:
                    del self.queues[key]
                if not others or others[0] != had:
                    changed.append(key)
        return changed
