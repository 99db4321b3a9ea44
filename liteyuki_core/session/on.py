"""The decorators that register handlers of messages.

A handler is a function, sync or async, that gets a `MessageEvent`. An async one runs on
LiteyukiBot's loop, a sync one in a worker thread. From any thread of the main process, also while
the bot runs. All of them take these arguments, which mean what they mean in NoneBot:

- `rule`, `permission`: a `Rule` or a function. The handler gets only events that fulfil both.
- `to_me`: the handler gets only messages that are meant for the bot.
- `priority`: handlers with a lower number get the event first. Handlers with the same number run
  beside each other.
- `block`: when this handler has got an event, handlers with a higher number do not.

All raise `NotConnected` where there is no LiteyukiBot, as in a child process, `ChannelExists` if a
channel of another has the name `NAME-session` of a process NAME, and `TypeError` for arguments of a
wrong type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from . import current, finding
from .finding import Command, Find
from .handler import Handler
from .rule import Check, Rule, rule_of

F = TypeVar("F", bound=Callable[..., Any])


def on_message(
    *,
    rule: Rule | Check | None = None,
    permission: Rule | Check | None = None,
    to_me: bool = False,
    priority: int = 1,
    block: bool = True,
) -> Callable[[F], F]:
    """Decorate a handler of all messages."""
    return _on(finding.anything, (), rule, permission, to_me, priority, block)


def on_command(
    command: str | Command,
    *,
    aliases: Iterable[str | Command] = (),
    rule: Rule | Check | None = None,
    permission: Rule | Check | None = None,
    to_me: bool = False,
    priority: int = 1,
    block: bool = False,
) -> Callable[[F], F]:
    """Decorate a handler of a command: `on_command("weather")` gets "/weather Beijing".

    What stands before a command, and between the parts of one that is given as a tuple, say
    COMMAND_START and COMMAND_SEP of the NoneBot that has got the message. If it begins with several
    commands, the longest counts. The event has `command` and `arguments`.
    """
    commands = [
        (given,) if isinstance(given, str) else tuple(given) for given in (command, *aliases)
    ]
    for parts in commands:
        if not parts or not all(isinstance(part, str) and part for part in parts):
            raise TypeError(f"a command is a text, or a tuple of texts, not {parts!r}")
    find = finding.command(commands)
    return _on(find, commands, rule, permission, to_me, priority, block)


def on_keywords(
    keywords: str | Iterable[str],
    *,
    rule: Rule | Check | None = None,
    permission: Rule | Check | None = None,
    to_me: bool = False,
    priority: int = 1,
    block: bool = True,
) -> Callable[[F], F]:
    """Decorate a handler of messages that have one of these words in their text."""
    find = finding.keywords(_texts(keywords))
    return _on(find, (), rule, permission, to_me, priority, block)


def on_regex(
    pattern: str,
    flags: int | re.RegexFlag = 0,
    *,
    rule: Rule | Check | None = None,
    permission: Rule | Check | None = None,
    to_me: bool = False,
    priority: int = 1,
    block: bool = True,
) -> Callable[[F], F]:
    """Decorate a handler of messages in whose text a regular expression is found.

    The event has `match`. Raises `ValueError`, which names the pattern, if it does not compile.
    """
    find = finding.pattern(pattern, int(flags))
    return _on(find, (), rule, permission, to_me, priority, block)


def on_startswith(
    texts: str | Iterable[str],
    ignorecase: bool = False,
    *,
    rule: Rule | Check | None = None,
    permission: Rule | Check | None = None,
    to_me: bool = False,
    priority: int = 1,
    block: bool = True,
) -> Callable[[F], F]:
    """Decorate a handler of messages whose text begins with one of these."""
    find = finding.startswith(_texts(texts), ignorecase)
    return _on(find, (), rule, permission, to_me, priority, block)


def on_endswith(
    texts: str | Iterable[str],
    ignorecase: bool = False,
    *,
    rule: Rule | Check | None = None,
    permission: Rule | Check | None = None,
    to_me: bool = False,
    priority: int = 1,
    block: bool = True,
) -> Callable[[F], F]:
    """Decorate a handler of messages whose text ends with one of these."""
    find = finding.endswith(_texts(texts), ignorecase)
    return _on(find, (), rule, permission, to_me, priority, block)


def on_fullmatch(
    texts: str | Iterable[str],
    ignorecase: bool = False,
    *,
    rule: Rule | Check | None = None,
    permission: Rule | Check | None = None,
    to_me: bool = False,
    priority: int = 1,
    block: bool = True,
) -> Callable[[F], F]:
    """Decorate a handler of messages whose text is one of these."""
    find = finding.fullmatch(_texts(texts), ignorecase)
    return _on(find, (), rule, permission, to_me, priority, block)


def _on(
    find: Find,
    commands: Iterable[Command],
    rule: Rule | Check | None,
    permission: Rule | Check | None,
    to_me: bool,
    priority: int,
    block: bool,
) -> Callable[[F], F]:
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority must be an int, not {type(priority).__name__}")
    rules = [rule_of(given) for given in (permission, rule) if given is not None]
    sessions = current.sessions()

    def decorator(function: F) -> F:
        if not callable(function):
            raise TypeError(f"a handler must be callable, not {type(function).__name__}")
        handler = Handler(function, find, rules, to_me, priority, block, tuple(commands))
        sessions.add_handler(handler)
        return function

    return decorator


def _texts(given: str | Iterable[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"a text is needed, not {type(text).__name__}")
    return texts
