"""The laws of a channel, at several capacities, through the sync and the async door."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest

from liteyuki_core.comm import current
from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelEmpty,
    ChannelError,
    ChannelExists,
    ChannelFull,
    ChannelModeError,
    ChannelNotFound,
    ChannelTimeout,
    MessageTooLarge,
    NotConnected,
    SendError,
    WouldBlockLoop,
)
from tests.conftest import wait_until
from tests.pair import Door, Ends, Pair, Unbuildable, in_thread, run_async

# ------------------------------------------------------------- 1: order, once, not one's own


def test_order_and_once(ends: Ends, door: Door) -> None:
    """Each direction is first in, first out, and each message arrives once."""
    sender, receiver = ends
    messages = [i if i % 3 else f"text {i} é 中\ud800" if i % 2 else b"raw" * i for i in range(300)]
    thread = in_thread(lambda: [door.send(sender, m) for m in messages])
    assert [door.receive(receiver) for _ in messages] == messages
    thread.join(10)
    with pytest.raises(ChannelEmpty):
        receiver.receive_nowait()


def test_a_full_batch_leaves_while_the_turn_goes_on(pair: Pair) -> None:
    """A loop's turn that sends much does not keep it all to its end."""
    sender, receiver = pair.channel(1024)
    with pytest.raises(ChannelEmpty):
        receiver.receive_nowait()

    async def send() -> None:
        for i in range(150):
            await sender.async_send((i, b"x" * 4000))
        # This turn goes on as long as the other side waits for what fills two batches.
        wait_until(lambda: receiver.stats()["backlog"] > 115)

    run_async(send())
    assert [receiver.receive(10)[0] for _ in range(150)] == list(range(150))


def test_both_directions_at_once(ends: Ends, door: Door) -> None:
    """An end receives what the other sends, never its own sends."""
    one, other = ends
    got: dict[str, list[int]] = {"one": [], "other": []}

    def take(name: str, channel: Channel[Any]) -> None:
        for _ in range(100):
            got[name].append(door.receive(channel))

    threads = [
        in_thread(take, "one", one),
        in_thread(take, "other", other),
        in_thread(lambda: [door.send(one, i) for i in range(100)]),
        in_thread(lambda: [door.send(other, -i) for i in range(100)]),
    ]
    for thread in threads:
        thread.join(20)
    assert got == {"one": [-i for i in range(100)], "other": list(range(100))}


# ------------------------------------------------------------- 2: values


def test_a_message_is_a_value(ends: Ends, door: Door) -> None:
    """Changing data after its send changes nothing."""
    sender, receiver = ends
    data = {"list": [1]}
    door.send(sender, data)
    data["list"].append(2)
    assert door.receive(receiver) == {"list": [1]}


def test_unsendable_data_raises_and_sends_nothing(ends: Ends, door: Door) -> None:
    """What can't be pickled raises at send, with its type, and takes no room."""
    sender, receiver = ends
    for _ in range(3):
        with pytest.raises(SendError, match=r"channel-1.*generator") as caught:
            door.send(sender, (i for i in range(3)), 0.1)
        assert isinstance(caught.value, TypeError)
    door.send(sender, "after", 5)
    assert door.receive(receiver) == "after"


def test_unrebuildable_message_is_logged_and_skipped(pair: Pair, ends: Ends, door: Door) -> None:
    """The receiver logs the channel's name and lives on; the room comes back."""
    sender, receiver = ends
    thread = in_thread(lambda: [door.send(sender, x) for x in (Unbuildable(), Unbuildable(), 1)])
    assert door.receive(receiver) == 1
    thread.join(10)
    line = pair.logged("ERROR", "channel-1", "not here")
    assert "skipped" in line


def test_too_large_a_message(ends: Ends, door: Door) -> None:
    """Over max_message_bytes raises and sends nothing; at the limit it passes."""
    sender, receiver = ends
    for _ in range(2):
        with pytest.raises(MessageTooLarge, match=r"channel-1.*1048577.*LITEYUKI_MAX"):
            door.send(sender, b"x" * ((1 << 20) + 1), 0.1)
    thread = in_thread(door.send, sender, b"y" * (1 << 20))
    assert door.receive(receiver) == b"y" * (1 << 20)
    thread.join(10)


# ------------------------------------------------------------- 3: capacity


