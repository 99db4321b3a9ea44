"""Law C5 of channels: callbacks.

Order, filters, threads, loops, and what callbacks cost others.

Tests comm/loop/dispatch.py, comm/loop/runner.py, comm/loop/callbacks.py, comm/loop/source.py,
comm/loop/site.py, comm/loop/worker.py.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import Any

import pytest

from liteyuki_core.comm.loop.acknowledgements import AFTER
from tests.conftest import wait_until
from tests.pair import Pair, run_async, send_all


@pytest.fixture
def capacity() -> int:
    """Room for many at once."""
    return 64


def bound_loop(channel: Any) -> asyncio.AbstractEventLoop:
    """Return the loop of a channel's callbacks, once it runs."""
    dispatcher = channel._open().site.dispatcher
    loop: asyncio.AbstractEventLoop = wait_until(lambda: dispatcher._loop)
    return loop


@pytest.mark.every_transport
def test_async_callbacks_start_in_order_on_one_loop(ends: Any) -> None:
    """All start in message order on the core's loop, also when they wait for something."""
    sender, receiver = ends
    got: list[int] = []
    threads: set[str] = set()

    @receiver.on_receive()
    async def callback(data: int) -> None:
        got.append(data)
        threads.add(threading.current_thread().name)
        assert asyncio.current_task() is not None
        if data % 3 == 0:
            await asyncio.sleep(0.001 * (data % 7))

    send_all(sender, range(1000))
    wait_until(lambda: len(got) == 1000)
    assert got == list(range(1000))
    wait_until(
        lambda: sender._open().sending._free == 64, "each message is acknowledged, and only once"
    )
    assert threads == {"liteyuki-callbacks"}


def test_callbacks_that_wait_for_one_another(ends: Any) -> None:
    """In whatever order waiting callbacks come back, messages start in order, acknowledged once."""
    sender, receiver = ends
    got: list[int] = []

    @receiver.on_receive()
    async def callback(data: int) -> None:
        got.append(data)
        loop = asyncio.get_running_loop()
        for _ in range(data * 7 % 5):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future

    send_all(sender, range(2000))
    wait_until(lambda: len(got) == 2000)
    assert got == list(range(2000))
    wait_until(
        lambda: sender._open().sending._free == 64, "each message is acknowledged, and only once"
    )


@pytest.mark.parametrize("capacity", [2, 3, 8, 64])
@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_handled_is_acknowledged_while_another_waits(
    pair: Pair, capacity: int, ordered: bool
) -> None:
    """A callback that waits holds up the acknowledgement of no message before it."""
    sender, receiver = pair.channel(capacity)
    later = asyncio.Event()
    got: list[int] = []

    @receiver.on_receive(ordered=ordered)
    async def callback(data: int) -> None:
        got.append(data)
        if data == capacity - 1:
            await later.wait()

    for i in range(2 * capacity - 1):
        sender.send(i, 10)
    wait_until(lambda: sender._open().sending._free == (0 if ordered else capacity - 1))
    bound_loop(receiver).call_soon_threadsafe(later.set)
    wait_until(lambda: sender._open().sending._free == capacity)
    assert got == list(range(2 * capacity - 1))


