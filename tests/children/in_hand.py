"""Children that have a message in hand when they are stopped: a target for each way of receiving.

Their main process is in_hand_bot.py. The environment variable IN_HAND has the plan, as JSON:
`ways`, `handling` (seconds), `rounds` ("restart" or "stop" each) and `asks`: whether the handling
of a message waits for an answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time

from liteyuki_core import Channel, get_channel
from liteyuki_core.comm import (
    active_channel,
    async_select,
    passive_channel,
    select,
)
from liteyuki_core.errors import ChannelEmpty, ChannelTimeout
from tests.children import facts

PLAN = json.loads(os.environ["IN_HAND"])
HANDLING: float = PLAN["handling"]
ASKS: bool = PLAN["asks"]

# ------------------------------------------------------------- handling


class Hand:
    """Handles the messages of one flow: takes its time, reports, and writes down what it does."""

    def __init__(self, process: str, flow: str) -> None:
        self.process = process
        self.flow = flow

    def handle(self, number: int) -> None:
        """On a thread."""
        facts.note(self.process, "begin", self.flow, number)
        if ASKS:
            reply: Channel[int] = Channel()
            passive_channel.send((self.flow, number, reply))
            assert reply.receive() == number
        else:
            time.sleep(HANDLING)
            passive_channel.send((self.flow, number, None))
        facts.note(self.process, "end", self.flow, number)

    async def async_handle(self, number: int) -> None:
        """On a loop."""
        facts.note(self.process, "begin", self.flow, number)
        if ASKS:
            reply: Channel[int] = Channel()
            await passive_channel.async_send((self.flow, number, reply))
            assert await reply.async_receive() == number
        else:
            await asyncio.sleep(HANDLING)
            await passive_channel.async_send((self.flow, number, None))
        facts.note(self.process, "end", self.flow, number)


def hand(way: str) -> Hand:
    """Return the hand of a child that has one flow."""
    return Hand(way, way)


# ------------------------------------------------------------- ways of receiving, in plain children


def receive(way: str) -> None:
    handle = hand(way).handle
    while True:
        handle(active_channel.receive())


def iterate(way: str) -> None:
    handle = hand(way).handle
    for number in active_channel:
        handle(number)


def receive_in_time(way: str) -> None:
    handle = hand(way).handle
    while True:
        try:
            number = active_channel.receive(timeout=0.05)
        except ChannelTimeout:
            continue
        handle(number)


def poll(way: str) -> None:
    handle = hand(way).handle
    while True:
        try:
            number = active_channel.receive_nowait()
        except ChannelEmpty:
            time.sleep(0.01)
        else:
            handle(number)


def select_two(way: str) -> None:
    handle = hand(way).handle
    for _, number in select(active_channel, get_channel(f"{way}-more")):
        handle(number)


def in_thread(way: str) -> None:
    _in_threads(way, 1)


def two_threads(way: str) -> None:
    _in_threads(way, 2)


def _in_threads(way: str, count: int) -> None:
    threads = [threading.Thread(target=iterate, args=(way,), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def async_receive(way: str) -> None:
    handle = hand(way).async_handle
    while True:
        await handle(await active_channel.async_receive())


async def async_iterate(way: str) -> None:
    handle = hand(way).async_handle
    async for number in active_channel:
        await handle(number)


async def async_receive_in_time(way: str) -> None:
    handle = hand(way).async_handle
    while True:
        try:
            number = await active_channel.async_receive(timeout=0.05)
        except ChannelTimeout:
            continue
        await handle(number)


async def three_tasks(way: str) -> None:
    await asyncio.gather(*(async_iterate(way) for _ in range(3)))


async def async_select_two(way: str) -> None:
    handle = hand(way).async_handle
    async for _, number in async_select(active_channel, get_channel(f"{way}-more")):
        await handle(number)


def callback(way: str) -> None:
    active_channel.on_receive()(hand(way).async_handle)
    threading.Event().wait()


def sync_callback(way: str) -> None:
    active_channel.on_receive()(hand(way).handle)
    threading.Event().wait()


def ordered_callback(way: str) -> None:
    active_channel.on_receive(ordered=True)(hand(way).async_handle)
    threading.Event().wait()


def ordered_sync_callback(way: str) -> None:
    active_channel.on_receive(ordered=True)(hand(way).handle)
    threading.Event().wait()


async def bounded_callback(way: str) -> None:
    active_channel.on_receive(concurrency=2)(hand(way).async_handle)
    await asyncio.Event().wait()


def filtered_callback(way: str) -> None:
    async def wanted(number: int) -> bool:
        await asyncio.sleep(0.02)
        return True

    active_channel.on_receive(wanted)(hand(way).async_handle)
    threading.Event().wait()