def test_bounded(ends: Ends, door: Door, capacity: int) -> None:
    """At most capacity messages are unacknowledged: one counts until the next is asked for."""
    sender, receiver = ends
    for i in range(capacity):
        door.send(sender, i)
    with pytest.raises(ChannelTimeout, match="channel-1"):
        door.send(sender, "over", 0.05)

    async def on_loop() -> None:
        with pytest.raises(ChannelFull, match="async_send"):
            sender.send("over")

    run_async(on_loop())
    assert door.receive(receiver) == 0
    with pytest.raises(ChannelTimeout):
        door.send(sender, "over", 0.05)
    waiting = in_thread(door.send, sender, "last")
    assert [door.receive(receiver) for _ in range(capacity)] == [*range(1, capacity), "last"]
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_little_room_is_enough_to_go_on(pair: Pair, door: Door) -> None:
    """Who waits for room gets it soon, also where the receiver then takes no more."""
    sender, receiver = pair.channel(100)
    for i in range(100):
        sender.send(i)
    waiting = in_thread(door.send, sender, "last")
    wait_until(lambda: sender._open().senders, "it waits")
    assert [receiver.receive(10) for _ in range(3)] == [0, 1, 2]
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_blocked_loop_that_waits_for_room_holds_up_no_thread(pair: Pair) -> None:
    """A thread that waits beside it gets the room that comes."""
    sender, receiver = pair.channel(100)
    for i in range(100):
        sender.send(i)
    release = threading.Event()

    async def block() -> None:
        task = asyncio.ensure_future(sender.async_send("of the loop"))
        await asyncio.sleep(0)
        release.wait(20)
        await task

    loop = in_thread(run_async, block())
    wait_until(lambda: len(sender._open().senders) == 1, "the loop waits")
    waiting = in_thread(sender.send, "of the thread")
    wait_until(lambda: len(sender._open().senders) == 2, "the thread waits")
    assert [receiver.receive(10) for _ in range(4)] == [0, 1, 2, 3]
    waiting.join(10)
    try:
        assert not waiting.is_alive()
    finally:
        release.set()
        loop.join(10)


