"""The forwarding side, in nonebug's NoneBot: what goes to the main process, and what it may ask."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nonebot
import pytest
from nonebot import message as nonebot_message
from nonebot.adapters.onebot.v11 import (
    ActionFailed,
    Adapter,
    Bot,
    GroupMessageEvent,
    MessageEvent,
    MessageSegment,
    PrivateMessageEvent,
)
from nonebot.plugin import Plugin
from nonebug import App

from liteyuki_core.comm import Channel
from liteyuki_core.errors import RemoteError
from liteyuki_core.session.exchange import CallApi, Connected, Forwarded, Missing, Send
from tests.conftest import DEADLINE, wait_until
from tests.pair import Pair

ADAPTER, SELF = "OneBot V11", "10001"
GROUP, PRIVATE = ("group", "5", ""), ("private", "7", "")


@pytest.fixture(autouse=True)
def _own_hooks(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what a test registers end with it."""
    driver = nonebot.get_driver()
    monkeypatch.setattr(nonebot_message, "_event_preprocessors", set())
    monkeypatch.setattr(type(driver), "_bot_connection_hook", set())
    monkeypatch.setattr(type(driver), "_adapters", {})
    for hooks in ("_startup_funcs", "_ready_funcs", "_shutdown_funcs"):
        monkeypatch.setattr(driver._lifespan, hooks, [*getattr(driver._lifespan, hooks)])
    driver.register_adapter(Adapter)


def main_channel(host: Pair, capacity: int = 100) -> Channel[Any]:
    """Have the main process have a handler; return its end of the channel."""
    ours = host.main.make("w-session", capacity)
    host.main.register("w-session", ours)
    wait_until(lambda: "w-session" in host.port.names(), "the channel is known")
    return Channel._of(ours)


@asynccontextmanager
async def forwarding() -> AsyncIterator[Any]:
    """Have NoneBot forward, from its startup to its shutdown."""
    from nonebot_plugin_liteyuki_comm.forward import forward

    forwarder = forward(nonebot.get_driver(), "w")
    async with nonebot.get_driver()._lifespan:  # nonebug has a server or a bot, and not both.
        yield forwarder


async def next_message(channel: Channel[Any]) -> Forwarded:
    """Return the next message that is forwarded. Bots that connect are told of too."""
    while True:
        told = await channel.async_receive(DEADLINE)
        if isinstance(told, Forwarded):
            return told


async def receive(app: App, *events: MessageEvent) -> None:
    """Have a bot receive events, and wait until NoneBot has handled them."""
    async with app.test_matcher(None) as ctx:
        bot = ctx.create_bot(base=Bot, adapter=nonebot.get_adapter(Adapter), self_id=SELF)
        for event in events:
            ctx.receive_event(bot, event)


def group_message(text: str = "hello", **more: Any) -> GroupMessageEvent:
    """Return a group message as OneBot v11 sends it."""
    return GroupMessageEvent.model_validate(
        {
            **{"time": 12, "self_id": int(SELF), "post_type": "message", "message_type": "group"},
            **{"sub_type": "normal", "user_id": 7, "message_id": 99, "group_id": 5, "font": 0},
            **{"raw_message": text, "message": [{"type": "text", "data": {"text": text}}]},
            "sender": {"user_id": 7, "nickname": "nick", "card": "card", "role": "admin"},
            **more,
        }
    )


async def test_a_group_message(app: App, host: Pair) -> None:
    """All of it goes to the main process as plain data, which knows nothing of NoneBot."""
    channel = main_channel(host)
    message = [
        {"type": "text", "data": {"text": "see "}},
        {"type": "image", "data": {"file": "x.png"}},
    ]
    async with forwarding():
        await receive(app, group_message("see ", message=message))
        told = await next_message(channel)
        raw = told.raw
        assert told == Forwarded(
            adapter=ADAPTER,
            bot=SELF,
            scene=GROUP,
            user=("7", "card", "admin", False),
            segments=[("text", {"text": "see "}), ("image", {"file": "x.png"})],
            text="see ",
            raw=raw,
            time=12.0,
            id="99",
            to_me=False,
            address=None,
            starts=("/",),
            separators=(".",),
        )
        assert (raw["group_id"], raw["sender"]["role"], raw["message"]) == (5, "admin", message)
        assert b"nonebot" not in pickle.dumps(told)


