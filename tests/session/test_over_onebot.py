"""Chat over a real OneBot v11 connection: what a plugin of main can do, and what goes wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.program import Environment, stopped_by_itself
from tests.session.onebot import address_of, chatting, onebot, text_of

PLUGIN = """
    from liteyuki_core import PromptTimeout, RemoteError
    from liteyuki_core.session import SUPERUSER, on_command, on_fullmatch, on_message, on_regex

    @on_command("weather", aliases={"天气"})
    async def weather(event):
        city = event.arguments
        if not city:
            city = (await event.prompt("where?", timeout=30)).text
        await event.reply(f"sunny in {city}", at=True, quote=True)

    @on_command("too late")
    async def too_late(event):
        try:
            await event.prompt(timeout=0.05)
        except PromptTimeout:
            await event.reply("nobody answered")

    @on_command("call")
    async def call(event):
        try:
            await event.bot.call_api("no_such_api", x=1)
        except RemoteError as error:
            await event.reply(str(error))

    @on_command("stop", permission=SUPERUSER)
    async def stop(event):
        await event.reply("yes")

    def raises(event):
        raise LookupError("in a rule")

    @on_message(rule=raises, priority=0)
    async def never(event):
        await event.reply("never")

    @on_fullmatch("hello", to_me=True)
    def hello(event):
        event.wait(event.reply(f"hello {event.user.name}, {event.user.role}"))
"""

WRONG = """
    from liteyuki_core.session import on_regex

    @on_regex("(never")
    async def never(event):
        await event.reply("never")
"""

NONEBOT_PLUGIN = """
    from nonebot import on_command

    @on_command("weather").handle()
    async def weather(matcher):
        await matcher.send("of NoneBot itself")
"""


def test_what_a_plugin_can_do(tmp_path: Path, environment: Environment) -> None:
    """Commands with the settings of NoneBot, prompts, mentions, errors; NoneBot's own go on."""
    files = {
        "main_plugins/good.py": PLUGIN,
        "main_plugins/wrong.py": WRONG,
        "plugins/own.py": NONEBOT_PLUGIN,
    }
    settings = {"SUPERUSERS": '["8000"]', "COMMAND_START": '["!"]', "NICKNAME": '["bot"]'}
    with (
        chatting(tmp_path, environment, files, **settings) as program,
        onebot(address_of(program)) as client,
    ):
        client.say("!weather Beijing", number=1, group=5)
        assert {client.next_text() for _ in range(2)} == {
            "of NoneBot itself",
            "[reply][at] sunny in Beijing",
        }
        client.say("!天气", number=2)
        assert client.next_text() == "where?"
        client.say("from another", number=3, user=8000)
        client.say("Shanghai", number=4)
        assert client.next_text() == "[reply]sunny in Shanghai"
        client.say("!too late", number=5, group=5)
        assert client.next_text() == "nobody answered"

        client.say("!call", number=6, group=5)
        call = client.take_call()
        assert (call["action"], call["params"]) == ("no_such_api", {"x": 1})
        client.refuse(call, "there is none")
        text = client.next_text()
        assert text.startswith("bot 10001 (OneBot V11), API no_such_api: ActionFailed: ")
        assert "there is none" in text

        client.say("!stop", number=7, group=5)
        client.say("!stop", number=8, group=5, user=8000)
        assert client.next_text() == "yes"
        sender = {"user_id": 7000, "nickname": "nick", "card": "card", "role": "owner"}
        client.say("hello", number=9, group=5, sender=sender)
        client.say("bot, hello", number=10, group=5, sender=sender)
        assert client.next_text() == "hello card, owner"
        assert program.stop() == 0
    assert program.found("plugin good: handler never: a rule or permission raised LookupError")
    assert program.found(
        r"plugin wrong could not be loaded: ValueError: '\(never' is no regular expression: "
    )


def test_no_handler(tmp_path: Path, environment: Environment) -> None:
    """One line says that messages are not forwarded; NoneBot's own matchers go on."""
    files = {"plugins/own.py": NONEBOT_PLUGIN}
    with (
        chatting(tmp_path, environment, {**files, "main_plugins/empty.py": ""}) as program,
        onebot(address_of(program)) as client,
    ):
        for number in range(20):
            client.say("/weather", number=number, group=5)
            assert client.next_text() == "of NoneBot itself"
        assert program.stop() == 0
    assert stopped_by_itself(program), program.output
    assert len(program.found("messages are not forwarded: the main process has no handler")) == 1