def test_a_waiting_send_that_is_cancelled_sends_nothing(ends: Ends, capacity: int) -> None:
    """Cancelling async_send leaves no message and no room taken."""
    sender, receiver = ends

    async def scenario() -> None:
        for i in range(capacity):
            await sender.async_send(i)
        tasks = [asyncio.ensure_future(sender.async_send("cancelled")) for _ in range(3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        last = asyncio.ensure_future(sender.async_send("last"))
        got = [await receiver.async_receive(10) for _ in range(capacity + 1)]
        await last
        assert got == [*range(capacity), "last"]

    run_async(scenario())


def test_a_full_channel_slows_no_other(pair: Pair, door: Door) -> None:
    """Messages pass on one channel while another is full of large ones."""
    full, _ = pair.channel(8)
    free, receiver = pair.channel(2)
    for _ in range(8):
        full.send(b"x" * 1_000_000)
    for i in range(50):
        door.send(free, i, 10)
        assert door.receive(receiver) == i


def test_four_threads_send_large_messages_at_once(pair: Pair) -> None:
    """Nothing is torn, lost or doubled, and each thread's messages stay in order."""
    sender, receiver = pair.channel(16)

    def send(which: int) -> None:
        for i in range(50):
            sender.send((which, i, bytes([which]) * 50_000))

    threads = [in_thread(send, which) for which in range(4)]
    got: dict[int, list[int]] = {which: [] for which in range(4)}
    for _ in range(200):
        which, i, data = receiver.receive(10)
        assert data == bytes([which]) * 50_000
        got[which].append(i)
    for thread in threads:
        thread.join(10)
    assert got == {which: list(range(50)) for which in range(4)}


# ------------------------------------------------------------- 4: receiving


def test_timeouts(ends: Ends, door: Door) -> None:
    """A receive that times out loses nothing."""
    sender, receiver = ends
    with pytest.raises(ChannelTimeout, match="channel-1") as caught:
        door.receive(receiver, 0.02)
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(ChannelEmpty):
        receiver.receive_nowait()
    door.send(sender, "late")
    assert door.receive(receiver) == "late"


def test_receive_on_a_loops_thread(ends: Ends) -> None:
    """It gives what has arrived, but never waits."""
    sender, receiver = ends

    async def scenario() -> None:
        with pytest.raises(WouldBlockLoop, match="async_receive"):
            receiver.receive(5)
        await sender.async_send("here")
        waiting = asyncio.ensure_future(receiver.async_receive(10))
        assert await waiting == "here"
        sending = asyncio.ensure_future(sender.async_send("again"))
        while True:
            try:
                assert receiver.receive() == "again"
                await sending
                return
            except WouldBlockLoop:
                await asyncio.sleep(0.001)

    run_async(scenario())


def test_a_receive_that_would_block_has_been_asked(ends: Ends) -> None:
    """The other side learns of it, so that the next one finds the message."""
    sender, receiver = ends

    async def ask() -> None:
        with pytest.raises(WouldBlockLoop):
            receiver.receive()

    run_async(ask())
    sender.send("here")
    wait_until(lambda: receiver.stats()["backlog"] == 1, "the message has come")


def test_cancelled_receives_lose_nothing(ends: Ends) -> None:
    """However receives are cancelled, every message is received once."""
    sender, receiver = ends

    async def scenario() -> list[Any]:
        got: list[Any] = []
        sending = asyncio.ensure_future(_send_all(sender, 100))
        turn = 0
        while len(got) < 100:
            turn += 1
            tasks = [asyncio.ensure_future(receiver.async_receive()) for _ in range(3)]
            await asyncio.sleep(0.002 if turn % 2 else 0)
            for task in tasks:
                task.cancel()
            for task in tasks:
                try:
                    got.append(await task)
                except asyncio.CancelledError:
                    pass
        await sending
        return got

    # Three receive at once: which of them gets a message first is not said.
    assert sorted(run_async(scenario())) == list(range(100))


async def _send_all(channel: Channel[Any], count: int) -> None:
    for i in range(count):
        await channel.async_send(i)


def test_iteration_ends_when_drained(ends: Ends, door: Door, capacity: int) -> None:
    """Iterating ends when the other side has closed and the rest is received."""
    sender, receiver = ends
    for i in range(capacity):
        sender << i
    sender.close()
    assert door.drain(receiver) == list(range(capacity))


def test_shift_sends(ends: Ends, door: Door) -> None:
    """channel << data sends, and can be chained."""
    sender, receiver = ends
    assert sender << "a" is sender
    assert door.receive(receiver) == "a"


def test_shift_is_a_send(ends: Ends, capacity: int) -> None:
    """channel << data waits for room, but not on a loop's thread, and raises what send does."""
    sender, receiver = ends
    for i in range(capacity):
        sender << i
    waiting = in_thread(sender.__lshift__, "waited")
    wait_until(lambda: sender._open().senders)

    async def on_loop() -> None:
        with pytest.raises(ChannelFull):
            sender << "over"

    run_async(on_loop())
    assert [receiver.receive(10) for _ in range(capacity + 1)] == [*range(capacity), "waited"]
    waiting.join(10)
    with pytest.raises(SendError):
        sender << (i for i in range(3))


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (-1, ValueError),
        (-0.001, ValueError),
        (float("-inf"), ValueError),
        (float("nan"), ValueError),
        ("1", TypeError),
        (b"", TypeError),
        ([], TypeError),
        (True, TypeError),
        (1j, TypeError),
    ],
)
def test_timeouts_that_can_not_be(
    ends: Ends, door: Door, capacity: int, timeout: Any, error: type[Exception]
) -> None:
    """They are refused whether one would have to wait or not; nothing is sent or received."""
    sender, receiver = ends
    for i in range(capacity):
        with pytest.raises(error, match="timeout"):
            door.send(sender, "never", timeout)
        door.send(sender, i)
    with pytest.raises(error, match="timeout"):
        door.send(sender, "never", timeout)
    for i in range(capacity):
        with pytest.raises(error, match="timeout"):
            door.receive(receiver, timeout)
        assert door.receive(receiver) == i
    with pytest.raises(error, match="timeout"):
        door.receive(receiver, timeout)


def test_a_timeout_of_zero(ends: Ends, door: Door, capacity: int) -> None:
    """It takes what is there, gives where there is room, and waits for nothing else."""
    sender, receiver = ends
    with pytest.raises(ChannelTimeout, match="within 0 s"):
        door.receive(receiver, 0)
    for i in range(capacity):
        door.send(sender, i, 0)
    with pytest.raises(ChannelTimeout, match="within 0 s"):
        door.send(sender, "over", 0)
    end = receiver._open()
    for i in range(capacity):
        wait_until(lambda: end._inbox or end._opened)
        assert door.receive(receiver, 0) == i
    assert not sender._open().senders
    assert not end.receivers