async def test_a_private_message(app: App, host: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scene is the user; SUPERUSERS and what commands begin with are this NoneBot's."""
    config = nonebot.get_driver().config
    monkeypatch.setattr(config, "superusers", {"onebot:7"})
    monkeypatch.setattr(config, "command_start", {"!"})
    monkeypatch.setattr(config, "command_sep", {"-"})
    channel = main_channel(host)
    event = PrivateMessageEvent.model_validate(
        {
            **{"time": 12, "self_id": int(SELF), "post_type": "message", "sub_type": "friend"},
            **{"message_type": "private", "user_id": 7, "message_id": 99, "font": 0},
            **{"raw_message": "hi", "message": "hi", "sender": {"nickname": "nick"}},
            "to_me": True,
        }
    )
    async with forwarding():
        await receive(app, event)
        told = await next_message(channel)
    assert (told.scene, told.user, told.to_me) == (PRIVATE, ("7", "nick", "", True), True)
    assert (told.starts, told.separators) == (("!",), ("-",))


async def test_nonebots_own_matchers_go_on(app: App, host: Pair) -> None:
    """Whatever the main process does: it takes nothing here, and the channel is full."""
    channel = main_channel(host, capacity=2)
    handled: list[str] = []
    matcher = nonebot.on_message(block=True)

    @matcher.handle()
    async def handle(event: GroupMessageEvent) -> None:
        handled.append(event.get_plaintext())

    async with forwarding() as forwarder:
        begun = time.monotonic()
        await receive(app, *(group_message(str(number)) for number in range(10)))
        assert handled == [str(number) for number in range(10)]
        assert time.monotonic() - begun < DEADLINE / 2
        assert len(forwarder._queue) >= 8
        got = [(await next_message(channel)).text for _ in range(10)]
        assert got == handled


async def test_what_waits_is_spoken_of(
    app: App, host: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When so many messages wait, and when they have doubled; when NoneBot ends, how many were
    left."""
    from nonebot_plugin_liteyuki_comm import forward

    monkeypatch.setattr(forward, "_TOLD_FROM", 3)
    monkeypatch.setattr(forward, "_END_SECONDS", 0.1)
    main_channel(host, capacity=1)
    async with forwarding():
        await receive(app, *(group_message(str(number)) for number in range(8)))
    host.logged("WARNING", "3 messages wait to be forwarded")
    host.logged("WARNING", "6 messages wait to be forwarded")
    # What was sent is only that the bot has connected.
    host.logged("ERROR", "8 messages could not be forwarded before NoneBot shut down")


async def test_the_end_sends_what_is_left(app: App, host: Pair) -> None:
    """All that has come before the shutdown is in the main process after it."""
    channel = main_channel(host)
    async with forwarding():
        await receive(app, *(group_message(str(number)) for number in range(20)))
    assert [(await next_message(channel)).text for _ in range(20)] == [
        str(number) for number in range(20)
    ]


async def test_no_handler_in_the_main_process(app: App, host: Pair) -> None:
    """One line says so and nothing piles up; when there is one, messages are forwarded."""
    async with forwarding() as forwarder:
        await receive(app, *(group_message(str(number)) for number in range(5)))
        assert not forwarder._queue
        host.logged("WARNING", "messages are not forwarded: the main process has no handler")
        assert sum("are not forwarded" in line for line in host.log) == 1
        channel = main_channel(host)
        await receive(app, group_message("late"))
        assert (await next_message(channel)).text == "late"


async def test_a_bot_that_connects(app: App, host: Pair) -> None:
    """The main process hears of it: calls may wait for that."""
    channel = main_channel(host)
    async with forwarding(), app.test_api() as ctx:
        ctx.create_bot(base=Bot, adapter=nonebot.get_adapter(Adapter), self_id=SELF)
        assert await channel.async_receive(DEADLINE) == Connected(ADAPTER, SELF)


@pytest.mark.parametrize(
    ("request_", "params"),
    [
        (
            Send(ADAPTER, SELF, GROUP, [("text", {"text": "x"})], "", "", None),
            {"message_type": "group", "group_id": 5, "message": [MessageSegment.text("x")]},
        ),
        (
            Send(ADAPTER, SELF, PRIVATE, [("face", {"id": "1"})], "", "", None),
            {"message_type": "private", "user_id": 7, "message": [MessageSegment.face(1)]},
        ),
        (
            Send(ADAPTER, SELF, GROUP, [("text", {"text": "x"})], "7", "99", None),
            {
                "message_type": "group",
                "group_id": 5,
                "message": [
                    MessageSegment.reply(99),
                    MessageSegment.at(7),
                    MessageSegment.text(" "),
                    MessageSegment.text("x"),
                ],
            },
        ),
    ],
    ids=["group", "private", "mention and quote"],
)
async def test_what_is_sent(app: App, host: Pair, request_: Send, params: dict[str, Any]) -> None:
    """By the bot's own API; its result is the answer."""
    channel = main_channel(host)
    async with forwarding(), app.test_api() as ctx:
        ctx.create_bot(base=Bot, adapter=nonebot.get_adapter(Adapter), self_id=SELF)
        ctx.should_call_api("send_msg", params, {"message_id": 3})
        assert await channel.async_request(request_, DEADLINE) == {"message_id": 3}


async def test_an_api_call(app: App, host: Pair) -> None:
    """Its result comes back as plain data, and what it raises by name and message."""
    channel = main_channel(host)
    async with forwarding(), app.test_api() as ctx:
        ctx.create_bot(base=Bot, adapter=nonebot.get_adapter(Adapter), self_id=SELF)
        ctx.should_call_api("get_status", {"x": 1}, {"online": (True,)})
        request = CallApi(ADAPTER, SELF, "get_status", {"x": 1})
        assert await channel.async_request(request, DEADLINE) == {"online": [True]}
        failure = ActionFailed(status="failed", retcode=1404, message="no such API")
        ctx.should_call_api("no_such", {}, exception=failure)
        with pytest.raises(RemoteError, match="no such API") as raised:
            await channel.async_request(CallApi(ADAPTER, SELF, "no_such", {}), DEADLINE)
        assert raised.value.type_name == "ActionFailed"
        assert raised.value.message == str(failure)


@pytest.mark.parametrize("adapter", [ADAPTER, "Unknown"])
async def test_a_bot_that_is_not_here(host: Pair, adapter: str) -> None:
    """The answer says so at once: to wait is the main process's."""
    channel = main_channel(host)
    async with forwarding():
        assert await channel.async_request(CallApi(adapter, "1", "x", {}), DEADLINE) == Missing()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("hello", "a str is nothing to do for a bot"),
        (
            Send(ADAPTER, SELF, ("channel", "1", "2"), [], "", "", None),
            "none of the type 'channel'",
        ),
    ],
)
async def test_what_can_not_be_done(app: App, host: Pair, request_: object, words: str) -> None:
    """The main process hears why."""
    channel = main_channel(host)
    async with forwarding(), app.test_api() as ctx:
        ctx.create_bot(base=Bot, adapter=nonebot.get_adapter(Adapter), self_id=SELF)
        with pytest.raises(RemoteError, match=words):
            await channel.async_request(request_, DEADLINE)


