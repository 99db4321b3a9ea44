"""What was sent within the last hour: the same is not sent again. Pure but for the clock."""

from __future__ import annotations

from time import monotonic

_HOUR = 3600.0


class Recent:
    """By subject, the last text that was sent about it."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, str]] = {}

    def has(self, subject: str, text: str) -> bool:
        """Return whether this text is the last that was sent about a subject."""
        before = monotonic() - _HOUR
        for each in [each for each, (at, _) in self._last.items() if at < before]:
            del self._last[each]
        return self._last.get(subject, (0.0, ""))[1] == text

    def note(self, subject: str, text: str) -> None:
        """Learn that a text is sent about a subject."""
        self._last[subject] = monotonic(), text

    def forget(self, subject: str) -> None:
        """Forget what was sent about a subject: it is not as it was."""
        self._last.pop(subject, None)
