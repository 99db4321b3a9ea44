"""Law R4 of requests: what is under way is bounded.

Requests count against `capacity`, as messages do. `concurrency` bounds the callbacks.

Tests comm/ends/sending.py, comm/loop/answers.py.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from liteyuki_core import ChannelFull, ChannelTimeout
from tests.asking import nothing_is_left
from tests.conftest import wait_until
from tests.pair import Pair, in_thread, run_async


def test_requests_take_room(pair: Pair) -> None:
    """A request that is not answered takes the room of a message, in both orders."""
    ours, theirs = pair.channel(3)
    let_go = threading.Event()

    @theirs.on_request()
    def answer(data: int) -> int:
        let_go.wait(20)
        return data

    asking = [in_thread(ours.request, number, 20) for number in range(2)]
    wait_until(lambda: ours._open().sending._free == 1)
    ours.send("message", 5)

    async def sends() -> None:
        with pytest.raises(ChannelFull):
            ours.send("no room")
        with pytest.raises(ChannelTimeout, match="no room"):
            await ours.async_request(1, 0.05)

    run_async(sends())
    with pytest.raises(ChannelTimeout, match=r"no room for a message within 0\.05 s"):
        ours.request(1, 0.05)
    let_go.set()
    for thread in asking:
        thread.join(10)
    assert ours.request(4, 10) == 4
    assert ours.stats()["sent"] == 4
    assert theirs.receive(5) == "message"
    wait_until(lambda: theirs.stats()["received"] == 4)


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_concurrency(pair: Pair, kind: str) -> None:
    """So many callbacks run at a time, those of all registrations together."""
    ours, theirs = pair.channel(64)
    running, most = 0, 0
    lock = threading.Lock()

    def count(by: int) -> None:
        nonlocal running, most
        with lock:
            running += by
            most = max(most, running)

    async def async_answer(data: int) -> int:
        count(1)
        await asyncio.sleep(0.01)
        count(-1)
        return data

    def sync_answer(data: int) -> int:
        count(1)
        threading.Event().wait(0.01)
        count(-1)
        return data

    answer: Any = async_answer if kind == "async" else sync_answer
    theirs.on_request(filter_func=lambda data: data % 2, concurrency=3)(answer)
    theirs.on_request(concurrency=5)(answer)

    async def many() -> None:
        asked = [ours.async_request(number, 20) for number in range(40)]
        assert await asyncio.gather(*asked) == list(range(40))

    run_async(many())
    assert most == 3
    nothing_is_left(ours, theirs)


def test_as_many_async_callbacks_as_requests(pair: Pair) -> None:
    """Without `concurrency`, each waits for all the others."""
    ours, theirs = pair.channel(64)
    begun: list[int] = []

    @theirs.on_request()
    async def answer(number: int) -> int:
        begun.append(number)
        while len(begun) < 40:
            await asyncio.sleep(0.001)
        return number

    async def many() -> None:
        asked = [ours.async_request(number, 20) for number in range(40)]
        assert await asyncio.gather(*asked) == list(range(40))

    run_async(many())
    assert begun == list(range(40))
