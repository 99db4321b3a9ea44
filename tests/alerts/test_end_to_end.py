"""Alerts of real bots, to real receivers."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.accounts.onebot import beat, fall_offline, running_bot
from tests.alerts.receivers import PASSWORD, mail_server, web
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.program import Environment, Program, running_program, went_well
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


def test_nodes_of_a_cluster(tmp_path: Path, environment: Environment, nats: NatsServer) -> None:
    """Of two nodes that send, one sends what is wrong with the third, which has no services."""
    with web() as receiver, ExitStack() as stack:
        environment = {
            **environment,
            "LITEYUKI_NATS_URL": nats.url,
            "LITEYUKI_ALERT_AFTER": "1",
            "LITEYUKI_LOG_LANG": "en",
        }

        def start(name: str, urls: str) -> Program:
            (tmp_path / name).mkdir(exist_ok=True)
            settings = {"LITEYUKI_NODE": name, "LITEYUKI_ALERT_URLS": urls}
            return stack.enter_context(
                running_program(tmp_path / name, environment, "alerting:node", **settings)
            )

        senders = [start(name, receiver.url) for name in ("a", "b")]
        third = start("c", "")
        for each in (*senders, third):
            each.wait_for_line("^all are there$", timeout=60)
        (failed,) = receiver.wait_for(1)
        assert failed.startswith("Node c: Process ends has failed and is not started again: ")
        assert "abcdef0123456789" not in failed
        third.process.kill()
        gone = receiver.wait_for(2)[1]
        assert gone.startswith("Node c of the cluster has been gone for ")
        third = start("c", "")
        third.wait_for_line("^all are there$", timeout=60)
        found = sorted(receiver.wait_for(4)[2:])
        assert found[0].startswith("Node c of the cluster is back, after ")
        assert found[1].startswith("Node c: Process ends has failed")
        assert third.stop() == 0
        for each in senders:
            each.wait_for_line("^> c False$", 2)
            assert each.stop() == 0
        assert len(receiver.taken) == 4, "a node that stops in good order is no alert"
