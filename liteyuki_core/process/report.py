"""What a child answers when nothing is wrong: numbers in memory that main reads when it looks.

An answer over the link would wake a thread of main's for each child, over and over. Linux alone
has memory without a name that can't be cut short under whoever reads it; elsewhere children
answer over the link.

Ownership. Main makes one for each process of a child and closes it after that; the child has a
mapping of its own until its end. It writes, main reads, and only what was written in answer to
the last question counts, so nobody waits for anybody.
"""

from __future__ import annotations

import os
from math import isnan, nan
from typing import Any, NamedTuple

from ..comm.wire import slots

_BYTES = 24

_MOST = 1e9
"""Seconds, more than which nothing takes."""


class Answer(NamedTuple):
    """A child's answer; see `Pulse.answer`."""

    at: float
    lag: float | None
    waits: float | None
    stack: str = ""

    @property
    def can_be(self) -> bool:
        """Whether its numbers are such as a child of ours gives."""
        at, lag, waits, _ = self
        return (lag is None or 0 <= lag < _MOST) and (waits is None or 0 <= waits <= at)


_NONE = Answer(nan, None, None)


class Report:
    """The memory for one process's answers."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._mapped = slots.mapped(file, _BYTES)
        self._numbers = memoryview(self._mapped).cast("d")

    def write(self, answer: Answer) -> None:
        """Put an answer there."""
        numbers = self._numbers
        numbers[0] = nan if answer.lag is None else answer.lag
        numbers[1] = nan if answer.waits is None else answer.waits
        numbers[2] = answer.at  # Last: with it the others count.

    def read(self) -> Answer:
        """Return what was put there last; what can't be is no answer to anything."""
        at = self._numbers[2]
        lag, waits = (None if isnan(number) else number for number in self._numbers[:2])
        answer = Answer(at, lag, waits)
        return answer if answer.can_be else _NONE

    def close(self) -> None:
        """Let go of it. Idempotent."""
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
    """Return fresh memory, or None where there is none to be had."""
    try:
        report = Report(slots.sealed("liteyuki-report", _BYTES))
    except (AttributeError, OSError):
        return None
    report.write(_NONE)
    return report
