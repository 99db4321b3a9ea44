"""Law C12 of channels: stats.

What `stats()` counts, at several capacities, through both doors.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest

from liteyuki_core.comm import current, select
from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import (
    ChannelClosed,
    ChannelFull,
    ChannelTimeout,
    MessageTooLarge,
    NotConnected,
    SendError,
)
from tests.conftest import wait_until
from tests.pair import AsyncDoor, Door, Ends, Pair, Unbuildable, in_thread, run_async

NAMES = {
    "sent",
    "received",
    "acknowledged",
    "redelivered",
    "dropped",
    "errors",
    "backlog",
    "capacity",
    "bytes",
}


def counted(channel: Channel[Any], **expected: int) -> None:
    """Wait until these counters have these values; all the others, named or not, are 0."""
    wanted = {**dict.fromkeys(NAMES, 0), "capacity": channel.capacity, **expected}
    if "bytes" not in expected:
        del wanted["bytes"]
    wait_until(lambda: wanted.items() <= channel.stats().items(), f"{wanted}: {channel.stats()}")


def test_at_first(ends: Ends, capacity: int) -> None:
    """All names, all numbers, nothing counted but the capacity."""
    for channel in ends:
        stats = channel.stats()
        assert set(stats) == NAMES
        assert all(type(value) is int for value in stats.values())
        assert stats.pop("capacity") == capacity
        assert not any(stats.values())


def test_a_full_channel(ends: Ends, door: Door, capacity: int) -> None:
    """What is accepted is sent, what was refused is not."""
    sender, _ = ends
    for i in range(capacity):
        door.send(sender, i)
    for refused, error in ((1, ChannelTimeout), ((i for i in range(3)), SendError)):
        with pytest.raises(error):
            door.send(sender, refused, 0)
    with pytest.raises(MessageTooLarge):
        door.send(sender, b"x" * ((1 << 20) + 1), 0)

    async def on_loop() -> None:
        with pytest.raises(ChannelFull):
            sender.send("over")

    run_async(on_loop())
    counted(sender, sent=capacity)


def test_received_and_acknowledged(ends: Ends, door: Door, capacity: int) -> None:
    """A message moves from the backlog to received; the sender learns of it with the next."""
    sender, receiver = ends
    with pytest.raises(ChannelTimeout):
        door.receive(receiver, 0)
    for i in range(capacity):
        door.send(sender, i)
    counted(receiver, backlog=capacity)
    for i in range(1, capacity + 1):
        door.receive(receiver)
        counted(receiver, received=i, backlog=capacity - i)
        counted(sender, sent=capacity, acknowledged=i - 1)
    with pytest.raises(ChannelTimeout):
        door.receive(receiver, 0)
    counted(sender, sent=capacity, acknowledged=capacity)
    counted(receiver, received=capacity)


def test_both_directions_are_counted_apart(ends: Ends, door: Door) -> None:
    """An end counts what it sends and what it receives."""
    one, other = ends
    door.send(one, "a")
    door.receive(other)
    for i in range(3):
        in_thread(door.send, other, i)
        door.receive(one)
        counted(one, sent=1, received=i + 1)
    other.close()
    with pytest.raises(ChannelClosed):
        door.receive(one)
    counted(one, sent=1, acknowledged=1, received=3)


@pytest.mark.one_hub
def test_bytes(ends: Ends, door: Door) -> None:
    """The serialised messages, however they are packed, at both ends; received or not."""
    sender, receiver = ends
    messages: list[Any] = ["text é", b"raw" * 100, {"a": [1, 2]}, "x" * 20_000, b"y" * 300_000, ""]
    size = 0
    with pytest.raises(ChannelTimeout):
        door.receive(receiver, 0)
    for count, message in enumerate(messages, 1):
        in_thread(door.send, sender, message)
        assert door.receive(receiver) == message
        if isinstance(message, bytes):
            size += len(message)
        elif isinstance(message, str) and len(message) < 1000:
            size += len(message.encode())
        else:
            size += len(pickle.dumps(message, 5))
        counted(sender, sent=count, acknowledged=count - 1, bytes=size)
        counted(receiver, received=count, bytes=size)


def test_many_at_once_on_a_loop(pair: Pair, capacity: int) -> None:
    """What a loop's turn gathers is counted like the rest; exact when all is quiet."""
    sender, receiver = pair.channel(capacity)
    got: list[int] = []
    receiver.on_receive(ordered=True)(got.append)

    async def send() -> None:
        for i in range(300):
            if i % 3:
                await sender.async_send(str(i))
            else:
                await sender.async_send(i)
            stats = sender.stats()
            assert stats["sent"] == i + 1
            assert i + 1 - capacity <= stats["acknowledged"] <= i + 1

    run_async(send())
    counted(sender, sent=300, acknowledged=300)
    counted(receiver, received=300)
    assert sender.stats()["bytes"] == receiver.stats()["bytes"] > 0


