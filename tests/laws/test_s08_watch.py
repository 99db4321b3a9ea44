"""Law S8 of the store: a watch sees every change, in order.

Tests comm/store/listener.py.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from liteyuki_core.comm.storage import Change, SharedMemory
from liteyuki_core.comm.store import value
from liteyuki_core.comm.store.access import Changes
from liteyuki_core.comm.store.listener import Listener
from tests.conftest import wait_until
from tests.pair import Pair, StoreDoor, Unbuildable, run_async


@pytest.mark.every_transport
def test_a_watch_sees_every_change_in_order(
    store: SharedMemory, other: SharedMemory, do: StoreDoor
) -> None:
    """With the values before and after; a callback runs one at a time, sync or async."""
    seen: list[Change] = []
    sync_seen: list[Change] = []
    running = 0

    @store.watch("key")
    async def callback(change: Change) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        seen.append(change)
        running -= 1

    store.watch("k*")(sync_seen.append)
    other["unwatched"] = 0
    for i in range(200):
        do(other if i % 2 else store, "set", "key", i)
    do(other, "delete", "key")
    do(other, "set", "key", None, ttl=0.05)
    expected = [Change("key", i - 1 if i else None, i) for i in range(200)]
    expected += [
        Change("key", 199, None, deleted=True),
        Change("key", None, None),
        Change("key", None, None, deleted=True, expired=True),
    ]
    wait_until(lambda: len(seen) == len(sync_seen) == len(expected), "all are seen")
    assert seen == expected
    assert sync_seen == expected


def test_a_watch_to_iterate_over(store: SharedMemory, other: SharedMemory) -> None:
    """It sees what happens after it has begun and before it is closed."""

    async def watch() -> list[Change]:
        changes = aiter(store.namespace("n").watch("a*"))
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        while not first.done():
            await other.async_set("n:abc", 1)
            await asyncio.sleep(0)
        seen = [await first]
        await other.async_set("n:abd", 2)
        while seen[-1].new != 2:
            seen.append(await anext(changes))
        changes.close()
        await other.async_set("n:abe", 3)
        seen += [change async for change in changes]
        return seen

    seen = run_async(watch())
    assert seen[-1] == Change("abd", None, 2)
    assert {change.key for change in seen} == {"abc", "abd"}


@pytest.mark.one_hub
def test_an_iteration_that_is_let_go_of(pair: Pair, store: SharedMemory) -> None:
    """The store forgets it, and one that is cancelled loses nothing."""

    async def watch() -> None:
        changes = aiter(store.watch("key"))
        waiting = asyncio.ensure_future(anext(changes))
        while not pair.store._patterns:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await store.async_set("key", 1)
        assert await anext(changes) == Change("key", None, 1)

    run_async(watch())
    gc.collect()  # What was cancelled has a traceback with the iteration in it.
    wait_until(lambda: not pair.store._patterns, "the watch is forgotten")


async def _listener(pair: Pair, store: SharedMemory) -> tuple[Changes, Listener]:
    """Return an iteration over the changes of "key" that has begun, and its listener."""
    changes = aiter(store.watch("key"))
    first = asyncio.ensure_future(anext(changes))
    while not first.done():
        await store.async_set("key", 0)
        await asyncio.sleep(0)
    while changes._listener._inbox:
        await anext(changes)
    return changes, changes._listener


def test_a_wait_that_is_given_up_is_forgotten(pair: Pair, store: SharedMemory) -> None:
    """However many are, by a time-out or cancelled; none of them takes a change with it."""

    async def watch() -> None:
        changes, listener = await _listener(pair, store)
        for number in range(50):
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            assert len(listener._waiters) == 1
            if number % 2:
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            else:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(waiting, 0.001)
            assert not listener._waiters
        await store.async_set("key", 1)
        assert (await anext(changes)).new == 1

    run_async(watch())


def test_a_wait_that_is_cancelled_as_it_is_woken(pair: Pair, store: SharedMemory) -> None:
    """What it was woken for is had by the next, and by whoever waits beside it."""

    async def watch() -> None:
        changes, listener = await _listener(pair, store)
        seen: list[Any] = []
        for number in range(1, 60):
            beside, gone = (asyncio.ensure_future(anext(changes)) for _ in range(2))
            if number % 2:
                beside, gone = gone, beside
            await asyncio.sleep(0)
            assert len(listener._waiters) == 2
            with listener._site.lock:
                listener.tell({"key": "key", "old": False, "new": True, "expired": False}, [one])
            gone.cancel()  # Its wake-up is under way.
            with pytest.raises(asyncio.CancelledError):
                await gone
            seen.append(await asyncio.wait_for(beside, 10))
            assert not listener._waiters
        assert not listener._inbox
        assert [change.new for change in seen] == [1] * 59

    one = value.number(1)
    run_async(watch())


def test_a_watch_that_raises(pair: Pair, store: SharedMemory) -> None:
    """The log says of which key, and it goes on."""
    seen = []

    @store.watch("key")
    def callback(change: Change) -> None:
        seen.append(change.new)
        raise ZeroDivisionError("watched")

    store["key"] = 1
    store["key"] = 2
    wait_until(lambda: seen == [1, 2])
    pair.logged("ERROR", "watch 'key'", "callback", "watched")


@pytest.mark.one_hub
def test_a_change_that_cant_be_rebuilt(pair: Pair, store: SharedMemory) -> None:
    """It is skipped, with a line in the log."""
    seen = []
    store.watch("key")(seen.append)
    store["key"] = Unbuildable()
    store["key"] = 1
    store["key"] = 2
    wait_until(lambda: seen)
    assert seen == [Change("key", 1, 2)]
    pair.logged("ERROR", "watch 'key'", "rebuilt", "not here")


def test_what_no_callback_can_be(store: SharedMemory) -> None:
    """It is refused at once."""
    with pytest.raises(TypeError, match="callable"):
        store.watch("key")(1)
    with pytest.raises(TypeError, match="callable"):
        store.on_subscriber_receive("topic")(1)
    with pytest.raises(TypeError, match="callable"):
        store.update("key", 1)  # type: ignore[arg-type]
