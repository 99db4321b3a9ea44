"""Requests between real processes: kills while they are handled, many that are given up."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from random import Random

import psutil

from liteyuki_core import LiteyukiBot, RemoteError, get_channel
from liteyuki_core.comm import active_channel, passive_channel
from tests.children import acting
from tests.children.acting import AGAIN, say, until


def answers() -> None:
    """Answer each number with its square, odd ones after a while; raise for 13."""

    @active_channel.on_request(filter_func=lambda data: data % 2)
    async def odd(data: int) -> tuple[int, int]:
        await asyncio.sleep(0.001 * (data % 5))
        if data == 13:
            raise ValueError("13")
        return data * data, os.getpid()

    @active_channel.on_request()
    def even(data: int) -> tuple[int, int]:
        return data * data, os.getpid()

    threading.Event().wait()


def killed() -> None:
    """Ask on and on while the child that answers is killed four times."""
    bot = LiteyukiBot()
    bot.add_process("worker", answers, restart=AGAIN)
    channel = get_channel("worker-active")
    answered: Counter[int] = Counter()

    async def asks(number: int) -> None:
        try:
            square, pid = await channel.async_request(number, 60)
        except RemoteError as error:
            assert (number, error.type_name) == (13, "ValueError"), error
        else:
            assert square == number * number, (number, square)
            answered[pid] += 1

    def has(count: int) -> bool:
        # So many, that it has answered what its predecessor had: else that may count as poison.
        return sum(times > 200 for times in answered.values()) >= count

    async def asker(numbers: Iterator[int]) -> None:
        while not has(5):
            await asks(next(numbers))

    async def act() -> None:
        numbers = iter(range(10_000_000))
        asking = [asyncio.create_task(asker(numbers)) for _ in range(50)]
        for kills in range(1, 5):
            await until(partial(has, kills), f"process {kills} answers")
            acting.kill(bot.processes["worker"].pid)
        await asyncio.gather(*asking)
        assert channel.stats()["dropped"] == 0, channel.stats()
        assert not channel._open().asking._waiting

    acting.main(bot, act)


def given_up() -> None:
    """Ask so many times, and give up every third request at some moment of its way."""
    most = int(sys.argv[1])
    bot = LiteyukiBot()
    bot.add_process("worker", answers)
    channel = get_channel("worker-active")
    random = Random(1)

    async def asks(number: int) -> None:
        if number % 3:
            assert (await channel.async_request(2 * number, 60))[0] == 4 * number * number
            return
        task = asyncio.create_task(channel.async_request(2 * number + 15, 60))
        for _ in range(random.randrange(12)):
            await asyncio.sleep(0)
        if random.random() < 0.3:
            await asyncio.sleep(random.random() * 0.004)
        task.cancel()
        await asyncio.wait([task])

    async def asker(numbers: Iterator[int]) -> None:
        for number in numbers:
            await asks(number)

    async def act() -> None:
        memory = []
        for start in range(0, most, most // 10):
            numbers = iter(range(start, start + most // 10))
            await asyncio.gather(*(asker(numbers) for _ in range(50)))
            processes = [psutil.Process(), psutil.Process(bot.processes["worker"].pid)]
            memory.append(sum(each.memory_info().rss for each in processes) >> 10)
        end = channel._open()
        await until(lambda: end.sending._free == end.capacity, "nothing is under way")
        requests = bot._hub.table.by_name["worker-active"].requests(1)
        assert not end.asking._waiting
        tables = [requests._asked, requests._answers, requests.sent, requests.waiting]
        assert not any(tables), tables
        assert memory[-1] - memory[1] < 6_000, f"kB of both processes: {memory}"

    acting.main(bot, act)


def handles_for_ever() -> None:
    """Say that a request has begun, and never answer it."""

    @active_channel.on_request()
    async def handles(data: str) -> None:
        passive_channel.send("begun")
        await asyncio.sleep(1000)

    threading.Event().wait()


def receives() -> None:
    """Read messages, and answer no request."""
    for message in active_channel:
        say("got", message)


def idles() -> None:
    """Do nothing with any channel."""
    threading.Event().wait()
