"""Ours: a real LiteyukiBot and a real child, default capacity, all laws switched on.

Data goes over `NAME-active`; how many come, that the child is ready and that it has everything
over `NAME-passive`.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future
from functools import partial
from importlib import metadata
from itertools import cycle
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from workloads import (
    IN_FLIGHT,
    PATIENCE,
    WORKLOADS,
    Report,
    Workload,
    check,
    choose_loop,
    last,
    last_of_each,
    messages,
)

from liteyuki_core import LiteyukiBot
from liteyuki_core.comm import (
    Channel,
    active_channel,
    get_channel,
    passive_channel,
    set_channel,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NAME = "LiteyukiBot"


def version() -> str:
    """Return the version that is measured."""
    return metadata.version("nonebot-plugin-liteyuki-comm")


def one_way(workload: Workload, seconds: float) -> float:
    """Return how many messages a second reach the child's `on_receive`, sent on the bot's loop."""
    return _with_child(_count, workload, seconds, _send)


def one_way_threads(workload: Workload, seconds: float) -> float:
    """Return how many messages a second reach the child's `receive`, sent by a thread."""
    return _with_child(_receive, workload, seconds, _send_in_thread)


def round_trip(workload: Workload, seconds: float) -> float:
    """Return the median time of a message to the child's `on_receive` and back, in seconds."""
    return _with_child(_echo, workload, seconds, _trips)


def round_trip_receive(workload: Workload, seconds: float) -> float:
    """Return the same where the child awaits `async_receive` in a loop."""
    return _with_child(_echo_received, workload, seconds, _trips)


def request_trip(workload: Workload, seconds: float) -> float:
    """Return the median time of a request to the child's `on_request` and its answer, in s."""
    return _with_child(_answer, workload, seconds, _request_trips)


def requests(workload: Workload, seconds: float) -> float:
    """Return how many requests a second the child answers, `IN_FLIGHT` under way at a time."""
    return _with_child(_answer, workload, seconds, _request_in_flight)


def spread(
    workload: Workload,
    seconds: float,
    channels: int = 1,
    children: int = 1,
    pause: int | None = 512,
) -> float:
    """Return how many messages a second reach `children` in all, over `channels` channels each.

    One coroutine a child sends to its channels in turn and lets its loop go on after each `pause`
    messages; with None only where a channel is full.
    """
    choose_loop()
    bot = LiteyukiBot()
    lanes = []
    for child in range(children):
        lane = {f"lane{child}-{number}": Channel[Any]() for number in range(channels)}
        for name, channel in lane.items():
            set_channel(name, channel)
        bot.add_process(f"peer{child}", _child, (partial(_count_spread, list(lane)), workload.name))
        lanes.append(list(lane.values()))
    return run_bot(bot, lambda: _spread(workload, seconds, lanes, pause))


async def _spread(
    workload: Workload, seconds: float, lanes: list[list[Channel[Any]]], pause: int | None
) -> float:
    pool = workload.make_pool()
    passives = [get_channel(f"peer{child}-passive") for child in range(len(lanes))]

    async def send(lane: list[Channel[Any]], count: int) -> None:
        turns = zip(cycle(lane), messages(pool, count))
        for number, (channel, message) in enumerate(turns, 1):
            await channel.async_send(message)
            if pause and number % pause == 0:
                await asyncio.sleep(0)

    async def phase(count: int) -> float:
        for passive in passives:
            await passive.async_send(count)
        for passive in passives:
            await passive.async_receive()
        begun = perf_counter()
        await asyncio.gather(*(send(lane, count) for lane in lanes))
        reports = [await passive.async_receive() for passive in passives]
        took = perf_counter() - begun
        for report in reports:
            check(pool, count, report)
        return took

    count = workload.count(seconds, await phase(workload.warm_up))
    return len(lanes) * count / await phase(count)


async def _one_way(
    send: Callable[[list[Any], int], Awaitable[None]], workload: Workload, seconds: float
) -> float:
    pool = workload.make_pool()
    passive = get_channel("peer-passive")

    async def phase(count: int) -> float:
        await passive.async_send(count)
        await passive.async_receive()
        begun = perf_counter()
        await send(pool, count)
        report = await passive.async_receive()
        took = perf_counter() - begun
        check(pool, count, report)
        return took

    count = workload.count(seconds, await phase(workload.warm_up))
    return count / await phase(count)


async def _send(workload: Workload, seconds: float) -> float:
    channel = get_channel("peer-active")

    async def send(pool: list[Any], count: int) -> None:
        for message in messages(pool, count):
            await channel.async_send(message)

    return await _one_way(send, workload, seconds)


async def _send_in_thread(workload: Workload, seconds: float) -> float:
    channel = get_channel("peer-active")

    def send(pool: list[Any], count: int) -> None:
        for message in messages(pool, count):
            channel.send(message)

    return await _one_way(
        lambda pool, count: asyncio.to_thread(send, pool, count), workload, seconds
    )


