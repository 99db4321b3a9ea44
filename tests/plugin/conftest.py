"""What tests of the NoneBot side share: nonebug's NoneBot, projects with a NoneBot child."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nonebot
import pytest
from nonebot.plugin import Plugin
from nonebug import NONEBOT_INIT_KWARGS, NONEBOT_START_LIFESPAN

from liteyuki_core.comm import current
from tests.conftest import free_port
from tests.pair import Pair
from tests.program import listing, main_process, write_files

DRIVER = "~fastapi+liteyuki_core.frameworks.nonebot"


def pytest_configure(config: pytest.Config) -> None:
    """Have nonebug's NoneBot use our mixin and start when a test starts it."""
    config.stash[NONEBOT_INIT_KWARGS] = {"driver": DRIVER, "log_level": "WARNING"}
    config.stash[NONEBOT_START_LIFESPAN] = False


@pytest.fixture(scope="session")
def plugin(nonebug_init: None) -> Plugin:
    """Our plugin, loaded into nonebug's NoneBot."""
    loaded = nonebot.load_plugin("nonebot_plugin_liteyuki_comm")
    assert loaded is not None
    return loaded


@pytest.fixture
def host() -> Iterator[Pair]:
    """A main process's side, with this process as its child, launched as NoneBot children are."""
    pair = Pair()
    pair.child.dispatcher.use_other_loop()
    current.install(pair.child)
    yield pair
    current.uninstall(pair.child)
    pair.close()


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A main process with a NoneBot child whose one plugin, hooks.py, the test writes."""
    environment["PORT"] = str(free_port())
    write_files(tmp_path, {"bot.py": main_process(), "pyproject.toml": listing("hooks")})
    return tmp_path