def test_forwarding_is_not_on(tmp_path: Path, environment: Environment) -> None:
    """One line says so where the main process has handlers."""
    with chatting(
        tmp_path, environment, {"main_plugins/good.py": PLUGIN}, LITEYUKI_COMM_FORWARD="false"
    ) as program:
        program.wait_for_line("process nonebot is ready")
        line = "messages are not forwarded to the main process, which has handlers for them"
        assert len(program.found(line)) == 1
        assert program.stop() == 0


LATER = """
    import asyncio

    from liteyuki_core.session import on_fullmatch

    go_on = asyncio.Event()

    @on_fullmatch("later")
    async def later(event):
        await go_on.wait()
        await event.reply("now")
        await event.reply("and then")

    @on_fullmatch("go on")
    async def go(event):
        go_on.set()
"""


def test_a_bot_that_comes_back(tmp_path: Path, environment: Environment) -> None:
    """A reply to a bot whose connection is broken waits for it to connect again."""
    with chatting(tmp_path, environment, {"main_plugins/later.py": LATER}) as program:
        address = address_of(program)
        with onebot(address, self_id=20002) as other:
            with onebot(address) as client:
                client.say("later", number=1, group=5)
                program.wait_for_line(r"Message 1 from 7000@\[群:5\]")
            program.wait_for_line("WebSocket for Bot 10001 closed by peer")
            other.say("go on", number=2, self_id=20002)
            with onebot(address) as client:
                assert [client.next_text(), client.next_text()] == ["now", "and then"]
        assert program.stop() == 0
        assert not program.found("Traceback"), program.output


RESTARTING = """
    from liteyuki_core import get_bot
    from liteyuki_core.session import on_message

    @on_message()
    async def answer(event):
        if event.text == "restart":
            get_bot().restart_process("nonebot")
        else:
            await event.reply(f"{event.text} is answered")
"""


@pytest.mark.parametrize("how", ["the connection breaks", "NoneBot is restarted"])
def test_a_call_that_is_broken_off(how: str, tmp_path: Path, environment: Environment) -> None:
    """It is made again when the bot is connected again; nobody waits for its answer in vain."""
    files = {"main_plugins/answer.py": RESTARTING}
    # So long a restart waits for what is in hand.
    with chatting(tmp_path, environment, files, LITEYUKI_STOP_TIMEOUT="2") as program:
        begun = time.monotonic()
        with onebot(address_of(program)) as client:
            client.say("a", number=1, group=5)
            assert text_of(client.take_call()) == "a is answered"
            life = 1
            if how == "NoneBot is restarted":
                client.say("restart", number=2, group=6)
                life = 2
                program.wait_for_line("process nonebot started", count=2)
        with onebot(address_of(program, life)) as client:
            assert client.next_text() == "a is answered"
            client.say("b", number=3, group=5)
            assert client.next_text() == "b is answered"
        assert time.monotonic() - begun < 10  # OneBot's API would be waited for for 30 s.
        assert program.stop() == 0
        assert not program.found("Traceback"), program.output


TWO = """
    from liteyuki_core import LiteyukiBot

    if __name__ == "__main__":
        bot = LiteyukiBot()
        for name, port in (("one", {one}), ("two", {two})):
            run = "liteyuki_core.frameworks.nonebot:run"
            bot.add_process(name, run, kwargs={{"port": port, "log_level": "WARNING"}})
        bot.run()
"""

ECHO = """
    from liteyuki_core.session import on_message

    @on_message()
    async def echo(event):
        await event.reply(f"{event.text} by {event.bot.process}")
"""


def test_two_children_with_one_bot(tmp_path: Path, environment: Environment) -> None:
    """A message that both report is answered once, by the child that was first."""
    one, two = free_port(), free_port()
    files = {"bot.py": TWO.format(one=one, two=two), "main_plugins/echo.py": ECHO}
    with chatting(tmp_path, environment, files) as program:
        for name in ("one", "two"):
            program.wait_for_line(f"process {name} is ready")
        with onebot(f"127.0.0.1:{one}") as first, onebot(f"127.0.0.1:{two}") as second:
            for number in range(1, 11):
                speaker, listener = (first, second) if number % 2 else (second, first)
                name = "one" if number % 2 else "two"
                speaker.say(str(number), number=number, group=5)
                assert speaker.next_text() == f"{number} by {name}"
                listener.say(str(number), number=number, group=5)
            second.say("the end", number=11, group=5)
            assert second.next_text() == "the end by two"
            first.say("the very end", number=12, group=5)
            assert first.next_text() == "the very end by one"
            assert program.stop() == 0
