"""Law C4 of channels: receiving.

`receive` in its forms and its timeouts. Cancelling it or timing out loses nothing; it never waits
on a loop's thread. An iteration ends when the other side has closed and the rest is drained.
`channel << data` sends.

Tests comm/channel.py, comm/ends/end.py, comm/ends/receiving.py, comm/ends/state.py.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import (
    ChannelEmpty,
    ChannelTimeout,
    WouldBlockLoop,
)
from tests.conftest import wait_until
from tests.pair import Door, Ends, Pair, Unbuildable, in_thread, run_async


@pytest.mark.every_transport
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


@pytest.mark.every_transport
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


@pytest.mark.every_transport
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
        wait_until(lambda: end.receiving._inbox or end.receiving._opened)
        assert door.receive(receiver, 0) == i
    assert not sender._open().sending.senders
    assert not end.receiving.receivers


@pytest.mark.parametrize("timeout", [float("inf"), 1e300, 10**400, threading.TIMEOUT_MAX])
def test_a_timeout_beyond_all_measure(
    ends: Ends, door: Door, capacity: int, timeout: float
) -> None:
    """It is as good as none."""
    sender, receiver = ends
    got: list[Any] = []
    receiving = in_thread(lambda: got.append(door.receive(receiver, timeout)))
    wait_until(lambda: receiver._open().receiving.receivers)
    for i in range(capacity):
        door.send(sender, i, timeout)
    receiving.join(10)
    sending = in_thread(door.send, sender, "last", timeout)
    assert door.receive(receiver, timeout) == [*range(1, capacity), "last"][0]
    sending.join(10)
    assert got == [0]


@pytest.mark.one_hub
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
    assert not receiver._open().receiving.receivers