@pytest.mark.parametrize("timeout", [float("inf"), 1e300, 10**400, threading.TIMEOUT_MAX])
def test_a_timeout_beyond_all_measure(
    ends: Ends, door: Door, capacity: int, timeout: float
) -> None:
    """It is as good as none."""
    sender, receiver = ends
    got: list[Any] = []
    receiving = in_thread(lambda: got.append(door.receive(receiver, timeout)))
    wait_until(lambda: receiver._open().receivers)
    for i in range(capacity):
        door.send(sender, i, timeout)
    receiving.join(10)
    sending = in_thread(door.send, sender, "last", timeout)
    assert door.receive(receiver, timeout) == [*range(1, capacity), "last"][0]
    sending.join(10)
    assert got == [0]


def test_a_timeout_is_for_one_message(pair: Pair, ends: Ends, door: Door) -> None:
    """One that can't be rebuilt does not begin the time anew, nor does it end the wait."""
    sender, receiver = ends
    door.send(sender, Unbuildable())
    with pytest.raises(ChannelTimeout):
        door.receive(receiver, 0.1)
    pair.logged("ERROR", "channel-1", "not here")
    door.send(sender, "next", 10)
    assert door.receive(receiver) == "next"


def test_leaving_an_iteration_loses_nothing(ends: Ends, door: Door) -> None:
    """What comes after the message it was left at is there for the next."""
    sender, receiver = ends
    thread = in_thread(lambda: [door.send(sender, i) for i in range(6)])

    async def first() -> Any:
        async for data in receiver:
            return data
        return None

    for i in range(0, 6, 2):
        assert next(iter(receiver)) == i
        assert run_async(first()) == i + 1
    thread.join(10)
    assert not receiver._open().receivers


@pytest.mark.parametrize("who", ["this side", "the other side"])
def test_an_iteration_ends_when_another_thread_closes(ends: Ends, door: Door, who: str) -> None:
    """Whichever end that closes, and if it waits at the time."""
    sender, receiver = ends
    got: list[Any] = []
    thread = in_thread(lambda: got.append(door.drain(receiver)))
    wait_until(lambda: receiver._open().receivers)
    (receiver if who == "this side" else sender).close()
    thread.join(10)
    assert got == [[]]
    assert door.drain(receiver) == []


@pytest.mark.parametrize("what", ["send", "receive"])
def test_an_end_that_another_thread_closes(
    ends: Ends, door: Door, capacity: int, what: str
) -> None:
    """Who waits there gets ChannelClosed, and so does whoever comes later; nobody is left."""
    sender, receiver = ends
    raised: list[Exception] = []

    def act() -> None:
        try:
            if what == "send":
                door.send(sender, "never", None)
            else:
                door.receive(sender, None)
        except Exception as error:
            raised.append(error)

    for i in range(capacity):
        door.send(sender, i)
    end = sender._open()
    threads = [in_thread(act) for _ in range(3)]
    wait_until(lambda: len(end.senders if what == "send" else end.receivers) == 3)
    sender.close()
    for thread in threads:
        thread.join(10)
    act()
    assert [type(error) for error in raised] == [ChannelClosed] * 4
    assert all("channel-1" in str(error) for error in raised)
    assert not end.senders
    assert not end.receivers
    assert door.drain(receiver) == list(range(capacity))


def test_receives_race_with_a_close(pair: Pair, door: Door, capacity: int) -> None:
    """Whatever the moment another thread closes the end: a message or ChannelClosed, no hang."""

    def receive(channel: Channel[Any], got: list[Any], raised: list[Exception]) -> None:
        try:
            while True:
                got.append(door.receive(channel, None))
        except Exception as error:
            raised.append(error)

    for _ in range(10):
        sender, receiver = pair.channel(capacity)
        got: list[Any] = []
        raised: list[Exception] = []
        threads = [in_thread(receive, receiver, got, raised) for _ in range(2)]
        for i in range(capacity):
            sender.send(i, 10)
        receiver.close()
        for thread in threads:
            thread.join(10)
        assert [type(error) for error in raised] == [ChannelClosed] * 2
        assert sorted(got) == list(range(len(got)))
        sender.close()


