"""The gateway of one child and its replicas: what the main process serves for them.

Ownership. LiteyukiBot makes a `Gateway` for each child that has one, and closes it. The gateway
owns the channels to the child and its replicas, and the thread with the loop that serves their
clients, which runs from when a child first says that it serves.

Threads. `__init__` may be called on any thread. LiteyukiBot's loop calls everything else. What is
served belongs to the other loop once that runs.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib import import_module
from typing import Any, TypeVar

from ..comm import set_channel
from ..comm.channel import Channel
from ..errors import ConfigError
from ..process.listening import bind
from ..process.state import ProcessState
from . import channel_of
from .child import Child
from .exchange import CAPACITY, PIECE, Begun, Listen, Listening, Refused, Serves, Up
from .serving import Serving
from .thread import LoopThread, new_loop

T = TypeVar("T")

_LEAST_MESSAGE_BYTES = 4 * PIECE

Run = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a call in a worker thread."""


def check_limit(process: str, max_message_bytes: int) -> None:
    """Raise `ConfigError` if messages may not be as long as a gateway's are."""
    if max_message_bytes < _LEAST_MESSAGE_BYTES:
        raise ConfigError(
            f"process {process}: LITEYUKI_MAX_MESSAGE_BYTES={max_message_bytes} is too little for "
            f"a gateway: at least {_LEAST_MESSAGE_BYTES}, or set LITEYUKI_GATEWAY=false"
        )


class Gateway:
    """Serves a child's address, and passes what comes to the child."""

    def __init__(self, processes: Sequence[str], wait: float, run: Run) -> None:
        """`wait` is how many seconds a request waits for a child that is away.

        Raises `ChannelExists` if another channel has the name of a child's.
        """
        self._name = processes[0]
        self._run = run
        self._asking = asyncio.Lock()
        """Two replicas may ask for the address at the same time, or come up."""
        self._serving = Serving([self._child(process, wait) for process in processes])
        self._thread: LoopThread | None = None
        self._starting: asyncio.Future[LoopThread] | None = None

    def _child(self, process: str, wait: float) -> Child:
        channel: Channel[Any] = Channel(channel_of(process), capacity=CAPACITY)
        set_channel(channel_of(process), channel)

        async def asked(question: object) -> Any:
            async with self._asking:
                if isinstance(question, Listen):
                    return await self._listen(question)
                if isinstance(question, Up):
                    return await self._there(self._serving.up(process, question))
            raise TypeError(f"a {type(question).__name__} is nothing to ask a gateway")

        async def told(told: object) -> None:
            if isinstance(told, Serves):
                self._start()
            elif isinstance(told, Begun) and self._thread is not None:
                self._thread.soon(self._serving.has_begun, process, told)

        channel.on_request()(asked)
        channel.on_receive()(told)
        return Child(process, channel, wait)

    def state(self, process: str, state: ProcessState) -> None:
        """Learn that a child has a new state."""
        if self._thread is None:
            self._serving.state(process, state)
        else:
            self._thread.soon(self._serving.state, process, state)

    async def close(self) -> None:
        """Close all connections and the sockets, and end the thread. Idempotent."""
        if self._starting is not None:
            await asyncio.wait({self._starting})
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.run(self._serving.close())
            await self._run(thread.close)

    # ------------------------------------------------------------- the thread

    def _start(self) -> asyncio.Future[LoopThread]:
        """Start the thread, once what it needs is imported: meanwhile the child loads plugins."""
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._started())
        return self._starting

    async def _started(self) -> LoopThread:
        imported = await self._run(lambda: import_module(f"{__package__}.server"))
        self._serving.new_server = imported.Server
        thread = LoopThread(await self._run(new_loop), f"liteyuki-gateway-{self._name}")
        thread.start()
        self._thread = thread
        return thread

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the thread's loop."""
        thread = await asyncio.shield(self._start())
        return await thread.run(coroutine)

    # ------------------------------------------------------------- from a child

    async def _listen(self, wanted: Listen) -> Listening | Refused:
        """Bind the address that the child wants, and return what that is."""
        if await self._there(self._serving.leave(wanted)):
            try:
                sockets = await self._run(lambda: bind(wanted.host, wanted.port, wanted.backlog))
            except (OSError, OverflowError, ValueError) as error:  # Also for a NUL in a name.
                code = getattr(error, "errno", None) or errno.EINVAL
                return Refused(code, getattr(error, "strerror", None) or str(error))
            await self._there(self._serving.listen(wanted, sockets))
        return await self._there(self._serving.listening())
