"""The main process of chaos.py: kills, freezes, exceptions, exits, restarts and reloads.

`python -m tests.children chaos_bot SECONDS SEED`, with a file of each child in `watched`.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from contextlib import suppress

import psutil

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.process import ProcessState, RestartPolicy
from tests.children import acting
from tests.children.acting import say, until
from tests.children.chaos import callbacks, loops, receives

assert sys.platform != "win32", "it sends signals as Unix has them"

NAMES = ("receives", "callbacks", "loops", "nonebot")
AGAIN = RestartPolicy(max_restarts=100_000, backoff=0.02, max_backoff=0.1)


class Flow:
    """What goes to one child and comes back."""

    def __init__(self, name: str) -> None:
        self.requests, self.answers = get_channel(f"{name}-active"), get_channel(f"{name}-passive")
        self.sent = self.doubled = 0
        self.answered: set[int] = set()
        self.paused = False

    async def send(self) -> None:
        while True:
            if not self.paused:
                await self.requests.async_send(self.sent)
                self.sent += 1
            await asyncio.sleep(0.004)

    async def collect(self) -> None:
        async for number in self.answers:
            self.doubled += number in self.answered
            self.answered.add(number)

    @property
    def lost(self) -> int:
        return self.sent - len(self.answered)


class Trouble:
    """What happens to children: one thing to one child, chosen by chance."""

    def __init__(self, bot: LiteyukiBot, flows: dict[str, Flow], seed: int) -> None:
        self.bot, self.flows = bot, flows
        self.random = random.Random(seed)
        self.happened: dict[str, int] = {}

    def signal(self, name: str, number: int) -> None:
        pid = self.bot.processes[name].pid
        if pid is not None:  # Or it has no process just now.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)

    async def freeze(self, name: str) -> None:
        self.signal(name, signal.SIGSTOP)
        pid = self.bot.processes[name].pid
        await asyncio.sleep(self.random.uniform(0.1, 1.5))
        if pid == self.bot.processes[name].pid:
            self.signal(name, signal.SIGCONT)

    async def fail(self, name: str) -> None:
        await self.flows[name].requests.async_send("raise")

    async def exit(self, name: str) -> None:
        await self.flows[name].requests.async_send(f"exit {self.random.random()}")

    async def restart(self, name: str) -> None:
        self.bot.restart_process(name)

    async def restart_and_kill(self, name: str) -> None:
        self.bot.restart_process(name)
        await asyncio.sleep(self.random.uniform(0, 0.3))
        self.signal(name, signal.SIGKILL)

    async def reload(self, name: str) -> None:
        with open(f"watched/{name}.py", "a") as file:
            file.write("# changed\n")

    async def go_on(self, seconds: float) -> None:
        kinds = (
            self.kill,
            self.freeze,
            self.fail,
            self.exit,
            self.restart,
            self.restart_and_kill,
            self.reload,
        )
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name, kind = self.random.choice(NAMES), self.random.choice(kinds)
            self.happened[kind.__name__] = self.happened.get(kind.__name__, 0) + 1
            await kind(name)
            await asyncio.sleep(self.random.uniform(0.05, 0.6))


def held() -> tuple[int, int]:
    me = psutil.Process()
    return me.num_fds(), me.num_threads()


def main() -> None:
    seconds, seed = float(sys.argv[1]), int(sys.argv[2])
    bot = LiteyukiBot()
    for target in (receives, callbacks, loops):
        name = target.__name__
        bot.add_process(name, target, restart=AGAIN, watch=[f"watched/{name}.py"])
    bot.add_process(
        "nonebot",
        "liteyuki_core.frameworks.nonebot:run",
        restart=AGAIN,
        kwargs={"plugins": ["tests.children.chaos_plugin"]},
        watch=["watched/nonebot.py"],
    )
    flows = {name: Flow(name) for name in NAMES}
    trouble = Trouble(bot, flows, seed)

    async def all_run() -> None:
        for name in NAMES:
            await bot.wait_ready(name, 60)

    async def all_answered() -> None:
        for name, flow in flows.items():
            await until(lambda: not flow.lost, lambda: f"{name}: {flow.lost} of {flow.sent} lost")

    async def act() -> None:
        tasks = [
            asyncio.ensure_future(step)
            for flow in flows.values()
            for step in (flow.send(), flow.collect())
        ]
        await all_run()
        for name in NAMES:  # Each has been started again once: what that opens is open.
            bot.restart_process(name)
        await all_run()
        before = held()
        await trouble.go_on(seconds)
        for flow in flows.values():
            flow.paused = True
        for name in NAMES:
            trouble.signal(name, signal.SIGCONT)
        await all_answered()
        await until(  # A last reload may still be about to begin, or under way.
            lambda: all(bot.processes[name].state is ProcessState.RUNNING for name in NAMES),
            lambda: f"all run: {bot.processes}",
        )
        assert not bot.dead_letters()
        await until(lambda: held() <= before, lambda: f"{held()} are held, {before} before")
        say("happened", trouble.happened)
        for name, flow in flows.items():
            say(
                name,
                flow.sent,
                "sent,",
                flow.doubled,
                "doubled,",
                bot.processes[name].restarts,
                "restarts",
            )
        for task in tasks:
            task.cancel()

    acting.main(bot, act)
