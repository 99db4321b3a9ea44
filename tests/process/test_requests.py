"""Requests between real processes (laws R2 and R3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from liteyuki_core import ChannelBroken, RemoteError
from liteyuki_core.testing import App
from tests.children import requests
from tests.children.acting import NEVER
from tests.program import Environment, running_program, went_well


def test_a_child_that_is_killed_while_it_answers(tmp_path: Path, environment: Environment) -> None:
    """Its successors answer what it had; no request is lost, no answer is another's."""
    with running_program(tmp_path, environment, "requests:killed") as bot:
        went_well(bot)


async def test_a_child_without_a_successor(liteyuki_app: App) -> None:
    """Whoever waits for its answer gets `ChannelBroken`, which names it."""
    liteyuki_app.add("worker", requests.handles_for_ever, restart=NEVER)
    await liteyuki_app.ready("worker")
    channel = liteyuki_app.channel("worker-active").channel
    asking = asyncio.create_task(channel.async_request("x", 60))
    await liteyuki_app.channel("worker-passive").should_receive("begun")
    liteyuki_app.kill("worker")
    with pytest.raises(ChannelBroken, match="worker"):
        await asking


@pytest.mark.parametrize("target", [requests.receives, requests.idles])
def test_a_child_that_answers_nothing(liteyuki_app: App, target: Callable[[], None]) -> None:
    """The asker hears so soon after it is ready, and who it is."""
    liteyuki_app.add("mute", target)
    liteyuki_app.ready("mute")
    with pytest.raises(RemoteError, match="process mute has no on_request callback"):
        liteyuki_app.channel("mute-active").channel.request("x", 30)


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_requests_that_are_given_up(tmp_path: Path, environment: Environment, count: int) -> None:
    """A third of them, at any moment: memory and tables are where they were."""
    with running_program(tmp_path, environment, "requests:given_up", str(count)) as bot:
        went_well(bot)
