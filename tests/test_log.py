"""The log's line, its settings, and that it is nobody else's."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from liteyuki_core.config import Settings
from liteyuki_core.errors import ConfigError
from liteyuki_core.log import LogConfig
from tests.program import python

Environment = dict[str, str]
LINE = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[(.*)\] (.*)$"

ALL = """
from liteyuki_core.log import logger
for level in ("trace", "debug", "info", "success", "warning", "error", "critical"):
    getattr(logger, level)("m {} <red>" + level)
"""


def labels(output: str) -> list[str]:
    """Return what stands between the brackets of each line."""
    return [m[1] for m in map(re.compile(LINE).match, output.splitlines()) if m]


def test_the_documented_line(tmp_path: Path, environment: Environment) -> None:
    """Date, time, icon and Chinese level name, message; from INFO on."""
    del environment["LITEYUKI_LOG_LANG"]
    result = python(ALL, tmp_path, environment)
    assert labels(result.stdout) == ["ℹ️信息", "✅成功", "⚠️警告", "⭕错误", "❌严重"]
    assert "m {} <red>info" in result.stdout


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"LITEYUKI_LOG_LEVEL": "debug"}, ["🐛调试", "ℹ️信息"]),
        ({"LITEYUKI_LOG_ICON": "false"}, ["信息", "成功"]),
        ({"LITEYUKI_LOG_LANG": "en"}, ["ℹ️INFO", "✅SUCCESS"]),
        ({"LITEYUKI_LOG_LEVEL": "nonsense", "LITEYUKI_LOG_LANG": "xx"}, ["ℹ️信息", "✅成功"]),
        ({"LITEYUKI_LOG_LEVEL": "ERROR"}, ["⭕错误", "❌严重"]),
    ],
)
def test_settings(
    tmp_path: Path, environment: Environment, more: dict[str, str], expected: list[str]
) -> None:
    """The LITEYUKI_LOG_ variables say which lines are written and how they look."""
    del environment["LITEYUKI_LOG_LANG"]
    result = python(ALL, tmp_path, environment, **more)
    assert labels(result.stdout)[:2] == expected


@pytest.mark.parametrize(
    ("more", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
        ({"FORCE_COLOR": "1", "LITEYUKI_LOG_JSON": "true"}, False),
    ],
)
def test_colours(
    tmp_path: Path, environment: Environment, more: dict[str, str], coloured: bool
) -> None:
    """Without a terminal there are none, unless they are asked for."""
    result = python(ALL, tmp_path, environment, **more)
    assert ("\x1b[32m" in result.stdout) == coloured
    assert ("\x1b" in result.stdout) == coloured


def test_json(tmp_path: Path, environment: Environment) -> None:
    """One object a line, whatever is in it, readable as it is."""
    code = """
    from liteyuki_core.log import logger
    logger.debug("not written")
    logger.info("雪\\n{} <red> \\x1b[1m \\ud800")
    try:
        raise ValueError("two\\nlines")
    except ValueError:
        logger.opt(exception=True).error("failed")
    """
    environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"
    result = python(code, tmp_path, environment, LITEYUKI_LOG_JSON="true")
    plain, failed = map(json.loads, result.stdout.splitlines())
    assert datetime.fromisoformat(plain.pop("time")).tzinfo is not None
    message = "雪\n{} <red> \x1b[1m \ud800"
    assert plain == {"level": "INFO", "process": "main", "message": message}
    assert "雪" in result.stdout
    assert failed["exception"].startswith("Traceback")
    assert failed["exception"].endswith("ValueError: two\nlines")


def test_no_line_is_printed_twice(tmp_path: Path, environment: Environment) -> None:
    """Beside NoneBot and other users of loguru, each logger's lines stay its own."""
    result = python(
        """
        import loguru
        from liteyuki_core.log import logger
        logger.info("ours before")
        import nonebot
        nonebot.init(driver="~none")
        logger.info("ours after")
        nonebot.logger.info("nonebot's")
        loguru.logger.info("global")
        """,
        tmp_path,
        environment,
    )
    for text, shape in (
        ("ours before", LINE),
        ("ours after", LINE),
        ("nonebot's", r"^\d\d-\d\d .*\| nonebot's$"),
        ("global", r"^\d\d-\d\d .*\| global$"),
    ):
        lines = [line for line in result.stdout.splitlines() if text in line]
        assert len(lines) == 1, result.stdout
        assert re.match(shape, lines[0])


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("gbk", "[信息] LiteyukiBot 已停止".encode("gbk").decode("utf-8", "replace")),
        ("ascii", "[INFO] LiteyukiBot has stopped"),
    ],
)
def test_a_console_that_lacks_characters(
    tmp_path: Path, environment: Environment, encoding: str, shown: str
) -> None:
    """Lines come without icons, or in English, so that each can be read."""
    result = python(
        """
        from liteyuki_core.language import say
        from liteyuki_core.log import logger
        logger.info("☃ snow")
        logger.info(say("LiteyukiBot has stopped"))
        """,
        tmp_path,
        environment,
        LITEYUKI_LOG_LANG="zh",
        PYTHONUTF8="0",
        PYTHONIOENCODING=encoding,
    )
    assert shown in result.stdout
    assert "? snow" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.parametrize(
    ("standard_output", "file", "formats"),
    [
        ("", "", (False, False)),
        ("true", "", (True, True)),
        ("", "true", (False, True)),
        ("true", "false", (True, False)),
        ("false", "false", (False, False)),
    ],
)
def test_the_format_of_the_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    standard_output: str,
    file: str,
    formats: tuple[bool, bool],
) -> None:
    """Is its own, or that of standard output. Without a file it is of no matter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITEYUKI_LOG_JSON", standard_output)
    monkeypatch.setenv("LITEYUKI_LOG_FILE_JSON", file)
    assert not Settings.load().log.both
    monkeypatch.setenv("LITEYUKI_LOG_FILE", "bot.log")
    config = Settings.load().log
    assert (config.json, config.file_json) == formats
    assert config.records == any(formats)
    monkeypatch.setenv("LITEYUKI_LOG_FILE_JSON", "perhaps")
    with pytest.raises(ConfigError, match=r"LITEYUKI_LOG_FILE_JSON=perhaps: .*boolean"):
        Settings.load()


def test_from_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` gives what the environment does not."""
    for key in ("LEVEL", "ICON", "LANG"):
        monkeypatch.delenv(f"LITEYUKI_LOG_{key}", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "LITEYUKI_LOG_LEVEL=warning\nLITEYUKI_LOG_LANG=EN\nHOST=0.0.0.0\nLITEYUKI_STOP_TIMEOUT=\n"
    )
    monkeypatch.setenv("LITEYUKI_LOG_ICON", "no")
    assert Settings.load().log == LogConfig("WARNING", False, "en")
    assert Settings.load().stop_timeout == 10
    (tmp_path / ".env").write_bytes(b"LITEYUKI_LOG_LEVEL=\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        Settings.load()
