"""Senders faster than their receivers, both ways: `python -m tests.children soak SECONDS`."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from liteyuki_core import Channel, LiteyukiBot, get_channel
from liteyuki_core.comm import set_channel

PAYLOADS = ["short", "x" * 300, b"y" * 300, {"a": list(range(20))}, ("é" * 50, None)]


class Flow:
    """What one end receives, checked as it comes: each message once, in order, none ahead."""

    def __init__(self, channel: Channel[Any], at_once: int, threads: bool = False) -> None:
        self.channel = channel
        self.at_once = at_once
        self.ahead = at_once if threads else 0  # Threads may get to the lock in any order.
        self.lock = threading.Lock()
        self.begun = self.ended = self.running = self.backlog = self.sum = 0
        self.total: int | None = None
        self.wrong: list[str] = []

    def begin(self, message: tuple[int, Any]) -> None:
        number, payload = message
        with self.lock:
            self.running += 1
            if abs(number - self.begun) > self.ahead:
                self.wrong.append(f"{number} came instead of {self.begun}")
            if self.running > self.at_once:
                self.wrong.append(f"{self.running} at once")
            if payload == "end":
                self.total = number + 1
            elif payload != PAYLOADS[number % len(PAYLOADS)]:
                self.wrong.append(f"{number} has {payload!r}")
            self.begun += 1
            self.sum += number

    def end(self) -> None:
        with self.lock:
            self.running -= 1
            self.ended += 1

    async def handle(self, message: tuple[int, Any]) -> None:
        self.begin(message)
        await asyncio.sleep(0)
        self.end()

    def handle_in_thread(self, message: tuple[int, Any]) -> None:
        self.begin(message)
        time.sleep(0.0001)
        self.end()

    def receive(self) -> None:
        while self.total is None:
            self.begin(self.channel.receive())
            time.sleep(0.0001)
            self.end()

    async def async_receive(self) -> None:
        while self.total is None:
            self.begin(await self.channel.async_receive())
            await asyncio.sleep(0)
            self.end()

    def look(self) -> None:
        """Note how many messages that arrived are not handled."""
        end = self.channel._open()
        with end.lock:
            batch = end.receiving._inbox[-1] if end.receiving._inbox else None
        if batch is not None:
            self.backlog = max(self.backlog, batch.first + batch.count - self.ended)

    def report(self) -> dict[str, Any]:
        return {
            "channel": self.channel.name,
            "capacity": self.channel.capacity,
            "received": self.ended,
            "total": self.total,
            "sum": self.sum,
            "backlog": self.backlog,
            "wrong": self.wrong[:5],
        }


def messages(seconds: float) -> Iterator[tuple[int, Any]]:
    stop = time.monotonic() + seconds
    number = 0
    while time.monotonic() < stop:
        yield number, PAYLOADS[number % len(PAYLOADS)]
        number += 1
    yield number, "end"


def send(channel: Channel[Any], seconds: float) -> None:
    for message in messages(seconds):
        channel.send(message)


async def async_send(channel: Channel[Any], seconds: float) -> None:
    for message in messages(seconds):
        await channel.async_send(message)


def open_flows(process: str) -> dict[str, Flow]:
    active, passive, small = map(get_channel, ("peer-active", "peer-passive", "small"))
    threads = process == "main"
    flows = {
        "active": Flow(active, 4, threads),
        "passive": Flow(passive, 1),
        "small": Flow(small, 2),
    }
    if threads:
        active.on_receive(concurrency=4)(flows["active"].handle_in_thread)
    else:
        active.on_receive(concurrency=4)(flows["active"].handle)
    small.on_receive(concurrency=2)(flows["small"].handle)
    return flows


def finish(process: str, flows: dict[str, Flow]) -> None:
    while any(flow.ended != flow.total for flow in flows.values()):
        for flow in flows.values():
            flow.look()
        time.sleep(0.02)
    print(f"{process} reports", json.dumps([flow.report() for flow in flows.values()]), flush=True)


def start(function: Callable[..., object], *args: object) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


def peer(seconds: float) -> None:
    flows = open_flows("child")
    for name in ("active", "small"):
        start(send, flows[name].channel, seconds)
    start(asyncio.run, async_send(flows["passive"].channel, seconds))
    start(finish, "child", flows)
    flows["passive"].receive()
    threading.Event().wait()


def main() -> None:
    seconds = float(sys.argv[1])
    bot = LiteyukiBot()
    bot.add_process("peer", peer, args=(seconds,))
    set_channel("small", Channel(capacity=16))

    @bot.on_after_start
    async def run() -> None:
        flows = open_flows("main")
        start(send, flows["passive"].channel, seconds)
        start(finish, "main", flows)
        await asyncio.gather(
            async_send(flows["active"].channel, seconds),
            async_send(flows["small"].channel, seconds),
            flows["passive"].async_receive(),
        )

    bot.run()
