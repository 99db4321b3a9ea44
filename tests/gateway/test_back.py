"""Callbacks that need a bot, through restarts: the bots are back before the first one runs."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import free_port
from tests.gateway.client import Client
from tests.gateway.project import ONEBOT
from tests.program import Environment, running, write_files

BOT = """
    import asyncio
    import os

    from liteyuki_core import LiteyukiBot, get_channel
    from liteyuki_core.process import RestartPolicy

    if __name__ == "__main__":
        bot = LiteyukiBot()
        bot.add_process(
            "nonebot", "liteyuki_core.frameworks.nonebot:run",
            kwargs={"plugins": ["needs"]}, gateway=True, restart=RestartPolicy(backoff=0.01),
        )

        @bot.on_after_start
        async def ask():
            channel, number = get_channel("nonebot-active"), 0
            while not os.path.exists("go"):
                await asyncio.sleep(0.01)
            while True:
                if os.path.exists("restart"):
                    os.unlink("restart")
                    bot.restart_process("nonebot")
                await channel.async_send(number)
                number += 1
                await asyncio.sleep(0.005)

        bot.run()
"""

PLUGIN = """
    import os

    from nonebot import get_bot, get_driver
    from liteyuki_core.comm import active_channel

    @get_driver().on_bot_connect
    async def connected(bot):
        os.write(1, f"connected to {os.getpid()}\\n".encode())

    @active_channel.on_receive(ordered=True)
    async def take(number):
        try:
            get_bot("10001")
        except (KeyError, ValueError) as error:
            os.write(1, f"missed {number}: {error!r}\\n".encode())
        else:
            os.write(1, f"took {number} {os.getpid()}\\n".encode())
"""


def test_the_bots_are_back_before_the_first_callback(
    tmp_path: Path, environment: Environment
) -> None:
    """No message of main finds its bot missing, and each is taken, in order."""
    port = free_port()
    write_files(tmp_path, {**ONEBOT, "bot.py": BOT, "needs.py": PLUGIN})
    with running(tmp_path, environment, PORT=str(port)) as program:
        program.wait_for_line("process nonebot is ready")
        with Client(f"127.0.0.1:{port}"):
            program.wait_for_line(r"connected to (\d+)")
            (tmp_path / "go").touch()
            program.wait_for_line("took 20 ")
            for life in (2, 3, 4):
                (tmp_path / "restart").touch()
                pid = program.wait_for_line(r"connected to (\d+)", life)[1]
                program.wait_for_line(rf"took \d+ {pid}", 20)
            assert not program.found("missed"), program.output
        numbers = [int(match[1]) for match in program.found(r"took (\d+) ")]
        assert numbers == list(range(len(numbers)))
        assert program.stop() == 0


def test_a_bot_that_does_not_come_back(tmp_path: Path, environment: Environment) -> None:
    """Callbacks wait for it for 3 s, and then run without it."""
    port = free_port()
    write_files(tmp_path, {**ONEBOT, "bot.py": BOT, "needs.py": PLUGIN})
    with running(tmp_path, environment, PORT=str(port)) as program:
        program.wait_for_line("process nonebot is ready")
        with Client(f"127.0.0.1:{port}"):
            program.wait_for_line("connected to ")
            (tmp_path / "go").touch()
            program.wait_for_line("took 20 ")
            write_files(tmp_path, {"pyproject.toml": ""})  # Its adapter is gone.
            (tmp_path / "restart").touch()
            program.wait_for_line("missed ", 20)
        assert program.stop() == 0
