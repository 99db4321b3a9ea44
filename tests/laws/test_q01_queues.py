"""Law Q1 of queues: each message goes to exactly one receiver that has room.

In the order of each sender, at least once across a crash, whoever has made the queue. Laws C2 to
C6, C8 and C10 to C12 hold as for channels.

Tests comm/queue.py, comm/hub/route.py, comm/hub/hub.py.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest

from liteyuki_core import (
    ChannelBroken,
    ChannelClosed,
    ChannelExists,
    ChannelFull,
    ChannelModeError,
    ChannelNotFound,
    ChannelTimeout,
    ChannelTypeError,
)
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.queue import Queue
from liteyuki_core.comm.select import select
from tests.asking import Ask, nothing_is_under_way
from tests.conftest import wait_until
from tests.pair import Door, Pair, in_thread, run_async


def queue_of(context: Context, name: str = "jobs", capacity: int | None = 64) -> Queue[Any]:
    """Return a process's handle, which makes the queue unless `capacity` is None."""
    handle = Queue._of(context.queue(name, capacity))
    assert isinstance(handle, Queue)
    return handle


@pytest.fixture
def others(pair: Pair) -> list[Context]:
    """Two more children."""
    return [pair.another("u"), pair.another("v")]


@pytest.mark.every_transport
def test_any_process_sends_and_any_receives(pair: Pair, others: list[Context], door: Door) -> None:
    """Main, whoever has made it and other children alike, also to themselves."""
    handles = [queue_of(context) for context in (others[0], pair.main, pair.child)]
    for sender in handles:
        for receiver in handles:
            door.send(sender, "x")
            assert door.receive(receiver) == "x"


def test_each_message_goes_to_one_in_the_senders_order(
    pair: Pair, others: list[Context], door: Door
) -> None:
    """Several senders, several receivers of every kind at a time."""
    contexts = [pair.main, pair.child, *others]
    got: list[list[int]] = []
    lock = threading.Lock()

    def note(data: list[int]) -> None:
        with lock:
            got.append(data)

    queue_of(pair.main).on_receive(ordered=True)(note)
    queue_of(others[0]).on_receive()(note)
    threads = []
    for context in (pair.child, others[1]):
        handle = queue_of(context)

        def receive(handle: Queue[Any] = handle) -> None:
            for data in handle:
                note(data)

        threads.append(in_thread(receive))
    senders = []
    for number, context in enumerate(contexts):
        handle = queue_of(context)

        def send(handle: Queue[Any] = handle, number: int = number) -> None:
            for each in range(200):
                door.send(handle, [number, each], 20)

        senders.append(in_thread(send))
    for thread in senders:
        thread.join(30)
    wait_until(lambda: len(got) == 800)
    assert sorted(got) == [[n, each] for n in range(4) for each in range(200)]
    queue_of(pair.main).close()
    for thread in threads:
        thread.join(10)


def test_one_receiver_gets_each_senders_messages_in_order(pair: Pair, door: Door) -> None:
    """As they were sent."""
    receiver, sender, mine = queue_of(pair.child), queue_of(pair.main), queue_of(pair.child)
    for each in range(20):
        sender.send(["main", each])
        mine.send(["child", each])
    got = [door.receive(receiver) for _ in range(40)]
    for name in ("main", "child"):
        assert [data for data in got if data[0] == name] == [[name, each] for each in range(20)]


def test_a_busy_receiver_keeps_nothing_from_others(pair: Pair, others: list[Context]) -> None:
    """What comes while it handles a long job goes to one that asks."""
    sender = queue_of(pair.main)
    let_go = threading.Event()
    begun: list[Any] = []

    @queue_of(pair.child).on_receive(concurrency=1)
    def busy(data: int) -> None:
        begun.append(data)
        let_go.wait(20)

    sender.send(0)
    wait_until(lambda: begun == [0])
    free = queue_of(others[0])
    for number in range(1, 6):
        sender.send(number)
        assert free.receive(10) == number
    let_go.set()


def test_what_a_dead_receiver_had_goes_to_another(pair: Pair, others: list[Context]) -> None:
    """And what nobody has received waits for whoever comes."""
    sender = queue_of(others[0])
    for number in range(5):
        sender.send(number)
    first = queue_of(pair.child)
    assert [first.receive(10) for _ in range(2)] == [0, 1]
    pair.lose("u")  # Whoever has sent them is gone, too.
    pair.lose_child()
    pair.hub.process_ended("u", ChannelClosed, "process u has ended")
    receiver = queue_of(others[1])
    again = [receiver.receive(10) for _ in range(4)]
    assert again in ([1, 2, 3, 4], [0, 1, 2, 3])
    assert pair.hub.statistics()["jobs"]["redelivered"] >= 1


