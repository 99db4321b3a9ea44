"""A child that has many lives; what main makes for one is followed, and the collector is off."""

from __future__ import annotations

import gc
import os
import signal
import weakref
from typing import Any

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.comm.hub.link_peer import LinkPeer
from liteyuki_core.comm.wire.decoder import Decoder
from liteyuki_core.comm.wire.link import Link
from liteyuki_core.errors import ChannelError
from liteyuki_core.process import ProcessState, RestartPolicy
from liteyuki_core.process.group import Group
from liteyuki_core.process.health import Watch
from liteyuki_core.process.life import Life
from liteyuki_core.process.output import Output
from liteyuki_core.process.report import Report
from tests.children import acting
from tests.children.acting import NEVER, until
from tests.children.targets import echo

KINDS: tuple[type[Any], ...] = (Decoder, Link, LinkPeer, Group, Life, Output, Report, Watch)

made: list[weakref.ref[Any]] = []


def follow(kind: type[Any]) -> None:
    """Note whatever is made of a class."""
    begin = kind.__init__

    def begin_and_note(self: Any, *args: Any, **kwargs: Any) -> None:
        made.append(weakref.ref(self))
        begin(self, *args, **kwargs)

    kind.__init__ = begin_and_note


def living() -> list[str]:
    """Return the classes of what is still there."""
    kept = [thing for note in made if (thing := note()) is not None]
    return sorted(type(thing).__name__ for thing in kept)


def main() -> None:
    for kind in KINDS:
        follow(kind)
    gc.disable()
    bot = LiteyukiBot()
    bot.add_process("w", echo, restart=RestartPolicy(max_restarts=100, backoff=0.01))
    bot.add_process("none", "no.such:module", restart=NEVER)
    channel = get_channel("w-active")

    async def use() -> None:
        await bot.wait_ready("w", 20)
        for number in range(100):
            await channel.async_send(number)
            while await channel.async_receive(20) != number:
                pass  # What was in hand when the one before was killed comes again.

    async def act() -> None:
        w = bot.processes["w"]
        await until(lambda: bot.processes["none"].state is ProcessState.FAILED, "no start")
        await use()
        for turn in range(2):
            if turn % 2:
                bot.restart_process("w")
            else:
                assert w.pid is not None
                os.kill(w.pid, signal.SIGTERM)
            await until(lambda: w.restarts == turn + 1, "a restart")
            await use()
            await until(lambda: len(living()) <= len(KINDS), lambda: f"only one: {living()}")
        bot.stop_process("w")
        await until(lambda: w.state is ProcessState.STOPPED, "its end")
        try:
            channel.receive_nowait()  # What was received last is handled.
        except ChannelError:
            pass
        await until(lambda: not living(), lambda: f"none: {living()}")

    acting.main(bot, act)
