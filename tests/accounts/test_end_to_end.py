"""Accounts of a real NoneBot, told of by a real OneBot v11 implementation over its WebSocket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.children.acting import KILL
from tests.conftest import free_port
from tests.program import Environment, Program, running_program, spoken, stopped_by_itself
from tests.session.onebot import Client, address_of, onebot

OF = "OneBot V11 10001 nonebot"


@contextmanager
def running_bot(
    folder: Path, environment: Environment, *arguments: str, **settings: str
) -> Iterator[Program]:
    """Run the bot; it must end as it should."""
    more = {"HOST": "127.0.0.1", "PORT": str(free_port()), **settings}
    with running_program(folder, environment, "accounts", *arguments, **more) as program:
        yield program
        assert program.stop() == 0, program.output
        assert stopped_by_itself(program), program.output


@pytest.fixture
def program(tmp_path: Path, environment: Environment) -> Iterator[Program]:
    """The bot, which runs."""
    with running_bot(tmp_path, environment) as started:
        yield started


def beat(client: Client, online: bool) -> None:
    """Send a heartbeat as NapCat does."""
    status = {"online": online, "good": True}
    client.tell(post_type="meta_event", meta_event_type="heartbeat", status=status, interval=30000)


def fall_offline(client: Client) -> None:
    """Send the notice that NapCat sends when the account was logged out."""
    about = {"user_id": 10001, "tag": "KickedOffLine", "message": "x"}
    client.tell(post_type="notice", notice_type="bot_offline", **about)


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
    before = len(spoken(program))
    assert spoken(program)[-1] == f"disconnected {OF}"
    with onebot(address):
        program.wait_until(lambda: len(spoken(program)) > before, "it is connected")
        assert spoken(program)[before:] == [f"online {OF}"]