@pytest.mark.parametrize("kind", [ChannelBroken, ChannelClosed])
def test_a_process_that_was_removed(pair: Pair, door: Door, kind: type[ChannelError]) -> None:
    """Sending on its channels says why that can't be; a send that waits for room is told so."""
    channel = Channel._of(pair.main.get("w-active"))
    raised: list[Exception] = []

    def send(data: Any) -> None:
        try:
            door.send(channel, data)
        except Exception as error:
            raised.append(error)

    for i in range(channel.capacity):
        channel.send(i)
    thread = in_thread(send, "waits")
    wait_until(lambda: channel._open().senders)
    pair.port.shut(5)
    wait_until(lambda: pair.main_ended)
    pair.hub.process_ended("w", kind, "process w was removed")
    thread.join(10)
    send("later")
    late = Channel._of(pair.main.get("w-passive"))
    with pytest.raises(kind, match="w-passive: process w was removed"):
        door.send(late, "too late")
    with pytest.raises(kind, match="w-passive: process w was removed"):
        door.receive(late)
    assert [type(error) for error in raised] == [kind] * 2
    assert all("w-active: process w was removed" in str(error) for error in raised)


def test_a_channel_that_threads_open_at_once(pair: Pair) -> None:
    """It has one end: what each of them sends goes the same way."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    current.install(pair.main)

    def use(channel: Channel[int], go: threading.Event) -> None:
        while not go.is_set():
            pass
        channel.send(1)

    try:
        for _ in range(50):
            channel: Channel[int] = Channel()
            go = threading.Event()
            threads = [in_thread(use, channel, go) for _ in range(4)]
            go.set()
            for thread in threads:
                thread.join(10)
            assert channel.stats()["sent"] == 4
            channel.close()
        wait_until(lambda: not pair.main.ends, "the ends of those that came too late are left")
    finally:
        current.uninstall(pair.main)
        sys.setswitchinterval(interval)


# ------------------------------------------------------------- 6: one mode an end


def test_one_mode(ends: Ends, door: Door) -> None:
    """An end with callbacks can't receive, and the other way round; the other end is free."""
    one, other = ends
    one.on_receive()(lambda data: None)
    with pytest.raises(ChannelModeError, match="on_receive"):
        door.receive(one)
    with pytest.raises(ChannelModeError):
        one.receive_nowait()
    with pytest.raises(ChannelEmpty):
        other.receive_nowait()
    with pytest.raises(ChannelModeError, match="received"):
        other.on_receive()(lambda data: None)


# ------------------------------------------------------------- 7: closing


def test_close(ends: Ends, door: Door) -> None:
    """Closing is idempotent; the other side drains, then both ends are closed."""
    sender, receiver = ends
    door.send(sender, 1)
    sender.close()
    sender.close()
    assert sender.closed
    for act in (lambda: door.send(sender, 2), lambda: door.receive(sender)):
        with pytest.raises(ChannelClosed, match="channel-1"):
            act()
    assert door.receive(receiver) == 1
    with pytest.raises(ChannelClosed):
        door.receive(receiver)
    with pytest.raises(ChannelClosed):
        door.send(receiver, 3)
    receiver.close()


def test_close_wakes_waiters(ends: Ends, door: Door) -> None:
    """Whoever waits on a closed end, here or on the other side, gets ChannelClosed."""
    one, other = ends
    raised: list[Exception] = []

    def wait(channel: Channel[Any]) -> None:
        try:
            door.receive(channel, None)
        except Exception as error:
            raised.append(error)

    threads = [in_thread(wait, one), in_thread(wait, one), in_thread(wait, other)]
    wait_until(lambda: len(one._open().receivers) == 2 and len(other._open().receivers) == 1)
    one.close()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in raised] == [ChannelClosed] * 3


def test_close_wakes_waiting_sends(ends: Ends, door: Door, capacity: int) -> None:
    """A send that waits for room gets ChannelClosed when the other side closes."""
    sender, receiver = ends
    for i in range(capacity):
        door.send(sender, i)
    raised: list[Exception] = []

    def wait() -> None:
        try:
            door.send(sender, "never")
        except Exception as error:
            raised.append(error)

    thread = in_thread(wait)
    wait_until(lambda: sender._open().senders)
    receiver.close()
    thread.join(10)
    assert [type(error) for error in raised] == [ChannelClosed]


def test_a_dead_peer(pair: Pair, door: Door) -> None:
    """What a dead child sent is received, then ChannelBroken with the reason."""
    ours, theirs = pair.channel(8)
    door.send(theirs, "last words")
    pair.port.pump()
    pair.lose_child()
    assert door.receive(ours) == "last words"
    for act in (lambda: door.receive(ours), lambda: door.send(ours, 1)):
        with pytest.raises(ChannelBroken, match="exited with code 9") as caught:
            act()
        assert isinstance(caught.value, ConnectionError)
    with pytest.raises(ChannelBroken):
        door.drain(ours)


