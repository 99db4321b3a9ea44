"""Settings: what texts mean; a key that is none is warned about, with the one that was meant."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from liteyuki_core.config import PLUGIN_KEYS, Settings, unknown_keys
from liteyuki_core.errors import ConfigError
from tests.program import Environment, running_program, write_files

NAMES = [field.name for field in fields(Settings)]
TEXTS = [
    *(
        "true",
        "True",
        "FALSE",
        "yes",
        "off",
        "1",
        "0",
        "2",
        "-1",
        "+1",
        " 1 ",
        "1_000",
        "01",
        "007",
    ),
    *("1.", ".5", "0.5", "1e1", "1.0", "10.00", "3600", "3600.5", "3601", "1024", "1023", "١"),
    *("9" * 30, "0x10", "nan", "inf", "None", "warn", "WARN", "Restart", "kill", "debug", "Zh"),
    *("10 MB", "日志", "a b", "#", "İ"),
    *("a,b", " a , b,", ",", '["a", "b"]', " []", "[", "[1]", '["a", null]', '{"a": 1}', "[[]]"),
]


@pytest.fixture
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LITEYUKI_LOG_LANG")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_every_text_means_what_pydantic_says(
    nothing_set: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also where pydantic is not asked because the text is plain."""
    for text in TEXTS:
        monkeypatch.setenv(f"LITEYUKI_{name.upper()}", text)
        found: object
        try:
            expected: object = repr(Settings._checked({name: text}))
        except ConfigError as error:
            expected = str(error)
        try:
            found = repr(Settings.load())
        except ConfigError as error:
            found = str(error)
        assert found == expected, text


def test_plain_settings_need_no_pydantic(nothing_set: Path) -> None:
    """A main process starts without it; a value that is not plain has it imported."""
    code = (
        "import sys; from liteyuki_core import bot; bot.LiteyukiBot(); {} 'pydantic' in sys.modules"
    )
    lines = "LITEYUKI_LOG_LEVEL=debug\nLITEYUKI_RELOAD=false\nLITEYUKI_STOP_TIMEOUT={}\n"
    for timeout, says in (("2.5", "assert not"), ("1e1", "assert")):
        write_files(nothing_set, {".env": lines.format(timeout)})
        subprocess.run([sys.executable, "-c", code.format(says)], check=True, timeout=60)


def test_known_keys_are_not_named(nothing_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the settings and of the plugin, in any case; nor what has another prefix."""
    keys = [*(f"LITEYUKI_{name}" for name in NAMES), *PLUGIN_KEYS]
    monkeypatch.setenv("LITEYUKI", "1")
    monkeypatch.setenv("LITEYUKI_STOP_TIMEOUT", "1")
    lines = [f"{key.upper()}=\n{key.lower()}=1\n" for key in keys]
    write_files(nothing_set, {".env": "".join(lines) + "PORT=1\nLITEYUKIBOT=1\n"})
    assert unknown_keys() == []


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("LITEYUKI_LOG_LEVLE", "did you mean LITEYUKI_LOG_LEVEL?"),
        ("liteyuki_stoptimeout", "did you mean LITEYUKI_STOP_TIMEOUT?"),
        ("LITEYUKI_COMM_REQUIRED_HOST", "did you mean LITEYUKI_COMM_REQUIRE_HOST?"),
        ("LITEYUKI_WEATHER", "the settings are listed in README and .env.example"),
    ],
)
@pytest.mark.parametrize("place", ["the environment", ".env", "the environment and .env"])
def test_an_unknown_key_is_named(
    nothing_set: Path, monkeypatch: pytest.MonkeyPatch, key: str, says: str, place: str
) -> None:
    """With where it stands and the nearest key, if one is near."""
    if "environment" in place:
        monkeypatch.setenv(key, "1")
    if ".env" in place:
        write_files(nothing_set, {".env": f"# {key}X=1\n{key.upper()}=1\n"})
    (line,) = unknown_keys()
    assert line.english == f"{key.upper()} (in {place}) is no setting of LiteyukiBot: {says}"


def test_the_main_process_warns_once(tmp_path: Path, environment: Environment) -> None:
    """One line for each, from the main process alone; everything else is as without them."""
    write_files(tmp_path, {".env": "LITEYUKI_LOG_LEVLE=DEBUG\n"})
    with running_program(
        tmp_path, environment, "bot_targets:one_message", LITEYUKI_RELAOD="true"
    ) as bot:
        assert bot.wait() == 0
        assert bot.found("^works")
        assert len(bot.found(r"LITEYUKI_LOG_LEVLE \(in \.env\) is no setting")) == 1
        assert len(bot.found(r"LITEYUKI_RELAOD \(in the environment\) is no setting")) == 1
        assert len(bot.found("is no setting")) == 2


@pytest.mark.parametrize(
    ("files", "environment", "level"),
    [
        ({".env.prod": "LITEYUKI_LOG_LEVEL=DEBUG"}, {}, "DEBUG"),
        (
            {".env": "LITEYUKI_LOG_LEVEL=ERROR", ".env.prod": "liteyuki_log_level=DEBUG"},
            {},
            "DEBUG",
        ),
        (
            {".env": "environment=dev\nLITEYUKI_LOG_LEVEL=ERROR", ".env.dev": "", ".env.prod": "X"},
            {},
            "ERROR",
        ),
        ({".env": "ENVIRONMENT=dev", ".env.dev": "LITEYUKI_LOG_LEVEL=TRACE"}, {}, "TRACE"),
        (
            {".env": "ENVIRONMENT=dev", ".env.test": "LITEYUKI_LOG_LEVEL=TRACE"},
            {"ENVIRONMENT": "test"},
            "TRACE",
        ),
        ({".env.prod": "LITEYUKI_LOG_LEVEL=DEBUG"}, {"LITEYUKI_LOG_LEVEL": "ERROR"}, "ERROR"),
        ({".env.dev": "LITEYUKI_LOG_LEVEL=DEBUG"}, {}, "INFO"),
    ],
)
def test_the_files_that_nonebot_reads(
    nothing_set: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    environment: dict[str, str],
    level: str,
) -> None:
    """`.env`, then `.env.{ENVIRONMENT}`, then the environment: as NoneBot does, in its order."""
    write_files(nothing_set, files)
    for key, text in environment.items():
        monkeypatch.setenv(key, text)
    assert Settings.load().log_level == level


def test_a_wrong_value_or_key_names_its_file(nothing_set: Path) -> None:
    """The template of nb-cli makes no other file than `.env.prod`."""
    write_files(nothing_set, {".env.prod": "LITEYUKI_LOG_LEVEL=loud\nLITEYUKI_LOUD=1"})
    with pytest.raises(ConfigError, match=r"in the environment or in \.env or in \.env\.prod\)$"):
        Settings.load()
    assert [line for line in unknown_keys() if "LITEYUKI_LOUD (in .env.prod)" in line.english]
    (nothing_set / ".env.prod").write_bytes("LITEYUKI_LOG_LANG=\u4e2d".encode("gbk"))
    with pytest.raises(ConfigError, match=r"\.env\.prod is not UTF-8"):
        Settings.load()
