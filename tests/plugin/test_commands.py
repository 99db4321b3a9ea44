"""Chat commands of superusers, over a real OneBot v11 connection, through restarts and crashes."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.program import Environment, Program, write_files
from tests.session.onebot import Client, address_of, chatting, onebot

SUPERUSER, GROUP = 8000, 5001

BOT = """
    from liteyuki_core import LiteyukiBot, logger
    from liteyuki_core.comm import active_channel
    from liteyuki_core.process import RestartPolicy

    def other():
        logger.warning("access_token=abcdef0123456789 is a secret")
        for number in range(300):
            logger.info(f"line {number}")
        active_channel.receive()

    if __name__ == "__main__":
        bot = LiteyukiBot()
        restart = RestartPolicy(backoff=0.1)
        bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run", restart=restart)
        bot.add_process("other", other)
        bot.add_process("broken", "no_module:run", restart=RestartPolicy(mode="never"))
        bot.run()
"""


@contextmanager
def commanded(folder: Path, environment: Environment, **settings: str) -> Iterator[Program]:
    """Run a bot with a superuser."""
    more = {
        "SUPERUSERS": f'["{SUPERUSER}"]',
        "COMMAND_START": '["/"]',
        "LITEYUKI_COMM_FORWARD": "false",
        "LITEYUKI_LOG_LANG": "en",
    }
    with chatting(folder, environment, {"bot.py": BOT}, **{**more, **settings}) as program:
        yield program


def say(client: Client, text: str, number: int) -> None:
    """Send a message of the superuser, in the group."""
    # An event that comes again is the same in all fields.
    client.say(text, number=number, user=SUPERUSER, group=GROUP, time=1_700_000_000 + number)


def asked(client: Client, text: str, number: int) -> str:
    """Send a message of the superuser in the group, and return what the bot answers there."""
    say(client, text, number)
    return told(client)


def told(client: Client) -> str:
    """Return what the bot says next in the group."""
    call = client.take_call()
    assert call["params"]["group_id"] == GROUP, call
    client.answer(call)
    message = call["params"]["message"]
    return message if isinstance(message, str) else "".join(s["data"]["text"] for s in message)


def test_status_and_logs(tmp_path: Path, environment: Environment) -> None:
    """What runs, and the last lines; short enough for a chat, without secrets, for superusers."""
    with commanded(tmp_path, environment) as program:
        program.wait_for_line("line 299")
        with onebot(address_of(program)) as client:
            client.say("/liteyuki status", number=1, user=7000, group=GROUP)
            head, first, second, third, account = asked(client, "/liteyuki status", 2).split("\n")
            assert re.fullmatch(r"LiteyukiBot \S+, up \d+s, \d+ MB", head)
            assert re.fullmatch(r"nonebot: running, up \d+s, 0 restarts, \d+ MB", first)
            assert second.startswith("other: running, up ")
            assert third.startswith("broken: failed, ")
            assert account == "10001: online, OneBot V11"
            lines = asked(client, "/liteyuki logs other 2", 3).split("\n")
            assert [line[-8:] for line in lines] == ["line 298", "line 299"]
            assert len(asked(client, "/liteyuki logs", 4).split("\n")) == 20
            everything = asked(client, "/liteyuki logs other 5000", 5)
            assert len(everything) <= 3000
            assert everything.endswith("line 299")
            assert "abcdef" not in asked(client, "/liteyuki logs 100", 6)
            assert "liteyuki restart [NAME]" in asked(client, "/liteyuki", 7)
            assert "liteyuki restart [NAME]" in asked(client, "/liteyuki status of what", 8)
            for text in ("/liteyuki restart nobody", "/liteyuki logs nobody 3"):
                answer = asked(client, text, 9)
                assert answer == (
                    "no process is named 'nobody' (there are: broken, nonebot, other)"
                ), text
        assert program.stop() == 0
        assert not program.found(r"commands\.py")


def test_in_chinese(tmp_path: Path, environment: Environment) -> None:
    """As the log's language says."""
    with (
        commanded(tmp_path, environment, LITEYUKI_LOG_LANG="zh") as program,
        onebot(address_of(program)) as client,
    ):
        assert "nonebot：运行中，已运行 " in asked(client, "/liteyuki status", 1)
        assert asked(client, "/liteyuki restart other", 2) == "正在重启 other"
        assert re.fullmatch(r"other 已重启，用时 \d+\.\d 秒", told(client))