def test_poison_is_set_aside(pair: Pair) -> None:
    """As on a channel."""
    queue_of(pair.main).send("poison")
    for _ in range(3):
        assert queue_of(pair.child).receive(10) == "poison"
        pair.kill_child()
    (letter,) = pair.hub.dead_letters()
    assert (letter.channel, letter.load()) == ("jobs", "poison")
    letter.put_back()
    assert queue_of(pair.child).receive(10) == "poison"


def test_closing_it_closes_it_for_all(pair: Pair, others: list[Context], door: Door) -> None:
    """What was sent before is received, then `ChannelClosed`; whoever waits is woken."""
    closer, receiver, waiting = (queue_of(c) for c in (pair.child, pair.main, others[0]))
    for number in range(3):
        closer.send(number)
    assert door.receive(receiver) == 0
    ended: list[Any] = []
    thread = in_thread(lambda: ended.extend(waiting))
    wait_until(lambda: len(ended) == 2, "it has the rest")
    closer.close()
    with pytest.raises(ChannelClosed):
        door.receive(receiver)  # Until now, what it had in hand might have come to the other one.
    thread.join(10)
    assert not thread.is_alive()
    for handle in (closer, receiver, waiting):
        with pytest.raises(ChannelClosed):
            door.send(handle, 1)
    wait_until(lambda: "jobs" not in pair.main.port.names(), "the name is free")


def test_what_a_closed_queue_has_is_received_by_a_successor(pair: Pair) -> None:
    """The last receiver has died with messages in hand. Then the name is free, for a new one."""
    sender = queue_of(pair.main)
    for number in range(3):
        sender.send(number)
    assert queue_of(pair.child).receive(10) == 0
    sender.close()
    pair.kill_child()
    assert list(queue_of(pair.child)) == [0, 1, 2]
    wait_until(lambda: "jobs" not in pair.main.port.names(), "the name is free")
    queue_of(pair.main).send("new")
    wait_until(lambda: "jobs" in pair.child.port.names())

    def received() -> Any:
        with suppress(ChannelClosed):  # The child may still know the one that is closed.
            return queue_of(pair.child).receive(10)

    assert wait_until(received) == "new"


def test_a_closed_queue_that_nobody_can_empty(pair: Pair) -> None:
    """A line in the log says how many messages it had; nothing is left of it."""
    sender = queue_of(pair.main)
    sender.send(1)
    wait_until(lambda: "jobs" in pair.child.port.names(), "it is known")
    sender.close()
    pair.logged("queue jobs", "has ended with 1 messages sent and not acknowledged")
    wait_until(lambda: not any("queue:jobs" in hub.table.by_key for hub in pair.hubs()))
    again, receiver = queue_of(pair.main), queue_of(pair.child)
    for number in (2, 3):
        again.send(number)
    assert receiver.receive(10) == 2
    again.close()
    pair.lose_child()
    pair.logged("queue jobs", "has ended with 2 messages sent and not acknowledged")
    wait_until(lambda: not any("queue:jobs" in hub.table.by_key for hub in pair.hubs()))


def test_it_outlives_those_who_use_it(pair: Pair) -> None:
    """Until it is closed."""
    maker = queue_of(pair.child, capacity=5)
    maker.send("from the maker")
    wait_until(lambda: "jobs" in pair.main.port.names())
    pair.lose_child()
    assert queue_of(pair.main, capacity=None).receive(10) == "from the maker"


def test_names(pair: Pair) -> None:
    """Making one that is there gets it; a channel and a queue can't have one name."""
    with pytest.raises(ChannelNotFound, match=r"no queue is named 'jobs'.*Queue\('jobs'\)"):
        queue_of(pair.child, capacity=None)
    ours, theirs = queue_of(pair.main, capacity=3), queue_of(pair.child, capacity=7)
    assert (ours.capacity, theirs.capacity) == (3, 7)
    assert queue_of(pair.child, capacity=None)._open() is theirs._open()
    with pytest.raises(ChannelExists):
        queue_of(pair.main, "w-active")
    with pytest.raises(ChannelExists):
        pair.child.register("jobs", pair.child.make("jobs", 4))
    with pytest.raises(ValueError, match="has its name already"):
        pair.child.register("other", theirs._open())
    ours.send(1)
    assert theirs.receive(10) == 1


