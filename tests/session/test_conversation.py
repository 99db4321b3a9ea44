"""Prompts: which message answers them, and what goes on meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from liteyuki_core.errors import PromptTimeout
from liteyuki_core.session import MessageEvent, on_command, on_message
from tests.conftest import wait_until
from tests.session.chat import Chat


@pytest.fixture
def asking(chat: Chat) -> None:
    """A command that asks where, and says what was answered; all other messages are noted."""

    @on_command("weather", block=True)
    async def weather(event: MessageEvent) -> None:
        answer = await event.prompt("where?")
        chat.handled.append(f"weather in {answer.text}")
        await answer.reply(f"sunny in {answer.text}")

    on_message(priority=2)(chat.note)


@pytest.mark.usefixtures("asking")
def test_the_next_message_of_that_user_there_is_the_answer(chat: Chat) -> None:
    """Nobody else is offered it; those of others, or somewhere else, are handled as ever."""
    child = chat.child()
    child.say("/weather", user="a")
    wait_until(lambda: child.sent() == ["where?"])
    child.say("of another", user="b")
    chat.until("of another")
    child.say("somewhere else", user="a", scene="2")
    chat.until("of another", "somewhere else")
    child.say("Beijing", user="a")
    child.say("afterwards", user="a")
    chat.until("of another", "somewhere else", "weather in Beijing", "afterwards")
    assert child.sent() == ["where?", "sunny in Beijing"]
    wait_until(lambda: not chat.sessions._conversations)


def test_a_handler_that_waits_holds_up_no_other_of_its_message(chat: Chat) -> None:
    """Those of a higher number get the message meanwhile, unless it blocks."""

    @on_command("ask", block=False)
    async def ask(event: MessageEvent) -> None:
        answer = await event.prompt("what?")
        chat.handled.append(f"answer {answer.text}")

    on_message(priority=2)(chat.note)
    child = chat.child()
    child.say("/ask")
    chat.until("/ask")
    child.say("this")
    chat.until("/ask", "answer this")


@pytest.mark.usefixtures("asking")
def test_several_are_asked_at_once(chat: Chat) -> None:
    """Each in a conversation gets its own answer."""
    child = chat.child()
    for user in "abc":
        child.say("/weather", user=user)
    wait_until(lambda: len(child.sent()) == 3)
    for user in "cab":
        child.say(f"city {user}", user=user)
    chat.until(*(f"weather in city {user}" for user in "cab"))


@pytest.mark.usefixtures("asking")
def test_what_came_before_the_question_is_no_answer(chat: Chat) -> None:
    """It is handled as ever, though it had to wait for its turn."""
    go_on = asyncio.Event()
    child = chat.child()

    @on_message(priority=0, block=False)
    async def hold_up(event: MessageEvent) -> None:
        if event.text == "/weather":
            await go_on.wait()

    child.say("/weather", user="a")
    child.say("early", user="a")
    wait_until(lambda: chat.sessions._conversations and _arrived(chat) == 2)
    chat.on_loop(go_on.set)
    chat.until("early")
    child.say("Beijing", user="a")
    chat.until("early", "weather in Beijing")


def _arrived(chat: Chat) -> int:
    return max(each.arrived for each in list(chat.sessions._conversations.values()))


def test_an_answer_may_come_before_the_question_is_known_to_be_sent(chat: Chat) -> None:
    """The user has read it while the API still waits for its own answer."""

    @on_message()
    async def ask(event: MessageEvent) -> None:
        answer = await event.prompt("where?")
        chat.note(answer)

    go_on = asyncio.Event()
    child = chat.child()
    child.does = lambda request: go_on.wait()
    child.say("hello", user="a")
    wait_until(lambda: child.sent() == ["where?"])
    child.say("Beijing", user="a")
    wait_until(lambda: _arrived(chat) == 2)
    chat.pair.child.dispatcher.loop.call_soon_threadsafe(go_on.set)
    chat.until("Beijing")


def test_the_turn_of_an_answer_lasts_until_the_handler_rests(chat: Chat) -> None:
    """What comes after the answer is handled when the handler has ended, or asks again."""

    @on_command("steps", block=True)
    async def steps(event: MessageEvent) -> None:
        for step in range(3):
            answer = await event.prompt(f"step {step}")
            await asyncio.sleep(0.02)  # Whoever doesn't wait for this turn is quicker.
            chat.handled.append(f"step {step} {answer.text}")

    on_message(priority=2)(chat.note)
    child = chat.child()
    child.say("/steps", user="a")
    wait_until(lambda: len(child.sent()) == 1)
    for step in range(3):
        child.say("x", user="a")
        child.say(f"after {step}", user="b")
        wait_until(lambda step=step: len(child.sent()) == min(step + 2, 3))  # type: ignore[misc]
    chat.until(*(text for n in range(3) for text in (f"step {n} x", f"after {n}")))


@pytest.mark.parametrize("raises", ["raises", "goes on"])
def test_a_prompt_that_times_out(chat: Chat, raises: str) -> None:
    """It raises, naming user and scene. The user's next message is offered as ever."""

    @on_command("weather", block=True)
    async def weather(event: MessageEvent) -> None:
        try:
            await event.prompt("where?", timeout=0.05)
        except PromptTimeout as error:
            if raises == "raises":
                raise
            await event.reply("too late")
            chat.handled.append(str(error))

    on_message(priority=2)(chat.note)
    child = chat.child()
    child.say("/weather", user="a")
    line = "user a has not answered in group 1 of bot 10001 within 0.05 s"
    if raises == "raises":
        chat.pair.logged("ERROR", f"raised PromptTimeout({line!r})")
        first: tuple[str, ...] = ()
    else:
        first = (line,)
        chat.until(line)
        assert child.sent() == ["where?", "too late"]
    child.say("Beijing", user="a")
    chat.until(*first, "Beijing")
    wait_until(lambda: not chat.sessions._conversations)


