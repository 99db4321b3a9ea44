"""Sessions: order, what raises, what is offered once, what ends."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from liteyuki_core.session import MessageEvent, on_message, sessions
from tests.conftest import DEADLINE, wait_until
from tests.session.chat import Chat


def test_order_in_a_conversation(chat: Chat) -> None:
    """One message after another, whatever each takes; conversations run beside each other."""
    go_on = asyncio.Event()

    @on_message()
    async def handler(event: MessageEvent) -> None:
        if event.text == "slow":
            await go_on.wait()
        chat.note(event)

    child = chat.child()
    child.say("slow", scene="1")
    for number in range(20):
        child.say(f"1: {number}", scene="1")
    for kind, scene in (("group", "2"), ("private", "1"), ("channel", "1")):
        child.say(f"{kind} {scene}", kind=kind, scene=scene)
    child.say("another bot", bot="2")
    others = ("group 2", "private 1", "channel 1", "another bot")
    chat.until(*others)
    chat.on_loop(go_on.set)
    chat.until(*others, "slow", *(f"1: {number}" for number in range(20)))
    wait_until(lambda: not chat.sessions._conversations, "no conversation is remembered")


def test_handlers_of_one_priority_run_beside_each_other(chat: Chat) -> None:
    """The message's turn lasts until both have ended."""
    meet = asyncio.Event()

    @on_message(priority=5)
    async def first(event: MessageEvent) -> None:
        await meet.wait()
        chat.handled.append(f"{event.text} first")

    @on_message(priority=5)
    async def second(event: MessageEvent) -> None:
        meet.set()
        chat.handled.append(f"{event.text} second")

    child = chat.child()
    child.say("a")
    child.say("b")
    wait_until(lambda: len(chat.handled) == 4)
    assert chat.handled[:2] == ["a second", "a first"]
    assert {*chat.handled[2:]} == {"b second", "b first"}


@pytest.mark.parametrize("block", [True, False])
def test_a_handler_that_raises(chat: Chat, block: bool) -> None:
    """It is logged, it blocks if it says so, and nobody else notices."""

    @on_message(priority=1, block=block)
    def raising(event: MessageEvent) -> None:
        raise ValueError(f"about {event.text}")

    on_message(priority=2)(chat.note)
    on_message(priority=1, block=False)(lambda event: chat.handled.append("beside"))
    child = chat.child()
    child.say("a")
    chat.pair.logged("ERROR", "raising raised ValueError('about a') for a message in group 1")
    child.say("b")
    chat.until(*(["beside", "beside"] if block else ["beside", "a", "beside", "b"]))


@pytest.mark.parametrize("where", ["rule", "permission"])
def test_a_rule_that_raises(chat: Chat, where: str) -> None:
    """It is logged with the handler's name; that handler is not called, the others are."""

    def raises(event: MessageEvent) -> bool:
        raise KeyError("in a rule")

    given: dict[str, Any] = {where: raises}
    on_message(priority=1, **given)(lambda event: chat.handled.append("never"))
    on_message(priority=1)(chat.note)
    chat.child().say("a")
    chat.until("a")
    chat.pair.logged("ERROR", "<lambda>: a rule or permission raised KeyError('in a rule')")


def test_sync_handlers_run_in_threads(chat: Chat) -> None:
    """They hold up no other conversation, and reply by `event.wait`."""
    go_on = threading.Event()

    @on_message()
    def handler(event: MessageEvent) -> None:
        if event.scene.id == "1":
            assert go_on.wait(DEADLINE)
        assert event.wait(event.reply(f"{event.text} too")) == {"message_id": 1}

    child = chat.child()
    child.say("a", scene="1")
    child.say("b", scene="2")
    wait_until(lambda: child.sent() == ["b too"])
    go_on.set()
    wait_until(lambda: child.sent() == ["b too", "a too"])


def test_a_message_is_offered_once(chat: Chat) -> None:
    """Whoever reports it. It is one by adapter, bot, scene and id, with the same user and text, as
    an id may be used again after a restart. Without an id it is new."""
    on_message()(lambda event: chat.handled.append(f"{event.text} of {event.bot.process}"))
    chat.add_child("other")
    child, other = chat.child(), chat.child("other")
    child.say("a", id="1")
    chat.until("a of w")
    other.say("a", id="1")
    child.say("a", id="1")
    other.say("b", id="1", scene="2")
    chat.until("a of w", "b of other")
    other.say("c", id="1", scene="2")
    other.say("c", id="1", scene="2", user="v")
    chat.until("a of w", "b of other", "c of other", "c of other")
    for _ in range(2):
        child.say("no id", scene="3")
    child.say("d", id="1", bot="2", scene="3")
    wait_until(lambda: len(chat.handled) == 7)
    assert sorted(chat.handled[4:]) == ["d of w", "no id of w", "no id of w"]


