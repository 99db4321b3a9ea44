"""What handlers look for in the text of a message: commands, patterns, words.

As NoneBot does it, so that a plugin behaves alike in the main process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from .event import MessageEvent
from .exchange import Forwarded

Found: TypeAlias = dict[str, Any]
"""Fields of the event that the handler is to get with other values."""

Find: TypeAlias = Callable[[MessageEvent], "Found | None"]
"""Returns what it has found in an event, or None if the event is not for the handler."""

Command: TypeAlias = tuple[str, ...]


def anything(event: MessageEvent) -> Found | None:
    """Take every event."""
    return {}


def command(commands: Iterable[Command]) -> Find:
    """Take events that begin with one of these commands. `split_command` has looked before."""
    wanted = frozenset(commands)
    return lambda event: {} if event.command in wanted else None


def pattern(text: str, flags: int) -> Find:
    """Take events in whose text a regular expression is found. Raises `ValueError` for a wrong one.

    The error names the expression.
    """
    try:
        compiled = re.compile(text, flags)
    except (re.error, TypeError) as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None

    def find(event: MessageEvent) -> Found | None:
        match = compiled.search(event.text)
        return None if match is None else {"match": match}

    return find


def keywords(words: Iterable[str]) -> Find:
    """Take events whose text has one of these words in it."""
    wanted = tuple(words)
    return lambda event: {} if any(word in event.text for word in wanted) else None


def startswith(texts: Iterable[str], ignorecase: bool) -> Find:
    """Take events whose text begins with one of these."""
    fold = str.casefold if ignorecase else str
    wanted = tuple(map(fold, texts))
    return lambda event: {} if fold(event.text).startswith(wanted) else None


def endswith(texts: Iterable[str], ignorecase: bool) -> Find:
    """Take events whose text ends with one of these."""
    fold = str.casefold if ignorecase else str
    wanted = tuple(map(fold, texts))
    return lambda event: {} if fold(event.text).endswith(wanted) else None


def fullmatch(texts: Iterable[str], ignorecase: bool) -> Find:
    """Take events whose text is one of these."""
    fold = str.casefold if ignorecase else str
    wanted = frozenset(map(fold, texts))
    return lambda event: {} if event.text and fold(event.text) in wanted else None


def split_command(told: Forwarded, commands: Iterable[Command]) -> tuple[Command, str]:
    """Return which of all registered commands a message begins with, and the text after it.

    Of several it is the longest, with what stands before it. No blank is needed after a command.
    Returns `()` and "" if the message begins with none.
    """
    if not told.segments or told.segments[0][0] != "text":
        return (), ""
    text = str(told.segments[0][1].get("text", "")).lstrip()
    longest = -1
    found: Command = ()
    for start in told.starts:
        if not text.startswith(start):
            continue
        for parts in commands:
            for separator in told.separators if len(parts) > 1 else ("",):
                whole = start + separator.join(parts)
                if len(whole) > longest and text.startswith(whole):
                    longest, found = len(whole), parts
    if longest < 0:
        return (), ""
    rest = [str(data.get("text", "")) for kind, data in told.segments[1:] if kind == "text"]
    return found, "".join([text[longest:], *rest]).strip()
