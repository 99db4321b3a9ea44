"""Nodes of a cluster in one process, over a real NATS server."""

from __future__ import annotations

import asyncio
from typing import Any

from liteyuki_core.cluster.cluster import Node
from liteyuki_core.cluster.connection import Access
from liteyuki_core.cluster.options import Options
from liteyuki_core.cluster.store import SharedStore
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.hub.hub import Hub
from liteyuki_core.comm.hub.main import Main
from liteyuki_core.comm.queue import Queue
from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.errors import StoreError
from tests.conftest import wait_until
from tests.pair import _LINES, Pair


class OneNode:
    """A main process's side: its context, its hub, its part of the cluster."""

    def __init__(
        self,
        url: str,
        name: str,
        cluster: str,
        max_message_bytes: int = 1 << 20,
        replicas: int = 1,
        grace: float = 0.0,
    ) -> None:
        self.name = name
        self.context = Context(None, max_message_bytes=max_message_bytes, own_loop=True)
        self.context.crosses = True
        self.main = Main(self.context, make_store=SharedStore)
        access = Access(url, None, None)
        self.node = Node(self.main, Options(access, cluster, name, replicas, grace))
        try:
            self.node.open()
        except BaseException:
            self.context.close(1)
            self.main.store.close(1)
            raise

    def make(self, name: str, capacity: int = 1024) -> Channel[Any]:
        """Return this node's end of a new channel."""
        end = self.context.make(name, capacity)
        self.context.register(name, end)
        return Channel._of(end)

    def queue(self, name: str = "jobs", capacity: int | None = 1024) -> Queue[Any]:
        """Return this node's handle of a queue, which is made if there is none."""
        handle = Queue._of(self.context.queue(name, capacity))
        assert isinstance(handle, Queue)
        return handle

    def knows(self, name: str = "jobs") -> None:
        """Wait until this node knows the name."""
        wait_until(lambda: name in self.context.port.names(), f"{self.name} knows {name}")

    def get(self, name: str) -> Channel[Any]:
        """Return this node's end of a channel, as soon as it is known."""
        self.knows(name)
        return Channel._of(self.context.get(name))

    def vanish(self) -> None:
        """Lose the server without a word, as if the machine had."""
        client = self.node.connection._client
        asyncio.run_coroutine_threadsafe(client.close(), self.node._loop).result(10)

    def close(self) -> None:
        """End it in good order."""
        self.node.stop()
        self.context.close(2)
        self.node.close(2)
        self.main.store.close(2)


class NodesPair(Pair):
    """Two nodes: the main process of one, and a child called "w" of the other.

    `hub` and `store` are those of the child's node.
    """

    def __init__(self, url: str, cluster: str) -> None:
        self.crosses = True
        self.near = OneNode(url, "a", cluster)
        self.far = OneNode(url, "b", cluster)
        self.cache_bytes = 1 << 20
        self.main = self.near.context
        self.composed = self.far.main
        self.hub, self.store = self.composed.hub, self.composed.store
        self.hub.add_process("w")
        self.log = _LINES.open()
        self.main_ended, self.child_ended, self.words = [], [], []
        self._others, self._links, self._names = [], {}, 0
        self.connect()
        for name in ("w-active", "w-passive"):
            wait_until(lambda name=name: name in self.main.port.names(), f"a knows {name}")

    def hubs(self) -> list[Hub]:
        return [self.near.main.hub, self.hub]

    def between_nodes(self) -> list[Any]:
        parts = [each.node.requests for each in (self.near, self.far)]
        return [count for each in parts for count in (each.asked.under_way, each.answering.in_hand)]

    def close(self) -> None:
        """End both sides."""
        for other in self._others:
            other.close(2)
        self.child.close(2)
        self.near.close()
        self.far.close()
        _LINES.close(self.log)


def fill(store: SharedMemory, begin: str) -> list[str]:
    """Set keys until the server has no room; return them. Raises what the first one raises."""
    filled: list[str] = []
    while True:
        try:
            store[f"{begin}{len(filled)}"] = bytes(50_000)
        except StoreError:
            if not filled:
                raise
            return filled
        filled.append(f"{begin}{len(filled)}")
