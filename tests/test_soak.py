"""A minute of senders that are faster than their receivers: memory flat, nothing lost, in order."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median

import psutil

from tests.conftest import a_little
from tests.program import running, write_files

"""How long is sent."""

TOLERANCE = 2 << 20
"""Bytes by which the median of the last window may be over that of the first."""

SMALL_OBJECT = 48
"""Bytes: an empty object or a small int, and its slot in a list."""

BOT = """
import asyncio
import json
import sys
import threading
import time

from liteyuki_core import Channel, LiteyukiBot, get_channel
from liteyuki_core.comm import set_channel

SECONDS = float(sys.argv[1]) if __name__ == "__main__" else 0.0
PAYLOADS = ["short", "x" * 300, b"y" * 300, {"a": list(range(20))}, ("é" * 50, None)]


class Flow:
    \"\"\"What one end receives, checked as it comes: each message once, in order, none ahead.\"\"\"

    def __init__(self, channel, at_once, threads=False):
        self.channel = channel
        self.at_once = at_once
        self.ahead = at_once if threads else 0  # Threads may get to the lock in any order.
        self.lock = threading.Lock()
        self.begun = self.ended = self.running = self.backlog = self.sum = 0
        self.total = None
        self.wrong = []

    def begin(self, message):
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

    def end(self):
        with self.lock:
            self.running -= 1
            self.ended += 1

    async def handle(self, message):
        self.begin(message)
        await asyncio.sleep(0)
        self.end()

    def handle_in_thread(self, message):
        self.begin(message)
        time.sleep(0.0001)
        self.end()

    def receive(self):
        while self.total is None:
            self.begin(self.channel.receive())
            time.sleep(0.0001)
            self.end()

    async def async_receive(self):
        while self.total is None:
            self.begin(await self.channel.async_receive())
            await asyncio.sleep(0)
            self.end()

    def look(self):
        \"\"\"Note how many messages that arrived are not handled.\"\"\"
        end = self.channel._open()
        with end.lock:
            batch = end._inbox[-1] if end._inbox else None
        if batch is not None:
            self.backlog = max(self.backlog, batch.first + batch.count - self.ended)

    def report(self):
        return {
            "channel": self.channel.name, "capacity": self.channel.capacity,
            "received": self.ended, "total": self.total, "sum": self.sum,
            "backlog": self.backlog, "wrong": self.wrong[:5],
        }


def messages(seconds):
    stop = time.monotonic() + seconds
    number = 0
    while time.monotonic() < stop:
        yield number, PAYLOADS[number % len(PAYLOADS)]
        number += 1
    yield number, "end"


def send(channel, seconds):
    for message in messages(seconds):
        channel.send(message)


async def async_send(channel, seconds):
    for message in messages(seconds):
        await channel.async_send(message)


def open_flows(process):
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


def finish(process, flows):
    while any(flow.ended != flow.total for flow in flows.values()):
        for flow in flows.values():
            flow.look()
        time.sleep(0.02)
    print(f"{process} reports", json.dumps([flow.report() for flow in flows.values()]), flush=True)


def start(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def peer(seconds):
    flows = open_flows("child")
    for name in ("active", "small"):
        start(send, flows[name].channel, seconds)
    start(asyncio.run, async_send(flows["passive"].channel, seconds))
    start(finish, "child", flows)
    flows["passive"].receive()
    threading.Event().wait()


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("peer", peer, args=(SECONDS,))
    set_channel("small", Channel(capacity=16))

    @bot.on_after_start
    async def run():
        flows = open_flows("main")
        start(send, flows["passive"].channel, SECONDS)
        start(finish, "main", flows)
        await asyncio.gather(
            async_send(flows["active"].channel, SECONDS),
            async_send(flows["small"].channel, SECONDS),
            flows["passive"].async_receive(),
        )

    bot.run()
"""


@a_little(24, 60)
def test_senders_faster_than_receivers(
    tmp_path: Path, environment: dict[str, str], times: int
) -> None:
    """Both directions, sync and async, with concurrency bounds."""
    seconds = times
    settled = seconds / 6  # From then on memory has to stay flat; as long are what is compared.
    write_files(tmp_path, {"bot.py": BOT})
    samples: list[tuple[float, int, int]] = []
    with running(tmp_path, environment, "bot.py", str(seconds)) as bot:
        pid = int(bot.wait_for_line(r"process peer started \(pid (\d+)\)")[1])
        processes = psutil.Process(bot.process.pid), psutil.Process(pid)
        begun = time.monotonic()

        def ended() -> bool:
            now = time.monotonic() - begun
            if now < seconds and (not samples or now - samples[-1][0] > 0.1):
                main, child = (process.memory_info().rss for process in processes)
                samples.append((now, main, child))
            return len(bot.found("reports")) == 2

        bot.wait_until(ended, "all is received", 2 * seconds + 20)
        assert bot.stop() == 0
        assert not bot.found("Traceback")
        reports = [json.loads(match[1]) for match in bot.found(r"reports (.*)")]

    for flow in (flow for report in reports for flow in report):
        assert flow["wrong"] == []
        assert flow["received"] == flow["total"]
        assert flow["sum"] == sum(range(flow["total"]))
        assert flow["capacity"] / 4 < flow["backlog"] <= flow["capacity"], flow
    between = (seconds - 2 * settled) / seconds
    for report in reports:
        received = sum(flow["received"] for flow in report)
        assert received * between * SMALL_OBJECT > TOLERANCE, "too few to show a leak"
    for which in (1, 2):
        first = median(s[which] for s in samples if settled <= s[0] < 2 * settled)
        last = median(s[which] for s in samples if s[0] >= seconds - settled)
        assert last - first < TOLERANCE, f"{first} bytes grew to {last}"