def test_the_main_process_is_gone(pair: Pair, door: Door) -> None:
    """A child's ends break when the link ends."""
    _, theirs = pair.channel(8)
    pair.peer.link._connection.shutdown(2)
    wait_until(lambda: pair.child_ended)
    with pytest.raises(ChannelBroken, match="main process is gone"):
        door.receive(theirs)


# ------------------------------------------------------------- 9: names


def test_names(pair: Pair, door: Door) -> None:
    """A name is taken once, is free again after closing, and an unknown one says what there is."""
    with pytest.raises(ChannelNotFound, match=r"'nope'.*w-active, w-passive") as caught:
        pair.child.get("nope")
    assert isinstance(caught.value, KeyError)
    made = pair.child.make("mine", 4)
    pair.child.register("mine", made)
    for context in (pair.main, pair.child):
        with pytest.raises(ChannelExists, match="'mine'") as exists:
            context.register("mine", context.make("mine", 4))
        assert isinstance(exists.value, ValueError)
    ours, theirs = Channel._of(pair.main.get("mine")), Channel._of(made)
    assert pair.main.get("mine") is ours._open()
    assert ours.capacity == 4
    door.send(ours, "to its maker")
    assert door.receive(theirs) == "to its maker"
    theirs.close()
    wait_until(lambda: "mine" not in pair.main.port.names())
    pair.main.register("mine", pair.main.make("mine", 2))


@pytest.mark.parametrize("kind", [ChannelBroken, ChannelClosed])
def test_names_of_a_process_that_is_gone(pair: Pair, door: Door, kind: type[ChannelError]) -> None:
    """Its channels' names are free again, but what it had sent can still be got by them."""
    for name in ("empty", "full"):
        pair.child.register(name, pair.child.make(name, 4))
    door.send(Channel._of(pair.child.get("full")), "left behind")
    pair.port.shut(5)
    wait_until(lambda: pair.main_ended)
    pair.hub.process_ended("w", kind, "process w exited")
    assert "empty" not in pair.main.port.names()
    full = Channel._of(pair.main.get("full"))
    assert door.receive(full) == "left behind"
    with pytest.raises(kind, match="full: process w exited"):
        door.receive(full)
    for name in ("empty", "full"):
        pair.main.register(name, pair.main.make(name, 4))


def test_a_name_that_is_taken_over(pair: Pair) -> None:
    """What nobody has got from a closed channel is let go of with a warning."""
    made = pair.main.make("again", 4)
    pair.main.register("again", made)
    Channel._of(made).send("never got")
    made.close()
    pair.main.register("again", pair.main.make("again", 4))
    pair.logged("WARNING", "channel again", "1 messages")


def test_messages_wait_for_whoever_gets_the_channel(pair: Pair, door: Door) -> None:
    """What is sent before the other end is got is there when it is."""
    made = pair.main.make("early", 4)
    pair.main.register("early", made)
    for i in range(4):
        door.send(Channel._of(made), i)
    wait_until(lambda: "early" in pair.port.names())
    theirs = Channel._of(pair.child.get("early"))
    assert [door.receive(theirs) for _ in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "capacity", "error"),
    [
        (1, 1, TypeError),
        ("", 1, ValueError),
        ("x" * 201, 1, ValueError),
        ("a\nb", 1, ValueError),
        ("x", 0, ValueError),
        ("x", True, TypeError),
        ("x", 1.5, TypeError),
    ],
)
def test_bad_arguments(name: Any, capacity: Any, error: type[Exception]) -> None:
    """Names and capacities that can't be are refused at once."""
    with pytest.raises(error):
        Channel(name, capacity=capacity)


def test_without_a_host() -> None:
    """A channel can be made anywhere; using it outside a LiteyukiBot says so."""
    channel: Channel[int] = Channel[int]("free")
    for act in (lambda: channel.send(1), channel.receive_nowait, channel.close):
        with pytest.raises(NotConnected, match="LiteyukiBot"):
            act()


def test_channel_errors_name_the_channel(pair: Pair) -> None:
    """Every channel error has `.channel`."""
    ours, _ = pair.channel(1)
    with pytest.raises(ChannelError) as caught:
        ours.receive(0)
    assert caught.value.channel == "channel-1"
