"""Law C8 of channels: several holders of a side.

Who is given a message, and who keeps none.

Tests comm/hub/side.py, comm/hub/reminder.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from liteyuki_core import ChannelClosed
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.hub.side import Holder, Side
from liteyuki_core.comm.select import async_select, select
from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.errors import ChannelEmpty, ChannelTimeout
from tests.conftest import wait_until
from tests.pair import Door, Pair, in_thread, run_async
from tests.wire import batch


def got_by(context: Context, name: str) -> Channel[Any]:
    """Return a process's end of a channel, once it knows the name."""
    wait_until(lambda: name in context.port.names(), f"{name} is known")
    return Channel._of(context.get(name))


def shared_by(pair: Pair, *names: str, capacity: int = 64) -> list[Channel[Any]]:
    """Return the maker's end of a channel and those of processes that have all received."""
    ours, _ = pair.channel(capacity)
    contexts = [pair.another(name) for name in names]
    others = [got_by(context, str(ours.name)) for context in contexts]
    for other in others:
        with pytest.raises(ChannelTimeout):
            other.receive(0.001)
    side = pair.hub.table.by_name[str(ours.name)].sides[1]
    wait_until(lambda: len([h for h in side.holders.values() if h.period]) == len(others))
    for context in contexts:  # An answer comes after all that was said before the question.
        SharedMemory._of(context.access).get("key")
    wait_until(lambda: all(h.free == 0 for h in side.holders.values() if h.ready))
    return [ours, *others]


# ------------------------------------------------------------- who only sends


Take = Callable[[Channel[Any], int], list[Any]]


def by_receive(channel: Channel[Any], count: int) -> list[Any]:
    """Receive."""
    return [channel.receive(10) for _ in range(count)]


def by_async_select(channel: Channel[Any], count: int) -> list[Any]:
    """Select from it alone."""

    async def take() -> list[Any]:
        got: list[Any] = []
        async for _, data in async_select(channel, timeout=10):
            got.append(data)
            if len(got) == count:
                break
        return got

    return run_async(take())  # type: ignore[no-any-return]


def by_callback(**how: Any) -> Take:
    """Have a callback get them."""

    def take(channel: Channel[Any], count: int) -> list[Any]:
        got: list[Any] = []

        async def callback(data: Any) -> None:
            got.append(data)

        channel.on_receive(**how)(callback)
        wait_until(lambda: len(got) >= count)
        return got

    return take


@pytest.mark.parametrize(
    "take",
    [by_receive, by_async_select, by_callback(ordered=True), by_callback(concurrency=2)],
    ids=["receive", "async_select", "ordered", "concurrency"],
)
@pytest.mark.parametrize("before", [True, False], ids=["main reads first", "main reads later"])
def test_who_only_sends_takes_nothing(pair: Pair, take: Take, before: bool) -> None:
    """A child that has sent to another child, and lives on, holds main's side but reads nothing."""
    ours = Channel._of(pair.main.get("w-active"))
    theirs = Channel._of(pair.child.get("w-active"))
    if before:
        theirs.send("first")
    other = got_by(pair.another("other"), "w-active")
    other.send("go")
    assert theirs.receive(10) == "go"
    for number in range(100):
        theirs.send(number)
    expected = (["first"] if before else []) + list(range(100))
    assert take(ours, len(expected)) == expected


# ------------------------------------------------------------- closing


def test_closing_reaches_every_holder(pair: Pair, door: Door) -> None:
    """Each loop over the channel ends when what was sent before is handled."""
    ours, *workers = shared_by(pair, "a", "b", "c")
    got: dict[int, list[int]] = {}
    threads = []
    for i, worker in enumerate(workers):

        def work(i: int = i, worker: Channel[Any] = worker) -> None:
            got[i] = door.drain(worker)

        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
    for number in range(50):
        ours.send(number)
    ours.close()
    for thread in threads:
        thread.join(10)
    assert not [thread for thread in threads if thread.is_alive()]
    assert sorted(number for numbers in got.values() for number in numbers) == list(range(50))


