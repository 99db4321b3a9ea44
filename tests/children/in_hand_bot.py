"""The main process of in_hand.py: it stops its children while they have messages in hand."""

from __future__ import annotations

import asyncio
import random

from liteyuki_core import Channel, ChannelClosed, LiteyukiBot, get_channel
from liteyuki_core.comm import set_channel
from liteyuki_core.process import ProcessState
from tests.children import acting, facts
from tests.children.in_hand import ASKS, HANDLING, PLAN

NONEBOT_FLOWS = ("hook", "async_hook", "nonebot_callback", "nonebot_sync_callback")
"""What the one NoneBot child serves, each on a channel of its own; see in_hand_plugin.py."""


def flow_channels(process: str, flow: str) -> list[str]:
    """Return the names of the channels on which the messages of a flow go."""
    if process == "nonebot":
        return ["nonebot-active" if flow == "hook" else f"nonebot-{flow}"]
    return [f"{process}-active", *([f"{process}-more"] if "select" in flow else [])]


class Flow:
    """Numbers that go to one child, and their reports, which come back."""

    def __init__(self, process: str, flow: str) -> None:
        self.process = process
        self.flow = flow
        self.channels = [get_channel(name) for name in flow_channels(process, flow)]
        self.sent = 0
        self.reported: set[int] = set()
        self.feeding = True

    async def feed(self) -> None:
        """Keep some under way."""
        while self.feeding:
            if self.sent - len(self.reported) < 4:
                await self.send()
            await asyncio.sleep(0.02)

    async def send(self) -> None:
        """Send one more; not while the child is stopped, for then it is refused."""
        try:
            await self.channels[self.sent % len(self.channels)].async_send(self.sent)
        except ChannelClosed:
            return
        facts.note("main", "sent", self.flow, self.sent)
        self.sent += 1

    @property
    def missing(self) -> list[int]:
        return sorted(set(range(self.sent)) - self.reported)


class Child:
    """A child with its flows, which is stopped while each of them has something in hand."""

    def __init__(self, bot: LiteyukiBot, name: str, flows: list[Flow]) -> None:
        self.bot = bot
        self.name = name
        self.flows = {flow.flow: flow for flow in flows}

    def collect(self) -> None:
        """Take what comes, also while all stops: callbacks go on then, hooks do not."""

        @get_channel(f"{self.name}-passive").on_receive(ordered=True)
        async def take(message: tuple[str, int, Channel[int] | None]) -> None:
            name, number, reply = message
            self.take(self.flows[name], number, reply)

    def take(self, flow: Flow, number: int, reply: Channel[int] | None) -> None:
        if reply is None:
            self.reported(flow, number)
        else:
            asyncio.get_running_loop().call_later(HANDLING, self.answer, flow, number, reply)

    def answer(self, flow: Flow, number: int, reply: Channel[int]) -> None:
        try:
            reply.send(number)
        except ChannelClosed as error:
            acting.say(f"{flow.flow}: no answer to {number}: {error}")
        else:
            self.reported(flow, number)

    def reported(self, flow: Flow, number: int) -> None:
        facts.note("main", "reported", flow.flow, number)
        flow.reported.add(number)

    def in_hand(self) -> dict[str, set[int]]:
        """Return what the process that runs now has begun and not ended."""
        process = self.bot.processes[self.name]
        found: dict[str, set[int]] = {flow: set() for flow in self.flows}
        if process.state is ProcessState.RUNNING:
            for fact in facts.read(process=self.name, pid=process.pid):
                flow, number = fact.details
                (found[flow].add if fact.kind == "begin" else found[flow].discard)(number)
        return found

    async def have_in_hand(self) -> None:
        await acting.until(
            lambda: all(self.in_hand().values()),
            lambda: f"{self.name} has something in hand: {self.in_hand()}",
            20 + 5 * HANDLING,
        )

    async def go_on(self, rounds: list[str]) -> None:
        process = self.bot.processes[self.name]
        for kind in rounds:
            await self.have_in_hand()
            await asyncio.sleep(random.uniform(0, min(HANDLING, 0.15)))
            pid = process.pid
            facts.note("main", kind, self.name)
            if kind == "restart":
                self.bot.restart_process(self.name)
                await acting.until(lambda: process.pid != pid, "a successor")
            else:
                self.bot.stop_process(self.name)
                await acting.until(lambda: process.state is ProcessState.STOPPED, "stopped")
                self.bot.start_process(self.name)
            await self.bot.wait_ready(self.name, 30)

    async def finish(self) -> None:
        """Wait until everything is reported, then have each flow in hand one more message."""
        for flow in self.flows.values():
            flow.feeding = False
        await acting.until(
            lambda: not any(flow.missing for flow in self.flows.values()),
            lambda: (
                f"{self.name}: not reported: "
                f"{ {name: flow.missing for name, flow in self.flows.items()} }"
            ),
            10 + 5 * HANDLING,
        )


async def act(children: list[Child]) -> None:
    flows = [flow for child in children for flow in child.flows.values()]
    for child in children:
        child.collect()
    tasks = [asyncio.ensure_future(flow.feed()) for flow in flows]

    async def play(child: Child) -> None:
        await child.go_on(PLAN["rounds"])
        await child.finish()

    failures = await asyncio.gather(*map(play, children), return_exceptions=True)
    for failure in filter(None, failures):
        acting.say(f"{failure}")
    # All end while each has one more in hand.
    for flow in flows:
        await flow.send()
    if not any(failures):
        await asyncio.gather(*(child.have_in_hand() for child in children))
    for task in tasks:
        task.cancel()


def _make_bot() -> tuple[LiteyukiBot, list[Child]]:
    bot = LiteyukiBot()
    children = []
    for way in PLAN["ways"]:
        served = flows = [way]
        if way == "nonebot":
            # What a callback waits for goes on during a stop; for a hook that is not promised.
            served, flows = list(NONEBOT_FLOWS), list(NONEBOT_FLOWS[2:] if ASKS else NONEBOT_FLOWS)
            options = {"plugins": ["tests.children.in_hand_plugin"], "driver": "~none"}
            run = "liteyuki_core.frameworks.nonebot:run"
            bot.add_process("nonebot", run, kwargs=options)
        else:
            bot.add_process(way, f"tests.children.in_hand:{way}", (way,))
        for flow in served:
            for name in flow_channels(way, flow):
                if not name.endswith("-active"):
                    set_channel(name, Channel(name))
        children.append(Child(bot, way, [Flow(way, flow) for flow in flows]))
    return bot, children


def main() -> None:
    bot, children = _make_bot()
    acting.main(bot, lambda: act(children))