def test_while_many_threads_send(pair: Pair, door: Door, capacity: int) -> None:
    """No count is lost, and none is ever negative or above what can be."""
    sender, receiver = pair.channel(capacity)
    receiver.on_receive()(lambda data: None)
    threads = [in_thread(lambda: [door.send(sender, i) for i in range(50)]) for _ in range(4)]
    while any(thread.is_alive() for thread in threads):
        for channel in (sender, receiver):
            stats = channel.stats()
            assert min(stats.values()) >= 0
            assert stats["acknowledged"] <= stats["sent"] <= 200
            assert stats["received"] + stats["backlog"] <= 200
    counted(sender, sent=200, acknowledged=200)
    counted(receiver, received=200)


@pytest.mark.one_hub
def test_errors(ends: Ends, door: Door) -> None:
    """A callback that raises, a filter that raises, a message that can't be rebuilt: one each."""
    sender, receiver = ends

    def picky(data: Any) -> bool:
        if data == "filter":
            raise ValueError(data)
        return True

    @receiver.on_receive(picky)
    async def callback(data: Any) -> None:
        if data == "callback":
            raise ValueError(data)

    for count, data in enumerate(("filter", "callback", Unbuildable(), "fine"), 1):
        door.send(sender, data)
        counted(sender, sent=count, acknowledged=count)
        counted(receiver, received=count, errors=min(count, 3))


@pytest.mark.one_hub
def test_errors_of_a_receive(ends: Ends, door: Door) -> None:
    """Messages that were skipped are received, and errors."""
    sender, receiver = ends
    sending = in_thread(
        lambda: [door.send(sender, data) for data in (Unbuildable(), Unbuildable(), "fine")]
    )
    assert door.receive(receiver) == "fine"
    sending.join(10)
    counted(receiver, received=3, errors=2)


def test_the_backlog_of_callbacks(ends: Ends, door: Door, capacity: int) -> None:
    """What no callback has been given yet, wherever it waits."""
    sender, receiver = ends
    go = threading.Event()

    @receiver.on_receive(ordered=True)
    def callback(data: Any) -> None:
        go.wait(10)

    try:
        for i in range(capacity):
            door.send(sender, i)
        counted(receiver, received=1, backlog=capacity - 1)
        counted(sender, sent=capacity)
    finally:
        go.set()
    counted(receiver, received=capacity)
    counted(sender, sent=capacity, acknowledged=capacity)


def test_a_select_counts_like_a_receive(pair: Pair, capacity: int) -> None:
    """Each end counts its own."""
    both = [pair.channel(capacity) for _ in range(2)]
    selected = select(*(theirs for _, theirs in both), timeout=10)
    for _ in range(3):
        for ours, _ in both:
            in_thread(ours.send, "x")
        next(selected)
        next(selected)
    for ours, theirs in both:
        ours.close()
        counted(theirs, received=3)
    assert list(selected) == []
    for ours, _ in both:
        assert ours.stats()["sent"] == 3


def test_after_closing(ends: Ends, door: Door, capacity: int) -> None:
    """They stay; what was let go of unread is dropped."""
    sender, receiver = ends
    with pytest.raises(ChannelTimeout):
        door.receive(receiver, 0)
    for i in range(capacity):
        door.send(sender, i)
    counted(receiver, backlog=capacity)
    door.receive(receiver)
    receiver.close()
    for _ in range(2):
        counted(receiver, received=1, dropped=capacity - 1)
        receiver.close()
    sender.close()
    assert sender.stats()["sent"] == capacity
    with pytest.raises(ChannelClosed):
        door.send(sender, "more", 0)
    assert sender.stats()["sent"] == capacity


def test_after_the_link_is_lost(pair: Pair, door: Door) -> None:
    """What a child had not read when the main process went is dropped there."""
    ours, theirs = pair.channel(8)
    with pytest.raises(ChannelTimeout):
        door.receive(theirs, 0)
    for i in range(3):
        door.send(ours, i)
    counted(theirs, backlog=3)
    pair.peer.link._connection.shutdown(2)
    wait_until(lambda: pair.child_ended)
    counted(theirs, dropped=3)


def test_sent_while_closing(pair: Pair) -> None:
    """What a loop's turn had gathered when another thread closed the channel went with it."""
    ours, theirs = pair.channel(8)

    async def scenario() -> None:
        for i in range(4):
            ours.send(str(i))
        thread = in_thread(ours.close)
        thread.join(10)
        await asyncio.sleep(0)

    run_async(scenario())
    assert AsyncDoor().drain(theirs) == ["0", "1", "2", "3"]
    counted(theirs, received=4)
    stats = ours.stats()
    assert (stats["sent"], stats["dropped"]) == (4, 0)


def test_an_unused_channel(pair: Pair) -> None:
    """stats() is a use like any other: it opens the channel, or says what is missing."""
    with pytest.raises(NotConnected):
        Channel("alone").stats()
    current.install(pair.main)
    try:
        channel: Channel[int] = Channel("used", capacity=3)
        counted(channel, capacity=3)
        channel.send(1)
        counted(channel, sent=1)
        channel.close()
    finally:
        current.uninstall(pair.main)
