"""Startup hooks under the driver mixin, in real NoneBot children."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.program import (
    STARTED,
    main_process,
    nonebot_plugin,
    running,
    stopped_by_itself,
    write_files,
)

SERVING = {
    "sync": """
        @driver.on_startup
        def serve():
            while True:
                logger.info(f"served {active_channel.receive()}")
    """,
    "async": """
        @driver.on_startup
        async def serve():
            while True:
                logger.info(f"served {await active_channel.async_receive()}")
    """,
}

LATER = """
    @driver.on_startup
    def later():
        passive_channel.send("the later hook ran")
"""


@pytest.mark.parametrize("door", SERVING)
def test_a_hook_that_waits_for_messages_does_not_hold_up_startup(
    project: Path, environment: dict[str, str], door: str
) -> None:
    """Later hooks run, NoneBot listens, and the waiting hook gets on."""
    main = main_process(
        'active.send("one")',
        "logger.info(await passive.async_receive())",
        'active.send("two")',
    )
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(SERVING[door], LATER)})
    with running(project, environment) as program:
        program.wait_for_line(r"\] the later hook ran$")
        program.wait_for_line("Uvicorn running on")
        address = f"http://127.0.0.1:{environment['PORT']}/"
        assert httpx.get(address, trust_env=False).status_code == 404
        program.wait_for_line(r"\] served one$")
        program.wait_for_line(r"\] served two$")


def test_a_hook_flooded_with_messages_does_not_hold_up_startup(
    project: Path, environment: dict[str, str]
) -> None:
    """A hook that always finds a message, and so never waits, is left running all the same."""
    flood = main_process("while True: await active.async_send('drop')")
    drain = """
        @driver.on_startup
        def drain():
            for number, _ in enumerate(active_channel):
                if number == 10_000:
                    logger.info("flooded")
    """
    write_files(project, {"bot.py": flood, "hooks.py": nonebot_plugin(drain)})
    with running(project, environment) as program:
        program.wait_for_line("flooded")
        program.wait_for_line(STARTED)
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_hooks_that_do_not_wait_for_messages_are_awaited_in_order(
    project: Path, environment: dict[str, str]
) -> None:
    """Sync and async hooks end one after another before the startup is complete."""
    hooks = """
        import asyncio
        import threading
        import time

        @driver.on_startup
        def first():
            logger.info(f"first begins {threading.current_thread() is threading.main_thread()}")
            time.sleep(0.2)
            logger.info("first ends")

        @driver.on_startup
        async def second():
            logger.info(f"second begins {threading.current_thread() is threading.main_thread()}")
            await asyncio.sleep(0.2)
            logger.info("second ends")

        @driver.on_startup
        def third():
            passive_channel.send("nobody waits for this")
            logger.info("third")
    """
    write_files(project, {"hooks.py": nonebot_plugin(hooks)})
    with running(project, environment) as program:
        program.wait_for_line(STARTED)
        steps = [m[1] for m in program.found(r"((?:first|second|third).*|startup complete)")]
        assert steps == [
            "first begins False",
            "first ends",
            "second begins True",
            "second ends",
            "third",
            "startup complete",
        ]
        assert program.stop() == 0


@pytest.mark.parametrize(
    ("driver", "code", "form"),
    [("~fastapi", 3, "def"), ("~fastapi", 3, "async def"), ("~none", 1, "async def")],
)
def test_a_hook_that_raises_ends_nonebot_only(
    project: Path, environment: dict[str, str], driver: str, code: int, form: str
) -> None:
    """NoneBot exits with its own code, which main logs with the reason; main lives on.

    It was never ready and is not started again.
    """
    hook = f"@driver.on_startup\n{form} failing():\n    raise ValueError('broken')\n"
    main = main_process(
        'nonebot = bot.processes["nonebot"]',
        "while nonebot.exitcode is None: await asyncio.sleep(0.05)",
        'logger.info(f"main sees {nonebot.exitcode} {nonebot.state.name}")',
        keep=True,
    )
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(hook)})
    with running(project, environment, DRIVER=driver) as program:
        program.wait_for_line("ValueError: broken")
        why = r"startup hook failing raised ValueError\('broken'\)"
        program.wait_for_line(rf"\[⭕ERROR\] process nonebot exited with code {code}: {why}")
        program.wait_for_line(rf"main sees {code} FAILED$")
        assert program.process.poll() is None
        assert program.stop() == 0


def test_what_a_hook_left_running_raises_is_logged(
    project: Path, environment: dict[str, str]
) -> None:
    """Its name and its traceback are in the log, and NoneBot goes on."""
    hook = """
        @driver.on_startup
        def serve():
            raise ValueError(active_channel.receive())
    """
    main = main_process("await passive.async_receive()", 'active.send("broken")')
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(hook, LATER)})
    with running(project, environment) as program:
        program.wait_for_line("startup hook serve.* raised ValueError")
        program.wait_for_line("^ValueError: broken")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        assert program.found(r"process nonebot exited with code 0$")
