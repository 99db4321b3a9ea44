"""Settings: a key that is none is warned about, once, with the one that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from liteyuki_core.config import PLUGIN_KEYS, Settings, unknown_keys
from tests.program import Environment, running_program, write_files


@pytest.fixture
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_known_keys_are_not_named(nothing_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the settings and of the plugin, in any case; nor what has another prefix."""
    keys = [*(f"LITEYUKI_{name}" for name in Settings.model_fields), *PLUGIN_KEYS]
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
    assert line == f"{key.upper()} (in {place}) is no setting of LiteyukiBot: {says}"


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
