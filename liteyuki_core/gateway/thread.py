"""An event loop of the gateway's own, on a thread of its own.

So connections are served also while LiteyukiBot's loop is blocked. The loop is uvloop's where that
is installed, which NoneBot's FastAPI driver asks for: a message takes a fifth less time with it.

Ownership. A `LoopThread` owns its loop and its thread from `start` to `close`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .. import log
from ..language import say

T = TypeVar("T")

_SETTLE_SECONDS = 1.0


class LoopThread:
    """Runs an event loop. Any thread may call `soon`; a loop calls the rest."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Have the loop call something soon, after what it was to call before."""
        self._loop.call_soon_threadsafe(call, *args)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and return what it returns."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def close(self) -> None:
        """End the loop and all that runs on it. Waits for the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        loop = self._loop
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=_SETTLE_SECONDS))
            loop.run_until_complete(loop.shutdown_asyncgens())
        except Exception as error:
            log.logger.opt(exception=error).error(say("a gateway's event loop has failed"))
        finally:
            loop.close()


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop, the quickest there is. It may take a while: it imports uvloop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
