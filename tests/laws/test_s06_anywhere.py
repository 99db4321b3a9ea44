"""Law S6 of the store: usable anywhere in a process, at import time too; who can't wait is told.

At import time, in hooks and threads of real processes: `tests/plugin/test_store.py`.
"""

from __future__ import annotations

import threading

import pytest

from liteyuki_core.comm import current
from liteyuki_core.comm.loop import waiter
from liteyuki_core.comm.storage import Change, SharedMemory, shared_memory
from liteyuki_core.comm.wire import reader as reader_module
from liteyuki_core.errors import NotConnected, StoreTimeout
from tests.conftest import wait_until
from tests.pair import Pair, StoreDoor, in_thread, run_async


def test_the_front_door_is_the_store_of_this_process(pair: Pair) -> None:
    """Whose context is current, also after another one was."""
    for context in (pair.main, pair.child, pair.main):
        current.install(context)
        try:
            shared_memory["key"] = context.process
            assert shared_memory["key"] == SharedMemory._of(pair.main.access)["key"]
            assert shared_memory.get("key") == context.process
        finally:
            current.uninstall(context)


@pytest.mark.every_transport
def test_a_loop_that_reads_the_link_may_ask_and_wait(pair: Pair) -> None:
    """A sync call there is answered, though it blocks the loop that had the reading."""
    child = SharedMemory._of(pair.child.access)
    ours, theirs = pair.channel()
    reader = pair.port._link._reader

    async def lent() -> bool:
        await ours.async_send("message")
        await theirs.async_receive(10)
        return reader._loan is not None or not reader.lendable

    async def talk() -> None:
        for i in range(20):
            for _ in range(10_000):
                if await lent():
                    break
            else:
                pytest.fail("the loop was never lent the reading")
            child.set("key", i, timeout=10)
            assert child.incr("n", timeout=10) == i + 1

    run_async(talk())


@pytest.mark.every_transport
@pytest.mark.one_hub
def test_a_thread_that_asks_without_pause(pair: Pair) -> None:
    """It may read the link itself: then it reads for all others too, while it asks and after."""
    child = SharedMemory._of(pair.child.access)
    ours, theirs = pair.channel()
    reader = pair.port._link._reader
    can_read = getattr(reader_module.arrivals_of, "__module__", "") == waiter.__name__
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            latest = child.incr("n", timeout=10)
            assert latest == child.get("n")

    asking = in_thread(ask)
    try:
        if can_read:
            wait_until(lambda: type(reader._loan).__name__ == "_ThreadLoan", "the thread reads")
        for i in range(300):
            ours.send(i)
            assert theirs.receive(10) == i
        long = bytes(900_000)
        child.set("long", long)
        assert SharedMemory._of(pair.main.access)["long"] == long
        ours.send(long)
        assert theirs.receive(10) == long
    finally:
        stop.set()
        asking.join(20)
    assert not asking.is_alive()
    ours.send("later")
    assert theirs.receive(10) == "later"


@pytest.mark.one_hub
def test_a_lock_that_a_thread_waits_for(pair: Pair) -> None:
    """A wait that lasts is over when the lock is free, also where the thread had the reading."""
    child, main = (SharedMemory._of(context.access) for context in (pair.child, pair.main))
    got: list[int] = []

    def take(number: int) -> None:
        for _ in range(300):
            child.incr("n")
        with child.lock("lock", 20):
            got.append(number)

    with main.lock("lock"):
        threads = [in_thread(take, number) for number in range(3)]
        wait_until(lambda: len(pair.store._queues.queues["lock"]) == 4, "all wait")
        assert not got
    for thread in threads:
        thread.join(20)
    assert sorted(got) == [0, 1, 2]


def test_outside_a_bot(do: StoreDoor) -> None:
    """There is nothing to ask."""
    with pytest.raises(NotConnected, match="LiteyukiBot"):
        do(shared_memory, "get", "key")
    with pytest.raises(NotConnected, match="LiteyukiBot"):
        do(shared_memory, "set", "key", 1)


# ------------------------------------------------------------- a main process that is stuck or gone


@pytest.mark.one_hub
def test_a_stuck_main_process(pair: Pair, do: StoreDoor) -> None:
    """Waiting ends in time and says so; a copy is read all the same."""
    child = SharedMemory._of(pair.child.access)
    child["known"] = 1
    with pair.main.lock:
        for operation, args in (("get", ("key",)), ("set", ("key", 1)), ("keys", ())):
            with pytest.raises(StoreTimeout, match=r"did not answer within 0\.\d+ s"):
                do(child, operation, *args, timeout=0.05)
        assert child["known"] == 1
    assert do(child, "get", "known") == 1
    assert pair.child.access._asked == {}


@pytest.mark.every_transport
def test_a_main_process_that_is_gone(pair: Pair, do: StoreDoor) -> None:
    """Who waits learns it, and so does who asks later; an iteration ends."""
    child = SharedMemory._of(pair.child.access)
    child["key"] = 1
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            do(child, "get", "other", timeout=60)
        except BaseException as error:
            failed.append(error)

    async def iterate() -> list[Change]:
        return [change async for change in child.watch("key")]

    iterating = threading.Thread(target=lambda: run_async(iterate()))
    iterating.start()
    wait_until(lambda: pair.store._patterns, "it watches")
    with pair.hub.lock:
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: pair.child.access._asked, "it asks")
        pair.port._link._connection.shutdown(2)
        waiting.join(20)
    iterating.join(20)
    assert not iterating.is_alive()
    (error,) = failed
    assert isinstance(error, NotConnected)
    for operation, args in (("get", ("key",)), ("set", ("key", 2)), ("get_all", ())):
        with pytest.raises(NotConnected, match="main process is gone"):
            do(child, operation, *args)
    with pytest.raises(NotConnected), child.lock("lock"):
        pass
    assert SharedMemory._of(pair.main.access)["key"] == 1


def test_the_front_door_leaves_a_context_that_is_replaced(pair: Pair) -> None:
    """What a LiteyukiBot that never ran has in its store is not read beside the next one."""
    newer = Pair()
    try:
        for context in (pair.main, newer.main):
            current.install(context)
            assert shared_memory.get("key") is None
            shared_memory["key"] = 1
            assert shared_memory.get("key") == 1
    finally:
        current.uninstall(newer.main)
        newer.close()
