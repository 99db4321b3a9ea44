"""Main processes of a cluster: one counts to the other, or commands it; either may be killed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import count
from pathlib import Path

from liteyuki_core import (
    Channel,
    ChannelBroken,
    LiteyukiBot,
    Queue,
    get_channel,
    shared_memory,
)
from liteyuki_core.cluster.member import Member
from liteyuki_core.comm import set_channel
from tests.children import acting
from tests.children.targets import echo, waits


def receiving() -> None:
    """Write each number that comes on the channel "numbers", which this node has."""
    bot = LiteyukiBot()
    numbers: Channel[int] = Channel("numbers", capacity=64)

    @numbers.on_receive(ordered=True)
    async def write(number: int) -> None:
        print(f"> {number}", flush=True)

    @bot.on_before_start
    def name() -> None:
        set_channel("numbers", numbers)

    bot.run()


def sending() -> None:
    """Send numbers from one argument to before another to the channel "numbers" of that node."""
    bot = LiteyukiBot()
    first, stop = int(sys.argv[1]), int(sys.argv[2])

    @bot.on_after_start
    async def send() -> None:
        channel = get_channel("numbers")
        for number in range(first, stop):
            await channel.async_send(number)
            await asyncio.sleep(0.001)
        while channel.stats()["acknowledged"] < stop - first:
            await asyncio.sleep(0.02)
        print("> all", flush=True)

    bot.run()


def giving() -> None:
    """Send numbers to the queue "jobs", which this node has made, until there is a file "enough".

    Then write how many there were, once all are handled.
    """
    bot = LiteyukiBot()

    @bot.on_after_start
    async def send() -> None:
        jobs: Queue[int] = Queue("jobs", capacity=64)
        for sent in count():
            if Path("enough").exists():
                break
            await jobs.async_send(sent)
        while jobs.stats()["acknowledged"] < sent:
            await asyncio.sleep(0.02)
        print(f"> all {sent}", flush=True)

    bot.run()


def taking() -> None:
    """Write each number that comes on the queue "jobs"."""
    bot = LiteyukiBot()

    @bot.on_after_start
    async def take() -> None:
        jobs: Queue[int] = Queue("jobs")

        @jobs.on_receive(concurrency=4)
        async def write(number: int) -> None:
            await asyncio.sleep(0.01)
            print(f"> {number}", flush=True)

    bot.run()


def asking() -> None:
    """Ask another node's NoneBot on and on, twenty at a time, and answer what it asks in turn.

    Write each answer, or the name of the error in its place.
    """
    bot = LiteyukiBot()
    adds: Channel[int] = Channel("adds")
    adds.on_request()(lambda number: number + 1)
    numbers = count()

    @bot.on_before_start
    def name() -> None:
        set_channel("adds", adds)

    async def ask() -> None:
        channel = get_channel("nonebot-passive")
        while True:
            number = next(numbers)
            try:
                answer, pid = await channel.async_request(number)
            except ChannelBroken as error:
                print(f"> {type(error).__name__}", flush=True)
                await asyncio.sleep(0.1)
            else:
                assert answer == 2 * number + 1
                print(f"> {number} {pid}", flush=True)

    @bot.on_after_start
    async def asks() -> None:
        await asyncio.gather(*(ask() for _ in range(20)))

    bot.run()


def commanded() -> None:
    """Be a node with processes that other nodes command, and say which nodes come and go."""
    bot = LiteyukiBot()
    node = os.environ["LITEYUKI_NODE"]
    bot.add_process(f"echo-{node}", echo)
    bot.add_process(f"waits-{node}", waits)

    @bot.on_node
    def on_node(node: Member) -> None:
        acting.say(
            ">", node.name, "runs" if node.runs else "stopped" if node.has_stopped else "gone"
        )

    @bot.on_after_start
    async def after_start() -> None:
        await asyncio.gather(*(bot.wait_ready(name, 30) for name in bot.processes))
        acting.say("all run")

    bot.run()


def locking() -> None:
    """Take a lock that all nodes share, say so, and keep it until the end."""
    bot = LiteyukiBot()

    @bot.on_after_start
    async def take() -> None:
        async with shared_memory.lock("lock"):
            print("> has it", flush=True)
            await asyncio.Event().wait()

    bot.run()


def counting() -> None:
    """Have a child that counts in the store which all nodes share."""
    bot = LiteyukiBot()
    bot.add_process(f"w-{os.environ['LITEYUKI_NODE']}", count_in_child)
    bot.run()


def count_in_child() -> None:
    """Add 100, then write what there is as soon as another node has added its own."""
    for _ in range(100):
        shared_memory.incr("n", timeout=60)
    shared_memory["last"] = {"pid": os.getpid()}
    while shared_memory.get("n", stale_ok=True) < 200:
        time.sleep(0.01)
    print(f"> {shared_memory['n']}", flush=True)
