"""Rules: which events a handler takes, beside what it was registered for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .event import MessageEvent

Check: TypeAlias = Callable[[MessageEvent], "bool | Awaitable[bool]"]


class Rule:
    """A condition on an event: a function, sync or async, that gets the event and returns a bool.

    `a & b`, `a | b` and `~a` are rules too; a function may stand on one side. What comes second is
    asked only if it matters. All run on LiteyukiBot's loop, so a sync one must not wait.

    Raises `TypeError` for what can't be called.
    """

    def __init__(self, check: Check) -> None:
        if not callable(check):
            raise TypeError(f"a rule is a function that gets the event, not {type(check).__name__}")
        self._check = check

    async def __call__(self, event: MessageEvent) -> bool:
        """Return whether the event fulfils the rule. Raises what the function raises."""
        found = self._check(event)
        return bool(await found if inspect.isawaitable(found) else found)

    def __and__(self, other: Rule | Check | None) -> Rule:
        return self if other is None else _both(self, rule_of(other))

    def __rand__(self, other: Rule | Check | None) -> Rule:
        return self if other is None else _both(rule_of(other), self)

    def __or__(self, other: Rule | Check) -> Rule:
        return _either(self, rule_of(other))

    def __ror__(self, other: Rule | Check) -> Rule:
        return _either(rule_of(other), self)

    def __invert__(self) -> Rule:
        async def check(event: MessageEvent) -> bool:
            return not await self(event)

        return Rule(check)


def rule_of(given: Rule | Check) -> Rule:
    """Return a rule or a function as a rule. Raises `TypeError` for anything else."""
    return given if isinstance(given, Rule) else Rule(given)


def _both(first: Rule, second: Rule) -> Rule:
    async def check(event: MessageEvent) -> bool:
        return await first(event) and await second(event)

    return Rule(check)


def _either(first: Rule, second: Rule) -> Rule:
    async def check(event: MessageEvent) -> bool:
        return await first(event) or await second(event)

    return Rule(check)


SUPERUSER = Rule(lambda event: event.user.superuser)
"""The sender is one of NoneBot's SUPERUSERS."""
