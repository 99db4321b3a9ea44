"""Law C8 of channels: each thread or task that receives acknowledges its own messages only.

Tests comm/loop/receiver.py, comm/loop/waiter.py, comm/ends/handed.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from liteyuki_core import ChannelClosed
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.loop.worker import Threads
from liteyuki_core.errors import ChannelTimeout
from tests.conftest import wait_until
from tests.pair import Pair, Unbuildable, run_async


def unacknowledged(channel: Channel[Any]) -> int:
    """Return how many messages sent from an end nobody has acknowledged yet."""
    stats = channel.stats()
    return stats["sent"] - stats["acknowledged"]


def again(pair: Pair, ours: Channel[Any], count: int) -> list[Any]:
    """Kill the child; return what its successor gets."""
    pair.kill_child()
    name = str(ours.name)
    wait_until(lambda: name in pair.port.names())
    theirs = Channel._of(pair.child.get(name))
    got = [theirs.receive(10) for _ in range(count)]
    with pytest.raises(ChannelTimeout):
        theirs.receive(0.01)
    return got


class Threaded:
    """Receivers that are threads. Each takes one message when it is told to."""

    def __init__(self, channel: Channel[Any], count: int) -> None:
        self._go = [threading.Semaphore(0) for _ in range(count)]
        self.got: list[tuple[int, Any]] = []
        self._threads = [
            threading.Thread(target=self._serve, args=(channel, i), daemon=True)
            for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _serve(self, channel: Channel[Any], i: int) -> None:
        while True:
            self._go[i].acquire()
            try:
                self.got.append((i, channel.receive(10)))
            except Exception:
                return

    def take(self, i: int) -> None:
        """Have one ask, and wait until it got something."""
        before = len(self.got)
        self.ask(i)
        wait_until(lambda: len(self.got) > before)

    def ask(self, i: int) -> None:
        """Have one ask."""
        self._go[i].release()

    def close(self) -> None:
        """End them."""
        for go in self._go:
            go.release()
        for thread in self._threads:
            thread.join(10)


class Tasked(Threaded):
    """Receivers that are tasks of one loop."""

    def __init__(self, channel: Channel[Any], count: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._asked = [asyncio.Semaphore(0) for _ in range(count)]
        self.got = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks = [
            asyncio.run_coroutine_threadsafe(self._receive(channel, i), self._loop)
            for i in range(count)
        ]

    async def _receive(self, channel: Channel[Any], i: int) -> None:
        while True:
            await self._asked[i].acquire()
            try:
                # Up to Python 3.11 this has the receive awaited by a task of its own.
                self.got.append((i, await asyncio.wait_for(channel.async_receive(), 10)))
            except Exception:
                return

    def ask(self, i: int) -> None:
        """Have one ask."""
        self._loop.call_soon_threadsafe(self._asked[i].release)

    def close(self) -> None:
        """End them."""
        for i in range(len(self._asked)):
            self.ask(i)
        for task in self._tasks:
            task.result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.mark.every_transport
@pytest.mark.parametrize("kind", [Threaded, Tasked], ids=["threads", "tasks"])
def test_each_acknowledges_its_own(pair: Pair, kind: type[Threaded]) -> None:
    """One asks again and again; what the others have in hand stays theirs, also after a kill."""
    ours, theirs = pair.channel(64)
    receivers = kind(theirs, 3)
    for number in range(6):
        ours.send(number)
    for i in (0, 1, 2, 2, 2):
        receivers.take(i)
    assert receivers.got == [(0, 0), (1, 1), (2, 2), (2, 3), (2, 4)]
    wait_until(lambda: unacknowledged(ours) == 4)
    assert again(pair, ours, 4) == [0, 1, 4, 5]
    receivers.close()


def test_a_receiver_that_ends_has_handled_what_it_got(pair: Pair) -> None:
    """Whether it is a thread, a task or a call in a worker thread."""
    ours, theirs = pair.channel(1)
    for number in range(20):
        ours.send(number, 10)
        if number % 3 == 0:
            thread = threading.Thread(target=lambda: theirs.receive(10))
            thread.start()
            thread.join(10)
        elif number % 3 == 1:

            async def task() -> None:
                await theirs.async_receive(10)

            run_async(task())
        else:
            threads = Threads()

            async def call(threads: Threads = threads) -> None:
                await threads.run(lambda: theirs.receive(10))

            run_async(call())
            threads.close()
        wait_until(lambda: unacknowledged(ours) == 0)


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_what_a_broken_task_had_is_acknowledged_by_the_next(pair: Pair, how: str) -> None:
    """Not before: the process may be about to end, and then it was not handled."""
    ours, theirs = pair.channel(8)
    ours.send("in hand")

    async def main() -> None:
        async def work() -> None:
            await theirs.async_receive(10)
            if how == "failed":
                raise ZeroDivisionError
            await asyncio.sleep(60)

        task = asyncio.ensure_future(work())
        while not theirs._open().receiving.handed.numbers and not task.done():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or isinstance(task.exception(), ZeroDivisionError)

    run_async(main())
    assert unacknowledged(ours) == 1
    with pytest.raises(ChannelTimeout):
        theirs.receive(0.001)
    wait_until(lambda: unacknowledged(ours) == 0)


def test_an_error_of_a_task_is_still_said_to_be_lost(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """To look at how a task has ended is not to deal with what it has raised."""
    ours, theirs = pair.channel(8)
    ours.send(1)
    said: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, found: said.append(found))

        async def work() -> None:
            await theirs.async_receive(10)
            raise ZeroDivisionError

        task = asyncio.ensure_future(work())
        await asyncio.wait({task})
        del task

    run_async(main())
    wait_until(lambda: said)
    assert isinstance(said[0]["exception"], ZeroDivisionError)


Ask = Callable[[Channel[Any]], Any]


async def by_executor(channel: Channel[Any]) -> Any:
    """Have a pool's thread receive."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, channel.receive, 10)


