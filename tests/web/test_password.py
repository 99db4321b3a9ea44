"""The password: what it must be, what is kept of it, how often one may try."""

from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.config import Settings
from liteyuki_core.errors import ConfigError
from liteyuki_core.web import password
from liteyuki_core.web.password import Password, Tries, check
from tests.web.clock import Clock

GOOD = "long enough, I think"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """What runs what takes long."""
    with ThreadPoolExecutor(1) as found:
        yield found


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"web_password": "x" * 11}, "must have 12 to 1024 characters"),
        ({"web_password": "x" * 2000}, "must have 12 to 1024 characters"),
        ({"web_host": "0.0.0.0"}, "needs LITEYUKI_WEB_PASSWORD.*TLS in front of it"),
        ({"web_host": "bot.example.org"}, "needs LITEYUKI_WEB_PASSWORD"),
        ({"web_url": "bot.example.org"}, "it is like https://bot.example.org"),
        ({"control": False}, "needs LITEYUKI_CONTROL=true"),
    ],
)
def test_what_is_refused(here: Path, settings: dict[str, Any], says: str) -> None:
    """With words that say what to do, and never the password itself."""
    with pytest.raises(ConfigError, match=says) as caught:
        check(replace(Settings(), **settings))
    assert "xxxx" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        *({}, {"web_host": "localhost"}, {"web_password": GOOD}),
        *({"web_host": "0.0.0.0", "web_password": GOOD}, {"web_url": "https://bot.example.org"}),
    ],
)
def test_what_is_allowed(here: Path, settings: dict[str, Any]) -> None:
    """Without a password for this machine alone."""
    check(replace(Settings(), **settings))


def test_without_argon2(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a password needs it, and it says how to get it."""
    monkeypatch.setattr(password, "find_spec", lambda name: None)
    check(Settings())
    with pytest.raises(ConfigError, match=r"nonebot-plugin-liteyuki-comm\[web\]"):
        check(replace(Settings(), web_password=GOOD))


async def test_only_its_hash_is_kept(here: Path, threads: ThreadPoolExecutor) -> None:
    """For the user alone; the setting may go then, and another one takes its place."""
    found = Password(GOOD, threads)
    assert found.is_set
    assert await found.is_right(GOOD) is True
    for wrong in ("", GOOD[:-1], f"{GOOD} ", GOOD.upper(), "x" * 5000, "\udcff"):
        assert await found.is_right(wrong) is False
    kept = Path(password.FILE)
    assert kept.read_text().startswith("$argon2id$")
    assert GOOD not in kept.read_text()
    assert GOOD not in repr(vars(found))
    if sys.platform != "win32":
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    check(replace(Settings(), web_host="0.0.0.0"))
    later = Password(None, threads)
    assert await later.is_right(GOOD) is True
    other = Password("another password", threads)
    assert await other.is_right(GOOD) is False
    assert await Password(None, threads).is_right("another password") is True
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


async def test_none_is_no_empty_one(here: Path, threads: ThreadPoolExecutor) -> None:
    """Where there is none, and where what is kept is damaged, nothing is right."""
    found = Password(None, threads)
    assert not found.is_set
    assert await found.is_right("") is False
    Path(password.FOLDER).mkdir()
    for text in ("", "$argon2id$", "nonsense"):
        Path(password.FILE).write_text(text)
        assert await Password(None, threads).is_right("") is False


async def test_passwords_are_looked_at_one_by_one(here: Path, threads: ThreadPoolExecutor) -> None:
    """Each takes memory. Those that come together wait for each other."""
    found = Password(GOOD, threads)
    given = [GOOD, "wrong"] * 3
    assert await asyncio.gather(*map(found.is_right, given)) == [True, False] * 3


def test_so_many_tries() -> None:
    """Five a minute from one address, thirty from all; what is refused counts for nothing."""
    clock = Clock()
    tries = Tries(clock)
    assert [tries.add("a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert tries.add("b")
    tries.forget("a")
    assert [tries.add("a") for _ in range(6)] == [True] * 5 + [False]
    clock.now += 59
    assert not tries.add("a")
    clock.now += 2
    assert tries.add("a")
    allowed = sum(tries.add(f"host {number}") for number in range(100))
    assert allowed == 29
