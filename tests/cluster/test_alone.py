"""A NoneBot that was started by itself, and is a node.

Tests cluster/alone.py.
"""

from __future__ import annotations

from pathlib import Path

from tests.conftest import free_port
from tests.nats import NatsServer
from tests.program import running, write_files

NONEBOT = """
    import nonebot

    nonebot.init(driver="~fastapi+liteyuki_core.frameworks.nonebot")
    nonebot.load_plugin("nonebot_plugin_liteyuki_comm")
    nonebot.load_plugin("echoing")
    nonebot.run()
"""

ECHOING = """
    from nonebot import get_driver
    from liteyuki_core.comm import active_channel, passive_channel
    from liteyuki_core.log import logger

    driver = get_driver()

    @passive_channel.on_receive()
    async def on_passive_receive(data):
        await passive_channel.async_send(["passive", data])

    @driver.on_startup
    def on_startup():
        while True:
            active_channel.send(["active", active_channel.receive()])
"""

MAIN = """
    from liteyuki_core import LiteyukiBot, get_channel

    if __name__ == "__main__":
        bot = LiteyukiBot()
        passive, active = get_channel("alone-passive"), get_channel("alone-active")

        @bot.on_after_start
        async def ask():
            for channel in (passive, active):
                await channel.async_send("hello")
                print("answer:", await channel.async_receive())
            bot.stop()

        bot.run()
"""


def test_it_talks_to_a_main_process(
    tmp_path: Path, environment: dict[str, str], nats: NatsServer
) -> None:
    """By the channels that a child would have, on NoneBot's loop and in its startup hooks."""
    write_files(tmp_path / "alone", {"run.py": NONEBOT, "echoing.py": ECHOING})
    write_files(tmp_path / "main", {"bot.py": MAIN})
    environment |= {"PORT": str(free_port()), "LITEYUKI_NATS_URL": nats.url}
    with running(tmp_path / "alone", environment, "run.py", LITEYUKI_NODE="alone") as alone:
        alone.wait_for_line("Uvicorn running on", timeout=60)
        with running(tmp_path / "main", environment, LITEYUKI_NODE="main") as main:
            assert main.wait(60) == 0, main.output
            for kind in ("passive", "active"):
                assert main.found(rf"answer: \['{kind}', 'hello'\]"), main.output
        alone.interrupt()
        assert alone.wait() == 0, alone.output
        assert not alone.found("Traceback|Task was destroyed"), alone.output