async def by_to_thread(channel: Channel[Any]) -> Any:
    """The same, with the context of the caller."""
    return await asyncio.to_thread(channel.receive, 10)


@pytest.mark.parametrize("ask", [by_executor, by_to_thread])
def test_a_pool_may_receive_one_at_a_time(pair: Pair, ask: Ask) -> None:
    """Whatever thread it takes: one that is idle has left what it received."""
    ours, theirs = pair.channel(1)

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(4))
        got = []
        for number in range(24):
            busy = [loop.run_in_executor(None, threading.Event().wait, 0.002) for _ in range(2)]
            asking = asyncio.ensure_future(ask(theirs))
            await asyncio.gather(*busy)
            await ours.async_send(number, 10)
            got.append(await asking)
        return got

    assert run_async(main()) == list(range(24))


def test_a_loop_in_a_pools_thread_keeps_its_own(pair: Pair) -> None:
    """It is busy as long as the caller's code is on its stack."""
    ours, theirs = pair.channel(8)
    go = [threading.Semaphore(0) for _ in range(2)]
    got: list[tuple[int, Any]] = []

    def serve(i: int) -> None:
        while True:
            go[i].acquire()
            try:
                got.append((i, theirs.receive(10)))
            except ChannelClosed:
                return

    with ThreadPoolExecutor(2) as pool:
        for i in range(2):
            pool.submit(serve, i)
        ours.send("first")
        go[0].release()
        wait_until(lambda: got == [(0, "first")])
        go[1].release()
        wait_until(lambda: theirs._open().receiving.receivers)
        ours.send("second")
        wait_until(lambda: len(got) == 2)
        go[1].release()
        wait_until(lambda: theirs._open().receiving.receivers)
        wait_until(lambda: unacknowledged(ours) == 1)
        assert theirs._open().receiving.handed.numbers
        ours.close()
        for each in go:
            each.release()


def test_a_thread_that_runs_a_loop_asks_by_what_runs_there(pair: Pair) -> None:
    """What it has received itself before is handled by then."""
    ours, theirs = pair.channel(1)
    ours.send("settings")
    assert theirs.receive(10) == "settings"
    sending = threading.Thread(target=lambda: ours.send("first", 10))
    sending.start()

    async def main() -> Any:
        return await anext(aiter(theirs))

    assert run_async(main()) == "first"
    sending.join(10)


def test_a_timeout_is_said_as_it_was_given(pair: Pair) -> None:
    """Also where a message that could not be rebuilt has taken some of the time."""
    ours, theirs = pair.channel(8)
    ours.send(Unbuildable())
    with pytest.raises(ChannelTimeout, match=r"within 0\.2 s"):
        theirs.receive(0.2)
    ours.send(Unbuildable())
    with pytest.raises(ChannelTimeout, match=r"within 0\.2 s"):
        run_async(theirs.async_receive(0.2))


# ------------------------------------------------------------- loops that are stopped


def test_what_is_sent_in_a_loops_last_turn_leaves(pair: Pair) -> None:
    """Nobody has to send again, or to end the process, for it to arrive."""
    ours, theirs = pair.channel(64)
    loop = asyncio.new_event_loop()

    def send() -> None:
        for number in range(10):
            ours.send(number)
        loop.stop()

    for _ in range(3):
        loop.call_soon(send)
        loop.run_forever()
        assert [theirs.receive(10) for _ in range(10)] == list(range(10))
    loop.close()