def test_a_question_that_cannot_be_sent(chat: Chat) -> None:
    """The handler hears why, and nobody waits for an answer."""

    @on_command("weather", block=True)
    async def weather(event: MessageEvent) -> None:
        await event.prompt("where?")

    on_message(priority=2)(chat.note)
    child = chat.child()

    def fail(request: object) -> None:
        raise LookupError("no such group")

    child.does = fail
    child.say("/weather", user="a")
    chat.pair.logged("ERROR", "weather raised RemoteError", "LookupError: no such group")
    child.say("Beijing", user="a")
    chat.until("Beijing")


def test_two_handlers_of_one_message_ask(chat: Chat) -> None:
    """Both get the answer, as in NoneBot."""
    for name in ("one", "two"):

        async def ask(event: MessageEvent, name: str = name) -> None:
            answer = await event.prompt()
            chat.handled.append(f"{name}: {answer.text}")

        on_command("ask", block=True)(ask)
    child = chat.child()
    child.say("/ask")
    wait_until(lambda: sum(len(c.prompts) for c in chat.sessions._conversations.values()) == 2)
    child.say("x")
    wait_until(lambda: sorted(chat.handled) == ["one: x", "two: x"])


def test_a_prompt_that_is_cancelled(chat: Chat) -> None:
    """It is forgotten, and the handler goes on."""

    @on_command("ask", block=True)
    async def ask(event: MessageEvent) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(event.prompt(), 0.02)
        chat.handled.append("cancelled")

    on_message(priority=2)(chat.note)
    child = chat.child()
    child.say("/ask")
    chat.until("cancelled")
    child.say("x")
    chat.until("cancelled", "x")


def test_a_sync_handler_asks(chat: Chat) -> None:
    """By `event.wait`, in its thread; the conversation goes on meanwhile."""

    @on_command("ask", block=True)
    def ask(event: MessageEvent) -> None:
        answer = event.wait(event.prompt("who?"))
        chat.handled.append(f"answer {answer.text}")

    on_message(priority=2)(chat.note)
    child = chat.child()
    child.say("/ask", user="a")
    wait_until(lambda: child.sent() == ["who?"])
    child.say("of another", user="b")
    chat.until("of another")
    child.say("me", user="a")
    chat.until("of another", "answer me")
