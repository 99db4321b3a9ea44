"""Messages flow through a child in three ways while it is killed or restarted: nothing is lost.

The child handles its two channels, by ordered callbacks and by receive(), and one that it
made itself, by callbacks that run beside each other.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from liteyuki_core import Channel, LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel, get_channels, passive_channel, set_channel
from tests.children import acting
from tests.children.acting import AGAIN, say, until

Got = dict[str, list[tuple[int, int]]]
"""For each channel who handled which message, in the order of the answers."""

COUNT = 3000
NAMES = ("w-active", "w-passive", "made")


def worker() -> None:
    made: Channel[Any] = Channel("made", capacity=64)

    @made.on_receive()
    async def concurrent(number: int) -> None:
        await asyncio.sleep(random.random() / 500)
        await made.async_send((os.getpid(), number))

    set_channel("made", made)

    @active_channel.on_receive(ordered=True)
    async def ordered(number: int) -> None:
        await active_channel.async_send((os.getpid(), number))

    for number in passive_channel:
        passive_channel.send((os.getpid(), number))


def collect(got: Got, name: str) -> None:
    @get_channel(name).on_receive()
    async def result(pair: tuple[int, int]) -> None:
        got[name].append(pair)


async def flow(bot: LiteyukiBot, disturb: Callable[[LiteyukiBot, Got], Awaitable[int]]) -> None:
    got: Got = {name: [] for name in NAMES}
    collect(got, "w-active")
    collect(got, "w-passive")
    await until(lambda: "made" in get_channels(), "the child's channel")
    collect(got, "made")

    async def send(name: str) -> None:
        channel = get_channel(name)
        for number in range(COUNT):
            await channel.async_send(number)

    sending = [asyncio.ensure_future(send(name)) for name in NAMES]
    turns = await disturb(bot, got)
    await asyncio.gather(*sending)

    def missing(name: str) -> set[int]:
        return set(range(COUNT)) - {number for _, number in got[name]}

    try:
        await until(lambda: not any(map(missing, NAMES)), "every message was handled")
    except TimeoutError as error:
        left = {name: sorted(missing(name))[:9] for name in NAMES}
        raise TimeoutError(f"{error}; missing: {left}; {bot.channels}") from None
    for name in NAMES:
        capacity = get_channel(name).capacity
        again = len(got[name]) - COUNT
        say(f"{name} {again} handled again")
        assert again <= turns * capacity, (name, again)
        if name == "made":
            continue
        # What one process handles comes in order, and goes on where the one before has stopped.
        handled = -1
        for i, (pid, number) in enumerate(got[name]):
            same = i and got[name][i - 1][0] == pid
            assert number == got[name][i - 1][1] + 1 if same else number <= handled + 1, (name, i)
            handled = max(handled, number)
    for name in NAMES:
        stats = bot.channels[name]
        assert stats["dropped"] == 0, (name, stats)
    assert bot.dead_letters() == []


async def kill(bot: LiteyukiBot, got: Got) -> int:
    process, kills = bot.processes["w"], int(sys.argv[1])
    for turn in range(kills):
        pid, seen = process.pid, {name: len(pairs) for name, pairs in got.items()}
        if turn % 3 == 2:  # While it starts.
            await asyncio.sleep(random.random() / 5)
        else:
            # Nothing may be left to do on a channel whose messages are all handled.
            await until(
                lambda: all(len(got[n]) > seen[n] + 20 or len(got[n]) >= COUNT for n in NAMES),
                f"progress before kill {turn}: {seen} {process}",
            )
        acting.kill(pid)
        await until(lambda: process.pid not in (None, pid), f"a successor after kill {turn}")
    assert process.restarts == kills, process.restarts
    return kills


async def restart(bot: LiteyukiBot, got: Got) -> int:
    process = bot.processes["w"]
    for turn in range(4):
        pid, seen = process.pid, {name: len(pairs) for name, pairs in got.items()}
        await until(
            lambda: all(len(got[n]) > seen[n] + 20 or len(got[n]) >= COUNT for n in NAMES),
            f"progress before restart {turn}",
        )
        bot.restart_process("w")
        bot.restart_process("w")
        await until(lambda: process.pid not in (None, pid), "a successor")
        await bot.wait_ready("w", 20)
    assert process.restarts == 4, process.restarts
    assert process.exitcode is None, process.exitcode
    return 4


def run(disturb: Callable[[LiteyukiBot, Got], Awaitable[int]]) -> None:
    bot = LiteyukiBot()
    bot.add_process("w", worker, restart=AGAIN)
    acting.main(bot, lambda: flow(bot, disturb))


def with_kills() -> None:
    run(kill)


def with_restarts() -> None:
    run(restart)