def test_what_was_sent_before_the_close_is_left_to_others(pair: Pair, door: Door) -> None:
    """Who has a message in hand when the channel is closed, and dies, leaves it to another."""
    ours, theirs = pair.channel()
    other = got_by(pair.another("other"), str(ours.name))
    ours.send("in hand")
    assert door.receive(theirs) == "in hand"
    rest: list[Any] = []
    thread = threading.Thread(target=lambda: rest.append(door.drain(other)), daemon=True)
    thread.start()
    ours.close()
    pair.kill_child()
    thread.join(10)
    assert rest == [["in hand"]]


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_was_sent_before_the_close_is_left_to_a_successor(
    pair: Pair, door: Door, how: str
) -> None:
    """The name leads to the channel until everything is handled, then it is free."""
    ours, theirs = pair.channel()
    name = str(ours.name)
    for number in range(10):
        ours.send(number)
    assert [door.receive(theirs) for _ in range(3)] == [0, 1, 2]
    ours.close()
    if how == "killed":
        pair.kill_child()
    else:
        pair.peer.clean = True
        pair.kill_child(clean=True)
    successor = got_by(pair.child, name)
    assert door.drain(successor) in (list(range(i, 10)) for i in range(3))
    wait_until(lambda: name not in pair.hub.table.by_name, "the name is free")
    fresh = Channel._of(pair.main.make(name, 8))
    pair.main.register(name, fresh._open())
    assert not [line for line in pair.log if "not acknowledged" in line]


# ------------------------------------------------------------- asking


def timed_out(channel: Channel[Any]) -> None:
    """Ask, and give up."""
    with pytest.raises(ChannelTimeout):
        channel.receive(0.001)


def found_nothing(channel: Channel[Any]) -> None:
    """Look once."""
    with pytest.raises(ChannelEmpty):
        channel.receive_nowait()


def was_cancelled(channel: Channel[Any]) -> None:
    """Ask in a task that is cancelled."""

    async def main() -> None:
        task = asyncio.ensure_future(channel.async_receive())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            pytest.fail("it got one before that")

    run_async(main())


def selected(channel: Channel[Any]) -> None:
    """Select from it and another, and give up."""
    job = Channel._of(channel._open()._ends.make(None, 4))
    for _ in range(2):
        with pytest.raises(ChannelTimeout):
            next(select(channel, job, timeout=0.001))


@pytest.mark.parametrize("stop", [timed_out, found_nothing, was_cancelled, selected])
@pytest.mark.parametrize("first", [True, False], ids=["before it is sent", "after"])
def test_who_stops_asking_keeps_nothing(
    pair: Pair, door: Door, stop: Callable[[Channel[Any]], None], first: bool
) -> None:
    """What is sent goes to the other, who asks, however often the first had asked in vain."""
    ours, idle, busy = shared_by(pair, "idle", "busy")
    for number in range(10):
        if first:
            stop(idle)
            door.send(ours, number)
        else:
            door.send(ours, number)
            try:
                stop(idle)
            except pytest.fail.Exception:
                continue  # It was quick enough to get it.
        assert door.receive(busy) == number


@pytest.mark.one_hub
def test_who_looks_now_and_then_gets_what_nobody_else_wants(pair: Pair) -> None:
    """What waits comes for the next look; where another asks meanwhile, it is that one's."""
    ours, looks, asks = shared_by(pair, "looks", "asks")
    ours.send("for whoever looks")

    def look() -> Any:
        try:
            return looks.receive_nowait()
        except ChannelEmpty:
            return None

    assert wait_until(look) == "for whoever looks"
    for number in range(20):
        ours.send(number)
        if look() is None:
            wait_until(lambda: looks._open().receiving._inbox)
            assert asks.receive(10) == number


