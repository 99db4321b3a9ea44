"""Waits of a test: for what comes from other threads and processes.

In a sync test a wait blocks, and returns what has come. Where an event loop runs, as in an `async
def` test, it would block that loop: there it returns an object that the test must await. One that
is never awaited has checked nothing, so `check_awaited` fails the test.

A wait looks again and again, at most every `_PAUSE` seconds, because what it waits for comes from
other threads and from processes, and may be anything. The thread or task of the test does all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from time import monotonic, sleep
from typing import Any

SECONDS = 10.0
"""How long a wait takes at most, if the test does not say."""

START_SECONDS = 60.0
"""How long a wait waits for children that start, or for a connection, before its time runs."""

_PAUSE = 0.005

Look = Callable[[], Any]
"""Returns what was waited for, or `NOTHING`. It may raise to end the wait."""

NOTHING: Any = object()


class Waits:
    """The waits of one fixture. Their time runs from when `is_up` has returned true."""

    def __init__(self, is_up: Callable[[], bool]) -> None:
        self._is_up = is_up
        self._unawaited: list[_Awaited] = []

    def until(
        self,
        what: str,
        look: Look,
        seconds: float,
        late: Callable[[], Any],
        is_up: Callable[[], bool] | None = None,
    ) -> Any:
        """Wait until `look` returns something, and return that. If nothing comes, call `late`.

        `what` is what the test has called. `late` returns the result, or raises. With an `is_up`
        of its own, the time runs when that has returned true.
        """
        __tracebackhide__ = True
        wait = _Wait(look, seconds, late, is_up or self._is_up)
        if _no_loop_runs():
            while not wait.is_over():
                sleep(_PAUSE)
            return wait.result
        awaited = _Awaited(what, wait, self._unawaited.remove)
        self._unawaited.append(awaited)
        return awaited

    def check_awaited(self) -> None:
        """Raise `AssertionError` if a wait was begun on an event loop and never awaited."""
        names = [awaited.what for awaited in self._unawaited]
        self._unawaited.clear()
        if names:
            raise AssertionError(
                f"nothing has waited for {', '.join(names)}: in an async test write `await` "
                "before it"
            )


class _Wait:
    """One wait: what is looked for, and until when."""

    def __init__(
        self, look: Look, seconds: float, late: Callable[[], Any], is_up: Callable[[], bool]
    ) -> None:
        self.result: Any = None
        self._look = look
        self._seconds = seconds
        self._late = late
        self._is_up = is_up
        self._up = False
        self._deadline = monotonic() + START_SECONDS

    def is_over(self) -> bool:
        """Look, and return whether `result` is there. Raises what `look` and `late` raise."""
        __tracebackhide__ = True
        if not self._up and self._is_up():
            self._up = True
            self._deadline = monotonic() + self._seconds
        is_late = monotonic() >= self._deadline
        self.result = self._look()
        if self.result is NOTHING and is_late:
            self.result = self._late()
        return self.result is not NOTHING


class _Awaited:
    """A wait that an async test has begun."""

    def __init__(self, what: str, wait: _Wait, on_await: Callable[[_Awaited], None]) -> None:
        self.what = what
        self._wait = wait
        self._on_await = on_await

    def __await__(self) -> Generator[Any, None, Any]:
        self._on_await(self)
        return self._run().__await__()

    async def _run(self) -> Any:
        __tracebackhide__ = True
        while not self._wait.is_over():
            await asyncio.sleep(_PAUSE)
        return self._wait.result


def _no_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False
