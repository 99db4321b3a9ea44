"""Some time of everything that can happen to children, while messages flow: nothing is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import a_little
from tests.program import ACTING, Program, running, went_well, write_files

_BOT = """
import random
import signal
import sys

import psutil

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.process import ProcessState, RestartPolicy
from workers import callbacks, loops, receives

NAMES = ("receives", "callbacks", "loops", "nonebot")
SECONDS, SEED = float(sys.argv[1]), int(sys.argv[2])
AGAIN = RestartPolicy(max_restarts=100_000, backoff=0.02, max_backoff=0.1)


class Flow:
    '''What goes to one child and comes back.'''

    def __init__(self, name):
        self.requests, self.answers = get_channel(f"{name}-active"), get_channel(f"{name}-passive")
        self.sent = self.doubled = 0
        self.answered = set()
        self.paused = False

    async def send(self):
        while True:
            if not self.paused:
                await self.requests.async_send(self.sent)
                self.sent += 1
            await asyncio.sleep(0.004)

    async def collect(self):
        async for number in self.answers:
            self.doubled += number in self.answered
            self.answered.add(number)

    @property
    def lost(self):
        return self.sent - len(self.answered)


class Trouble:
    '''What happens to children: one thing to one child, chosen by chance.'''

    def __init__(self, bot, flows):
        self.bot, self.flows = bot, flows
        self.random = random.Random(SEED)
        self.happened = {}

    def signal(self, name, number):
        try:
            os.kill(self.bot.processes[name].pid, number)
        except (ProcessLookupError, TypeError):
            pass  # It has no process just now.

    async def kill(self, name):
        self.signal(name, signal.SIGKILL)

    async def freeze(self, name):
        self.signal(name, signal.SIGSTOP)
        pid = self.bot.processes[name].pid
        await asyncio.sleep(self.random.uniform(0.1, 1.5))
        if pid == self.bot.processes[name].pid:
            self.signal(name, signal.SIGCONT)

    async def fail(self, name):
        await self.flows[name].requests.async_send("raise")

    async def exit(self, name):
        await self.flows[name].requests.async_send(f"exit {self.random.random()}")

    async def restart(self, name):
        self.bot.restart_process(name)

    async def restart_and_kill(self, name):
        self.bot.restart_process(name)
        await asyncio.sleep(self.random.uniform(0, 0.3))
        self.signal(name, signal.SIGKILL)

    async def reload(self, name):
        with open(f"watched/{name}.py", "a") as file:
            file.write("# changed\\n")

    async def go_on(self, seconds):
        kinds = (self.kill, self.freeze, self.fail, self.exit, self.restart,
                 self.restart_and_kill, self.reload)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name, kind = self.random.choice(NAMES), self.random.choice(kinds)
            self.happened[kind.__name__] = self.happened.get(kind.__name__, 0) + 1
            await kind(name)
            await asyncio.sleep(self.random.uniform(0.05, 0.6))


def held():
    me = psutil.Process()
    return me.num_fds(), me.num_threads()


if __name__ == "__main__":
    bot = LiteyukiBot()
    for target in (receives, callbacks, loops):
        name = target.__name__
        bot.add_process(name, target, restart=AGAIN, watch=[f"watched/{name}.py"])
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run", restart=AGAIN,
                    kwargs={"plugins": ["bot_plugin"]}, watch=["watched/nonebot.py"])
    flows = {name: Flow(name) for name in NAMES}
    trouble = Trouble(bot, flows)

    async def all_run(seconds=60):
        for name in NAMES:
            await bot.wait_ready(name, seconds)

    async def all_answered():
        for name, flow in flows.items():
            await until(lambda: not flow.lost, lambda: f"{name}: {flow.lost} of {flow.sent} lost")

    async def act():
        tasks = [asyncio.ensure_future(step) for flow in flows.values()
                 for step in (flow.send(), flow.collect())]
        await all_run()
        for name in NAMES:  # Each has been started again once: what that opens is open.
            bot.restart_process(name)
        await all_run()
        before = held()
        await trouble.go_on(SECONDS)
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
            say(name, flow.sent, "sent,", flow.doubled, "doubled,",
                bot.processes[name].restarts, "restarts")
        for task in tasks:
            task.cancel()

    main(bot, act)
"""

_WORKERS = """
import asyncio
import os

from liteyuki_core import shared_memory
from liteyuki_core.comm import active_channel, passive_channel


def meet(request):
    '''Return the answer to a request, or do what it says, but not again after the crash.'''
    if not isinstance(request, str):
        return request
    if request == "raise":
        raise ValueError("as it was told")
    if shared_memory.incr(request) == 1:
        os._exit(7)
    return None


async def async_meet(request):
    if isinstance(request, str) and request.startswith("exit"):
        if await shared_memory.async_incr(request) == 1:
            os._exit(7)
        return None
    return meet(request)


def receives():
    for request in active_channel:
        try:
            answer = meet(request)
        except ValueError:
            continue
        if answer is not None:
            passive_channel.send(answer)


def callbacks():
    import threading

    @active_channel.on_receive()
    def on_request(request):
        answer = meet(request)
        if answer is not None:
            passive_channel.send(answer)

    threading.Event().wait()


async def loops():
    async for request in active_channel:
        try:
            answer = await async_meet(request)
        except ValueError:
            os._exit(8) if await shared_memory.async_incr("failures") % 2 else None
            continue
        if answer is not None:
            await passive_channel.async_send(answer)
"""

_PLUGIN = """
from liteyuki_core.comm import active_channel, passive_channel
from workers import async_meet


@active_channel.on_receive(ordered=True)
async def on_request(request):
    answer = await async_meet(request)
    if answer is not None:
        await passive_channel.async_send(answer)
"""


def project(folder: Path) -> None:
    """Write a project with four children, one of them NoneBot, and a watched file for each."""
    files = {"bot.py": ACTING + _BOT, "workers.py": _WORKERS, "bot_plugin.py": _PLUGIN}
    for name in ("receives", "callbacks", "loops", "nonebot"):
        files[f"watched/{name}.py"] = "# a file\n"
    write_files(folder, files)


@pytest.mark.skipif(sys.platform == "win32", reason="it sends signals as Unix has them")
@a_little(8, 60)
def test_chaos(tmp_path: Path, environment: dict[str, str], times: int) -> None:
    """SIGKILL, SIGSTOP, exceptions, exits, restarts and reloads of four children."""
    project(tmp_path)
    environment |= {"DRIVER": "~none", "LITEYUKI_MAX_REDELIVERIES": "1000", "PYTHONPATH": "."}
    environment |= {"LITEYUKI_LOG_FILE": "log/bot.log"}
    with running(tmp_path, environment, "bot.py", str(times), "2026") as bot:
        bot.wait_for_line("^happened", timeout=times + 120)
        _well(bot)


def _well(bot: Program) -> None:
    went_well(bot)
    assert not bot.found("is given up|has ended with .* not acknowledged|can't be"), bot.output
    assert not bot.found("ignored its cancellation|did not end in time"), bot.output
