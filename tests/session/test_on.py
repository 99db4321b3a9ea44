"""The decorators: what they take, what they raise, where they work.

Tests session/on.py, session/current.py and session/handler.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from liteyuki_core.comm import Channel, current, get_channels, set_channel
from liteyuki_core.errors import ChannelExists, NotConnected
from liteyuki_core.session import (
    SUPERUSER,
    MessageEvent,
    on_command,
    on_endswith,
    on_fullmatch,
    on_keywords,
    on_message,
    on_regex,
    on_startswith,
)
from tests.session.chat import Chat

DECORATORS: list[Callable[..., Any]] = [
    on_message,
    lambda **more: on_command("say", **more),
    lambda **more: on_keywords(["say"], **more),
    lambda **more: on_regex("say", **more),
    lambda **more: on_startswith("/say", **more),
    lambda **more: on_endswith("say", **more),
    lambda **more: on_fullmatch("/say", **more),
]
NAMES = ["message", "command", "keywords", "regex", "startswith", "endswith", "fullmatch"]


@pytest.fixture(params=DECORATORS, ids=NAMES)
def on(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Each of the decorators, for the message "/say"."""
    decorator: Callable[..., Any] = request.param
    return decorator


def test_a_handler_gets_its_messages(chat: Chat, on: Callable[..., Any]) -> None:
    """What is decorated stays what it was."""

    def handler(event: MessageEvent) -> None:
        chat.note(event)

    assert on()(handler) is handler
    chat.child().say("/say")
    chat.until("/say")


def test_what_they_all_take(chat: Chat, on: Callable[..., Any]) -> None:
    """`rule`, `permission` and `to_me` must all be fulfilled."""
    more = {"rule": lambda event: event.user.id != "x", "permission": SUPERUSER, "to_me": True}
    on(**more)(lambda event: chat.handled.append(event.user.id))
    child = chat.child()
    child.say("/say", user="x", superuser=True, to_me=True)
    child.say("/say", user="not superuser", to_me=True)
    child.say("/say", user="not to me", superuser=True)
    child.say("/say", user="right", superuser=True, to_me=True)
    chat.until("right")


def test_priority_and_block(chat: Chat, on: Callable[..., Any]) -> None:
    """The lower number is first; who blocks is the last."""
    on(priority=3)(lambda event: chat.handled.append("never"))
    on(priority=2, block=True)(lambda event: chat.handled.append("second"))
    on(priority=1, block=False)(lambda event: chat.handled.append("first"))
    on_fullmatch("the end", priority=0)(chat.note)
    child = chat.child()
    child.say("/say")
    child.say("the end")
    chat.until("first", "second", "the end")


def test_only_a_command_does_not_block_unless_it_says_so(
    chat: Chat, on: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    """As in NoneBot."""
    is_command = request.node.callspec.id == "command"
    on()(lambda event: chat.handled.append("first"))
    on_message(priority=2)(lambda event: chat.handled.append("second"))
    child = chat.child()
    child.say("/say")
    child.say("another")
    if is_command:
        chat.until("first", "second", "second")
    elif request.node.callspec.id == "message":
        chat.until("first", "first")
    else:
        chat.until("first", "second")


def test_a_command_has_arguments(chat: Chat) -> None:
    """Aliases and commands of several parts are commands too; the longest counts."""

    @on_command("weather", aliases={"天气", ("w", "now")})
    async def weather(event: MessageEvent) -> None:
        chat.handled.append(f"{event.command}: {event.arguments}")

    @on_command(("weather", "today"))
    async def today(event: MessageEvent) -> None:
        chat.handled.append(f"today: {event.arguments}")

    child = chat.child()
    for text in ("/weather  Beijing ", "/天气上海", "/w.now", "/weather.today x", "weather y"):
        child.say(text)
    chat.until("('weather',): Beijing", "('天气',): 上海", "('w', 'now'): ", "today: x")


def test_a_rule_sees_what_was_found(chat: Chat) -> None:
    """The arguments, and what a pattern has matched."""
    on_command("roll", rule=lambda event: event.arguments.isdigit())(chat.note)
    on_regex("(\\d+)d", rule=lambda event: int(event.match[1]) > 5)(chat.note)
    child = chat.child()
    for text in ("/roll x", "/roll 6", "3d", "8d"):
        child.say(text)
    chat.until("/roll 6", "8d")


@pytest.mark.parametrize(
    ("register", "error", "words"),
    [
        (lambda: on_regex("(["), ValueError, r"'\(\[' is no regular expression"),
        (lambda: on_message(priority="1"), TypeError, "priority must be an int, not str"),
        (lambda: on_message(priority=True), TypeError, "priority must be an int, not bool"),
        (lambda: on_message(rule="x"), TypeError, "a rule is a function that gets the event"),
        (lambda: on_message(permission=1), TypeError, "a rule is a function that gets the event"),
        (lambda: on_command(""), TypeError, r"a command is a text, .* not \(''"),
        (lambda: on_command(()), TypeError, r"a command is a text, .* not \(\)"),
        (lambda: on_command(("a", 1)), TypeError, r"a command is a text, .* not \('a', 1"),
        (lambda: on_keywords([1]), TypeError, "a text is needed, not int"),
        (lambda: on_message()(None), TypeError, "a handler must be callable, not NoneType"),
    ],
)
def test_what_is_wrong_raises_at_registration(
    chat: Chat, register: Callable[[], Any], error: type[Exception], words: str
) -> None:
    """Nothing is registered then."""
    with pytest.raises(error, match=words):
        register()
    assert "w-session" not in get_channels()


def test_without_a_bot(on: Callable[..., Any]) -> None:
    """It says where handlers belong."""
    with pytest.raises(NotConnected, match="in a plugin of the main process, or in bot"):
        on()


def test_in_a_child(chat: Chat, on: Callable[..., Any]) -> None:
    """It says that this is one."""
    from liteyuki_core.session import current as session_current

    session_current.uninstall(chat.sessions)
    current.install(chat.pair.child)
    try:
        with pytest.raises(NotConnected, match="this is child process w, and messages are handled"):
            on()
    finally:
        current.install(chat.pair.main)


def test_a_channel_of_that_name(chat: Chat) -> None:
    """It is in the way, and is named."""
    taken: Channel[Any] = Channel("w-session")
    set_channel("w-session", taken)
    with pytest.raises(ChannelExists, match="w-session"):
        on_message()(chat.note)


def test_nothing_is_made_before_a_handler(chat: Chat) -> None:
    """Then a channel for each child, also for those that are added later."""
    chat.add_child("early")
    assert not {"w-session", "early-session"} & set(get_channels())
    on_message()(chat.note)
    chat.add_child("late")
    assert {"w-session", "early-session", "late-session"} <= set(get_channels())