def test_one_that_handles_callbacks_gives_back_what_waits(pair: Pair) -> None:
    """A second process takes its share of what was given to the first while it was alone."""
    ours, theirs = pair.channel(64)
    hold, begun = threading.Event(), []

    def slow(number: int) -> None:
        begun.append(number)
        hold.wait(20)

    theirs.on_receive(ordered=True)(slow)
    for number in range(20):
        ours.send(number)
    wait_until(lambda: begun == [0])
    other = got_by(pair.another("other"), str(ours.name))
    assert [other.receive(10) for _ in range(18)] == list(range(1, 19))
    ours.close()
    hold.set()
    rest = list(other)
    wait_until(lambda: sorted([*begun, *rest]) == [0, 19], "one of them handles the last")


@pytest.mark.one_hub
def test_what_was_taken_together_comes_back_in_order(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of it is with the callbacks already, whose loop gives it back when it runs."""
    monkeypatch.setattr("liteyuki_core.comm.hub.side._PATIENCE", 20)
    ours, theirs = pair.channel()
    hold, begun = threading.Event(), []
    receiving = theirs._open().receiving

    def slow(number: int) -> None:
        if receiving._runner.backlog() or begun:
            begun.append(number)
            hold.wait(20)

    async def send(numbers: range) -> None:
        for number in numbers:
            await ours.async_send(number)

    theirs.on_receive(ordered=True)(slow)
    run_async(send(range(500)))
    wait_until(lambda: begun, "it has the first of several")
    run_async(send(range(500, 510)))
    wait_until(lambda: sum(receiving.counted()) == 510, "all came")
    go_on, came = threading.Event(), []
    bound = pair.child.dispatcher.bound
    assert bound is not None
    bound[0].call_soon_threadsafe(go_on.wait, 20)
    other = got_by(pair.another("other"), str(ours.name))
    rest = range(begun[0] + 1, 509)
    receiver = in_thread(lambda: [came.append(other.receive(10)) for _ in rest])
    side = pair.hub.table.by_name[str(ours.name)].sides[1]
    wait_until(lambda: side.waiting, "what the callbacks do not have is back")
    go_on.set()
    receiver.join()
    assert came == list(rest)
    hold.set()


def test_a_successor_takes_what_a_busy_one_has_no_use_for(pair: Pair, door: Door) -> None:
    """One of two is killed: its message waits for whoever asks first, not for the busy other."""
    ours, theirs = pair.channel(64)
    busy = got_by(pair.another("busy"), str(ours.name))
    for channel in (theirs, busy):
        timed_out(channel)
    door.send(ours, "long")
    assert door.receive(busy) == "long"
    door.send(ours, "short")
    assert door.receive(theirs) == "short"
    pair.kill_child()
    assert door.receive(got_by(pair.child, str(ours.name))) == "short"


def test_many_ask_and_stop_asking_and_nothing_is_lost(pair: Pair) -> None:
    """Threads and tasks of three processes ask for moments only; each message comes once."""
    ours, *others = shared_by(pair, "a", "b", "c")
    got: list[int] = []
    done = threading.Event()

    def briefly(channel: Channel[Any]) -> None:
        while not done.is_set():
            try:
                got.append(channel.receive(0.0003))
            except ChannelTimeout:
                pass

    async def cancelled(channel: Channel[Any]) -> None:
        while not done.is_set():
            task = asyncio.ensure_future(channel.async_receive())
            await asyncio.wait({task}, timeout=0.0003)
            task.cancel()
            try:
                got.append(await task)
            except asyncio.CancelledError:
                pass

    def looks(channel: Channel[Any]) -> None:
        while not done.wait(0.0005):
            try:
                got.append(channel.receive_nowait())
            except ChannelEmpty:
                pass

    threads = [
        threading.Thread(target=work, args=(channel,), daemon=True)
        for channel in others
        for work in (briefly, lambda channel: run_async(cancelled(channel)), looks)
    ]
    for thread in threads:
        thread.start()
    for number in range(500):
        ours.send(number, 20)
    wait_until(lambda: len(got) >= 500)
    done.set()
    for thread in threads:
        thread.join(20)
    assert sorted(got) == list(range(500))
    ours.close()
    for other in others:
        with pytest.raises(ChannelClosed):
            other.receive(10)


# ------------------------------------------------------------- custody


class _Lookups(dict[int, Any]):
    """Counts how often it is looked at."""

    count = 0

    def get(self, *args: Any) -> Any:
        self.count += 1
        return super().get(*args)

    def items(self) -> Any:
        self.count += len(self)
        return super().items()


class _Told:
    """A peer that keeps what the side tells it."""

    process: str | None = None
    serves_since = 0.0

    def __init__(self) -> None:
        self.periods: list[int] = []
        self.given: list[int] = []

    def shared(self, number: int, period: int, requests: bool) -> None:
        self.periods.append(period)

    def deliver(self, number: int, batch: Any) -> None:
        self.given.append(batch.first)

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def test_who_looks_gets_what_another_has_stopped_asking_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One asked, gave up, and was given a message meanwhile: in a moment it is whoever's looks."""
    monkeypatch.setattr("liteyuki_core.comm.hub.side._SURPLUS_SECONDS", 0.0)
    side = Side(None)
    asked, looks = _Told(), _Told()
    peers: list[Any] = [asked, looks]
    for peer in peers:
        holder = side.holders[peer] = Holder(peer, 1, False)
        side.receives(holder, 1, True)
    first, second = (side.holders[peer] for peer in peers)
    for told, holder in ((asked, first), (looks, second)):
        side.take_back(holder, told.periods[-1], [])
    side.ask_for(first, asked.periods[-1], 1)
    side.add(batch(["late"], 0), peers[0], 1)
    assert asked.given == [0]
    side.ask_for(first, asked.periods[-1], -1)
    side.ask_for(second, looks.periods[-1], 0)
    side.take_back(first, asked.periods[-1], [(0, 1)])  # It was called back.
    side.ask_for(second, looks.periods[-1], 0)
    assert looks.given == [0]


def test_to_settle_one_of_many_looks_at_few() -> None:
    """However many messages are under way, an acknowledgement costs the same."""

    class Quiet:
        def __getattr__(self, name: str) -> Any:
            return lambda *args: None

    side = Side(None)
    peer: Any = Quiet()
    holder = side.holders[peer] = Holder(peer, 1, True)
    side.sent = seen = _Lookups()
    for number in range(10_000):
        side.add(batch([number] * 2, 2 * number), peer, 1)
    for number in range(19_999, 0, -2):  # The second of each two, and backwards.
        before = seen.count
        assert side.settle(holder, [(number, 1)])
        assert seen.count - before < 10
    assert not side.settle(holder, [(1, 1)])
    assert not side.settle(holder, [(30_000, 1 << 31)])
    assert side.settle(holder, [(0, 1)])
    assert not side.settle(holder, [(0, 1)])
    assert side.under_way == 9_999


def test_a_dead_letter_names_all_that_died_with_it(pair: Pair, door: Door) -> None:
    """Of several processes that share a channel, one after another."""
    ours, _ = pair.channel(8)
    name = str(ours.name)
    other = got_by(pair.another("other"), name)
    door.send(ours, "poison")
    for _ in range(2):
        assert door.receive(got_by(pair.child, name)) == "poison"
        pair.kill_child()
    assert door.receive(other) == "poison"
    pair.lose("other")
    wait_until(pair.hub.dead_letters)
    (letter,) = pair.hub.dead_letters()
    assert (letter.process, letter.crashes) == ("w, other", 3)
    pair.logged("ERROR", "3 crashes of process w, other in a row")


@pytest.mark.one_hub
def test_to_get_one_channel_of_many_asks_for_that_one(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of all names is not made for it."""
    monkeypatch.setattr(pair.hub.table, "names", lambda: pytest.fail("all names are listed"))
    assert pair.main.get("w-active").name == "w-active"
    channel = Channel._of(pair.main.make("one", 1))
    pair.main.register("one", channel._open())
    assert pair.main.get("one") is channel._open()
