"""A child's answer when nothing is wrong: numbers in shared memory that main reads when it looks.

An answer over the link would wake a thread in main for each child, again and again. Only Linux
has shared memory without a name that nobody can make shorter while another process reads it. On
other systems children answer over the link.

Ownership. Main makes one `Report` for each process of a child, and closes it after the process
has ended. The process has a mapping of its own until it ends. The child writes and main reads.
Only the answer to the last question counts, so neither waits for the other.
"""

from __future__ import annotations

import os
from math import isnan, nan
from typing import Any, NamedTuple

from ..comm.wire import slots

_BYTES = 24

_MOST = 1e9
"""Seconds. No honest answer has more."""


class Answer(NamedTuple):
    """A child's answer; see `Pulse.answer`."""

    at: float
    lag: float | None
    waits: float | None
    stack: str = ""

    @property
    def can_be(self) -> bool:
        """Whether an honest child can give these numbers."""
        at, lag, waits, _ = self
        return (lag is None or 0 <= lag < _MOST) and (waits is None or 0 <= waits <= at)


_NONE = Answer(nan, None, None)


class Report:
    """The memory for the answers of one process."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._mapped = slots.mapped(file, _BYTES)
        self._numbers = memoryview(self._mapped).cast("d")

    def write(self, answer: Answer) -> None:
        """Write an answer. In the child."""
        numbers = self._numbers
        numbers[0] = nan if answer.lag is None else answer.lag
        numbers[1] = nan if answer.waits is None else answer.waits
        numbers[2] = answer.at  # Written last: from now on the others count.

    def read(self) -> Answer:
        """Return the last answer. Impossible numbers count as no answer. In main."""
        at = self._numbers[2]
        lag, waits = (None if isnan(number) else number for number in self._numbers[:2])
        answer = Answer(at, lag, waits)
        return answer if answer.can_be else _NONE

    def close(self) -> None:
        """Unmap the memory and close its file. Idempotent."""
        file, self._file = self._file, -1
        if file >= 0:
            self._numbers.release()
            self._mapped.close()
            os.close(file)

    def __getstate__(self) -> Any:
        from multiprocessing.context import assert_spawning, get_spawning_popen

        assert_spawning(self)
        popen: Any = get_spawning_popen()
        return popen.DupFd(popen.duplicate_for_child(self._file))

    def __setstate__(self, state: Any) -> None:
        self.__init__(state.detach())  # type: ignore[misc]


def shared() -> Report | None:
    """Return new memory for one process, or None if this system has no such memory."""
    try:
        report = Report(slots.sealed("liteyuki-report", _BYTES))
    except (AttributeError, OSError):
        return None
    report.write(_NONE)
    return report
