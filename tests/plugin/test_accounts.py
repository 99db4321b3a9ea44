"""What the plugin tells of accounts, in nonebug's NoneBot: which events say what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import nonebot
import pytest
from nonebot.adapters.onebot.v11 import Adapter, Bot
from nonebot.plugin import Plugin
from nonebug import App

from liteyuki_core.comm.wire import words
from tests.conftest import DEADLINE
from tests.pair import Pair

ADAPTER, SELF = "OneBot V11", "10001"


class Watching:
    """A NoneBot whose accounts are watched, and what the main process was told."""

    def __init__(self, host: Pair, teller: Any) -> None:
        self.host = host
        self.teller = teller
        self.calls: list[str] = []

    @property
    def told(self) -> list[words.Account]:
        """All that was told."""
        said = [word for word in self.host.words if isinstance(word, words.Accounts)]
        return [account for word in said for account in word.accounts]

    async def tells(self, *states: str) -> None:
        """Wait until these are the states that were told so far."""
        until = time.monotonic() + DEADLINE
        while len(self.told) < len(states) and time.monotonic() < until:
            await asyncio.sleep(0.005)
        assert [state for _, _, state, _ in self.told] == list(states)

    def bot(self, self_id: str = SELF) -> Bot:
        """Return a bot, whose API knows its name and nothing else."""
        bot = Bot(nonebot.get_adapter(Adapter), self_id)

        async def call_api(api: str, **data: Any) -> Any:
            self.calls.append(api)
            return {"user_id": 1, "nickname": "a\nname" + "x" * 300}

        bot.call_api = call_api  # type: ignore[method-assign]
        return bot

    async def receive(self, bot: Bot, **fields: Any) -> None:
        """Have a bot get an event, as its adapter gives it."""
        event = Adapter.json_to_event({"time": 100, "self_id": 10001, **fields})
        assert event is not None
        await bot.handle_event(event)

    async def beat(self, bot: Bot, **status: Any) -> None:
        """Have a bot get a heartbeat."""
        about: Any = {"post_type": "meta_event", "meta_event_type": "heartbeat"}
        await self.receive(bot, **about, status={"good": True, **status}, interval=1)

    async def notice(self, bot: Bot, **fields: Any) -> None:
        """Have a bot get a notice."""
        await self.receive(bot, post_type="notice", user_id=10001, **fields)

    async def message(self, bot: Bot, at: int) -> None:
        """Have a bot get a private message that was sent at this time."""
        await self.receive(
            bot,
            **{"time": at, "post_type": "message", "message_type": "private", "font": 0},
            **{"sub_type": "friend", "message_id": at, "user_id": 5, "raw_message": "hi"},
            message=[{"type": "text", "data": {"text": "hi"}}],
            sender={"user_id": 5},
        )


@pytest.fixture
async def watching(
    plugin: Plugin, app: App, host: Pair, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watching]:
    """NoneBot, from its startup to its shutdown; what is registered ends with the test."""
    from nonebot_plugin_liteyuki_comm.accounts import watch

    driver = nonebot.get_driver()
    for hooks in ("_bot_connection_hook", "_bot_disconnection_hook"):
        monkeypatch.setattr(type(driver), hooks, set())
    monkeypatch.setattr(type(driver), "_adapters", {})
    monkeypatch.setattr(driver, "_bots", {})
    for hooks in ("_startup_funcs", "_ready_funcs", "_shutdown_funcs"):
        monkeypatch.setattr(driver._lifespan, hooks, [*getattr(driver._lifespan, hooks)])
    monkeypatch.setattr(Bot, "handle_event", Bot.handle_event)
    driver.register_adapter(Adapter)
    teller = watch(driver)
    async with driver._lifespan:
        yield Watching(host, teller)


async def test_a_bot_connects_and_disconnects(watching: Watching) -> None:
    """NoneBot says so. Nothing is asked."""
    bot = watching.bot()
    bot.adapter.bot_connect(bot)
    await watching.tells("online")
    assert watching.told == [(ADAPTER, SELF, "online", "")]
    bot.adapter.bot_disconnect(bot)
    await watching.tells("online", "disconnected")
    assert watching.calls == []


@pytest.mark.parametrize(
    "fields",
    [
        {"notice_type": "bot_offline", "tag": "KickedOffLine", "message": "x"},
        {"notice_type": "notify", "sub_type": "bot_offline", "tag": "x", "message": "x"},
    ],
    ids=["NapCat, Lagrange", "older Lagrange"],
)
async def test_a_notice_that_it_is_offline(watching: Watching, fields: dict[str, Any]) -> None:
    """It may come before NoneBot has said that the bot is connected."""
    bot = watching.bot()
    bot.adapter.bot_connect(bot)
    await watching.notice(bot, **fields)
    await watching.tells("offline")
    await watching.notice(bot, notice_type="bot_online", reason="Reconnect")
    await watching.tells("offline", "online")


async def test_heartbeats(watching: Watching) -> None:
    """Each change is told once. One that does not say whether it is online says nothing."""
    bot = watching.bot()
    bot.adapter.bot_connect(bot)
    await watching.tells("online")
    for status in ({}, {"online": None}, {"online": False}, {}, {"online": False}):
        await watching.beat(bot, **status)
    await watching.tells("online", "offline")
    await watching.beat(bot, online=True, app_good=True, stat={"packet_lost": 1})
    await watching.tells("online", "offline", "online", "online")


async def test_the_name_is_asked_once(watching: Watching) -> None:
    """By the first heartbeat that says that the account is logged in; cut off, in one line."""
    bot = watching.bot()
    bot.adapter.bot_connect(bot)
    for _ in range(3):
        await watching.beat(bot, online=True)
    await watching.tells("online", "online")
    assert watching.told[-1] == (ADAPTER, SELF, "online", ("a name" + "x" * 300)[:200])
    assert watching.calls == ["get_login_info"]


async def test_other_notices_say_nothing(watching: Watching) -> None:
    """go-cqhttp's client_status is about another device of the account."""
    bot = watching.bot()
    bot.adapter.bot_connect(bot)
    client = {"app_id": 1, "device_name": "phone", "device_kind": "x"}
    await watching.notice(bot, notice_type="client_status", client=client, online=False)
    await watching.notice(bot, notice_type="friend_add")
    await watching.message(bot, 100)
    await watching.tells("online")


