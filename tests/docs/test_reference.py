"""The reference pages: made from the code as it is now, and with everything that it has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any

import click
import pytest

import liteyuki_core
from liteyuki_core import accounts, cli, comm, errors, plugin, process, session
from liteyuki_core.config import PLUGIN_KEYS, Settings
from liteyuki_core.control.api import openapi
from tests.conftest import ROOT
from tests.docs.pages import CHINESE, ENGLISH, NONEBOT_KEYS, headings, read, sections, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFERENCE = {ENGLISH: "docs/en/reference", CHINESE: "docs/reference"}

both_languages = pytest.mark.parametrize("language", REFERENCE)


def titles(language: str, page: str) -> list[str]:
    """Return the headings of a reference page."""
    return [text.replace("`", "") for _, text in headings(f"{REFERENCE[language]}/{page}.md")]


def is_explained(text: str, language: str) -> bool:
    """Return whether a section has a sentence in its language before its lists and tables."""
    first = text.strip().partition("\n")[0]
    return (
        re.match(r"[A-Za-z`]" if language == ENGLISH else r".*[\u4e00-\u9fff]", first) is not None
    )


def test_pages_are_those_of_the_code() -> None:
    """`python scripts/reference` would change nothing."""
    command = (sys.executable, "scripts/reference", "--check")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------- settings


def plugin_fields() -> dict[str, Any]:
    """Return the fields of the plugin's `Config`, by key, without importing the plugin."""
    path = ROOT / "nonebot_plugin_liteyuki_comm" / "config.py"
    spec = spec_from_file_location("config_of_the_plugin", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name.upper(): field for name, field in module.Config.model_fields.items()}


def settings(language: str) -> dict[str, str]:
    """Return the defaults that the page gives, by key."""
    found = sections(f"{REFERENCE[language]}/settings.md", 3)
    defaults = {
        key: re.search(r"^- .+?[:：] ?(?:`(.*)`)?", text, re.M) for key, text in found.items()
    }
    return {key: (default and default[1]) or "" for key, default in defaults.items()}


def env_example() -> dict[str, str]:
    """Return the keys of .env.example and the values behind their #."""
    return dict(re.findall(r"^# ?([A-Z0-9_]+)=(.*)$", read(".env.example"), re.MULTILINE))


@pytest.fixture
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty, and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for key in env_example():
        monkeypatch.delenv(key, raising=False)
    return tmp_path