async def _trips(workload: Workload, seconds: float) -> float:
    active, passive = get_channel("peer-active"), get_channel("peer-passive")

    async def begin(count: int) -> None:
        await passive.async_send(count)
        await passive.async_receive()

    async def trip(message: Any) -> Any:
        await active.async_send(message)
        return await active.async_receive()

    return await _median_trip(workload, seconds, begin, trip)


async def _request_trips(workload: Workload, seconds: float) -> float:
    async def begin(count: int) -> None:
        pass

    return await _median_trip(workload, seconds, begin, get_channel("peer-active").async_request)


async def _median_trip(
    workload: Workload,
    seconds: float,
    begin: Callable[[int], Awaitable[None]],
    trip: Callable[[Any], Awaitable[Any]],
) -> float:
    pool = workload.make_pool()

    async def phase(count: int) -> list[float]:
        await begin(count)
        took = []
        for message in messages(pool, count):
            begun = perf_counter()
            answer = await trip(message)
            took.append(perf_counter() - begun)
            if answer != message:
                raise AssertionError(f"sent {message!r}, got {answer!r} back")
        return took

    warm_up = await phase(workload.warm_up)
    return median(await phase(workload.count(seconds, sum(warm_up))))


async def _request_in_flight(workload: Workload, seconds: float) -> float:
    pool = workload.make_pool()
    active = get_channel("peer-active")

    async def phase(count: int) -> float:
        left = messages(pool, count)

        async def ask() -> None:
            for message in left:
                answer = await active.async_request(message)
                if answer != message:
                    raise AssertionError(f"sent {message!r}, got {answer!r} back")

        begun = perf_counter()
        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
        return perf_counter() - begun

    count = workload.count(seconds, await phase(10 * workload.warm_up) / 10)
    return count / await phase(count)


def _with_child(
    serve: Callable[[list[Any]], Any],
    workload: Workload,
    seconds: float,
    drive: Callable[[Workload, float], Awaitable[float]],
) -> float:
    choose_loop()
    bot = LiteyukiBot()
    bot.add_process("peer", _child, args=(serve, workload.name))
    return run_bot(bot, lambda: drive(workload, seconds))


def run_bot(bot: LiteyukiBot, drive: Callable[[], Awaitable[float]]) -> float:
    """Run a bot until it has driven its workload; in a folder of its own, as one a folder runs."""
    ended: Future[float] = Future()

    @bot.on_after_start
    async def measure() -> None:
        try:
            ended.set_result(await asyncio.wait_for(drive(), PATIENCE))
        except Exception as error:
            ended.set_exception(error)
        finally:
            bot.stop()

    home = os.getcwd()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        try:
            bot.run()
        finally:
            os.chdir(home)
    if not ended.done():
        raise KeyboardInterrupt
    return ended.result()


def _child(serve: Callable[[list[Any]], Any], name: str) -> Any:
    choose_loop()
    return serve(WORKLOADS[name].make_pool())  # A coroutine is run to its end by the core.


def _count(pool: list[Any]) -> None:
    received = size = expected = 0

    @active_channel.on_receive()
    async def count(data: Any) -> None:
        nonlocal received, size
        received += 1
        size += len(data)
        if received == expected:
            right = data == last(pool, expected)
            await passive_channel.async_send(Report(received, size, right))

    for expected in passive_channel:  # noqa: B007
        received = size = 0
        passive_channel.send("ready")


def _count_spread(names: list[str], pool: list[Any]) -> None:
    received = size = expected = 0
    latest: list[Any] = [None] * len(names)

    def listen(number: int, channel: Channel[Any]) -> None:
        @channel.on_receive()
        async def count(data: Any) -> None:
            nonlocal received, size
            latest[number] = data
            received += 1
            size += len(data)
            if received == expected:
                right = latest == last_of_each(pool, expected, len(names))
                await passive_channel.async_send(Report(received, size, right))

    for number, name in enumerate(names):
        listen(number, get_channel(name))
    for expected in passive_channel:  # noqa: B007
        received = size = 0
        passive_channel.send("ready")


def _receive(pool: list[Any]) -> None:
    for expected in passive_channel:
        received = size = 0
        passive_channel.send("ready")
        while received < expected:
            data = active_channel.receive()
            received += 1
            size += len(data)
        passive_channel.send(Report(received, size, data == last(pool, expected)))


def _echo(pool: list[Any]) -> None:
    @active_channel.on_receive()
    async def echo(data: Any) -> None:
        await active_channel.async_send(data)

    for _ in passive_channel:
        passive_channel.send("ready")


def _answer(pool: list[Any]) -> None:
    @active_channel.on_request()
    async def answer(data: Any) -> Any:
        return data

    for _ in passive_channel:
        passive_channel.send("ready")


async def _echo_received(pool: list[Any]) -> None:
    async for count in passive_channel:
        await passive_channel.async_send("ready")
        for _ in range(count):
            await active_channel.async_send(await active_channel.async_receive())
