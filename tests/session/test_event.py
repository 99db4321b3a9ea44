"""The event: what a handler has of it, and what its methods ask the child to do."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from liteyuki_core.errors import LiteyukiError, RemoteError, WouldBlockLoop
from liteyuki_core.session import MessageEvent, Scene, Segment, User, on_message, on_regex
from liteyuki_core.session.exchange import Send
from tests.conftest import wait_until
from tests.session.chat import ADAPTER, SELF, Chat, Child, made

GROUP = ("group", "1", "")


def sends(
    chat: Chat, act: Callable[[MessageEvent], Coroutine[Any, Any, Any]], **more: Any
) -> tuple[Any, list[Any]]:
    """Have a handler act on a message; return what came of it, and what the child was asked."""
    ends: list[Any] = []

    @on_message()
    async def handler(event: MessageEvent) -> None:
        try:
            ends.append(await act(event))
        except Exception as error:
            ends.append(error)

    child: Child = chat.child()
    child.say("hello", id="5", **more)
    wait_until(lambda: ends)
    return ends[0], child.requests


def test_what_a_handler_has(chat: Chat) -> None:
    """All of it is plain data."""
    events: list[MessageEvent] = []
    on_message()(events.append)
    chat.child().say("hello", id="5", to_me=True, superuser=True)
    wait_until(lambda: events)
    (event,) = events
    assert (event.adapter, event.bot.adapter, event.bot.id) == (ADAPTER, ADAPTER, SELF)
    assert event.bot.process == "w"
    assert event.scene == Scene("group", "1")
    assert event.user == User("u", "name of u", "member", superuser=True)
    assert event.segments == [Segment("text", {"text": "hello"})]
    assert (event.text, event.raw, event.time) == ("hello", {"raw_message": "hello"}, 1.0)
    assert (event.id, event.to_me, event.command, event.match) == ("5", True, (), None)


@pytest.mark.parametrize(
    ("message", "segments"),
    [
        ("hi", [("text", {"text": "hi"})]),
        (Segment("face", {"id": "1"}), [("face", {"id": "1"})]),
        (
            ["hi ", Segment("image", {"file": "x"})],
            [("text", {"text": "hi "}), ("image", {"file": "x"})],
        ),
        ([], []),
    ],
)
def test_reply(chat: Chat, message: Any, segments: list[Any]) -> None:
    """A text, a segment or several go where the message came from; the result comes back."""
    result, requests = sends(chat, lambda event: event.reply(message))
    assert result == {"message_id": 1}
    assert requests == [Send(ADAPTER, SELF, GROUP, segments, "", "", None)]


@pytest.mark.parametrize(("kind", "at"), [("group", "u"), ("channel", "u"), ("private", "")])
def test_mention_and_quote(chat: Chat, kind: str, at: str) -> None:
    """The user, except in private, and this message."""
    _, (request,) = sends(chat, lambda event: event.reply("x", at=True, quote=True), kind=kind)
    assert (request.at, request.quote) == (at, "5")


def test_send_to(chat: Chat) -> None:
    """Somewhere else, by the same bot."""
    there = Scene("channel", "7", "guild")
    _, requests = sends(chat, lambda event: event.send_to(there, "x"))
    place = ("channel", "7", "guild")
    assert requests == [Send(ADAPTER, SELF, place, [("text", {"text": "x"})], "", "", None)]
    assert str(there) == "channel guild/7"


@pytest.mark.parametrize("message", [5, None, ["x", 5], {"type": 1}.values()])
def test_what_can_not_be_sent(chat: Chat, message: Any) -> None:
    """It raises at the handler, and the child is not asked."""
    error, requests = sends(chat, lambda event: event.reply(message))
    assert isinstance(error, TypeError)
    assert not requests


def test_data_that_can_not_be_sent(chat: Chat) -> None:
    """A segment with something in it that pickle can't carry."""
    wrong = Segment("image", {"file": lambda: None})
    error, requests = sends(chat, lambda event: event.reply(wrong))
    assert isinstance(error, TypeError)
    assert "can't be" in str(error)
    assert not requests


@pytest.mark.parametrize("how", ["by hand", "copy"])
async def test_an_event_without_a_bot(how: str, chat: Chat) -> None:
    """It has its data, as tests of handlers need it. What needs a bot says that there is none."""
    event = made("hello")
    if how == "copy":
        events: list[MessageEvent] = []
        on_regex("hel")(events.append)
        chat.child().say("hello")
        await asyncio.to_thread(wait_until, lambda: events)
        event = pickle.loads(pickle.dumps(events[0]))
        assert (event.bot, event.user) == (events[0].bot, events[0].user)
        assert events[0].match is not None
        assert event.match is None
    assert event.text == "hello"
    for act in (lambda: event.reply("x"), lambda: event.bot.call_api("x"), lambda: event.prompt()):
        with pytest.raises(LiteyukiError, match="is a copy or was made by hand"):
            await act()


def test_wait_is_for_sync_handlers(chat: Chat) -> None:
    """In an async one it would stop the loop: it says what to write."""

    async def act(event: MessageEvent) -> None:
        event.wait(event.reply("x"))

    error, requests = sends(chat, act)
    assert isinstance(error, WouldBlockLoop)
    assert "await event.reply" in str(error)
    assert not requests


def test_wait_raises_what_is_raised(chat: Chat) -> None:
    """In the thread of the handler."""
    ends: list[Any] = []

    @on_message()
    def handler(event: MessageEvent) -> None:
        with pytest.raises(RemoteError, match="LookupError: nobody there") as raised:
            event.wait(event.reply("x"))
        ends.append(raised)

    child = chat.child()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("nobody there")

    child.does = lambda request: fail()
    child.say("hello")
    wait_until(lambda: ends)
