"""A child's answers when the main process asks how it is. `process/health.py` asks.

The link's reader answers at once, so an answer says that the process runs and that its interpreter
lock is not held. A loop that sleeps because it has nothing to do is not blocked. Where that can be
seen, the loop is not woken. Marks show whether the other loops turn: with each question such a
loop is given a mark, unless it still has one that has not run. The next answer says how long the
mark waited until it ran, or for how long it has been waiting.

Nothing here waits, reads files or runs users' code. There is no thread and no timer.
"""

from __future__ import annotations

import sys
import threading
from asyncio import AbstractEventLoop, BaseEventLoop, get_running_loop
from collections.abc import Callable, Coroutine, Iterator
from time import monotonic
from types import FrameType
from typing import Any, TypeVar

from ...comm.loop.dispatch import Dispatcher
from ...comm.wire import words
from ..report import Answer, Report

T = TypeVar("T")

_STACK_CHARACTERS = 8000

_TURN = BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]
"""A loop's turn. It calls `select` itself, but callbacks through the `_run` of their handles."""


class Pulse:
    """Answers for this process. The link's reader calls `answer`, one call at a time."""

    def __init__(
        self, dispatcher: Dispatcher, say: Callable[[words.Pulse], None], report: Report | None
    ) -> None:
        self._dispatcher = dispatcher
        self._say = say
        self._report = report
        self._target: tuple[AbstractEventLoop, int] | None = None
        self._marks: dict[AbstractEventLoop, _Mark] = {}

    async def watched(self, target: Coroutine[Any, Any, T]) -> T:
        """Run an async target. Its loop is watched until the target ends."""
        self._target = (get_running_loop(), threading.get_ident())
        try:
            return await target
        finally:
            self._target = None

    def answer(self, at: float, stack: bool, quietly: bool) -> None:
        """Answer the question that was asked at `at`.

        With `stack`, the answer has the stack of the loop whose mark has waited longest. With
        `quietly`, the answer goes into the `Report`, where main finds it when it looks, and not
        over the link. `at` is a time of main's clock and is only handed back. In the answer, `lag`
        is the longest that a mark has waited, in seconds, and `waits` is the `at` of the oldest
        mark that has not run.
        """
        lag: float | None = None
        oldest: _Mark | None = None
        marks: dict[AbstractEventLoop, _Mark] = {}
        calls = sys._current_frames()
        for loop, thread in self._loops():
            mark = self._marks.get(loop)
            if mark is not None:
                ran = mark.lag
                lag = max(lag or 0.0, monotonic() - mark.posted if ran is None else ran)
                if ran is None and mark.at < at and (oldest is None or mark.at < oldest.at):
                    oldest = mark
            if mark is None or mark.lag is not None:
                if _sleeps(calls.get(thread)):
                    lag = lag or 0.0
                    continue
                mark = _Mark(at, thread)
                try:
                    loop.call_soon_threadsafe(mark.run)
                except RuntimeError:
                    continue  # The loop is closed.
            marks[loop] = mark
        self._marks = marks
        waits = None if oldest is None else oldest.at
        if quietly and self._report is not None:
            self._report.write(Answer(at, lag, waits))
        else:
            shown = _stack(oldest.thread) if stack and oldest is not None else ""
            self._say(words.Pulse(at, lag, waits, shown))

    def _loops(self) -> Iterator[tuple[AbstractEventLoop, int]]:
        """Return the loops that users' code runs on, with their threads."""
        target, bound = self._target, self._dispatcher.bound
        if target is not None:
            yield target
        if bound is not None and (target is None or bound[0] is not target[0]):
            yield bound


class _Mark:
    """A callback that shows that a loop turns. The loop sets `lag`, the link's reader the rest."""

    __slots__ = ("at", "lag", "posted", "thread")

    def __init__(self, at: float, thread: int) -> None:
        self.at = at
        self.thread = thread
        self.posted = monotonic()
        self.lag: float | None = None

    def run(self) -> None:
        self.lag = monotonic() - self.posted


def _sleeps(call: FrameType | None) -> bool:
    """Return whether a thread with this innermost call sleeps in the select of an asyncio loop."""
    waits = False
    while call is not None and call.f_code.co_name == "select":
        call, waits = call.f_back, True
    return waits and call is not None and call.f_code is _TURN


def _stack(thread: int) -> str:
    """Return a thread's stack, innermost call last, without lines of source code.

    Those would have to be read from files, and the link's reader waits for no disk.
    """
    frame: FrameType | None = sys._current_frames().get(thread)
    lines: list[str] = []
    size = 0
    while frame is not None:
        code = frame.f_code
        line = f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}'
        size += len(line)
        if size > _STACK_CHARACTERS:
            lines.append("  ...")
            break
        lines.append(line)
        frame = frame.f_back
    return "\n".join(reversed(lines))
