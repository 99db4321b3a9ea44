"""When a NoneBot child is RUNNING: its startup hooks have ended and its port, if any, accepts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.program import main_process, nonebot_plugin, running, write_files

SLOW = """
    import time
    from pathlib import Path
    from liteyuki_core import shared_memory

    @driver.on_startup
    def slow():
        passive_channel.send("begun")
        while not Path("go").exists():
            time.sleep(0.01)
        shared_memory.set("hook", "has ended")
"""

WATCH = (
    "import asyncio, os, urllib.error, urllib.request",
    "from pathlib import Path",
    "from liteyuki_core import shared_memory",
    "from liteyuki_core.process import ProcessState",
    'nonebot = bot.processes["nonebot"]',
    "await passive.async_receive()",
    'logger.info(f"begun: {nonebot.state.name}")',
    'Path("go").touch()',
    "while nonebot.state is ProcessState.STARTING: await asyncio.sleep(0.001)",
    """logger.info(f"the hook {shared_memory.get('hook')}")""",
    'logger.info(f"then: {nonebot.state.name}")',
)

ASK = (
    "def ask(): urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/\", timeout=20)",
    "try: await asyncio.to_thread(ask)",
    'except urllib.error.HTTPError as error: logger.info(f"answered: {error.code}")',
)

OWN = """
    import nonebot
    from liteyuki_core.process import calls_ready


    @calls_ready
    def run():
        nonebot.init(driver="~fastapi+liteyuki_core.frameworks.nonebot")
        nonebot.load_plugin("hooks")
        nonebot.run()
"""


@pytest.mark.parametrize("target", ["liteyuki_core.frameworks.nonebot:run", "own:run"])
def test_it_is_running_when_its_hooks_have_ended_and_it_answers(
    project: Path, environment: dict[str, str], target: str
) -> None:
    """Not while a hook goes on, and from then on HTTP is answered; whoever launched NoneBot."""
    main = main_process(*WATCH, *ASK).replace("liteyuki_core.frameworks.nonebot:run", target)
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(SLOW), "own.py": OWN})
    with running(project, environment) as program:
        program.wait_for_line(r"\] answered: 404$")
        steps = [m[1] for m in program.found(r"\] (begun: .*|the hook .*|then: .*)$")]
        assert steps == ["begun: STARTING", "the hook has ended", "then: RUNNING"]
        assert program.stop() == 0


def test_without_a_port_it_is_running_when_its_hooks_have_ended(
    project: Path, environment: dict[str, str]
) -> None:
    """A driver that does not serve has no port to wait for."""
    write_files(project, {"bot.py": main_process(*WATCH), "hooks.py": nonebot_plugin(SLOW)})
    with running(project, environment, DRIVER="~none") as program:
        program.wait_for_line(r"\] then: RUNNING$")
        steps = [m[1] for m in program.found(r"\] (begun: .*|the hook .*|then: .*)$")]
        assert steps == ["begun: STARTING", "the hook has ended", "then: RUNNING"]
        assert program.stop() == 0


def test_a_failing_hook_keeps_it_from_ever_running(
    project: Path, environment: dict[str, str]
) -> None:
    """It goes from STARTING to FAILED after the hooks before that one, and nothing listens."""
    failing = """
        @driver.on_startup
        async def failing():
            raise ValueError("broken")
    """
    files = {"bot.py": main_process(*WATCH, keep=True), "hooks.py": nonebot_plugin(SLOW, failing)}
    write_files(project, files)
    with running(project, environment) as program:
        assert program.wait_for_line(r"\] then: (.*)$")[1] == "FAILED"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(environment["PORT"])))
        assert program.stop() == 0


@pytest.mark.parametrize(("driver", "form"), [("~fastapi", "sync"), ("~none", "async")])
def test_a_hook_that_serves_a_channel_does_not_delay_it(
    project: Path, environment: dict[str, str], driver: str, form: str
) -> None:
    """Left running, it counts as ended; those after it are still waited for."""
    serving = {
        "sync": "def serve():\n    while True: active_channel.receive()\n",
        "async": "async def serve():\n    while True: await active_channel.async_receive()\n",
    }[form]
    plugin = nonebot_plugin(f"@driver.on_startup\n{serving}\n", SLOW)
    write_files(project, {"bot.py": main_process(*WATCH), "hooks.py": plugin})
    with running(project, environment, DRIVER=driver) as program:
        assert program.wait_for_line(r"\] then: (.*)$")[1] == "RUNNING"
        assert program.stop() == 0


def test_the_line_that_it_is_ready_names_what_could_not_be_loaded(
    project: Path, environment: dict[str, str]
) -> None:
    """A plugin of which NoneBot has logged an error, however it was listed."""
    plugins = '"@local" = ["hooks", "broken", "not_there"]'
    write_files(
        project,
        {
            "bot.py": main_process(plugin_dirs=["more"]),
            "hooks.py": "x = 1",
            "broken.py": "1 / 0",
            "more/worse.py": "import no_such_module",
            "pyproject.toml": f"[tool.nonebot.plugins]\n{plugins}\n",
        },
    )
    with running(project, environment) as program:
        line = program.wait_for_line(r"process nonebot is ready, .*")[0]
        assert line.endswith("without broken, not_there, worse: see its errors above")
        assert program.stop() == 0


def test_nonebot_that_was_started_elsewhere(
    project: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """It comes up empty: the warning names the directory it was started in, and its program's."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_files(project, {"bot.py": main_process()})
    with running(elsewhere, environment, str(project / "bot.py")) as program:
        found = program.wait_for_line(r"NoneBot has no adapter and no plugin: (.*)$")[1]
        assert str(elsewhere) in found
        assert f"its program is in {project}: start it there" in found
        assert program.stop() == 0
