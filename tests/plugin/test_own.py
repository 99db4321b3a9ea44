"""A child that runs NoneBot by itself, without the launcher: where its callbacks run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import free_port, in_full
from tests.program import (
    Environment,
    main_process,
    nonebot_plugin,
    running,
    running_program,
    write_files,
)

WRONG = (
    r"WARNING.*channel own-\w+: its callbacks run on a loop of their own and not on NoneBot's; .*"
)


@pytest.mark.parametrize(
    "when", [*in_full("before it is there", "when it is there"), "when it runs"]
)
def test_callbacks_on_another_loop_are_warned_about(
    tmp_path: Path, environment: dict[str, str], when: str
) -> None:
    """Once, with the mend, whichever was there first."""
    arguments = (when, "~fastapi", False, free_port())
    with running_program(tmp_path, environment, "own_nonebot", json.dumps(arguments)) as program:
        program.wait_for_line("message 2 on liteyuki-callbacks$")
        assert program.stop() == 0
        assert len(program.found("their own and not on NoneBot's")) == 1, program.output
        mend = r"set DRIVER=~fastapi\+liteyuki_core.frameworks.nonebot, or load the plugin nonebot_"
        assert program.found(WRONG + mend), program.output


@pytest.mark.parametrize(
    ("driver", "plugin"),
    [("~fastapi+liteyuki_core.frameworks.nonebot", False), ("~fastapi", True), ("~none", True)],
)
@pytest.mark.parametrize("when", [*in_full("when it is there"), "when it runs"])
def test_with_the_mend(
    tmp_path: Path, environment: dict[str, str], when: str, driver: str, plugin: bool
) -> None:
    """Callbacks run on NoneBot's loop, and nothing is said."""
    arguments = (when, driver, plugin, free_port())
    with running_program(tmp_path, environment, "own_nonebot", json.dumps(arguments)) as program:
        program.wait_for_line("message 2 on MainThread$")
        assert program.stop() == 0
        assert not program.found("their own and not on NoneBot's"), program.output


def test_a_bot_file_of_its_own_is_a_target(project: Path, environment: Environment) -> None:
    """It calls `nonebot.init()` and `nonebot.run()` itself; NoneBot gets the mixin and our log."""
    old = """
        import nonebot
        from nonebot.adapters.onebot.v11 import Adapter

        nonebot.init(driver="~fastapi+~httpx")
        driver = nonebot.get_driver()
        driver.register_adapter(Adapter)
        nonebot.load_plugin("hooks")
        if __name__ == "__main__":
            nonebot.run()
    """
    hooks = """
        @driver.on_startup
        def on_startup():
            while True:
                logger.info(f"got {active_channel.receive()} with {driver.type}")
    """
    main = main_process('await active.async_send("a message")').replace(
        "liteyuki_core.frameworks.nonebot:run", "old_bot.py"
    )
    files = {"bot.py": main, "old_bot.py": old, "hooks.py": nonebot_plugin(hooks)}
    write_files(project, files)
    with running(project, environment) as program:
        program.wait_for_line("process nonebot is ready")
        assert "liteyuki" in program.wait_for_line(r"got a message with (.*)$")[1]
        assert program.stop() == 0


def test_a_bot_py_that_initialises_nonebot_at_its_top(
    project: Path, environment: Environment
) -> None:
    """The child imports it too: the error says what to move where."""
    write_files(project, {"bot.py": f"import nonebot\nnonebot.init()\n{main_process()}"})
    with running(project, environment) as program:
        line = program.wait_for_line("process nonebot exited with code 3: (.*)$")[1]
        assert "bot.py, which each child imports, calls nonebot.init() at its top" in line
        assert 'add_process(NAME, "nonebot_bot.py")' in line
        assert program.wait() == 1