def test_what_is_remembered_has_a_bound(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are known, the oldest are not any more."""
    monkeypatch.setattr(sessions, "_REMEMBERED", 10)
    on_message()(lambda event: chat.handled.append(event.id))
    child = chat.child()
    for number in (*range(11), 10, 2, 0):
        child.say("", id=str(number))
    chat.until(*map(str, range(11)), "0")
    assert len(chat.sessions._seen) == 10


def test_a_handler_that_is_registered_later(chat: Chat) -> None:
    """It gets the messages from then on, in its place."""
    on_message(priority=5)(lambda event: chat.handled.append(f"{event.text} 5"))
    child = chat.child()
    child.say("a")
    chat.until("a 5")
    on_message(priority=4, block=False)(lambda event: chat.handled.append(f"{event.text} 4"))
    child.say("b")
    chat.until("a 5", "b 4", "b 5")


def test_what_else_comes_on_the_channel(chat: Chat) -> None:
    """It is dropped with a line, and what comes after it is handled."""
    on_message()(chat.note)
    child = chat.child()
    child.channel.send({"not": "a message"})
    child.say("a")
    chat.until("a")
    chat.pair.logged("WARNING", "channel w-session", "a dict is dropped")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_handler_that_ends_the_process(chat: Chat, error: BaseException) -> None:
    """As a callback of a channel does, with a line that names it."""
    ends: list[BaseException] = []
    chat.pair.main.dispatcher.on_exit = ends.append

    @on_message()
    async def leaving(event: MessageEvent) -> None:
        raise error

    chat.child().say("a")
    wait_until(lambda: ends == [error])
    chat.pair.logged("ERROR", f"leaving raised {error!r}: this process ends")


def test_a_stop_waits_for_handlers(chat: Chat) -> None:
    """As long as it may, and not for those that wait for an answer. Nothing is begun meanwhile."""
    go_on = asyncio.Event()

    @on_message()
    async def handler(event: MessageEvent) -> None:
        chat.handled.append(f"{event.text} begins")
        if event.text == "asks":
            await event.prompt()
        await go_on.wait()
        chat.handled.append(f"{event.text} ends")

    child = chat.child()
    child.say("asks", scene="1")
    child.say("works", scene="2")
    chat.until("asks begins", "works begins")
    settling = asyncio.run_coroutine_threadsafe(
        chat.sessions.settle(DEADLINE), chat.pair.main.dispatcher.loop
    )
    wait_until(lambda: chat.sessions._closed)
    child.say("answer", scene="1")
    child.say("never", scene="3")
    wait_until(lambda: child.channel.stats()["acknowledged"] == 3)
    assert not settling.done()
    chat.on_loop(go_on.set)
    settling.result(DEADLINE)
    chat.until("asks begins", "works begins", "works ends")
    late = asyncio.run_coroutine_threadsafe(
        chat.sessions.settle(0.01), chat.pair.main.dispatcher.loop
    )
    late.result(DEADLINE)


def test_the_end_breaks_off_handlers(chat: Chat) -> None:
    """Those that run and those that wait for an answer; nothing is begun any more."""

    @on_message()
    async def handler(event: MessageEvent) -> None:
        chat.note(event)
        try:
            if event.scene.id == "1":
                await event.prompt()
            else:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            chat.handled.append("broken off")
            raise

    child = chat.child()
    child.say("a", scene="1")
    chat.until("a")
    child.say("b", scene="2")
    chat.until("a", "b")
    child.say("never", scene="2")
    chat.on_loop(chat.sessions.close)
    chat.until("a", "b", "broken off", "broken off")
    child.say("never", scene="3")
    wait_until(lambda: child.channel.stats()["backlog"] == 0)
    wait_until(lambda: child.channel.stats()["acknowledged"] == 4)
    wait_until(lambda: not chat.sessions._conversations and not chat.sessions._runs)
    assert "never" not in chat.handled
