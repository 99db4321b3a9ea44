"""The main process of a topology: it takes part as its children do, and does things to them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Any

from liteyuki_core import LiteyukiBot
from liteyuki_core.process import ProcessState, RestartPolicy
from tests import topologies
from tests.children import acting, facts, lines
from tests.children.topology import CLOSE, ENOUGH, GO, Node, load

assert sys.platform != "win32", "it sends signals as Unix has them"

AGAIN = RestartPolicy(mode="always", max_restarts=1000, backoff=0.01, max_backoff=0.02)
_PATIENCE = 9.0
"""Seconds without anything new after which nothing will come: longer than anybody waits there."""
_ENDING_SECONDS = 4.0


class Trouble:
    """What the main process does to its children."""

    def __init__(self, bot: LiteyukiBot, plan: dict[str, Any]) -> None:
        self.bot = bot
        self.plan = plan

    def signal(self, process: str, number: int) -> int | None:
        """Send a signal to the process of a child that has one; return its pid."""
        child = self.bot.processes[process]
        lives = child.state in (
            ProcessState.STARTING,
            ProcessState.RUNNING,
            ProcessState.STOPPING,
        )
        if not lives or child.pid is None or child.exitcode is not None:
            return None
        if number == signal.SIGKILL:
            facts.note("main", "kill", child.pid)
        try:
            os.kill(child.pid, number)
        except ProcessLookupError:
            return None
        return child.pid

    async def do(self, fault: dict[str, Any], begun: float) -> None:
        await asyncio.sleep(max(0.0, begun + fault["at"] - time.monotonic()))
        name = fault["process"]
        child = self.bot.processes[name]
        match fault["kind"]:
            case "kill":
                self.signal(name, signal.SIGKILL)
            case "freeze":
                pid = self.signal(name, signal.SIGSTOP)
                await asyncio.sleep(fault["seconds"])
                if pid is not None and child.pid == pid:
                    self.signal(name, signal.SIGCONT)
            case "restart":
                facts.note("main", "restart", child.pid)
                self.bot.restart_process(name)
            case "stop":
                facts.note("main", "stop", child.pid)
                self.bot.stop_process(name)
                await asyncio.sleep(fault["seconds"])
                self.bot.start_process(name)

    async def wait_for_kills(self, count: int) -> None:
        """Let so many lives of the one child end by themselves; kill one that does not soon."""
        child = self.bot.processes[lines.CHILD]
        while child.restarts < count - (not any(self.plan["kills"])):
            pid = child.pid
            try:
                await acting.until(lambda: child.pid != pid, "a successor", 3)
            except TimeoutError:
                self.signal(lines.CHILD, signal.SIGKILL)
            await asyncio.sleep(0)
        await self.bot.wait_ready(lines.CHILD, 30)
        ENOUGH.touch()


async def act(bot: LiteyukiBot) -> None:
    plan = load()
    node = Node(plan, topologies.MAIN)
    node.start()
    for name in plan["children"]:
        await bot.wait_ready(name, 30)
    GO.touch()
    node.start_tasks()
    trouble, begun = Trouble(bot, plan), time.monotonic()
    faults = [fault for fault in plan["faults"] if fault["kind"] not in topologies.OWN_FAULTS]
    await asyncio.gather(*(trouble.do(fault, begun) for fault in faults))
    await asyncio.sleep(max(0.0, begun + plan["seconds"] - time.monotonic()))
    if "kills" in plan:
        await trouble.wait_for_kills(len(plan["kills"]))
    await _quiet(bot, plan)
    facts.note(topologies.MAIN, "closing_all")
    CLOSE.touch()
    await _progress(lambda history: not list(topologies.hanging(history)), plan, _ENDING_SECONDS)
    facts.note(topologies.MAIN, "stopping")


async def _quiet(bot: LiteyukiBot, plan: dict[str, Any]) -> None:
    """Wait until everything is sent and handled, or nothing happens any more."""

    def is_quiet(history: topologies.History) -> bool:
        return (
            all(child.state is ProcessState.RUNNING for child in bot.processes.values())
            and not any(map(history.has_ended, bot.processes))
            and not history.pending()
            and not history.senders_left
            and not history.unhandled()
        )

    await _progress(is_quiet, plan, plan.get("patience", _PATIENCE))


async def _progress(condition: Any, plan: dict[str, Any], seconds: float) -> None:
    """Wait until `condition` is true of what has happened, as long as anything happens."""
    known, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = facts.read()
        if len(found) > known:
            known, deadline = len(found), time.monotonic() + seconds
        if condition(topologies.History(plan, found)):
            return
        await asyncio.sleep(0.1)
    acting.say("nothing happens any more")


def main() -> None:
    bot = LiteyukiBot()
    for name in load()["children"]:
        bot.add_process(name, "tests.children.topology:run", (name,), restart=AGAIN)
    acting.main(bot, lambda: act(bot))
