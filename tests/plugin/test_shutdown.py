"""How a NoneBot child ends: whatever waits is woken, nothing hinders it, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import in_full
from tests.program import main_process, nonebot_plugin, running, stopped_by_itself, write_files

WAITING = {
    "a worker thread": """
        @driver.on_startup
        async def hook():
            kept.append(asyncio.create_task(to_thread.run_sync(wait)))
    """,
    "its own thread": """
        @driver.on_startup
        def hook():
            threading.Thread(target=wait, daemon=False).start()
    """,
    "a task": """
        @driver.on_startup
        async def hook():
            kept.append(asyncio.create_task(async_wait()))
    """,
}

WAITERS = """
    import asyncio
    import threading

    from anyio import to_thread
    from liteyuki_core.errors import ChannelClosed

    kept = []

    def wait():
        passive_channel.send("waiting")
        try:
            active_channel.receive()
        except ChannelClosed as closed:
            logger.info(f"told: {closed}")

    async def async_wait():
        passive_channel.send("waiting")
        try:
            await active_channel.async_receive()
        except ChannelClosed as closed:
            logger.info(f"told: {closed}")
"""


@pytest.mark.parametrize("place", WAITING)
def test_a_receive_that_waits_ends_at_shutdown(
    project: Path, environment: dict[str, str], place: str
) -> None:
    """Wherever it waits, it gets ChannelClosed, and the process ends by itself."""
    main = main_process("logger.info(await passive.async_receive())")
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(WAITERS, WAITING[place])})
    with running(project, environment) as program:
        program.wait_for_line(r"\] waiting$")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        assert program.found(r"\] told: "), program.output
        assert stopped_by_itself(program), program.output


TIDYING = {
    "sync": """
        import time

        @driver.on_startup
        def hook():
            passive_channel.send("waiting")
            try:
                active_channel.receive()
            finally:
                time.sleep(0.3)
                logger.info("tidied up")
    """,
    "async": """
        import asyncio

        @driver.on_startup
        async def hook():
            passive_channel.send("waiting")
            try:
                await active_channel.async_receive()
            finally:
                await asyncio.sleep(0.3)
                logger.info("tidied up")
    """,
}


@pytest.mark.parametrize("door", TIDYING)
def test_a_hook_left_running_may_tidy_up(
    project: Path, environment: dict[str, str], door: str
) -> None:
    """When its receive ends with NoneBot, what it does after that is waited for."""
    main = main_process("logger.info(await passive.async_receive())")
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(TIDYING[door])})
    with running(project, environment) as program:
        program.wait_for_line(r"\] waiting$")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output
        assert program.found(r"\] tidied up$"), program.output


def test_a_receive_while_plugins_load_does_not_keep_nonebot_from_ending(
    project: Path, environment: dict[str, str]
) -> None:
    """A plugin that was told its settings over a channel, on the main thread, stops like any."""
    main = main_process('active.send("settings")')
    plugin = 'logger.info(f"told {active_channel.receive()}")\n'
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(plugin)})
    # The stop may take longer than the test waits: nothing in it is to wait for that long.
    with running(project, environment, LITEYUKI_STOP_TIMEOUT="120") as program:
        program.wait_for_line(r"\] told settings$")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_the_last_message_received_is_not_said_to_be_lost(
    project: Path, environment: dict[str, str]
) -> None:
    """A hook that took its one message and ended has received it, also at the end of NoneBot."""
    hook = """
        @driver.on_startup
        def hook():
            logger.info(f"told {active_channel.receive()}")
    """
    main = main_process('active.send("settings")')
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(hook)})
    with running(project, environment) as program:
        program.wait_for_line(r"\] told settings$")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output
        assert not program.found("not received"), program.output


def test_a_stop_while_plugins_load_ends_nonebot(project: Path, environment: dict[str, str]) -> None:
    """A NoneBot that has not come to its startup yet ends at once and by itself, too."""
    plugin = """
        import time

        logger.info("loading")
        time.sleep(600)
    """
    write_files(project, {"hooks.py": nonebot_plugin(plugin)})
    with running(project, environment) as program:
        program.wait_for_line(r"\] loading$")
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


@pytest.mark.parametrize("driver", ["~fastapi", *in_full("~none")])
@pytest.mark.parametrize("door", ["async def", *in_full("def")])
@pytest.mark.parametrize(
    ("act", "end"),
    [
        ("sys.exit(7)", "exited with code 7"),
        ("raise KeyboardInterrupt", r"was ended by signal 2 \(SIGINT\)"),
    ],
)
def test_a_callback_ends_nonebot(
    project: Path, environment: dict[str, str], driver: str, door: str, act: str, end: str
) -> None:
    """It shuts down in order, other callbacks end, and the process has the code that it said."""
    plugin = f"""
        import asyncio
        import sys

        @active_channel.on_receive()
        async def others(data):
            logger.info("begins")
            await asyncio.sleep(0.3)
            logger.info("has ended")

        @passive_channel.on_receive()
        {door} ends(data):
            {act}

        @driver.on_shutdown
        def tidy():
            logger.info("tidied up")
    """
    main = main_process('active.send("go on")', 'passive.send("end")', driver=driver)
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(plugin)})
    with running(project, environment) as program:
        program.wait_for_line(f"process nonebot {end}")
        assert program.found(r"callback ends raised \w+\(7?\): this process ends$")
        assert len(program.found("has ended$")) == len(program.found("begins$")) == 1
        assert len(program.found("tidied up$")) == 1, program.output
        assert not program.found("Traceback|never retrieved|by force"), program.output
        program.stop()
