"""NoneBot's log in a child: lines that are not shown cost no record. Tests frameworks/loguru.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from liteyuki_core.frameworks.loguru import follow_level
from tests.conftest import free_port
from tests.program import (
    STARTED,
    Environment,
    listing,
    main_process,
    nonebot_plugin,
    running,
    write_files,
)

SPEAKS = """
    import nonebot
    from nonebot.log import logger_id

    made = []

    def say(when):
        nonebot.logger.opt(lazy=True).debug("debug {}", lambda: made.append(when) or when)
        nonebot.logger.info(f"info {when}, made: {made}")

    @driver.on_startup
    def speak():
        say("at first")
        nonebot.logger.configure(extra={"nonebot_log_level": "DEBUG"})
        say("when it is DEBUG")
        nonebot.logger.configure(extra={"nonebot_log_level": 25})
        say("when it is 25")
        nonebot.logger.configure(extra={"nonebot_log_level": "INFO"})
        other = nonebot.logger.add(lambda message: None, level="DEBUG")
        say("for another")
        nonebot.logger.remove(other)
        say("without it")
"""


def speaking(folder: Path, environment: Environment, **more: str) -> list[str]:
    """Run a bot whose plugin speaks, and return what it shows of that."""
    environment["PORT"] = str(free_port())
    files = {
        "bot.py": main_process(),
        "pyproject.toml": listing("own"),
        "own.py": nonebot_plugin(SPEAKS),
    }
    write_files(folder, files)
    with running(folder, {**environment, **more}) as program:
        program.wait_for_line(STARTED)
        assert program.stop() == 0
        return [match[1] for match in program.found(r"own \| ((?:debug|info) .*)")]


def test_it_is_shown_as_configured(tmp_path: Path, environment: Environment) -> None:
    """And a line that is not shown is not made, unless another handler wants it."""
    assert speaking(tmp_path, environment) == [
        "info at first, made: []",
        "debug when it is DEBUG",
        "info when it is DEBUG, made: ['when it is DEBUG']",
        "info for another, made: ['when it is DEBUG', 'for another']",
        "info without it, made: ['when it is DEBUG', 'for another']",
    ]


def test_the_level_of_the_settings(tmp_path: Path, environment: Environment) -> None:
    """LOG_LEVEL holds from the beginning, also where the main process gets records."""
    shown = speaking(tmp_path, environment, LOG_LEVEL="DEBUG", LITEYUKI_LOG_FORMAT="text")
    assert shown[:2] == ["debug at first", "info at first, made: ['at first']"]


def test_a_loguru_of_another_shape_is_left_alone() -> None:
    """Nothing is changed, and nothing is raised."""
    for core in (None, SimpleNamespace(), SimpleNamespace(handlers={1: object()}, extra={})):
        logger = SimpleNamespace(_core=core, configure=len)
        follow_level(logger, bool, "level", "INFO")
        assert logger.configure is len
