"""The commands that need no running bot. Tests cli/local.py."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path

from tests.cli.conftest import Liteyuki
from tests.program import Program, unix, write_files

BOT = """
    import time
    from liteyuki_core import LiteyukiBot

    def child():
        time.sleep(1000)

    if __name__ == "__main__":
        bot = LiteyukiBot()
        bot.add_process("child", child)
        bot.run()
"""


def test_run_in_the_background(here: Path, liteyuki: Liteyuki) -> None:
    """It returns when the processes run, and the bot goes on; a second one is refused."""
    write_files(here, {"bot.py": BOT})
    text = liteyuki("run", "-d")
    try:
        found = re.fullmatch(r"the bot runs \(pid (\d+)\); its log: (.*)\n", text)
        assert found is not None, text
        log = Path(found[2])
        assert json.loads(liteyuki("status", "--json"))["pid"] == int(found[1])
        assert "process child is ready" in log.read_text(encoding="utf-8")
        if sys.platform != "win32":
            assert stat.S_IMODE(log.stat().st_mode) == 0o600
            assert os.getsid(int(found[1])) == int(found[1])
        assert f"a bot runs here already, with pid {found[1]}" in liteyuki("run", "-d", code=1)
    finally:
        assert liteyuki("shutdown") == "the bot has stopped\n"
    assert "LiteyukiBot has stopped" in log.read_text(encoding="utf-8")


def test_run_in_the_background_with_a_log_file(here: Path, liteyuki: Liteyuki) -> None:
    """The settings' own log file is used, and JSON names it."""
    write_files(here, {"main.py": BOT, ".env": "LITEYUKI_LOG_FILE=logs/own.log\n"})
    found = json.loads(liteyuki("run", "-d", "main.py", "--json"))
    try:
        assert found["log"] == os.path.join(os.path.realpath(here), "logs", "own.log")
        assert found["ok"] is True
        assert os.path.getsize(found["log"]) > 100
    finally:
        liteyuki("shutdown")


def test_run_in_the_background_that_fails(here: Path, liteyuki: Liteyuki) -> None:
    """What the bot has written is shown; a process that is down has its exit code."""
    text = liteyuki("run", "-d", code=1)
    assert text == f"there is no file bot.py in {os.path.realpath(here)}\n"
    write_files(here, {"bot.py": "raise SystemExit('nothing to do')\n"})
    text = liteyuki("run", "-d", code=1)
    assert text == "the bot has ended with exit code 1; it wrote:\nnothing to do\n"
    broken = BOT.replace('"child", child', '"child", "no_module:child"')
    write_files(here, {"bot.py": broken})
    assert "the bot has ended with exit code 1; it wrote:" in liteyuki("run", "-d", code=1)
    write_files(here, {"bot.py": broken.replace("bot.run()", "bot.run(keep=True)")})
    try:
        assert "a process does not run; the log: " in liteyuki("run", "-d", code=3)
    finally:
        liteyuki("shutdown")
    assert "LITEYUKI_CONTROL is false" in liteyuki("run", "-d", code=1, LITEYUKI_CONTROL="false")


@unix
def test_run_in_the_terminal(here: Path, environment: dict[str, str], liteyuki: Liteyuki) -> None:
    """It is the bot itself: same process, same output, same exit code."""
    write_files(here, {"bot.py": BOT})
    command = [sys.executable, "-m", "liteyuki_core.cli", "run"]
    program = Program(command, here, environment)
    try:
        program.wait_for_line("process child is ready")
        assert json.loads(liteyuki("status", "--json"))["pid"] == program.process.pid
        assert program.stop() == 0
        assert program.found("LiteyukiBot has stopped")
    finally:
        program.close()


def test_config_explain(here: Path, bot: Program, liteyuki: Liteyuki) -> None:
    """Each setting of the running bot, with where it comes from."""
    lines = liteyuki("config", "explain").splitlines()
    assert lines[0].split() == ["KEY", "VALUE", "FROM"]
    assert ["LITEYUKI_CONTROL", "true", "default"] in [line.split() for line in lines]
    (here / ".env").write_text("LITEYUKI_STOP_TIMEOUT=20\n", encoding="utf-8")
    found = {each["key"]: each for each in json.loads(liteyuki("config", "explain", "--json"))}
    assert found["LITEYUKI_STOP_TIMEOUT"] == {
        **{"key": "LITEYUKI_STOP_TIMEOUT", "value": 10.0},
        **{"source": ".env", "changed": True},
    }
    assert ".env; another value from the next start on" in liteyuki("config", "explain")


def test_config_explain_without_a_bot(here: Path, liteyuki: Liteyuki) -> None:
    """What it would start with, or what is wrong with that."""
    (here / ".env").write_text(
        "ENVIRONMENT=dev\nLITEYUKI_STOP_TIMEOUT=20\nLITEYUKI_PLUGINS=one\n", encoding="utf-8"
    )
    (here / ".env.dev").write_text("LITEYUKI_HANG_TIMEOUT=3\n", encoding="utf-8")
    (here / "pyproject.toml").write_text('[tool.liteyuki]\nplugins = ["two"]\n', encoding="utf-8")
    text = liteyuki("config", "explain", LITEYUKI_RELOAD="true")
    assert text.startswith("no bot runs here; it would start with these\n")
    found = {
        each["key"]: (each["value"], each["source"])
        for each in json.loads(liteyuki("config", "explain", "--json", LITEYUKI_RELOAD="true"))
    }
    assert found["LITEYUKI_STOP_TIMEOUT"] == (20.0, ".env")
    assert found["LITEYUKI_HANG_TIMEOUT"] == (3.0, ".env.dev")
    assert found["LITEYUKI_RELOAD"] == (True, "the environment")
    assert found["LITEYUKI_PLUGINS"] == (
        ["two", "one"],
        "[tool.liteyuki] of pyproject.toml and .env",
    )
    assert found["LITEYUKI_LOG_ICON"] == (True, None)
    text = liteyuki("config", "explain", code=1, LITEYUKI_RELOAD="perhaps")
    assert "LITEYUKI_RELOAD=perhaps" in text


def test_a_bot_of_another_directory_is_not_this_one(
    here: Path, liteyuki: Liteyuki, bot: Program
) -> None:
    """A folder inside the project has no bot of its own."""
    (here / "inside").mkdir()
    assert (
        liteyuki("-C", "inside", "status", code=4) == "no bot runs here; liteyuki run starts one\n"
    )
    assert json.loads(liteyuki("status", "--json"))["ok"] is True