def test_restart_of_another_process(tmp_path: Path, environment: Environment) -> None:
    """It is told when that runs again, or why it does not."""
    with commanded(tmp_path, environment) as program:
        address = address_of(program)
        with onebot(address) as client:
            assert asked(client, "/liteyuki restart other", 1) == "restarting other"
            assert re.fullmatch(r"other restarted in \d+\.\d s", told(client))
            program.wait_for_line("process other is ready", 2)
            assert asked(client, "/liteyuki restart broken", 2) == "restarting broken"
            assert "process broken" in told(client)
            say(client, "/liteyuki restart other", 3)
            assert told(client) == "restarting other"
            assert "restarted" in told(client)
            say(client, "/liteyuki restart other", 3)  # The same event again.
            assert "other: running" in asked(client, "/liteyuki status", 4)
        assert len(program.found("process other is ready")) == 3


def test_restart_of_its_own_process(tmp_path: Path, environment: Environment) -> None:
    """The next life tells, in the same conversation, exactly once."""
    with (
        commanded(tmp_path, environment) as program,
        onebot(address_of(program)) as client,
    ):
        for life in (1, 2):
            assert asked(client, "/liteyuki restart", 2 * life) == "restarting nonebot"
            assert re.fullmatch(r"nonebot restarted in \d+\.\d s", told(client))
            answer = asked(client, "/liteyuki status", 2 * life + 1)
            assert re.search(rf"nonebot: running.* {life} restart", answer)


def test_restart_of_its_own_process_without_a_gateway(
    tmp_path: Path, environment: Environment
) -> None:
    """The next life tells when the bot has connected again."""
    with commanded(tmp_path, environment, LITEYUKI_GATEWAY="false") as program:
        with onebot(address_of(program)) as client:
            assert asked(client, "/liteyuki restart", 1) == "restarting nonebot"
            with suppress(ConnectionClosed):
                raise AssertionError(client.take_call())
        for life in (2, 3):
            with onebot(address_of(program, life=2)) as client:
                if life == 2:
                    assert re.fullmatch(r"nonebot restarted in \d+\.\d s", told(client))
                assert "nonebot: running" in asked(client, "/liteyuki status", life)


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be stopped by a signal there")
def test_a_crash_in_the_middle(tmp_path: Path, environment: Environment) -> None:
    """Whenever the process dies, whoever asked is told once when it runs again."""
    with (
        commanded(tmp_path, environment) as program,
        onebot(address_of(program)) as client,
    ):
        say(client, "/liteyuki restart", 1)
        call = client.take_call()
        kill(program, 1)
        assert call["params"]["group_id"] == GROUP
        address_of(program, life=2)
        kill(program, 2)
        assert re.fullmatch(r"nonebot restarted in \d+\.\d s", told(client))
        assert "2 restarts" in asked(client, "/liteyuki status", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be stopped by a signal there")
def test_a_crash_in_the_middle_without_a_gateway(tmp_path: Path, environment: Environment) -> None:
    """Likewise, when its bot has connected again."""
    with commanded(tmp_path, environment, LITEYUKI_GATEWAY="false") as program:
        with onebot(address_of(program)) as client:
            say(client, "/liteyuki restart", 1)
            call = client.take_call()
            kill(program, 1)
            assert call["params"]["group_id"] == GROUP
        address_of(program, life=2)
        kill(program, 2)  # Before its bot is connected.
        address = address_of(program, life=3)
        with onebot(address) as client:
            assert re.fullmatch(r"nonebot restarted in \d+\.\d s", told(client))
            assert "2 restarts" in asked(client, "/liteyuki status", 2)
        with onebot(address) as client:  # A bot that connects again is told nothing.
            assert "2 restarts" in asked(client, "/liteyuki status", 3)


def kill(program: Program, life: int) -> None:
    """End a life of the NoneBot child by SIGKILL."""
    pid = int(program.wait_for_line(r"process nonebot started \(pid (\d+)\)", life)[1])
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "settings", [{"SUPERUSERS": "[]"}, {"LITEYUKI_COMM_COMMANDS": "false"}], ids=str
)
def test_who_has_not_asked_for_them(
    tmp_path: Path, environment: Environment, settings: dict[str, str]
) -> None:
    """Without superusers, or switched off, nobody answers."""
    plugin = """
        from nonebot import on_message

        @on_message(priority=100).handle()
        async def last(matcher):
            await matcher.send("nobody else answers")
    """
    write_files(tmp_path, {"plugins/last.py": plugin})
    with (
        commanded(tmp_path, environment, **settings) as program,
        onebot(address_of(program)) as client,
    ):
        assert asked(client, "/liteyuki status", 1) == "nobody else answers"
