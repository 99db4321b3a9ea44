"""The main process: beside the hostile child it has a good one, and nobody but the first suffers.

`python -m tests.children hostile.bot GROUP EVERY`: the acts of a module here, or each EVERY-th.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from importlib import import_module

import psutil

from liteyuki_core import LiteyukiBot, get_channel, logger, shared_memory
from liteyuki_core.comm import active_channel
from liteyuki_core.process import ProcessState, RestartPolicy, life
from tests.children import acting
from tests.children.acting import say, until
from tests.children.hostile.forge import ACTS, Act

AGAIN = RestartPolicy("always", max_restarts=10_000, backoff=0.01, max_backoff=0.01)
STALL = 4.0
"""Seconds; the machine may be busy with other tests."""
GROWTH = 128
"""MB."""


def acts_of(group: str) -> dict[str, Act]:
    """Return the acts that a module registers."""
    import_module(f"{__package__}.{group}")
    return ACTS


def good() -> None:
    for number in active_channel:
        active_channel.send(number)


def hostile(group: str) -> None:
    acts = acts_of(group)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while (name := shared_memory.get("act")) is None:
        time.sleep(0.01)
    shared_memory.delete("act")
    acts[name].do()
    shared_memory["done"] = name
    while True:
        time.sleep(1)


async def play(bot: LiteyukiBot, chosen: dict[str, Act]) -> None:
    lines: list[str] = []
    logger.add(lines.append, format="{level} {message}")
    main = psutil.Process()
    beats = [time.monotonic(), 0.0, 0]
    sent = [0]
    got: list[int] = []

    async def beat() -> None:
        while True:
            now = time.monotonic()
            beats[1] = max(beats[1], now - beats[0])
            beats[0] = now
            beats[2] = max(beats[2], main.memory_info().rss >> 20)
            await asyncio.sleep(0.01)

    @get_channel("good-active").on_receive(ordered=True)
    async def back(number: int) -> None:
        got.append(number)

    async def send() -> None:
        while True:
            await get_channel("good-active").async_send(sent[0])
            sent[0] += 1
            await asyncio.sleep(0.005)

    tasks = [asyncio.ensure_future(beat()), asyncio.ensure_future(send())]
    process, other = bot.processes["h"], bot.processes["good"]
    await until(lambda: process.state is ProcessState.RUNNING, "the hostile child")
    await until(lambda: other.state is ProcessState.RUNNING, "the good child")
    pid = other.pid
    await until(lambda: len(got) > 10, "the good child answers")
    before = beats[2]
    for name, (_, why, aside) in chosen.items():
        del lines[:]
        beats[1] = 0.0
        beats[2] = 0
        victim = process.pid
        begun = time.monotonic()
        await shared_memory.async_set("act", name)
        await until(lambda: "act" not in shared_memory, f"{name} begins")
        if aside is not None:
            await aside()

        def said() -> list[str]:
            return [line for line in lines if "process h: its link is ended" in line]

        if why is None:
            await until(
                lambda: shared_memory.get("done") == name or said(), lambda: f"{name}: {lines}"
            )
        elif why == "stuck":
            await asyncio.sleep(2)
        elif why:
            await until(said, lambda: f"an end of {name}; {lines}")
        if not why or why == "stuck":
            assert not said(), (name, said())
            if why != "":
                try:
                    acting.kill(victim)
                except ProcessLookupError:
                    pass  # An answer to what it has forged has ended it.
        else:
            assert len(said()) == 1 and why in said()[0], (name, said())
            assert said()[0].startswith("ERROR ") and len(said()[0]) < 700, said()
        await until(
            lambda: process.pid not in (victim, None), lambda: f"a successor after {name}: {lines}"
        )
        await until(lambda: process.state is ProcessState.RUNNING, "it runs")
        seen = len(got)
        await until(lambda: len(got) > seen + 20, lambda: f"the good child after {name}: {lines}")
        assert other.pid == pid and other.restarts == 0, name
        assert beats[1] < STALL, (name, "main stood still", beats[1])
        grown = beats[2] - before
        assert grown < GROWTH, (name, "main has grown", grown, "MB")
        wrong = [line for line in lines if "Traceback" in line or " | " in line]
        assert not wrong, (name, wrong)
        seconds = time.monotonic() - begun
        say(f"{name}: {seconds:.2f} s, stood still for {beats[1]:.3f} s, grown by {grown} MB")
    for task in tasks:
        task.cancel()
    await until(lambda: len(got) >= sent[0], "all came back")
    assert got == list(range(len(got))), "in order, none lost"


def main() -> None:
    life._LEAVE_SECONDS = 1.0
    group, every = sys.argv[1], int(sys.argv[2])
    bot = LiteyukiBot()
    bot.add_process("good", good)
    bot.add_process("h", hostile, (group,), restart=AGAIN)
    chosen = dict(list(acts_of(group).items())[::every])
    acting.main(bot, lambda: play(bot, chosen))
