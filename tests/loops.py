"""Event loops to test with: of which kinds, in a thread, and one whose sleep is watched."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
with suppress(ImportError):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop
    uvloop.new_event_loop().close()  # The first opens what stays open.


class LoopThread:
    """An event loop that runs in a thread, until `stop`."""

    def __init__(self, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop = new_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)


class Sleeps(selectors.DefaultSelector):
    """Notes whether the loop sleeps, and how often it has looked without sleeping before that."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[int] = [0]
        self.sleeps = False

    def select(self, timeout: float | None = None) -> Any:
        if timeout == 0:
            self.looks[-1] += 1
            return super().select(0)
        self.sleeps = True
        try:
            return super().select(timeout)
        finally:
            self.sleeps = False
            self.looks.append(0)
