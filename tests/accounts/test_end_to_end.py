"""Accounts of a real NoneBot, told of by a real OneBot v11 implementation over its WebSocket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from liteyuki_core.control import Client
from tests.accounts.onebot import OF, beat, fall_offline, running_bot
from tests.children.acting import KILL
from tests.program import Environment, Program, spoken
from tests.session.onebot import address_of, onebot


@pytest.fixture
def program(tmp_path: Path, environment: Environment) -> Iterator[Program]:
    """The bot, which runs."""
    with running_bot(tmp_path, environment) as started:
        yield started


def wait_for(program: Program, *states: str) -> None:
    """Wait until these are the states that the account has had so far."""
    said = [f"{state} {OF}" for state in states]
    program.wait_until(lambda: len(spoken(program)) >= len(said), f"{said}, not {spoken(program)}")
    assert spoken(program) == said


def test_an_account_that_falls_offline_and_comes_back(program: Program) -> None:
    """Its connection stays. The hooks are told of each change once, sync and async ones."""
    with onebot(address_of(program)) as client:
        wait_for(program, "online")
        beat(client, True)
        call = client.take_call()
        assert call["action"] == "get_login_info"
        client.answer(call, {"user_id": 10001, "nickname": "a name"})
        beat(client, True)
        fall_offline(client)
        wait_for(program, "online", "offline")
        program.wait_for_line(
            r"account .*10001\)? of OneBot V11 in process nonebot is offline: it is connected"
        )
        beat(client, False)
        beat(client, True)
        wait_for(program, "online", "offline", "online")
        beat(client, False)
        wait_for(program, "online", "offline", "online", "offline")
    wait_for(program, "online", "offline", "online", "offline", "disconnected")
    program.wait_for_line(r"^sync disconnected \['a name'\]$")
    assert len(program.found("^sync")) == 5


def test_after_a_crash_it_is_disconnected_until_it_connects_again(program: Program) -> None:
    """The next process of the child knows nothing of it, and says so by saying nothing."""
    with onebot(address_of(program)) as client:
        fall_offline(client)
        program.wait_for_line(f"^> offline {OF}$")
        os.kill(int(program.wait_for_line(r"process nonebot started \(pid (\d+)\)")[1]), KILL)
        program.wait_for_line(f"^> disconnected {OF}$")
    address = address_of(program, life=2)
    # If the client was still there when the next process came, that has known it for a moment.
    program.wait_until(lambda: spoken(program)[-1] == f"disconnected {OF}", "it has left")
    before = len(spoken(program))
    with onebot(address):
        program.wait_until(lambda: len(spoken(program)) > before, "it is connected")
        assert spoken(program)[before:] == [f"online {OF}"]


def test_its_program_is_restarted(tmp_path: Path, environment: Environment) -> None:
    """When the account is offline for a while; NoneBot is not."""
    settings = {"LITEYUKI_ALERT_AFTER": "0.3"}
    with (
        running_bot(tmp_path, environment, "revives", **settings) as program,
        onebot(address_of(program)) as client,
    ):
        fall_offline(client)
        program.wait_for_line("process implementation is restarted: account .* is still offline")
        program.wait_for_line(r"process implementation started", count=2)
        beat(client, True)
        program.wait_for_line(f"^> online {OF}$")
        assert len(program.found("process nonebot started")) == 1


def test_who_asks_the_bot_gets_them(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the control socket, and as a figure."""
    monkeypatch.chdir(tmp_path)
    address = address_of(program)
    assert Client().ask("GET", "/accounts") == []
    with onebot(address) as client:
        fall_offline(client)
        program.wait_for_line(f"^> offline {OF}$")
        (account,) = Client().ask("GET", "/accounts")
        since = datetime.fromisoformat(account.pop("since").replace("Z", "+00:00"))
        assert 0 <= (datetime.now(timezone.utc) - since).total_seconds() < 60
        assert account == {
            **{"adapter": "OneBot V11", "id": "10001", "process": "nonebot"},
            **{"state": "offline", "nickname": "", "node": None},
        }
        figures = Client().text("/metrics")
    assert 'liteyuki_account_online{adapter="OneBot V11",account="10001"} 0.0' in figures
