"""What a room needs of its process: the lock, the wake-ups, the loop for callbacks, the limits.

One `Site` a process, made and ended by its context. Ends, listeners and the way to the store
have the site, so that they need not know the context, which knows all of them.

Ownership. The site owns its dispatcher and its attendant. Who ends it closes the dispatcher first;
`close` then ends the attendant's thread. `lock` guards the state of all ends and, in the main
process, of the hub; nothing waits, runs user code or makes a system call while it is held.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

from .attendant import GATHER_SECONDS, Attendant
from .dispatch import Dispatcher
from .wakes import Wakes


class Site:
    """What one process offers to its rooms. Any thread may call its methods."""

    def __init__(self, process: str | None, *, max_message_bytes: int, own_loop: bool) -> None:
        self.process = process
        """The name of the child process that this is, None in the main process."""
        self.max_message_bytes = max_message_bytes
        self.lock = threading.RLock()
        self.wakes = Wakes()
        self.dispatcher = Dispatcher(self.wakes, own_loop=own_loop)
        self._attendant = Attendant()

    def soon(self, act: Callable[[], None], loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Have `act` called within 5 ms.

        With a loop it is called there, and this is under the lock. Otherwise this is called from
        anywhere, also from a finaliser; what uses it calls `start_attending` before.
        """
        if loop is None:
            self._attendant.add(act)
        else:
            self.wakes.wake(loop, partial(loop.call_later, GATHER_SECONDS, act))

    def start_attending(self) -> None:
        """Start the thread for `soon` unless it runs. Under the lock."""
        self._attendant.start()

    def close(self) -> None:
        """Do what was put off by `soon`, and end the thread for it. Idempotent."""
        self._attendant.close()
