"""The plugin without a host, and in NoneBot children that are started in another way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import in_full
from tests.program import (
    STARTED,
    listing,
    main_process,
    nonebot_plugin,
    python,
    running,
    running_program,
    stopped_by_itself,
    write_files,
)

LOAD = """
    import threading
    import nonebot

    nonebot.init(driver="~none")
    print("loaded:", nonebot.load_plugin("nonebot_plugin_liteyuki_comm") is not None)
"""


def test_it_loads_without_a_host(tmp_path: Path, environment: dict[str, str]) -> None:
    """With no host, settings or lifespan it loads and starts no thread; use says what to do."""
    with running_program(tmp_path, environment, "no_host") as done:
        assert done.wait() == 0, done.output
    lines = done.lines
    assert lines.count("threads: ['MainThread']") == 2, done.output
    assert not [line for line in lines if line.startswith("used:")]
    refused = [line for line in lines if line.startswith("refused:")]
    assert len(refused) == 6, done.output
    assert all("LiteyukiBot main process" in line for line in refused), done.output
    assert all("add_process" in line for line in refused), done.output


def test_it_can_be_told_to_refuse_without_a_host(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """With LITEYUKI_COMM_REQUIRE_HOST=true it does not load, and says what is missing."""
    done = python(LOAD, tmp_path, environment, LITEYUKI_COMM_REQUIRE_HOST="true")
    assert "loaded: False" in done.stdout
    assert "NotConnected: " in done.stdout
    assert "LiteyukiBot main process" in done.stdout


def test_it_can_not_forward_without_a_host(tmp_path: Path, environment: dict[str, str]) -> None:
    """With LITEYUKI_COMM_FORWARD=true it loads all the same, and says what is missing."""
    done = python(LOAD, tmp_path, environment, LITEYUKI_COMM_FORWARD="true")
    assert "loaded: True" in done.stdout
    assert "LITEYUKI_COMM_FORWARD is set, but this process is neither a LiteyukiBot" in done.stdout


def test_a_broken_setting_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    """A value that is not allowed keeps it from loading; the key and what it takes are said."""
    write_files(tmp_path, {".env": "LITEYUKI_COMM_REQUIRE_HOST=perhaps"})
    done = python(LOAD, tmp_path, environment)
    assert "loaded: False" in done.stdout
    assert "liteyuki_comm_require_host" in done.stdout
    assert "valid boolean" in done.stdout


LISTEN = """
    import threading

    ran = threading.Event()

    @active_channel.on_receive()
    async def callback(data):
        ran.set()
        logger.info(f"{data} in {threading.current_thread().name}")
        passive_channel.send(data)

    ran.wait(0.5)  # Did a loop other than NoneBot's run the callback, then by now.
"""

SEND = ('active.send("early")', "await passive.async_receive()", 'active.send("late")')

BY_HAND = """
    def run():
        import nonebot

        nonebot.init()
        nonebot.load_plugin("nonebot_plugin_liteyuki_comm")
        nonebot.load_plugin("hooks")
        nonebot.run()
"""


@pytest.mark.parametrize("driver", ["~fastapi", *in_full("~none")])
@pytest.mark.parametrize("launcher", ["liteyuki_core.frameworks.nonebot:run", "own:run"])
def test_callbacks_run_on_nonebots_loop(
    project: Path, environment: dict[str, str], driver: str, launcher: str
) -> None:
    """However a child starts NoneBot, with the plugin its loop, on the main thread, runs them."""
    main = main_process(*SEND).replace("liteyuki_core.frameworks.nonebot:run", launcher)
    files = {
        "bot.py": main,
        "own.py": BY_HAND,
        "pyproject.toml": listing("nonebot_plugin_liteyuki_comm", "hooks"),
        "hooks.py": nonebot_plugin(LISTEN),
    }
    write_files(project, files)
    with running(project, environment, DRIVER=driver) as program:
        program.wait_for_line(STARTED)
        program.wait_for_line(r"\] late in ")
        places = [m[1] for m in program.found(r"\] (\w+ in .*)$")]
        assert places == ["early in MainThread", "late in MainThread"]
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_a_child_without_the_mixin_is_told_of_it(
    project: Path, environment: dict[str, str]
) -> None:
    """Where a waiting startup hook would hold up NoneBot, one line says what to add to DRIVER."""
    main = main_process().replace("liteyuki_core.frameworks.nonebot:run", "own:run")
    write_files(project, {"bot.py": main, "own.py": BY_HAND, "hooks.py": nonebot_plugin()})
    with running(project, environment) as program:
        line = r"\[⚠️WARNING\] .*add \+liteyuki_core\.frameworks\.nonebot to DRIVER"
        program.wait_for_line(line)
        program.wait_for_line(STARTED)
        assert len(program.found(line)) == 1
