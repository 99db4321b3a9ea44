"""Law C3 of channels: bounded.

At most `capacity` messages a direction are sent and not acknowledged. `send` on a full channel
waits, but never on a loop's thread. A full channel slows nobody else.

Tests comm/ends/sending.py, comm/ends/turns.py.
"""

from __future__ import annotations

import asyncio
import threading

import pytest

from liteyuki_core.errors import (
    ChannelFull,
    ChannelTimeout,
    SendError,
)
from tests.conftest import wait_until
from tests.pair import Door, Ends, Pair, in_thread, run_async


@pytest.mark.every_transport
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
    wait_until(lambda: sender._open().sending.senders, "it waits")
    assert [receiver.receive(10) for _ in range(3)] == [0, 1, 2]
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.every_transport
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
    wait_until(lambda: len(sender._open().sending.senders) == 1, "the loop waits")
    waiting = in_thread(sender.send, "of the thread")
    wait_until(lambda: len(sender._open().sending.senders) == 2, "the thread waits")
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


@pytest.mark.every_transport
def test_a_full_channel_slows_no_other(pair: Pair, door: Door) -> None:
    """Messages pass on one channel while another is full of large ones."""
    full, _ = pair.channel(8)
    free, receiver = pair.channel(2)
    for _ in range(8):
        full.send(b"x" * 1_000_000)
    for i in range(50):
        door.send(free, i, 10)
        assert door.receive(receiver) == i


def test_shift_is_a_send(ends: Ends, capacity: int) -> None:
    """channel << data waits for room, but not on a loop's thread, and raises what send does."""
    sender, receiver = ends
    for i in range(capacity):
        sender << i
    waiting = in_thread(sender.__lshift__, "waited")
    wait_until(lambda: sender._open().sending.senders)

    async def on_loop() -> None:
        with pytest.raises(ChannelFull):
            sender << "over"

    run_async(on_loop())
    assert [receiver.receive(10) for _ in range(capacity + 1)] == [*range(capacity), "waited"]
    waiting.join(10)
    with pytest.raises(SendError):
        sender << (i for i in range(3))