@both_languages
def test_every_setting_is_there_with_its_default(
    language: str, nothing_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key's default, set as the page has it, is the default."""
    from nonebot.config import Config as NoneBotConfig

    page = settings(language)
    ours = [f"LITEYUKI_{field.name.upper()}" for field in fields(Settings)]
    plugins = plugin_fields()
    assert list(plugins) == list(PLUGIN_KEYS)
    assert list(page) == [*ours, *plugins, *NONEBOT_KEYS]
    for key in ours:
        monkeypatch.setenv(key, page[key])
    assert Settings.load() == Settings()
    for key, field in plugins.items():
        assert page[key] == str(field.default).lower()
    for key in ("HOST", "PORT", "DRIVER", "LOG_LEVEL"):
        assert page[key] == str(NoneBotConfig.model_fields[key.lower()].default)


@both_languages
def test_env_example_has_the_keys_of_the_page(language: str) -> None:
    """The same keys in the same order with the same values, each after one line about it."""
    assert list(env_example().items()) == list(settings(language).items())
    for paragraph in read(".env.example").strip().split("\n\n")[1:]:
        about, key = paragraph.splitlines()
        assert re.fullmatch(r"# [A-Z].* / .*[\u4e00-\u9fff].*", about), about
        assert re.fullmatch(r"# [A-Z0-9_]+=.*", key), key


@pytest.mark.parametrize("keys", ["as it stands", "with every # before a key removed"])
def test_env_example_changes_nothing(keys: str, nothing_set: Path) -> None:
    """Copied to .env it gives the defaults, for LiteyukiBot and for NoneBot."""
    from nonebot.config import Config as NoneBotConfig

    text = read(".env.example")
    if keys != "as it stands":
        text = re.sub(r"^# ?([A-Z0-9_]+=)", r"\1", text, flags=re.MULTILINE)
    (nothing_set / ".env").write_text(text, encoding="utf-8")
    assert Settings.load() == Settings()
    with_file, without = NoneBotConfig(_env_file=".env"), NoneBotConfig(_env_file=None)
    for name in NoneBotConfig.model_fields:
        assert getattr(with_file, name) == getattr(without, name)
    assert not getattr(with_file, "onebot_access_token", None)


# ------------------------------------------------------------- everything else


@both_languages
def test_settings_errors_commands_and_metrics_are_explained(language: str) -> None:
    """Each in the language of its page, right below its heading."""
    for page, level in (("settings", 3), ("errors", 2), ("cli", 2), ("metrics", 2)):
        found = sections(f"{REFERENCE[language]}/{page}.md", level)
        dull = [name for name, text in found.items() if not is_explained(text, language)]
        assert not [name for name in dull if name not in ("Exit codes", "退出码")]


@both_languages
def test_every_error_is_there(language: str) -> None:
    """Those that the core raises, and no others."""
    assert sorted(titles(language, "errors")[1:]) == sorted(errors.__all__)


@both_languages
def test_every_command_is_there(language: str) -> None:
    """Those of groups too."""

    def below(command: click.Command, name: str) -> Iterator[str]:
        yield name
        for each, inner in getattr(command, "commands", {}).items():
            yield from below(inner, f"{name} {each}")

    assert titles(language, "cli")[2:] == sorted(below(cli.whole(), "liteyuki"))


@both_languages
def test_every_option_is_there(language: str) -> None:
    """With each of its names."""
    page = read(f"{REFERENCE[language]}/cli.md")

    def options(command: click.Command) -> Iterator[str]:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield from parameter.opts
        for inner in getattr(command, "commands", {}).values():
            yield from options(inner)

    assert not [option for option in options(cli.whole()) if f"`{option}" not in page]


@both_languages
def test_every_metric_is_there(language: str) -> None:
    """By the names that stand in the code."""
    code = read("liteyuki_core/control/metrics.py")
    assert titles(language, "metrics")[1:] == re.findall(r'"(liteyuki_\w+)"', code)


@both_languages
def test_every_request_is_there(language: str) -> None:
    """By its verb and path in the OpenAPI document."""
    paths = json.loads(openapi())["paths"]
    requests = [f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs]
    assert not set(requests) - set(titles(language, "http"))


@both_languages
def test_every_public_name_is_there(language: str) -> None:
    """Of both packages: on the page of the API, errors on their own."""
    code = read("nonebot_plugin_liteyuki_comm/__init__.py")
    of_plugin = re.findall(r'^    "(\w+)",$', code.partition("__all__ = [")[2], re.MULTILINE)
    assert "wait_bot" in of_plugin
    rooms = (liteyuki_core, comm, process, plugin, session)
    public = {name for room in rooms for name in room.__all__} | set(of_plugin)
    public |= {"Account", "AccountState"} & set(accounts.__all__)
    there = {*titles(language, "api"), *titles(language, "errors")}
    assert not public - there


@both_languages
def test_words_are_of_what_is_there(language: str) -> None:
    """What is gone from the code goes from words.toml too."""
    words = re.findall(
        r'^\[(\w+)\."?(.+?)"?\]$', read("scripts/reference/words.toml"), re.MULTILINE
    )
    for kind, name in words:
        if kind == "commands":
            assert f"liteyuki {name}" in titles(language, "cli")
        else:
            assert name in titles(language, kind)


# ------------------------------------------------------------- llms.txt


def test_llms_lists_every_english_page() -> None:
    """By the path that it has on the site, each with a title."""
    listed = re.findall(r"^- \[.+?\]\((\S+?)\)", read("docs/public/llms.txt"), re.MULTILINE)
    assert sorted(f"docs/{path}" for path in listed) == site(ENGLISH)