def test_two_make_it_at_the_same_time(pair: Pair, others: list[Context]) -> None:
    """They have one queue."""
    contexts = [pair.main, pair.child, *others]
    barrier = threading.Barrier(4)
    handles: list[Queue[Any]] = []

    def make(context: Context) -> None:
        barrier.wait()
        handles.append(queue_of(context))

    threads = [in_thread(make, context) for context in contexts]
    for thread in threads:
        thread.join(10)
    handles[0].send("x")
    assert handles[3].receive(10) == "x"


def test_it_is_bounded(pair: Pair) -> None:
    """By the capacity that each process has given it."""
    ours, theirs = queue_of(pair.main, capacity=2), queue_of(pair.child, capacity=3)
    for handle, most in ((ours, 2), (theirs, 3)):
        for number in range(most):
            handle.send(number)
        with pytest.raises(ChannelTimeout):
            handle.send("too many", 0.05)

        async def at_once(handle: Queue[Any] = handle) -> None:
            with pytest.raises(ChannelFull):
                handle.send("too many")

        run_async(at_once())
    assert pair.main_ended == []


def test_modes_and_types(pair: Pair) -> None:
    """As of a channel."""
    ours = queue_of(pair.main)
    ours.on_receive()(print)
    with pytest.raises(ChannelModeError):
        ours.receive(0)
    typed = queue_of(pair.child)
    typed.__orig_class__ = Queue[int]  # type: ignore[attr-defined]
    with pytest.raises(ChannelTypeError):
        typed.send("no int")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="printable"):
        Queue("")


def test_select_and_stats(pair: Pair) -> None:
    """As of a channel."""
    ours, theirs = queue_of(pair.main), queue_of(pair.child)
    other = queue_of(pair.child, "more")
    queue_of(pair.main, "more").send("m")
    ours.send("j")
    got = {data for _, (_, data) in zip(range(2), select(theirs, other, timeout=10), strict=False)}
    assert got == {"m", "j"}
    assert theirs.stats()["received"] == 1
    assert ours.stats()["sent"] == 1
    assert pair.hub.statistics()["jobs"]["sent"] == 1


def test_requests(pair: Pair, others: list[Context], ask: Ask) -> None:
    """Go to whoever answers and has room, main or child; from any process, itself too."""
    handles = [queue_of(context) for context in (pair.main, pair.child, others[0])]
    let_go = threading.Event()
    begun: list[Any] = []

    @handles[1].on_request(concurrency=1)
    def busy(data: Any) -> str:
        begun.append(data)
        let_go.wait(20)
        return "busy"

    got: list[Any] = []
    asking = in_thread(lambda: got.append(ask(handles[0], 0, 30)))
    wait_until(lambda: begun == [0])
    handles[2].on_request(concurrency=1)(lambda data: data + 1)
    assert [ask(handle, 5) for handle in handles] == [6, 6, 6]
    let_go.set()
    asking.join(10)
    assert got == ["busy"]
    nothing_is_under_way(pair)


def test_requests_wait_for_whoever_answers_first(pair: Pair, ask: Ask) -> None:
    """Nobody does yet; those that have it may only ask."""
    ours = queue_of(pair.main)
    queue_of(pair.child)
    got: list[Any] = []
    asking = in_thread(lambda: got.append(ask(ours, 1, 30)))
    wait_until(lambda: any(hub.table.by_name["jobs"].requests(0).waiting for hub in pair.hubs()))
    queue_of(pair.child).on_request()(lambda data: -data)
    asking.join(10)
    assert got == [-1]


def test_all_who_answered_are_given_up(pair: Pair, ask: Ask) -> None:
    """The asker gets `ChannelBroken`, which says why."""
    ours = queue_of(pair.main)
    begun: list[Any] = []

    @queue_of(pair.child).on_request()
    async def waits(data: Any) -> None:
        begun.append(data)
        await asyncio.sleep(60)

    errors: list[Any] = []

    def asks() -> None:
        try:
            ask(ours, 1, 30)
        except ChannelBroken as error:
            errors.append(str(error))

    asking = in_thread(asks)
    wait_until(lambda: begun == [1])
    pair.lose_child()
    asking.join(10)
    assert errors == ["channel jobs: process w exited with code 9"]
    nothing_is_under_way(pair)


@pytest.mark.one_hub
def test_a_handle_in_a_message(pair: Pair) -> None:
    """A queue may be sent through a channel, and a channel through a queue."""
    ours, theirs = pair.channel()
    ours.send(queue_of(pair.main))
    handle = theirs.receive(10)
    assert isinstance(handle, Queue)
    reply: Channel[Any] = Channel._of(pair.main.make(None, 4))
    queue_of(pair.main).send(reply)
    handle.receive(10).send("back")
    assert reply.receive(10) == "back"