async def test_who_gets_messages_is_online(watching: Watching) -> None:
    """If the message is younger than the word that it is offline: one may have been late."""
    bot = watching.bot()
    bot.adapter.bot_connect(bot)
    await watching.notice(bot, notice_type="bot_offline", tag="", message="")
    await watching.message(bot, 100)
    await watching.tells("offline")
    await watching.message(bot, 101)
    await watching.tells("offline", "online")


async def test_a_bot_that_connects_again(watching: Watching) -> None:
    """The new connection may be there before the end of the old one is noticed."""
    old, new = watching.bot(), watching.bot()
    watching.teller.connected(old)
    watching.teller.connected(new)
    watching.teller.disconnected(old)
    watching.teller.disconnected(new)
    await watching.tells("online", "online", "disconnected")


async def test_a_thousand_bots(watching: Watching) -> None:
    """They are told in few words: who says too many is ended."""
    for number in range(1000):
        watching.teller.connected(watching.bot(str(number)))
    await watching.tells(*["online"] * 1000)
    said = [word for word in watching.host.words if isinstance(word, words.Accounts)]
    assert len(said) == 1 + 999 // words.MOST_ACCOUNTS + 1
    assert {id for _, id, _, _ in watching.told} == {str(number) for number in range(1000)}


async def test_an_id_that_is_too_long_or_odd_is_not_told(watching: Watching) -> None:
    """Cut off or changed, it could be another one's."""
    watching.teller.connected(watching.bot("1" * 201))
    watching.teller.connected(watching.bot("1\n"))
    watching.teller.connected(watching.bot("2" * 200))
    await watching.tells("online")
    assert watching.told[0][1] == "2" * 200


async def test_an_adapter_that_knows_the_name(watching: Watching) -> None:
    """Is not asked for it."""

    class Info:
        name = "its name"

    bot = watching.bot()
    bot.self_info = Info()  # type: ignore[attr-defined]
    watching.teller.connected(bot)
    await watching.tells("online")
    assert watching.told[0][3] == "its name"


async def test_at_the_end_the_rest_is_told(watching: Watching) -> None:
    """And nothing after that, when connections are closed because NoneBot shuts down."""
    first, second = watching.bot("1"), watching.bot("2")
    watching.teller.connected(first)
    watching.teller.connected(second)
    await watching.teller.end()
    watching.teller.disconnected(first)
    await watching.tells("online", "online")


async def test_without_a_main_process_nothing_is_watched(
    plugin: Plugin, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin that was loaded without one has no hook for bots, and events are not looked at."""
    module: Any = plugin.module
    assert module.process is None
    hooks = nonebot.get_driver()
    for kind in (hooks._bot_connection_hook, hooks._bot_disconnection_hook):
        assert not [hook for hook in kind if hook.call.__module__.endswith(".accounts")]
    assert Bot.handle_event.__module__ == "nonebot.adapters.onebot.v11.bot"
