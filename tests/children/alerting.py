"""Main processes about which an operator is to be alerted."""

from __future__ import annotations

import os
import sys

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.cluster.member import Member
from liteyuki_core.comm import passive_channel
from tests.children.acting import AGAIN, NEVER, main, say, until


def ends() -> None:
    sys.exit("token=abcdef0123456789 is not what to start with")


def dies() -> None:
    """Die of each message."""
    for _ in passive_channel:
        os._exit(7)


def all_failed() -> None:
    """Its only child fails, so it ends."""
    bot = LiteyukiBot()
    bot.add_process("ends", ends, restart=NEVER)
    bot.run()


def letters() -> None:
    """Two messages are set aside, one after another."""
    bot = LiteyukiBot()
    bot.add_process("dies", dies, restart=AGAIN)

    async def act() -> None:
        for number in (1, 2):
            get_channel("dies-passive").send("a message")
            await until(lambda: len(bot.dead_letters()) == number, "it is set aside")

    main(bot, act)


def unused() -> None:
    """Nothing of alerts is imported where none are to be sent."""
    bot = LiteyukiBot()

    async def act() -> None:
        found = {
            name for name in sys.modules if "apprise" in name or "liteyuki_core.alerts" in name
        }
        assert not found, found

    main(bot, act)


def node() -> None:
    """Be a node of a cluster. Node `c` has a process that fails."""
    bot = LiteyukiBot()
    if os.environ["LITEYUKI_NODE"] == "c":
        bot.add_process("ends", ends, restart=NEVER)

    @bot.on_node
    def on_node(node: Member) -> None:
        say(">", node.name, node.runs)

    @bot.on_after_start
    async def after_start() -> None:
        await until(lambda: len(bot.nodes) == 3, "all are there")
        say("all are there")

    bot.run(keep=True)