def test_callbacks_that_have_waited_are_acknowledged_together(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that end at a time share frames, however long each of them has taken."""
    sender, receiver = pair.channel(64)
    port = pair.child.port
    acknowledge = port.acknowledge
    told: list[Any] = []

    def count(*args: Any) -> None:
        told.append(args)
        acknowledge(*args)

    monkeypatch.setattr(port, "acknowledge", count)
    running: list[int] = []
    release = asyncio.Event()

    @receiver.on_receive()
    async def callback(data: int) -> None:
        await asyncio.sleep(2 * AFTER)
        running.append(data)
        await release.wait()

    send_all(sender, range(64))
    wait_until(lambda: len(running) == 64)
    assert told == []
    bound_loop(receiver).call_soon_threadsafe(release.set)
    wait_until(lambda: sender._open().sending._free == 64)
    assert len(told) <= 8


def test_callbacks_run_beside_each_other(ends: Any) -> None:
    """A callback that waits delays none behind it: all of a full channel are running at once."""
    sender, receiver = ends
    running: list[int] = []
    release = asyncio.Event()

    @receiver.on_receive()
    async def callback(data: int) -> None:
        running.append(data)
        await release.wait()

    send_all(sender, range(64))
    wait_until(lambda: len(running) == 64)
    assert running == list(range(64))
    loop = bound_loop(receiver)
    loop.call_soon_threadsafe(release.set)
    sender.send("more", 10)
    wait_until(lambda: len(running) == 65)


def test_ordered_runs_one_at_a_time(ends: Any) -> None:
    """With ordered=True a callback starts when the one before has ended, sync or async."""
    sender, receiver = ends
    events: list[tuple[str, int]] = []
    sync_events: list[tuple[str, int]] = []

    @receiver.on_receive(ordered=True)
    async def callback(data: int) -> None:
        events.append(("start", data))
        await asyncio.sleep(0)
        events.append(("end", data))

    @receiver.on_receive(ordered=True)
    def sync_callback(data: int) -> None:
        sync_events.append(("start", data))
        sync_events.append(("end", data))

    send_all(sender, range(100))
    expected = [(what, i) for i in range(100) for what in ("start", "end")]
    wait_until(lambda: len(events) == len(sync_events) == 200)
    assert events == expected
    assert sync_events == expected


def test_ordered_beside_unordered(ends: Any) -> None:
    """One ordered callback keeps its order while another runs its messages side by side."""
    sender, receiver = ends
    ordered: list[int] = []
    at_once = 0
    most = 0

    @receiver.on_receive(ordered=True)
    async def one(data: int) -> None:
        await asyncio.sleep(0.001 * (data % 3))
        ordered.append(data)

    @receiver.on_receive()
    async def many(data: int) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.005)
        at_once -= 1

    send_all(sender, range(100))
    wait_until(lambda: len(ordered) == 100)
    assert ordered == list(range(100))
    assert most > 1
    wait_until(
        lambda: sender._open().sending._free == 64, "each message is acknowledged, and only once"
    )


@pytest.mark.every_transport
def test_sync_callbacks_run_in_worker_threads_and_start_in_order(ends: Any) -> None:
    """A sync callback never runs on a loop's thread; calls start in message order."""
    sender, receiver = ends
    started: list[int] = []
    on_loop: list[bool] = []
    names: set[str] = set()

    @receiver.on_receive()
    def callback(data: int) -> None:
        started.append(data)
        names.add(threading.current_thread().name)
        on_loop.append(asyncio._get_running_loop() is not None)
        threading.Event().wait(0.0005)

    send_all(sender, range(300))
    wait_until(lambda: len(on_loop) == 300)
    assert started == list(range(300))
    assert not any(on_loop)
    assert all(name.startswith("liteyuki-worker") for name in names)
    assert len(names) > 1


def test_filters(ends: Any) -> None:
    """Sync and async filters choose, callback by callback, and do not change the order."""
    sender, receiver = ends
    got: dict[str, list[Any]] = {"str": [], "even": [], "all": []}

    @receiver.on_receive(filter_func=lambda data: isinstance(data, str))
    async def strings(data: str) -> None:
        got["str"].append(data)

    async def is_even(data: Any) -> bool:
        await asyncio.sleep(0.0005 if data == 2 else 0)
        return isinstance(data, int) and data % 2 == 0

    @receiver.on_receive(is_even)
    async def even(data: int) -> None:
        got["even"].append(data)

    @receiver.on_receive()
    def everything(data: Any) -> None:
        got["all"].append(data)

    messages = [x for i in range(100) for x in (i, str(i))]
    send_all(sender, messages)
    wait_until(lambda: len(got["all"]) == 200)
    assert got["str"] == [str(i) for i in range(100)]
    assert got["even"] == list(range(0, 100, 2))
    assert got["all"] == messages


def test_raising_callbacks_and_filters_are_logged(pair: Pair, ends: Any) -> None:
    """The log has the channel's name and the traceback; the channel lives on; room comes back."""
    sender, receiver = ends
    got: list[Any] = []

    def picky(data: Any) -> bool:
        if data == 1:
            raise ValueError("filter trouble")
        return True

    @receiver.on_receive(picky)
    async def callback(data: Any) -> None:
        if data == 2:
            raise KeyError("async trouble")
        got.append(data)

    @receiver.on_receive(picky)
    def sync_callback(data: Any) -> None:
        if data == 3:
            raise StopIteration("sync trouble")

    send_all(sender, range(200))
    wait_until(lambda: len(got) == 198)
    for words in (
        ("filter", "picky", "filter trouble"),
        ("callback", "async trouble", "Traceback"),
        ("sync trouble",),
    ):
        pair.logged("ERROR", "channel channel-1", *words)


def test_a_callback_that_cancels_its_task_costs_only_itself(pair: Pair, ends: Any) -> None:
    """The message counts as handled, a warning names the channel, the rest goes on."""
    sender, receiver = ends
    got: list[int] = []

    @receiver.on_receive()
    async def callback(data: int) -> None:
        if data % 50 == 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        got.append(data)

    send_all(sender, range(500))
    wait_until(lambda: len(got) == 490)
    pair.logged("WARNING", "channel-1", "cancelled")


def test_a_blocking_callback_delays_no_other_channel(pair: Pair) -> None:
    """While sync callbacks of one channel fill its threads, those of another run."""
    slow, slow_end = pair.channel(64)
    quick, quick_end = pair.channel(4)
    release = threading.Event()
    got: list[int] = []
    stuck: list[int] = []

    @slow_end.on_receive()
    def blocks(data: int) -> None:
        stuck.append(data)
        release.wait(10)

    @quick_end.on_receive()
    def passes(data: int) -> None:
        got.append(data)

    for i in range(64):
        slow.send(i, 5)
    wait_until(lambda: len(stuck) >= 32)
    for i in range(20):
        quick.send(i, 5)
    wait_until(lambda: len(got) == 20)
    assert not release.is_set()
    release.set()
    wait_until(lambda: len(stuck) == 64)


def test_a_blocked_loop_delays_no_receive(pair: Pair) -> None:
    """While a callback blocks the loop itself, another channel's receive and sends go on."""
    blocked, blocked_end = pair.channel(4)
    free, free_end = pair.channel(4)
    release = threading.Event()
    inside = threading.Event()

    @blocked_end.on_receive()
    async def blocks(data: int) -> None:
        inside.set()
        release.wait(10)

    blocked.send(1)
    assert inside.wait(10)
    for i in range(20):
        free.send(i, 5)
        assert free_end.receive(5) == i
        free_end.send(-i, 5)
        assert free.receive(5) == -i
    release.set()


@pytest.mark.every_transport
def test_a_blocked_loop_that_reads_delays_no_receive(pair: Pair) -> None:
    """Also a loop that has been lent the reading of its link, where it can be, may block."""
    echo, echo_end = pair.channel(64)
    free, free_end = pair.channel(4)
    reader = pair.port._link._reader
    release, inside = threading.Event(), threading.Event()

    @echo_end.on_receive()
    async def callback(data: Any) -> None:
        if data == "block":
            inside.set()
            release.wait(20)
        await echo_end.async_send(data)

    def is_lent() -> bool:
        for i in range(50):
            echo.send(i, 10)
            assert echo.receive(10) == i
        return reader._loan is not None or not reader.lendable

    wait_until(is_lent)
    echo.send("block", 10)
    assert inside.wait(10)
    for i in range(20):
        free.send(i, 5)
        assert free_end.receive(5) == i
        free_end.send(-i, 5)
        assert free.receive(5) == -i
    release.set()
    assert echo.receive(10) == "block"


@pytest.mark.every_transport
def test_messages_before_the_loop_are_kept(pair: Pair) -> None:
    """Where another loop will be bound, messages wait for it and run there, in order."""
    ours, theirs = pair.channel(32)
    pair.child.dispatcher.use_other_loop()
    got: list[int] = []
    threads: set[int] = set()

    @theirs.on_receive()
    async def callback(data: int) -> None:
        got.append(data)
        threads.add(threading.get_ident())

    send_all(ours, range(32))
    wait_until(lambda: sum(b.count for b in theirs._open().receiving._inbox) == 32)
    assert got == []

    async def serve() -> None:
        pair.child.dispatcher.bind(asyncio.get_running_loop())
        while len(got) < 32:
            await asyncio.sleep(0.001)
        pair.child.dispatcher.unbind()

    asyncio.run(asyncio.wait_for(serve(), 10))
    assert got == list(range(32))
    assert threads == {threading.get_ident()}


def test_a_flood_leaves_the_loop_its_turns(ends: Any) -> None:
    """While messages pour in, other work of the loop goes on."""
    sender, receiver = ends
    got: list[int] = []
    turns: list[int] = []

    @receiver.on_receive()
    async def callback(data: int) -> None:
        got.append(data)

    loop = bound_loop(receiver)

    def turn() -> None:
        turns.append(len(got))
        if len(got) < 5000:
            loop.call_soon(turn)

    loop.call_soon_threadsafe(turn)
    send_all(sender, range(5000))
    wait_until(lambda: len(got) == 5000)
    assert len(set(turns)) > 5000 / 256 / 2


_variable: ContextVar[Any] = ContextVar("test_variable", default=None)


def test_context_variables_are_a_callbacks_own(ends: Any) -> None:
    """What a callback sets, no other message's callback finds, whatever compares to what."""
    sender, receiver = ends
    found: list[Any] = []

    class Uncomparable:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    @receiver.on_receive()
    async def callback(data: int) -> None:
        found.append(_variable.get())
        _variable.set(Uncomparable() if data % 2 else data)
        if data % 3 == 0:
            await asyncio.sleep(0)

    send_all(sender, range(200))
    wait_until(lambda: len(found) == 200)
    assert found == [None] * 200


def test_context_variables_of_a_filter_stay_with_its_message(ends: Any) -> None:
    """A callback finds what its filter set, and none of what other messages' filters set."""
    sender, receiver = ends
    found: list[tuple[Any, Any, int]] = []

    async def choose(data: int) -> bool:
        before = _variable.get()
        await asyncio.sleep(0)
        _variable.set(data)
        found.append((before, None, data))
        return True

    @receiver.on_receive(choose)
    async def callback(data: int) -> None:
        found.append((None, _variable.get(), data))

    send_all(sender, range(100))
    wait_until(lambda: len(found) == 200)
    assert [before for before, _, _ in found] == [None] * 200
    assert all(inside in (None, data) for _, inside, data in found)
    assert sum(inside is not None for _, inside, _ in found) == 100


def test_callbacks_go_on_where_another_loop_is_bound(pair: Pair) -> None:
    """A loop that ended at once when it was unbound holds up nothing on the next one."""
    ours, theirs = pair.channel(8)
    dispatcher = pair.child.dispatcher
    dispatcher.use_other_loop()
    got: list[int] = []

    @theirs.on_receive(ordered=True)
    async def callback(data: int) -> None:
        got.append(data)

    async def serve(count: int) -> None:
        dispatcher.bind(asyncio.get_running_loop())
        deadline = time.monotonic() + 10
        while len(got) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        dispatcher.unbind()

    for turn in range(1, 4):
        ours.send(turn)
        run_async(serve(turn))
    assert got == [1, 2, 3]
    wait_until(lambda: ours._open().sending._free == 8)


def test_a_closed_end_leaves_no_task(ends: Any) -> None:
    """Closing an end whose callbacks have nothing to do ends the task that waits for more."""
    sender, receiver = ends
    got: list[int] = []

    @receiver.on_receive()
    async def callback(data: int) -> None:
        got.append(data)

    sender.send(1)
    wait_until(lambda: got == [1])
    loop = bound_loop(receiver)
    before = asyncio.all_tasks(loop)
    assert before
    receiver.close()
    wait_until(lambda: not asyncio.all_tasks(loop))


@pytest.mark.parametrize("count", [1, 10])
def test_draining_waits_for_what_is_handled_and_for_nothing_else(ends: Any, count: int) -> None:
    """It ends when the last callback has, though more messages could come."""
    sender, receiver = ends
    release = threading.Event()
    ended: list[int] = []

    @receiver.on_receive()
    async def callback(data: int) -> None:
        while not release.is_set():
            await asyncio.sleep(0.001)
        ended.append(data)

    send_all(sender, range(count))
    loop = bound_loop(receiver)
    dispatcher = receiver._open().site.dispatcher
    wait_until(lambda: len(asyncio.all_tasks(loop)) == count)
    draining = asyncio.run_coroutine_threadsafe(dispatcher.drain(600), loop)
    release.set()
    draining.result(20)
    assert sorted(ended) == list(range(count))


def test_callback_arguments_are_checked(ends: Any) -> None:
    """What can't be called is refused where it is written."""
    _, receiver = ends
    with pytest.raises(TypeError, match="filter_func"):
        receiver.on_receive("text")
    with pytest.raises(TypeError, match="callback"):
        receiver.on_receive()("text")


def test_a_loop_that_ends_while_its_callbacks_are_waited_for(pair: Pair) -> None:
    """What its end has broken off stays so: a pump that ends later looks for no other loop."""
    sender, receiver = pair.channel(64)
    got: list[Any] = []

    @receiver.on_receive()
    async def callback(data: Any) -> None:
        got.append(data)

    sender.send("first")
    wait_until(lambda: got)
    dispatcher = receiver._open().site.dispatcher
    drain = dispatcher.drain

    async def drain_and_end(timeout: float, *, begun: bool = False) -> None:
        await drain(timeout, begun=begun)
        dispatcher.unbind()

    dispatcher.drain = drain_and_end
    assert dispatcher.finish(10), "all has ended before that"
    assert dispatcher.stopping
