"""Nodes that have vanished: who tells of them, when, and what a server that is away means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from liteyuki_core.alerts.absence import Absences
from tests.conftest import DEADLINE


class Watched:
    """A cluster, and what was told of it."""

    def __init__(self, after: float = 0.0) -> None:
        self.is_sender = True
        self.server_is_there = True
        self.told: list[str] = []
        self.absences = Absences(
            after,
            self,
            lambda name, _: self.told.append(f"-{name}"),
            lambda name, _: self.told.append(f"+{name}"),
        )

    async def until(self, *told: str) -> None:
        """Wait until just this was told."""
        await until(lambda: len(self.told) >= len(told))
        assert self.told == list(told)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something on this loop."""
    deadline = asyncio.get_running_loop().time() + DEADLINE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


async def test_one_that_is_gone_and_back() -> None:
    """Each is told once."""
    watched = Watched()
    for _ in range(2):
        watched.absences.node("b", is_gone=True)
    await watched.until("-b")
    for _ in range(2):
        watched.absences.node("b", is_gone=False)
    await watched.until("-b", "+b")


async def test_one_that_is_back_soon() -> None:
    """It is never told, nor is one that has stopped meanwhile."""
    watched = Watched(0.1)
    watched.absences.node("b", is_gone=True)
    watched.absences.node("b", is_gone=False)
    watched.absences.node("c", is_gone=True)
    await watched.until("-c")
    watched.absences.close()


async def test_another_one_tells() -> None:
    """Then this one says neither that it is gone nor that it is back."""
    watched = Watched()
    watched.is_sender = False
    watched.absences.node("b", is_gone=True)
    await asyncio.sleep(0.05)
    watched.is_sender = True
    watched.absences.node("b", is_gone=False)
    watched.absences.node("c", is_gone=True)
    await watched.until("-c")
    watched.absences.close()


async def test_the_server_is_away() -> None:
    """That is told once, and of the nodes only those that are gone when it is back."""
    watched = Watched(0.02)
    watched.server_is_there = False
    for name in ("b", "c"):
        watched.absences.node(name, is_gone=True)
    await watched.until("-")
    await asyncio.sleep(0.1)
    assert watched.told == ["-"]
    watched.server_is_there = True
    watched.absences.node("b", is_gone=False)
    await watched.until("-", "+", "-c")
    watched.absences.close()
