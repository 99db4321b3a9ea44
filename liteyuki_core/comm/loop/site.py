"""What all parts of `comm` share in one process: lock, wake-ups, loop for callbacks, limits.

One `Site` a process. Its context makes it and closes it. Ends, listeners and the way to the store
know the site, so that they need not know the context, which knows all of them.

Ownership. The site owns its dispatcher and its attendant. The context closes the dispatcher first.
Then `close` ends the attendant's thread.

Invariants. `lock` guards the state of all ends and, in the main process, of the hub. While it is
held, nothing waits, runs user code or makes a system call.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial

from .attendant import GATHER_SECONDS, Attendant
from .dispatch import Dispatcher
from .wakes import Wakes


class Site:
    """The parts of one process that ends, hub and store share. Any thread may call its methods."""

    def __init__(self, process: str | None, *, max_message_bytes: int, own_loop: bool) -> None:
        _keep_freed_memory()
        self.process = process
        """The name of the child that this process belongs to, None in the main process."""
        self.max_message_bytes = max_message_bytes
        self.lock = threading.RLock()
        self.wakes = Wakes()
        self.dispatcher = Dispatcher(self.wakes, own_loop=own_loop)
        self._attendant = Attendant()

    def soon(self, act: Callable[[], None], loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Have `act` called in about 5 ms.

        With a loop, `act` is called on that loop, and the caller holds the lock. Without one, the
        attendant's thread calls it; then any code may call `soon`, also a finaliser, but
        `start_attending` must have been called before.
        """
        if loop is None:
            self._attendant.add(act)
        else:
            self.wakes.wake(loop, partial(loop.call_later, GATHER_SECONDS, act))

    def later(self, act: Callable[[], None]) -> None:
        """Do the same without a loop, in about 25 ms."""
        self._attendant.add_late(act)

    def start_attending(self) -> None:
        """Start the attendant's thread unless it runs. Under the lock."""
        self._attendant.start()

    def close(self) -> None:
        """Make the calls that were put off, and end the attendant's thread. Idempotent."""
        self._attendant.close()


def _keep_freed_memory() -> None:
    """Have glibc keep up to 8 MB of freed memory for what comes next.

    By itself it gives each batch's memory back to the kernel, which then fills the same pages with
    zeros again for the next batch. Once a block of 4 MB was freed, it gives back twice as much, or
    blocks that are longer, see mallopt(3) on M_MMAP_THRESHOLD. A block nobody writes to costs
    nothing.
    """
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", ()):
        bytearray(4 << 20)
