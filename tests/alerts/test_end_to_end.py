"""Alerts of real bots, to real receivers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.accounts.onebot import beat, fall_offline, running_bot
from tests.alerts.receivers import PASSWORD, mail_server, web
from tests.conftest import wait_until
from tests.program import Environment, running_program, went_well
from tests.session.onebot import address_of, onebot


def test_an_account_is_offline_and_back(tmp_path: Path, environment: Environment) -> None:
    """By mail and by HTTP; the end of the bot is no alert."""
    with web() as receiver, mail_server() as mails:
        settings = {
            "LITEYUKI_ALERT_URLS": json.dumps([receiver.url, mails.url]),
            "LITEYUKI_ALERT_AFTER": "0.5",
            "LITEYUKI_LOG_LANG": "en",
        }
        with running_bot(tmp_path, environment, **settings) as program:
            address = address_of(program)
            with onebot(address) as client:
                beat(client, True)
                client.answer(client.take_call(), {"user_id": 10001, "nickname": "小明"})
                fall_offline(client)
                (offline,) = receiver.wait_for(1)
                who = "Account 小明 (10001) (OneBot V11, process nonebot)"
                assert offline == (
                    f"{who} has been offline for 0 s: it is connected, but not logged in."
                )
                beat(client, True)
                back = receiver.wait_for(2)[1]
                assert back.startswith(f"{who} is online again, after ")
            assert receiver.wait_for(3)[2].startswith(f"{who} has been disconnected for ")
            with onebot(address):
                assert receiver.wait_for(4)[3].startswith(f"{who} is online again")
                wait_until(lambda: mails.taken, "a mail, which apprise sends one in four seconds")
                program.stop()
        assert len(receiver.taken) == 4, "its end is no alert"
        assert PASSWORD not in program.output


def test_the_last_process_has_failed(tmp_path: Path, environment: Environment) -> None:
    """The bot ends, and the alert is sent before; a secret in it is not."""
    with web() as receiver:
        settings = {"LITEYUKI_ALERT_URLS": receiver.url, "LITEYUKI_LOG_LANG": "en"}
        with running_program(tmp_path, environment, "alerting:all_failed", **settings) as program:
            receiver.wait_for(1)
            if program.process.poll() is None:
                program.interrupt()
            program.wait()
        (alert,) = receiver.taken
        assert alert["message"].startswith("Process ends has failed and is not started again: ")
        assert "abcdef0123456789" not in json.dumps(alert)
        assert PASSWORD not in program.output


def test_too_much_memory(tmp_path: Path, environment: Environment) -> None:
    """Of a program and of a Python child; they are restarted."""
    with web() as receiver:
        settings = {"LITEYUKI_ALERT_URLS": receiver.url, "LITEYUKI_LOG_LANG": "en"}
        with running_program(tmp_path, environment, "programs:eats", **settings) as program:
            went_well(program)
        said = sorted(
            text.partition(" is restarted: it had more memory")[0] for text in receiver.texts
        )
        assert said == ["Process eats", "Process swells"]


def test_dead_letters(tmp_path: Path, environment: Environment) -> None:
    """Of a channel that has had one within the hour there is no second alert."""
    with web() as receiver:
        settings = {"LITEYUKI_ALERT_URLS": receiver.url, "LITEYUKI_LOG_LANG": "en"}
        with running_program(tmp_path, environment, "alerting:letters", **settings) as program:
            went_well(program)
        assert receiver.texts == [
            "A message on channel dies-passive is set aside: process dies has crashed 3 times in a "
            "row while it handled it. See: liteyuki dead-letters"
        ]


def test_a_wrong_url(tmp_path: Path, environment: Environment) -> None:
    """The bot does not start, and says which one is wrong."""
    settings = {"LITEYUKI_ALERT_URLS": f"nosuch://{PASSWORD}"}
    with running_program(tmp_path, environment, "alerting:unused", **settings) as program:
        assert program.wait() == 1
        assert program.found(r"ConfigError: LITEYUKI_ALERT_URLS: alert URL 1 \(nosuch://\*\*\*\)")
        assert PASSWORD not in program.output


@pytest.mark.parametrize("text", [f'["json://{PASSWORD}"', f"[{PASSWORD}]"])
def test_a_list_that_is_none(tmp_path: Path, environment: Environment, text: str) -> None:
    """The error does not show it."""
    settings = {"LITEYUKI_ALERT_URLS": text}
    with running_program(tmp_path, environment, "alerting:unused", **settings) as program:
        assert program.wait() == 1
        assert program.found(r"ConfigError: LITEYUKI_ALERT_URLS=\*\*\*: ")
        assert PASSWORD not in program.output


def test_who_sends_none_imports_nothing(tmp_path: Path, environment: Environment) -> None:
    """Neither apprise nor the room of alerts."""
    with running_program(tmp_path, environment, "alerting:unused") as program:
        went_well(program)