async def test_an_adapter_that_is_slow_to_say_who_it_was(app: App, host: Pair) -> None:
    """All are asked for at once, and messages go in the order in which they came."""
    channel = main_channel(host)
    asked: list[str] = []
    go_on = asyncio.Event()

    class Universal:
        """Describes events as the module does, when it is allowed to."""

        @staticmethod
        async def described(bot: Bot, event: MessageEvent) -> dict[str, Any]:
            from nonebot_plugin_liteyuki_comm import onebot

            asked.append(event.get_plaintext())
            if event.get_plaintext() == "0":
                await go_on.wait()
            if event.get_plaintext() == "1":
                raise LookupError("nobody knows")
            return onebot.described(event)

    async with forwarding() as forwarder:
        forwarder._universal = Universal
        async with app.test_matcher(None) as ctx:
            bot = ctx.create_bot(self_id="of another adapter")
            for number in range(3):
                ctx.receive_event(bot, group_message(str(number)))
        while len(asked) < 3:
            await asyncio.sleep(0)
        go_on.set()
        assert [(await next_message(channel)).text for _ in range(2)] == ["0", "2"]
    host.logged("ERROR", "a message could not be forwarded: LookupError('nobody knows')")


async def test_an_adapter_that_nobody_knows(app: App, host: Pair) -> None:
    """One line says what its messages need."""
    main_channel(host)
    async with forwarding() as forwarder:
        forwarder._universal = None
        async with app.test_matcher(None) as ctx:
            bot = ctx.create_bot(self_id="of another adapter")
            for number in range(3):
                ctx.receive_event(bot, group_message(str(number)))
        assert all(isinstance(item, Connected) for item in forwarder._queue)
    host.logged(
        "WARNING", "messages of the adapter fake are not forwarded: that needs", "[session]"
    )
    assert sum("are not forwarded" in line for line in host.log) == 1
