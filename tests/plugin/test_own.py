"""A child that runs NoneBot by itself, without the launcher: where its callbacks run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.program import running, write_files

CHILD = """
import asyncio
import threading

from liteyuki_core import LiteyukiBot, get_channel, logger, shared_memory
from liteyuki_core.comm import active_channel, passive_channel


def register():
    @passive_channel.on_receive()
    async def on_message(data):
        name = threading.current_thread().name
        logger.info(f"{data} on {name}")

    @active_channel.on_receive()
    async def another(data):
        pass


def own(when, driver, plugin, port):
    import nonebot

    if when == "before it is there":
        register()
    nonebot.init(driver=driver, port=port, host="127.0.0.1", log_level="WARNING")
    if plugin:
        nonebot.load_plugin("nonebot_plugin_liteyuki_comm")
    if when == "when it is there":
        register()
    elif when == "when it runs":
        nonebot.get_driver().on_startup(register)
    nonebot.get_driver().on_startup(lambda: shared_memory.set("up", True))
    nonebot.run()


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("own", own, ARGUMENTS)

    @bot.on_after_start
    async def send():
        while shared_memory.get("up") is None:
            await asyncio.sleep(0.01)
        for number in range(3):
            for name in ("own-passive", "own-active"):
                get_channel(name).send(f"message {number}")
            await asyncio.sleep(0.05)

    bot.run()
"""

WRONG = r"警告.*channel own-\w+: its callbacks run on a loop of their own and not on NoneBot's, .*"


@pytest.mark.parametrize("when", ["before it is there", "when it is there", "when it runs"])
def test_callbacks_on_another_loop_are_warned_about(
    tmp_path: Path, environment: dict[str, str], when: str
) -> None:
    """Once, with the mend, whichever was there first."""
    arguments = (when, "~fastapi", False, free_port())
    write_files(tmp_path, {"bot.py": CHILD.replace("ARGUMENTS", repr(arguments))})
    with running(tmp_path, environment) as program:
        program.wait_for_line("message 2 on liteyuki-callbacks$")
        assert program.stop() == 0
        assert len(program.found("their own and not on NoneBot's")) == 1, program.output
        mend = r"set DRIVER=~fastapi\+liteyuki_core.frameworks.nonebot, or load the plugin nonebot_"
        assert program.found(WRONG + mend), program.output


@pytest.mark.parametrize(
    ("driver", "plugin"),
    [("~fastapi+liteyuki_core.frameworks.nonebot", False), ("~fastapi", True), ("~none", True)],
)
@pytest.mark.parametrize("when", ["when it is there", "when it runs"])
def test_with_the_mend(
    tmp_path: Path, environment: dict[str, str], when: str, driver: str, plugin: bool
) -> None:
    """Callbacks run on NoneBot's loop, and nothing is said."""
    arguments = (when, driver, plugin, free_port())
    write_files(tmp_path, {"bot.py": CHILD.replace("ARGUMENTS", repr(arguments))})
    with running(tmp_path, environment) as program:
        program.wait_for_line("message 2 on MainThread$")
        assert program.stop() == 0
        assert not program.found("their own and not on NoneBot's"), program.output
