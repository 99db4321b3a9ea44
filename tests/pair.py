"""A main process's and a child's side of channels in one process, over a real link."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from liteyuki_core import log
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.hub.hub import Hub
from liteyuki_core.comm.hub.link_peer import LinkPeer
from liteyuki_core.comm.hub.main import Main
from liteyuki_core.comm.link_port import LinkPort
from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.comm.store.access import Access
from liteyuki_core.comm.store.copies import Copies
from liteyuki_core.comm.wire.endpoint import connection_pair
from liteyuki_core.errors import ChannelBroken, ChannelClosed
from tests.conftest import wait_until


def run_async(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on a loop of its own."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def in_thread(call: Callable[..., Any], *args: Any) -> threading.Thread:
    """Have a thread of its own call this, and return it."""
    thread = threading.Thread(target=call, args=args, daemon=True)
    thread.start()
    return thread


def send_all(channel: Channel[Any], messages: Iterable[Any]) -> None:
    """Send some messages, each within 10 seconds."""
    for message in messages:
        channel.send(message, 10)


class Unbuildable:
    """Pickles, but can't be rebuilt."""

    def __init__(self, error: type[Exception] = RuntimeError) -> None:
        self._error = error

    def __reduce__(self) -> Any:
        return _raise, (self._error,)


def _raise(error: type[Exception]) -> None:
    raise error("not here")


class SyncDoor:
    """The sync methods of a channel."""

    def send(self, channel: Channel[Any], data: Any, timeout: float | None = None) -> None:
        channel.send(data, timeout)

    def receive(self, channel: Channel[Any], timeout: float | None = 10) -> Any:
        return channel.receive(timeout)

    def drain(self, channel: Channel[Any]) -> list[Any]:
        return list(channel)


class AsyncDoor:
    """The async methods of a channel, each call on a loop of its own."""

    def send(self, channel: Channel[Any], data: Any, timeout: float | None = None) -> None:
        run_async(channel.async_send(data, timeout))

    def receive(self, channel: Channel[Any], timeout: float | None = 10) -> Any:
        return run_async(channel.async_receive(timeout))

    def drain(self, channel: Channel[Any]) -> list[Any]:
        async def collect() -> list[Any]:
            return [data async for data in channel]

        return run_async(collect())  # type: ignore[no-any-return]


Door = SyncDoor | AsyncDoor
Ends = tuple[Channel[Any], Channel[Any]]
"""The sender's and the receiver's end of one channel."""


def by_sync(store: SharedMemory, operation: str, *args: Any, **kwargs: Any) -> Any:
    """Call a sync method of the store."""
    return getattr(store, operation)(*args, **kwargs)


def by_async(store: SharedMemory, operation: str, *args: Any, **kwargs: Any) -> Any:
    """Call the async method of that name."""
    return run_async(getattr(store, f"async_{operation}")(*args, **kwargs))


StoreDoor = Callable[..., Any]


class _Lines:
    """Gives each line of the log to every pair that is open. From any thread.

    To add a sink takes longer than all else about a pair, so one does for all.
    """

    def __init__(self) -> None:
        self._logs: list[list[str]] = []
        self._sink: int | None = None

    def open(self) -> list[str]:
        """Return the lines of the log from now on."""
        if self._sink not in log.logger._core.handlers:  # Who sets up the log removes all.
            self._sink = log.logger.add(self._give, format="{level} {message}", level="DEBUG")
        opened: list[str] = []
        self._logs = [*self._logs, opened]
        return opened

    def close(self, opened: list[str]) -> None:
        """Give no more lines to one."""
        self._logs = [each for each in self._logs if each is not opened]

    def _give(self, line: str) -> None:
        for each in self._logs:
            each.append(line)


_LINES = _Lines()


