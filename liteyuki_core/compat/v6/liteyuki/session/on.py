"""What registers matchers, and what gives messages to them: in v6's order.

Messages come over the topic `event_to_liteyuki`, where v6's own NoneBot plugins publish them, and
from the sessions of liteyuki_core, where LITEYUKI_COMM_FORWARD is on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from liteyuki_core.language import say
from liteyuki_core.session import MessageEvent as CoreEvent
from liteyuki_core.session import on_message as core_on_message

from ..comm.channel import is_connected
from ..comm.storage import shared_memory
from ..log import logger
from ..utils import IS_MAIN_PROCESS
from .event import from_core
from .matcher import Matcher
from .rule import Rule, empty_rule

_matcher_list: list[Matcher] = []
"""The matchers, those of a higher priority first, else in the order in which they came."""
_listens: list[bool] = []


def add_matcher(matcher: Matcher) -> None:
    """Add a matcher."""
    place = next(
        (i for i, each in enumerate(_matcher_list) if each.priority < matcher.priority),
        len(_matcher_list),
    )
    _matcher_list.insert(place, matcher)
    if is_connected():
        listen()


def listen() -> None:
    """Give messages to the matchers from now on, if there are any. In the main process."""
    if IS_MAIN_PROCESS and _matcher_list and not _listens:
        _listens.append(True)
        shared_memory.on_subscriber_receive("event_to_liteyuki")(dispatch)
        core_on_message(block=False)(_from_core)


async def _from_core(event: CoreEvent) -> None:
    await dispatch(from_core(event, asyncio.get_running_loop()))


async def dispatch(event: Any) -> None:
    """Give an event to the matchers, one after another.

    The first matcher of each priority decides, by its `block`, whether any other comes after it,
    also where its rule has not taken the event. So it was in v6.
    """
    before: int | None = None
    for matcher in tuple(_matcher_list):
        try:
            await matcher.run(event)
        except Exception as error:
            logger.opt(exception=error).error(say("a rule raised {error!r}", error=error))
        if matcher.priority != before and matcher.block:
            return
        before = matcher.priority


def on_message(rule: Rule = empty_rule, priority: int = 0, block: bool = False) -> Matcher:
    """Return a new matcher of all messages."""
    matcher = Matcher(rule, priority, block)
    add_matcher(matcher)
    return matcher


def _on_text(found: Callable[[str], bool], rule: Rule, priority: int, block: bool) -> Matcher:
    return on_message(Rule(lambda event: found(event.raw_message)) & rule, priority, block)


def _texts(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def on_keywords(
    keywords: str | Iterable[str], rule: Rule = empty_rule, priority: int = 0, block: bool = False
) -> Matcher:
    """Return a new matcher of messages that have one of these words in them."""
    texts = _texts(keywords)
    return _on_text(lambda said: any(each in said for each in texts), rule, priority, block)


def on_startswith(
    texts: str | Iterable[str], rule: Rule = empty_rule, priority: int = 0, block: bool = False
) -> Matcher:
    """Return a new matcher of messages that begin with one of these."""
    starts = _texts(texts)
    return _on_text(lambda said: said.startswith(starts), rule, priority, block)


def on_endswith(
    texts: str | Iterable[str], rule: Rule = empty_rule, priority: int = 0, block: bool = False
) -> Matcher:
    """Return a new matcher of messages that end with one of these."""
    ends = _texts(texts)
    return _on_text(lambda said: said.endswith(ends), rule, priority, block)


def on_fullmatch(
    texts: str | Iterable[str], rule: Rule = empty_rule, priority: int = 0, block: bool = False
) -> Matcher:
    """Return a new matcher of messages that are one of these."""
    wholes = _texts(texts)
    return _on_text(lambda said: said in wholes, rule, priority, block)
