"""Requests to bots: in the right child, across its crash, while a bot is not connected.

Tests session/calls.py and session/exchange.py.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from liteyuki_core.errors import BotNotConnected, RemoteError
from liteyuki_core.process.state import ProcessState
from liteyuki_core.session import MessageEvent, calls, on_message
from liteyuki_core.session.exchange import CallApi, Missing, Request
from tests.conftest import wait_until
from tests.session.chat import ADAPTER, SELF, Chat, Child


class ActionFailed(Exception):
    """An error as an adapter has it, which the main process does not know."""


@pytest.fixture
def calling(chat: Chat) -> list[Any]:
    """Each message is the name of an API, which is called. What comes of it is in this list."""
    ends: list[Any] = []

    @on_message()
    async def call(event: MessageEvent) -> None:
        try:
            ends.append(await event.bot.call_api(event.text, user_id=1))
        except Exception as error:
            ends.append(error)

    return ends


def test_it_runs_in_the_child_of_the_bot(chat: Chat, calling: list[Any]) -> None:
    """With its parameters; the result comes back."""
    chat.add_child("other")
    child, other = chat.child(), chat.child("other")
    other.does = lambda request: {"nickname": "x"}
    other.say("get_stranger_info")
    wait_until(lambda: calling == [{"nickname": "x"}])
    assert other.requests == [CallApi(ADAPTER, SELF, "get_stranger_info", {"user_id": 1})]
    assert not child.requests


def test_what_the_adapter_raises(chat: Chat, calling: list[Any]) -> None:
    """By name and message, with its traceback there."""
    child = chat.child()

    def fail(request: Request) -> None:
        raise ActionFailed("no such API")

    child.does = fail
    child.say("no_such_api")
    wait_until(lambda: calling)
    (error,) = calling
    assert type(error) is RemoteError
    assert (error.type_name, error.message) == ("ActionFailed", "no such API")
    assert str(error) == "bot 10001 (OneBot V11), API no_such_api: ActionFailed: no such API"
    assert "raise ActionFailed" in str(error.__cause__)
    assert "raise ActionFailed" in error.traceback


def test_an_answer_that_can_not_be_sent(chat: Chat, calling: list[Any]) -> None:
    """Nothing was raised, and the reason is said all the same."""
    child = chat.child()
    child.does = lambda request: lambda: None
    child.say("get_status")
    wait_until(lambda: calling)
    (error,) = calling
    assert type(error) is RemoteError
    assert error.type_name == ""
    assert str(error).startswith("bot 10001 (OneBot V11), API get_status: the answer can't be sent")


def test_a_bot_that_connects_again(chat: Chat, calling: list[Any]) -> None:
    """The call waits for it, and is made then."""
    child = chat.child()
    child.does = lambda request: Missing()
    child.say("get_status")
    wait_until(lambda: len(child.requests) == 1)
    child.connect(bot="another")
    child.does = lambda request: "online"
    child.connect()
    wait_until(lambda: calling == ["online"])
    assert len(child.requests) == 2


def test_a_bot_that_has_connected_before_it_was_known_to_be_missing(
    chat: Chat, calling: list[Any]
) -> None:
    """The call does not wait for it to connect once more."""
    child = chat.child()
    answer = asyncio.Event()

    async def missing(request: Request) -> Missing:
        await answer.wait()
        return Missing()

    child.does = missing
    child.say("get_status", scene="1")
    wait_until(lambda: len(child.requests) == 1)
    child.does = lambda request: "online"
    child.connect()
    child.say("get_status", scene="2")  # Behind it: so the main process has heard of it.
    wait_until(lambda: calling == ["online"])
    chat.pair.child.dispatcher.loop.call_soon_threadsafe(answer.set)
    wait_until(lambda: calling == ["online", "online"])


def test_a_bot_that_is_gone(
    chat: Chat, calling: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while the error names it, and the next message is handled."""
    monkeypatch.setattr(calls, "CONNECT_SECONDS", 0.1)
    child = chat.child()
    child.does = lambda request: Missing()
    child.say("get_status")
    child.say("get_status")
    wait_until(lambda: len(calling) == 2)
    for error in calling:
        assert type(error) is BotNotConnected
        assert error.bot == SELF
        assert str(error) == (
            "bot 10001 (OneBot V11) is not connected to process w, and has not connected within "
            "0.1 s"
        )


@pytest.mark.parametrize("state", [ProcessState.STOPPED, ProcessState.FAILED])
@pytest.mark.parametrize("waits", ["for the answer", "for the bot"])
def test_a_child_that_does_not_run_any_more(
    chat: Chat, calling: list[Any], state: ProcessState, waits: str
) -> None:
    """What waits fails at once, and so does what is asked then."""
    child = chat.child()
    child.does = (
        (lambda request: Missing()) if waits == "for the bot" else lambda r: asyncio.Event().wait()
    )
    child.say("get_status")
    wait_until(lambda: len(child.requests) == 1)
    chat.state(ProcessState.STOPPING)
    assert not calling
    chat.state(state)
    wait_until(lambda: len(calling) == 1)
    child.say("get_status")
    wait_until(lambda: len(calling) == 2)
    for error in calling:
        assert type(error) is BotNotConnected
        assert re.fullmatch(
            r"bot 10001 \(OneBot V11\) can't be reached: process w, .* does not run any more",
            str(error),
        )
    assert len(child.requests) == 1
    chat.state(ProcessState.RUNNING)
    child.does = lambda request: "online"
    child.say("get_status")
    wait_until(lambda: calling[2:] == ["online"])


def test_a_child_that_crashes(chat: Chat, calling: list[Any]) -> None:
    """Its successor makes the call, once its bot is connected there."""
    child = chat.child()
    child.does = lambda request: asyncio.Event().wait()
    child.say("get_status")
    wait_until(lambda: len(child.requests) == 1)
    chat.pair.kill_child()
    successor = Child(chat.pair)
    successor.does = lambda request: Missing()
    wait_until(lambda: len(successor.requests) == 1)
    successor.does = lambda request: "online"
    successor.connect()
    wait_until(lambda: calling == ["online"])


def test_a_handler_that_gives_up(chat: Chat) -> None:
    """What waits in the child is cancelled, and nothing of it is left."""
    gone: list[str] = []

    @on_message()
    async def call(event: MessageEvent) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(event.reply("x"), 0.1)
        chat.note(event)

    async def never(request: Request) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.append("cancelled")

    child = chat.child()
    child.does = never
    child.say("a")
    chat.until("a")
    wait_until(lambda: gone == ["cancelled"])
    assert not any(chat.sessions._calls._under_way.values())
