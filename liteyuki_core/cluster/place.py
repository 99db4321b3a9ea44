"""What the parts of a node need of it: `Place`. `cluster.py` has the node itself.

All is called on the cluster's loop, except for what says that it is called under the hub's lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ..comm.hub.hub import Hub
from .across import Across
from .connection import Connection
from .message import Word
from .subjects import Subjects


class Place(Protocol):
    """This node, as its parts see it. Ends and letters are those of `far.py` and `incoming.py`."""

    name: str
    cluster: str
    epoch: str
    """Says which life of the node this is."""
    hub: Hub
    across: Across
    hub_limit: int
    """The longest message, in bytes."""
    subjects: Subjects
    connection: Connection
    delivered: str
    """Where the server delivers what comes for this node."""
    consumers: dict[str, Any]
    """By the name of a consumer: the `Incoming` that has it."""
    gate: asyncio.Semaphore
    """How much is asked of the server at a time."""
    busy: set[Any]
    """The far ends with something that is still to leave. Under the lock."""
    requests: Any
    """The `Requests` between this node and others."""
    stopping: bool
    closed: bool

    def due(self, far: Any) -> None:
        """Have a far end send what waits. Under the lock."""

    def wake(self) -> None:
        """Have the loop do what was noted. Under the lock."""

    def was_handled(self, incoming: Any, arrival: Any, sender: str, numbers: list[int]) -> None:
        """Note how many messages of a letter are handled. Under the lock."""

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Have the loop call something. From anywhere."""

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Have the loop call something after some time."""

    def next_serial(self) -> int:
        """Return a number that this life of the node has not used yet."""

    def task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that nobody waits for."""

    async def make_streams(self) -> None:
        """Make what is missing of the streams. Raises `ClusterError`."""

    async def tell(self, subject: str, word: Word) -> None:
        """Tell other nodes something, which may be lost."""

    async def publish(self, far: Any, letter: bytes, key: str) -> int:
        """Put a letter on the stream, for as long as it takes; return its number there."""

    def acknowledge(self, reply: str) -> None:
        """Acknowledge a letter on the stream."""

    def has_left(self) -> None:
        """Learn that a far end has sent something."""

    def far_for(self, node: str, name: str, *, is_home: bool) -> Any:
        """Return the end of a channel with a node; None if there is no such channel."""

    def channel_ended(self, name: str) -> None:
        """Learn that another node's channel has ended here."""

    async def answers(self, node: str) -> bool | None:
        """Return whether a node runs. None: not known."""

    def look_around(self) -> None:
        """See to what should have been heard of by now."""

    def replaced(self) -> None:
        """Learn that another process is this node now."""