class Pair:
    """A hub with its main context, and the context of a child called "w"."""

    def __init__(
        self,
        max_message_bytes: int = 1 << 20,
        max_redeliveries: int = 3,
        store_path: str | None = None,
        cache_bytes: int = 1 << 20,
    ) -> None:
        self.cache_bytes = cache_bytes
        self.crosses = False
        self.main = Context(None, max_message_bytes=max_message_bytes, own_loop=True)
        self.composed = Main(self.main, max_redeliveries=max_redeliveries, store_path=store_path)
        self.hub, self.store = self.composed.hub, self.composed.store
        self.hub.add_process("w")
        self.log = _LINES.open()
        self.main_ended: list[str | None] = []
        self.child_ended: list[str | None] = []
        self.words: list[Any] = []
        self._others: list[Context] = []
        self._links: dict[str, tuple[LinkPort, LinkPeer]] = {}
        self.connect()
        self._names = 0

    def connect(self) -> None:
        """Start a child's side and link it."""
        self.child, self.port, self.peer = self._connect("w")

    def another(self, name: str) -> Context:
        """Return the context of one more child, which is closed with the others."""
        if f"{name}-active" not in self.main.port.names():
            self.hub.add_process(name)
        context, port, peer = self._connect(name)
        self._others.append(context)
        self._links[name] = port, peer
        return context

    def lose(self, name: str) -> None:
        """End the link of one more child, as its death would."""
        port, peer = self._links[name]
        port._link._connection.shutdown(2)
        wait_until(lambda: peer not in self.hub.table.peers, "the hub has seen the end")

    def _connect(self, name: str) -> tuple[Context, LinkPort, LinkPeer]:
        ours, theirs = connection_pair()
        cells = self.store.cells
        context = Context(
            name,
            max_message_bytes=self.main.max_message_bytes,
            own_loop=True,
        )
        port = LinkPort(
            context,
            theirs,
            on_word=self.words.append,
            on_lost=self.child_ended.append,
        )
        copies = Copies(None if cells is None else cells.reader(), self.cache_bytes)
        keeps = self.main.access.keeps
        context.crosses = self.crosses
        access = Access(context.site, port, copies, keeps=keeps, crosses=self.crosses)
        context.connect(port, access)
        peer = self.composed.connect(name, ours, self.main_ended.append, self.words.append)
        port.start(10)
        return context, port, peer

    def channel(self, capacity: int = 1024) -> tuple[Channel[Any], Channel[Any]]:
        """Return the main process's and the child's end of a new channel."""
        self._names += 1
        name = f"channel-{self._names}"
        ours = self.main.make(name, capacity)
        self.main.register(name, ours)
        wait_until(lambda: name in self.port.names(), f"{name} is known")
        return Channel._of(ours), Channel._of(self.child.get(name))

    def hubs(self) -> list[Hub]:
        """Return the hubs of both sides."""
        return [self.hub]

    def between_nodes(self) -> list[Any]:
        """Return what nodes remember of requests."""
        return []

    def logged(self, *words: str) -> str:
        """Wait for a log line with all these words and return it."""
        found: str = wait_until(
            lambda: next((x for x in list(self.log) if all(w in x for w in words)), ""),
            f"a line with {words} in {self.log}",
        )
        return found

    def lose_child(self) -> None:
        """End the child's link as its death would, for good."""
        self.port._link._connection.shutdown(2)
        wait_until(lambda: self.peer not in self.hub.table.peers, "the hub has seen the end")
        self.hub.process_ended("w", ChannelBroken, "process w exited with code 9")

    def kill_child(self, *, clean: bool = False) -> None:
        """Have the child's side end as by SIGKILL, or as asked to, and a successor take its place.

        What the dead one had opened is left where it is.
        """
        dead, before = self.child, len(self.main_ended)
        self.peer.clean = clean
        self.port._link._connection.shutdown(2)
        wait_until(lambda: len(self.main_ended) > before, "the hub has seen the end")
        self.hub.process_ended("w", ChannelBroken, "process w was ended", for_good=False)
        self.connect()
        dead.close(0.1)

    def restart_child(self) -> None:
        """Have the child's side end in good order, and a successor take its place."""
        before = len(self.main_ended)
        self.peer.clean = True
        self.child.close(2)
        wait_until(lambda: len(self.main_ended) > before, "the hub has seen the end")
        self.hub.process_ended("w", ChannelBroken, "process w was ended", for_good=False)
        self.connect()

    def close(self) -> None:
        """End both sides."""
        for other in self._others:
            other.close(2)
        self.child.close(2)
        self.hub.process_ended("w", ChannelClosed, "process w exited with code 0")
        self.main.close(2)
        self.store.close(2)
        _LINES.close(self.log)
