"""The bots of hosting.py: `python hosting_bot.py KIND PORT`, or `restarts CHILD COUNT PORT`.

`plain` is NoneBot as it is, `hosted` the same NoneBot as a child of a LiteyukiBot.
`plain-page` and `gateway` are these two with a page, and the latter has a gateway. `busy` is such a
child that thinks before each answer, `busy-twice` has two processes for it.
`handler-in-main` is such a child that passes each message on to the main process, which answers
it. `restarts` restarts an idle child, `nonebot` or `plain`, and says in a line of JSON how many
seconds each restart took until the child was RUNNING.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liteyuki_core import LiteyukiBot
    from liteyuki_core.process.state import ProcessState

ADAPTER = "nonebot.adapters.onebot.v11"


def address(port: str) -> dict[str, Any]:
    """Return where NoneBot is to listen, as its settings."""
    return {"driver": "~fastapi", "host": "127.0.0.1", "port": int(port)}


def plain(port: str, plugin: str = "hosting_plugin") -> None:
    """Run NoneBot as it is. Nothing of LiteyukiBot is imported."""
    import nonebot
    from nonebot.adapters.onebot.v11 import Adapter

    nonebot.init(**address(port))
    nonebot.get_driver().register_adapter(Adapter)
    nonebot.load_plugin(plugin)
    nonebot.run()


def plain_page(port: str) -> None:
    """Run NoneBot as it is, with a page."""
    plain(port, "gateway_plugin")


def hosting(port: str, plugin: str, *, gateway: bool = False, replicas: int = 1) -> LiteyukiBot:
    """Return a LiteyukiBot with this NoneBot."""
    from liteyuki_core import LiteyukiBot

    bot = LiteyukiBot()
    bot.add_process(
        "nonebot",
        "liteyuki_core.frameworks.nonebot:run",
        kwargs={"pyproject": None, "adapters": [ADAPTER], "plugins": [plugin], **address(port)},
        gateway=gateway,
        replicas=replicas,
    )
    return bot


def hosted(port: str) -> None:
    """Run NoneBot as a child, which answers."""
    hosting(port, "hosting_plugin").run()


def gateway(port: str) -> None:
    """Run NoneBot as a child behind a gateway, with a page."""
    hosting(port, "gateway_plugin", gateway=True).run()


def busy(port: str, replicas: int = 1) -> None:
    """Run NoneBot as a child that needs 10 ms of processor time for each message."""
    hosting(port, "busy_plugin", gateway=True, replicas=replicas).run()


def busy_twice(port: str) -> None:
    """Run two of these."""
    busy(port, replicas=2)


def handler_in_main(port: str) -> None:
    """Run NoneBot as a child, and answer in the main process."""
    from liteyuki_core import get_channel

    bot = hosting(port, "hosting_relay")
    channel: Any = get_channel("nonebot-active")

    @channel.on_receive()
    async def answer(event: dict[str, Any]) -> None:
        message = f"{event['message_id']} {event['text']}"
        await channel.async_send(
            {"self_id": event["self_id"], "group_id": event["group_id"], "message": message}
        )

    bot.run()


def wait() -> None:
    """Wait in `receive`: the target of the plain child."""
    from liteyuki_core.comm import active_channel

    for _ in active_channel:
        pass


def restarts(child: str, count: str, port: str) -> None:
    """Restart an idle child `count` times and say how long each time took."""
    from liteyuki_core import LiteyukiBot

    if child == "nonebot":
        bot = hosting(port, "hosting_plugin")
    else:
        bot = LiteyukiBot()
        bot.add_process(child, wait)
    entered: asyncio.Queue[tuple[str, float]] = asyncio.Queue()

    @bot.on_process_state
    async def note(_: str, state: ProcessState) -> None:
        entered.put_nowait((state.value, perf_counter()))

    async def until_running() -> float:
        while True:
            state, when = await entered.get()
            if state == "running":
                return when

    @bot.on_after_start
    async def restart() -> None:
        took = []
        await until_running()
        for _ in range(int(count)):
            await asyncio.sleep(0.3)  # It is to be idle, at no certain moment of its timers.
            before, begun = bot.processes[child].pid, perf_counter()
            bot.restart_process(child)
            took.append(await until_running() - begun)
            assert bot.processes[child].pid != before
        print(json.dumps({"restarts": took}), flush=True)
        bot.stop()

    bot.run()


KINDS = {
    "plain": plain,
    "plain-page": plain_page,
    "hosted": hosted,
    "gateway": gateway,
    "busy": busy,
    "busy-twice": busy_twice,
    "handler-in-main": handler_in_main,
    "restarts": restarts,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
