"""Law C1 of channels: order.

Each direction is first in, first out; each message arrives once; nobody gets its own sends.
"""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import (
    ChannelEmpty,
)
from tests.conftest import wait_until
from tests.pair import Door, Ends, Pair, in_thread, run_async


@pytest.mark.every_transport
def test_order_and_once(ends: Ends, door: Door) -> None:
    """Each direction is first in, first out, and each message arrives once."""
    sender, receiver = ends
    messages = [i if i % 3 else f"text {i} é 中\ud800" if i % 2 else b"raw" * i for i in range(300)]
    thread = in_thread(lambda: [door.send(sender, m) for m in messages])
    assert [door.receive(receiver) for _ in messages] == messages
    thread.join(10)
    with pytest.raises(ChannelEmpty):
        receiver.receive_nowait()


@pytest.mark.every_transport
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


@pytest.mark.every_transport
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
