"""Alerts that another node sends: each once, again until it is taken, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from liteyuki_core.alerts import passing as module
from liteyuki_core.alerts.passing import Passing
from tests.accounts.conftest import logged as logged
from tests.conftest import DEADLINE


class Other:
    """The other node. `answer` is what it says: taken, not taken, or that nobody sends."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer
        self.given: list[tuple[str, str]] = []

    async def give(self, subject: str, text: str) -> bool | None:
        self.given.append((subject, text))
        return self.answer


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something on this loop."""
    deadline = asyncio.get_running_loop().time() + DEADLINE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


async def test_each_once(logged: list[str]) -> None:
    """What is the same as before is not given again, unless it was forgotten."""
    other = Other(True)
    passing = Passing(other.give)
    passing.send("a", "1")
    passing.send("a", "1")
    passing.send("b", "1")
    passing.forget("a")
    passing.send("a", "1")
    await passing.close(DEADLINE)
    assert other.given == [("a", "1"), ("b", "1"), ("a", "1")]
    assert logged == []


async def test_again_until_it_is_taken(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    """A node that sends may be about to start."""
    monkeypatch.setattr(module, "_RETRIES", (0.01,) * 50)
    other = Other(False)
    passing = Passing(other.give)
    passing.send("a", "1")
    await until(lambda: len(other.given) > 3)
    other.answer = True
    await until(lambda: not passing._tasks)
    assert logged == []
    await passing.close(DEADLINE)


async def test_not_for_ever(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    """What nobody takes is in the log in the end."""
    monkeypatch.setattr(module, "_RETRIES", (0.01, 0.01))
    other = Other(False)
    passing = Passing(other.give)
    passing.send("a", "what is wrong")
    await until(lambda: logged)
    assert len(other.given) == 3
    assert "an alert is given up that no other node has taken: what is wrong" in logged[0]
    await passing.close(DEADLINE)


async def test_where_nobody_sends_alerts(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    """One who does may have to start first; then nobody wants them, and nothing is said."""
    monkeypatch.setattr(module, "_RETRIES", (0.01,) * 50)
    other = Other(None)
    passing = Passing(other.give)
    passing.send("a", "1")
    await until(lambda: not passing._tasks)
    assert len(other.given) == 3
    assert logged == []
    await passing.close(0)


async def test_one_who_sends_starts_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets what went wrong before."""
    monkeypatch.setattr(module, "_RETRIES", (0.01,) * 50)
    other = Other(None)
    passing = Passing(other.give)
    passing.send("a", "1")
    await until(lambda: other.given)
    other.answer = True
    await until(lambda: not passing._tasks)
    assert len(other.given) == 2
    await passing.close(0)


async def test_the_bot_stops(logged: list[str]) -> None:
    """What waits for its next try gets none, and nobody is held up."""
    other = Other(False)
    passing = Passing(other.give)
    passing.send("a", "1")
    await until(lambda: other.given)
    await passing.close(DEADLINE)
    assert not passing._tasks
    assert "given up" in logged[0]


async def test_so_many_at_a_time(logged: list[str]) -> None:
    """What comes beyond a bound is in the log."""
    passing = Passing(Other(False).give)
    for number in range(module._MOST + 1):
        passing.send(str(number), "x")
    assert len(passing._tasks) == module._MOST
    assert len(logged) == 1
    await passing.close(DEADLINE)
