"""Law S10 of the store: one holder of a lock at a time, and none that is gone.

Tests comm/store/lock.py.
"""

from __future__ import annotations

import asyncio
import threading

import pytest

from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.errors import StoreError, StoreTimeout, WouldBlockLoop
from tests.conftest import wait_until
from tests.pair import Pair, run_async


async def _locked(store: SharedMemory, timeout: float | None = None) -> None:
    async with store.lock("lock", timeout=timeout):
        pass


def _lock(store: SharedMemory, timeout: float | None = None) -> None:
    with store.lock("lock", timeout=timeout):
        pass


@pytest.mark.every_transport
def test_one_holder_at_a_time(pair: Pair) -> None:
    """Of threads and tasks of three processes."""
    stores = [SharedMemory._of(c.access) for c in (pair.main, pair.child, pair.another("third"))]
    inside = most = entered = 0

    def enter() -> None:
        nonlocal inside, most, entered
        inside += 1
        most = max(most, inside)
        entered += 1
        inside -= 1

    def by_thread(store: SharedMemory) -> None:
        for _ in range(50):
            with store.lock("lock"):
                enter()

    async def by_task(store: SharedMemory) -> None:
        for _ in range(50):
            async with store.lock("lock"):
                enter()
                await asyncio.sleep(0)

    calls = [(by_thread, store) for store in stores]
    calls += [(lambda s: run_async(by_task(s)), store) for store in stores]
    threads = [threading.Thread(target=call, args=(store,)) for call, store in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (entered, most) == (300, 1)
    wait_until(lambda: pair.store._queues.queues == {}, "it is free")


@pytest.mark.one_hub
def test_a_lock_that_is_not_got_in_time(
    pair: Pair, store: SharedMemory, other: SharedMemory
) -> None:
    """Whoever waits too long, or no longer, does not get it afterwards either."""
    with other.lock("lock"):
        with pytest.raises(StoreTimeout, match=r"lock lock: not free within 0\.05 s") as caught:
            _lock(store, 0.05)
        assert caught.value.key == "lock"
        with pytest.raises(StoreTimeout, match="lock lock"):
            run_async(_locked(store, 0.05))

        async def cancelled() -> None:
            task = asyncio.ensure_future(_locked(store))
            while len(pair.store._queues.queues["lock"]) < 2:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run_async(cancelled())
    _lock(store, 10)
    _lock(other, 10)


def test_a_lock_on_a_loops_thread(store: SharedMemory, other: SharedMemory) -> None:
    """`with` takes what is free and never stops the loop for what is not."""

    async def locked() -> None:
        with store.lock("lock"):
            pass
        async with store.lock("lock"):
            with pytest.raises(WouldBlockLoop, match="async with"), store.lock("lock"):
                pass
            with pytest.raises(WouldBlockLoop, match="async with"), other.lock("lock"):
                pass

    run_async(locked())
    _lock(other, 10)


@pytest.mark.one_hub
def test_a_lock_of_one_who_is_gone_is_free(pair: Pair) -> None:
    """So is the place of one who waited for it."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    child.lock("lock").__enter__()
    got = []

    def take() -> None:
        with main.lock("lock", timeout=20):
            got.append(1)

    thread = threading.Thread(target=take)
    thread.start()
    wait_until(lambda: len(pair.store._queues.queues["lock"]) == 2)
    assert not got
    pair.kill_child()
    thread.join(20)
    assert got == [1]
    _lock(SharedMemory._of(pair.child.access), 10)


def test_a_lock_object_is_held_once(store: SharedMemory) -> None:
    """A second `with` of the same object would never get it: it says so."""
    lock = store.lock("lock")
    with lock, pytest.raises(StoreError, match="holds it already"), lock:
        pass
    with lock:
        pass
    with pytest.raises(ValueError, match="timeout"):
        store.lock("lock", timeout=-1)
