"""Law C5 of channels: how many callbacks run at once.

`concurrency` bounds them, and through them whoever sends.

Tests comm/loop/runner.py, comm/loop/worker.py.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from liteyuki_core.errors import ChannelTimeout
from tests.conftest import wait_until
from tests.pair import AsyncDoor, Pair, SyncDoor, send_all


@pytest.fixture
def capacity() -> int:
    """Room for many at once."""
    return 64


class Crowd:
    """Callbacks that run until they are released, and how many do at once."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.lock = threading.Lock()
        self.started: dict[str, list[int]] = {"sync": [], "async": []}
        self.running = 0
        self.most = 0
        self.released = threading.Event()

    def add(self, kind: str, **options: Any) -> None:
        """Register a sync or an async callback."""

        def begin(data: int) -> None:
            with self.lock:
                self.started[kind].append(data)
                self.running += 1
                self.most = max(self.most, self.running)

        def end() -> None:
            with self.lock:
                self.running -= 1

        def sync_callback(data: int) -> None:
            begin(data)
            self.released.wait(20)
            end()

        async def async_callback(data: int) -> None:
            begin(data)
            while not self.released.is_set():
                await asyncio.sleep(0.002)
            await asyncio.sleep(0)
            end()

        self.channel.on_receive(**options)(sync_callback if kind == "sync" else async_callback)


@pytest.mark.parametrize("kinds", [["async"], ["sync"], ["async", "sync"]], ids="+".join)
@pytest.mark.parametrize("concurrency", [1, 2, 5])
@pytest.mark.parametrize("filtered", [False, True])
def test_concurrency_bounds_callbacks(
    ends: Any, kinds: list[str], concurrency: int, filtered: bool
) -> None:
    """So many run at once and never more; all messages are handled, started in order."""
    sender, receiver = ends
    crowd = Crowd(receiver)
    for kind in kinds:
        crowd.add(
            kind, concurrency=concurrency, filter_func=(lambda data: True) if filtered else None
        )
    send_all(sender, range(64))
    wait_until(lambda: crowd.running == concurrency)
    crowd.released.set()
    send_all(sender, range(64, 500))
    for kind in kinds:
        wait_until(lambda kind=kind: len(crowd.started[kind]) == 500)
        assert crowd.started[kind] == list(range(500))
    wait_until(
        lambda: sender._open().sending._free == 64, "each message is acknowledged, and only once"
    )
    assert crowd.most == concurrency


@pytest.mark.parametrize("options", [{"concurrency": 5}, {}], ids=["larger", "none"])
def test_the_smallest_concurrency_counts(ends: Any, options: dict[str, Any]) -> None:
    """Where callbacks of one channel differ, none of them makes more run at once."""
    sender, receiver = ends
    crowd = Crowd(receiver)
    crowd.add("async", **options)
    crowd.add("sync", concurrency=2)
    send_all(sender, range(64))
    wait_until(lambda: crowd.running == 2)
    crowd.released.set()
    wait_until(lambda: sender._open().sending._free == 64)
    assert crowd.most == 2
    assert crowd.started == {"sync": list(range(64)), "async": list(range(64))}


def test_ordered_counts_as_one_of_those_at_once(ends: Any) -> None:
    """An ordered callback runs one at a time, others fill the rest of the places."""
    sender, receiver = ends
    ordered, crowd = Crowd(receiver), Crowd(receiver)
    ordered.add("async", ordered=True)
    crowd.add("async", concurrency=4)
    send_all(sender, range(64))
    wait_until(lambda: ordered.running == 1 and crowd.running == 3)
    ordered.released.set()
    crowd.released.set()
    wait_until(lambda: sender._open().sending._free == 64)
    assert ordered.most == 1
    assert crowd.most <= 4
    assert ordered.started["async"] == crowd.started["async"] == list(range(64))


@pytest.mark.parametrize(("concurrency", "most"), [(None, 32), (48, 48)])
def test_threads_of_sync_callbacks(ends: Any, concurrency: int | None, most: int) -> None:
    """They are 32 at most, unless a concurrency asks for more."""
    sender, receiver = ends
    crowd = Crowd(receiver)
    crowd.add("sync", concurrency=concurrency)
    send_all(sender, range(64))
    wait_until(lambda: crowd.running == most)
    crowd.released.set()
    wait_until(lambda: sender._open().sending._free == 64)
    assert crowd.most == most


@pytest.mark.parametrize("door", [SyncDoor(), AsyncDoor()], ids=["sync", "async"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("capacity", "concurrency"), [(1, 1), (2, 1), (2, 2), (8, 2), (8, 8)])
def test_a_slow_consumer_slows_its_sender(
    pair: Pair, door: Any, kind: str, capacity: int, concurrency: int
) -> None:
    """A capacity full of messages is accepted and no more, however few are handled at once."""
    sender, receiver = pair.channel(capacity)
    crowd = Crowd(receiver)
    crowd.add(kind, concurrency=concurrency)
    for i in range(capacity):
        door.send(sender, i, 10)
    wait_until(lambda: crowd.running == concurrency)
    with pytest.raises(ChannelTimeout):
        door.send(sender, capacity, 0.05)
    assert len(crowd.started[kind]) == concurrency
    crowd.released.set()
    for i in range(capacity, 5 * capacity):
        door.send(sender, i, 10)
    wait_until(lambda: sender._open().sending._free == capacity)
    assert crowd.started[kind] == list(range(5 * capacity))
    assert crowd.most == concurrency


@pytest.mark.parametrize(
    ("concurrency", "error"),
    [(0, ValueError), (-1, ValueError), (True, TypeError), ("2", TypeError)],
)
def test_a_concurrency_that_cant_be(ends: Any, concurrency: Any, error: type[Exception]) -> None:
    """It is refused where it is written."""
    with pytest.raises(error, match="concurrency must be"):
        ends[1].on_receive(concurrency=concurrency)
