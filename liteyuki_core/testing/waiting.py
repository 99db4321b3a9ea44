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

_PAUSE = 0.005

Look = Callable[[], Any]
"""Returns what was waited for, or `NOTHING`. It may raise to end the wait."""

NOTHING: Any = object()


class Waits:
    """The waits of one fixture."""

    def __init__(self) -> None:
        self._unawaited: list[_Awaited] = []

    def until(self, what: str, look: Look, seconds: float, late: Callable[[], Any]) -> Any:
        """Wait until `look` returns something, and return that. If nothing comes, call `late`.

        `what` is what the test has called. `late` returns the result, or raises.
        """
        __tracebackhide__ = True
        if _no_loop_runs():
            deadline = monotonic() + seconds
            while True:
                is_late = monotonic() >= deadline
                found = look()
                if found is not NOTHING:
                    return found
                if is_late:
                    return late()
                sleep(_PAUSE)
        awaited = _Awaited(what, look, seconds, late, self._unawaited.remove)
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


class _Awaited:
    """A wait that an async test has begun."""

    def __init__(
        self,
        what: str,
        look: Look,
        seconds: float,
        late: Callable[[], Any],
        on_await: Callable[[_Awaited], None],
    ) -> None:
        self.what = what
        self._look = look
        self._seconds = seconds
        self._late = late
        self._on_await = on_await

    def __await__(self) -> Generator[Any, None, Any]:
        self._on_await(self)
        return self._wait().__await__()

    async def _wait(self) -> Any:
        __tracebackhide__ = True
        deadline = monotonic() + self._seconds
        while True:
            is_late = monotonic() >= deadline
            found = self._look()
            if found is not NOTHING:
                return found
            if is_late:
                return self._late()
            await asyncio.sleep(_PAUSE)


def _no_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False
